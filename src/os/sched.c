/* sched.c - see sched.h. The C library has no functions for most of these system calls. */
#include "os/sched.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"

#define IOPRIO_WHO_PROCESS 1 /* linux/ioprio.h */
#define IOPRIO_CLASS_SHIFT 13
#define POLICY_ISO 4 /* reserved; no kernel of kernel.org schedules by it */

/* struct sched_attr of linux/sched/types.h, version 1; newer C libraries have it under that name */
struct attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
    uint32_t util_min, util_max;
};

struct word {
    const char *name;
    unsigned value;
};

static int find(const struct word *table, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(table[i].name, name) == 0)
            return (int) table[i].value;
    return -EINVAL;
}

int os_sched_policy(const char *name)
{
    static const struct word table[] = {
        { "SCHED_OTHER", 0 },    { "SCHED_FIFO", OS_SCHED_FIFO }, { "SCHED_RR", OS_SCHED_RR },
        { "SCHED_BATCH", 3 },    { "SCHED_ISO", POLICY_ISO },     { "SCHED_IDLE", 5 },
        { "SCHED_DEADLINE", 6 },
    };

    return find(table, JL_COUNT(table), name);
}

int os_sched_flag(const char *name, uint64_t *ret)
{
    static const struct word table[] = {
        { "SCHED_FLAG_RESET_ON_FORK", OS_SCHED_RESET_ON_FORK },
        { "SCHED_FLAG_RECLAIM", 0x02 },
        { "SCHED_FLAG_DL_OVERRUN", 0x04 },
        { "SCHED_FLAG_KEEP_POLICY", 0x08 },
        { "SCHED_FLAG_KEEP_PARAMS", 0x10 },
        { "SCHED_FLAG_UTIL_CLAMP_MIN", 0x20 },
        { "SCHED_FLAG_UTIL_CLAMP_MAX", 0x40 },
    };
    int r = find(table, JL_COUNT(table), name);

    if (r < 0)
        return r;
    *ret = (uint64_t) r;
    return 0;
}

static int explain_sched(const struct os_sched *s, struct jl_err *e)
{
    if (e->code == EINVAL && s->policy == POLICY_ISO)
        return jl_hint(e, "this kernel has no SCHED_ISO");
    if (e->code == EBUSY)
        return jl_hint(e, "the processors have no such share of their time left (see "
                          "/proc/sys/kernel/sched_rt_runtime_us)");
    if (e->code != EPERM)
        return -e->code;
    if (s->policy == OS_SCHED_DEADLINE)
        return jl_hint(e, "it needs CAP_SYS_NICE, and a process that may run on all processors of "
                          "its cpuset's domain");
    if (s->policy == OS_SCHED_FIFO || s->policy == OS_SCHED_RR)
        return jl_hint(e, "it needs CAP_SYS_NICE, and on cgroup v1 a group with "
                          "linux.resources.cpu.realtimeRuntime");
    return jl_hint(e, "a nice value below the caller's needs CAP_SYS_NICE");
}

int os_sched_set(pid_t pid, const struct os_sched *s, struct jl_err *e)
{
    struct attr a = {
        .size = sizeof a,
        .policy = s->policy,
        .flags = s->flags,
        .nice = s->nice,
        .priority = s->priority,
        .runtime = s->runtime,
        .deadline = s->deadline,
        .period = s->period,
        /* -1: back to the system's; documents have no value for them */
        .util_min = s->flags & OS_SCHED_UTIL_CLAMP ? UINT32_MAX : 0,
        .util_max = s->flags & OS_SCHED_UTIL_CLAMP ? UINT32_MAX : 0,
    };

    if (syscall(SYS_sched_setattr, pid, &a, 0) == 0)
        return 0;
    jl_fail_sys(e, "sched_setattr", NULL, "set the scheduling policy");
    return explain_sched(s, e);
}

int os_ioprio_class(const char *name)
{
    static const struct word table[] = { { "IOPRIO_CLASS_RT", 1 },
                                         { "IOPRIO_CLASS_BE", 2 },
                                         { "IOPRIO_CLASS_IDLE", 3 } };

    return find(table, JL_COUNT(table), name);
}

