# Common to tests/shim/*.bats: a job of busybox under the real shim, with the runtime of the host.
#   JOBLET_SHIM, JOBLET_INIT   the programs (default: those of the build directory)
#   JOBLET_BUILD               the build directory (default: $builddir, then the source)
#   JOBLET_RUN                 the OCI runtime (default: runc)
# Jobs live below one cgroup of the file's, and each below a directory of the test's.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
. "$top/tests/lib/until.bash"
build=${JOBLET_BUILD:-${builddir:-$top}}
shim=${JOBLET_SHIM:-$build/joblet-shim}
init=${JOBLET_INIT:-$build/joblet-init}
runtime=${JOBLET_RUN-}
[ -x "$runtime" ] || runtime=$(command -v runc)
ctl() { /usr/bin/python3 "$here/shimctl.py" "$@"; }

file_setup() {
    [ "$(id -u)" = 0 ] || skip "needs root"
    [ -x "$shim" ] || { echo "no joblet-shim at $shim: set builddir" >&2; return 1; }
    [ -n "$runtime" ] || skip "needs runc, or JOBLET_RUN"
    export ROOTFS=$BATS_FILE_TMPDIR/rootfs cgroup_parent=joblet-test-shim-$$
    mkdir -p "$ROOTFS"/{bin,proc,dev,sys,tmp,work}
    cp /bin/busybox "$ROOTFS/bin/busybox"
    cp "$init" "$ROOTFS/bin/joblet-init"
    chroot "$ROOTFS" /bin/busybox --install -s /bin
}

file_teardown() {
    local dir
    [ -n "${cgroup_parent-}" ] || return 0
    for dir in /sys/fs/cgroup/*/"$cgroup_parent" "/sys/fs/cgroup/$cgroup_parent"; do
        [ ! -d "$dir" ] || find "$dir" -depth -type d -exec rmdir {} \; 2>/dev/null
    done
    return 0
}

# bundle ARG...: a bundle whose job is joblet-init -- ARG...; JQ is applied to its config.json.
bundle() {
    id=s$BATS_TEST_NUMBER-$$-$RANDOM
    dir=$BATS_TEST_TMPDIR/$id
    mkdir -p "$dir"/{bundle,state,log,root}
    (cd "$dir/bundle" && "$runtime" spec)
    jq --arg rootfs "$ROOTFS" --arg cgroup "/$cgroup_parent/$id" '
        .root = {path: $rootfs, readonly: false} | .process.terminal = false
        | .process.args = (["/bin/joblet-init", "--"] + $ARGS.positional)
        | .process.cwd = "/work" | .linux.cgroupsPath = $cgroup | del(.linux.resources.devices)
        | '"${JQ:-.}" "$dir/bundle/config.json" --args -- "$@" >"$dir/config.new"
    mv "$dir/config.new" "$dir/bundle/config.json"
}

# start [OPTION...]: the shim in the background, its pid in $shim_pid; returns when the job runs
# or could not start; $sync is what it said then.
start() {
    local fifo=$dir/sync
    mkfifo "$fifo"
    exec 8<>"$fifo"
    "$shim" --id "$id" --bundle "$dir/bundle" --state-dir "$dir/state" --log-dir "$dir/log" \
        --runtime-root "$dir/root" --runtime "$runtime" --cgroup "$cgroup_parent/$id" \
        --sync-fd 9 "$@" 9>"$fifo" 8>&- 3>&- 2>"$dir/stderr" &
    shim_pid=$!
    sync=$(timeout 200 /usr/bin/python3 "$here/shimctl.py" sync 8) || sync="none $?"
    exec 8>&-
}

# Waits for the shim; its exit code in $shim_status.
ended() {
    until_true has_ended "$shim_pid" || return 1
    wait "$shim_pid" && shim_status=0 || shim_status=$?
}

has_ended() { ! kill -0 "$1"; }

# The whole life of a job.
run_job() {
    start "$@"
    ended
    [ "$shim_status" = 0 ]
}

record() { sed -n "s/^$1=//p" "$dir/state/exit"; }
hex() { od -An -v -tx1 | tr -d ' \n'; }
job_log() { ctl log "$dir/log" "$@"; }
all_cgroup_dirs() { find /sys/fs/cgroup -maxdepth 3 -path "*/$cgroup_parent/$id" 2>/dev/null; }

# The same after a shim that could not finish.
nothing_left_but_socket() {
    rm -f "$dir/state/control"
    nothing_left
}

# Nothing of the job is left: no process, cgroup, mount or state of the runtime.
nothing_left() {
    [ -z "$(all_cgroup_dirs)" ] || { echo "cgroups left: $(all_cgroup_dirs)"; return 1; }
    [ -z "$(ls -A "$dir/root" 2>/dev/null)" ] || { ls -A "$dir/root"; return 1; }
    [ ! -e "$dir/state/control" ]
    ! grep -q "$dir" /proc/self/mountinfo
}

job_teardown() {
    if [ -n "${shim_pid-}" ] && kill -0 "$shim_pid" 2>/dev/null; then
        kill -9 "$shim_pid"
        wait "$shim_pid" 2>/dev/null || true
    fi
    [ -z "${id-}" ] || "$runtime" --root "$dir/root" delete --force "$id" >/dev/null 2>&1 || true
    return 0
}
