/* attempt_processes.c - other processes, rights that a job does not have, limits that hold. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "attempt.h"

static int sys(long r)
{
    return r < 0 ? -errno : 0;
}

#define TRY(name, call)                                                                            \
    static int try_##name(const struct target *t)                                                  \
    {                                                                                              \
        (void) t;                                                                                  \
        return sys(call);                                                                          \
    }

/* processes of the host, by their numbers there */
TRY(signal_host, kill(t->pid, 0))
TRY(pidfd_host, syscall(SYS_pidfd_open, t->pid, 0))
TRY(ptrace_host, ptrace(PTRACE_SEIZE, t->pid, 0, 0))
TRY(nice_host, getpriority(PRIO_PROCESS, (id_t) t->pid))
TRY(limits_host, prlimit(t->pid, RLIMIT_NOFILE, NULL, NULL))
TRY(affinity_host, sched_setaffinity(t->pid, 0, NULL))

static int try_memory_host(const struct target *t)
{
    char byte;
    struct iovec local = { &byte, 1 }, remote = { (void *) &try_memory_host, 1 };

    return sys(process_vm_readv(t->pid, &local, 1, &remote, 1, 0));
}

/* rights */
TRY(setuid_root, setuid(0))
TRY(setgid_root, setgid(0))
TRY(setgroups, setgroups(1, (gid_t[]){ 0 }))
TRY(new_privs, prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0))
TRY(securebits, prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS, 0, 0, 0))
TRY(bounding_drop, prctl(PR_CAPBSET_DROP, CAP_CHOWN, 0, 0, 0))
TRY(realtime, sched_setscheduler(0, SCHED_FIFO, &((struct sched_param){ .sched_priority = 1 })))
TRY(nice_up, setpriority(PRIO_PROCESS, 0, -5))
TRY(io_realtime, syscall(SYS_ioprio_set, 1, 0, 1 << 13))
TRY(mm_map, prctl(PR_SET_MM, PR_SET_MM_START_CODE, 0, 0, 0))

static int try_ambient(const struct target *t)
{
    (void) t;
    return sys(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0));
}

static int try_capset(const struct target *t)
{
    struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct d[2] = { { .permitted = 1u << CAP_SYS_ADMIN } };

    (void) t;
    d[0].effective = d[0].permitted;
    return sys(syscall(SYS_capset, &h, d));
}

/* limits */
static int raised(int resource)
{
    struct rlimit l;

    if (getrlimit(resource, &l) < 0)
        return -errno;
    if (l.rlim_max == RLIM_INFINITY)
        return 0;
    l.rlim_cur = l.rlim_max = l.rlim_max + 1;
    return sys(setrlimit(resource, &l));
}
TRY(more_files, raised(RLIMIT_NOFILE) < 0 ? -1 : 0)

/* 1 is the value with which the kernel starts no program of core_pattern, see bundle_spec.c. */
static int core_limit_kept(void)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_CORE, &l) < 0)
        return -errno;
    return l.rlim_cur == 1 && l.rlim_max == 1 ? -EPERM : 0;
}

static int try_core_dump(const struct target *t)
{
    (void) t;
    return setrlimit(RLIMIT_CORE, &((struct rlimit){ 0, 1 })) < 0 ? -errno : core_limit_kept();
}

static int try_core_dump_high(const struct target *t)
{
    (void) t;
    syscall(SYS_prlimit64, 0, 4L | 1L << 32, &((struct rlimit){ 0, 1 }), NULL);
    syscall(SYS_setrlimit, 4L | 1L << 32, &((struct rlimit){ 0, 1 }));
    return core_limit_kept();
}

/* Limits that are the job's own can be lowered and read. */
static int try_lower_files(const struct target *t)
{
    struct rlimit l;

    (void) t;
    if (setrlimit(RLIMIT_NOFILE, &((struct rlimit){ 64, 64 })) < 0)
        return -errno;
    return getrlimit(RLIMIT_NOFILE, &l) < 0 || l.rlim_cur != 64 ? -EIO : 0;
}

static int try_oom_score(const struct target *t)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    (void) t;
    return fd < 0 ? -errno : sys(write(fd, "-1", 2));
}

static int try_uid_map(const struct target *t)
{
    int fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);

    (void) t;
    return fd < 0 ? -errno : sys(write(fd, "0 0 1\n", 6));
}

#define ROW(n)                                                                                     \
    {                                                                                              \
#n, try_##n                                                                                \
    }
const struct attempt attempts_processes[] = {
    ROW(signal_host),   ROW(pidfd_host),  ROW(ptrace_host),    ROW(nice_host),   ROW(limits_host),
    ROW(affinity_host), ROW(memory_host), ROW(setuid_root),    ROW(setgid_root), ROW(setgroups),
    ROW(new_privs),     ROW(securebits),  ROW(bounding_drop),  ROW(realtime),    ROW(nice_up),
    ROW(io_realtime),   ROW(mm_map),      ROW(ambient),        ROW(capset),      ROW(more_files),
    ROW(lower_files),   ROW(core_dump),   ROW(core_dump_high), ROW(oom_score),   ROW(uid_map),
    { NULL, NULL },
};
