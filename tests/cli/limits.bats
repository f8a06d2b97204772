#!/usr/bin/env bats
# Control groups: limits as the kernel has them, limits as they are felt, and what stays after.

load lib.bash

setup_file() { file_setup; }
teardown_file() { file_teardown; }
setup() { job_setup; }
teardown() { job_teardown; }

# limited FILTER: a container with those linux.resources, waiting.
limited() {
    bundle '.linux.resources += '"$1" sleep 1000
    create
}

# kernel V1-CONTROLLER V1-FILE V2-FILE: what the kernel has, whichever this host is.
kernel() {
    if [ "$(cgroup_mode)" = v2 ]; then cgroup_file "$1" "$3"; else cgroup_file "$1" "$2"; fi
}
on_v2() { [ "$(cgroup_mode)" = v2 ]; }
v1_only() { ! on_v2 || skip "this host has cgroup v2"; }
v2_only() { on_v2 || skip "this host has cgroup v1"; }

# bats test_tags=smoke
@test "the memory limit is the kernel's" {
    limited '{memory: {limit: 67108864}}'
    equals "$(kernel memory memory.limit_in_bytes memory.max)" 67108864
}

# bats test_tags=smoke
@test "memory over the limit kills who takes it, and the others live on" {
    # One process alone takes memory while the shell waits for it: were there more, the kernel
    # would be free to kill them as well until the first has given its memory back.
    bundle '.linux.resources += {memory: {limit: 33554432, swap: 33554432}}' \
        sh -c 'tail -c 90000000 /dev/zero; echo "after $?"'
    try
    equals "$output" "after 137"
    nothing_left
}

@test "memory over the limit that kills the program ends run with 137" {
    bundle '.linux.resources += {memory: {limit: 33554432, swap: 33554432}}' tail -c 90000000 /dev/zero
    try
    equals "$status" 137
    nothing_left
}

@test "memory under the limit is given" {
    bundle '.linux.resources += {memory: {limit: 67108864, swap: 67108864}}' \
        sh -c 'head -c 20000000 /dev/zero | tail -c 20000000 | wc -c'
    try
    equals "$output" 20000000
}

@test "swap is limited together with memory" {
    if on_v2; then
        [ -n "$(find /sys/fs/cgroup -name memory.swap.max)" ] || skip "this kernel accounts no swap"
    else
        [ -e "$(cgroup_dir memory /)/memory.memsw.limit_in_bytes" ] || skip "this kernel accounts no swap"
    fi
    limited '{memory: {limit: 67108864, swap: 100663296}}'
    if on_v2; then
        equals "$(cgroup_file memory memory.swap.max)" 33554432
    else
        equals "$(cgroup_file memory memory.memsw.limit_in_bytes)" 100663296
    fi
}

@test "a swap limit below the memory limit is refused" {
    bundle '.linux.resources += {memory: {limit: 67108864, swap: 33554432}}' true
    try
    [ "$status" -ne 0 ]
    contains "${stderr,,}" sw # memory.memsw, as runc calls it
    nothing_left
}

@test "the memory reservation is the kernel's" {
    limited '{memory: {limit: 67108864, reservation: 33554432}}'
    equals "$(kernel memory memory.soft_limit_in_bytes memory.low)" 33554432
}

@test "no memory limit is no limit" {
    limited '{memory: {limit: -1}}'
    if on_v2; then
        equals "$(cgroup_file memory memory.max)" max
    else
        [ "$(cgroup_file memory memory.limit_in_bytes)" -gt 1000000000000000 ]
    fi
}

# bats test_tags=smoke
@test "quota and period of cpu time are the kernel's" {
    limited '{cpu: {quota: 50000, period: 200000}}'
    if on_v2; then
        equals "$(cgroup_file cpu cpu.max)" "50000 200000"
    else
        equals "$(cgroup_file cpu cpu.cfs_quota_us)" 50000
        equals "$(cgroup_file cpu cpu.cfs_period_us)" 200000
    fi
}

@test "a quota below the kernel's least is refused" {
    bundle '.linux.resources += {cpu: {quota: 10, period: 100000}}' true
    try
    [ "$status" -ne 0 ]
    contains "$stderr" cpu
    nothing_left
}

