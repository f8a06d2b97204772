#!/usr/bin/env bats
# exec: a further process in a container.

load lib.bash

setup_file() { file_setup; }
teardown_file() { file_teardown; }
setup() { job_setup; }
teardown() { job_teardown; }

# A container to work in.
running() {
    bundle "${1:-.}" sleep 1000
    detach
}
in_it() { run --separate-stderr rt exec "$@"; }
# process FILTER ARG...: a file for --process.
process() {
    local filter=$1
    shift
    jq -n '{terminal: false, user: {uid: 0, gid: 0}, args: $ARGS.positional, cwd: "/", env: ["PATH=/bin"]} | '"$filter" \
        --args -- "$@" >"$BATS_TEST_TMPDIR/process.json"
}

# bats test_tags=smoke
@test "exec gives the process's output and exit code" {
    running
    in_it "$id" sh -c 'echo out; echo err >&2; exit 7'
    equals "$status" 7
    equals "$output" out
    equals "$stderr" err
}

@test "exec exits with 128 and the signal that killed the process" {
    running
    in_it "$id" sh -c 'kill -USR1 $$'
    equals "$status" $((128 + 10))
}

@test "exec exits with 255 when it fails itself" {
    running
    in_it "$id" no-such-program
    equals "$status" 255
    contains "$stderr" 'executable file not found in $PATH'
}

@test "exec in a container that does not exist says so" {
    in_it nobody true
    [ "$status" -ne 0 ]
    contains "$stderr" "does not exist"
}

@test "exec in a stopped container is refused" {
    bundle . true
    detach
    until_true is_status stopped
    in_it "$id" true
    equals "$status" 255
    [[ $stderr == *stopped* || $stderr == *"not running"* ]]
}

@test "exec is in all of the container's namespaces" {
    running 'userns | .linux.namespaces += [{type: "cgroup"}]'
    local ns
    for ns in pid mnt ipc uts net user cgroup; do
        in_it "$id" readlink /proc/self/ns/$ns
        equals "$output" "$(readlink "/proc/$(container_pid)/ns/$ns")"
    done
}

@test "exec is in the container's time namespace" {
    not_runc "1.1 has none"
    running '.linux.namespaces += [{type: "time"}] | .linux.timeOffsets = {boottime: {secs: 8640000}}'
    in_it "$id" readlink /proc/self/ns/time
    equals "$output" "$(readlink "/proc/$(container_pid)/ns/time")"
}

@test "exec is in the container's control group" {
    running '.linux.resources += {pids: {limit: 44}}'
    detached rt exec --detach --pid-file "$BATS_TEST_TMPDIR/pid" "$id" sleep 1001
    grep -qx "$(cat "$BATS_TEST_TMPDIR/pid")" "$(cgroup_dir pids)/cgroup.procs"
    grep -qx "$(cat "$BATS_TEST_TMPDIR/pid")" "$(cgroup_dir memory)/cgroup.procs"
}

@test "exec sees the container's root and its processes" {
    running
    in_it "$id" sh -c 'cat /proc/1/cmdline | tr "\0" " "; touch /work/seen'
    equals "$output" "sleep 1000 "
    [ -e "$bundle/rootfs/work/seen" ]
}

@test "exec has the container's environment, and that of --env besides" {
    running '.process.env += ["A=1", "B=2"]'
    in_it --env B=3 --env C=4 "$id" sh -c 'echo $A $B $C'
    equals "$output" "1 3 4"
}

@test "exec starts in the container's cwd, or in that of --cwd" {
    running '.process.cwd = "/work"'
    in_it "$id" pwd
    equals "$output" /work
    in_it --cwd /tmp "$id" pwd
    equals "$output" /tmp
}

@test "exec is the user of --user" {
    running
    in_it --user 1000:2000 "$id" sh -c 'id -u; id -g'
    equals "$output" $'1000\n2000'
    in_it -u 1000 "$id" id -u
    equals "$output" 1000
}

