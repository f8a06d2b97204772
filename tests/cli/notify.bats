#!/usr/bin/env bats
# NOTIFY_SOCKET: who waits for a container to be ready is told by the container itself.

load lib.bash

setup_file() { file_setup; }
teardown_file() { file_teardown; }
setup() {
    job_setup
    not_runc "binds the socket elsewhere"
    heard=$BATS_TEST_TMPDIR/heard
    export NOTIFY_SOCKET=$BATS_TEST_TMPDIR/caller.sock
    $py "$here/notify.py" listen "$NOTIFY_SOCKET" "$heard" 3>&- &
    pids+=($!)
    until_true test -S "$NOTIFY_SOCKET"
}
teardown() { job_teardown; }

tell() { $py "$here/notify.py" send "$(container_pid)" "$1"; }
is_running() { is_status running; }

# bats test_tags=smoke
@test "run --detach returns when the container is ready and tells its main process" {
    bundle . sh -c 'echo "$NOTIFY_SOCKET"; exec sleep 1000'
    "$runtime" --root "$root" run --detach --bundle "$bundle" "$id" </dev/null >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
    local behind=$!
    pids+=("$behind")
    until_true is_running
    equals "$(out)" /run/notify/notify.sock
    tell "STATUS=coming"
    until_true grep -q STATUS=coming "$heard"
    kill -0 "$behind"
    tell "READY=1"
    wait "$behind"
    until_true grep -q READY=1 "$heard"
    equals "$(cat "$heard")" "STATUS=coming
---
READY=1
MAINPID=$(container_pid)
---"
    rt delete --force "$id"
    nothing_left
}

@test "start waits for a container that create made" {
    bundle 'userns | .mounts += [mount("/run"; "tmpfs"; "tmpfs"; [])]' sleep 1000
    mkdir "$bundle/rootfs/run"
    create
    rt start "$id" </dev/null >/dev/null 2>&1 3>&- &
    local behind=$!
    until_true is_running
    tell "READY=1"
    wait "$behind"
    until_true grep -q "MAINPID=$(container_pid)" "$heard"
    rt delete --force "$id"
}

@test "a container that ends before it was ready keeps nobody waiting" {
    bundle . true
    run timeout 100 "$runtime" --root "$root" run --detach --bundle "$bundle" "$id" </dev/null 3>&-
    equals "$status" 0
    [ ! -s "$heard" ]
    rt delete "$id"
}

@test "in the foreground known lines pass and the others do not" {
    bundle . sleep 1000
    run_behind
    until_true is_running
    $py "$here/notify.py" fill "$(container_pid)"
    tell $'RELOADING=1\nMONOTONIC_USEC=123\nERRNO=5'
    tell "READY=1"
    until_true grep -q READY=1 "$heard"
    equals "$(cat "$heard")" "STATUS=good
---
RELOADING=1
MONOTONIC_USEC=123
---
READY=1
---"
    rt kill "$id" KILL
    ended "$run_pid"
    nothing_left
}

@test "the container cannot change the directory of its socket" {
    bundle . sh -c 'rm /run/notify/notify.sock; touch /run/notify/x; ls /run/notify'
    try
    equals "$output" notify.sock
    contains "$stderr" "Read-only file system"
}

@test "without NOTIFY_SOCKET there is neither directory nor variable" {
    unset NOTIFY_SOCKET
    bundle . sh -c 'echo "<$NOTIFY_SOCKET>"; ls -d /run/notify'
    try
    equals "$output" "<>"
}

@test "a NOTIFY_SOCKET that nobody listens on is told before the program runs" {
    export NOTIFY_SOCKET=$BATS_TEST_TMPDIR/nobody
    bundle . echo ran
    try
    [ "$status" -ne 0 ]
    contains "$stderr" "NOTIFY_SOCKET"
    equals "$output" ""
    nothing_left
}

@test "sockets of a service manager go to the container" {
    unset NOTIFY_SOCKET
    bundle . sh -c 'echo "$LISTEN_FDS $LISTEN_PID $$"; cat <&3'
    echo passed >"$BATS_TEST_TMPDIR/file"
    LISTEN_FDS=1 run --separate-stderr "$runtime" --root "$root" run --bundle "$bundle" "$id" 3<"$BATS_TEST_TMPDIR/file"
    equals "$output" $'1 1 1\npassed'
}

@test "LISTEN_PID is the process's own where it is not process 1" {
    not_runc "says 1"
    unset NOTIFY_SOCKET
    bundle 'ns("pid") | .mounts |= map(select(.type != "proc"))' sh -c '[ "$LISTEN_PID" = "$$" ] && echo same'
    LISTEN_FDS=1 run --separate-stderr "$runtime" --root "$root" run --bundle "$bundle" "$id" 3</dev/null
    equals "$output" same
}