@test "cpu shares are the kernel's" {
    limited '{cpu: {shares: 512}}'
    if on_v2; then
        # 59 by the formula of 2025, 20 by that before
        [[ $(cgroup_file cpu cpu.weight) =~ ^(59|20)$ ]]
    else
        equals "$(cgroup_file cpu cpu.shares)" 512
    fi
}

@test "cpu shares of 0 are none, as engines write them" {
    bundle '.linux.resources += {cpu: {shares: 0, quota: 0, period: 0}, memory: {limit: 0, swap: 0, reservation: 0}, blockIO: {weight: 0}}' echo well
    try
    equals "$output" well
}

@test "the limit of processes is the kernel's" {
    limited '{pids: {limit: 33}}'
    equals "$(cgroup_file pids pids.max)" 33
}

# bats test_tags=smoke
@test "processes over the limit are not made" {
    bundle '.linux.resources += {pids: {limit: 6}}' \
        sh -c 'for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; echo not reached'
    try
    contains "$stderr" "can't fork"
    [[ $output != *"not reached"* ]]
    nothing_left
}

@test "a limit of processes of -1 is none" {
    limited '{pids: {limit: -1}}'
    equals "$(cgroup_file pids pids.max)" max
}

@test "cpus and memory nodes are the kernel's" {
    limited '{cpu: {cpus: "0", mems: "0"}}'
    equals "$(cgroup_file cpuset cpuset.cpus)" 0
    equals "$(cgroup_file cpuset cpuset.mems)" 0
    equals "$(awk '/^Cpus_allowed_list/ { print $2 }' "/proc/$(container_pid)/status")" 0
}

@test "cpus that the host does not have are refused" {
    bundle '.linux.resources += {cpu: {cpus: "0,1000"}}' true
    try
    [ "$status" -ne 0 ]
    contains "$stderr" cpu
    nothing_left
}

@test "a list of cpus that is none is refused" {
    bundle '.linux.resources += {cpu: {cpus: "0-,x"}}' true
    try
    [ "$status" -ne 0 ]
    nothing_left
}

@test "rates of disks are the kernel's" {
    local disk
    disk=$(lsblk -dno MAJ:MIN,TYPE 2>/dev/null | awk '$2 == "disk" { print $1; exit }')
    [ -n "$disk" ] || skip "no disk here"
    limited '{blockIO: {throttleReadBpsDevice: [{major: '"${disk%:*}"', minor: '"${disk#*:}"', rate: 1048576}],
        throttleWriteIOPSDevice: [{major: '"${disk%:*}"', minor: '"${disk#*:}"', rate: 200}]}}'
    if on_v2; then
        equals "$(cgroup_file io io.max)" "$disk rbps=1048576 wbps=max riops=max wiops=200"
    else
        equals "$(cgroup_file blkio blkio.throttle.read_bps_device)" "$disk 1048576"
        equals "$(cgroup_file blkio blkio.throttle.write_iops_device)" "$disk 200"
    fi
}

@test "a file of the unified hierarchy is written" {
    v2_only
    limited '{unified: {"pids.max": "44", "memory.high": "33554432"}}'
    equals "$(cgroup_file pids pids.max)" 44
    equals "$(cgroup_file memory memory.high)" 33554432
}

@test "a file of the unified hierarchy is refused where there is none" {
    v1_only
    bundle '.linux.resources += {unified: {"memory.high": "33554432"}}' true
    try
    [ "$status" -ne 0 ]
    contains "$stderr" unified
    nothing_left
}

@test "a limit that this kernel does not have is refused by name" {
    not_runc "1.1 may pass over it"
    bundle '.linux.resources += {hugepageLimits: [{pageSize: "3MB", limit: 3145728}]}' true
    try
    [ "$status" -ne 0 ]
    contains "${stderr,,}" huge
    contains "$stderr" 3MB
    nothing_left
}

