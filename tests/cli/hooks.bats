#!/usr/bin/env bats
# Hooks: when they run, what they get, and what becomes of a container when they fail.

load lib.bash

setup_file() { file_setup; }
teardown_file() { file_teardown; }
setup() {
    job_setup
    log=$bundle/rootfs/work/log # the container sees it as /work/log
}
teardown() { job_teardown; }

# A hook that writes its name and then the status in the state that it gets.
tell='def tell(name; log): {path: "/bin/sh", args: ["sh", "-c",
    "echo \(name) $(tr -d \" \\n\" | sed \"s/.*\\\"status\\\":\\\"\\([a-z]*\\)\\\".*/\\1/\") >>\(log)"]};'
# hook COMMAND: one that runs it in sh.
hook='def hook(command): {path: "/bin/sh", args: ["sh", "-c", command]};'
all_hooks="$tell"' ($tmp + "/b/rootfs/work/log") as $log | .hooks = {
    prestart: [tell("prestart"; $log)], createRuntime: [tell("createRuntime"; $log)],
    createContainer: [tell("createContainer"; $log)], startContainer: [tell("startContainer"; "/work/log")],
    poststart: [tell("poststart"; $log)], poststop: [tell("poststop"; $log)]}'

# bats test_tags=smoke
@test "all six hooks run in their order with the right status" {
    not_runc "1.1 calls it created too early"
    bundle "$all_hooks" sh -c 'echo program >>/work/log'
    create
    equals "$(cat "$log")" "prestart creating
createRuntime creating
createContainer creating"
    rt start "$id"
    until_true is_status stopped
    rt delete "$id"
    equals "$(sort <<<"$(tail -n +4 "$log")")" "poststart running
poststop stopped
program
startContainer created"
    # poststart may be there before or after the program, whose start it follows
    equals "$(sed -n 4p "$log")" "startContainer created"
    equals "$(tail -n 1 "$log")" "poststop stopped"
    nothing_left
}

@test "run runs them all as well" {
    not_runc "1.1 runs poststart too early"
    bundle "$all_hooks" true
    try
    equals "$status" 0
    equals "$(cut -d' ' -f1 "$log" | xargs)" "prestart createRuntime createContainer startContainer poststart poststop"
}

@test "hooks of one kind run in the order of the list" {
    bundle "$hook"' .hooks.createRuntime = [range(5) | hook("echo \(.) >>\($tmp)/order")]' true
    try
    equals "$(xargs <"$BATS_TEST_TMPDIR/order")" "0 1 2 3 4"
}

@test "a hook gets the state with id, pid, bundle and annotations" {
    bundle "$hook"' .annotations = {"org.example": "v"} | .hooks.createRuntime = [hook("cat >\($tmp)/state")]' sleep 1000
    create
    jq -e --arg id "$id" --arg bundle "$bundle" --argjson pid "$(container_pid)" '
        .id == $id and .bundle == $bundle and .pid == $pid and .annotations == {"org.example": "v"}
        and (.ociVersion | startswith("1."))' "$BATS_TEST_TMPDIR/state"
}

@test "a poststop hook gets the state of a stopped container" {
    bundle "$hook"' .hooks.poststop = [hook("cat >\($tmp)/state")]' true
    try
    jq -e --arg id "$id" '.id == $id and .status == "stopped"' "$BATS_TEST_TMPDIR/state"
}

@test "a hook has the environment of its own and nothing of the caller's" {
    bundle "$hook"' .hooks.createRuntime = [hook("env >\($tmp)/env") + {env: ["A=1 2", "PATH=/usr/bin:/bin"]}]' true
    SECRET=1 try
    equals "$(grep -vE '^(PWD|SHLVL|_|OLDPWD)=' "$BATS_TEST_TMPDIR/env" | sort)" $'A=1 2\nPATH=/usr/bin:/bin'
}

@test "a createRuntime hook runs in the host's namespaces, the container's being there" {
    bundle "$hook"' .hooks.createRuntime = [hook("readlink /proc/self/ns/net /proc/self/ns/mnt >\($tmp)/ns;
        pid=$(tr -d \" \n\" | sed \"s/.*\\\"pid\\\":\\([0-9]*\\).*/\\1/\"); readlink /proc/$pid/ns/net >>\($tmp)/ns")]' \
        readlink /proc/self/ns/net
    try
    equals "$(head -n 2 "$BATS_TEST_TMPDIR/ns")" "$(readlink /proc/self/ns/net /proc/self/ns/mnt)"
    equals "$(tail -n 1 "$BATS_TEST_TMPDIR/ns")" "$output"
}

@test "a createContainer hook runs in the container's mount namespace before the root is changed" {
    bundle "$hook"' .hooks.createContainer = [hook("readlink /proc/self/ns/mnt >\($tmp)/ns")]' readlink /proc/self/ns/mnt
    try
    contains "$output" mnt:
    equals "$(cat "$BATS_TEST_TMPDIR/ns")" "$output"
}

@test "a mount made by a createContainer hook is the container's alone" {
    bundle "$hook"' .hooks.createContainer = [hook("mount -t tmpfs made \($tmp)/b/rootfs/mnt && touch \($tmp)/b/rootfs/mnt/here")]' ls /mnt
    local before
    before=$(cat /proc/self/mountinfo)
    try
    equals "$output" here
    equals "$(cat /proc/self/mountinfo)" "$before"
    nothing_left
}

@test "a startContainer hook runs in the container" {
    bundle "$hook"' .hooks.startContainer = [hook("hostname >/work/name")]' true
    try
    equals "$(cat "$bundle/rootfs/work/name")" inside
}

