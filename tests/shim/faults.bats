#!/usr/bin/env bats
# What goes wrong around a job, and what joblet-shim makes of it; and what it costs when idle.

load lib.bash

setup_file() { file_setup; }
teardown_file() { file_teardown; }
teardown() {
    job_teardown
    ! mountpoint -q "${dir-/nowhere}/log" || umount "$dir/log"
    ! mountpoint -q "${dir-/nowhere}/state" || umount "$dir/state"
}

# field NAME FILE: a number of /proc/PID/status and the like
field() { awk -v name="$1:" '$1 == name { print $2 }' "$2"; }

@test "a missing command under joblet-init is 127 and says so" {
    bundle no-such-command --flag
    run_job
    [ "$(record kind) $(record value)" = "code 127" ]
    [ "$(job_log stderr)" = "joblet: command not found: no-such-command" ]
}

# bats test_tags=smoke
@test "a missing command without joblet-init is a start error 127" {
    JQ='.process.args = ["no-such-command"]' bundle
    run_job
    [[ $sync == failed\ 0\ 0\ * ]]
    [ "$(record kind) $(record value)" = "start-error 127" ]
    [[ $(record error_text) == *no-such-command* ]]
    [ "$(record error_phase)" != "" ]
    [ "$(record started_wall_ns)" = 0 ]
    [[ $(job_log) == "joblet: could not start: "*no-such-command* ]] # and no word of the runtime's
    [ "$(ctl records "$dir/log" | cut -d' ' -f1,2 | tr '\n' ' ')" = "1 note 2 end " ]
    nothing_left
}

@test "a command that is not executable is a start error 126" {
    echo data >"$ROOTFS/work/data"
    chmod 644 "$ROOTFS/work/data"
    JQ='.process.args = ["/work/data"]' bundle
    run_job
    [ "$(record kind) $(record value)" = "start-error 126" ]
}

