/* spec_sched.c - how the process is scheduled and where its memory comes from: the checks of
 * process.scheduler, ioPriority and execCPUAffinity, linux.memoryPolicy and personality. */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/parse.h"
#include "runtime/spec.h"

#define CAP_SYS_NICE 23      /* linux/capability.h */
#define RT_PRIORITY_MAX 99   /* sched(7) */
#define DEADLINE_MIN_NS 1024 /* the kernel's own resolution, sched(7) */
#define PER_LINUX32 0x0008   /* linux/personality.h */

static int warn(struct jl_strv *warnings, struct jl_err *e, const char *path, const char *why)
{
    if (jl_strv_addf(warnings, "%s has no effect: %s", path, why) < 0)
        return jl_fail(e, ENOMEM, "keep a warning");
    return 0;
}

static int check_flags(const struct oci_scheduler *in, const char *w, struct os_sched *s,
                       struct jl_err *e)
{
    for (size_t i = 0; i < in->n_flags; i++) {
        uint64_t flag;

        if (os_sched_flag(in->flags[i], &flag) < 0)
            return jl_refuse(e, EINVAL, "%sscheduler.flags[%zu]: '%s' is not a flag", w, i,
                             in->flags[i]);
        s->flags |= flag;
    }
    return 0;
}

/* sched(7): runtime <= deadline <= period; an absent period is the deadline. */
static int check_deadline(const struct oci_scheduler *in, const char *w, struct os_sched *s,
                          struct jl_err *e)
{
    if (s->policy != OS_SCHED_DEADLINE) {
        if (in->runtime || in->deadline || in->period)
            return jl_refuse(e, EINVAL,
                             "%sscheduler: runtime, deadline and period are for SCHED_DEADLINE, "
                             "not for %s",
                             w, in->policy);
        return 0;
    }
    if (in->runtime < DEADLINE_MIN_NS)
        return jl_refuse(e, ERANGE, "%sscheduler.runtime: %llu ns, at least %d are possible", w,
                         (unsigned long long) in->runtime, DEADLINE_MIN_NS);
    if (in->deadline < in->runtime || in->deadline > INT64_MAX)
        return jl_refuse(e, ERANGE, "%sscheduler.deadline: %llu ns is not between runtime and 2^63",
                         w, (unsigned long long) in->deadline);
    if (in->period != 0 && (in->period < in->deadline || in->period > INT64_MAX))
        return jl_refuse(e, ERANGE, "%sscheduler.period: %llu ns is not between deadline and 2^63",
                         w, (unsigned long long) in->period);
    s->runtime = in->runtime;
    s->deadline = in->deadline;
    s->period = in->period;
    return 0;
}

static int check_scheduler(const struct oci_scheduler *in, const char *w, struct rt_process *ret,
                           struct jl_strv *warnings, struct jl_err *e)
{
    struct os_sched *s = &ret->sched;
    bool realtime;
    char path[64];
    int r;

    s->policy = (uint32_t) os_sched_policy(in->policy); /* the schema has let known ones through */
    realtime = s->policy == OS_SCHED_FIFO || s->policy == OS_SCHED_RR;
    if (in->nice < -20 || in->nice > 19)
        return jl_refuse(e, ERANGE, "%sscheduler.nice: %d is not within -20 to 19", w, in->nice);
    if (realtime ? in->priority < 1 || in->priority > RT_PRIORITY_MAX : in->priority != 0)
        return jl_refuse(e, ERANGE, "%sscheduler.priority: %d, with %s it is %s", w, in->priority,
                         in->policy, realtime ? "1 to 99" : "0");
    s->priority = (uint32_t) in->priority;
    s->nice = in->nice;
    r = check_flags(in, w, s, e);
    if (r == 0)
        r = check_deadline(in, w, s, e);
    snprintf(path, sizeof path, "%sscheduler.nice", w);
    if (r == 0 && in->nice != 0 && (realtime || s->policy == OS_SCHED_DEADLINE))
        r = warn(warnings, e, path, "the policy goes by other values");
    snprintf(path, sizeof path, "%sscheduler.flags", w);
    if (r == 0 && s->flags & OS_SCHED_UTIL_CLAMP)
        r = warn(warnings, e, path,
                 "a document has no utilization to clamp to; the system's stays");
    ret->has_sched = r == 0;
    return r;
}

static int check_io_priority(const struct oci_io_priority *in, const char *w,
                             struct rt_process *ret, struct jl_strv *warnings, struct jl_err *e)
{
    char path[64];

    if (in->priority < 0 || in->priority > 7)
        return jl_refuse(e, ERANGE, "%sioPriority.priority: %d is not within 0 to 7", w,
                         in->priority);
    ret->has_ioprio = true;
    ret->ioprio_class = (unsigned) os_ioprio_class(in->class);
    ret->ioprio_level = (unsigned) in->priority;
    snprintf(path, sizeof path, "%sioPriority.priority", w);
    if (strcmp(in->class, "IOPRIO_CLASS_IDLE") == 0 && in->priority != 0)
        return warn(warnings, e, path, "IOPRIO_CLASS_IDLE has no levels");
    return 0;
}

