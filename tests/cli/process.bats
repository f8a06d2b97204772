#!/usr/bin/env bats
# How the process is scheduled, on which processors and memory nodes, and for which architecture:
# scheduler, ioPriority, execCPUAffinity, memoryPolicy, personality. All of it read from the kernel.

load lib.bash

setup_file() { file_setup; }
teardown_file() { file_teardown; }
setup() { job_setup; }
teardown() { job_teardown; }

# Fields of /proc/self/stat, proc(5): 19 nice, 40 real-time priority, 41 policy.
schedule='cut -d" " -f19,40,41 /proc/self/stat'
cpus='grep Cpus_allowed_list: /proc/self/status | cut -f2'

running() {
    bundle "${1:-.}" sleep 1000
    detach
}
# process FILTER ARG...: a file for --process.
process() {
    local filter=$1
    shift
    jq -n '{terminal: false, user: {uid: 0, gid: 0}, args: $ARGS.positional, cwd: "/", env: ["PATH=/bin"]} | '"$filter" \
        --args -- "$@" >"$BATS_TEST_TMPDIR/process.json"
}
in_it() { run --separate-stderr rt exec "$@"; }
two_cpus() {
    all=$(sh -c "$cpus")
    [[ $all == 0-* ]] || skip "not on processor 0 and 1: $all"
}

# bats test_tags=smoke
@test "process.scheduler sets policy, nice and priority" {
    bundle '.process.scheduler = {policy: "SCHED_BATCH", nice: 7}' sh -c "$schedule"
    try
    equals "$status" 0
    equals "$output" "7 0 3"
    bundle '.process.scheduler = {policy: "SCHED_IDLE"}' sh -c "$schedule"
    try
    equals "$output" "$(nice) 0 5"
}

# bats test_tags=smoke
@test "process.scheduler gives a real-time priority, and the flag that children do not have it" {
    bundle '.process.scheduler = {policy: "SCHED_RR", priority: 3, flags: ["SCHED_FLAG_RESET_ON_FORK"]}' sleep 1000
    detach || { grep -q "EPERM\|not permitted" "$BATS_TEST_TMPDIR/err" && skip "no real-time share in this group"; }
    run chrt -p "$(container_pid)"
    contains "$output" "SCHED_RR|SCHED_RESET_ON_FORK"
    contains "$output" "priority: 3"
}

@test "process.scheduler SCHED_DEADLINE has its times" {
    bundle '.process.scheduler = {policy: "SCHED_DEADLINE", runtime: 1000000, deadline: 20000000, period: 40000000,
        flags: ["SCHED_FLAG_RESET_ON_FORK"]}' sleep 1000
    detach || { grep -q "EPERM\|not permitted" "$BATS_TEST_TMPDIR/err" && skip "no deadlines for this group"; }
    run chrt -p "$(container_pid)"
    contains "$output" "1000000/20000000/40000000"
}

@test "process.scheduler and ioPriority hold in a user namespace too" {
    bundle 'userns | .process.scheduler = {policy: "SCHED_OTHER", nice: -3}
        | .process.ioPriority = {class: "IOPRIO_CLASS_RT", priority: 6}' sleep 1000
    detach
    run cut -d" " -f19,41 "/proc/$(container_pid)/stat"
    equals "$output" "-3 0"
    run ionice -p "$(container_pid)"
    equals "$output" "realtime: prio 6"
}

@test "a scheduler that the kernel does not have is refused with the reason" {
    bundle '.process.scheduler = {policy: "SCHED_ISO"}' true
    try
    equals "$status" 1
    contains "$stderr" "process.scheduler"
    contains "$stderr" "this kernel has no SCHED_ISO"
    nothing_left
}

@test "process.ioPriority is that of the process" {
    bundle '.process.ioPriority = {class: "IOPRIO_CLASS_BE", priority: 5}' sleep 1000
    detach
    run ionice -p "$(container_pid)"
    equals "$output" "best-effort: prio 5"
    in_it "$id" ionice
    contains "$output" "prio 5"
}

@test "exec has the scheduling of its own process" {
    not_runc "1.1 knows none"
    running '.process.scheduler = {policy: "SCHED_BATCH", nice: 4}'
    in_it "$id" sh -c "$schedule"
    equals "$output" "4 0 3"
    process '.scheduler = {policy: "SCHED_OTHER", nice: 9}' sh -c "$schedule"
    in_it --process "$BATS_TEST_TMPDIR/process.json" "$id"
    equals "$output" "9 0 0"
    process . sh -c "$schedule"
    in_it --process "$BATS_TEST_TMPDIR/process.json" "$id"
    equals "$output" "$(nice) 0 0"
}