@test "a bad bundle is a start error with the runtime's sentence" {
    bundle true
    echo '{ "ociVersion": ' >"$dir/bundle/config.json"
    run_job
    [ "$(record kind) $(record value)" = "start-error 1" ]
    [ "$(record error_text | wc -c)" -gt 10 ]
    [ "$(job_log note)" = "joblet: could not start: $(record error_text)" ]
    rm "$dir/bundle/config.json"
    rm -r "$dir"/state/* "$dir"/log/* "$dir/sync"
    run_job
    [ "$(record kind)" = start-error ]
    nothing_left
}

@test "a runtime that dies without a log line: its code and last words" {
    bundle true
    printf '#!/bin/sh\n[ "$7" = delete ] && exit 0\necho first >&2; echo "no luck today" >&2; exit 9\n' \
        >"$dir/runtime"
    chmod +x "$dir/runtime"
    runtime=$dir/runtime run_job
    [ "$(record error_text)" = "the runtime ended with code 9: first no luck today" ]
    [ "$(record value)" = 1 ]
    [ "$(job_log)" = "joblet: could not start: the runtime ended with code 9: first no luck today" ]
}

@test "a runtime that dies by a signal, is not there, or leaves a foreign pid" {
    bundle true
    printf '#!/bin/sh\n[ "$7" = delete ] && exit 0\nkill -9 $$\n' >"$dir/runtime"
    chmod +x "$dir/runtime"
    runtime=$dir/runtime run_job
    [ "$(record error_text)" = "the runtime was killed by signal 9" ]

    bundle true
    runtime=$dir/none run_job
    [ "$(record kind) $(record value)" = "start-error 1" ]
    [[ $(record error_text) == *"$dir/none"*"No such file"* ]]

    bundle true
    printf '#!/bin/sh\n[ "$7" = delete ] && exit 0\necho $PPID >%s/state/pid\n' "$dir" >"$dir/runtime"
    chmod +x "$dir/runtime"
    runtime=$dir/runtime run_job
    [[ $(record error_text) == *"not a child of ours"* ]]
    kill -0 $$
}

@test "a runtime that hangs: stop ends it, and the job has not started" {
    bundle true
    printf '#!/bin/sh\n[ "$7" = delete ] && exit 0\necho hanging >%s/hanging; exec sleep 600\n' \
        "$dir" >"$dir/runtime"
    chmod +x "$dir/runtime"
    "$shim" --id "$id" --bundle "$dir/bundle" --state-dir "$dir/state" --log-dir "$dir/log" \
        --runtime-root "$dir/root" --runtime "$dir/runtime" 3>&- &
    shim_pid=$!
    until_true test -e "$dir/hanging"
    [[ $(ctl state "$dir/state/control") == "starting 0 0 0" ]]
    ctl stop "$dir/state/control" 100
    ended
    [ "$(record kind) $(record stop_requested)" = "start-error 1" ]
    [ "$(record error_text)" = "stopped before it had started" ]
}

@test "a runtime that prints much is neither stuck nor lost" {
    bundle true
    printf '#!/bin/sh\n[ "$7" = delete ] && exit 0\nhead -c 300000 /dev/zero | tr "\\0" y >&2; exit 1\n' \
        >"$dir/runtime"
    chmod +x "$dir/runtime"
    runtime=$dir/runtime run_job
    [[ $(record error_text) == "the runtime ended with code 1: yyyy"* ]]
}

@test "the runtime as a descriptor" {
    bundle sh -c 'echo by fd'
    exec 7<"$runtime"
    mkfifo "$dir/sync"
    "$shim" --id "$id" --bundle "$dir/bundle" --state-dir "$dir/state" --log-dir "$dir/log" \
        --runtime-root "$dir/root" --runtime-fd 7 --cgroup "$cgroup_parent/$id" 3>&- &
    shim_pid=$!
    exec 7<&-
    ended
    [ "$(job_log stdout)" = "by fd" ]
    [ "$(record kind) $(record value)" = "code 0" ]
    nothing_left
}

# bats test_tags=smoke
@test "a full log disk: the job goes on, what was dropped is counted" {
    bundle sh -c 'head -c 3m /dev/zero | tr "\0" x; echo the end; exit 5'
    mount -t tmpfs -o size=1m none "$dir/log"
    run_job
    [ "$(record kind) $(record value)" = "code 5" ]
    [ "$(record log_dropped_bytes)" -gt 2000000 ]
    [ "$(($(record log_bytes) + $(record log_dropped_bytes)))" = $((3 * 1048576 + 8)) ]
    ctl records "$dir/log" | tail -2 | awk '{print $2}' | tr '\n' ' ' | grep -qx 'gap end '
    umount "$dir/log"
    nothing_left
}

@test "a log disk that has room again: a gap record, and on it goes" {
    bundle sh -c 'head -c 2m /dev/zero | tr "\0" x; echo full >&2
        trap "echo again; exit 0" USR1; while :; do sleep 0.05; done'
    mount -t tmpfs -o size=1m none "$dir/log"
    start
    dropped() { ctl state "$dir/state/control" | awk '{ exit !($4 > 1000000) }'; }
    until_true dropped
    mount -o remount,size=8m "$dir/log"
    ctl kill "$dir/state/control" 10
    ended
    job_log stdout | tail -c 6 | grep -qx again
    [ "$(ctl records "$dir/log" | awk '$2 == "gap"' | wc -l)" -ge 1 ]
    [ "$(ctl records "$dir/log" | awk '$2 == "gap" { n += $4 } END { print n }')" = \
        "$(record log_dropped_bytes)" ]
}

# Bytes of all files of the log.
log_size() { cat "$dir"/log/output.* | wc -c; }

# bats test_tags=smoke
@test "a log with a ceiling: its oldest part goes, and is counted" {
    bundle sh -c 'seq -w 400000; echo the end >&2; exit 5'
    run_job --log-max-bytes 1048576
    [ "$(record kind) $(record value)" = "code 5" ]
    [ "$(log_size)" -le 1048576 ]
    [ "$(log_size)" -gt 800000 ]
    seq -w 400000 >"$dir/all"
    job_log stdout >"$dir/kept"
    cmp "$dir/kept" <(tail -c "$(wc -c <"$dir/kept")" "$dir/all")
    local gone
    gone=$(($(wc -c <"$dir/all") - $(wc -c <"$dir/kept")))
    [ "$(ctl records "$dir/log" | awk 'NR == 1 { print $2, $4 }')" = "cut $gone" ]
    [ "$(record log_dropped_bytes)" = "$gone" ]
    [ "$(record log_bytes)" = $(($(wc -c <"$dir/kept") + 8)) ]
    [ "$(ls "$dir"/log/*.log | wc -l)" = $(($(ls "$dir"/log/*.idx | wc -l) - 1)) ]
    nothing_left
}

@test "below its ceiling a log loses nothing" {
    bundle sh -c 'head -c 1000000 /dev/zero | tr "\0" x'
    run_job --log-max-bytes 1048576
    [ "$(job_log stdout | wc -c)" = 1000000 ]
    [ "$(record log_dropped_bytes)" = 0 ]
    [ -s "$dir/log/output.6.idx" ]
}

@test "a state directory that fills up does not take the exit code" {
    bundle sh -c 'trap "exit 11" USR1; while :; do sleep 0.05; done'
    mount -t tmpfs -o size=64k none "$dir/state"
    start
    head -c 1m /dev/zero >"$dir/state/filler" || true
    ctl kill "$dir/state/control" 10
    ended
    [ "$(record kind) $(record value)" = "code 11" ]
}

@test "states are told as they change, to several at once" {
    bundle sh -c 'trap "exit 0" USR1; while :; do sleep 0.05; done'
    start
    ctl wait "$dir/state/control" >"$dir/a" 3>&- &
    local a=$!
    ctl wait "$dir/state/control" >"$dir/b" 3>&- &
    local b=$!
    until_true grep -q running "$dir/a"
    until_true grep -q running "$dir/b"
    ctl kill "$dir/state/control" 10
    ended
    wait $a
    wait $b
    [ "$(awk '{print $1}' "$dir/a" | tr '\n' ' ')" = "running ending done " ]
    cmp "$dir/a" "$dir/b"
}

@test "a client that is killed or reconnects changes nothing" {
    bundle sh -c 'trap "exit 0" USR1; while :; do sleep 0.05; done'
    start
    local i
    for i in 1 2 3 4 5 6 7 8 9 10 11 12; do # more than there are places
        /usr/bin/python3 "$here/shimctl.py" wait "$dir/state/control" >"$dir/client" 3>&- &
        until_true grep -q running "$dir/client"
        kill -9 $!
        wait $! 2>/dev/null || true
        rm "$dir/client"
    done
    # and more living ones than there are places: the newest is heard
    local pids=()
    for i in 1 2 3 4 5 6 7 8 9 10; do
        /usr/bin/python3 "$here/shimctl.py" wait "$dir/state/control" >"$dir/client$i" 2>&1 3>&- &
        pids+=($!)
        until_true grep -q running "$dir/client$i"
    done
    [[ $(ctl state "$dir/state/control") == running\ * ]]
    ctl kill "$dir/state/control" 10
    ended
    wait "${pids[@]}" || true
    grep -q done "$dir/client10"
    [ "$(record value)" = 0 ]
}

@test "a client that never reads is dropped, the others are served" {
    bundle sh -c 'trap "exit 0" USR1; while :; do sleep 0.05; done'
    start
    [ "$(ctl stuck "$dir/state/control")" = dropped ]
    [[ $(ctl state "$dir/state/control") == running\ * ]]
    ctl kill "$dir/state/control" 10
    ended
}

@test "nonsense on the socket drops the client" {
    bundle sh -c 'trap "exit 0" USR1; while :; do sleep 0.05; done'
    start
    local bytes
    for bytes in 00 "$(printf 'ff%.0s' $(seq 44))" "$(printf '00%.0s' $(seq 2000))" \
        4a534301040000000000000000000000010000000000000000000000000000000000000000000000000000000000; do
        [ "$(ctl raw "$dir/state/control" "$bytes")" = dropped ]
    done
    [[ $(ctl state "$dir/state/control") == running\ * ]]
    [ "$(stat -c %a "$dir/state/control")" = 600 ]
    # another user, even one who may open the socket
    chmod 777 "$dir/state/control"
    chmod 755 "$BATS_RUN_TMPDIR" "$BATS_TEST_TMPDIR" "$dir" "$dir/state"
    run setpriv --reuid 65534 --clear-groups --inh-caps +dac_override --ambient-caps +dac_override \
        /usr/bin/python3 "$here/shimctl.py" raw "$dir/state/control" \
        4a534301010000000000000000000000000000000000000000000000000000000000000000000000000000000000
    [[ $output != running* ]]
    ctl kill "$dir/state/control" 10
    ended
}

# bats test_tags=smoke
@test "kill -9 of the shim: no false record, and the runtime can clean up" {
    bundle sh -c 'sleep 600 & sleep 600'
    start
    kill -9 "$shim_pid"
    wait "$shim_pid" || true
    [ ! -e "$dir/state/exit" ]
    "$runtime" --root "$dir/root" delete --force "$id"
    [ -z "$(all_cgroup_dirs)" ]
    [ -z "$(ls -A "$dir/root")" ]
}

@test "kill -9 of the shim at any moment: a whole record or none, and nothing that delete leaves" {
    case $runtime in */runc) skip "runc that is killed while it creates leaves a cgroup (runc#4534)" ;; esac
    local ms
    for ms in 0 5 10 15 20 30 40 50 60 70 80 90 100 120 140; do
        bundle sh -c 'echo x; sleep 0.03; exit 7'
        "$shim" --id "$id" --bundle "$dir/bundle" --state-dir "$dir/state" --log-dir "$dir/log" \
            --runtime-root "$dir/root" --runtime "$runtime" --cgroup "$cgroup_parent/$id" 3>&- &
        shim_pid=$!
        sleep "$(printf '0.%03d' $ms)" # the moment to be tried, not one to be in time for
        kill -9 "$shim_pid" 2>/dev/null || true
        wait "$shim_pid" 2>/dev/null || true
        if [ -e "$dir/state/exit" ]; then
            [ "$(record kind) $(record value)" = "code 7" ]
            [ "$(tail -1 "$dir/state/exit")" = "error_hint=" ]
            [ "$(job_log stdout)" = x ]
        fi
        deleted() {
            "$runtime" --root "$dir/root" delete --force "$id" && nothing_left_but_socket >"$dir/left"
        }
        until_true deleted || { cat "$dir/left"; return 1; }
    done
}

