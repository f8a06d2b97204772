#!/usr/bin/env bats
# A job's life under joblet-shim: its code, its output, its end.

load lib.bash

setup_file() { file_setup; }
teardown_file() { file_teardown; }
teardown() { job_teardown; }

# bats test_tags=smoke
@test "a job's output, exit code and record" {
    bundle sh -c 'echo out; echo err >&2; exit 3'
    run_job
    [[ $sync == running\ * ]]
    [ "$(job_log stdout)" = out ]
    [ "$(job_log stderr)" = err ]
    [ "$(record kind)" = code ]
    [ "$(record value)" = 3 ]
    [ "$(record log_bytes)" = 8 ]
    [ "$(record log_dropped_bytes)" = 0 ]
    [ "$(record stop_requested)" = 0 ]
    [ "$(record error_text)" = "" ]
    [ "$(record started_wall_ns)" -gt 1700000000000000000 ]
    [ "$(record ended_wall_ns)" -ge "$(record started_wall_ns)" ]
    [ "$(wc -c <"$dir/log/output.0.log")" = 8 ]
    [ "$(head -1 "$dir/state/exit")" = "joblet-exit 1" ]
    nothing_left
}

@test "exit codes come through as they are" {
    local code
    for code in 0 1 42 126 127 128 137 255; do
        bundle sh -c "exit $code"
        run_job
        [ "$(record kind) $(record value)" = "code $code" ]
        [ "$(record oom_kills)" = 0 ]
        [ -z "$(job_log note)" ] # 137 without the OOM killer is no OOM kill
    done
}

@test "under joblet-init a signal ends in 128 and its number" {
    local sig
    for sig in 1 2 6 9 11 12 15; do # ash blocks 3 for itself
        bundle sh -c "ulimit -c 0; kill -$sig \$\$"
        run_job
        [ "$(record kind) $(record value)" = "code $((128 + sig))" ]
    done
}

@test "a command that is PID 1 itself: the signal is recorded" {
    JQ='.process.args = ["/bin/sleep", "60"]' bundle
    start
    ctl kill "$dir/state/control" 9
    ended
    [ "$(record kind) $(record value)" = "signal 9" ]
    [ "$(record stop_requested)" = 1 ]
    nothing_left
}

@test "the last line needs no newline" {
    bundle printf 'no newline at the end'
    run_job
    [ "$(job_log stdout | hex)" = "$(printf 'no newline at the end' | hex)" ]
}

@test "100,000 lines of four writers arrive whole" {
    bundle sh -c 'for w in 1 2 3 4; do
            busybox awk -v w=$w "BEGIN { for (i = 1; i <= 25000; i++) print w, i }" & done; wait'
    run_job
    job_log stdout | sort | sha256sum >"$dir/got"
    awk 'BEGIN { for (w = 1; w <= 4; w++) for (i = 1; i <= 25000; i++) print w, i }' |
        sort | sha256sum | diff - "$dir/got"
}

@test "a line a write: records hold what a read held, in order" {
    bundle sh -c 'i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i + 1)); done'
    run_job
    job_log stdout | sha256sum >"$dir/got"
    seq -f 'line %.0f' 0 19999 | sha256sum | diff - "$dir/got"
    [ "$(ctl records "$dir/log" | wc -l)" -le 20001 ]
}

@test "1 MiB just before the exit is all there" {
    bundle sh -c 'head -c 1048576 /dev/zero | tr "\0" x; exit 7'
    run_job
    [ "$(record value)" = 7 ]
    [ "$(job_log stdout | sha256sum)" = "$(head -c 1048576 /dev/zero | tr '\0' x | sha256sum)" ]
    [ "$(record log_bytes)" = 1048576 ]
}

@test "output of a job that is gone at once" {
    local n
    for n in 1 2 3 4 5; do
        bundle printf 'x%.0s' $(seq $((n * 997)))
        run_job
        [ "$(job_log stdout | wc -c)" = $((n * 997)) ]
    done
}

# bats test_tags=smoke
@test "daemonized children that hold the output are killed at the end" {
    bundle sh -c 'for i in 1 2 3 4 5 6 7 8; do (setsid sh -c "trap \"\" TERM HUP; sleep 600" &) ; done
        echo started; exit 4'
    run_job
    [ "$(record value)" = 4 ]
    [ "$(job_log stdout)" = started ]
    nothing_left
}

