#!/usr/bin/env bats
# What went wrong in container runtimes, one after the other: each case fails on a runtime that lacks
# the fix. None is skipped for a peer, so JOBLET_RUN=runc shows which ones Debian's runc 1.1.5 lacks.
#
# Each was seen to fail: with that runc the cases of CVE-2026-41579, CVE-2025-31133, CVE-2025-52565,
# CVE-2019-19921 and CVE-2025-52881 (a sysctl), CVE-2026-30892, CVE-2021-30465 (proc; a directory) and
# exec --cgroup; and with joblet-run built without
#   the seal (runtime/entry.c, main.c); the mount's RDONLY      CVE-2019-5736
#   PR_SET_DUMPABLE 0                                           CVE-2016-9962
#   inheritable capabilities of their own (os/caps.c)           CVE-2022-29162
#   any RESOLVE_ flag of openat2 (os/openat2.c)                 CVE-2021-30465, CVE-2024-45310,
#           CVE-2024-21626 (exec's cwd), CVE-2026-41579, CVE-2023-27561 (a symlink within the image)
#   close_range (runtime/launch.c, step_start.c)                CVE-2024-21626 (descriptors)
#   O_NOFOLLOW and the check of the console's place             CVE-2025-52565
#   the checks of unified keys, of --cgroup and of cgroup paths  those two
# and with one that mounts before it makes the child, the case of the host's mounts.

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
# field NAME: of /proc/self/status in $output.
field() { awk -v n="$1:" '$1 == n { print $2 }' <<<"$output"; }

# bats test_tags=smoke
@test "CVE-2019-5736: nobody makes the file writable that the runtime inside runs from" {
    # a copy of our own, for the case that it can
    cp "$(readlink -f "$runtime")" "$BATS_TEST_TMPDIR/runtime"
    runtime=$BATS_TEST_TMPDIR/runtime
    bundle . sleep 1000
    create
    # the host's root, with more than any container has, while it runs and when it has ended
    $py "$BATS_TEST_DIRNAME/overwrite.py" "$(container_pid)" "$BATS_TEST_TMPDIR"
    rt delete "$id"
    create
    unshare --mount $py "$BATS_TEST_DIRNAME/overwrite.py" "$(container_pid)" "$BATS_TEST_TMPDIR"
    equals "$("$runtime" --version | head -c 10)" joblet-run
}

@test "CVE-2019-5736: a program that is /proc/self/exe does not get hold of the runtime's file" {
    bundle . sh -c 'for i in 1 2 3; do (echo x >>/proc/self/exe) 2>/dev/null; done; exec /proc/self/exe true'
    local before
    before=$(sha256sum <"$(readlink -f "$runtime")")
    run_bundle || true
    bundle . /proc/self/exe --version
    run_bundle || true
    ln -s /proc/self/exe "$bundle/rootfs/work/me"
    bundle . /work/me --version
    run_bundle || true
    equals "$(sha256sum <"$(readlink -f "$runtime")")" "$before"
    bundle . echo well
    try
    equals "$output" well
}

# hostile_link DIR: the image's DIR is a symlink to a directory of the host.
hostile_link() {
    mkdir -p "$BATS_TEST_TMPDIR/host"
    echo secret >"$BATS_TEST_TMPDIR/host/file"
    bundle "${2-.}" sh -c 'echo ran; cat '"$BATS_TEST_TMPDIR"'/host/file /dev/file /proc/file /sys/file; echo x >/dev/file; echo x >/proc/file; :'
    rmdir "$bundle/rootfs/$1"
    ln -s "$BATS_TEST_TMPDIR/host" "$bundle/rootfs/$1"
    local before
    before=$(cat /proc/self/mountinfo)
    try
    equals "$(ls -A "$BATS_TEST_TMPDIR/host")" file
    equals "$(cat "$BATS_TEST_TMPDIR/host/file")" secret
    [[ $output != *secret* ]]
    equals "$(cat /proc/self/mountinfo)" "$before"
    [ "$output" = ran ] || [ "$status" -ne 0 ]
    nothing_left
}

@test "CVE-2026-41579, CVE-2026-47766: an image whose /dev is a symlink reaches nothing of the host" {
    hostile_link dev
}

@test "CVE-2026-41579, CVE-2026-47766: an image whose /dev is a symlink, without a mount there" {
    hostile_link dev '.mounts |= map(select(.destination | startswith("/dev") | not))
        | .linux.devices = [{path: "/dev/x", type: "c", major: 1, minor: 3}]'
}

