#!/usr/bin/env bats
# config.md: hooks, and what runtime.md's lifecycle says of them.

load lib.bash

namespaces='for ns in mnt net ipc uts; do readlink /proc/self/ns/$ns; done'
of_the_host() { bash -c "$namespaces"; }

# hook_in KIND DIR: a script that no other namespace has in DIR, as a hook of KIND which leaves the
# names of its namespaces in DIR/KIND.
script() {
    mkdir -p "$2"
    printf '#!/bin/sh\n{ %s; } >%s/%s\n' "$namespaces" "${3-$2}" "$1" >"$2/hook-$1"
    chmod 755 "$2/hook-$1"
}

# outside KIND: such a hook is found and run in the runtime's namespaces.
outside() {
    script "$1" "$BATS_TEST_TMPDIR/far"
    shows '.hooks.'"$1"' = [{path: "\($tmp)/far/hook-'"$1"'"}]' well echo well
    equals "$(cat "$BATS_TEST_TMPDIR/far/$1")" "$(of_the_host)"
}

@test "config/hooks/path-absolute" {
    local kind
    for kind in $hook_kinds; do refused '.hooks.'"$kind"' = [{path: "sh"}]' '.hooks.'"$kind"' = [{args: ["sh"]}]'; done
}

@test "config/hooks/timeout-positive" {
    local kind
    for kind in $hook_kinds; do refused '.hooks.'"$kind"' = [{path: "/bin/true", timeout: 0}]' '.hooks.'"$kind"' = [{path: "/bin/true", timeout: -1}]'; done
}

@test "config/hooks/timeout" {
    refused "$hooks"' .hooks.createRuntime = [hook("sleep 100") + {timeout: 1}]'
}

@test "config/hooks/args-env" {
    shows '.hooks.createRuntime = [{path: "/bin/sh", args: ["other", "-c", "echo $0 $1 $A >\($tmp)/out", "zero", "one two"], env: ["A=3"]}]' \
        well echo well
    equals "$(out)" "zero one two 3"
}

@test "config/hooks/prestart/namespace" { outside prestart; }
@test "config/hooks/create-runtime/namespace" { outside createRuntime; }
@test "config/hooks/poststart/namespace" { outside poststart; }
@test "config/hooks/poststop/namespace" { outside poststop; }

# bats test_tags=smoke
@test "config/hooks/create-container/namespace" {
    script createContainer "$BATS_TEST_TMPDIR/far"
    bundle '.hooks.createContainer = [{path: "\($tmp)/far/hook-createContainer"}]' sh -c "$namespaces"
    try
    ran 0
    contains "$output" "net:["
    equals "$(cat "$BATS_TEST_TMPDIR/far/createContainer")" "$output"
    [ "$output" != "$(of_the_host)" ]
}

@test "config/hooks/start-container/namespace" {
    bundle '.hooks.startContainer = [{path: "/work/hook-startContainer"}]' sh -c "$namespaces"
    script startContainer "$bundle/rootfs/work" /work
    try
    ran 0
    contains "$output" "net:["
    equals "$(cat "$bundle/rootfs/work/startContainer")" "$output"
    [ "$output" != "$(of_the_host)" ]
}

@test "config/hooks/order" {
    local kind log=$BATS_TEST_TMPDIR/b/rootfs/work/log
    for kind in $hook_kinds; do
        shows "$hooks"' (if "'$kind'" == "startContainer" then "/work/log" else $tmp + "/b/rootfs/work/log" end) as $log
            | .hooks.'"$kind"' = [range(4) | hook("echo \(.) >>\($log)")]' well echo well
        equals "$(xargs <"$log")" "0 1 2 3"
        rm "$log"
    done
}

@test "config/hooks/state" {
    local kind
    for kind in $hook_kinds; do
        [ "$kind" != startContainer ] || continue # in the container, below
        bundle "$hooks"' .annotations = {a: "b"} | .hooks.'"$kind"' = [hook("cat >\($tmp)/state.'"$kind"'")]' true
        try
        ran 0
        json --arg id "$id" --arg bundle "$bundle" '.id == $id and .bundle == $bundle and .annotations == {a: "b"}
            and (.ociVersion | type == "string") and (.status | type == "string")' "$BATS_TEST_TMPDIR/state.$kind"
    done
    bundle "$hooks"' .hooks.startContainer = [hook("cat >/work/state")]' true
    try
    json --arg id "$id" '.id == $id and (.status | type == "string")' "$bundle/rootfs/work/state"
}

@test "runtime/state/pid-of-hooks" {
    bundle "$hooks"' .hooks.createRuntime = [hook("cat >\($tmp)/outside")] | .hooks.startContainer = [hook("cat >/work/inside")]' sleep 1000
    create
    equals "$(jq .pid "$BATS_TEST_TMPDIR/outside")" "$(container_pid)"
    rt start "$id"
    equals "$(jq .pid "$bundle/rootfs/work/inside")" 1 # as the pid namespace has it
}

# trail: hooks that write their names; of which the operation was at what time.
trail="$hooks"' (["prestart", "createRuntime", "createContainer", "poststart", "poststop"]
        | map({(.): [hook("echo \(.) >>\($tmp)/b/rootfs/work/log")]}) | add
        | .startContainer = [hook("echo startContainer >>/work/log")]) as $all | .hooks = $all'
