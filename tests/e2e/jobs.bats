#!/usr/bin/env bats
# The whole path: rnx, joblet-front, joblet, joblet-shim, joblet-run and a job, on this machine.

load lib.bash

setup_file() {
    instance_new --set joblet.stopGrace=2s && instance_start
}
teardown_file() { instance_end; }

@test "a job's output and exit code come back" {
    id=$(job sh -c 'echo out; echo err >&2; exit 3')
    [ "$(rnx job log "$id" | sort)" = $'err\nout' ]
    [ "$(rnx job log --json "$id" | jq -r 'select(.stream == "stderr") | .data')" = err ]
    [ "$(ended "$id")" = "FAILED 3" ]
    [ "$(output sh -c 'exit 0')" = "" ]
    id=$(job sh -c 'kill -KILL $$')
    [ "$(ended "$id")" = "FAILED 137" ]
    id=$(job /no/such/program)
    [ "$(ended "$id")" = "FAILED 127" ]
}

@test "rnx job run --wait shows the log and ends with the job's exit code" {
    run rnx job run --wait sh -c 'echo hello; exit 7'
    [ "$status" -eq 7 ]
    [[ $output == *hello* ]]
}

@test "Ctrl-C in rnx job run --wait is an error of its own, and the job runs on" {
    rnx job run --wait sh -c 'echo up; exec sleep 100' >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" 3>&- &
    pid=$!
    until_true 10 grep -qx up "$BATS_TEST_TMPDIR/out"
    kill -INT $pid
    code=0
    wait $pid || code=$?
    [ $code -eq 1 ]
    id=$(sed -n 's/^ID: //p' "$BATS_TEST_TMPDIR/err")
    grep -qx "Error: interrupted: nobody waits for job $id any more, which runs on" "$BATS_TEST_TMPDIR/err"
    has_status "$id" RUNNING
    rnx job stop "$id"
}

@test "a job sees its own processes alone" {
    run output sh -c 'ls /proc | grep -c "^[0-9]"; cat /proc/1/comm; hostname'
    [ "$status" -eq 0 ]
    [ "${lines[0]}" -le 5 ]
    [[ ${lines[1]} != systemd && ${lines[1]} != "$(cat /proc/1/comm)" ]]
    # a process of the host cannot be named, let alone signalled
    [ "$(output sh -c "kill -0 $(joblet_pid) 2>/dev/null && echo reached; true")" = "" ]
}

