#!/usr/bin/env bats
# The daemon's halves are killed at the worst moment; no job notices, no line is lost or comes twice.

load lib.bash

setup_file() { instance_new && instance_start; }
teardown_file() { instance_end; }

# 100,000 numbered lines, with a pause now and then so that somebody can be killed in between.
printer='import sys, time
for i in range(100000):
    print(f"line {i:06d}", flush=(i % 10 == 0))
    if i % 500 == 0:
        time.sleep(0.01)
sys.exit(5)'

numbered() { seq -f 'line %06g' 0 99999; }

# A log that is followed from the beginning, in $1, has reached line $2.
reached() { grep -q "line 0*$2\$" "$1" 2>/dev/null; }

another_pid() { [ "$("$1")" != "$2" ] && [ -n "$("$1")" ]; }

follow_and_kill() { # PID_FUNCTION TIMES
    local id log=$BATS_TEST_TMPDIR/followed pid n follower
    id=$(job $py -c "$printer")
    rnx job log "$id" >"$log" 2>"$log.err" 3>&- &
    follower=$!
    for n in $(seq "$2"); do
        until_true 60 reached "$log" $((n * 20000))
        pid=$("$1")
        kill -KILL "$pid"
        until_true 20 another_pid "$1" "$pid"
    done
    wait "$follower" || { cat "$log.err"; false; }
    cmp "$log" <(numbered)
    rnx job log "$id" | cmp - <(numbered)
    [ "$(ended "$id")" = "FAILED 5" ]
}

@test "kill -9 of joblet while a job prints 100,000 lines" {
    follow_and_kill joblet_pid 1
}

@test "kill -9 of joblet-front while a job prints 100,000 lines" {
    follow_and_kill front_pid 1
}

@test "kill -9 of joblet again and again" {
    follow_and_kill joblet_pid 3
}

@test "a job that ends while nobody is there keeps its exit code and its log" {
    id=$(job $py -c 'import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
print("ready", flush=True)
signal.sigwait([signal.SIGUSR1])
print("last words")
sys.exit(42)')
    until_true 20 logged "$id" ready
    pid=$(job_pid "$id" python3)
    shim=$(shim_of "$id")
    kill -STOP "$(cat "$I/run/keeper")" # no new joblet until CONT
    kill -KILL "$(joblet_pid)"
    kill -USR1 "$pid"
    until_true 20 is_gone "$pid"
    until_true 20 is_gone "$shim"
    kill -CONT "$(cat "$I/run/keeper")"
    until_true 20 answers_again
    [ "$(ended "$id")" = "FAILED 42" ]
    [ "$(rnx job log "$id")" = "ready
last words" ]
}

@test "... and a copy of it that outlives /run, where that is memory" {
    keeper_stop
    mount -t tmpfs -o mode=755 none "$I/run" # over the directory of the other tests
    instance_start
    there=$(job sh -c 'echo there; exit 4')
    [ "$(ended "$there")" = "FAILED 4" ]
    [ ! -e "$I/logs/$there/exit" ]
    id=$(job sh -c 'echo ready; while [ ! -e go ]; do sleep 0.1; done; exit 43')
    until_true 20 logged "$id" ready
    shim=$(shim_of "$id")
    kill -STOP "$(cat "$I/run/keeper")"
    kill -KILL "$(joblet_pid)"
    kill -KILL "$(job_pid "$id" sh)"
    until_true 20 is_gone "$shim"
    cmp "$I/logs/$id/exit" "$I/run/jobs/$id/exit"
    grep -q '^value=9$' "$I/logs/$id/exit"
    kill -CONT "$(cat "$I/run/keeper")"
    until_true 20 answers_again
    [ "$(ended "$id")" = "FAILED 137" ]
    rnx job delete "$id"
    until_true 20 is_missing "$I/logs/$id"
    keeper_stop
    umount "$I/run"
    instance_start
}
is_missing() { [ ! -e "$1" ]; }
logged() { rnx job log --no-follow "$1" 2>/dev/null | grep -q "$2"; }
answers_again() { rnx job list >/dev/null 2>&1; }
shim_of() { # the process whose command line names the job
    local pid
    for pid in /proc/[0-9]*; do
        [ "$(cat "$pid/comm" 2>/dev/null)" = joblet-shim ] || continue
        ! tr '\0' ' ' <"$pid/cmdline" | grep -qF "$1" || { echo "${pid#/proc/}"; return; }
    done
}

@test "a shim that is killed ends its job, its log and nothing else" {
    other=$(job sh -c 'echo other; sleep 3; echo done')
    id=$(job sh -c 'echo before; sleep 300')
    until_true 20 logged "$id" before
    rnx job log "$id" >"$BATS_TEST_TMPDIR/log" 2>&1 3>&- &
    follower=$!
    kill -KILL "$(shim_of "$id")"
    [[ "$(ended "$id")" == FAILED* ]]
    wait "$follower" # it ended, though the shim could not say so
    grep -q before "$BATS_TEST_TMPDIR/log"
    until_true 10 no_cgroup "$id"
    [ "$(ended "$other")" = "COMPLETED 0" ]
}

@test "a running job is stopped by a joblet that did not start it" {
    id=$(job sh -c 'trap "exit 0" TERM; echo up; while :; do sleep 0.05; done')
    until_true 20 logged "$id" up
    pid=$(joblet_pid)
    kill -KILL "$pid"
    until_true 20 another_pid joblet_pid "$pid"
    until_true 20 answers_again
    [ "$(status_of "$id")" = RUNNING ]
    rnx job stop "$id"
    [ "$(status_of "$id")" = STOPPED ]
}

@test "SIGTERM stops the daemon and leaves jobs running" {
    id=$(job sh -c 'echo up; sleep 2; echo after')
    until_true 20 logged "$id" up
    pid=$(joblet_pid)
    front=$(front_pid)
    keeper_stop
    is_gone "$pid"
    is_gone "$front"
    [ "$(tail -n 1 "$I/run/exits")" = 0 ]
    instance_start
    [ "$(ended "$id")" = "COMPLETED 0" ]
    [ "$(rnx job log "$id")" = "up
after" ]
}

@test "the grace that a client asked for outlives joblet" {
    keeper_stop
    cp "$I/config/joblet-config.yml" "$BATS_TEST_TMPDIR/config"
    sed -i 's/^#* *joblet:/joblet:/; s/^#*  *stopGrace: .*/  stopGrace: 1s/' "$I/config/joblet-config.yml"
    grep -A 20 '^joblet:' "$I/config/joblet-config.yml" | grep -q '^  stopGrace: 1s'
    instance_start
    id=$(job sh -c 'trap "echo saving; sleep 3; echo saved; exit 0" TERM; echo up; while :; do sleep 0.1; done')
    until_true 20 logged "$id" up
    client 'c.job.StopJob(pb.StopJobRequest(uuid=args[0], grace_ms=60000))' "$id" >/dev/null 2>&1 3>&- &
    until_true 20 logged "$id" saving
    kill -KILL "$(joblet_pid)"
    until_true 20 answers_again
    [ "$(ended "$id" | cut -d' ' -f1)" = STOPPED ]
    [ "$(rnx job log "$id" | tail -1)" = saved ]
    keeper_stop
    cp "$BATS_TEST_TMPDIR/config" "$I/config/joblet-config.yml"
    instance_start
}
