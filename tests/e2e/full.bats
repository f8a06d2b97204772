#!/usr/bin/env bats
# Disks without space or inodes, descriptors that have run out, a database that somebody locks: jobs
# wait and say for what, none is lost, and none runs twice. Each test has an instance of its own, on
# file systems that it makes.

load lib.bash

setup() { I= MNT=; }
teardown() {
    rm -rf "$I"/filler* "$I"/*/filler*
    answers || { keeper_stop && instance_start; } || true
    instance_stop_jobs
    keeper_stop
    for m in $MNT; do umount -l "$m"; done
    rm -f "$I.img"
    instance_end
}

instance_stop_jobs() {
    rnx job list --json | jq -r '.[] | select(.status | IN("PENDING", "RUNNING", "STOPPING")) | .id' |
        xargs -r -n 1 timeout 20 rnx job stop >/dev/null 2>&1 || true
    until_true 10 no_shims
    rnx volume list --json | jq -r '.volumes[].name' | xargs -r -n 1 rnx volume remove >/dev/null
}

# on_tmpfs SIZE DIRECTORY: of the instance.
on_tmpfs() {
    mkdir -p "$I/$2"
    mount -t tmpfs -o "size=$1,mode=0755" none "$I/$2"
    MNT="$MNT $I/$2"
}

# To the last block.
fill() {
    dd if=/dev/zero of="$1/filler" bs=4k 2>/dev/null || true
    dd if=/dev/zero of="$1/filler2" bs=1 count=4096 2>/dev/null || true
}

waits_for() { field "$1" reason | grep -q "^waits: .*$2"; }
is_zombie_or_gone() { [ ! -e "/proc/$1" ] || grep -q '^State:.[ZX]' "/proc/$1/status"; }
logged() { rnx job log --no-follow "$1" 2>/dev/null | grep -q "$2"; }

# kill -9 of joblet; COMMAND before it is started again.
crash() {
    local pid
    pid=$(joblet_pid)
    kill -STOP "$(cat "$I/run/keeper")"
    kill -KILL "$pid"
    until_true 10 is_zombie_or_gone "$pid"
    "$@"
    kill -CONT "$(cat "$I/run/keeper")"
    until_true 20 answers
}

@test "a job that could not be stored as started has not started: it runs once" {
    instance_new --set joblet.maxConcurrentJobs=1
    on_tmpfs 2m state
    instance_start
    rnx volume create v --size=8MB
    first=$(job sleep 1000)
    job=$(job --volume=v sh -c 'echo run >>/volumes/v/runs; exit 7')
    fill "$I/state"
    rnx job stop "$first" >/dev/null 2>&1 3>&- &
    until_true 20 waits_for "$job" "state database"
    has_status "$job" PENDING
    crash rm -f "$I/state/filler" "$I/state/filler2"
    [ "$(ended "$job")" = "FAILED 7" ]
    [ "$(cat "$I/volumes/v/data/runs")" = run ]
}

@test "... and without a crash it runs when there is room again" {
    instance_new --set joblet.maxConcurrentJobs=1
    on_tmpfs 2m state
    instance_start
    first=$(job sleep 1000)
    job=$(job sh -c 'exit 7')
    fill "$I/state"
    rnx job stop "$first" >/dev/null 2>&1 3>&- &
    until_true 20 waits_for "$job" "state database"
    rm -f "$I"/state/filler*
    [ "$(ended "$job")" = "FAILED 7" ]
    [ "$(ended "$first" | cut -d' ' -f1)" = STOPPED ]
}

@test "a full disk for jobs makes the queue wait: nothing fails, all runs when there is room" {
    instance_new
    on_tmpfs 4m jobs
    instance_start
    fill "$I/jobs"
    for n in 1 2 3 4; do jobs[n]=$(job echo hello); done
    until_true 10 waits_for "${jobs[1]}" "No space left on device"
    rnx job cancel "${jobs[2]}"
    rnx job stop "${jobs[3]}"
    has_status "${jobs[2]}" CANCELED
    has_status "${jobs[3]}" CANCELED
    has_status "${jobs[1]}" PENDING
    has_status "${jobs[4]}" PENDING
    [ "$(grep -c 'job.start job=' "$I/logs/joblet.log")" -lt 10 ] # it does not try without a pause
    rm -f "$I"/jobs/filler*
    [ "$(ended "${jobs[1]}")" = "COMPLETED 0" ]
    [ "$(ended "${jobs[4]}")" = "COMPLETED 0" ]
    [ "$(rnx job log "${jobs[4]}")" = hello ]
}

@test "another program that holds the database's write lock delays nobody" {
    instance_new --set joblet.maxConcurrentJobs=2
    instance_start
    for n in 1 2 3 4; do job sleep 1 >/dev/null; done
    mkfifo "$I/locked" "$I/go"
    $py -c '
import sqlite3, sys
d = sqlite3.connect(sys.argv[1] + "/state/joblet.db", isolation_level=None)
d.execute("BEGIN IMMEDIATE")
open(sys.argv[1] + "/locked", "w").close()
open(sys.argv[1] + "/go").close()
d.execute("ROLLBACK")' "$I" 3>&- &
    cat "$I/locked"
    run -1 rnx job run true
    [[ $output == *"can't store jobs at the moment"* ]]
    run -1 rnx volume create v --size=8MB
    [[ $output == *"locked"* && $output != *"internal error"* ]]
    slowest=0
    for n in $(seq 20); do # ends and starts of jobs fall into this time
        from=$(date +%s%N)
        rnx job list >/dev/null
        took=$((($(date +%s%N) - from) / 1000000))
        [ $took -le $slowest ] || slowest=$took
        sleep 0.1
    done
    : >"$I/go" # an open is the sign; what is written may find nobody
    [ $slowest -lt 900 ]
    until_true 30 all_completed 4
}

all_completed() { [ "$(rnx job list --json | jq '[.[] | select(.status == "COMPLETED")] | length')" -eq "$1" ]; }

# The instance moves to a small ext4 of its own: on_ext4 [mkfs option...].
on_ext4() {
    truncate -s 40M "$I.img"
    mkfs.ext4 -q -F -m 0 "$@" "$I.img"
    mkdir "$I.m"
    mount -o loop "$I.img" "$I.m"
    cp -a "$I/." "$I.m/"
    mount --move "$I.m" "$I"
    rmdir "$I.m"
    MNT=$I
}

fill_inodes() {
    local i=0
    mkdir "$I/filler.d"
    while : >"$I/filler.d/$i"; do i=$((i + 1)); done 2>/dev/null || true
}

# With a full disk: a crash, and everything but new jobs goes on.
crash_when_full() {
    crash true
    has_status "$job" RUNNING
    run rnx job run --json true
    if [ $status -eq 0 ]; then
        waits_for "$(jq -r .id <<<"$output")" "No space left on device"
    else
        [[ $output == *"can't store jobs at the moment"* ]]
    fi
    rnx job stop "$job"
    has_status "$job" STOPPED
    logged "$job" up
}

@test "after a crash on a disk without space joblet starts, and its jobs are there" {
    instance_new
    on_ext4
    instance_start
    job=$(job sh -c 'echo up; sleep 1000')
    until_true 10 logged "$job" up
    fill "$I"
    crash_when_full
}

@test "... on a disk without inodes" {
    instance_new
    on_ext4 -N 600
    instance_start
    job=$(job sh -c 'echo up; sleep 1000')
    until_true 10 logged "$job" up
    fill_inodes
    crash_when_full
}

soft_limit() { prlimit --pid "$(joblet_pid)" --nofile="$1:"; }

@test "without a descriptor to read an exit record a job is not lost: it is read later" {
    instance_new
    instance_start
    limit=$(prlimit --pid "$(joblet_pid)" --nofile --raw --noheadings --output SOFT)
    job=$(job sleep 1000)
    until_true 10 has_status "$job" RUNNING
    soft_limit 3
    kill -TERM "$(job_pid "$job" sleep)"
    until_true 10 no_shims
    until_true 10 grep -q "job.record.*read later.*Too many open files" "$I/logs/joblet.log"
    has_status "$job" RUNNING
    soft_limit "$limit"
    [ "$(ended "$job")" = "FAILED 143" ]
    [ "$(grep -c 'job.record' "$I/logs/joblet.log")" -eq 1 ]
}

@test "a damaged exit record is not believed, its copy beside the log is" {
    instance_new
    instance_start
    job=$(job sleep 1000)
    until_true 10 has_status "$job" RUNNING
    damage() {
        kill -TERM "$(job_pid "$job" sleep)"
        until_true 10 no_shims
        cp "$I/run/jobs/$job/exit" "$I/logs/$job/exit"
        echo nonsense >"$I/run/jobs/$job/exit"
    }
    crash damage
    [ "$(ended "$job")" = "FAILED 143" ]
}

@test "a supervisor that has no room for its record says so, and the job waits" {
    instance_new
    on_tmpfs 1m run
    instance_start
    fill "$I/run"
    job=$(job --network=none true) # a network wants room there too
    until_true 10 waits_for "$job" "exit record.*No space"
    has_status "$job" PENDING
    rm -f "$I"/run/filler*
    [ "$(ended "$job")" = "COMPLETED 0" ]
}
