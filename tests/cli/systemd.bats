#!/usr/bin/env bats
# Control groups under systemd: the systemd driver for root and for a user, and what was delegated
# to a user without it. Needs a host (the guest of tests/vm) that systemd runs, with cgroup v2;
# systemd_v1.bats is for the others.

load lib.bash
load systemd.bash

setup_file() {
    file_setup
    is_systemd || return 0
    # The user's manager, as a login would start it.
    systemctl start user@1000.service
    export user_home=$BATS_FILE_TMPDIR/user
    mkdir -p "$user_home" && chown 1000:1000 "$user_home"
    cp "$runtime" "$user_home/joblet-run" # where they lie may be closed to him
    cp "$(helper)" "$user_home/joblet-systemd"
}
teardown_file() { file_teardown; }
setup() { job_setup; }
teardown() {
    if is_systemd; then
        systemctl stop "joblet-test-$$.scope" 2>/dev/null
        [ ! -d "$user_home/s/$id" ] || as_user "${user_rt[@]}" delete --force "$id"
    fi
    job_teardown
}

is_systemd() { [ -d /run/systemd/system ] && [ "$(cgroup_mode)" = v2 ]; }
systemd_only() { is_systemd || skip "systemd does not run this host, or not with cgroup v2"; }

# ---- as user 1000, outside of any session, with his own manager's bus ----
as_user() {
    setpriv --reuid 1000 --regid 1000 --clear-groups env -i HOME=/home/user PATH="$PATH" \
        XDG_RUNTIME_DIR=/run/user/1000 "$@" 3>&- 4>&-
}
user_bundle() {
    local filter=$1
    shift
    bundle 'del(.linux.cgroupsPath) | del(.linux.resources) | del(.mounts[] | select(.type == "sysfs"))
        | .mounts |= map(select(.destination != "/dev/pts"))
        | .linux.namespaces += [{type: "user"}]
        | .linux.uidMappings = [{containerID: 0, hostID: 1000, size: 1}]
        | .linux.gidMappings = [{containerID: 0, hostID: 1000, size: 1}] | '"$filter" "$@"
    chmod -R o+rX "$bundle"
    user_rt=("$user_home/joblet-run" --root "$user_home/s" --systemd-helper "$user_home/joblet-systemd")
}

# bats test_tags=smoke
@test "a scope of systemd's holds the container, with its limits" {
    systemd_only
    scoped '.linux.resources += {memory: {limit: 67108864, swap: 67108864}, pids: {limit: 33},
        cpu: {shares: 512, quota: 50000, period: 100000, cpus: "0"}}' sleep 1000
    sd_create
    equals "$(systemctl is-active "$unit")" active
    equals "$(shown ControlGroup)" "$cgroup"
    equals "$(shown Slice)" system.slice
    equals "$(shown Delegate)" yes
    equals "$(shown MemoryMax)" 67108864
    equals "$(shown MemorySwapMax)" 0
    equals "$(shown TasksMax)" 33
    equals "$(shown CPUWeight)" 59
    equals "$(shown CPUQuotaPerSecUSec)" 500ms
    equals "$(shown AllowedCPUs)" 0
    # the container's process and nobody else
    equals "$(cat "/sys/fs/cgroup$cgroup/cgroup.procs")" "$(container_pid)"
    systemctl daemon-reload
    equals "$(cgroup_file memory memory.max)" 67108864
    equals "$(cgroup_file cpu cpu.max)" "50000 100000"
    equals "$(cgroup_file pids pids.max)" 33
    equals "$(container_state unit)" "$unit"
    sd delete --force "$id"
    is_gone "$unit"
    nothing_left
}

# bats test_tags=smoke
@test "run, exec and exit status are the same in a scope" {
    systemd_only
    scoped . sh -c 'cat /proc/self/cgroup; exit 7'
    run --separate-stderr sd run --bundle "$bundle" "$id"
    equals "$output" "0::$cgroup"
    equals "$status" 7
    is_gone "$unit"
    nothing_left
    bundle '.linux.cgroupsPath = "system.slice:joblet:test-'$$'"' sleep 1000
    sd_create
    rt start "$id"
    equals "$(sd exec "$id" cat /proc/self/cgroup)" "0::$cgroup"
    sd delete --force "$id"
    nothing_left
}