# bats test_tags=smoke
@test "the same without a pid namespace" {
    JQ='.linux.namespaces |= map(select(.type != "pid")) | .process.args = .process.args[2:]' \
        bundle sh -c '(setsid sh -c "trap \"\" TERM; echo pid; sleep 600" &) ; sleep 0.1; exit 4'
    run_job
    [ "$(record kind) $(record value)" = "code 4" ]
    nothing_left
}

# bats test_tags=smoke
@test "stop: SIGTERM reaches the command, and sleep ends on it" {
    bundle sleep 600
    start
    [[ $(ctl stop "$dir/state/control" 600000) == running\ * ]]
    ended
    [ "$(record kind) $(record value)" = "code 143" ]
    [ "$(record stop_requested)" = 1 ]
    [ "$(record timed_out)" = 0 ]
    nothing_left
}

@test "stop: a trap runs, once, and its code counts" {
    bundle sh -c 'trap "echo got TERM; exit 5" TERM; echo ready; while :; do sleep 0.05; done'
    start
    until_true grep -q ready "$dir/log/output.0.log"
    ctl stop "$dir/state/control" 600000
    ended
    [ "$(record value)" = 5 ]
    [ "$(job_log stdout | grep -c TERM)" = 1 ]
}

# bats test_tags=smoke
@test "stop: a single process sees SIGTERM once" {
    # read is a builtin that a signal interrupts at once: two signals would be two lines
    bundle sh -c 'trap "echo TERM" TERM; trap "exit 0" USR1; mkfifo f; exec 3<>f; rm f; echo ready
        while :; do read x <&3; done'
    start
    until_true grep -q ready "$dir/log/output.0.log"
    ctl kill "$dir/state/control" 15
    until_true grep -q TERM "$dir/log/output.0.log"
    sleep 0.2 # time for a second one to arrive, if there were one
    ctl kill "$dir/state/control" 10
    ended
    [ "$(job_log stdout | grep -c TERM)" = 1 ]
}

@test "stop: PID 1 gets the SIGTERM that it was too young for" {
    # a loop of builtins, so that nobody else is there to be ended
    JQ='.process.args = ["/bin/sh", "-c", "i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done
        trap \"echo TERM; exit 5\" TERM; while :; do sleep 0.05; done"]' bundle
    start
    ctl stop "$dir/state/control" 600000
    ended
    [ "$(record value) $(job_log stdout)" = "5 TERM" ]
}

@test "stop: joblet-init gets the SIGTERM that PID 1 was too young for before it was joblet-init" {
    JQ='.process.args = ["/bin/sh", "-c", "i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done
        exec /bin/joblet-init -- sleep 600"]' bundle
    start
    ctl stop "$dir/state/control" 600000
    ended
    [ "$(record value)" = 143 ]
}

@test "stop: while the job starts it is not lost" {
    local i
    [ "${runtime##*/}" = joblet-run ] || skip "a container of $runtime may take its SIGTERM while it starts"
    for i in {1..20}; do
        bundle sleep 600
        "$shim" --id "$id" --bundle "$dir/bundle" --state-dir "$dir/state" --log-dir "$dir/log" \
            --runtime-root "$dir/root" --runtime "$runtime" --cgroup "$cgroup_parent/$id" \
            3>&- 2>"$dir/stderr" &
        shim_pid=$!
        until_true test -S "$dir/state/control"
        ctl stop "$dir/state/control" 600000 >/dev/null # ended is not so patient
        ended || { echo "turn $i"; false; }
        [ "$(record stop_requested)" = 1 ]
    done
}

# bats test_tags=smoke
@test "stop: what ignores SIGTERM is killed after the grace" {
    bundle sh -c 'trap "" TERM; echo ready; while :; do sleep 600; done'
    start
    until_true grep -q ready "$dir/log/output.0.log"
    ctl stop "$dir/state/control" 300
    ended
    local ms=$((($(record ended_wall_ns) - $(record started_wall_ns)) / 1000000))
    [ "$(record kind) $(record value)" = "signal 9" ]
    [ $ms -ge 300 ]
    nothing_left
}

@test "stop again with less grace is sooner, with more is not later" {
    bundle sh -c 'trap "" TERM; echo ready; while :; do sleep 600; done'
    start
    until_true grep -q ready "$dir/log/output.0.log"
    ctl stop "$dir/state/control" 600000
    ctl stop "$dir/state/control" 100
    ctl stop "$dir/state/control" 600000
    ended
    [ "$(record kind) $(record value)" = "signal 9" ]
}