# bats test_tags=smoke
@test "annotations set memory.high and memory.oom.group" {
    not_runc "has other annotations"
    if ! on_v2; then
        bundle '.annotations = {"io.joblet.memory.high": "32MB"}' true
        try
        [ "$status" -ne 0 ]
        contains "$stderr" memory.high
        nothing_left
        return
    fi
    bundle '.annotations = {"io.joblet.memory.high": "32MB", "io.joblet.memory.oom.group": "true"}' sleep 1000
    create
    equals "$(cgroup_file memory memory.high)" 33554432
    equals "$(cgroup_file memory memory.oom.group)" 1
}

@test "rdma resources of a device that is not there are refused by its name" {
    not_runc "1.1 may pass over it"
    bundle '.linux.resources += {rdma: {no_such_hca: {hcaHandles: 3}}}' true
    try
    [ "$status" -ne 0 ]
    contains "$stderr" rdma
    nothing_left
}

@test "a network class is refused where there is no such controller" {
    not_runc "1.1 may pass over it"
    [ -z "$(cgroup_dir net_cls)" ] || on_v2 || skip "this host has net_cls"
    bundle '.linux.resources += {network: {classID: 1048577}}' true
    try
    [ "$status" -ne 0 ]
    contains "$stderr" net_cls
    nothing_left
}

@test "realtime bandwidth is refused where the kernel does not divide it" {
    on_v2 || [ ! -e "$(cgroup_dir cpu /)/cpu.rt_runtime_us" ] || skip "this kernel does"
    bundle '.linux.resources += {cpu: {realtimeRuntime: 950000, realtimePeriod: 1000000}}' true
    try
    [ "$status" -ne 0 ]
    contains "$stderr" realtime
    nothing_left
}

@test "kernel memory is limited where the kernel still does, else refused" {
    not_runc "passes over it"
    bundle '.linux.resources += {memory: {limit: 67108864, kernelTCP: 1048576}}' sleep 1000
    if [ -e "$(cgroup_dir memory /)/memory.kmem.tcp.limit_in_bytes" ]; then
        create
        equals "$(cgroup_file memory memory.kmem.tcp.limit_in_bytes)" 1048576
        return
    fi
    try
    [ "$status" -ne 0 ]
    contains "$stderr" "kernel memory"
    nothing_left
}

@test "the program is in its group from the start" {
    bundle '.linux.resources += {pids: {limit: 33}}' cat /proc/self/cgroup
    try
    equals "$(grep -c ":$cgroup\$" <<<"$output")" "$(wc -l <<<"$output")"
}

@test "a relative path of the group is below one of the runtime's choice and goes with the container" {
    bundle '.linux.cgroupsPath = "joblet-test-rel-'$$'"' sleep 1000
    create
    run find $(cgroup_mounts) -maxdepth 3 -name "joblet-test-rel-$$"
    [ -n "$output" ]
    rt delete --force "$id"
    run find $(cgroup_mounts) -maxdepth 3 -name "joblet-test-rel-$$"
    equals "$output" ""
}

@test "dots in the path of the group lead nowhere else" {
    bundle '.linux.cgroupsPath = "/../../" + .linux.cgroupsPath' echo ran
    try
    nothing_left
    [ "$output" = ran ] || contains "$stderr" cgroup
}

@test "groups below the container's go with it" {
    limited '{pids: {limit: 33}}'
    mkdir -p "$(cgroup_dir pids)/below/deeper" "$(cgroup_dir memory)/below"
    rt delete --force "$id"
    nothing_left
}

@test "delete ends what runs in a group below the container's" {
    not_runc "1.1 leaves it"
    limited '{pids: {limit: 33}}'
    local dir
    sleep 1001 &
    pids+=($!)
    for dir in $(cgroup_dirs); do
        mkdir "$dir/below"
        [ ! -e "$dir/cpuset.cpus" ] || on_v2 || cp "$dir/cpuset.cpus" "$dir/cpuset.mems" "$dir/below"
        echo $! >"$dir/below/cgroup.procs"
    done
    rt delete --force "$id"
    until_true has_ended $!
    nothing_left
}

@test "a group in which somebody is already is refused" {
    not_runc "1.1 only warns"
    mkdir -p "$(cgroup_dir pids)"
    sleep 1000 &
    pids+=($!)
    echo $! >"$(cgroup_dir pids)/cgroup.procs"
    bundle . true
    try
    [ "$status" -ne 0 ]
    contains "$stderr" "$cgroup"
    kill -0 "${pids[0]}" # and spared
}