@test "hooks find the program's pid alive" {
    bundle "$hook"' .hooks.createRuntime = [hook("grep -q . /proc/$(tr -d \" \n\" | sed \"s/.*\\\"pid\\\":\\([0-9]*\\).*/\\1/\")/stat")]' echo well
    try
    equals "$output" well
}

# failing KIND: a container whose hook of that kind fails is not run, and nothing of it is left.
failing() {
    bundle "$hook"' .hooks.'"$1"' = [hook("echo reason >&2; exit 3")]' sh -c 'echo ran'
    try
    [ "$status" -ne 0 ]
    equals "$output" ""
    contains "$stderr" reason
    nothing_left
}

@test "a prestart hook that fails ends the container" {
    failing prestart
}

@test "a createRuntime hook that fails ends the container" {
    failing createRuntime
}

@test "a createContainer hook that fails ends the container" {
    failing createContainer
}

@test "a startContainer hook that fails ends the container" {
    failing startContainer
}

@test "a failed createRuntime hook makes create fail and runs the poststop hooks" {
    not_runc "1.1 runs none"
    bundle "$hook"' .hooks.createRuntime = [hook("exit 3")] | .hooks.poststop = [hook("touch \($tmp)/stopped")]' true
    run create
    [ "$status" -ne 0 ]
    [ -e "$BATS_TEST_TMPDIR/stopped" ]
    nothing_left
}

@test "a failed startContainer hook makes start fail and ends the container" {
    not_runc "1.1 does not wait for it"
    bundle "$hook"' .hooks.startContainer = [hook("exit 3")] | .hooks.poststop = [hook("touch \($tmp)/stopped")]' sh -c 'echo ran'
    create
    run rt start "$id"
    [ "$status" -ne 0 ]
    equals "$(out)" ""
    [ -e "$BATS_TEST_TMPDIR/stopped" ]
    nothing_left
    rt delete --force "$id" # as engines do then
}

@test "a failed poststart hook makes start and run fail and ends the container" {
    not_runc "1.1 warns"
    bundle "$hook"' .hooks.poststart = [hook("exit 3")] | .hooks.poststop = [hook("touch \($tmp)/stopped")]' sleep 1000
    create
    run rt start "$id"
    [ "$status" -ne 0 ]
    contains "$output" "hooks.poststart[0]"
    [ -e "$BATS_TEST_TMPDIR/stopped" ]
    nothing_left
    run run_bundle
    [ "$status" -ne 0 ]
    nothing_left
}

@test "a poststop hook that fails does not stop the delete" {
    not_runc "1.1 stops"
    bundle "$hook"' .hooks.poststop = [hook("exit 3"), hook("touch \($tmp)/second")]' true
    run_bundle || true
    nothing_left
    [ -e "$BATS_TEST_TMPDIR/second" ]
}

@test "a hook that does not end in its time fails" {
    bundle "$hook"' .hooks.createRuntime = [hook("exec sleep 1000") + {timeout: 1}]' sh -c 'echo ran'
    SECONDS=0
    try
    [ "$status" -ne 0 ]
    equals "$output" ""
    [ $SECONDS -lt 500 ]
    nothing_left
}

@test "a hook with a timeout of 0 is refused" {
    bundle "$hook"' .hooks.createRuntime = [hook("true") + {timeout: 0}]' true
    try
    [ "$status" -ne 0 ]
    nothing_left
}

@test "a hook with a relative path is refused" {
    bundle '.hooks.createRuntime = [{path: "sh"}]' true
    try
    [ "$status" -ne 0 ]
    nothing_left
}

@test "a hook that is not there is refused by name" {
    bundle '.hooks.createRuntime = [{path: "/no/such/hook"}]' true
    try
    [ "$status" -ne 0 ]
    contains "$stderr" /no/such/hook
    nothing_left
}

@test "a createContainer hook does not need a root.path that the container's root may walk to" {
    bundle "$hook"' userns | .hooks.createContainer = [hook("readlink /proc/self/ns/mnt >/proc/1/fd/1 2>/dev/null; true")]' echo ran
    chmod o-x "$BATS_TEST_TMPDIR"
    try
    equals "$output" ran
}

# bats test_tags=smoke
@test "TERM ends a hook that hangs, and the container with it" {
    not_runc "waits for the hook"
    local hook own=1003.$$ # nobody else on this machine sleeps so long
    for hook in prestart createRuntime; do
        bundle ".hooks.$hook = [{path: \"/bin/sleep\", args: [\"sleep\", \"$own\"]}]" true
        run_behind
        until_true pgrep -P "$run_pid" -f "sleep $own"
        kill -TERM "$run_pid"
        ended "$run_pid"
        equals "$status" 143
        contains "$(err)" "hooks.$hook[0]"
        contains "$(err)" "signal 15"
        run pgrep -f "sleep $own"
        equals "$output" ""
        nothing_left
    done
}

@test "the last lines that a failing hook wrote are in the error" {
    not_runc "shows all"
    printf '#!/bin/sh\nfor i in $(seq 1 200); do echo "line $i" >&2; done\nexit 3\n' >"$BATS_TEST_TMPDIR/hook"
    chmod +x "$BATS_TEST_TMPDIR/hook"
    bundle '.hooks.createRuntime = [{path: ($tmp + "/hook")}]' true
    try
    [ "$status" -ne 0 ]
    contains "$stderr" "line 191|line 192"
    contains "$stderr" "line 200"
    [[ $stderr != *"line 101"* ]]
    nothing_left
}