@test "two jobs do not see each other" {
    id=$(job sh -c 'echo secret >/tmp/here; echo secret >/work/here; echo written; sleep 600')
    until_true 10 sh -c "rnx job log --no-follow $id | grep -qx written"
    [ "$(output sh -c 'ls /tmp /work; ps | grep -c "[s]leep 600"; true')" = "/tmp:

/work:
0" ]
    rnx job stop "$id"
}

@test "the system is read-only, /work and /tmp are not" {
    run output sh -c 'for d in / /usr /usr/bin /etc /bin /proc/sys/kernel /sys; do
        touch $d/jl-test 2>/dev/null && echo "wrote $d"; done
        echo ok >/work/a && cat /work/a && echo ok >/tmp/b && cat /tmp/b; pwd'
    [ "$status" -eq 0 ]
    [ "$output" = "ok
ok
/work" ]
    [ ! -e /usr/jl-test ] && [ ! -e /etc/jl-test ] && [ ! -e /jl-test ]
}

@test "a job has no privileges" {
    run output sh -c 'id -u; id -g; grep -E "^(CapEff|CapPrm|CapBnd|NoNewPrivs|Seccomp):" /proc/self/status'
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = 65534 ]
    [ "${lines[1]}" = 65534 ]
    for cap in CapEff CapPrm CapBnd; do [[ $output == *"$cap:	0000000000000000"* ]]; done
    [[ $output == *"NoNewPrivs:	1"* ]]
    [[ $output == *"Seccomp:	2"* ]]
    [ "$(output sh -c 'mount -t tmpfs x /tmp 2>/dev/null || unshare -m true 2>/dev/null || chroot / true 2>/dev/null || echo refused')" = refused ]
}

@test "a job without a network has the loopback alone" {
    [ "$(output --network=none sh -c 'tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d " "')" = lo ]
    run rnx job run --network=nowhere true
    [ "$status" -ne 0 ]
    [[ $output == *"network not found: nowhere"* ]]
}

@test "the environment is the job's own" {
    run output --env=GREETING=hello --secret-env=TOKEN=s3cret sh -c 'echo $GREETING $TOKEN; env'
    [ "${lines[0]}" = "hello s3cret" ]
    [[ $output != *RNX_CONFIG* ]]
    id=$(job --secret-env=TOKEN=s3cret true)
    run rnx job status --json "$id"
    [[ $output != *s3cret* ]]
    ! grep s3cret "$I"/logs/*.log "$I/run/pid"
}

holds() { grep -rqaF -D skip "$1" "$I"; }
is_nowhere() { ! holds "$1"; }
@test "a secret is in no file once its job has ended, also when joblet is killed in between" {
    id=$(job --secret-env=TOKEN=thrown-away-1 sleep 600)
    until_true 20 has_status "$id" RUNNING
    holds thrown-away-1
    rnx job stop "$id"
    until_true 10 is_nowhere thrown-away-1
    ended "$(job --secret-env=TOKEN=thrown-away-2 true)"
    kill -KILL "$(joblet_pid)"
    until_true 20 answers
    until_true 10 is_nowhere thrown-away-2
}

@test "limits are in force in the kernel, and read back there" {
    id=$(job --max-memory=64 --max-cpu=50 --cpu-cores=0 sh -c 'grep Cpus_allowed_list /proc/self/status; sleep 600')
    until_true 10 has_status "$id" RUNNING
    memory= cpu= cores= pids=
    for dir in $(cgroup_dirs | grep "$id"); do
        for f in memory.limit_in_bytes memory.max; do [ ! -r "$dir/$f" ] || memory="$memory $(cat "$dir/$f")"; done
        [ ! -r "$dir/cpu.max" ] || cpu="$cpu $(cat "$dir/cpu.max")"
        [ ! -r "$dir/cpu.cfs_quota_us" ] || cpu="$cpu $(cat "$dir/cpu.cfs_quota_us") $(cat "$dir/cpu.cfs_period_us")"
        [ ! -r "$dir/cpuset.cpus" ] || cores="$cores $(cat "$dir/cpuset.cpus")"
        [ ! -r "$dir/pids.max" ] || pids="$pids $(cat "$dir/pids.max")"
    done
    echo "memory=$memory cpu=$cpu cores=$cores pids=$pids"
    [[ $memory == *" 67108864"* ]]
    [[ $cpu == *" 50000 100000"* ]]
    [[ $cores == *" 0"* ]]
    [[ $pids == *" 4096"* ]]
    until_true 10 sh -c "rnx job log --no-follow $id | grep -q Cpus"
    [[ $(rnx job log --no-follow "$id") == *"Cpus_allowed_list:	0" ]]
    rnx job stop "$id"
}

@test "a job over its memory limit fails with 137 and says why" {
    id=$(job --max-memory=64 $py -c 'b = b"x" * (1 << 28); print("never")')
    run rnx job log "$id"
    [[ $output != *never* ]]
    [[ $output == *"Job killed due to memory limit"* ]]
    [ "$(ended "$id")" = "FAILED 137" ]
    [ "$(field "$id" reason)" = "Job killed due to memory limit" ]
}

@test "a cpu limit slows the job down" {
    run output --max-cpu=20 $py -c 'import time
began = time.monotonic()
while time.process_time() < 0.2: pass
print(time.monotonic() - began > 0.6)'
    [ "$output" = True ]
}

@test "a fork bomb meets the pids limit and leaves nothing" {
    id=$(job --timeout=300s --max-cpu=100 $py -c 'import os, signal, time
n = 0
try:
    while True:
        if os.fork() == 0:
            signal.pause()
        n += 1
except OSError as e:
    print(e.errno, n > 1000, flush=True)')
    run rnx job log "$id"
    [ "$output" = "11 True" ]
    [ "$(ended "$id")" = "COMPLETED 0" ]
    until_true 10 no_cgroup "$id"
}

@test "stop ends a job that listens and one that does not" {
    id=$(job sh -c 'trap "echo bye; exit 0" TERM; echo up; while :; do sleep 0.1; done')
    until_true 10 sh -c "rnx job log --no-follow $id | grep -q up"
    rnx job stop "$id"
    [ "$(status_of "$id")" = STOPPED ]
    [[ $(rnx job log "$id") == *bye* ]]
    id=$(job sh -c 'trap "" TERM; echo up; while :; do sleep 0.1; done')
    until_true 10 sh -c "rnx job log --no-follow $id | grep -q up"
    rnx job stop "$id"
    [ "$(status_of "$id")" = STOPPED ]
    [ "$(field "$id" exit_code)" = 137 ]
    run rnx job stop "$id" # it is over
    [ "$status" -ne 0 ]
}

@test "a job over its time ends as TIMEOUT with 124" {
    id=$(job --timeout=1s sleep 600)
    [ "$(ended "$id" 20)" = "TIMEOUT 124" ]
}

@test "uploads are there before the command runs" {
    mkdir -p "$BATS_TEST_TMPDIR/up/sub/deep"
    head -c 3000000 /dev/urandom >"$BATS_TEST_TMPDIR/up/sub/deep/data"
    printf '#!/bin/sh\necho ran with "$1"\n' >"$BATS_TEST_TMPDIR/up/tool"
    chmod 755 "$BATS_TEST_TMPDIR/up/tool"
    echo single >"$BATS_TEST_TMPDIR/single"
    run --separate-stderr output --upload="$BATS_TEST_TMPDIR/single" --upload-dir="$BATS_TEST_TMPDIR/up" \
        sh -c 'cat single; ./tool x; sha256sum <sub/deep/data; echo mine >>single && echo writable'
    echo "$output"
    [ "${lines[0]}" = single ]
    [ "${lines[1]}" = "ran with x" ]
    [ "${lines[2]}" = "$(sha256sum <"$BATS_TEST_TMPDIR/up/sub/deep/data")" ]
    [ "${lines[3]}" = writable ]
    [ -z "$(ls -A "$I/jobs/.staging")" ]
}

@test "the log is live" {
    mkfifo "$BATS_TEST_TMPDIR/log"
    id=$(job $py -c 'import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
for i in range(3):
    print(i, flush=True)
    signal.sigwait([signal.SIGUSR1])')
    rnx job log "$id" >"$BATS_TEST_TMPDIR/log" 3>&- &
    exec 7<"$BATS_TEST_TMPDIR/log"
    for i in 0 1 2; do
        read -r -t 100 line <&7 # it comes while the job waits for us
        [ "$line" = $i ]
        kill -USR1 "$(job_pid "$id" python3)"
    done
    exec 7<&-
    [ "$(ended "$id")" = "COMPLETED 0" ]
}

@test "the last lines, the times and the pieces of a log" {
    id=$(job sh -c 'for i in $(seq 20); do echo line $i; done')
    ended "$id"
    [ "$(rnx job log --tail=3 "$id")" = "line 18
line 19
line 20" ]
    [ "$(rnx job log --no-follow "$id" | wc -l)" -eq 20 ]
    run rnx job log --timestamps --tail=1 "$id"
    [[ $output == "$(date -u +%Y)-"*"line 20" ]]
}

@test "a job id may be shortened and an unknown one is named" {
    id=$(job true)
    ended "$id"
    [ "$(field "${id:0:8}" uuid)" = "$id" ]
    for cmd in status log stop; do
        run rnx job $cmd 12345678-1234-4234-8234-123456789abc
        [ "$status" -eq 1 ]
        [[ $output == *12345678-1234-4234-8234-123456789abc* ]]
    done
    run rnx job status xyz
    [ "$status" -ne 0 ]
}

@test "jobs are listed" {
    id=$(job echo listed)
    ended "$id"
    rnx job list | grep -q "$id"
    rnx job list --json | jq -e --arg id "$id" '.[] | select(.id == $id) | .status == "COMPLETED"'
}

@test "output without a newline, binary output, and a lot of it are kept as they are" {
    id=$(job $py -c 'import sys
sys.stdout.buffer.write(bytes(range(256)) * 40000 + b"end")')
    [ "$(rnx job log "$id" | sha256sum)" = "$($py -c 'import sys
sys.stdout.buffer.write(bytes(range(256)) * 40000 + b"end")' | sha256sum)" ]
}

@test "what a job leaves running ends with it" {
    local own=300.$$ # nobody else on this machine sleeps so long
    id=$(job sh -c "(setsid sleep $own &) ; echo started; exit 0")
    [ "$(ended "$id")" = "COMPLETED 0" ]
    until_true 10 no_cgroup "$id"
    ! pgrep -f "^sleep $own"
}

@test "a priority and a name are the job's" {
    id=$(job --name=mine --priority=5 true)
    [ "$(field "$id" name)" = mine ]
    ended "$id"
}

@test "the reason says why a command could not be run, and which signal ended it" {
    id=$(job nosuchcmd)
    [ "$(ended "$id")" = "FAILED 127" ]
    [ "$(field "$id" reason)" = "command not found: nosuchcmd" ]
    id=$(job /etc)
    [ "$(ended "$id")" = "FAILED 126" ]
    [ "$(field "$id" reason)" = "cannot run '/etc': is a directory" ]
    id=$(job sh -c 'kill -SEGV $$')
    [ "$(ended "$id")" = "FAILED 139" ]
    [ "$(field "$id" reason)" = "killed by signal 11 (SIGSEGV)" ]
    client "assert c.status('$id').result.signal == 11" || { rnx job status --json "$id"; false; }
    id=$(job sh -c 'exit 139')
    [ "$(ended "$id")" = "FAILED 139" ]
    [ "$(field "$id" reason)" = "exited with code 139" ]
}

@test "a job that the kernel holds says so: stop comes back, and it ends when it is let go" {
    [ -d /sys/fs/cgroup/freezer ] || skip "needs the freezer of cgroup v1, which stops SIGKILL"
    id=$(job sleep 1000)
    until_true 20 has_status "$id" RUNNING
    freezer=/sys/fs/cgroup/freezer/$CGROUP # above the job's, which the shim would thaw
    [ -z "$(cat "$freezer/cgroup.procs")" ]
    echo FROZEN >"$freezer/freezer.state"
    run rnx job stop "$id" 3>&-
    saved=$(rnx job status --json "$id")
    echo THAWED >"$freezer/freezer.state"
    [ "$status" -eq 1 ]
    [[ $output == *"unkillable: the kernel holds process "*"look for a disk or file server"* ]]
    jq -e '.status == "STOPPING" and (.reason | startswith("unkillable"))' <<<"$saved"
    ended "$id"
    [ "$(status_of "$id") $(field "$id" reason)" = "STOPPED stopped" ]
}

# begins_in DIRECTORY: what the job says where it is.
begins_in() { [ "$(output --workdir="$1" pwd)" = "$1" ]; }

@test "a job begins where it is told to; what is not there is made by its own right alone" {
    for dir in / /usr/bin /work/a/b /tmp/a/b /dev/shm/a; do begins_in "$dir"; done
    for dir in /nope/a /home/victim /usr/nope; do
        id=$(job --workdir=$dir true)
        [ "$(ended "$id")" = "FAILED 126" ]
        [[ $(field "$id" reason) == "cannot work in '$dir': it is "* ]] || { rnx job status "$id"; false; }
    done
    id=$(job --workdir=/etc/passwd true)
    [ "$(ended "$id")" = "FAILED 126" ]
    [ "$(field "$id" reason)" = "cannot work in '/etc/passwd': it is no directory that the job can enter" ]
    echo x >"$BATS_TEST_TMPDIR/file"
    id=$(job --upload="$BATS_TEST_TMPDIR/file" --workdir=/work/file true)
    [ "$(ended "$id")" = "FAILED 126" ]
    [ "$(field "$id" reason)" = "cannot work in the directory that was asked for: Not a directory" ]
}

@test "bytes of a job's own choice in a reason break nobody's list" {
    id=$(job sh -c 'printf "#!/\377none\n" >s; chmod 755 s; exec ./s')
    ended "$id"
    printf '#!/\377none\n' >"$BATS_TEST_TMPDIR/script"
    id=$(cd "$BATS_TEST_TMPDIR" && job --upload=script ./script)
    [ "$(ended "$id")" = "FAILED 127" ]
    [[ $(field "$id" reason) == *": /?none" ]]
    client 'assert any(j.uuid == args[0] for j in c.jobs())' "$id"
}
