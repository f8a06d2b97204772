#!/usr/bin/env bats
# config-linux.md: control groups. What only cgroup v2 has is skipped elsewhere and run in the guest.

load lib.bash

@test "config-linux/cgroups/unfit" {
    works
    local dir
    sleep 1000 3>&- &
    pids+=($!)
    for dir in $(cgroup_mounts); do
        mkdir -p "$dir$cgroup"
        [ ! -e "$dir$cgroup/cpuset.cpus" ] || [ "$(cgroup_mode)" = v2 ] || { # or nobody can be in it
            cat "$dir/cpuset.cpus" >"$dir/$cgroup_parent/cpuset.cpus"; cat "$dir/cpuset.mems" >"$dir/$cgroup_parent/cpuset.mems"
            cat "$dir/cpuset.cpus" >"$dir$cgroup/cpuset.cpus"; cat "$dir/cpuset.mems" >"$dir$cgroup/cpuset.mems"; }
        echo "${pids[0]}" >"$dir$cgroup/cgroup.procs"
    done
    bundle . touch /work/ran
    fails rt run --bundle "$bundle" "$id"
    kill -0 "${pids[0]}"
    [ ! -e "$bundle/rootfs/work/ran" ]
}

# bats test_tags=smoke
@test "config-linux/cgroups/path-absolute" {
    created
    local pid
    pid=$(container_pid)
    contains "$(cat "$(cgroup_dir pids)/cgroup.procs")" "$pid"
}

@test "config-linux/cgroups/path-relative" {
    bundle '.linux.cgroupsPath = "joblet-test-conform-relative"' cat /proc/self/cgroup
    try
    ran 0
    contains "$output" joblet-test-conform-relative
}

@test "config-linux/cgroups/path-consistent" {
    bundle . sh -c 'cut -d: -f2,3 /proc/self/cgroup'
    try
    ran 0
    contains "$output" "$cgroup"
    local first=$output
    try
    equals "$output" "$first"
}

@test "config-linux/cgroups/path-invalid" {
    works
    bundle '.linux.cgroupsPath = "/'"$cgroup_parent"'/../../'"$cgroup_parent"'/x/../../../escape"' cat /proc/self/cgroup
    try
    [ "$status" -ne 0 ] || [[ $output != *..* ]]
    local dir
    for dir in $(cgroup_mounts); do
        [ ! -e "$dir/../escape" ]
        [ ! -e "$(dirname "$dir")/escape" ]
    done
}

writable='.mounts += [mount("/sys/fs/cgroup"; "cgroup"; "cgroup"; ["nosuid", "noexec", "nodev"])]'
readonly='.mounts += [mount("/sys/fs/cgroup"; "cgroup"; "cgroup"; ["nosuid", "noexec", "nodev", "ro"])]'
cgroupns='.linux.namespaces += [{type: "cgroup"}]'
as_user='.process.user = {uid: 10, gid: 10}'
# owned WHOSE: files of the container's group that belong to it.
owned() { find "$(cgroup_dir pids)" -uid "$1" -printf '%f\n' | sort | xargs; }

@test "config-linux/cgroups/ownership-v1" {
    v1_only
    created "userns | $cgroupns | $writable"
    [ -d "$(cgroup_dir pids)" ]
    equals "$(owned 100000)" ""
}

# bats test_tags=smoke
@test "config-linux/cgroups/ownership-changed" {
    v2_only
    created "userns | $cgroupns | $writable | $as_user"
    contains "$(owned 100010)" "cgroup.procs"
    contains "$(owned 100010)" "$id"
}

@test "config-linux/cgroups/ownership-files" {
    v2_only
    created "userns | $cgroupns | $writable | $as_user"
    local file
    for file in $(cat /sys/kernel/cgroup/delegate); do
        [ ! -e "$(cgroup_dir pids)/$file" ] || contains " $(owned 100010) " " $file "
    done
}

