#!/usr/bin/env bats
# filesystem.workSize: the limit of /work where a volume is mounted.

load lib.bash

setup_file() { instance_new --set joblet.stopGrace=1s --set filesystem.workSize=66MB && instance_start && rnx volume create data --size=4MB; }
teardown_file() { rnx volume remove data; instance_end; }

@test "/work of a job with a volume has filesystem.workSize, uploads included" {
    head -c 2000000 /dev/urandom >"$BATS_TEST_TMPDIR/up"
    [ "$(output --volume=data sh -c 'head -c 70000000 /dev/zero >f 2>/dev/null; stat -c %s f')" -ge $((66 << 20)) ]
    n=$(output --volume=data --upload="$BATS_TEST_TMPDIR/up" sh -c 'head -c 70000000 /dev/zero >f 2>/dev/null; stat -c %s f')
    echo "$n"
    [ "$n" -ge $(((66 << 20) - 2000000 - 4096)) ]
    [ "$n" -le $(((66 << 20) - 2000000 + 131072)) ]
    [ "$(output sh -c 'head -c 2000000 /dev/zero >f 2>/dev/null; stat -c %s f')" = 1048576 ]
}

@test "uploads that are more than that are refused" {
    truncate -s 70M "$BATS_TEST_TMPDIR/up"
    run rnx job run --volume=data --upload="$BATS_TEST_TMPDIR/up" true
    [ "$status" -eq 1 ]
    [[ $output == *"the uploads take 73400320 bytes, /work of a job with volumes may have 69206016"* ]]
    until_true 5 sh -c "[ -z \"\$(ls '$I/jobs/.staging')\" ]"
}