@test "the shim outlives who started it" {
    bundle sh -c 'trap "echo still here; exit 3" USR1; while :; do sleep 0.05; done'
    (
        start
        echo "$shim_pid" >"$dir/shim.pid"
        kill -9 $BASHPID
    ) || true
    shim_pid=$(cat "$dir/shim.pid")
    ctl kill "$dir/state/control" 10
    gone() { ! kill -0 "$shim_pid" 2>/dev/null; }
    until_true gone
    [ "$(record value)" = 3 ]
    [ "$(job_log stdout)" = "still here" ]
}

@test "a second shim for the same job is refused and disturbs nothing" {
    bundle sh -c 'trap "exit 0" USR1; while :; do sleep 0.05; done'
    start
    run "$shim" --id "$id" --bundle "$dir/bundle" --state-dir "$dir/state" --log-dir "$dir/log" \
        --runtime-root "$dir/root" --runtime "$runtime"
    [ "$status" -ne 0 ]
    [[ $output == *"exit.new"* ]]
    [[ $(ctl state "$dir/state/control") == running\ * ]]
    ctl kill "$dir/state/control" 10
    ended
    [ "$(record value)" = 0 ]
}

@test "directories that are not there" {
    bundle true
    rmdir "$dir/log"
    run_job
    [ "$(record kind) $(record value)" = "start-error 1" ]
    [[ $(record error_text) == *"$dir/log"* ]]
    [[ $sync == failed* ]]
    bundle true
    rmdir "$dir/state"
    run "$shim" --id "$id" --bundle "$dir/bundle" --state-dir "$dir/state" --log-dir "$dir/log" \
        --runtime-root "$dir/root" --runtime "$runtime"
    [ "$status" -ne 0 ]
    [[ $output == *"$dir/state"* ]]
}