@test "exec has the capabilities of the container and those of --cap besides" {
    running
    in_it "$id" grep CapEff /proc/self/status
    equals "$output" $'CapEff:\t0000000020000420'
    in_it --cap CAP_CHOWN "$id" grep CapEff /proc/self/status
    equals "$output" $'CapEff:\t0000000020000421'
}

@test "exec keeps to the container's noNewPrivileges and seccomp" {
    running '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", syscalls: [{names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 18}]}'
    in_it "$id" sh -c 'grep -E "^(NoNewPrivs|Seccomp):" /proc/self/status; mkdir /work/new'
    equals "$output" $'NoNewPrivs:\t1\nSeccomp:\t2'
    contains "$stderr" "Invalid cross-device link"
}

@test "exec has the rlimits, umask and groups of the container's process" {
    not_runc "1.1 forgets umask and groups"
    running '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 111, hard: 222}] | .process.user = {uid: 0, gid: 0, umask: 63, additionalGids: [7]}'
    in_it "$id" sh -c 'ulimit -Sn; umask; id -G'
    equals "$output" $'111\n0077\n0 7'
}

@test "exec has standard input, output and error open and nothing else" {
    running
    in_it "$id" sh -c 'ls /proc/$$/fd; :' 7<"$bundle" 9<"$BATS_TEST_FILENAME"
    equals "$(xargs <<<"$output")" "0 1 2"
}

@test "exec reads standard input to its end" {
    running
    run bash -c 'head -c 1000000 /dev/zero | "$@"' - "$runtime" --root "$root" exec "$id" wc -c
    equals "$output" 1000000
}

@test "exec --preserve-fds hands descriptors on" {
    not_runc "1.1 leaks one of its own"
    running
    echo three >"$BATS_TEST_TMPDIR/3"
    run "$runtime" --root "$root" exec --preserve-fds 1 "$id" sh -c 'cat <&3; ls /proc/$$/fd; :' 3<"$BATS_TEST_TMPDIR/3"
    equals "$(xargs <<<"$output")" "three 0 1 2 3"
}

@test "exec --detach returns while the process goes on, its pid in --pid-file" {
    running
    detached rt exec --detach --pid-file "$BATS_TEST_TMPDIR/pid" "$id" sh -c 'echo $$ >/work/pid; sleep 1001'
    until_true test -s "$bundle/rootfs/work/pid"
    equals "$(awk '/^NSpid/ { print $NF }' "/proc/$(cat "$BATS_TEST_TMPDIR/pid")/status")" "$(cat "$bundle/rootfs/work/pid")"
}

@test "exec passes signals on" {
    running
    "$runtime" --root "$root" exec "$id" sh -c 'trap "echo got; exit 5" TERM; echo ready; while :; do sleep 0.05; done' \
        </dev/null >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
    pids+=($!)
    until_true said ready
    kill -TERM "${pids[0]}"
    ended "${pids[0]}"
    equals "$status" 5
    contains "$(out)" got
}

@test "exec --process takes everything from a file" {
    running
    process '.user = {uid: 1000, gid: 2000, additionalGids: [3000]} | .env += ["X=y"] | .cwd = "/tmp" | .noNewPrivileges = true
        | .rlimits = [{type: "RLIMIT_NOFILE", soft: 99, hard: 99}]' sh -c 'id -u; id -g; id -G; echo $X; pwd; ulimit -n; grep NoNew /proc/self/status'
    in_it --process "$BATS_TEST_TMPDIR/process.json" "$id"
    equals "$status" 0
    equals "$output" $'1000\n2000\n2000 3000\ny\n/tmp\n99\nNoNewPrivs:\t1'
}

@test "exec -p in a file without capabilities has none" {
    not_runc "1.1 gives the container's"
    running
    process . grep CapEff /proc/self/status
    in_it -p "$BATS_TEST_TMPDIR/process.json" "$id"
    equals "$output" $'CapEff:\t0000000000000000'
}