@test "kill: a signal reaches every process" {
    bundle sh -c 'sh -c "trap \"echo one; exit 0\" USR1; echo ready; while :; do sleep 0.05; done" &
        trap "echo two; wait; exit 9" USR1; echo ready; while :; do sleep 0.05; done'
    start
    two_ready() { [ "$(grep -c ready "$dir/log/output.0.log")" = 2 ]; }
    until_true two_ready
    ctl kill "$dir/state/control" 10
    ended
    [ "$(job_log stdout | sort | tr '\n' ' ')" = "one ready ready two " ]
    [ "$(record value)" = 9 ]
    [ "$(record stop_requested)" = 0 ] # SIGUSR1 does not ask a job to end
}

# limited OPTION... SCRIPT: a life that a limit ends once the script has said "ready"; a slow machine
# gets a longer one.
limited() {
    local ms
    for ms in 300 3000 30000; do
        bundle sh -c "${!#}"
        start --time-limit-ms $ms "${@:1:$#-1}"
        ended
        [ "$(record timed_out)" = 1 ]
        [[ $(job_log stdout) != ready* ]] || return 0
    done
    return 1
}

@test "the time limit stops the job and says so" {
    limited 'trap "echo bye; exit 0" TERM; echo ready; while :; do sleep 0.05; done'
    [ "$(record stop_requested)" = 0 ]
    [ "$(record kind) $(record value)" = "code 0" ]
    [ "$(job_log stdout)" = $'ready\nbye' ]
}

@test "the time limit kills what does not listen" {
    limited --stop-grace-ms 200 'trap "" TERM; echo ready; while :; do sleep 600; done'
    [ "$(record kind) $(record value)" = "signal 9" ]
}

@test "SIGTERM to the shim is a stop" {
    bundle sleep 600
    start
    kill -TERM "$shim_pid"
    ended
    [ "$shim_status" = 0 ]
    [ "$(record value) $(record stop_requested)" = "143 1" ]
}

# bats test_tags=smoke
@test "OOM: 16 MB are not enough, and the log says why" {
    JQ='.linux.resources = {memory: {limit: 16777216, swap: 16777216}}' \
        bundle sh -c 'echo begin; head -c 64m /dev/zero | tail >/dev/null; exit $?'
    run_job
    [ "$(record oom_kills)" -ge 1 ]
    [ "$(record value)" = 137 ]
    [ "$(job_log note)" = "Job killed due to memory limit" ]
    [ "$(ctl records "$dir/log" | awk '{print $2}' | tail -2 | tr '\n' ' ')" = "note end " ]
    [ "$(record memory_peak)" -gt 8000000 ]
    nothing_left
}

# bats test_tags=smoke
# The kernel may kill once more before the first one's memory is back: sh must not be the next.
@test "OOM of a child only, which the command survives, is counted and not blamed" {
    JQ='.linux.resources = {memory: {limit: 16777216, swap: 16777216}}' \
        bundle sh -c '(echo 1000 >/proc/self/oom_score_adj; head -c 64m /dev/zero | tail >/dev/null); echo went on; exit 6'
    run_job
    [ "$(record oom_kills)" -ge 1 ]
    [ "$(record value)" = 6 ]
    [ -z "$(job_log note)" ]
}

# bats test_tags=smoke
@test "counters of the job are in the record" {
    bundle sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done'
    run_job
    [ "$(($(record cpu_user_us) + $(record cpu_system_us)))" -gt 10000 ]
    [ "$(record memory_peak)" -gt 0 ]
}

# bats test_tags=smoke
@test "a terminal: one stream, plain newlines, and isatty is true" {
    JQ='.process.terminal = true' bundle sh -c 'test -t 0 && test -t 1 && test -t 2 && echo tty
        echo err >&2; printf last; exit 2'
    run_job --terminal
    [ "$(record value)" = 2 ]
    [ "$(job_log stdout | hex)" = "$(printf 'tty\nerr\nlast' | hex)" ]
    [ -z "$(job_log stderr)" ]
    nothing_left
}

@test "the job starts with nothing on standard input, umask 022 and no stray descriptors" {
    bundle sh -c 'cat; umask; ls /proc/self/fd | tr "\n" " "; cat /proc/self/oom_score_adj'
    run_job
    [ "$(job_log stdout)" = "0022
0 1 2 3 0" ]
}
