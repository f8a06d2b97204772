# Common to tests/cli/*.bats: bundles of busybox under an OCI runtime, on cgroup v1, hybrid and v2.
#   JOBLET_RUN     the runtime (default: $JOBLET_BUILD/joblet-run, else that of build/gcc and so on);
#                  tests of what every runtime does also pass with JOBLET_RUN=runc
#   JOBLET_BUILD   the build directory
# Every test has a bundle, a state root and a control group of its own, and teardown proves nothing
# of it stays. What a test waits for is polled with a deadline.

bats_require_minimum_version 1.5.0
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
runtime=${JOBLET_RUN-}
for candidate in "${JOBLET_BUILD:-/nowhere}" "$top"/build/{gcc,test/gcc,dev} "$top"; do
    [ -n "$runtime" ] || [ ! -x "$candidate/joblet-run" ] || runtime=$candidate/joblet-run
done
[[ $runtime == /* ]] || runtime=$(command -v "${runtime:-joblet-run}")
py=/usr/bin/python3
. "$top/tests/lib/until.bash"

file_setup() {
    [ "$(id -u)" = 0 ] || skip "needs root"
    [ -x "$runtime" ] || { echo "no joblet-run: set JOBLET_BUILD or JOBLET_RUN" >&2; return 1; }
    [ -n "${any_runtime-}" ] || [[ $("$runtime" --version) == *" version "* ]] || { echo "$runtime is no OCI runtime" >&2; return 1; }
    image=$BATS_FILE_TMPDIR/image
    mkdir -p "$image"/{bin,dev,etc,mnt,proc,root,sys,tmp,work}
    chmod 1777 "$image/tmp"
    # A copy, so that tests link it instead of copying once more.
    cp /bin/busybox "$image/bin/busybox"
    chroot "$image" /bin/busybox --install -s /bin
    printf 'root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n' >"$image/etc/passwd"
    printf 'root:x:0:\nuser:x:1000:\n' >"$image/etc/group"
    export image cgroup_parent=joblet-test-cli-$$
    # A runtime may want to walk to the rootfs as the container's user.
    chmod o+x "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR"/{file,test,suite} "$BATS_FILE_TMPDIR" 2>/dev/null || true
    return 0
}

file_teardown() {
    local dir
    [ -n "${cgroup_parent-}" ] || return 0 # setup failed: without a name it would be everybody's groups
    for dir in $(cgroup_mounts); do
        [ ! -d "$dir/$cgroup_parent" ] || find "$dir/$cgroup_parent" -depth -type d -exec rmdir {} \; 2>/dev/null
    done
    return 0
}

job_setup() {
    id=c$BATS_TEST_NUMBER
    bundle=$BATS_TEST_TMPDIR/b
    root=$BATS_TEST_TMPDIR/s
    cgroup=/$cgroup_parent/$id
    pids=()
    chmod o+x "$BATS_TEST_TMPDIR"
}

# What the test started is ended, and a container that would not go is ended by its group's list.
job_teardown() {
    local pid dir
    for pid in "${pids[@]}"; do
        kill -KILL "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
    for dir in "$root"/*/; do
        [ ! -d "$dir" ] || rt delete --force "$(basename "$dir")" >/dev/null 2>&1
    done
    for dir in $(cgroup_dirs | sort -r); do
        xargs -r kill -KILL <"$dir/cgroup.procs" 2>/dev/null
        until_true rmdir "$dir" 2>/dev/null
    done
    awk -v t="$BATS_TEST_TMPDIR/" 'index($5, t) == 1 { print $5 }' /proc/self/mountinfo | sort -r |
        xargs -r -n 1 umount -l
    return 0
}

# For what runc does not do, or does otherwise.
not_runc() { [[ $("$runtime" --version) != runc\ * ]] || skip "runc: ${1:-does not do it}"; }

rt() { "$runtime" --root "$root" "$@" 3>&- 4>&-; }

# bundle FILTER ARG...: a bundle that runs ARG..., its config.json passed through jq's FILTER.
bundle() {
    local filter=$1
    shift
    [ -d "$bundle/rootfs" ] || { mkdir -p "$bundle" && cp -al "$image" "$bundle/rootfs"; }
    base_config | jq --arg cgroup "$cgroup" --arg tmp "$BATS_TEST_TMPDIR" '
        .process.args = $ARGS.positional | .linux.cgroupsPath = $cgroup
        | def mount(dst; type; src; opts): {destination: dst, type: type, source: src, options: opts};
          def ns(type): .linux.namespaces |= map(select(.type != type));
          def userns: .linux.namespaces += [{type: "user"}]
              | .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}]
              | .linux.gidMappings = [{containerID: 0, hostID: 200000, size: 65536}];
          '"$filter" --args -- "$@" >"$bundle/config.json"
}

