# Common to tests/escape/*.bats, on top of tests/e2e/lib.bash: what a job tries, and what of the
# host must be as it was.
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.bash"
escape=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
attempt=$build/tests/escape/attempt

# What a job that got out could have changed: settings of the kernel, mounts, devices, the agents of
# control groups, the groups above the job's.
host_state() (
    set +e # what is not there is not there
    for f in /proc/sys/kernel/{core_pattern,core_uses_pid,hostname,domainname,modprobe,panic,printk,sysrq,hotplug,kptr_restrict,dmesg_restrict,unprivileged_bpf_disabled,yama/ptrace_scope} \
        /proc/sys/vm/{overcommit_memory,panic_on_oom,swappiness,mmap_min_addr} /proc/sys/fs/{suid_dumpable,file-max,protected_symlinks,protected_hardlinks} \
        /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/user/max_user_namespaces \
        /sys/kernel/uevent_helper /sys/kernel/mm/transparent_hugepage/enabled /proc/irq/default_smp_affinity /etc/passwd /etc/shadow; do
        [ ! -r "$f" ] || printf '%s %s\n' "$f" "$(sha256sum <"$f")"
    done
    find /sys/fs/cgroup -maxdepth 2 -name release_agent -exec grep -sH . {} +
    find /sys/fs/cgroup -maxdepth 2 \( -name '*.max' -o -name '*limit_in_bytes' -o -name 'cpuset.cpus' \) ! -path '*/*/*joblet-test*' -exec grep -sH . {} + | grep -vE 'joblet|docker|containerd|podman|slurm' | sort
    # not below the directories of other tests and daemons, which come and go
    awk '$5 !~ "^/(tmp|var|run|opt)/" && $5 !~ "^/sys/fs/cgroup" {print $4, $5, $6}' /proc/self/mountinfo | sort
    ls -l /dev | grep -vE 'pts|loop|dm-|mapper|ptmx' | awk '{print $1, $3, $5, $6, $NF}'
    find /proc/sys/fs/binfmt_misc -type f 2>/dev/null
    exit 0
)

# Fails when a line of attempt's, on standard input, is not what refusals.txt says, or is missing.
as_refused() {
    awk 'NR == FNR { if ($1 != "#" && NF > 1) want[$1] = substr($0, length($1) + 2) " "; next }
        /^[a-z_0-9]+: / { name = $1; sub(/:$/, "", name); seen[name] = 1
            if (!index(want[name], $2 " ")) { print "wrong: " $0 ", not " want[name]; bad = 1 } }
        END { for (n in want) if (!seen[n] && want[n]) { print "missing: " n; bad = 1 } exit bad }' "$escape/refusals.txt" -
}
