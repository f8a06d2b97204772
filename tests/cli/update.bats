#!/usr/bin/env bats
# update: other limits for a container that is there; all of them or none.

load lib.bash

setup_file() { file_setup; }
teardown_file() { file_teardown; }
setup() { job_setup; }
teardown() { job_teardown; }

# limited [FILTER]: a running container with linux.resources
limited() {
    bundle '.linux.resources += '"${1:-{\}}" sleep 1000
    detach
}
kernel() {
    if [ "$(cgroup_mode)" = v2 ]; then cgroup_file "$1" "$3"; else cgroup_file "$1" "$2"; fi
}
on_v2() { [ "$(cgroup_mode)" = v2 ]; }
memory() { kernel memory memory.limit_in_bytes memory.max; }
pids() { cgroup_file pids pids.max; }
update() { rt update "$@" "$id"; }
refuses() { # refuses TEXT ARG...
    local text=$1
    shift
    run --separate-stderr update "$@"
    [ "$status" -ne 0 ] || { echo "was not refused" >&2; return 1; }
    contains "$stderr" "$text"
}

# bats test_tags=smoke
@test "limits from a file, in one word and from standard input" {
    limited '{memory: {limit: 67108864}, pids: {limit: 30}}'
    echo '{"memory": {"limit": 33554432}, "pids": {"limit": 40}}' >"$BATS_TEST_TMPDIR/r"
    update --resources="$BATS_TEST_TMPDIR/r"
    equals "$(memory) $(pids)" "33554432 40"
    echo '{"memory": {"limit": 50331648}, "pids": {"limit": -1}}' | update --resources -
    equals "$(memory) $(pids)" "50331648 max"
    echo '{"cpu": {"shares": 0, "quota": 0}, "memory": {"limit": 0}}' | update -r -
    equals "$(memory)" 50331648
}

# bats test_tags=smoke
@test "limits from options" {
    limited '{memory: {limit: 67108864}, cpu: {quota: 50000, period: 100000}}'
    update --memory 96M --memory-reservation 16M --pids-limit 20 --cpu-share 512 --cpu-quota 60000 --cpu-period 200000
    equals "$(memory) $(pids)" "100663296 20"
    equals "$(kernel memory memory.soft_limit_in_bytes memory.low)" 16777216
    if on_v2; then
        equals "$(cgroup_file cpu cpu.max)" "60000 200000"
    else
        equals "$(cgroup_file cpu cpu.cfs_quota_us) $(cgroup_file cpu cpu.cfs_period_us)" "60000 200000"
        equals "$(cgroup_file cpu cpu.shares)" 512
    fi
}

# bats test_tags=smoke
@test "memory and swap are raised and lowered together, in either order" {
    if on_v2; then
        limited '{memory: {limit: 67108864, swap: 134217728}}'
        [ -e "$(cgroup_dir memory)/memory.swap.max" ] || skip "this kernel accounts no swap"
        swap() { cgroup_file memory memory.swap.max; }
        update --memory 256M --memory-swap 512M
        equals "$(memory) $(swap)" "268435456 268435456"
        update --memory 32M --memory-swap 32M
        equals "$(memory) $(swap)" "33554432 0"
        update --memory-swap 64M
        equals "$(memory) $(swap)" "33554432 33554432"
        update --memory=-1 --memory-swap=-1
        equals "$(memory) $(swap)" "max max"
    else
        [ -e "$(cgroup_dir memory /)/memory.memsw.limit_in_bytes" ] || skip "this kernel accounts no swap"
        limited '{memory: {limit: 67108864, swap: 67108864}}'
        swap() { cgroup_file memory memory.memsw.limit_in_bytes; }
        update --memory 256M --memory-swap 512M
        equals "$(memory) $(swap)" "268435456 536870912"
        update --memory 32M --memory-swap 32M
        equals "$(memory) $(swap)" "33554432 33554432"
        update --memory-swap 64M
        equals "$(memory) $(swap)" "33554432 67108864"
        update --memory=-1 --memory-swap=-1
        [ "$(memory)" -gt 1000000000000000 ]
        [ "$(swap)" -gt 1000000000000000 ]
    fi
}

@test "-1 is unlimited" {
    limited '{memory: {limit: 67108864}, pids: {limit: 30}, cpu: {quota: 50000, period: 100000}}'
    update --memory -1 --pids-limit=-1 --cpu-quota -1
    equals "$(pids)" max
    if on_v2; then
        equals "$(memory) $(cgroup_file cpu cpu.max)" "max max 100000"
    else
        [ "$(memory)" -gt 1000000000000000 ]
        equals "$(cgroup_file cpu cpu.cfs_quota_us)" -1
    fi
}

@test "cpus and memory nodes" {
    limited
    update --cpuset-cpus 0 --cpuset-mems 0
    equals "$(cgroup_file cpuset cpuset.cpus) $(cgroup_file cpuset cpuset.mems)" "0 0"
}