@test "CVE-2026-41579, CVE-2026-47766: an image whose /dev, /proc or /sys is a relative symlink upwards" {
    local dir before
    before=$(cat /proc/self/mountinfo)
    for dir in dev proc sys; do
        rm -rf "$bundle"
        bundle . true
        rmdir "$bundle/rootfs/$dir"
        ln -s "../../host" "$bundle/rootfs/$dir"
        mkdir -p "$BATS_TEST_TMPDIR/host"
        try
        equals "$(ls -A "$BATS_TEST_TMPDIR/host")" ""
        equals "$(cat /proc/self/mountinfo)" "$before"
        nothing_left
    done
}

@test "CVE-2023-27561, CVE-2023-28642: an image whose /proc is a symlink reaches nothing of the host" {
    hostile_link proc
}

@test "CVE-2023-27561, CVE-2023-28642: an image whose /sys is a symlink reaches nothing of the host" {
    hostile_link sys
}

@test "CVE-2023-27561, CVE-2023-28642: an image whose /proc or /sys is a symlink within it is refused" {
    # Else what is written to /proc/self/attr or masked below /proc is the image's.
    local dir
    for dir in proc sys; do
        rm -rf "$bundle"
        bundle . echo ran
        rmdir "$bundle/rootfs/$dir"
        ln -s work "$bundle/rootfs/$dir"
        try
        [ "$status" -ne 0 ]
        equals "$output" ""
        nothing_left
    done
}

@test "CVE-2024-45310: an image whose /etc is a symlink makes no file on the host by a file bind" {
    mkdir -p "$BATS_TEST_TMPDIR/host"
    echo mine >"$BATS_TEST_TMPDIR/mine"
    bundle '.mounts += [mount("/etc/made"; "bind"; $tmp + "/mine"; ["bind"])]' echo ran
    rm -r "$bundle/rootfs/etc"
    ln -s "../../host" "$bundle/rootfs/etc"
    try
    equals "$(ls -A "$BATS_TEST_TMPDIR/host")" ""
    [ "$output" = ran ] || [ "$status" -ne 0 ]
    nothing_left
}

# bats test_tags=smoke
@test "CVE-2024-21626: the program has standard input, output and error open and nothing else" {
    bundle . sh -c 'ls /proc/1/fd; :'
    try 7<"$bundle" 9<"$BATS_TEST_FILENAME"
    equals "$(xargs <<<"$output")" "0 1 2"
}

@test "CVE-2024-21626: a working directory through a descriptor of the caller is refused" {
    local fd
    for fd in 3 4 5 6 7 8 9; do
        bundle '.process.cwd = "/proc/self/fd/'$fd'"' pwd
        try 7</
        [ "$status" -ne 0 ] || { echo "cwd fd $fd: $output"; return 1; }
    done
    bundle 'del(.process.cwd)' pwd
    try
    [ "$status" -ne 0 ]
}

@test "CVE-2024-21626: a working directory through magic links of proc is refused" {
    local cwd
    for cwd in /proc/self/fd/0 /proc/1/root/proc/self/fd/7 /proc/self/cwd/proc/self/fd/7 /proc/thread-self/fd/8 /link; do
        bundle '.process.cwd = "'"$cwd"'"' sh -c 'ls; pwd'
        ln -sfn /proc/self/fd/7 "$bundle/rootfs/link"
        try 7</ 8</etc
        [ "$status" -ne 0 ] || { echo "cwd $cwd: $output"; return 1; }
    done
    nothing_left
}

@test "CVE-2024-21626: exec's cwd through a descriptor of the caller is refused" {
    running
    local fd
    for fd in 3 4 5 6 7 8 9; do
        in_it --cwd /proc/self/fd/$fd "$id" pwd 7</
        equals "$status" 255
        equals "$output" ""
    done
}

# swapping PATH TARGET: PATH of the image is a directory and a symlink to TARGET, in turn, as fast
# as it goes, as another container with the same rootfs could have it.
swapping() {
    mkdir -p "$1.dir"
    ln -s "$2" "$1.link"
    mkdir -p "$1"
    $py - "$1" 3>&- 4>&- <<'PYTHON' &
import ctypes, os, sys
path = sys.argv[1].encode()
libc = ctypes.CDLL(None)
os.rmdir(path)
os.rename(path + b".dir", path)
while os.getppid() != 1:
    libc.renameat2(-100, path, -100, path + b".link", 2)  # RENAME_EXCHANGE
PYTHON
    pids+=($!)
}

