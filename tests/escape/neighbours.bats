#!/usr/bin/env bats
# What one job takes is not taken from another, nor from the host and the daemon.

load lib.bash

setup_file() {
    instance_new && instance_start || return 1
    cat >"$I/run/hog.py" <<'HOG'
# hog.py [HOLD]: takes what it can get of things that the kernel counts by user, and keeps it until
# there is a line in the file HOLD.
import ctypes, os, resource, signal, sys, time
libc, rt = ctypes.CDLL(None, use_errno=True), ctypes.CDLL("librt.so.1", use_errno=True)
def taken(one, most):
    for n in range(most):
        if one(n) < 0:
            return n
    return most
print("inotify", taken(lambda n: libc.inotify_init(), 5000))
class Attr(ctypes.Structure):
    _fields_ = [(f, ctypes.c_long) for f in ("flags", "maxmsg", "msgsize", "cur")] + [("r", ctypes.c_long * 4)]
print("queues", taken(lambda n: rt.mq_open(b"/q%d" % n, os.O_CREAT | os.O_RDWR, 0o600, ctypes.byref(Attr(0, 10, 8192, 0))), 1000))
signal.pthread_sigmask(signal.SIG_BLOCK, [40])
class Value(ctypes.Union):
    _fields_ = [("i", ctypes.c_int), ("p", ctypes.c_void_p)]
print("signals", taken(lambda n: libc.sigqueue(os.getpid(), 40, Value()), 300000))
print("files", taken(lambda n: libc.dup(0), 2000000), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
sys.stdout.flush()
time.sleep(float(sys.argv[1]) if len(sys.argv) > 1 else 0)
HOG
}
teardown_file() { instance_end; }

says() { rnx job log --no-follow "$1" 2>/dev/null | grep -q "$2"; }

# To see it fail: make the user namespace with os_clone3 instead of os_clone3_owned
# (src/runtime/step_parent.c); the second job then gets 0 inotify instances, and so does the host.
@test "a job that takes all that its user may have leaves other jobs and the host theirs" {
    one=$(job --upload="$I/run/hog.py" $py hog.py 3600)
    until_true 30 says "$one" files
    [ "$(output --upload="$I/run/hog.py" $py hog.py)" = "$(rnx job log --no-follow "$one")" ]
    [[ $(rnx job log --no-follow "$one") == *"inotify $(cat /proc/sys/fs/inotify/max_user_instances)"* ]]
    $py "$I/run/hog.py" | grep -v '^inotify 0$' | grep -q inotify
    rnx job stop "$one"
}

@test "what a job writes to memory file systems ends at their sizes" {
    run output --max-memory=512 sh -c 'for d in /tmp /var/tmp /dev/shm /work; do
        cat /dev/zero >$d/fill 2>/dev/null; echo "$d $(stat -c %s $d/fill)"; rm $d/fill; done'
    echo "$output"
    [ "$output" = "/tmp 67108864
/var/tmp 67108864
/dev/shm 67108864
/work 1048576" ]
}

@test "a job under its memory limit cannot escape it by files in memory" {
    id=$(job --max-memory=32 sh -c 'exec cat /dev/zero >/dev/shm/fill')
    [ "$(ended "$id")" = "FAILED 137" ]
    [ "$(field "$id" reason)" = "Job killed due to memory limit" ]
}

@test "a flood of output, and of lines without an end, leaves the daemon answering" {
    id=$(job --max-cpu=50 sh -c 'exec timeout 10 cat /dev/zero')
    until_true 10 has_status "$id" RUNNING
    for _ in 1 2 3 4 5; do
        timeout 60 rnx job list >/dev/null
        [ "$(output echo alive)" = alive ]
    done
    ended "$id"
    rnx job delete "$id"
}

@test "a job sees nothing of another: processes, files, environment, descriptors" {
    one=$(job --name=one --secret-env=TOKEN=s3cret-of-one sh -c 'echo private >/tmp/mine; echo private >/dev/shm/mine; echo up; sleep 600')
    until_true 10 says "$one" up
    sleeps() { pid=$(job_pid "$1" sleep) && [ -n "$pid" ]; }
    until_true 10 sleeps "$one"
    run output --name=two sh -c "cat /proc/$pid/environ; ls -A /tmp /dev/shm /dev/mqueue; kill -9 $pid; ls $I; ls -A /opt /home /root /mnt /srv /run; cat /proc/*/environ | tr '\\0' '\\n' | grep -c s3cret; true"
    echo "$output"
    [[ $output != *private* && $output != *mine* && $output != *"$one"* ]]
    [[ $output == *"No such process"* ]]
    grep -qx 0 <<<"$output" # of output and errors nobody knows which comes first
    has_status "$one" RUNNING
    # and on the host their ids are not the same, nor anybody's
    other=$(job sleep 600)
    until_true 10 has_status "$other" RUNNING
    a=$(awk '/^Uid:/ {print $2}' "/proc/$pid/status")
    until_true 10 sleeps "$other"
    b=$(awk '/^Uid:/ {print $2}' "/proc/$pid/status")
    echo "ids on the host: $a $b"
    [ "$a" -ge 1879048192 ]
    [ "$b" -ge 1879048192 ]
    [ "$a" -ne "$b" ]
    rnx job stop "$one"
    rnx job stop "$other"
}

@test "names and arguments with control characters confuse nobody" {
    for name in $'a\nb' 'x 10.0.0.1 evil' $'\e[2J' '../up' 'a/b' '%n%s' "$(printf 'x%.0s' {1..300})"; do
        run rnx job run "--name=$name" true
        echo "$name: $output"
        [ "$status" -ne 0 ]
    done
    id=$(job sh -c 'printf "%s|" "$@"; grep -c localhost /etc/hosts' sh $'a\nb' '%n%s%p' $'\e[2J' '; reboot' "$(printf '\x01')")
    [ "$(ended "$id")" = "COMPLETED 0" ]
    [ "$(rnx job log "$id")" = $'a\nb|%n%s%p|\e[2J|; reboot|\x01|2' ]
    run rnx job status "$id"
    [[ $output != *$'\e[2J'* ]]
    run rnx job list
    [[ $output != *$'\e[2J'* ]]
    ! grep -q $'\e' "$I/logs/joblet.log"
}

@test "links in the workspace lead nowhere when the job's files are removed" {
    mkdir -p "$I/run/precious" && echo kept >"$I/run/precious/file"
    touch "$BATS_TEST_TMPDIR/empty"
    id=$(job --upload="$BATS_TEST_TMPDIR/empty" sh -c "ln -s $I/run/precious link; ln -s / root; mkdir -p deep/er; ln -s ../../../.. deep/er/up; ln -s /proc/1/root proc; mkfifo pipe; chmod 000 deep; echo done")
    ended "$id"
    rnx job delete "$id"
    gone() { [ ! -e "$I/jobs/$id" ] && ! ls "$I"/jobs/*/"$id"* >/dev/null 2>&1; }
    until_true 15 gone
    [ "$(cat "$I/run/precious/file")" = kept ]
    [ -e /proc/1/status ] && [ -d /usr/bin ]
}

@test "core dumps are off, whatever the host's core_pattern is" {
    id=$(job sh -c 'cat /proc/self/limits | grep "core file"; ulimit -c unlimited 2>/dev/null; ulimit -c 0; ulimit -c; kill -SEGV $$')
    [ "$(ended "$id")" = "FAILED 139" ]
    run rnx job log "$id"
    echo "$output"
    [[ ${lines[0]} =~ "Max core file size "+"1 "+"1 " ]]
}
