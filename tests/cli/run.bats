#!/usr/bin/env bats
# joblet-run run: what goes into the process, what comes out, and how it ends.

load lib.bash

setup_file() { file_setup; }
teardown_file() { file_teardown; }
setup() { job_setup; }
teardown() { job_teardown; }

# bats test_tags=smoke
@test "run gives the program's output and exit code" {
    bundle . sh -c 'echo out; echo err >&2; exit 7'
    try
    equals "$status" 7
    equals "$output" out
    equals "$stderr" err
    nothing_left
}

@test "run exits with 0 when the program does" {
    bundle . echo well
    try
    equals "$status" 0
    equals "$output" well
}

@test "run exits with 128 and the signal that killed the program" {
    # init of a pid namespace is spared signals it does not handle, unless they come from outside
    bundle 'ns("pid")' sh -c 'kill -USR1 $$'
    try
    equals "$status" $((128 + 10))
    nothing_left
}

@test "run exits with 137 when the container is killed" {
    bundle . sleep 1000
    run_behind
    until_true is_status running
    rt kill "$id" KILL
    ended "$run_pid"
    equals "$status" 137
    nothing_left
}

@test "run passes signals on to the program" {
    bundle . sh -c 'trap "echo got; exit 5" TERM; echo ready; while :; do sleep 0.05; done'
    run_behind
    until_true said ready
    kill -TERM "$run_pid"
    ended "$run_pid"
    equals "$status" 5
    equals "$(out)" $'ready\ngot'
}

@test "arguments arrive as they are" {
    bundle . printf '<%s>' 'a b' '' '*' $'x\ny' '"'
    try
    equals "$output" $'<a b><><*><x\ny><">'
}

@test "a program is found in the PATH of the container" {
    bundle '.process.env = ["PATH=/nowhere:/work"]' hello
    printf '#!/bin/sh\necho hello from "$0"\n' >"$bundle/rootfs/work/hello"
    chmod +x "$bundle/rootfs/work/hello"
    try
    equals "$output" "hello from /work/hello"
}

@test "the environment is what config.json says and nothing of the caller's" {
    bundle '.process.env = ["PATH=/bin", "HOME=/h", "A=1 2"]' env
    SECRET=1 try
    equals "$(sort <<<"$output")" $'A=1 2\nHOME=/h\nPATH=/bin'
}

@test "of a variable set twice the last holds" {
    bundle '.process.env = ["PATH=/nowhere", "A=1", "A=2", "PATH=/bin"]' sh -c 'echo $A; env | grep -c ^PATH='
    try
    equals "$output" $'2\n1'
}

@test "HOME comes from the container's passwd when it is not set" {
    bundle '.process.user = {uid: 1000, gid: 1000}' sh -c 'echo $HOME'
    try
    equals "$output" /home/user
}

@test "HOME is / for a user whom the container's passwd does not name" {
    bundle '.process.user = {uid: 4321, gid: 1}' sh -c 'echo $HOME'
    try
    equals "$output" /
}

@test "cwd is where the program starts" {
    bundle '.process.cwd = "/work"' pwd
    try
    equals "$output" /work
}

@test "standard input reaches the program to its end" {
    bundle . sh -c 'wc -c'
    run bash -c 'head -c 1000000 /dev/zero | "$@"' - "$runtime" --root "$root" run --bundle "$bundle" "$id"
    equals "$output" 1000000
}

@test "ten megabytes of output arrive unchanged" {
    bundle . sh -c 'yes 0123456789abcde | head -c 10485760'
    run_bundle | sha256sum >"$BATS_TEST_TMPDIR/sum"
    equals "$(cat "$BATS_TEST_TMPDIR/sum")" "$(yes 0123456789abcde | head -c 10485760 | sha256sum)"
}

@test "run --detach returns while the program goes on" {
    bundle . sleep 1000
    detach
    is_status running
    rt delete --force "$id"
    nothing_left
}

@test "run --detach leaves the program's end to delete" {
    bundle . true
    detach
    until_true is_status stopped
    rt delete "$id"
    nothing_left
}