static int check_cpus(const char *list, const char *w, const char *which, struct jl_err *e)
{
    unsigned highest;

    if (!list || *list == '\0' || jl_parse_cpulist(list, &highest) == 0)
        return 0;
    return jl_refuse(e, EINVAL,
                     "%sexecCPUAffinity.%s: '%s' is not a list of numbers and ranges such as "
                     "'0-3,6'",
                     w, which, list);
}

int rt_check_scheduling(const struct oci_process *p, const char *w, struct rt_process *ret,
                        struct jl_strv *warnings, struct jl_err *e)
{
    const struct oci_exec_cpu_affinity *a = p->exec_cpu_affinity;
    struct os_caps own;
    int r = 0;

    if (p->scheduler)
        r = check_scheduler(p->scheduler, w, ret, warnings, e);
    if (r == 0 && p->io_priority)
        r = check_io_priority(p->io_priority, w, ret, warnings, e);
    if (r == 0 && (ret->has_sched || ret->has_ioprio))
        ret->may_nice = os_caps_get(&own) == 0 && own.effective >> CAP_SYS_NICE & 1;
    if (r == 0 && a)
        r = check_cpus(a->initial, w, "initial", e);
    if (r == 0 && a)
        r = check_cpus(a->final, w, "final", e);
    return r;
}

static int check_nodes(const struct oci_memory_policy *in, struct rt_mempolicy *m, struct jl_err *e)
{
    static const char where[] = "linux.memoryPolicy.nodes";
    bool any = in->nodes && *in->nodes;
    bool none_allowed = m->mode == OS_MPOL_DEFAULT || m->mode == OS_MPOL_LOCAL;
    bool none_needed = none_allowed || m->mode == OS_MPOL_PREFERRED;
    unsigned highest;

    if (any && none_allowed)
        return jl_refuse(e, EINVAL, "%s: %s takes none", where, in->mode);
    if (!any && !none_needed)
        return jl_refuse(e, EINVAL, "%s: %s needs some", where, in->mode);
    if (!any)
        return 0;
    if (jl_parse_cpulist(in->nodes, &highest) < 0 || highest >= OS_NODES_MAX)
        return jl_refuse(e, EINVAL,
                         "%s: '%s' is not a list of numbers below %d and ranges such as '0-3,6'",
                         where, in->nodes, OS_NODES_MAX);
    jl_parse_numset(in->nodes, &m->nodes);
    m->has_nodes = true;
    return 0;
}

static int check_memory_policy(const struct oci_memory_policy *in, struct rt_spec *s,
                               struct jl_err *e)
{
    struct rt_mempolicy *m = &s->mempolicy;
    unsigned both = OS_MPOL_F_STATIC_NODES | OS_MPOL_F_RELATIVE_NODES;
    int r;

    m->mode = os_mempolicy_mode(in->mode);
    if (m->mode < 0)
        return jl_refuse(e, EINVAL, "linux.memoryPolicy.mode: '%s' is not a mode", in->mode);
    for (size_t i = 0; i < in->n_flags; i++) {
        unsigned flag;

        if (os_mempolicy_flag(in->flags[i], &flag) < 0)
            return jl_refuse(e, EINVAL, "linux.memoryPolicy.flags[%zu]: '%s' is not a flag", i,
                             in->flags[i]);
        m->flags |= flag;
    }
    if ((m->flags & both) == both)
        return jl_refuse(e, EINVAL,
                         "linux.memoryPolicy.flags: MPOL_F_STATIC_NODES and "
                         "MPOL_F_RELATIVE_NODES exclude each other");
    r = check_nodes(in, m, e);
    if (r < 0)
        return r;
    if (m->flags & both && !m->has_nodes)
        return jl_refuse(e, EINVAL, "linux.memoryPolicy.flags: there are no nodes for them");
    s->has_mempolicy = true;
    if (m->mode == OS_MPOL_PREFERRED && m->has_nodes && jl_numset_count(&m->nodes) > 1)
        return warn(&s->warnings, e, "linux.memoryPolicy.nodes",
                    "MPOL_PREFERRED takes the first of them only");
    return 0;
}

int rt_spec_check_domain(struct rt_spec *s, struct jl_err *e)
{
    const struct oci_personality *p = s->oci->linux->personality;
    const struct oci_memory_policy *m = s->oci->linux->memory_policy;

    if (m && check_memory_policy(m, s, e) < 0)
        return -e->code;
    if (!p)
        return 0;
    if (strcmp(p->domain, "LINUX") != 0 && strcmp(p->domain, "LINUX32") != 0)
        return jl_refuse(e, EINVAL, "linux.personality.domain: '%s', allowed are LINUX and LINUX32",
                         p->domain);
    if (p->n_flags > 0)
        return jl_refuse(e, EINVAL, "linux.personality.flags: '%s'; the specification has none",
                         p->flags[0]);
    s->has_personality = true;
    s->personality = strcmp(p->domain, "LINUX32") == 0 ? PER_LINUX32 : 0;
    return 0;
}