@test "exec --process of a file that is not there, or no process, is refused" {
    running
    in_it --process /no/such/file "$id"
    equals "$status" 255
    contains "$stderr" /no/such/file
    echo '{"args": 5}' >"$BATS_TEST_TMPDIR/process.json"
    in_it --process "$BATS_TEST_TMPDIR/process.json" "$id"
    equals "$status" 255
}

@test "exec in a container without a process wants a file" {
    not_runc "needs a process at create"
    bundle 'del(.process)' true
    create
    in_it "$id" true
    equals "$status" 255
    contains "$stderr" "has no process"
    process . echo well
    in_it --process "$BATS_TEST_TMPDIR/process.json" "$id"
    equals "$output" well
}

@test "exec without a command is refused" {
    running
    in_it "$id"
    [ "$status" -ne 0 ]
    [ -n "$stderr" ]
}

@test "what follows the id is the command's, options too" {
    running
    in_it "$id" ls --help
    [[ $output$stderr == *BusyBox* ]]
}

@test "exec --tty gives the process a terminal by a console socket" {
    running
    $py "$here/console.py" "$BATS_TEST_TMPDIR/sock" "$BATS_TEST_TMPDIR/tty" </dev/null >/dev/null 2>&1 3>&- &
    pids+=($!)
    until_true test -S "$BATS_TEST_TMPDIR/sock"
    detached rt exec --tty --detach --console-socket "$BATS_TEST_TMPDIR/sock" "$id" sh -c 'tty; echo through >/dev/tty'
    until_true grep -q /dev/pts/0 "$BATS_TEST_TMPDIR/tty"
    until_true grep -q through "$BATS_TEST_TMPDIR/tty"
}

@test "exec --tty in the foreground gives the process a terminal of its own" {
    not_runc "1.1 sets the size late"
    running
    run $py "$here/ontty.py" 33x77 "$runtime" --root "$root" exec -t "$id" sh -c 'tty; stty size; exit 9'
    equals "$status" 9
    equals "$output" $'/dev/pts/0\n33 77'
}

@test "exec in a user namespace is the namespace's user" {
    running userns
    detached rt exec --detach --pid-file "$BATS_TEST_TMPDIR/pid" "$id" sleep 1001
    equals "$(stat -c %u "/proc/$(cat "$BATS_TEST_TMPDIR/pid")")" 100000
}

@test "the container ends although an exec goes on" {
    running
    detached rt exec --detach "$id" sleep 1001
    rt kill "$id" KILL
    until_true is_status stopped
    rt delete "$id"
    nothing_left
}

@test "delete --force ends what exec started in a container without a pid namespace" {
    running 'ns("pid")'
    detached rt exec --detach --pid-file "$BATS_TEST_TMPDIR/pid" "$id" sleep 1001
    rt delete --force "$id"
    until_true has_ended "$(cat "$BATS_TEST_TMPDIR/pid")"
    nothing_left
}

@test "exec works while the bundle's config.json is away" {
    not_runc "1.1 reads it again"
    running
    mv "$bundle/config.json" "$BATS_TEST_TMPDIR/away"
    in_it "$id" echo well
    equals "$output" well
}

# A group below the container's, in the hierarchies of these controllers, or in all.
group_below() {
    local dir controller
    for dir in $(cgroup_dirs); do mkdir -p "$dir/$1"; done
    [ "$(cgroup_mode)" = v2 ] && return
    for controller in cpus mems; do
        cat "$(cgroup_dir cpuset)/cpuset.$controller" >"$(cgroup_dir cpuset)/$1/cpuset.$controller"
    done
}

# bats test_tags=smoke
@test "exec --cgroup puts the process into a group below the container's" {
    running
    group_below inner
    in_it --cgroup inner "$id" cat /proc/self/cgroup
    equals "$status" 0
    grep -q "$cgroup/inner\$" <<<"$output"
    if grep "$cgroup\$" <<<"$output"; then false; fi
    in_it --cgroup /inner/ "$id" cat /proc/self/cgroup
    grep -q "$cgroup/inner\$" <<<"$output"
}