@test "limits of one process and of none hold in a scope" {
    systemd_only
    scoped '.linux.resources += {pids: {limit: 1}, cpu: {quota: 50500, period: 100000}}' sleep 1000
    sd_create
    equals "$(cgroup_file pids pids.max)" 1
    equals "$(cgroup_file cpu cpu.max)" "50500 100000" # systemd has whole percents
    equals "$(shown TasksMax)" 1
    sd delete --force "$id"
    scoped '.linux.resources += {pids: {limit: 0}}' sleep 1000
    sd_create
    equals "$(cgroup_file pids pids.max)" 0
    sd delete --force "$id"
}

# bats test_tags=smoke
@test "update sets the properties of the scope too, so that systemd's next look keeps them" {
    systemd_only
    scoped '.linux.resources += {memory: {limit: 67108864}, cpu: {quota: 20000, period: 50000}}' sleep 1000
    sd_create
    rt --systemd-helper "$(helper)" update --memory 100M --pids-limit 44 --cpu-share 512 --cpu-quota 10000 "$id"
    equals "$(shown MemoryMax)" 104857600
    equals "$(shown TasksMax)" 44
    equals "$(shown CPUWeight)" 59
    equals "$(shown CPUQuotaPerSecUSec)" 200ms # of a period of 50 ms
    systemctl daemon-reload
    equals "$(cgroup_file memory memory.max)" 104857600
    equals "$(cgroup_file pids pids.max)" 44
    equals "$(cgroup_file cpu cpu.max)" "10000 50000"
    sd delete --force "$id"
}

# bats test_tags=smoke
@test "a container in a scope is checkpointed, and restored into a new scope with its limits" {
    systemd_only
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
    equals "$(shown MemoryMax)" 134217728
    equals "$(cat /sys/fs/cgroup/"$cgroup"/cgroup.procs | head -n 1)" "$(container_pid)"
    until_true has_counted_on "$before"
    sd delete --force "$id"
    until_true is_gone "$unit"
    nothing_left
}
has_counted_on() {
    local now
    now=$(cat "$BATS_TEST_TMPDIR/count") && [ "${now:-0}" -gt "$1" ]
}

# bats test_tags=smoke
@test "annotations are properties of the scope" {
    systemd_only
    scoped '.annotations = {"org.systemd.property.TimeoutStopUSec": "uint64 7000000",
        "org.systemd.property.Description": "'"'a b'"'", "org.systemd.property.After": "['"'dbus.service'"']"}' sleep 1000
    sd_create
    equals "$(shown TimeoutStopUSec)" 7s
    equals "$(shown Description)" "a b"
    contains "$(shown After)" dbus.service
    sd delete --force "$id"
}

@test "a property that systemd does not have is refused in its words" {
    systemd_only
    scoped '.annotations = {"org.systemd.property.NoSuchThing": "true"}' true
    run --separate-stderr sd run --bundle "$bundle" "$id"
    [ "$status" -ne 0 ]
    contains "$stderr" NoSuchThing
    nothing_left
}

# bats test_tags=smoke
@test "a scope of that name that is somebody else's is refused and spared" {
    systemd_only
    scoped . true
    systemd-run --quiet --scope --unit "$unit" sleep 1000 3>&- 4>&- &
    pids+=($!)
    until_true systemctl is-active --quiet "$unit"
    run --separate-stderr sd run --bundle "$bundle" "$id"
    [ "$status" -ne 0 ]
    contains "$stderr" "$unit"
    [ ! -e "$root/$id" ]
    equals "$(systemctl is-active "$unit")" active
}

# bats test_tags=smoke
@test "create that is killed once its scope was started leaves what delete --force removes" {
    systemd_only
    scoped . sleep 1000
    # Passes the request on, and kills joblet-run instead of passing the answer back.
    printf '#!%s\n' "$(command -v bash)" >"$BATS_TEST_TMPDIR/helper"
    cat >>"$BATS_TEST_TMPDIR/helper" <<SH
coproc real { exec $(helper); }
read -r request
echo "\$request" >&"\${real[1]}"
read -r answer <&"\${real[0]}"
kill -KILL \$PPID
SH
    chmod +x "$BATS_TEST_TMPDIR/helper"
    run rt --systemd-cgroup --systemd-helper "$BATS_TEST_TMPDIR/helper" create --bundle "$bundle" "$id"
    equals "$status" 137
    equals "$(head -n 1 "$root/$id/record" | jq -r .unit)" "$unit"
    sd delete --force "$id"
    until_true is_gone "$unit"
    nothing_left
}

