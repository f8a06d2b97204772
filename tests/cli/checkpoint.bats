#!/usr/bin/env bats
# checkpoint and restore, by CRIU. What it does on a kernel that it knows is shown in the guest;
# elsewhere, what joblet-run refuses, tells and leaves behind, with programs in CRIU's place.

load lib.bash

setup_file() {
    not_runc "other options"
    file_setup
}
teardown_file() { file_teardown; }
setup() {
    job_setup
    images=$BATS_TEST_TMPDIR/images
    mkdir -p "$BATS_TEST_TMPDIR/out.d"
}
teardown() { job_teardown; }

needs_criu() { [ -n "${JOBLET_VM-}" ] || skip "Debian's CRIU does not know this machine's kernel"; }

# counting FILTER: counts in memory, and tells in a directory of the host's that is bound.
counting() {
    bundle '.mounts += [mount("/work"; "bind"; $tmp + "/out.d"; ["rbind"])]
        | .linux.maskedPaths = ["/proc/version", "/sys/firmware"]
        | .linux.readonlyPaths = ["/proc/sys"] | '"$1" \
        sh -c 'i=0; while :; do i=$((i + 1)); echo $i >/work/count; sleep 0.05; done'
    detach
    until_true test -s "$BATS_TEST_TMPDIR/out.d/count"
}
# 0 where the file was emptied and not written again, which can last as long as the container is not there.
count() { local n; n=$(cat "$BATS_TEST_TMPDIR/out.d/count") && echo "${n:-0}"; }
goes_on() { [ "$(count)" -gt "$1" ]; }
counted() { before=$(count) && [ "$before" -gt 0 ]; }