int os_ioprio_set(pid_t pid, unsigned class, unsigned level, struct jl_err *e)
{
    if (syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, pid, class << IOPRIO_CLASS_SHIFT | level) == 0)
        return 0;
    jl_fail_sys(e, "ioprio_set", NULL, "set the priority of input and output");
    return e->code == EPERM ? jl_hint(e, "the class IOPRIO_CLASS_RT needs CAP_SYS_NICE") : -e->code;
}

int os_affinity_set(const struct jl_numset *cpus, struct jl_err *e)
{
    struct jl_numset now = { 0 };

    if (syscall(SYS_sched_setaffinity, 0, sizeof *cpus, cpus) < 0) {
        jl_fail_sys(e, "sched_setaffinity", NULL, "bind to the processors");
        return e->code == EINVAL ? jl_hint(e, "the cpuset allows none of them, or the host has "
                                              "none of them online")
                                 : -e->code;
    }
    /* The kernel takes what it can of the list. */
    if (syscall(SYS_sched_getaffinity, 0, sizeof now, &now) < 0)
        return jl_fail_sys(e, "sched_getaffinity", NULL, "read the processors back");
    if (jl_numset_equal(cpus, &now))
        return 0;
    jl_refuse(e, EINVAL, "bind to the processors: only %zu of %zu are allowed",
              jl_numset_count(&now), jl_numset_count(cpus));
    return jl_hint(e, "the cpuset does not allow the others, or they are not online");
}

void os_affinity_reset(void)
{
    struct jl_numset all;

    memset(&all, 0xff, sizeof all);
    syscall(SYS_sched_setaffinity, 0, sizeof all, &all);
}

static const struct word modes[] = {
    { "MPOL_DEFAULT", OS_MPOL_DEFAULT },
    { "MPOL_BIND", 2 },
    { "MPOL_INTERLEAVE", 3 },
    { "MPOL_WEIGHTED_INTERLEAVE", 6 },
    { "MPOL_PREFERRED", OS_MPOL_PREFERRED },
    { "MPOL_PREFERRED_MANY", 5 },
    { "MPOL_LOCAL", OS_MPOL_LOCAL },
};

static const struct word mode_flags[] = {
    { "MPOL_F_NUMA_BALANCING", 0x2000 },
    { "MPOL_F_RELATIVE_NODES", OS_MPOL_F_RELATIVE_NODES },
    { "MPOL_F_STATIC_NODES", OS_MPOL_F_STATIC_NODES },
};

int os_mempolicy_mode(const char *name)
{
    return find(modes, JL_COUNT(modes), name);
}

int os_mempolicy_flag(const char *name, unsigned *ret)
{
    int r = find(mode_flags, JL_COUNT(mode_flags), name);

    if (r < 0)
        return r;
    *ret = (unsigned) r;
    return 0;
}

const char *os_mempolicy_mode_name(unsigned i)
{
    return i < JL_COUNT(modes) ? modes[i].name : NULL;
}

const char *os_mempolicy_flag_name(unsigned i)
{
    return i < JL_COUNT(mode_flags) ? mode_flags[i].name : NULL;
}

int os_mempolicy_set(int mode, unsigned flags, const struct jl_numset *nodes, struct jl_err *e)
{
    /* The kernel takes one off the number of bits. */
    if (syscall(SYS_set_mempolicy, mode | (int) flags, nodes, nodes ? OS_NODES_MAX + 1 : 0) == 0)
        return 0;
    jl_fail_sys(e, "set_mempolicy", NULL, "set the memory policy");
    if (e->code == ENOSYS)
        return jl_hint(e, "this kernel is built without memory nodes (CONFIG_NUMA)");
    return e->code == EINVAL
               ? jl_hint(e, "the cpuset does not allow these nodes, the host has none of them "
                            "(/sys/devices/system/node/online), or the kernel does not know the "
                            "mode with these flags")
               : -e->code;
}