@test "exec --cgroup does not leave the container's group, and wants what is there" {
    running
    local path
    for path in .. inner/../.. /../x ./.. ; do
        in_it --cgroup "$path" "$id" true
        equals "$status" 255
        contains "$stderr" "--cgroup"
    done
    in_it --cgroup not-there "$id" true
    equals "$status" 255
    contains "$stderr" "not-there"
}

@test "exec --cgroup with controllers concerns their hierarchies alone" {
    [ "$(cgroup_mode)" != v2 ] || skip "v2 has one hierarchy"
    not_runc "1.1 wants the named ones only"
    running
    mkdir "$(cgroup_dir pids)/inner"
    in_it --cgroup pids:inner "$id" cat /proc/self/cgroup
    equals "$status" 0
    equals "$(grep -c "$cgroup/inner\$" <<<"$output")" 1
    grep -q ":pids:$cgroup/inner\$" <<<"$output"
    grep -q "memory.*:$cgroup\$" <<<"$output"
    in_it --cgroup inner "$id" true
    equals "$status" 255
    contains "$stderr" "does not exist"
    in_it --cgroup pids,mood:inner "$id" true
    equals "$status" 255
    contains "$stderr" "'mood' is not a controller"
}

@test "exec --cap with a name that is none is a warning" {
    running
    in_it --cap CAP_MOOD "$id" echo well
    equals "$status" 0
    equals "$output" well
    contains "$stderr" "CAP_MOOD"
}

@test "exec --additional-gids come to those of the container" {
    not_runc "1.1 forgets groups"
    running '.process.user.additionalGids = [7]'
    in_it -g 8 --additional-gids 9 "$id" id -G
    equals "$output" "0 7 8 9"
    in_it -g 8x "$id" true
    equals "$status" 255
}

@test "exec warns of options that --process leaves without effect" {
    not_runc "says nothing"
    running
    process . true
    in_it --process "$BATS_TEST_TMPDIR/process.json" --cwd /tmp --user 1 "$id"
    equals "$status" 0
    contains "$stderr" "--cwd has no effect"
    contains "$stderr" "--user has no effect"
}

# pidfd_of: what comes over a --pidfd-socket, as "WORD PID".
pidfd_socket() {
    "$py" - "$BATS_TEST_TMPDIR/pidfd.sock" >"$BATS_TEST_TMPDIR/pidfd" 3>&- <<'PY' &
import array, os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1] + ".new")
listener.listen(1)
os.rename(sys.argv[1] + ".new", sys.argv[1])
listener.settimeout(60)
conn, _ = listener.accept()
word, fds, _, _ = socket.recv_fds(conn, 64, 4)
with open(f"/proc/self/fdinfo/{fds[0]}") as f:
    pid = next(line.split()[1] for line in f if line.startswith("Pid:"))
print(len(fds), word.decode(), pid)
PY
    pids+=($!)
    until_true test -S "$BATS_TEST_TMPDIR/pidfd.sock"
}

# bats test_tags=smoke
@test "exec, run and create send a pidfd to --pidfd-socket" {
    not_runc "1.1 knows none"
    bundle . sleep 1000
    pidfd_socket
    detached rt run --detach --bundle "$bundle" --pidfd-socket "$BATS_TEST_TMPDIR/pidfd.sock" "$id"
    ended "$!"
    equals "$(cat "$BATS_TEST_TMPDIR/pidfd")" "1 standard $(container_pid)"
    rm "$BATS_TEST_TMPDIR/pidfd.sock"
    pidfd_socket
    detached rt exec --detach --pid-file "$BATS_TEST_TMPDIR/pid" --pidfd-socket "$BATS_TEST_TMPDIR/pidfd.sock" "$id" sleep 1001
    ended "$!"
    equals "$(cat "$BATS_TEST_TMPDIR/pidfd")" "1 setns $(cat "$BATS_TEST_TMPDIR/pid")"
    in_it --pidfd-socket "$BATS_TEST_TMPDIR/nobody" "$id" touch /work/ran
    equals "$status" 255
    contains "$stderr" "--pidfd-socket"
    [ ! -e "$bundle/rootfs/work/ran" ]
}