@test "config-linux/cgroups/ownership-no-other-file" {
    v2_only
    created "userns | $cgroupns | $writable | $as_user"
    contains "$(owned 100010)" cgroup.procs
    local file
    for file in $(owned 100010); do
        [ "$file" = "$id" ] || grep -qx "$file" /sys/kernel/cgroup/delegate || { echo "$file is the container's"; return 1; }
    done
}

@test "config-linux/cgroups/ownership-readonly" {
    v2_only
    created "userns | $cgroupns | $readonly | $as_user"
    [ -d "$(cgroup_dir pids)" ]
    equals "$(owned 100010)" ""
    rt delete --force "$id"
    created "userns | $cgroupns | $as_user"
    [ -d "$(cgroup_dir pids)" ]
    equals "$(owned 100010)" ""
}

@test "config-linux/cgroups/ownership-no-namespace" {
    v2_only
    created "userns | $writable | $as_user"
    [ -d "$(cgroup_dir pids)" ]
    equals "$(owned 100010)" ""
}

# bats test_tags=smoke
@test "config-linux/device-list/order" {
    local allow='{allow: true, type: "c", major: 1, minor: 99, access: "rw"}'
    try_device() {
        bundle '.linux.devices = [{path: "/dev/x", type: "c", major: 1, minor: 99}] | .linux.resources.devices = ['"$1"']' \
            sh -c 'exec 2>&1; head -c 0 /dev/x && echo opened; :' # there is none
        try
        ran 0
    }
    try_device '{allow: false, access: "rwm"}, '"$allow"
    contains "$output" "No such device"
    try_device '{allow: false, access: "rwm"}, '"$allow"', {allow: false, type: "c", major: 1, minor: 99, access: "rwm"}'
    contains "$output" "not permitted"
    try_device "$allow"', {allow: false, access: "rwm"}'
    contains "$output" "not permitted"
}

@test "config-linux/device-list/unset-is-all" {
    bundle '.linux.devices = [{path: "/dev/x", type: "c", major: 1, minor: 99}]
        | .linux.resources.devices = [{allow: false, access: "rwm"}, {allow: true, type: "c", major: 1, access: "rwm"}]' \
        sh -c 'exec 2>&1; head -c 0 /dev/x && echo opened; :'
    try
    ran 0
    contains "$output" "No such device"
}

@test "config-linux/device-list/values" {
    refused '.linux.resources.devices += [{allow: true, type: "z", access: "rw"}]' '.linux.resources.devices += [{allow: true, type: "c", access: "rwx"}]' \
        '.linux.resources.devices += [{type: "c", major: 1, minor: 3, access: "rw"}]'
}

@test "config-linux/memory/limit" {
    created '.linux.resources.memory = {limit: 67108864, reservation: 33554432}'
    equals "$(kernel memory memory.limit_in_bytes memory.max)" 67108864
    equals "$(kernel memory memory.soft_limit_in_bytes memory.low)" 33554432
}

@test "config-linux/memory/unlimited" {
    created '.linux.resources.memory = {limit: -1}'
    case $(kernel memory memory.limit_in_bytes memory.max) in
    max | 9223372036854771712) ;;
    *) return 1 ;;
    esac
}

@test "config-linux/memory/check-before-update" {
    bundle '.linux.resources.memory = {limit: 134217728}' sh -c 'head -c 40000000 /dev/zero >/dev/shm/x; echo held; exec sleep 1000'
    detach
    until_true said held
    fails rt update --resources - "$id" <<<'{"memory": {"limit": 8388608, "checkBeforeUpdate": true}}'
    equals "$(kernel memory memory.limit_in_bytes memory.max)" 134217728
    is_status running
}

@test "config-linux/cpu/values" {
    created '.linux.resources.cpu = {quota: 50000, period: 100000, cpus: "0", mems: "0"}'
    if [ "$(cgroup_mode)" = v2 ]; then
        equals "$(cgroup_file cpu cpu.max)" "50000 100000"
    else
        equals "$(cgroup_file cpu cpu.cfs_quota_us) $(cgroup_file cpu cpu.cfs_period_us)" "50000 100000"
    fi
    equals "$(cgroup_file cpuset cpuset.cpus) $(cgroup_file cpuset cpuset.mems)" "0 0"
}

