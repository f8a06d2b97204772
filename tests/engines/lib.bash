# Common to tests/engines/*.bats, and to the bench: engines with joblet-run in the place of runc, each
# in a machine of its own (see machine), with the files of contrib/engines as they are.
#   JOBLET_RUN, JOBLET_BUILD   the runtime, as for tests/cli
#   ENGINE_RUNTIME             another one instead: every test that is not about joblet-run itself
#                              passes with ENGINE_RUNTIME=/usr/sbin/runc, else the test is wrong

[ -z "${BATS_VERSION-}" ] || bats_require_minimum_version 1.5.0
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
. "$top/tests/lib/until.bash"
runtime=${ENGINE_RUNTIME-${JOBLET_RUN-}}
for candidate in "${JOBLET_BUILD:-/nowhere}" "$top"/build/{gcc,test/gcc,dev} "$top"; do
    [ -n "$runtime" ] || [ ! -x "$candidate/joblet-run" ] || runtime=$candidate/joblet-run
done

# installed PROGRAM...: says which is not, and fails.
installed() {
    local program
    for program in "$@"; do
        [ -x "$(PATH=/usr/sbin:/usr/bin command -v "$program")" ] ||
            { echo "$program is not installed (contrib/packages.engines)"; return 1; }
    done
}

# machine_up PROGRAM...: skips when one of the engine's programs is not installed.
machine_up() {
    local lacks
    [ "$(id -u)" = 0 ] || skip "needs root"
    lacks=$(installed "$@") || skip "$lacks"
    # Jobs that are not root's must get through to their bundles.
    chmod o+x "$BATS_RUN_TMPDIR" "$BATS_RUN_TMPDIR"/file "$BATS_FILE_TMPDIR"
    machine_start "$BATS_FILE_TMPDIR"
}

# machine_start DIR: the machine, with all that it needs in DIR; $machine_pid, $group.
machine_start() {
    [ -x "$runtime" ] || { echo "no joblet-run: set JOBLET_BUILD or JOBLET_RUN" >&2; return 1; }
    [[ $("$runtime" --version) == *" version "* ]] || { echo "$runtime is no OCI runtime" >&2; return 1; }
    export group=joblet-test-engines-$$ dir=$1
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
    wait "$unshare_pid" 2>/dev/null # where it is a child of ours, bash says nothing of its end
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

# inside COMMAND...: in the machine, with an environment as a login has it; two minutes at most.
inside() {
    nsenter -t "$machine_pid" --mount --pid --net --uts --ipc env -i HOME=/root TERM=xterm \
        PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin timeout -k 1 120 "$@" 3>&- 4>&-
}
# inside_daemon NAME COMMAND...: the same in the background, without a limit; ends with the machine.
inside_daemon() {
    local name=$1
    shift
    nsenter -t "$machine_pid" --mount --pid --net --uts --ipc env -i HOME=/root \
        PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@" </dev/null >"$dir/$name.log" 2>&1 3>&- 4>&- &
    disown
}

containerd_up() {
    inside_daemon containerd containerd
    until_true inside ctr version >/dev/null 2>&1 || { tail -n 20 "$dir/containerd.log" >&2; return 1; }
}

# Slurm with one node, this machine.
slurm_up() {
    inside install -d -m 1777 /run/joblet-slurm
    inside install -d /var/lib/slurm/state /var/lib/slurm/spool /var/log/slurm
    inside install -d -o munge -g munge /run/munge /var/lib/munge /var/log/munge
    head -c 1024 /dev/urandom | inside sh -c 'cat >/etc/munge/munge.key'
    inside sh -c 'chown -R munge:munge /etc/munge && chmod 700 /etc/munge && chmod 600 /etc/munge/munge.key'
    # --force: what directories above say about safety is not what is tested here.
    inside_daemon munged setpriv --reuid munge --regid munge --clear-groups munged --foreground --force
    slurm_conf | inside sh -c 'cat >/etc/slurm/slurm.conf'
    until_true inside sh -c 'munge -n | unmunge' >/dev/null 2>&1 || { cat "$dir/munged.log" >&2; return 1; }
    inside_daemon slurmctld slurmctld -D
    inside_daemon slurmd slurmd -D
    until_true prints idle inside sinfo --noheader --format %T || { tail "$dir"/slurm*.log >&2; return 1; }
}

slurm_conf() {
    cat <<'CONF'
ClusterName=engines
SlurmctldHost=engines(127.0.0.1)
SlurmUser=root
SlurmdUser=root
StateSaveLocation=/var/lib/slurm/state
SlurmdSpoolDir=/var/lib/slurm/spool
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
KillWait=1
SchedulerParameters=sched_interval=1,batch_sched_delay=0
SlurmdParameters=config_overrides
NodeName=engines NodeAddr=127.0.0.1 CPUs=2 RealMemory=500
PartitionName=all Nodes=engines Default=YES State=UP
CONF
}

# make_bundle DIR FILTER: a bundle with that root, for `srun --container`; FILTER is jq's.
make_bundle() {
    mkdir -p "$1"
    cp -al "$dir/rootfs" "$1/rootfs"
    jq -n '{
        ociVersion: "1.0.2",
        process: {terminal: false, user: {uid: 0, gid: 0}, args: ["sh"], env: ["PATH=/bin"], cwd: "/"},
        root: {path: "rootfs"},
        mounts: [{destination: "/proc", type: "proc", source: "proc"},
                 {destination: "/tmp", type: "tmpfs", source: "tmpfs"},
                 {destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"]}],
        linux: {namespaces: [{type: "pid"}, {type: "ipc"}, {type: "uts"}, {type: "mount"}]}} | '"$2" >"$1/config.json"
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