@test "burst and idle" {
    not_runc "1.1 has no such options"
    limited '{cpu: {quota: 50000, period: 100000}}'
    [ -e "$(cgroup_dir cpu)/cpu.idle" ] || skip "this kernel has no cpu.idle"
    update --cpu-burst 10000
    equals "$(kernel cpu cpu.cfs_burst_us cpu.max.burst)" 10000
    update --cpu-idle 1
    equals "$(cgroup_file cpu cpu.idle)" 1
}

# bats test_tags=smoke
@test "when one can't be had, the others are put back" {
    not_runc "leaves what it wrote before"
    limited '{memory: {limit: 67108864}, pids: {limit: 30}, cpu: {quota: 50000, period: 100000}}'
    local before after
    before="$(memory) $(pids) $(kernel cpu cpu.cfs_quota_us cpu.max)"
    # 10 us is below the kernel's least, which only it knows
    refuses "nothing was changed" --memory 32M --pids-limit 40 --cpuset-cpus 0 --cpu-quota 10
    contains "$stderr" cpu
    after="$(memory) $(pids) $(kernel cpu cpu.cfs_quota_us cpu.max)"
    equals "$after" "$before"
}

@test "a group that uses more than the new limit keeps the old ones" {
    not_runc "has no such check"
    bundle '.linux.resources += {memory: {limit: 134217728}, pids: {limit: 30}}
        | .mounts += [mount("/mnt"; "tmpfs"; "tmpfs"; [])]' \
        sh -c 'head -c 60000000 /dev/zero >/mnt/x; echo full >/work/full; sleep 1000'
    detach
    until_true test -s "$bundle/rootfs/work/full"
    echo '{"pids": {"limit": 40}, "memory": {"limit": 16777216, "checkBeforeUpdate": true}}' >"$BATS_TEST_TMPDIR/r"
    refuses checkBeforeUpdate --resources "$BATS_TEST_TMPDIR/r"
    equals "$(memory) $(pids)" "134217728 30"
    is_status running
}

@test "what is wrong is refused before anything is changed" {
    limited '{memory: {limit: 67108864}, pids: {limit: 30}}'
    refuses "" --pids-limit 40 --cpuset-cpus '0-,x'
    equals "$(pids)" 30
    not_runc "changes first, or does not look"
    refuses --memory --pids-limit 40 --memory lots
    refuses out\ of\ range --blkio-weight 70000
    refuses swap --pids-limit 40 --memory 64M --memory-swap 32M
    refuses nothing
    equals "$(memory) $(pids)" "67108864 30"
}

@test "resources that are no JSON, or of the wrong type, are refused" {
    limited '{pids: {limit: 30}}'
    echo '{"pids": {"limit": 4' >"$BATS_TEST_TMPDIR/r"
    refuses "" --resources "$BATS_TEST_TMPDIR/r"
    echo '{"pids": {"limit": "many"}}' >"$BATS_TEST_TMPDIR/r"
    refuses "pids" --resources "$BATS_TEST_TMPDIR/r"
    refuses /no/such/file --resources /no/such/file
    equals "$(pids)" 30
}

@test "a controller that this host has not is refused, and nothing is changed" {
    not_runc "1.1 passes over it"
    limited '{pids: {limit: 30}}'
    echo '{"pids": {"limit": 40}, "hugepageLimits": [{"pageSize": "3MB", "limit": 3145728}]}' >"$BATS_TEST_TMPDIR/r"
    refuses 3MB --resources "$BATS_TEST_TMPDIR/r"
    equals "$(pids)" 30
}

@test "kernel memory is a warning" {
    not_runc "1.1 knows no such option any more"
    limited
    run --separate-stderr update --kernel-memory 64M --pids-limit 40
    equals "$status" 0
    contains "$stderr" warning
    equals "$(pids)" 40
}

@test "an l3 schema without intelRdt is refused" {
    limited
    refuses "" --l3-cache-schema "L3:0=f"
    refuses "" --mem-bw-schema "MB:0=20"
    refuses "" --mem-bw-schema "L3:0=f"
}

@test "created and paused containers are updated, ended ones are not" {
    bundle . sleep 1000
    create
    update --pids-limit 40
    equals "$(pids)" 40
    rt start "$id"
    rt pause "$id"
    update --pids-limit 41
    equals "$(pids)" 41
    is_status paused
    rt kill "$id" KILL
    rt resume "$id" 2>/dev/null || true
    until_true is_status stopped
    not_runc "updates the dead"
    refuses "container not running" --pids-limit 42
}

@test "update of what is not there says so" {
    run rt update --pids-limit 4 nobody
    equals "$status" 1
    contains "$output" "does not exist"
}

@test "update needs neither HOME nor PATH" {
    limited
    env -i XDG_RUNTIME_DIR= "$runtime" --root "$root" update --pids-limit 17 "$id"
    equals "$(pids)" 17
}