checkpoint() { rt checkpoint --image-path "$images" "$@" "$id" || { tail -n 30 "$images"/*.log >&2; false; }; }
restore() { detached rt restore --detach --bundle "$bundle" --image-path "$images" "$@" "$id" || { cat "$BATS_TEST_TMPDIR/err" >&2; tail -n 30 "$images/restore.log" >&2; false; }; }

# Goes on from the number it had, which was in memory alone.
went_on_from() {
    local before
    until_true goes_on "$1"
    until_true counted
    [ "$before" -lt $(($1 + 1000)) ]
}

# in_place_of_criu TEXT: a program instead of it, that says nothing.
in_place_of_criu() {
    criu=$BATS_TEST_TMPDIR/criu
    printf '#!/bin/sh\n%s\n' "$1" >"$criu"
    chmod +x "$criu"
}

# speaks_for_criu TEXT: a program in Python instead of it, with what swrk.py has.
speaks_for_criu() {
    criu=$BATS_TEST_TMPDIR/criu
    printf '#!%s -B\nimport os, sys\nsys.path.insert(0, "%s")\nfrom swrk import *\ntmp = "%s"\n%s\n' "$py" "$here" "$BATS_TEST_TMPDIR" "$1" >"$criu"
    chmod +x "$criu"
}
has_images() {
    mkdir -p "$images"
    touch "$images/inventory.img"
}

# console [INPUT [AFTER [SIZE]]]: an engine's end of the console socket, waiting.
console() {
    socket=$BATS_TEST_TMPDIR/tty.sock said=$BATS_TEST_TMPDIR/tty
    rm -f "$socket" "$said"
    $py "$here/console.py" "$socket" "$said" "$@" </dev/null >/dev/null 2>&1 3>&- &
    pids+=($!)
    until_true test -S "$socket"
}
tty_said() { grep -qF -- "$1" "$said" 2>/dev/null; }

# bats test_tags=smoke
@test "a container is checkpointed, deleted and restored with its memory, mounts and limits" {
    needs_criu
    counting '.linux.resources.memory.limit = 134217728 | .linux.resources.pids.limit = 20'
    checkpoint
    is_status stopped
    local before
    before=$(count)
    rt delete "$id"
    nothing_left
    sleep 0.5
    equals "$(count)" "$before"
    restore --pid-file "$BATS_TEST_TMPDIR/pid"
    is_status running
    went_on_from "$before"
    equals "$(cat "$BATS_TEST_TMPDIR/pid")" "$(container_pid)"
    equals "$(cgroup_file memory memory.max)" 134217728
    equals "$(cgroup_file pids pids.max)" 20
    grep -q "^$(container_pid)$" "$(cgroup_dir memory)/cgroup.procs"
    equals "$(rt exec "$id" sh -c 'cat /proc/version | wc -c; hostname')" "$(printf '0\ninside')"
    run rt exec "$id" sh -c 'echo 1 >/proc/sys/kernel/hostname'
    [ "$status" -ne 0 ]
    rt kill "$id" KILL
    until_true is_status stopped
    rt delete "$id"
    nothing_left
}

# bats test_tags=smoke
@test "--leave-running and --pre-dump leave the container as it was; later images build on earlier" {
    needs_criu
    counting .
    local before
    before=$(count)
    rt checkpoint --image-path "$images/pre" --work-path "$BATS_TEST_TMPDIR" --pre-dump "$id"
    is_status running
    until_true goes_on "$before"
    before=$(count)
    rt checkpoint --image-path "$images/all" --parent-path ../pre --leave-running "$id"
    is_status running
    until_true goes_on "$before"
    rt delete --force "$id"
    restore --image-path "$images/all"
    went_on_from "$before"
    rt delete --force "$id"
    nothing_left
}

# bats test_tags=smoke
@test "restored in the foreground: output goes to the new standard output, the status comes back" {
    needs_criu
    bundle '.' sh -c 'while [ ! -e /tmp/go ]; do sleep 0.05; done; echo said $$; exit 7'
    detach
    sleep 1
    checkpoint
    rt delete "$id"
    "$runtime" --root "$root" restore --bundle "$bundle" --image-path "$images" "$id" </dev/null \
        >"$BATS_TEST_TMPDIR/later" 2>"$BATS_TEST_TMPDIR/err" 3>&- 4>&- &
    pids+=($!)
    until_true is_status running
    touch "$bundle/rootfs/tmp/go"
    ended "${pids[-1]}"
    cat "$BATS_TEST_TMPDIR/err"
    equals "$status" 7
    equals "$(cat "$BATS_TEST_TMPDIR/later")" "said 1"
    nothing_left
}

# (The shell's own "echo >file" moves its standard output away for a moment, in which it might be paused.)
# bats test_tags=smoke
@test "as podman has it: pipes, a joined network namespace, a cgroup namespace, paused" {
    needs_criu
    ip netns add "$cgroup_parent" || skip "no network namespaces"
    bundle 'ns("network") | .linux.namespaces += [{type: "network", path: "/run/netns/'"$cgroup_parent"'"},
            {type: "cgroup"}]
        | .mounts += [mount("/work"; "bind"; $tmp + "/out.d"; ["rbind", "rprivate"]),
            mount("/sys/fs/cgroup"; "cgroup"; "cgroup"; ["ro", "nosuid", "nodev", "noexec"])]' \
        sh -c 'i=0; while :; do i=$((i + 1)); (echo $i >/work/count); echo $i; sleep 0.05; done'
    (rt run --detach --bundle "$bundle" "$id" </dev/null 2>&1 | cat >/dev/null) 3>&- &
    pids+=($!)
    until_true test -s "$BATS_TEST_TMPDIR/out.d/count"
    rt pause "$id"
    local before
    before=$(count)
    checkpoint --tcp-established --file-locks
    until_true is_status stopped
    rt delete "$id"
    (rt restore --detach --bundle "$bundle" --image-path "$images" "$id" </dev/null 2>"$BATS_TEST_TMPDIR/err" |
        cat >"$BATS_TEST_TMPDIR/later") 3>&- &
    pids+=($!)
    until_true is_status running || { cat "$BATS_TEST_TMPDIR/err" >&2; tail -n 20 "$images/restore.log" >&2; false; }
    went_on_from "$before"
    until_true test -s "$BATS_TEST_TMPDIR/later"
    equals "$(rt exec "$id" cat /proc/1/cgroup | grep ^0:)" "0::/"
    equals "$(stat -Lc %i "/proc/$(container_pid)/ns/net")" "$(stat -Lc %i "/run/netns/$cgroup_parent")"
    rt delete --force "$id"
    ip netns del "$cgroup_parent"
    nothing_left
}

# bats test_tags=smoke
@test "restore runs prestart and createRuntime hooks in between, and poststart hooks at its end" {
    needs_criu
    local hooks='.hooks = (["prestart", "createRuntime", "poststart"]
        | map({key: ., value: [{path: "/bin/sh", args: ["sh", "-c", "cat >>\($tmp)/states"]}]}) | from_entries)'
    counting .
    checkpoint
    local before
    before=$(count)
    rt delete "$id"
    jq --arg tmp "$BATS_TEST_TMPDIR" "$hooks" "$bundle/config.json" >"$bundle/new"
    mv "$bundle/new" "$bundle/config.json"
    restore
    went_on_from "$before"
    equals "$(jq -rs 'map(.status) | join(" ")' "$BATS_TEST_TMPDIR/states")" "creating creating running"
    equals "$(jq -s 'map(.pid) | unique | .[]' "$BATS_TEST_TMPDIR/states")" "$(container_pid)"
    rt delete --force "$id"
    nothing_left
}

# A user's terminal, as he left it: its size, and whose it is.
# bats test_tags=smoke
@test "a container's terminal is restored to a console socket, and to the caller's terminal" {
    needs_criu
    bundle '.process.terminal = true | .process.user = {uid: 1000, gid: 1000}' \
        sh -c 'echo ready; while read -r line; do echo "<$line $(stty size) $(stat -c %u /dev/pts/0)>"; [ "$line" != end ] || exit 7; done'
    console "one
" ready 30x100
    detached rt run --detach --bundle "$bundle" --console-socket "$socket" "$id"
    until_true tty_said "<one 30 100 1000>"
    checkpoint
    rt delete "$id"
    console "two
" "" 31x101
    restore --console-socket "$socket"
    until_true tty_said "<two 31 101 1000>"
    equals "$(cat "$said.message")" 1
    equals "$(cat "$said.size")" "30 100" # as it was
    equals "$(rt exec --user 1000 "$id" sh -c 'ls /dev/pts; echo from outside >/dev/console')" "$(printf '0\nptmx')"
    until_true tty_said "from outside"
    rt delete --force "$id"
    nothing_left

    ONTTY_TYPE=end run $py "$here/ontty.py" 33x77 "$runtime" --root "$root" restore --bundle "$bundle" --image-path "$images" "$id"
    contains "$output" "<end 33 77 1000>"
    equals "$status" 7
    nothing_left
}

# bats test_tags=smoke
@test "who kills a restore when CRIU has made the namespaces leaves what delete --force removes" {
    needs_criu
    counting .
    checkpoint
    rt delete "$id"
    jq '.hooks.createRuntime = [{path: "/bin/sh", args: ["sh", "-c", "kill -KILL $PPID"]}]' "$bundle/config.json" >"$bundle/new"
    mv "$bundle/new" "$bundle/config.json"
    run rt restore --detach --bundle "$bundle" --image-path "$images" "$id"
    equals "$status" 137
    rt delete --force "$id"
    nothing_left
}

# CRIU as it is for a restore up to the moment that hooks wait for.
makes_namespaces() {
    speaks_for_criu 'notify("pre-restore")
if notify("setup-namespaces", pid=os.getpid()):
    write(tmp + "/went-on", os.getpid())
    respond(False, log="(0.1) Error (criu/x.c:1): that was all")
respond(False, log="(0.1) Error (criu/y.c:1): the caller says no")'
    has_images
}

@test "a restore's hooks get the state with the pid that CRIU tells; CRIU waits for their end" {
    makes_namespaces
    bundle '.hooks.createRuntime = [{path: "/bin/sh", args: ["sh", "-c", "sleep 0.1; cat >\($tmp)/state"]}]' true
    run rt --criu "$criu" restore --bundle "$bundle" --image-path "$images" "$id"
    equals "$status" 1
    contains "$output" "criu restore failed: Error (criu/x.c:1): that was all"
    equals "$(jq '.pid' "$BATS_TEST_TMPDIR/state")" "$(cat "$BATS_TEST_TMPDIR/went-on")"
    equals "$(jq -r '.status' "$BATS_TEST_TMPDIR/state")" creating
    nothing_left
}

@test "a restore's hook that fails ends the restore, and is what is told" {
    makes_namespaces
    bundle '.hooks.prestart = [{path: "/bin/sh", args: ["sh", "-c", "echo no good >&2; exit 3"]}]' true
    run rt --criu "$criu" restore --bundle "$bundle" --image-path "$images" "$id"
    equals "$status" 1
    contains "$output" prestart
    contains "$output" "no good"
    [[ $output != *"the caller says no"* ]]
    [ ! -e "$BATS_TEST_TMPDIR/went-on" ]
    nothing_left
}

# CRIU as it is for a restore, with TEXT for a terminal; what it restores says "ready", and what it is told.
restores_terminal() {
    speaks_for_criu 'assert option("orphan_pts_master") == 1
import pty
master, slave = pty.openpty()
notify("setup-namespaces", pid=os.getpid())
'"$1"'
pid = os.fork()
if pid == 0:
    channel.close()
    os.setsid()
    os.close(master)
    os.write(slave, b"ready\n")
    os.write(slave, b"<" + os.read(slave, 100).strip() + b">")
    while True: os.read(slave, 100)
if notify("post-restore", pid=pid):
    respond(True, pid=pid)
os.kill(pid, 9)
respond(False, log="(0.1) Error (criu/y.c:1): the caller says no")'
    has_images
    bundle '.process.terminal = true' true
}

@test "the terminal that CRIU hands over goes to the console socket" {
    restores_terminal 'notify("orphan-pts-master", fd=master)'
    console "hello
" ready
    detached rt --criu "$criu" restore --detach --bundle "$bundle" --image-path "$images" --console-socket "$socket" "$id"
    is_status running
    until_true tty_said "<hello>"
    equals "$(cat "$said.message")" 1
    rt delete --force "$id"
    nothing_left
}

@test "a restore whose terminal does not come fails before anything runs on" {
    local how
    for how in "" 'notify("network-lock")'; do
        restores_terminal "$how"
        console
        run rt --criu "$criu" restore --detach --bundle "$bundle" --image-path "$images" --console-socket "$socket" "$id"
        equals "$status" 1
        contains "$output" "the checkpoint has no terminal"
        [[ $output != *"the caller says no"* ]]
        nothing_left
        rm -rf "$bundle"
    done
    restores_terminal 'respond(False) if not notify("orphan-pts-master") else None'
    console
    run rt --criu "$criu" restore --detach --bundle "$bundle" --image-path "$images" --console-socket "$socket" "$id"
    contains "$output" "CRIU tells of a terminal and sends none"
    nothing_left
}

@test "messages that are none of CRIU's end the restore" {
    local message
    bundle . true
    has_images
    for message in 'b"\xff"' 'field(1, 2)' 'b"x" * 9000' 'field(1, 2) + field(2, 1) + field(4, b"")'; do
        speaks_for_criu "send($message)"
        run rt --criu "$criu" restore --bundle "$bundle" --image-path "$images" "$id"
        equals "$status" 1
        contains "$output" "CRIU"
        nothing_left
    done
    speaks_for_criu 'respond(True)'
    run rt --criu "$criu" restore --bundle "$bundle" --image-path "$images" "$id"
    contains "$output" "CRIU does not tell the pid"
    nothing_left
}

@test "where CRIU fails, its first error is told, and where its log is; the container goes on" {
    speaks_for_criu 'respond(False, log="(0.1) Error (criu/x.c:12): not on this \033kernel\n(0.2) Error (criu/y.c:7): so\n(0.3) Error (criu/cr-dump.c:2053): Dumping FAILED.")'
    counting .
    run rt --criu "$criu" --log "$BATS_TEST_TMPDIR/log" --log-format json checkpoint --image-path "$images" "$id"
    equals "$status" 1
    contains "$output" "criu dump failed: Error (criu/x.c:12): not on this ?kernel"
    contains "$output" "$images/dump.log"
    contains "$(jq -r .msg "$BATS_TEST_TMPDIR/log")" "not on this"
    is_status running
}

@test "Debian's CRIU on a kernel that it does not know: a clear error, and nothing is lost" {
    [ -z "${JOBLET_VM-}" ] || skip "it knows the guest's"
    command -v criu >/dev/null || skip "criu is not installed"
    ! criu check >/dev/null 2>&1 || skip "this CRIU knows this kernel"
    counting .
    run rt checkpoint --image-path "$images" --work-path "$BATS_TEST_TMPDIR/work" "$id"
    equals "$status" 1
    contains "$output" "criu dump failed: Error ("
    contains "$output" "log file: $BATS_TEST_TMPDIR/work/dump.log"
    [ -s "$BATS_TEST_TMPDIR/work/dump.log" ]
    local before
    before=$(count)
    until_true goes_on "$before"
}

@test "CRIU gets a request, a short environment, and no descriptor of ours" {
    speaks_for_criu 'write(tmp + "/request", "\n".join([kind] + [f"{name}={option(name)}" for name in OPTIONS] + external()))
write(tmp + "/images-fd", os.readlink(f"/proc/{os.getppid()}/fd/{options[1][0]}"))
write(tmp + "/env", "\n".join(os.environ))
write(tmp + "/fds", "\n".join(fd for fd in os.listdir("/proc/self/fd") if int(fd) > 2 and fd != sys.argv[2]))
respond(True)'
    counting .
    rt --criu "$criu" checkpoint --image-path "$images" --leave-running --tcp-established \
        --ext-unix-sk --shell-job --file-locks --empty-ns network --auto-dedup --link-remap --tcp-skip-in-flight --parent-path ../p "$id"
    local want
    for want in dump pid="$(container_pid)" root="$bundle/rootfs" log_file=dump.log parent_img=../p track_mem=1 manage_cgroups_mode=0 \
        empty_ns=$((0x40000000)) orphan_pts_master=None notify_scripts=None "mnt[/work]:/work" "mnt[/proc/version]:/proc/version" \
        {leave_running,tcp_established,ext_unix_sk,shell_job,file_locks,auto_dedup,link_remap,tcp_skip_in_flight}=1; do
        grep -qxF "$want" "$BATS_TEST_TMPDIR/request" || { echo "no $want in"; cat "$BATS_TEST_TMPDIR/request"; false; } >&2
    done
    equals "$(cat "$BATS_TEST_TMPDIR/images-fd")" "$images"
    run ! grep -vx -e PATH -e LC_CTYPE "$BATS_TEST_TMPDIR/env"
    equals "$(grep -c . "$BATS_TEST_TMPDIR/fds")" 1 # the listing's own
    is_status running
    rt --criu "$criu" checkpoint --image-path "$images" --pre-dump "$id"
    head -n 1 "$BATS_TEST_TMPDIR/request" | grep -qx pre-dump
}

@test "who kills a restore leaves what delete --force and gc remove" {
    bundle . true
    has_images
    in_place_of_criu 'echo $$ >"'"$BATS_TEST_TMPDIR"'/criu-pid"; sleep 1000 & wait'
    local how
    for how in "delete --force $id" "gc --older-than 0s"; do
        rm -f "$BATS_TEST_TMPDIR/criu-pid"
        "$runtime" --root "$root" --criu "$criu" restore --detach --bundle "$bundle" --image-path "$images" "$id" \
            >/dev/null 2>&1 3>&- 4>&- &
        pids+=($!)
        until_true test -s "$BATS_TEST_TMPDIR/criu-pid"
        is_status creating
        kill -KILL $!
        wait $! || true
        [[ $how != gc* ]] || sleep 10.2 # younger ones may be in the making
        rt $how
        nothing_left
        until_true has_ended "$(cat "$BATS_TEST_TMPDIR/criu-pid")"
    done
}

@test "a restore that fails leaves nothing" {
    bundle . true
    has_images
    in_place_of_criu 'exit 3'
    run rt --criu "$criu" restore --bundle "$bundle" --image-path "$images" "$id"
    equals "$status" 1
    contains "$output" "criu restore ended with status 3, and no error in its log"
    nothing_left
    speaks_for_criu 'write(tmp + "/request", "\n".join([kind] + [f"{name}={option(name)}" for name in OPTIONS] + list(inherited())))
respond(False)'
    printf -- '-\npipe:[17]\n-\n' >"$images/joblet-stdio"
    run rt --criu "$criu" restore --bundle "$bundle" --image-path "$images" --tcp-close --auto-dedup \
        --lsm-profile apparmor:other --lsm-mount-context c "$id"
    contains "$output" "criu restore failed, with no error in its log"
    local want
    for want in restore root="$bundle/rootfs" {rst_sibling,notify_scripts,tcp_close,auto_dedup}=1 orphan_pts_master=None manage_cgroups_mode=0 \
        lsm_profile=apparmor:other lsm_mount_context=c 'pipe:[17]'; do
        grep -qxF "$want" "$BATS_TEST_TMPDIR/request" || { echo "no $want in"; cat "$BATS_TEST_TMPDIR/request"; false; } >&2
    done
    nothing_left
}

@test "refused by name: what CRIU can't do, and what is not there" {
    counting .
    run rt checkpoint --manage-cgroups-mode full "$id"
    contains "$output" "allowed are soft and ignore"
    run rt checkpoint --empty-ns pid "$id"
    contains "$output" "--empty-ns: 'pid'"
    run rt checkpoint --lazy-pages "$id"
    contains "$output" "lazy-pages"
    run rt --criu /nowhere/criu checkpoint --image-path "$images" "$id"
    contains "$output" "/nowhere/criu"
    run rt checkpoint --image-path "$images" none
    contains "$output" "does not exist"
    run rt restore --bundle "$bundle" --image-path "$BATS_TEST_TMPDIR/nothing" other
    contains "$output" "nothing/inventory.img"
    [ ! -e "$root/other" ]
    mkdir -p "$images"
    touch "$images/inventory.img"
    run rt restore --bundle "$bundle" --image-path "$images" "$id"
    equals "$status" 1
    is_status running
    run rt --cgroup-manager disabled restore --bundle "$bundle" --image-path "$images" other
    contains "$output" "no control group"
    [ ! -e "$root/other" ]
    rt delete --force "$id"
    rm -rf "$bundle"
    bundle '.process.terminal = true' true
    run rt restore --detach --bundle "$bundle" --image-path "$images" "$id"
    contains "$output" "process.terminal: cannot allocate a terminal without --console-socket"
    run rt restore --bundle "$bundle" --image-path "$images" --console-socket /nowhere "$id"
    contains "$output" "--console-socket: needs --detach"
    run rt restore --detach --bundle "$bundle" --image-path "$images" --console-socket /nowhere "$id"
    contains "$output" "the console socket: connect"
    [ ! -e "$root/$id" ]
    bundle . true
    run rt restore --detach --bundle "$bundle" --image-path "$images" --console-socket /nowhere "$id"
    contains "$output" "--console-socket: process.terminal is not set"
    bundle '.linux.namespaces |= map(if .type == "ipc" then .path = "/proc/1/ns/ipc" else . end)' true
    run rt restore --bundle "$bundle" --image-path "$images" "$id"
    contains "$output" "ipc by path"
    bundle '.hooks.createContainer = [{path: "/bin/true"}]' true
    run rt restore --bundle "$bundle" --image-path "$images" "$id"
    contains "$output" "hooks.createContainer"
    nothing_left
}

@test "only what runs is checkpointed; checkpoint --help says that it can" {
    rt checkpoint --help >/dev/null
    rt restore --help >/dev/null
    bundle . sleep 1000
    create
    run rt checkpoint --image-path "$images" "$id"
    contains "$output" "container not running: '$id' is created"
    rt kill "$id" KILL
    until_true is_status stopped
    run rt checkpoint --image-path "$images" "$id"
    contains "$output" "is stopped"
}