# bats test_tags=smoke
@test "an inherited binding to processors is not handed down" {
    two_cpus
    bundle . sh -c "$cpus; exec sleep 1000"
    detached taskset -c 0 "$runtime" --root "$root" run --bundle "$bundle" --detach "$id" 3>&- 4>&-
    until_true said "$all"
    run taskset -c 0 "$runtime" --root "$root" exec "$id" sh -c "$cpus" 3>&- 4>&-
    equals "$output" "$all"
}

@test "the cpuset holds for what starts on no processor of it" {
    two_cpus
    bundle '.linux.resources.cpu.cpus = "1"' sh -c "$cpus"
    run taskset -c 0 "$runtime" --root "$root" run --bundle "$bundle" "$id" 3>&- 4>&-
    equals "$output" 1
}

# bats test_tags=smoke
@test "execCPUAffinity.final binds what exec starts, and nothing else" {
    two_cpus
    running '.process.execCPUAffinity = {final: "1"}'
    run sh -c "grep Cpus_allowed_list: /proc/$(container_pid)/status | cut -f2"
    equals "$output" "$all"
    in_it "$id" sh -c "$cpus"
    equals "$output" 1
    process '.execCPUAffinity = {final: "0"}' sh -c "$cpus"
    in_it --process "$BATS_TEST_TMPDIR/process.json" "$id"
    equals "$output" 0
}

@test "execCPUAffinity.initial holds until the group is joined" {
    two_cpus
    running
    process '.execCPUAffinity = {initial: "0"}' sh -c "$cpus; exec sleep 1000"
    detached rt exec --detach --pid-file "$BATS_TEST_TMPDIR/pid" --process "$BATS_TEST_TMPDIR/process.json" "$id"
    until_true said "$all"
    [ -n "$(cgroup_dirs)" ]
    grep -qx "$(cat "$BATS_TEST_TMPDIR/pid")" $(cgroup_dirs | sed 's,$,/cgroup.procs,')
    # The one that waits for its end stays there.
    "$runtime" --root "$root" exec --process "$BATS_TEST_TMPDIR/process.json" "$id" </dev/null \
        >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- 4>&- &
    pids+=($!)
    until_true said "$all"
    equals "$(grep Cpus_allowed_list: "/proc/$!/status" | cut -f2)" 0
}

@test "execCPUAffinity that cannot be had in full is refused" {
    two_cpus
    running '.linux.resources.cpu.cpus = "1"'
    process '.execCPUAffinity = {final: "0-1"}' true
    in_it --process "$BATS_TEST_TMPDIR/process.json" "$id"
    equals "$status" 255
    contains "$stderr" "execCPUAffinity.final '0-1'"
    contains "$stderr" "only 1 of 2"
    process '.execCPUAffinity = {final: "0"}' true
    in_it --process "$BATS_TEST_TMPDIR/process.json" "$id"
    equals "$status" 255
    contains "$stderr" "the cpuset allows none of them"
    process '.execCPUAffinity = {initial: "8000"}' true
    in_it --process "$BATS_TEST_TMPDIR/process.json" "$id"
    equals "$status" 255
    contains "$stderr" "execCPUAffinity.initial '8000'"
}

# bats test_tags=smoke
@test "linux.memoryPolicy is the process's, and that of what exec starts" {
    [ -e /proc/self/numa_maps ] || skip "a kernel without memory nodes"
    running '.linux.memoryPolicy = {mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_STATIC_NODES"]}'
    run head -n 1 "/proc/$(container_pid)/numa_maps"
    contains "$output" " bind=static:0 "
    in_it "$id" head -n 1 /proc/self/numa_maps
    contains "$output" " bind=static:0 "
}

@test "linux.memoryPolicy that cannot be had is refused" {
    [ -e /proc/self/numa_maps ] || skip "a kernel without memory nodes"
    bundle '.linux.memoryPolicy = {mode: "MPOL_BIND", nodes: "1000"}' true
    try
    equals "$status" 1
    contains "$stderr" "linux.memoryPolicy"
    contains "$stderr" "/sys/devices/system/node/online"
    nothing_left
}

# bats test_tags=smoke
@test "linux.personality LINUX32 is seen by uname, in exec too" {
    [ "$(uname -m)" = x86_64 ] || skip "a processor with other names"
    running '.linux.personality = {domain: "LINUX32"}'
    equals "$(cat "/proc/$(container_pid)/personality")" 00000008
    in_it "$id" uname -m
    equals "$output" i686
    bundle '.linux.personality = {domain: "LINUX"}' uname -m
    rt delete --force "$id"
    try
    equals "$output" x86_64
}

@test "a nice value that can have no effect is warned about" {
    bundle '.process.scheduler = {policy: "SCHED_IDLE"} | .process.ioPriority = {class: "IOPRIO_CLASS_IDLE", priority: 2}' true
    try
    equals "$status" 0
    contains "$stderr" "process.ioPriority.priority has no effect"
}