@test "arguments are checked" {
    local args
    bundle true
    for args in "" "--id -x" "--id a/b" "--bogus" "--id" "--bundle relative" "--stop-grace-ms 1s" \
        "--log-max-bytes 5" "--lock-fd 2" "--sync-fd 1" "--cgroup ../x" "extra"; do
        # shellcheck disable=SC2086 # words on purpose
        run "$shim" --id "$id" --bundle "$dir/bundle" --state-dir "$dir/state" \
            --log-dir "$dir/log" --runtime-root "$dir/root" $args
        [ "$status" = 2 ]
        [[ $output == "joblet-shim: "* ]]
        [ -z "$(ls -A "$dir/state")" ]
    done
    "$shim" --help | grep -q -- --sync-fd
    "$shim" --version | grep -q '^joblet-shim [0-9]'
}

@test "idle: no wakeup, no processor time, little memory" {
    bundle sh -c 'echo hello; exec sleep 600'
    start --time-limit-ms 3600000
    until_true test -s "$dir/log/output.0.log"
    ctl state "$dir/state/control"
    local pss dirty
    activity() { # its switches and its time
        grep ctxt_switches "/proc/$shim_pid/status"
        awk '{ print $14 + $15 }' "/proc/$shim_pid/stat"
    }
    asleep() { # the thing measured is that nothing happens, once what was under way has ended
        local before
        before=$(activity)
        sleep 2
        [ "$(activity)" = "$before" ]
    }
    until_true asleep
    pss=$(field Pss "/proc/$shim_pid/smaps_rollup")
    dirty=$(field Private_Dirty "/proc/$shim_pid/smaps_rollup")
    echo "# idle shim: PSS $pss kB, private dirty $dirty kB" >&3
    if [ -z "${JOBLET_SANITIZED-}" ]; then
        [ "$pss" -le 1100 ]
    fi
    ctl stop "$dir/state/control" 600000
    ended
}

@test "no memory grows with the output" {
    bundle sh -c 'head -c 20m /dev/zero; echo; trap "head -c 200m /dev/zero; exit 0" USR1
        echo ready >&2; while :; do sleep 0.05; done'
    start
    until_true grep -aq ready "$dir/log/output.0.log"
    local before after
    before=$(field Private_Dirty "/proc/$shim_pid/smaps_rollup")
    ctl kill "$dir/state/control" 10
    big() { [ "$(stat -c %s "$dir/log/output.0.log")" -gt 150000000 ]; }
    until_true big
    after=$(field Private_Dirty "/proc/$shim_pid/smaps_rollup" 2>/dev/null || echo "$before")
    ended
    [ -n "${JOBLET_SANITIZED-}" ] || [ $((${after:-$before} - before)) -le 64 ]
    [ "$(job_log stdout | wc -c)" = $((220 * 1048576 + 1)) ]
}
