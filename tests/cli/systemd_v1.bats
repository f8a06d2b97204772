#!/usr/bin/env bats
# The systemd driver where systemd has cgroup v1, with a unified tree beside it (hybrid) or without:
# guests of tests/vm in the modes systemd-hybrid and systemd-v1. systemd makes the group in some
# hierarchies, joblet-run in the others, and the device rules are v1's.

load lib.bash
load systemd.bash

setup_file() { file_setup; }
teardown_file() { file_teardown; }
setup() {
    job_setup
    major=$(stat -c %Hr /dev/vda) || true
    [ -d /run/systemd/system ] && [ "$(cgroup_mode)" = v1 ] || skip "systemd does not run this host, or with cgroup v2"
}
teardown() {
    job_teardown
    [ ! -d /run/systemd/system ] || systemctl stop "joblet-test-$$.scope" 2>/dev/null || true
}

# may_open DEVICE: whether the container may. /dev/disk is the guest's own, which its rules do not
# allow.
may_open() { rt exec "$id" sh -c ": <$1"; }
disk() { echo '.linux.devices = [{path: "/dev/disk", type: "b", major: '"$major"', minor: 0}]'; }
devices() { sort "$(cgroup_dir devices)/devices.list"; }

# in_all_hierarchies PID: but those that no limit needs.
in_all_hierarchies() {
    local line
    while IFS= read -r line; do
        case $line in
        *:rdma:* | *:misc:* | *:net_cls,net_prio:* | *:perf_event:*) continue ;;
        *":$cgroup") ;;
        *) echo "not in $cgroup: $line" >&2; return 1 ;;
        esac
    done <"/proc/$1/cgroup"
}

# bats test_tags=smoke
@test "a scope of systemd's and v1's other hierarchies hold the container, with its limits" {
    scoped '.linux.resources += {memory: {limit: 67108864, swap: 134217728, reservation: 33554432}, pids: {limit: 1},
        cpu: {shares: 512, quota: 51000, period: 100000, cpus: "0"}, hugepageLimits: [{pageSize: "2MB", limit: 4194304}],
        blockIO: {weight: 203}}' sleep 1000
    sd_create
    equals "$(systemctl is-active "$unit")" active
    equals "$(shown ControlGroup) $(shown Slice) $(shown Delegate)" "$cgroup system.slice yes"
    equals "$(shown MemoryLimit) $(shown TasksMax) $(shown CPUShares) $(shown CPUQuotaPerSecUSec)" "67108864 1 512 510ms"
    in_all_hierarchies "$(container_pid)"
    local hierarchy
    for hierarchy in name=systemd pids freezer; do # nobody else: the place was given up
        equals "$(cgroup_file $hierarchy cgroup.procs)" "$(container_pid)"
    done
    equals "$(cgroup_file cpuset cpuset.cpus) $(cgroup_file hugetlb hugetlb.2MB.limit_in_bytes)" "0 4194304"
    equals "$(cgroup_file blkio blkio.bfq.weight)" 203
    systemctl daemon-reload
    equals "$(cgroup_file memory memory.limit_in_bytes) $(cgroup_file memory memory.memsw.limit_in_bytes)" "67108864 134217728"
    equals "$(cgroup_file memory memory.soft_limit_in_bytes) $(cgroup_file pids pids.max)" "33554432 1"
    equals "$(cgroup_file cpu cpu.shares) $(cgroup_file cpu cpu.cfs_quota_us) $(cgroup_file cpu cpu.cfs_period_us)" "512 51000 100000"
    sd delete --force "$id"
    is_gone "$unit"
    nothing_left
}

