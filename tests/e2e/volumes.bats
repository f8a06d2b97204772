#!/usr/bin/env bats
# Volumes: both kinds, their size, who may do what, jobs that share one, and what a kill -9 leaves.

load lib.bash

setup_file() { instance_new --set joblet.stopGrace=1s && instance_start; }

volumes_end() {
    rnx job list --json | jq -r '.[] | select(.status | IN("COMPLETED", "FAILED", "STOPPED", "CANCELED", "TIMEOUT") | not) | .id' | xargs -r -n 1 rnx job stop >/dev/null
    rnx volume list --json | jq -r '.volumes[].name' | xargs -r -n 1 rnx volume remove >/dev/null
}
teardown_file() {
    local bad=0
    volumes_end
    [ -z "$(ls -A "$I/volumes")" ] || { ls -AR "$I/volumes" >&2; bad=1; }
    instance_end || bad=1
    return $bad
}
teardown() { volumes_end; }

loops() { losetup -l -n -O BACK-FILE 2>/dev/null | grep -c "$I/volumes"; }
mounts() { grep -c " $I/volumes/" /proc/self/mountinfo; }

# memory volumes need Linux 6.3 where jobs have host ids of their own
needs_memory() {
    rnx volume create probe --size=1MB --type=memory >"$BATS_TEST_TMPDIR/out" 2>&1 && rnx volume remove probe && return
    grep -q 'Linux 6.3' "$BATS_TEST_TMPDIR/out" || { cat "$BATS_TEST_TMPDIR/out"; return 1; }
    skip "this kernel can't idmap a tmpfs"
}

# bats test_tags=smoke
@test "a volume of type filesystem: made, written by one job, read by the next, removed" {
    run -0 rnx volume create mydata --size=64MB
    [[ "$output" == "Volume created successfully:"*"Name: mydata"*"Size: 64MB"*"Type: filesystem"*"Path: $I/volumes/mydata/data"*"--volume=mydata"* ]]
    output --volume=mydata sh -c 'echo kept >/volumes/mydata/file; stat -c "%a %U" /volumes/mydata; id -un' >"$BATS_TEST_TMPDIR/out"
    diff - "$BATS_TEST_TMPDIR/out" <<<$'755 nobody\nnobody'
    [ "$(output --volume=mydata cat /volumes/mydata/file)" = kept ]
    run -0 rnx volume list
    [[ "$output" == *NAME*SIZE*TYPE*CREATED*mydata*64MB*filesystem* ]]
    rnx volume list --json | jq -e '.volumes | length == 1 and .[0].name == "mydata" and .[0].used_bytes > 0 and .[0].job_count == 0 and (.[0].created_time | startswith("20"))'
    [ "$(mounts)" = 1 ]
    grep " $I/volumes/mydata/data " /proc/self/mountinfo | grep -q 'nosuid,nodev'
    run -0 rnx volume remove mydata
    [ "$output" = "Volume 'mydata' removed successfully" ]
    [ "$(mounts)" = 0 ]
    [ "$(loops)" = 0 ]
    [ ! -e "$I/volumes/mydata" ]
    run -0 rnx volume list
    [ "$output" = "No volumes found" ]
    [ "$(rnx volume list --json | jq -c .)" = '{"volumes":[]}' ]
}

@test "a bare command is looked for in the volumes, after the work directory" {
    rnx volume create tools --size=4MB
    output --volume=tools sh -c 'printf "#!/bin/sh\necho of the volume\n" >/volumes/tools/backup.sh'
    [ "$(output --volume=tools:ro backup.sh)" = "of the volume" ]
}

# bats test_tags=smoke
@test "its size holds: a job that writes more gets ENOSPC, and nobody else is the worse for it" {
    rnx volume create small --size=8MB
    run output --volume=small sh -c 'head -c 20000000 /dev/zero >/volumes/small/big; stat -c %s /volumes/small/big; rm /volumes/small/big; echo again >/volumes/small/file'
    [[ "$output" == *"No space left on device"* ]]
    size=$(grep -xE '[0-9]+' <<<"$output")
    echo "$size bytes"
    [ "$size" -ge 8388608 ]
    [ "$size" -lt 8600000 ]
    [ "$(output --volume=small cat /volumes/small/file)" = again ]
}

# What the monitor says of a volume's size.
shown() {
    rnx monitor status --json |
        jq -e --arg v "$1" --argjson n "$2" '.disksInfo.disks | any(.name == $v and .size >= $n and .size < $n * 1.05)'
}