base_config() {
    cat <<'JSON'
{
    "ociVersion": "1.0.2",
    "process": {
        "terminal": false,
        "user": { "uid": 0, "gid": 0 },
        "args": [],
        "env": ["PATH=/usr/bin:/bin"],
        "cwd": "/",
        "capabilities": {
            "bounding": ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"],
            "effective": ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"],
            "permitted": ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
        },
        "noNewPrivileges": true
    },
    "root": { "path": "rootfs", "readonly": false },
    "hostname": "inside",
    "mounts": [
        { "destination": "/proc", "type": "proc", "source": "proc" },
        { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
          "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] },
        { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
          "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"] },
        { "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
          "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"] },
        { "destination": "/sys", "type": "sysfs", "source": "sysfs",
          "options": ["nosuid", "noexec", "nodev", "ro"] }
    ],
    "linux": {
        "namespaces": [
            { "type": "pid" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" },
            { "type": "network" }
        ],
        "resources": { "devices": [{ "allow": false, "access": "rwm" }] }
    }
}
JSON
}

# Running in the foreground: its output is the container's.
run_bundle() { rt run --bundle "$bundle" "$@" "$id"; }

# With bats' run, so $status and $output tell; standard error is in $stderr.
try() { run --separate-stderr run_bundle; }

# What a container that goes on would hold open must not be bats' own descriptors.
detached() { "$@" </dev/null >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err"; }
create() { detached rt create --bundle "$bundle" "$@" "$id" && [ -d "$root/$id" ]; }
detach() { detached rt run --detach --bundle "$bundle" "$@" "$id" && [ -d "$root/$id" ]; }

# The same in the background: its pid in $run_pid, its output in out and err of the test's directory.
run_behind() {
    "$runtime" --root "$root" run --bundle "$bundle" "$@" "$id" </dev/null \
        >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" 3>&- 4>&- &
    run_pid=$!
    pids+=("$run_pid")
}
# Waits for a process of ours; its exit code in $status.
ended() {
    until_true has_ended "$1"
    wait "$1" && status=0 || status=$?
}
has_ended() { ! kill -0 "$1" 2>/dev/null || [ "$(cut -d' ' -f3 "/proc/$1/stat")" = Z ]; }
out() { cat "$BATS_TEST_TMPDIR/out"; }
err() { cat "$BATS_TEST_TMPDIR/err"; }
said() { grep -qF -- "$1" "$BATS_TEST_TMPDIR/out"; }

container_state() { rt state "$id" | jq -r ".$1"; }
container_pid() { container_state pid; }
is_status() { [ "$(container_state status 2>/dev/null)" = "$1" ]; }

# contains TEXT PART: with a message that shows both.
contains() {
    [[ $1 == *"$2"* ]] || { printf 'expected: %s\nin: %s\n' "$2" "$1" >&2; return 1; }
}
equals() {
    [ "$1" = "$2" ] || { printf 'expected: %s\ngot:      %s\n' "$2" "$1" >&2; return 1; }
}

# is_linux VERSION: or newer.
is_linux() { [ "$(printf '%s\n%s\n' "$1" "$(uname -r)" | sort -V | head -n 1)" = "$1" ]; }

# --- control groups ---
cgroup_mode() {
    if [ -f /sys/fs/cgroup/cgroup.controllers ]; then echo v2; else echo v1; fi
}
# Where hierarchies are mounted, each once.
cgroup_mounts() {
    awk '{ for (i = 7; $i != "-"; i++); if ($(i + 1) ~ /^cgroup2?$/) print $5 }' /proc/self/mountinfo
}
# The directories that the container has, or left.
cgroup_dirs() {
    local dir
    [ -n "${cgroup-}" ] || return 0
    for dir in $(cgroup_mounts); do
        [ ! -d "$dir$cgroup" ] || find "$dir$cgroup" -type d
    done
}
# cgroup_dir CONTROLLER [PATH]: its directory in the hierarchy that has the controller.
cgroup_dir() {
    local path=${2:-$cgroup}
    if [ "$(cgroup_mode)" = v2 ]; then
        echo "/sys/fs/cgroup$path"
        return
    fi
    awk -v c="$1" -v p="$path" '{
        for (i = 7; $i != "-"; i++);
        if ($(i + 1) == "cgroup" && "," $(i + 3) "," ~ "," c ",") { print $5 p; exit }
    }' /proc/self/mountinfo
}
# cgroup_file CONTROLLER FILE: what it says.
cgroup_file() { cat "$(cgroup_dir "$1")/$2"; }

# Nothing of the container is left: no state, no mount, no group, so no process that was in one.
nothing_left() {
    local bad=0
    [ ! -e "$root/$id" ] || { echo "state left: $(ls -A "$root/$id")" >&2; bad=1; }
    [ -z "$(cgroup_dirs)" ] || { echo "cgroups left: $(cgroup_dirs)" >&2; bad=1; }
    ! grep -F "$BATS_TEST_TMPDIR" /proc/self/mountinfo >&2 || bad=1
    return $bad
}