@test "groups are removed when run ends" {
    bundle '.linux.resources += {memory: {limit: 67108864}, pids: {limit: 33}}' echo ran
    try
    equals "$output" ran
    nothing_left
}

@test "no resources at all run" {
    bundle 'del(.linux.resources)' echo well
    try
    equals "$output" well
    nothing_left
}

@test "limits hold in a user namespace" {
    bundle 'userns | .linux.resources += {memory: {limit: 67108864}, pids: {limit: 33}}' sleep 1000
    create
    equals "$(kernel memory memory.limit_in_bytes memory.max)" 67108864
    equals "$(cgroup_file pids pids.max)" 33
    contains "$(cgroup_file pids cgroup.procs)" "$(container_pid)"
}

@test "a container that is refused the group of another leaves that one alive" {
    not_runc "1.1 only warns"
    bundle . sleep 1000
    detach
    run --separate-stderr rt run --bundle "$bundle" second
    [ "$status" -ne 0 ]
    contains "$stderr" "$cgroup"
    is_status running
    kill -0 "$(container_pid)"
    [ ! -e "$root/second" ]
    rt delete --force "$id"
    nothing_left
}

@test "delete of an ended container spares who took its empty group" {
    not_runc "kills whoever is in the group"
    bundle . true
    detach
    until_true is_status stopped
    bundle . sleep 1000
    detached rt run --detach --bundle "$bundle" second
    rt kill --all "$id" KILL
    rt delete "$id"
    rt state second | jq -e '.status == "running"'
    rt delete --force second
    nothing_left
}

@test "delete after a run that was killed at the group of another spares that one" {
    not_runc "has other records"
    mkdir -p "$(cgroup_dir pids)"
    sleep 1000 &
    pids+=($!)
    echo $! >"$(cgroup_dir pids)/cgroup.procs"
    bundle . true
    mkdir -p "$root/$id" # the record as it is before the group is made
    printf '{"version":1,"id":"%s","bundle":"%s","cgroup":"%s","ownPidNamespace":true,"configBytes":0}\n' \
        "$id" "$bundle" "${cgroup#/}" >"$root/$id/record"
    rt delete --force "$id"
    [ ! -e "$root/$id" ]
    kill -0 "${pids[0]}"
    [ -d "$(cgroup_dir pids)" ]
}

# bats test_tags=smoke
@test "without control groups nothing is made, and limits are refused" {
    not_runc "has no such option"
    bundle . sh -c 'cat /proc/self/cgroup'
    run --separate-stderr rt --cgroup-manager disabled run --bundle "$bundle" "$id"
    equals "$status" 0
    [[ $output != *"$cgroup"* ]]
    bundle '.linux.resources += {pids: {limit: 33}}' true
    run --separate-stderr rt --cgroup-manager disabled run --bundle "$bundle" "$id"
    [ "$status" -ne 0 ]
    contains "$stderr" --cgroup-manager
    run --separate-stderr rt --cgroup-manager other run --bundle "$bundle" "$id"
    [ "$status" -ne 0 ]
    nothing_left
}

# bats test_tags=smoke
@test "the group of a writable cgroup mount is its user's, and a read-only one's is not" {
    not_runc "1.1 looks at the user namespace alone"
    v2_only
    local mine='userns | .linux.namespaces += [{type: "cgroup"}] | .process.user = {uid: 5, gid: 5}
        | .mounts += [mount("/sys/fs/cgroup"; "cgroup"; "cgroup"; ["nosuid"])]'
    bundle "$mine" sleep 1000
    create
    equals "$(stat -c %u "$(cgroup_dir pids)")" 100005
    equals "$(stat -c %u "$(cgroup_dir pids)/cgroup.procs")" 100005
    equals "$(stat -c %u "$(cgroup_dir pids)/pids.max")" 0
    rt delete --force "$id"
    bundle "$mine"' | .mounts[-1].options += ["ro"]' sleep 1000
    create
    equals "$(stat -c %u "$(cgroup_dir pids)/cgroup.procs")" 0
}