# bats test_tags=smoke
@test "device rules outlast systemd's next look at its configuration, and an update of them" {
    scoped "$(disk)"' | .linux.resources.devices += [{allow: true, type: "c", major: 10, access: "r"}, {allow: true, type: "b", access: "m"}]' sleep 1000
    sd_create
    rt start "$id"
    equals "$(shown DevicePolicy)" strict
    local before
    before=$(devices)
    contains "$before" "c 1:3 rwm"
    contains "$before" "c 10:* r"
    contains "$before" "b *:* m"
    systemctl daemon-reload
    equals "$(devices)" "$before"
    may_open /dev/null
    run ! may_open /dev/disk
    contains "$output" "not permitted"
    rt --systemd-helper "$(helper)" update --resources - "$id" <<<'{"devices": [{"allow": true, "type": "b", "major": '"$major"', "minor": 0, "access": "r"}]}'
    may_open /dev/disk
    before=$(devices)
    [[ $before != *"c 10:"* ]]
    systemctl daemon-reload
    equals "$(devices)" "$before"
    may_open /dev/disk
    sd delete --force "$id"
    nothing_left
}

@test "a container that may open all devices still may after systemd's next look" {
    scoped "$(disk)"' | .linux.resources.devices = [{allow: true, access: "rwm"}]' sleep 1000
    sd_create
    rt start "$id"
    systemctl daemon-reload
    equals "$(devices)" "a *:* rwm"
    may_open /dev/disk
    sd delete --force "$id"
}

# bats test_tags=smoke
@test "run, exec, update, pause, resume, events and the exit status are as without a unit" {
    scoped . sh -c 'cat /proc/self/cgroup; exit 7'
    run --separate-stderr sd run --bundle "$bundle" "$id"
    equals "$status" 7
    contains "$output" ":name=systemd:$cgroup"
    contains "$output" ":freezer:$cgroup"
    is_gone "$unit"
    nothing_left
    scoped '.linux.resources += {memory: {limit: 67108864}, cpu: {quota: 20000, period: 50000}}' sleep 1000
    detached sd run --detach --bundle "$bundle" "$id"
    contains "$(rt exec "$id" cat /proc/self/cgroup)" ":memory:$cgroup"
    rt --systemd-helper "$(helper)" update --memory 100M --pids-limit 44 --cpu-share 512 --cpu-quota 10000 "$id"
    equals "$(shown MemoryLimit) $(shown TasksMax) $(shown CPUShares) $(shown CPUQuotaPerSecUSec)" "104857600 44 512 200ms"
    systemctl daemon-reload
    equals "$(cgroup_file memory memory.limit_in_bytes) $(cgroup_file pids pids.max)" "104857600 44"
    equals "$(cgroup_file cpu cpu.cfs_quota_us) $(cgroup_file cpu cpu.cfs_period_us)" "10000 50000"
    rt pause "$id"
    is_status paused
    rt resume "$id"
    equals "$(rt events --stats "$id" | jq .data.memory.usage.limit)" 104857600
    equals "$(rt ps --format json "$id")" "[$(container_pid)]"
    rt kill "$id" KILL
    until_true is_status stopped
    until_true is_gone "$unit" # by itself, with what it has; the rest goes with the container
    rt --systemd-helper "$(helper)" delete "$id"
    nothing_left
}

@test "limits of one process and of none hold in a scope on v1" {
    scoped '.linux.resources += {pids: {limit: 1}}' sleep 1000
    sd_create
    equals "$(cgroup_file pids pids.max) $(shown TasksMax)" "1 1"
    sd delete --force "$id"
    scoped '.linux.resources += {pids: {limit: 0}}' sleep 1000
    sd_create
    equals "$(cgroup_file pids pids.max)" 0
    sd delete --force "$id"
}

