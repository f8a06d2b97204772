#!/usr/bin/env bats
# events: statistics in runc's form, and out of memory as it happens.

load lib.bash

setup_file() { file_setup; }
teardown_file() { file_teardown; }
setup() { job_setup; }
teardown() { job_teardown; }

limited() {
    bundle '.linux.resources += {memory: {limit: 67108864, swap: 67108864}, pids: {limit: 30}, cpu: {quota: 50000, period: 100000}}' "$@"
    detach
}
events_behind() {
    "$runtime" --root "$root" events "$@" "$id" >"$BATS_TEST_TMPDIR/events" 2>&1 </dev/null 3>&- 4>&- &
    watcher=$!
    pids+=("$watcher")
}
# Until it has what tells of out of memory: v1's eventfd, memory.events or (runc) inotify.
is_watching() { ls -l "/proc/$watcher/fd" 2>/dev/null | grep -qE 'eventfd\]|memory\.events|inotify'; }
has_events() { [ "$(jq -r .type "$BATS_TEST_TMPDIR/events" 2>/dev/null | grep -cx "$1")" -ge "$2" ]; }

# bats test_tags=smoke
@test "events --stats is one object in runc's form" {
    limited sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 1000; :'
    run rt events --stats "$id"
    equals "$status" 0
    equals "${#lines[@]}" 1
    jq -e --arg id "$id" '.type == "stats" and .id == $id and (.data
        | .memory.usage.limit == 67108864 and .memory.usage.usage > 0 and (.memory.raw | length > 10)
        and .pids.current >= 1 and .pids.limit == 30
        and .cpu.usage.total > 0 and (.cpu.throttling | type == "object")
        and (.cpuset.cpus | type == "array") and (.blkio | type == "object") and (.hugetlb | type == "object"))' <<<"$output"
}

@test "events prints every interval, and ends when the container does" {
    limited sleep 1000
    events_behind --interval 50ms
    until_true has_events stats 3
    rt kill "$id" KILL
    not_runc "1.1 goes on"
    ended "$watcher"
    equals "$status" 0
    jq -se 'all(.type == "stats")' "$BATS_TEST_TMPDIR/events"
}

# bats test_tags=smoke
@test "out of memory is told at once" {
    limited sh -c 'until [ -e /work/go ]; do sleep 0.05; done; tail -c 90000000 /dev/zero; echo killed >/work/done; sleep 1000'
    events_behind --interval 10m
    until_true is_watching
    touch "$bundle/rootfs/work/go"
    until_true test -s "$bundle/rootfs/work/done"
    until_true has_events oom 1
    equals "$(jq -r .id "$BATS_TEST_TMPDIR/events" | sort -u)" "$id"
    rt kill "$id" KILL
    not_runc "1.1 goes on"
    ended "$watcher"
}

@test "out of memory that ends the container is told before events ends" {
    not_runc "may be too late"
    limited sh -c 'until [ -e /work/go ]; do sleep 0.05; done; exec tail -c 90000000 /dev/zero'
    events_behind --interval 10m
    until_true is_watching
    touch "$bundle/rootfs/work/go"
    ended "$watcher"
    has_events oom 1
}

@test "events of what ended, or is not there, is refused; so is an interval of 0" {
    run rt events --stats nobody
    equals "$status" 1
    contains "$output" "does not exist"
    limited true
    until_true is_status stopped
    run rt events --stats "$id"
    equals "$status" 1
    contains "$output" running
    run rt events --interval 0 "$id"
    [ "$status" -ne 0 ]
}