@test "all of its size is for files, whatever its file system needs itself" {
    for size in 1 10 100; do
        rnx volume create "of-$size" --size="${size}MB"
        run output --volume="of-$size" sh -c 'cd /volumes/*; cat /dev/zero >big; stat -c %s big'
        n=$(grep -xE '[0-9]+' <<<"$output")
        echo "$size MB: $n"
        [ "$n" -ge $((size << 20)) ]
        [ "$n" -lt $(((size << 20) * 105 / 100)) ]
        rnx volume list | grep -q " ${size}MB "
        until_true 10 shown "of-$size" $((size << 20))
        rnx volume remove "of-$size"
    done
}

@test "a memory volume: shared by jobs, its size holds, half of the memory at most" {
    needs_memory
    rnx volume create scratch --size=4MB --type=memory
    output --volume=scratch sh -c 'echo here >/volumes/scratch/file'
    [ "$(output --volume=scratch cat /volumes/scratch/file)" = here ]
    run output --volume=scratch sh -c 'head -c 5000000 /dev/zero >/volumes/scratch/big'
    [[ "$output" == *"No space left on device"* ]]
    run -1 rnx volume create huge --size=8TB --type=memory
    [[ "$output" == *"half of the memory"* ]]
    [ "$(mounts)" = 1 ]
}

@test "several jobs at once, and read-only for one of them" {
    rnx volume create shared --size=16MB
    a=$(job --volume=shared sh -c 'echo one >/volumes/shared/a; while [ ! -e /volumes/shared/b ]; do sleep 0.1; done; cat /volumes/shared/b')
    b=$(job --volume=shared:rw sh -c 'while [ ! -e /volumes/shared/a ]; do sleep 0.1; done; echo two >/volumes/shared/b')
    [ "$(ended "$a")" = "COMPLETED 0" ]
    [ "$(ended "$b")" = "COMPLETED 0" ]
    [ "$(rnx job log "$a")" = two ]
    run output --volume=shared:ro sh -c 'cat /volumes/shared/a; echo no >/volumes/shared/c'
    [[ "$output" == *one* && "$output" == *"Read-only file system"* ]]
    id=$(job --volume=shared:ro true)
    ended "$id"
    [ "$(field "$id" 'volumes[0]')" = shared:ro ]
    run -0 rnx job status "$id"
    [[ "$output" == *Volumes*shared:ro* ]]
}

@test "two volumes by a list with a comma; twice the same is refused" {
    rnx volume create one --size=4MB
    rnx volume create two --size=4MB
    [ "$(output --volume=one,two ls /volumes | tr '\n' ' ')" = "one two " ]
    run rnx job run --volume=one --volume=one:ro true
    [ "$status" -ne 0 ]
    [[ "$output" == *"twice"* ]] || { echo "$output"; false; }
}

@test "programs with the set-user-id bit and devices are nothing in a volume" {
    rnx volume create plain --size=4MB
    output --volume=plain sh -c 'grep " /volumes/plain " /proc/self/mountinfo' | grep nosuid | grep nodev
}

@test "what is refused, and how it is said" {
    run -1 rnx job run --volume=nobody-made-this true
    [[ "$output" == *"volume 'nobody-made-this' not found"* ]]
    for bad in ../x a/b .hidden x. -x x- "a b" "$(printf 'n%.0s' {1..64})"; do
        run rnx volume create --size=1MB -- "$bad"
        [ "$status" -ne 0 ] || { echo "taken: $bad"; false; }
        run client 'print(code_of(c.volume.CreateVolume, pb.CreateVolumeRequest(name=args[0], size="1MB")))' "$bad"
        echo "$output" | grep -q INVALID_ARGUMENT || { echo "$bad: $output"; false; }
        run client 'print(code_of(c.job.RunJob, pb.RunJobRequest(command="true", volumes=[args[0]])))' "$bad"
        echo "$output" | grep -q INVALID_ARGUMENT || { echo "$bad: $output"; false; }
    done
    for bad in "" 0 10 -1MB 1XB 512KB 999999999TB; do
        run rnx volume create badsize --size="$bad"
        [ "$status" -ne 0 ] || { echo "taken: $bad"; false; }
    done
    run -2 rnx volume create x
    [[ "$output" == *--size* ]]
    run rnx volume create x --size=1MB --type=floppy
    [[ "$output" == *"neither filesystem nor memory"* ]]
    run -1 rnx volume create toolarge --size=15TB
    [[ "$output" == *"free"* ]]
    run -1 rnx volume remove nobody-made-this
    [[ "$output" == *"not found"* ]]
    rnx volume create there --size=1MB
    run -1 rnx volume create there --size=1MB
    [[ "$output" == *"exists already"* ]]
    [ "$(rnx volume list --json | jq -r '.volumes[].name')" = there ]
}

