#!/usr/bin/env bats
# /work: what was uploaded and a quota on top of it; /tmp and /var/tmp: their sizes.

load lib.bash

setup_file() { instance_new --set joblet.stopGrace=1s && instance_start; }
teardown_file() { instance_end; }

# Prints how many bytes a job can write into $1 before the file system is full.
room='n=0; while head -c 4096 /dev/zero >>"$1/fill" 2>/dev/null; do n=$((n + 4096)); done; rm "$1/fill"; echo $n'

# bats test_tags=smoke
@test "a job has 1 MB of workspace without uploads, and the same on top of its uploads" {
    [ "$(output sh -c "$room" sh /work)" = 1048576 ]
    mkdir "$BATS_TEST_TMPDIR/up"
    head -c 3000000 /dev/urandom >"$BATS_TEST_TMPDIR/up/big"
    printf '#!/bin/sh\necho ran' >"$BATS_TEST_TMPDIR/up/script"
    chmod 750 "$BATS_TEST_TMPDIR/up/script"
    mkdir "$BATS_TEST_TMPDIR/up/dir"
    echo x >"$BATS_TEST_TMPDIR/up/dir/file"
    output --upload-dir="$BATS_TEST_TMPDIR/up" sh -c "$room; stat -c '%n %a %U' big script dir/file; ./script; sha256sum big; echo more >>dir/file; cat dir/file" sh /work >"$BATS_TEST_TMPDIR/out"
    cat "$BATS_TEST_TMPDIR/out"
    read -r n <"$BATS_TEST_TMPDIR/out"
    [ "$n" -ge 1044480 ]
    [ "$n" -le 1056768 ]
    grep -qx 'big 644 nobody' "$BATS_TEST_TMPDIR/out"
    grep -qx 'script 750 nobody' "$BATS_TEST_TMPDIR/out"
    grep -qx ran "$BATS_TEST_TMPDIR/out"
    grep -qx more "$BATS_TEST_TMPDIR/out"
    grep -q "$(sha256sum <"$BATS_TEST_TMPDIR/up/big" | cut -d' ' -f1)" "$BATS_TEST_TMPDIR/out"
}

@test "a full workspace is ENOSPC in the job and nothing else" {
    run output sh -c 'head -c 2000000 /dev/zero >/work/big; echo $?; echo still here'
    [[ "$output" == *"No space left on device"* && "$output" == *"still here"* ]] # in whatever order
}

@test "a job whose memory would not do for its uploads has them on the disk" {
    head -c 20000000 /dev/urandom >"$BATS_TEST_TMPDIR/big"
    [ "$(output --max-memory=32 --upload="$BATS_TEST_TMPDIR/big" sh -c 'wc -c <big; echo $?')" = $'20000000\n0' ]
}

# What is left of workspaces on disk: mounts and loop devices of this instance.
remains() { grep " $I/jobs/" /proc/self/mountinfo; losetup -nO BACK-FILE 2>/dev/null | grep "^$I/jobs/"; }
none_remains() { ! remains >/dev/null; }
log_has() { rnx job log --no-follow "$1" | grep -q "$2"; }

@test "more than 64 MB of uploads are a file system of their own with the same quota, gone with the job" {
    head -c 70000000 /dev/urandom >"$BATS_TEST_TMPDIR/big"
    truncate -s 3M "$BATS_TEST_TMPDIR/zeros"
    mkdir -p "$BATS_TEST_TMPDIR/up/dir/empty"
    mv "$BATS_TEST_TMPDIR/big" "$BATS_TEST_TMPDIR/zeros" "$BATS_TEST_TMPDIR/up"
    printf '#!/bin/sh\necho ran' >"$BATS_TEST_TMPDIR/up/dir/script"
    chmod 750 "$BATS_TEST_TMPDIR/up/dir/script"
    output --upload-dir="$BATS_TEST_TMPDIR/up" sh -c "$room; stat -c '%n %a %U' . big dir/empty dir/script; dir/script; sha256sum big
        head -c 5000000 /dev/zero >x 2>/dev/null || echo full; rm x
        head -c 3145728 /dev/urandom | dd of=zeros conv=notrunc status=none && echo written; ls; grep ' /work ' /proc/self/mountinfo" sh /work >"$BATS_TEST_TMPDIR/out"
    cat "$BATS_TEST_TMPDIR/out"
    read -r n <"$BATS_TEST_TMPDIR/out"
    [ "$n" -ge $((1 << 20)) ]
    [ "$n" -le $(((1 << 20) + 131072)) ] # the room of the zeros is theirs
    for line in '. 700 nobody' 'big 644 nobody' 'dir/empty 755 nobody' 'dir/script 750 nobody' ran full written; do
        grep -qx -- "$line" "$BATS_TEST_TMPDIR/out"
    done
    [ "$(sed -n '/^written$/,/ /p' "$BATS_TEST_TMPDIR/out" | sed '1d;$d' | tr '\n' ' ')" = "big dir zeros " ]
    grep ' /work ' "$BATS_TEST_TMPDIR/out" | grep -E ' rw,.*nosuid.*nodev|nodev.*nosuid' | grep -q ' ext4 '
    grep -q "$(sha256sum <"$BATS_TEST_TMPDIR/up/big" | cut -d' ' -f1)" "$BATS_TEST_TMPDIR/out"
    until_true 10 none_remains
}