@test "config-linux/cpu/burst" {
    created '.linux.resources.cpu = {quota: 50000, period: 100000, burst: 20000}'
    equals "$(kernel cpu cpu.cfs_burst_us cpu.max.burst)" 20000
}

@test "config-linux/cpu/burst-over-quota" {
    refused '.linux.resources.cpu = {quota: 50000, period: 100000, burst: 60000}'
}

@test "config-linux/cpu/idle" {
    created '.linux.resources.cpu = {idle: 1}'
    equals "$(kernel cpu cpu.idle cpu.idle)" 1
}

@test "config-linux/block-io/weight-device" {
    refused '.linux.resources.blockIO = {weightDevice: [{major: 8, minor: 0}]}' '.linux.resources.blockIO = {weightDevice: [{weight: 100}]}' \
        '.linux.resources.blockIO = {throttleReadBpsDevice: [{major: 8, minor: 0}]}'
}

@test "config-linux/huge-pages/limit" {
    local size=2MB dir v1=hugetlb.2MB.rsvd.limit_in_bytes v2=hugetlb.2MB.rsvd.max
    created '.linux.resources.hugepageLimits = [{pageSize: "'$size'", limit: 4194304}]'
    dir=$(cgroup_dir hugetlb)
    [ -n "$dir" ] || dir=/sys/fs/cgroup/unified$cgroup
    equals "$(cat "$dir/$v1" 2>/dev/null || cat "$dir/$v2")" 4194304
}

@test "config-linux/huge-pages/size" {
    refused '.linux.resources.hugepageLimits = [{pageSize: "3MB", limit: 4194304}]' '.linux.resources.hugepageLimits = [{pageSize: "2mb", limit: 1}]' \
        '.linux.resources.hugepageLimits = [{limit: 4194304}]' '.linux.resources.hugepageLimits = [{pageSize: "2MB"}]'
}

@test "config-linux/pids/limit" {
    created '.linux.resources.pids = {limit: 37}'
    equals "$(cgroup_file pids pids.max)" 37
}

@test "config-linux/pids/limit-0" {
    bundle '.linux.resources.pids = {limit: 0}' sh -c 'echo one; (echo two) 2>/dev/null; :'
    detach
    until_true is_status stopped
    equals "$(out)" one
    equals "$(cgroup_file pids pids.max)" 0
}

@test "config-linux/pids/unlimited" {
    created '.linux.resources.pids = {limit: -1}'
    equals "$(cgroup_file pids pids.max)" max
}

@test "config-linux/rdma/at-least-one" {
    refused '.linux.resources.rdma = {mlx5_1: {}}'
}

# bats test_tags=smoke
@test "config-linux/unified/controllers" {
    v2_only
    created '.linux.resources.unified = {"memory.max": "67108864", "pids.max": "21", "cpu.weight": "77"}'
    equals "$(cgroup_file memory memory.max) $(cgroup_file pids pids.max) $(cgroup_file cpu cpu.weight)" "67108864 21 77"
}

@test "config-linux/unified/unknown-written" {
    v2_only
    created '.linux.resources.unified = {"memory.oom.group": "1", "cgroup.max.depth": "3"}'
    equals "$(cgroup_file memory memory.oom.group) $(cgroup_file memory cgroup.max.depth)" "1 3"
    rt delete --force "$id"
    refused '.linux.resources.unified = {"memory.nosuchfile": "1"}'
}

@test "config-linux/unified/no-controller" {
    refused '.linux.resources.unified = {"moon.max": "1"}'
}

@test "config-linux/unified/no-conversion" {
    if [ "$(cgroup_mode)" = v2 ]; then
        refused '.linux.resources.memory = {swappiness: 40}' # v1's alone
    else
        refused '.linux.resources.unified = {"cpu.weight": "100"}'
    fi
}