# bats test_tags=smoke
@test "create that is killed at any group it makes leaves what delete --force removes" {
    local n killed=0
    scoped . sleep 1000
    # Kills joblet-run when it makes its nth directory; the first is the root of all records.
    for n in 2 3 4 5 6 7 8 9 10; do
        ! detached strace -qq -o /dev/null -e trace=mkdir,mkdirat -e inject=mkdir,mkdirat:signal=KILL:when=$n \
            "$runtime" --root "$root" --systemd-cgroup --systemd-helper "$(helper)" create --bundle "$bundle" "$id" 3>&- 4>&- || break
        sd delete --force "$id"
        until_true is_gone "$unit"
        nothing_left
        killed=$((killed + 1))
    done
    [ "$killed" -ge 3 ] # of them in freezer, cpuset and hugetlb
    is_status created
    sd delete --force "$id"
    nothing_left
}

# bats test_tags=smoke
@test "who is in a group of the unit's name that systemd does not know is found, named and spared" {
    scoped . sleep 1000
    local dir
    dir=$(cgroup_dir freezer)
    mkdir -p "$dir"
    sleep 1000 3>&- 4>&- &
    pids+=($!)
    echo $! >"$dir/cgroup.procs"
    run --separate-stderr sd run --bundle "$bundle" "$id"
    [ "$status" -ne 0 ]
    contains "$stderr" "process $! (sleep) is inside"
    kill -0 $!
    [ ! -e "$root/$id" ]
    until_true is_gone "$unit"
    equals "$(cgroup_dirs)" "$dir"
}

@test "what can't be had on v1 is refused with the fix" {
    scoped '.linux.resources.devices = [{allow: true, access: "rwm"}, {allow: false, type: "b", major: 8, access: "rwm"}]' true
    run --separate-stderr sd run --bundle "$bundle" "$id"
    [ "$status" -ne 0 ]
    contains "$stderr" "all devices but some are allowed"
    contains "$stderr" "list what is allowed"
    nothing_left
    scoped . true
    run --separate-stderr env _CONTAINERS_ROOTLESS_UID=1000 "$runtime" --root "$root" --systemd-cgroup --systemd-helper "$(helper)" \
        run --bundle "$bundle" "$id" 3>&- 4>&-
    [ "$status" -ne 0 ]
    contains "$stderr" "an ordinary user's needs cgroup v2 alone"
    nothing_left
}

# bats test_tags=smoke
@test "without the driver root's container has a group of its own, and device rules, too" {
    bundle "$(disk)" sleep 1000 # asks for no limit
    detach
    in_all_hierarchies "$(container_pid)"
    run ! may_open /dev/disk
    rt delete --force "$id"
    nothing_left
}

@test "a container in a scope is checkpointed, and restored into a new scope with its limits" {
    local images=$BATS_TEST_TMPDIR/images
    scoped '.linux.resources += {memory: {limit: 134217728}} | .mounts += [mount("/work"; "bind"; $tmp; ["rbind"])]' \
        sh -c 'i=0; while :; do i=$((i + 1)); echo $i >/work/count; sleep 0.05; done'
    detached sd run --detach --bundle "$bundle" "$id"
    until_true test -s "$BATS_TEST_TMPDIR/count"
    sd checkpoint --image-path "$images" "$id" || { tail -n 20 "$images/dump.log" >&2; false; }
    until_true is_status stopped
    sd delete "$id"
    until_true is_gone "$unit"
    local before
    before=$(cat "$BATS_TEST_TMPDIR/count")
    before=${before:-0} # emptied, and not written again yet
    detached sd restore --detach --bundle "$bundle" --image-path "$images" "$id" ||
        { cat "$BATS_TEST_TMPDIR/err" >&2; tail -n 20 "$images/restore.log" >&2; false; }
    equals "$(systemctl is-active "$unit")" active
    equals "$(shown MemoryLimit) $(cgroup_file memory memory.limit_in_bytes)" "134217728 134217728"
    in_all_hierarchies "$(container_pid)"
    until_true has_counted_on "$before"
    sd delete --force "$id"
    until_true is_gone "$unit"
    nothing_left
}
has_counted_on() {
    local now
    now=$(cat "$BATS_TEST_TMPDIR/count") && [ "${now:-0}" -gt "$1" ]
}