# Sparse as they are, two of them fit where their contents do not.
@test "volumes together are promised no more than the disk has" {
    keeper_stop
    mount -t tmpfs -o size=72m,mode=0711 jl-volumes "$I/volumes"
    instance_start
    rnx volume create first --size=40MB
    run -1 rnx volume create second --size=40MB
    echo "$output"
    [[ "$output" =~ has\ ([0-9]+)\ MiB\ free.*may\ still\ take\ ([0-9]+)\ MiB.*takes\ ([0-9]+)\ MiB ]]
    [ "${BASH_REMATCH[1]}" -gt 60 ]
    [ "${BASH_REMATCH[2]}" -gt 40 ]
    [ "${BASH_REMATCH[2]}" -le 48 ]
    [ "${BASH_REMATCH[3]}" -ge 46 ]
    output --volume=first sh -c 'head -c 16000000 /dev/urandom >/volumes/first/file; sync /volumes/first'
    rnx volume create second --size=12MB # what is written is promised no more
    rnx volume remove first
    rnx volume create third --size=40MB
    volumes_end
    keeper_stop
    umount "$I/volumes"
    instance_start
}

@test "roles: readers list, maintainers create, admins remove" {
    for role in reader developer; do
        run as $role rnx volume create x --size=1MB
        [[ "$output" == *"is not allowed to perform operation create_volume"* ]]
    done
    as maintainer rnx volume create kept --size=1MB
    as reader rnx volume list | grep -q kept
    run as maintainer rnx volume remove kept
    [[ "$output" == *"role maintainer is not allowed to perform operation remove_volume"* ]]
    rnx volume remove kept
}

@test "a volume that a running, pending or scheduled job uses stays" {
    rnx volume create busy --size=4MB
    running=$(job --volume=busy sleep 600)
    scheduled=$(job --volume=busy:ro --schedule=1h true)
    run -1 rnx volume remove busy
    [[ "$output" == *"in use by 2 jobs"* ]]
    rnx volume list --json | jq -e '.volumes[0].job_count == 2'
    rnx job stop "$running"
    run -1 rnx volume remove busy
    [[ "$output" == *"in use by 1 job "* ]]
    rnx job cancel "$scheduled"
    rnx volume remove busy
}

@test "a restart, and a restart after both mounts were lost, find volumes and data again" {
    rnx volume create lasting --size=8MB
    output --volume=lasting sh -c 'echo data >/volumes/lasting/file'
    keeper_stop
    instance_start
    [ "$(output --volume=lasting cat /volumes/lasting/file)" = data ]
    keeper_stop
    umount "$I/volumes/lasting/data"
    until_true 20 eval '[ "$(loops)" = 0 ]' # somebody's mount namespace may hold it for a moment
    instance_start
    [ "$(mounts)" = 1 ]
    [ "$(output --volume=lasting cat /volumes/lasting/file)" = data ]
}

@test "what was unmounted behind joblet's back takes no job's data" {
    rnx volume create loose --size=8MB
    umount "$I/volumes/loose/data"
    run -1 rnx job run --volume=loose true
    [[ "$output" == *"volume 'loose' is not mounted"* ]]
}

@test "a creation whose file system can't be made fails, and leaves nothing" {
    mkdir "$I/volumes/foreign"
    run -1 rnx volume create foreign --size=4MB
    [[ "$output" == *"no volume that joblet knows"* ]]
    [ -d "$I/volumes/foreign" ]
    rmdir "$I/volumes/foreign"
    rnx volume create foreign --size=4MB
}

# Finds "making" or "removing" interrupted anywhere: a row without its directory and the other way.
@test "kill -9 at any moment of creation and removal: all there or nothing there" {
    for i in $(seq 1 12); do
        timeout 20 rnx volume create v$i --size=$((4 + i))MB >/dev/null 2>&1 &
        maker=$!
        sleep 0.0$((i % 10))
        kill -KILL "$(joblet_pid)"
        wait $maker || true
        until_true 20 answers
        rnx volume list --json | jq -r '.volumes[].name' >"$BATS_TEST_TMPDIR/names"
        ls "$I/volumes" >"$BATS_TEST_TMPDIR/dirs"
        diff "$BATS_TEST_TMPDIR/names" "$BATS_TEST_TMPDIR/dirs"
        [ "$(mounts)" = "$(wc -l <"$BATS_TEST_TMPDIR/names")" ]
        for name in $(cat "$BATS_TEST_TMPDIR/names"); do
            timeout 20 rnx volume remove "$name" >/dev/null 2>&1 &
            maker=$!
            sleep 0.00$((i % 10))
            kill -KILL "$(joblet_pid)"
            wait $maker || true
            until_true 20 answers
            rnx volume list --json | jq -r '.volumes[].name' >"$BATS_TEST_TMPDIR/names"
            ls "$I/volumes" >"$BATS_TEST_TMPDIR/dirs"
            diff "$BATS_TEST_TMPDIR/names" "$BATS_TEST_TMPDIR/dirs"
        done
    done
    volumes_end
    [ "$(mounts)" = 0 ] && [ "$(loops)" = 0 ]
}
