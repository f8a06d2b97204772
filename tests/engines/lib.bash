# Common to tests/engines/*.bats: engines with joblet-run in the place of runc, each in a machine of
# its own (see machine), with the files of contrib/engines as they are.
#   JOBLET_RUN, JOBLET_BUILD   the runtime, as for tests/cli
#   ENGINE_RUNTIME             another one instead: every test that is not about joblet-run itself
#                              passes with ENGINE_RUNTIME=/usr/sbin/runc, else the test is wrong

bats_require_minimum_version 1.5.0
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
runtime=${ENGINE_RUNTIME-${JOBLET_RUN-}}
for candidate in "${JOBLET_BUILD:-/nowhere}" "$top"/build/{gcc,test/gcc,dev} "$top"; do
    [ -n "$runtime" ] || [ ! -x "$candidate/joblet-run" ] || runtime=$candidate/joblet-run
done

# machine_up PROGRAM...: skips when one of the engine's programs is not installed.
machine_up() {
    local program
    [ "$(id -u)" = 0 ] || skip "needs root"
    for program in "$@"; do
        [ -x "$(PATH=/usr/sbin:/usr/bin command -v "$program")" ] || skip "$program is not installed (contrib/packages.engines)"
    done
    [ -x "$runtime" ] || { echo "no joblet-run: set JOBLET_BUILD or JOBLET_RUN" >&2; return 1; }
    [[ $("$runtime" --version) == *" version "* ]] || { echo "$runtime is no OCI runtime" >&2; return 1; }
    export group=joblet-test-engines-$$ dir=$BATS_FILE_TMPDIR
    # Jobs that are not root's must get through to their bundles.
    chmod o+x "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR"/file "$dir"
    unshare --mount --pid --net --uts --ipc --fork --kill-child --mount-proc --propagation private \
        "$here/machine" "$dir" "$runtime" </dev/null >"$dir/machine.log" 2>&1 3>&- 4>&- &
    export unshare_pid=$!
    until_true test -e "$dir/up" || { cat "$dir/machine.log" >&2; return 1; }
    machine_pid=$(cat "/proc/$unshare_pid/task/$unshare_pid/children")
    export machine_pid=${machine_pid% }
    make_image
}

machine_down() {
    local mount
    [ -n "${unshare_pid-}" ] || return 0
    kill -KILL "$machine_pid" "$unshare_pid" 2>/dev/null
    until_true gone "$machine_pid"
    [ -n "${group-}" ] || return 0
    for mount in $(awk '{ for (i = 7; $i != "-"; i++); if ($(i + 1) ~ /^cgroup2?$/) print $5 }' /proc/self/mountinfo); do
        [ ! -d "$mount/$group" ] || until_true remove_groups "$mount/$group"
    done
    return 0
}
gone() { [ ! -e "/proc/$1" ]; }
remove_groups() { find "$1" -depth -type d -exec rmdir {} + 2>/dev/null; [ ! -e "$1" ]; }

# A root file system of busybox: as a directory, as a tar file, and as an OCI image.
make_image() {
    local root=$dir/rootfs
    mkdir -p "$root"/{bin,etc,tmp,root,proc,sys,dev,run,data}
    chmod 1777 "$root/tmp"
    cp /bin/busybox "$root/bin/"
    chroot "$root" /bin/busybox --install -s /bin
    printf 'root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n' >"$root/etc/passwd"
    printf 'root:x:0:\nuser:x:1000:\n' >"$root/etc/group"
    echo data >"$root/data/file"
    tar -C "$root" -cf "$dir/image.tar" .
}

# inside COMMAND...: in the machine, with an environment as a login has it; a minute at most.
inside() {
    nsenter -t "$machine_pid" --mount --pid --net --uts --ipc env -i HOME=/root TERM=xterm \
        PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin timeout -k 1 60 "$@" 3>&- 4>&-
}
# inside_daemon NAME COMMAND...: the same in the background, without a limit; ends with the machine.
inside_daemon() {
    local name=$1
    shift
    nsenter -t "$machine_pid" --mount --pid --net --uts --ipc env -i HOME=/root \
        PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@" </dev/null >"$dir/$name.log" 2>&1 3>&- 4>&- &
    disown
}

until_true() { # until_true COMMAND...: polls up to twenty seconds
    local i
    for ((i = 0; i < 400; i++)); do
        "$@" && return 0
        sleep 0.05
    done
    echo "did not come true: $*" >&2
    return 1
}
contains() {
    [[ $1 == *"$2"* ]] || { printf 'expected: %s\nin: %s\n' "$2" "$1" >&2; return 1; }
}
equals() {
    [ "$1" = "$2" ] || { printf 'expected: %s\ngot:      %s\n' "$2" "$1" >&2; return 1; }
}
# prints TEXT COMMAND...: the command's output has the text.
prints() {
    local text=$1
    shift
    [[ $("$@" 2>&1) == *"$text"* ]]
}

# limit PID CONTROLLER V1-FILE V2-FILE: what the kernel has for a process of the machine.
limit() {
    local pid=$1 path
    if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
        path=$(inside sed -n 's/^0:://p' "/proc/$pid/cgroup")
        cat "/sys/fs/cgroup$path/$4"
    else
        path=$(inside awk -F: -v c="$2" '"," $2 "," ~ "," c "," { print $3 }' "/proc/$pid/cgroup")
        cat "/sys/fs/cgroup/$2$path/$3"
    fi
}

# What a program on a terminal says; its standard input is empty.
on_terminal() {
    inside script -qec "$(printf '%q ' "$@")" /dev/null </dev/null | tr -d '\r'
}

# A program that says it is there, and leaves with 3 when it is asked to.
patient='trap "echo bye; exit 3" TERM; echo up; while :; do sleep 0.05; done'