@test "CVE-2025-31133: a masked path shows nothing, whatever the image calls /dev/null" {
    mkdir "$BATS_TEST_TMPDIR/dev"
    ln -s /proc/sys/kernel/core_pattern "$BATS_TEST_TMPDIR/dev/null"
    bundle '.mounts |= map(select(.destination | startswith("/dev") | not)) | .linux.maskedPaths = ["/etc/passwd"]
        | .mounts += [mount("/dev"; "bind"; $tmp + "/dev"; ["bind"])]' sh -c 'cat /etc/passwd; echo ran'
    try
    [ "$status" -ne 0 ] || equals "$output" ran
    nothing_left
}

@test "CVE-2025-31133: a masked path that is a symlink or swapped for one masks nothing of the host" {
    mkdir -p "$BATS_TEST_TMPDIR/host"
    echo secret >"$BATS_TEST_TMPDIR/host/file"
    bundle '.linux.maskedPaths = ["/etc/swap", "/dev/null/x", "/proc/kcore"] | .linux.readonlyPaths = ["/etc/swap"]' \
        sh -c 'echo ran; cat /etc/swap/file 2>/dev/null; :'
    swapping "$bundle/rootfs/etc/swap" "$BATS_TEST_TMPDIR/host"
    local before
    before=$(cat /proc/self/mountinfo)
    for _ in {1..15}; do
        try
        [[ $output != *secret* ]]
        [ "$(cat "$BATS_TEST_TMPDIR/host/file")" = secret ]
        touch "$BATS_TEST_TMPDIR/host/written"
        nothing_left
    done
    equals "$(cat /proc/self/mountinfo)" "$before"
}

# swapped_mount MOUNT: a mount whose destination is swapped during the start stays in the container.
swapped_mount() {
    mkdir -p "$BATS_TEST_TMPDIR/host/sub" "$BATS_TEST_TMPDIR/source"
    echo outside >"$BATS_TEST_TMPDIR/source/file"
    bundle ".mounts += [$1]" true
    swapping "$bundle/rootfs/swap" "$BATS_TEST_TMPDIR/host"
    local before
    before=$(cat /proc/self/mountinfo)
    for _ in {1..15}; do
        try
        equals "$(cd "$BATS_TEST_TMPDIR/host" && find . | sort | xargs)" ". ./sub"
        nothing_left
    done
    equals "$(cat /proc/self/mountinfo)" "$before"
}

@test "CVE-2021-30465: a mount whose destination is swapped for a symlink during the start stays inside" {
    swapped_mount 'mount("/swap/sub/new"; "bind"; $tmp + "/source"; ["bind"])'
}

@test "CVE-2021-30465: a new file system whose destination is swapped for a symlink stays inside" {
    swapped_mount 'mount("/swap"; "tmpfs"; "tmpfs"; [])'
}

@test "CVE-2021-30465: proc whose destination is swapped for a symlink is there or refused" {
    swapped_mount 'mount("/swap/new"; "proc"; "proc"; [])'
}

@test "CVE-2026-30892: a user that is no number is refused, not taken as root" {
    running
    local user
    for user in 10x 1000:x ' 1000' 4294967296 4294967295 -5 :5; do
        in_it --user="$user" "$id" sh -c 'echo ran; id -u'
        [ "$status" -ne 0 ] || { echo "'$user' became $output"; return 1; }
        equals "$output" ""
    done
}

@test "a key of the unified map that leads elsewhere is refused" {
    bundle '.linux.resources += {unified: {"../cgroup.max.depth": "44"}}' true
    try
    [ "$status" -ne 0 ]
    nothing_left
}

# interpreted FILE: a program whose interpreter, instead of ld.so, is /proc/self/exe.
interpreted() {
    $py - "$1" <<'PYTHON'
import os, struct, sys
path = b"/proc/self/exe\0"
head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 62, 1, 0x400000, 64, 0, 0, 64, 56, 2, 0, 0, 0)
size = 64 + 2 * 56 + len(path)
interp = struct.pack("<IIQQQQQQ", 3, 4, 176, 0x4000B0, 0x4000B0, len(path), len(path), 1)
load = struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, size, size, 0x1000)
with open(sys.argv[1], "wb") as f:
    f.write(head + interp + load + path)
os.chmod(sys.argv[1], 0o755)
PYTHON
}

