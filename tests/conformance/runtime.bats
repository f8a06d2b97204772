#!/usr/bin/env bats
# runtime.md: state, lifecycle, operations. What it says of hooks is in hooks.bats.

load lib.bash

# schema: of schema/state-schema.json, what a state must be.
schema='(.ociVersion | test("^[0-9]+\\.[0-9]+\\.[0-9]+")) and (.id | type == "string")
    and (.status | IN("creating", "created", "running", "stopped"))
    and (.pid == null or (.pid | type == "number" and . >= 0 and . == floor)) and (.bundle | startswith("/"))
    and (.annotations == null or (.annotations | type == "object" and all(.[]; type == "string")))'

@test "runtime/state/required" {
    created
    rt state "$id" | json --arg id "$id" --arg bundle "$bundle" '.ociVersion and .id == $id and .status == "created" and .pid > 0 and .bundle == $bundle'
    kill -0 "$(container_pid)"
    rt start "$id"
    rt state "$id" | json '.status == "running" and .pid > 0'
}

@test "runtime/state/schema" {
    created '.annotations = {a: "b"}'
    rt state "$id" | json "$schema"
    rt start "$id"
    rt state "$id" | json "$schema"
    rt kill "$id" KILL
    until_true is_status stopped
    rt state "$id" | json "$schema"
}

@test "runtime/state/bundle-absolute" {
    bundle . sleep 1000
    (cd "$BATS_TEST_TMPDIR" && detached rt create --bundle b "$id")
    equals "$(container_state bundle)" "$bundle"
}

@test "runtime/state/no-id" { works; fails rt state; }
@test "runtime/state/unknown" { works; fails rt state nobody; }

@test "runtime/create/no-id" { works; bundle . true; fails rt create --bundle "$bundle"; }
@test "runtime/create/no-bundle" {
    works
    mkdir "$BATS_TEST_TMPDIR/empty"
    cd "$BATS_TEST_TMPDIR/empty"
    fails rt create "$id"
    fails rt create --bundle "$BATS_TEST_TMPDIR/nothing" "$id"
    nothing_left
}

# bats test_tags=smoke
@test "runtime/create/id-unique" {
    running
    local pid
    pid=$(container_pid)
    bundle . touch /work/ran
    fails rt create --bundle "$bundle" "$id"
    equals "$(container_pid)" "$pid"
    is_status running
}

@test "runtime/create/id-valid" {
    works
    bundle . touch /work/ran
    local bad
    for bad in "" a/b ../x . .. "a b"; do
        fails rt create --bundle "$bundle" "$bad" </dev/null
    done
    [ ! -d "$root" ] || [ -z "$(ls -A "$root")" ]
}

@test "runtime/create/properties" {
    created '.hostname = "made" | .linux.resources.pids = {limit: 41} | .linux.sysctl = {"kernel.msgmax": "9999"}
        | .mounts += [mount("/mnt"; "tmpfs"; "tmpfs"; [])] | .linux.devices = [{path: "/dev/x", type: "c", major: 1, minor: 3}]
        | .root.readonly = true'
    local pid
    pid=$(container_pid)
    equals "$(cgroup_file pids pids.max)" 41
    equals "$(nsenter -t "$pid" -u hostname)" made
    equals "$(stat -f -c %T "/proc/$pid/root/mnt")" tmpfs
    [ -c "/proc/$pid/root/dev/x" ]
    contains "$(awk '$5 == "/" { print "," $6 "," }' "/proc/$pid/mountinfo")" ,ro,
    equals "$(nsenter -t "$pid" -i -m cat /proc/sys/kernel/msgmax 2>/dev/null || cat "/proc/$pid/root/proc/sys/kernel/msgmax")" 9999
}

@test "runtime/create/program-not-run" {
    bundle . touch /work/ran
    create
    is_status created
    sleep 0.2 # the program would have had the time
    [ ! -e "$bundle/rootfs/work/ran" ]
    rt start "$id"
    until_true test -e "$bundle/rootfs/work/ran"
}

@test "runtime/create/impossible" {
    refused '.mounts += [mount("/mnt"; "bind"; "/no/such/source"; ["bind"])]' '.linux.sysctl = {"kernel.no_such_thing": "1"}' \
        '.process.args = ["/no/such/program"]' 'ns("network") | .linux.namespaces += [{type: "network", path: "/no/such/ns"}]'
}

@test "runtime/create/config-changed-later" {
    bundle . sh -c 'echo first >/work/out'
    create
    bundle '.hostname = "other"' sh -c 'echo second >/work/out'
    rt start "$id"
    until_true is_status stopped
    equals "$(cat "$bundle/rootfs/work/out")" first
}

@test "runtime/create/without-process" {
    bundle 'del(.process)' true
    create
    is_status created
}