@test "the scope ends with its container and is not kept as failed" {
    systemd_only
    scoped '.linux.resources += {memory: {limit: 33554432, swap: 33554432}}' tail -c 90000000 /dev/zero
    run --separate-stderr sd run --bundle "$bundle" "$id"
    equals "$status" 137
    is_gone "$unit"
    nothing_left
}

@test "a path that is none of systemd's is refused" {
    not_runc "has other words"
    bundle . true
    run --separate-stderr sd run --bundle "$bundle" "$id"
    [ "$status" -ne 0 ]
    contains "$stderr" slice:prefix:name
    nothing_left
}

@test "without its helper the systemd driver is refused with the fix" {
    systemd_only
    scoped . true
    run --separate-stderr rt --systemd-cgroup --systemd-helper /no/such run --bundle "$bundle" "$id"
    [ "$status" -ne 0 ]
    contains "$stderr" --systemd-helper
    nothing_left
}

# bats test_tags=smoke
@test "a user's container is a scope of his own manager" {
    systemd_only
    user_bundle '.linux.resources = {memory: {limit: 67108864}, pids: {limit: 33}, cpu: {quota: 50000, period: 100000}}
        | .linux.cgroupsPath = ":joblet:'"$id"'"' sleep 1000
    as_user "${user_rt[@]}" --systemd-cgroup run --detach --bundle "$bundle" "$id" </dev/null >/dev/null 2>"$BATS_TEST_TMPDIR/err"
    cgroup=/$(as_user "${user_rt[@]}" state "$id" | jq -r .cgroup)
    contains "$cgroup" "/user@1000.service/"
    equals "$(as_user systemctl --user is-active "joblet-$id.scope")" active
    equals "$(cgroup_file memory memory.max)" 67108864
    equals "$(cgroup_file cpu cpu.max)" "50000 100000"
    equals "$(cgroup_file pids pids.max)" 33
    equals "$(as_user "${user_rt[@]}" exec "$id" cat /proc/self/cgroup)" "0::$cgroup"
    as_user "${user_rt[@]}" delete --force "$id"
    [ ! -e "/sys/fs/cgroup$cgroup" ]
    cgroup=
}

# bats test_tags=smoke
@test "a user's container is below the group that was delegated to him" {
    systemd_only
    user_bundle '.linux.resources = {pids: {limit: 33}}' sh -c 'cat /proc/self/cgroup'
    # in a leaf of its own, as an engine that has a delegated unit does
    as_user systemd-run --user --quiet --scope -p Delegate=yes sh -c 'me=/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)
        mkdir "$me/leaf" && echo $$ >"$me/leaf/cgroup.procs" && exec "$@"' - \
        "${user_rt[@]}" run --bundle "$bundle" "$id" </dev/null >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" ||
        { err; false; }
    [[ $(out) == 0::/user.slice/*/user@1000.service/*.scope/joblet-$id ]]
}

# bats test_tags=smoke
@test "a user to whom nothing is delegated runs without limits, and with none but those" {
    systemd_only
    user_bundle . echo ran
    run as_user "${user_rt[@]}" run --bundle "$bundle" "$id"
    equals "$output" ran
    user_bundle '.linux.resources = {memory: {limit: 67108864}}' echo ran
    run as_user "${user_rt[@]}" run --bundle "$bundle" "$id"
    [ "$status" -ne 0 ]
    contains "$output" "no control group is delegated"
    contains "$output" --systemd-cgroup
    # one who sits in the very group that was delegated can't hand controllers on
    run as_user systemd-run --user --quiet --scope -p Delegate=yes "${user_rt[@]}" run --bundle "$bundle" "$id"
    [ "$status" -ne 0 ]
    contains "$output" "sits in that group itself"
}
