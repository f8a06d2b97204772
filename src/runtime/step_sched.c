/* step_sched.c - the child's processors, memory and priorities. In its control group, before the
 * user changes and the capabilities go. */
#include <errno.h>
#include <sys/personality.h>

#include "base/err.h"
#include "os/sched.h"
#include "runtime/child.h"
#include "runtime/launch.h"
#include "runtime/step.h"

/* A container engine that was bound to some processors (by systemd, by a job of Slurm) would hand
 * that down for good, whatever the cpuset says. */
int rt_step_affinity(struct rt_launch *l, size_t i, struct jl_err *e)
{
    (void) l;
    (void) i;
    (void) e;
    os_affinity_reset();
    return 0;
}

int rt_domain_enter(const struct rt_spec *s, struct jl_err *e)
{
    const struct rt_mempolicy *m = &s->mempolicy;

    if (s->has_mempolicy &&
        os_mempolicy_set(m->mode, m->flags, m->has_nodes ? &m->nodes : NULL, e) < 0)
        return jl_wrap(e, "linux.memoryPolicy");
    if (s->has_personality && personality(s->personality) < 0)
        return jl_fail_sys(e, "personality", s->oci->linux->personality->domain,
                           "linux.personality");
    return 0;
}

int rt_step_domain(struct rt_launch *l, size_t i, struct jl_err *e)
{
    (void) i;
    return rt_domain_enter(l->spec, e);
}

int rt_sched_set(pid_t pid, const struct rt_process *p, struct jl_err *e)
{
    if (p->has_ioprio && os_ioprio_set(pid, p->ioprio_class, p->ioprio_level, e) < 0)
        return jl_wrap(e, "process.ioPriority");
    if (p->has_sched && os_sched_set(pid, &p->sched, e) < 0)
        return jl_wrap(e, "process.scheduler");
    return 0;
}

/* In a user namespace the kernel asks for a capability that only our parent has. */
int rt_step_sched(struct rt_launch *l, size_t i, struct jl_err *e)
{
    const struct rt_process *p = &l->spec->process;

    (void) i;
    return rt_spec_has_ns(l->spec, OS_NS_USER) && p->may_nice ? 0 : rt_sched_set(0, p, e);
}