# The container opens whatever program a process of its own is, keeps it open, and writes as soon as
# nobody executes it any more.
overwriter='cd /proc; while [ ! -e /work/stop ]; do for p in [0-9]*; do
        case $(readlink $p/exe 2>/dev/null) in
        "" | */busybox | /bin/*) ;;
        *) (exec 3<$p/exe; for i in 1 2 3 4 5 6 7 8; do echo overwritten 2>/dev/null >/proc/self/fd/3 && break; sleep 0.02; done) 2>/dev/null & ;;
        esac
    done; done; wait'

@test "CVE-2019-5736: a container that executes the runtime cannot overwrite it" {
    local before
    # a copy of our own, for the case that it can
    cp "$(readlink -f "$runtime")" "$BATS_TEST_TMPDIR/runtime"
    before=$(sha256sum <"$BATS_TEST_TMPDIR/runtime")
    runtime=$BATS_TEST_TMPDIR/runtime
    bundle . sh -c "$overwriter"
    printf '#!/proc/self/exe events\n' >"$bundle/rootfs/work/script"
    chmod 755 "$bundle/rootfs/work/script"
    interpreted "$bundle/rootfs/work/interpreted"
    detach
    for _ in {1..15}; do
        timeout 5 "$runtime" --root "$root" exec "$id" /work/script </dev/null >/dev/null 2>&1 || true
        timeout 5 "$runtime" --root "$root" exec "$id" /work/interpreted </dev/null >/dev/null 2>&1 || true
        [ "$(sha256sum <"$BATS_TEST_TMPDIR/runtime")" = "$before" ] || { echo "the runtime was overwritten"; return 1; }
    done
    touch "$bundle/rootfs/work/stop"
    until_true is_status stopped
    equals "$(sha256sum <"$BATS_TEST_TMPDIR/runtime")" "$before"
}

@test "CVE-2016-9962: a container that shares its processes cannot look into one that is made" {
    running
    local mine=$id neighbour pid inside
    neighbour=$(container_pid)
    id=$id-2 cgroup=$cgroup-2
    bundle 'ns("pid") | .linux.namespaces += [{type: "pid", path: "/proc/'"$neighbour"'/ns/pid"}]' sleep 1000
    create
    pid=$(container_pid)
    inside=$(awk '$1 == "NSpid:" { print $NF }' "/proc/$pid/status")
    run --separate-stderr rt exec "$mine" sh -c "for f in /proc/$inside/fd/*; do readlink \$f; done; readlink /proc/$inside/exe
        ls /proc/$inside/root/ /proc/$inside/cwd/; head -c 1 /proc/$inside/mem; cat /proc/$inside/environ"
    equals "$output" ""
    contains "$stderr" "Permission denied"
    rt delete --force "$id"
    rt delete --force "$mine"
}

@test "CVE-2022-29162: no capability is inheritable that was not asked for" {
    running
    in_it "$id" cat /proc/1/status
    equals "$(field CapInh)" 0000000000000000
    in_it "$id" cat /proc/self/status
    equals "$(field CapInh)" 0000000000000000
    in_it --cap CAP_CHOWN "$id" cat /proc/self/status
    [ "$((0x$(field CapEff) & 1))" = 1 ]
    equals "$(field CapInh)" 0000000000000000
}

@test "CVE-2019-19921, CVE-2025-52881: a sysctl goes to the kernel, whatever the image calls /proc" {
    local file
    bundle '.mounts |= map(select(.destination != "/proc")) | .linux.sysctl = {"kernel.msgmax": "9999"}' sleep 1000
    for file in sys/kernel/msgmax self/attr/exec self/fd/0; do
        mkdir -p "$bundle/rootfs/proc/$(dirname $file)"
        echo untouched >"$bundle/rootfs/proc/$file"
    done
    create
    equals "$(cat "$bundle/rootfs/proc/sys/kernel/msgmax")" untouched
    equals "$(nsenter -t "$(container_pid)" -i cat /proc/sys/kernel/msgmax)" 9999
    rt start "$id"
    equals "$(cat "$bundle"/rootfs/proc/self/{attr/exec,fd/0} | xargs)" "untouched untouched"
}

@test "CVE-2019-19921, CVE-2025-52881: a procfs that is another's gets no sysctl" {
    # /proc of the container is the host's by a bind: its files are those of the host's namespaces
    bundle '.mounts |= map(if .destination == "/proc" then {destination: "/proc", type: "bind", source: ($tmp + "/proc"), options: ["bind"]} else . end)
        | .linux.sysctl = {"kernel.msgmax": "9999"}' true
    mkdir -p "$BATS_TEST_TMPDIR/proc/sys/kernel"
    ln -s "$BATS_TEST_TMPDIR/elsewhere" "$BATS_TEST_TMPDIR/proc/sys/kernel/msgmax"
    echo untouched >"$BATS_TEST_TMPDIR/proc/sys/kernel/msgmnb"
    mkdir -p "$bundle/rootfs$BATS_TEST_TMPDIR"
    try
    [ ! -e "$BATS_TEST_TMPDIR/elsewhere" ]
    [ ! -e "$bundle/rootfs$BATS_TEST_TMPDIR/elsewhere" ]
    nothing_left
}

@test "CVE-2025-52565: /dev/console is the terminal, whatever the image has there" {
    mkdir -p "$BATS_TEST_TMPDIR/host" "$BATS_TEST_TMPDIR/pts"
    echo untouched >"$BATS_TEST_TMPDIR/host/file"
    # The image swaps what a path of the terminal leads to: a bind by path shows the kernel's file.
    ln -s /proc/sys/kernel/core_pattern "$BATS_TEST_TMPDIR/pts/0"
    bundle '.process.terminal = true | .mounts |= map(if .destination == "/dev/pts" then
            {destination: "/dev/pts", type: "bind", source: ($tmp + "/pts"), options: ["bind"]} else . end)' \
        sh -c 'stat -c "%F" /dev/console'
    ln -sfn "$BATS_TEST_TMPDIR/host/file" "$bundle/rootfs/dev/console"
    run $py "$here/ontty.py" 33x77 "$runtime" --root "$root" run --bundle "$bundle" "$id"
    [ "$status" -ne 0 ] || contains "$output" "character special file"
    [[ $output != *"regular"* ]]
    equals "$(cat "$BATS_TEST_TMPDIR/host/file")" untouched
    # and where /dev is the image's own
    bundle '.process.terminal = true | .mounts |= map(select(.destination != "/dev"))' cat /work/file
    mkdir -p "$bundle"/rootfs/dev/{pts,shm}
    ln -sfn ../work/file "$bundle/rootfs/dev/console"
    echo untouched >"$bundle/rootfs/work/file"
    run timeout 100 $py "$here/ontty.py" 33x77 "$runtime" --root "$root" run --bundle "$bundle" "$id"
    equals "$(cat "$bundle/rootfs/work/file")" untouched
    [ "$status" -eq 1 ] || equals "$(tr -d '\r' <<<"$output")" untouched # refused, or the file is no terminal
    nothing_left
}

@test "CVE-2024-45310: a destination that is swapped for a symlink makes no file on the host" {
    mkdir -p "$BATS_TEST_TMPDIR/host/sub" "$BATS_TEST_TMPDIR/source"
    echo outside >"$BATS_TEST_TMPDIR/source/file"
    bundle '.mounts += [mount("/swap/sub/new/file"; "bind"; $tmp + "/source/file"; ["bind"])]' true
    swapping "$bundle/rootfs/swap" "$BATS_TEST_TMPDIR/host"
    for _ in {1..15}; do
        try
        equals "$(cd "$BATS_TEST_TMPDIR/host" && find . | sort | xargs)" ". ./sub"
        nothing_left
    done
}

@test "exec --cgroup leads to no group that is not the container's" {
    local dir bad
    running
    for dir in $(cgroup_mounts); do [ ! -d "$dir$cgroup" ] || mkdir "$dir$cgroup-evil"; done
    for bad in "../$id-evil" "/../$id-evil" "sub/../../$id-evil" .. "../.." "pids:../$id-evil"; do
        in_it --cgroup "$bad" "$id" cat /proc/self/cgroup
        for dir in $(cgroup_mounts); do [ ! -d "$dir$cgroup-evil" ] || equals "$(cat "$dir$cgroup-evil/cgroup.procs")" ""; done
        [ "$status" -ne 0 ] || { echo "'$bad': $output"; return 1; }
    done
    for dir in $(cgroup_mounts); do [ ! -d "$dir$cgroup-evil" ] || rmdir "$dir$cgroup-evil"; done
}

@test "the host's mounts are what they were after a runtime that was killed at any moment" {
    local delay before victim
    before=$(cat /proc/self/mountinfo)
    bundle '.mounts += [mount("/mnt"; "bind"; $tmp + "/b"; ["bind", "nosuid", "ro"])]
        | .linux.maskedPaths = ["/proc/kcore"] | .linux.readonlyPaths = ["/etc"] | .root.readonly = true' sleep 1000
    for delay in 0 0.001 0.002 0.003 0.004 0.005 0.007 0.009 0.012 0.02 0.03; do
        "$runtime" --root "$root" create --bundle "$bundle" "$id" </dev/null >/dev/null 2>&1 3>&- 4>&- &
        victim=$!
        sleep "$delay" # not a wait for anything: the moment that is tried
        kill -KILL "$victim" 2>/dev/null || true
        wait "$victim" 2>/dev/null || true
        equals "$(cat /proc/self/mountinfo)" "$before"
        touch "$bundle/writable" # nothing of the host became read-only
        rt delete --force "$id" || true
    done
    equals "$(cat /proc/self/mountinfo)" "$before"
}