# mkfs.ext4 -d looks through a directory for each new name in it: 14 s for these on an idle machine.
@test "20000 files in one directory are copied in a second or two" {
    mkdir -p "$BATS_TEST_TMPDIR/up/dir"
    (cd "$BATS_TEST_TMPDIR/up/dir" && seq 20000 | split -l 1 -a 4 - file-)
    id=$(job --upload-dir="$BATS_TEST_TMPDIR/up" sh -c 'ls dir | wc -l; cat dir/* | sort -n | sha256sum; stat -c "%a %U" dir/file-aaaa')
    ended "$id"
    rnx job log "$id" >"$BATS_TEST_TMPDIR/out"
    diff - "$BATS_TEST_TMPDIR/out" <<<"20000"$'\n'"$(seq 20000 | sha256sum)"$'\n'"644 nobody"
    took=$(($(date -d "$(field "$id" startTime)" +%s%N) - $(date -d "$(field "$id" createdTime)" +%s%N)))
    echo "$((took / 1000000)) ms"
    [ "$took" -lt 10000000000 ]
    # a stop ends it in the middle
    id=$(job --upload-dir="$BATS_TEST_TMPDIR/up" sh -c 'echo began')
    until_true 20 test -e "$I/jobs/$id/workfs/data/dir"
    rnx job stop "$id"
    until_true 10 is_ended "$id"
    until_true 10 none_remains
}

@test "a workspace on disk outlives kill -9 of joblet, before and after the job has begun, and goes with the job" {
    head -c 70000000 /dev/urandom >"$BATS_TEST_TMPDIR/big"
    id=$(job --upload="$BATS_TEST_TMPDIR/big" sh -c 'sha256sum big; sleep 600')
    kill -KILL "$(joblet_pid)"
    until_true 20 answers
    until_true 30 has_status "$id" RUNNING || { rnx job status "$id"; instance_log; false; }
    [ -n "$(remains)" ]
    until_true 10 test ! -e "$I/jobs/$id/up" # once the job runs, and no sooner
    kill -KILL "$(joblet_pid)"
    until_true 20 answers
    until_true 20 log_has "$id" "$(sha256sum <"$BATS_TEST_TMPDIR/big" | cut -d' ' -f1)"
    rnx job stop "$id"
    until_true 10 none_remains
    # its directory was removed while nobody looked at it
    id=$(job --upload="$BATS_TEST_TMPDIR/big" true)
    rnx job stop "$id" || true
    until_true 30 is_ended "$id"
    until_true 10 none_remains
    until_true 10 sh -c "[ ! -e '$I/jobs/$id' ]"
}

@test "a job with a volume has no quota on its workspace" {
    rnx volume create data --size=4MB
    [ "$(output --volume=data sh -c 'head -c 5000000 /dev/zero >/work/big && wc -c </work/big; stat -c "%a %U" /work')" = $'5000000\n700 nobody' ]
    rnx volume remove data
}

@test "/tmp and /var/tmp have their size, or the one asked for" {
    [ "$(output --tmp-size=1MB sh -c "$room" sh /tmp)" = 1048576 ]
    [ "$(output --tmp-size=1MB sh -c "$room" sh /var/tmp)" = 1048576 ]
    output sh -c 'head -c 60000000 /dev/zero >/tmp/a'
    run output sh -c 'head -c 70000000 /dev/zero >/tmp/a'
    [[ "$output" == *"No space left on device"* ]]
}

@test "what a job writes over its uploads goes into its copy alone" {
    echo mine >"$BATS_TEST_TMPDIR/file"
    id=$(job --upload="$BATS_TEST_TMPDIR/file" sh -c 'echo changed >file; echo written; sleep 600')
    until_true 10 log_has "$id" written
    [ "$(cat "$I/jobs/$id/work/file")" = mine ]
    rnx job stop "$id"
}
