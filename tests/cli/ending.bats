#!/usr/bin/env bats
# How a container ended, for whoever was not its parent; and how long making it took.

load lib.bash

setup_file() { file_setup; }
teardown_file() { file_teardown; }
setup() { job_setup; not_runc "has none of it"; }
teardown() { job_teardown; }

shows() { [ "$(rt state "$id" | jq -c '[.exitStatus, .exitSignal]')" = "$1" ]; }
reaper() { $py -c '
import ctypes, os, sys, time
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)      # PR_SET_CHILD_SUBREAPER
if os.fork() == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
end = time.time() + 60
while time.time() < end and not os.path.exists(os.environ["STOP"]):
    time.sleep(0.02)
' "$@" </dev/null >/dev/null 2>&1 3>&- 4>&- & pids+=($!); }

@test "a foreground run that keeps the container records how it ended" {
    bundle . sh -c 'exit 7'
    run rt run --keep --bundle "$bundle" "$id"
    equals "$status" 7
    equals "$(container_state status)" stopped
    shows '[7,null]'
    rt state "$id" | jq -e '.finished | test("^20..-")'
    rt list -f json | jq -e '.[0].exitStatus == 7'
    bundle . sh -c 'kill -KILL $$'
    rt delete "$id"
    bundle 'ns("pid")' sh -c 'kill -KILL $$'
    run rt run --keep --bundle "$bundle" "$id"
    equals "$status" 137
    shows '[137,9]'
}

# In the guest, before Linux 6.15, it is the process connector that tells.
# bats test_tags=smoke
@test "--keep-exit: the status is there after run was killed with -9" {
    bundle . sh -c 'until [ -e /work/end ]; do sleep 0.02; done; exit 9'
    run_behind --keep-exit
    until_true is_status running
    kill -KILL "$run_pid"
    ended "$run_pid"
    is_status running
    touch "$bundle/rootfs/work/end"
    until_true is_status stopped
    until_true shows '[9,null]'
    equals "$(rt wait "$id" || true)" 9
    rt delete "$id"
    nothing_left
}

@test "--keep-exit with create and run --detach; a signal is told from an exit status" {
    bundle . sleep 1000
    create --keep-exit
    rt start "$id"
    rt kill "$id" KILL
    until_true is_status stopped
    until_true shows '[137,9]'
    rt delete "$id"
    bundle . sh -c 'sleep 0.1; exit 137'
    detach --keep-exit
    until_true is_status stopped
    until_true shows '[137,null]'
}

@test "the watcher holds no pipe and no lock of its caller's, and goes with the container" {
    bundle . sleep 1000
    timeout 100 sh -c '"$@" | cat' - "$runtime" --root "$root" run --detach --keep-exit --bundle "$bundle" "$id" \
        </dev/null >/dev/null 2>&1 &
    pids+=($!)
    until_true is_status running
    local watcher
    watcher=$(grep -lx joblet-exit /proc/[0-9]*/comm | while read -r f; do
        [ "$(readlink "${f%/comm}/fd/"* | grep -cF "$root/$id")" = 0 ] || echo "${f//[^0-9]/}"; done)
    [ -n "$watcher" ]
    # /dev/null thrice, the pidfd, the directory; before Linux 6.15 the process connector's socket
    equals "$(ls "/proc/$watcher/fd" | wc -l)" "$(is_linux 6.15 && echo 5 || echo 6)"
    rt delete --force "$id"
    until_true has_ended "$watcher"
    nothing_left
}

@test "a zombie tells how it ended" {
    bundle . sh -c 'exit 5'
    STOP=$BATS_TEST_TMPDIR/stop reaper "$runtime" --root "$root" run --detach --bundle "$bundle" "$id"
    until_true is_status stopped
    shows '[5,null]'
    touch "$BATS_TEST_TMPDIR/stop"
}

@test "what nobody saw is not made up" {
    bundle . sh -c 'exit 5'
    detach
    until_true is_status stopped
    until_true has_no_process
    shows '[null,null]'
    run rt wait "$id"
    equals "$status" 1
    contains "$output" keep-exit
}
has_no_process() { [ ! -d "/proc/$(tail -n 2 "$root/$id/record" | jq -r 'select(.pid) | .pid')" ]; }

# bats test_tags=smoke
@test "wait blocks until the end, and prints and returns the status" {
    bundle . sh -c 'until [ -e /work/end ]; do sleep 0.02; done; exit 3'
    detach --keep-exit
    rt wait "$id" >"$BATS_TEST_TMPDIR/status" &
    pids+=($!)
    local waiter=$!
    sleep 0.1
    kill -0 "$waiter"
    [ ! -s "$BATS_TEST_TMPDIR/status" ]
    touch "$bundle/rootfs/work/end"
    ended "$waiter"
    equals "$status" 3
    equals "$(cat "$BATS_TEST_TMPDIR/status")" 3
}

@test "wait learns it from the kernel without a watcher" {
    is_linux 6.15 || skip "needs Linux 6.15"
    bundle . sh -c 'until [ -e /work/end ]; do sleep 0.02; done; kill -TERM $$; exit 3'
    detach
    rt wait "$id" >"$BATS_TEST_TMPDIR/status" &
    pids+=($!)
    local waiter=$!
    sleep 0.1
    touch "$bundle/rootfs/work/end"
    ended "$waiter"
    equals "$status $(cat "$BATS_TEST_TMPDIR/status")" "3 3"
}

@test "wait for what is not there says so" {
    run rt wait nobody
    equals "$status" 1
    contains "$output" "does not exist"
}

# bats test_tags=smoke
@test "state tells how long each phase of the start took" {
    bundle '.hooks.createRuntime = [{path: "/bin/sleep", args: ["sleep", "0.05"]}]' sleep 1000
    create
    rt state "$id" | jq -e '.phasesUs | (keys == ["cgroup","clone","hooks","load","prepare","seccomp","setup"])
        and .hooks >= 50000 and .hooks < 5000000 and .seccomp == 0 and .clone > 0 and .cgroup > 0'
}