@test "runtime/errors/nothing-left" {
    works
    local before
    before=$(cat /proc/self/mountinfo)
    refused '.mounts += [mount("/mnt"; "tmpfs"; "tmpfs"; []), mount("/mnt/x"; "bind"; "/no/such/source"; ["bind"])]' \
        '.linux.resources.pids = {limit: 10} | .process.args = ["/no/such/program"]' '.linux.maskedPaths = ["/proc/kcore"] | .process.cwd = "etc"'
    equals "$(cat /proc/self/mountinfo)" "$before"
}

@test "runtime/warnings/continue" {
    bundle '.process.capabilities |= map_values(. + ["CAP_FLY"]) | .hostname = "warned"' sh -c 'hostname; id -u'
    try
    ran 0
    equals "$output" $'warned\n0'
}

@test "runtime/start/no-id" { works; fails rt start; }
@test "runtime/start/unknown" { works; fails rt start nobody; }

@test "runtime/start/not-created" {
    bundle . sh -c 'echo x >>/work/count; exec sleep 1000'
    detach
    until_true test -e "$bundle/rootfs/work/count"
    fails rt start "$id"
    is_status running
    rt kill "$id" KILL
    until_true is_status stopped
    fails rt start "$id"
    is_status stopped
    equals "$(cat "$bundle/rootfs/work/count")" x
}

@test "runtime/start/runs" {
    bundle . sh -c 'echo it is "$0"' me
    create
    rt start "$id"
    until_true said "it is me"
}

@test "runtime/start/no-process" {
    bundle 'del(.process)' true
    create
    fails rt start "$id"
}

@test "runtime/kill/no-id" { works; fails rt kill; }

@test "runtime/kill/not-running" {
    bundle . true
    detach
    until_true is_status stopped
    fails rt kill "$id" TERM
    is_status stopped
    fails rt kill nobody TERM
}

# bats test_tags=smoke
@test "runtime/kill/signal" {
    bundle . sh -c 'for s in HUP USR1 USR2 TERM; do trap "echo $s >>/work/got" $s; done; echo ready >/work/got; while :; do sleep 0.05; done'
    detach
    until_true test -e "$bundle/rootfs/work/got"
    local signal
    for signal in HUP USR1 SIGUSR2 15; do
        rt kill "$id" "$signal"
        until_true grep -q "${signal#SIG}\|TERM" "$bundle/rootfs/work/got"
    done
    equals "$(xargs <"$bundle/rootfs/work/got")" "ready HUP USR1 USR2 TERM"
}

@test "runtime/kill/created" {
    created
    rt kill "$id" KILL
    until_true is_status stopped
}

@test "runtime/delete/no-id" { works; fails rt delete; }
@test "runtime/delete/unknown" { works; fails rt delete nobody; }

@test "runtime/delete/running" {
    running
    local pid
    pid=$(container_pid)
    fails rt delete "$id"
    is_status running
    kill -0 "$pid"
}

# bats test_tags=deviation
@test "runtime/delete/created" {
    created
    fails rt delete "$id"
    is_status created
}

@test "runtime/delete/removes" {
    bundle '.mounts += [mount("/mnt"; "tmpfs"; "tmpfs"; [])]' true
    detach
    until_true is_status stopped
    [ -n "$(cgroup_dirs)" ] || [ "$(cgroup_mode)" = v1 ]
    rt delete "$id"
    nothing_left
    fails rt state "$id"
}

@test "runtime/delete/not-what-others-made" {
    works
    mkfifo "$BATS_TEST_TMPDIR/ready"
    unshare -n sh -c 'echo >"$0"; exec sleep 1000' "$BATS_TEST_TMPDIR/ready" </dev/null >/dev/null 2>&1 3>&- &
    pids+=($!)
    read -r _ <"$BATS_TEST_TMPDIR/ready"
    mkdir "$BATS_TEST_TMPDIR/kept"
    touch "$BATS_TEST_TMPDIR/kept/file"
    local dir
    for dir in $(cgroup_mounts); do mkdir -p "$dir/$cgroup_parent/neighbour"; done
    bundle 'ns("network") | .linux.namespaces += [{type: "network", path: "/proc/'"${pids[0]}"'/ns/net"}]
        | .mounts += [mount("/mnt"; "bind"; $tmp + "/kept"; ["bind"])]' true
    detach
    until_true is_status stopped
    rt delete "$id"
    [ -e "$BATS_TEST_TMPDIR/kept/file" ]
    [ -e "$bundle/rootfs/etc/passwd" ]
    kill -0 "${pids[0]}"
    for dir in $(cgroup_mounts); do rmdir "$dir/$cgroup_parent/neighbour"; done
}

@test "runtime/delete/id-again" {
    bundle . echo well
    try
    equals "$output" well
    try
    equals "$output" well
}

@test "runtime/scope/creator" {
    created
    (cd / && env -i "$runtime" --root "$root" state "$id" >/dev/null && env -i "$runtime" --root "$root" start "$id")
    env -i "$runtime" --root "$root" kill "$id" KILL
    until_true is_status stopped
    env -i "$runtime" --root "$root" delete "$id"
    nothing_left
}

@test "runtime/stopped-by-exit" {
    bundle . sh -c 'exit 3'
    detach
    until_true is_status stopped
}