@test "run --keep keeps the container after its end" {
    not_runc "1.1 has no --keep"
    bundle . true
    run_bundle --keep
    is_status stopped
    rt delete "$id"
    nothing_left
}

@test "the pid file has the program's pid and may be relative" {
    bundle . sleep 1000
    cd "$BATS_TEST_TMPDIR"
    detach --pid-file here.pid
    equals "$(cat here.pid)" "$(container_pid)"
    equals "$(tr '\0' ' ' </proc/"$(cat here.pid)"/cmdline)" "sleep 1000 "
}

@test "a pid file that cannot be written fails the run and leaves nothing" {
    bundle . sleep 1000
    run detach --pid-file /nowhere/pid
    [ "$status" -ne 0 ]
    contains "$(err)" /nowhere/
    nothing_left
}

@test "--preserve-fds hands descriptors on from 3" {
    bundle . sh -c 'cat <&3; cat <&4; ls /proc/self/fd | tr "\n" " "'
    echo three >"$BATS_TEST_TMPDIR/3"
    echo four >"$BATS_TEST_TMPDIR/4"
    run "$runtime" --root "$root" run --preserve-fds 2 --bundle "$bundle" "$id" \
        3<"$BATS_TEST_TMPDIR/3" 4<"$BATS_TEST_TMPDIR/4"
    contains "$output" $'three\nfour\n0 1 2 3 4 '
}

@test "options may follow the id" {
    bundle . echo after
    run --separate-stderr rt run "$id" -b "$bundle"
    equals "$output" after
}

@test "options take their value after an equals sign as well" {
    bundle . echo equals
    run --separate-stderr "$runtime" --root="$root" run --bundle="$bundle" "$id"
    equals "$output" equals
}

@test "the bundle is the working directory by default" {
    bundle . echo here
    cd "$bundle"
    run --separate-stderr rt run "$id"
    equals "$output" here
}

@test "an id with a slash is refused" {
    bundle . true
    run rt run --bundle "$bundle" ../up
    [ "$status" -ne 0 ]
    contains "$output" "invalid"
    [ ! -e "$root/../up" ]
}

@test "the ids . and .. and the empty one are refused" {
    bundle . true
    for name in . .. ''; do
        run rt run --bundle "$bundle" "$name"
        equals "$status" 1
    done
}

@test "ids may have dots, plus and underscores, as Slurm's do" {
    bundle . echo fine
    run --separate-stderr rt run --bundle "$bundle" n1.root.14_+4294967291-0
    equals "$output" fine
}

@test "an id that exists is refused and its container goes on" {
    bundle . sleep 1000
    detach
    run rt run --bundle "$bundle" "$id"
    equals "$status" 1
    contains "$output" "exist"
    is_status running
}

@test "an unknown option is refused by name" {
    run rt run --no-such-option "$id"
    equals "$status" 1
    contains "$output" "no-such-option"
}

@test "run without an id is refused" {
    run rt run
    equals "$status" 1
}

@test "an unknown verb is refused by name" {
    run rt fly "$id"
    [ "$status" -ne 0 ]
    contains "$output" fly
}

# slow_start: a container whose making waits for a hook that does not end.
slow_start() {
    bundle '.hooks.createContainer = [{path: "/bin/sh", args: ["sh", "-c", "touch \($tmp)/b/in; exec sleep 1000"]}]' echo never
}
hook_runs() { [ -e "$bundle/in" ]; }

@test "a container is creating until its program runs" {
    not_runc "has no state yet"
    slow_start
    run_behind
    until_true hook_runs
    equals "$(container_state status)" creating
    rt kill "$id" KILL
    ended "$run_pid"
    equals "$status" 137
    nothing_left
}

@test "run ends by a signal while the container is made" {
    not_runc "waits for the hook"
    local signal
    for signal in TERM INT; do
        slow_start
        rm -f "$bundle/in"
        run_behind
        until_true hook_runs
        kill -"$signal" "$run_pid"
        ended "$run_pid"
        equals "$status" $((128 + $(kill -l "$signal")))
        contains "$(err)" "while the container was made"
        nothing_left
    done
}