log_of() { xargs <"$bundle/rootfs/work/log"; }

@test "config/hooks/when" {
    bundle "$trail" sh -c 'echo program >>/work/log; exec sleep 1000'
    create
    equals "$(log_of)" "prestart createRuntime createContainer"
    rt start "$id"
    until_true grep -q program "$bundle/rootfs/work/log"
    contains "$(log_of)" "createContainer startContainer p"
    contains "$(log_of)" poststart
    rt kill "$id" KILL
    until_true is_status stopped
    [[ $(log_of) != *poststop* ]]
    rt delete "$id"
    equals "$(tail -n 1 "$bundle/rootfs/work/log")" poststop
}

# made: what a hook of create finds.
@test "config/hooks/create-runtime/when" {
    bundle "$hooks"' .hooks.createRuntime = [hook("pid=$(sed \"s/.*\\\"pid\\\": *\\([0-9]*\\).*/\\1/\" | tr -dc 0-9);
        readlink /proc/$pid/ns/net >\($tmp)/net; readlink /proc/$pid/ns/mnt >\($tmp)/mnt; cp /proc/$pid/root/etc/hostname \($tmp)/name")]' sleep 1000
    create
    equals "$(cat "$BATS_TEST_TMPDIR/net")" "$(readlink "/proc/$(container_pid)/ns/net")"
    [ "$(cat "$BATS_TEST_TMPDIR/net")" != "$(readlink /proc/self/ns/net)" ]
    equals "$(cat "$BATS_TEST_TMPDIR/mnt")" "$(readlink "/proc/$(container_pid)/ns/mnt")"
}

@test "config/hooks/create-container/when" {
    # the mounts are made, and the root is still the host's
    bundle "$hooks"' .mounts += [mount("/mnt"; "tmpfs"; "tmpfs"; [])]
        | .hooks.createContainer = [hook("stat -f -c %T \($tmp)/b/rootfs/mnt >\($tmp)/type; touch \($tmp)/b/rootfs/mnt/hooked")]' ls /mnt
    try
    equals "$(cat "$BATS_TEST_TMPDIR/type")" tmpfs
    equals "$output" hooked
}

@test "config/hooks/poststart/when" {
    # The program runs, and start waits for the hook.
    bundle "$hooks"' .hooks.poststart = [hook("sleep 0.3; tr \"\\0\" \" \" <\"/proc/$(sed \"s/.*\\\"pid\\\": *\\([0-9]*\\).*/\\1/\" | tr -dc 0-9)/cmdline\" >\($tmp)/cmd")]' \
        sleep 1000
    create
    rt start "$id"
    equals "$(xargs <"$BATS_TEST_TMPDIR/cmd")" "sleep 1000"
}

@test "config/hooks/poststop/when" {
    running "$hooks"' .hooks.poststop = [hook("sleep 0.3; find /sys/fs/cgroup -path \"*'"$cgroup"'\" >\($tmp)/left; echo done >>\($tmp)/left")]'
    rt kill "$id" KILL
    until_true is_status stopped
    [ ! -e "$BATS_TEST_TMPDIR/left" ]
    rt delete "$id"
    equals "$(cat "$BATS_TEST_TMPDIR/left")" "done"
}

# fails_create KIND: a hook that fails ends create, what was made is gone, and poststop hooks ran.
fails_create() {
    works
    bundle "$hooks"' .hooks.'"$1"' = [hook("exit 1"), hook("touch \($tmp)/second")] | .hooks.poststop = [hook("touch \($tmp)/stopped")]' touch /work/ran
    fails rt create --bundle "$bundle" "$id"
    [ -e "$BATS_TEST_TMPDIR/stopped" ]
    [ ! -e "$bundle/rootfs/work/ran" ]
    nothing_left
}
@test "runtime/lifecycle/prestart-fails" { fails_create prestart; }
@test "runtime/lifecycle/create-runtime-fails" { fails_create createRuntime; }
@test "runtime/lifecycle/create-container-fails" { fails_create createContainer; }

@test "runtime/lifecycle/start-container-fails" {
    bundle "$hooks"' .hooks.startContainer = [hook("exit 1")] | .hooks.poststop = [hook("touch \($tmp)/stopped")]' touch /work/ran
    create
    fails rt start "$id"
    [ -e "$BATS_TEST_TMPDIR/stopped" ]
    [ ! -e "$bundle/rootfs/work/ran" ]
    nothing_left
}

@test "runtime/lifecycle/poststart-fails" {
    bundle "$hooks"' .hooks.poststart = [hook("exit 1")] | .hooks.poststop = [hook("touch \($tmp)/stopped")]' sleep 1000
    create
    fails rt start "$id"
    [ -e "$BATS_TEST_TMPDIR/stopped" ]
    nothing_left
}

@test "runtime/lifecycle/poststop-fails" {
    running "$hooks"' .hooks.poststop = [hook("exit 1"), hook("touch \($tmp)/second")]'
    rt kill "$id" KILL
    until_true is_status stopped
    run --separate-stderr rt delete "$id"
    ran 0
    [ -n "$stderr" ]
    [ -e "$BATS_TEST_TMPDIR/second" ]
    nothing_left
}
