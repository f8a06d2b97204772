/* spec_rare.c - linux.resources that few ask for, and the limits that are annotations. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/parse.h"
#include "runtime/spec.h"

/* A name that becomes a word of a line in a control group file. */
static bool is_word(const char *name)
{
    return *name != '\0' && strlen(name) < 256 && !strpbrk(name, " \t\n=");
}

static int take_network(struct os_cgroup_limits *l, const struct oci_network *n, struct jl_err *e)
{
    struct os_cgroup_net_prio *prio;

    if (!n)
        return 0;
    l->has_net_class = n->has_class_id && n->class_id != 0;
    l->net_class = n->class_id;
    if (n->n_priorities == 0)
        return 0;
    prio = calloc(n->n_priorities, sizeof *prio);
    if (!prio)
        return jl_fail(e, ENOMEM, "linux.resources.network.priorities");
    l->net_prio = prio;
    l->n_net_prio = n->n_priorities;
    for (size_t i = 0; i < n->n_priorities; i++) {
        if (!is_word(n->priorities[i]->name))
            return jl_refuse(e, EINVAL,
                             "linux.resources.network.priorities[%zu].name: '%s' is no name of an "
                             "interface",
                             i, n->priorities[i]->name);
        prio[i] = (struct os_cgroup_net_prio){ n->priorities[i]->name, n->priorities[i]->priority };
    }
    return 0;
}

static int take_rdma(const struct oci_resources *res, struct os_cgroup_limits *l, struct jl_err *e)
{
    struct os_cgroup_rdma *rdma;

    if (res->n_rdma == 0)
        return 0;
    rdma = calloc(res->n_rdma, sizeof *rdma);
    if (!rdma)
        return jl_fail(e, ENOMEM, "linux.resources.rdma");
    l->rdma = rdma;
    l->n_rdma = res->n_rdma;
    for (size_t i = 0; i < res->n_rdma; i++) {
        const struct oci_rdma *d = res->rdma[i].value;

        if (!is_word(res->rdma[i].key))
            return jl_refuse(e, EINVAL, "linux.resources.rdma.%s: is no name of a device",
                             res->rdma[i].key);
        if (!d || (!d->has_hca_handles && !d->has_hca_objects))
            return jl_refuse(e, EINVAL,
                             "linux.resources.rdma.%s: needs hcaHandles, hcaObjects or both",
                             res->rdma[i].key);
        rdma[i] = (struct os_cgroup_rdma){ res->rdma[i].key, d->has_hca_handles, d->has_hca_objects,
                                           d->hca_handles, d->hca_objects };
    }
    return 0;
}

static int take_realtime(struct os_cgroup_limits *l, const struct oci_cpu *c, struct jl_err *e)
{
    if (!c)
        return 0;
    l->has_rt_runtime = c->has_realtime_runtime && c->realtime_runtime != 0;
    l->rt_runtime = c->realtime_runtime;
    l->has_rt_period = c->has_realtime_period && c->realtime_period != 0;
    l->rt_period = c->realtime_period;
    if (l->has_rt_runtime && l->rt_runtime < -1)
        return jl_refuse(e, ERANGE, "linux.resources.cpu.realtimeRuntime: %lld is below -1",
                         (long long) l->rt_runtime);
    if (l->has_rt_period && l->rt_period > INT64_MAX)
        return jl_refuse(e, ERANGE, "linux.resources.cpu.realtimePeriod: %llu is too large",
                         (unsigned long long) l->rt_period);
    return 0;
}

static int take_kernel_memory(struct os_cgroup_limits *l, const struct oci_memory *m,
                              struct jl_err *e)
{
    if (!m)
        return 0;
    /* without a limit is what these are anyway */
    l->has_kernel_memory = m->has_kernel && m->kernel != 0 && m->kernel != -1;
    l->kernel_memory = m->kernel;
    l->has_kernel_tcp = m->has_kernel_tcp && m->kernel_tcp != 0 && m->kernel_tcp != -1;
    l->kernel_tcp = m->kernel_tcp;
    if (l->has_kernel_memory && m->kernel < 0)
        return jl_refuse(e, ERANGE, "linux.resources.memory.kernel: %lld is below -1",
                         (long long) m->kernel);
    if (l->has_kernel_tcp && m->kernel_tcp < 0)
        return jl_refuse(e, ERANGE, "linux.resources.memory.kernelTCP: %lld is below -1",
                         (long long) m->kernel_tcp);
    return 0;
}

int rt_spec_check_rare(const struct oci_resources *res, struct os_cgroup_limits *l,
                       struct jl_err *e)
{
    int r = take_network(l, res->network, e);

    if (r == 0)
        r = take_rdma(res, l, e);
    if (r == 0)
        r = take_realtime(l, res->cpu, e);
    return r < 0 ? r : take_kernel_memory(l, res->memory, e);
}

int rt_spec_check_limit_annotations(struct rt_spec *s, struct jl_err *e)
{
    struct os_cgroup_limits *l = &s->limits;
    const char *high =
        oci_kv_get(s->oci->annotations, s->oci->n_annotations, RT_ANNOTATION_MEMORY_HIGH);
    const char *group =
        oci_kv_get(s->oci->annotations, s->oci->n_annotations, RT_ANNOTATION_OOM_GROUP);
    uint64_t bytes;

    if (high && strcmp(high, "max") == 0) {
        l->has_memory_high = true;
        l->memory_high = -1;
    } else if (high) {
        if (jl_parse_size(high, &bytes) < 0 || bytes > INT64_MAX)
            return jl_refuse(e, EINVAL,
                             "annotations.%s: '%s', allowed are a size such as 64MB, and max",
                             RT_ANNOTATION_MEMORY_HIGH, high);
        l->has_memory_high = true;
        l->memory_high = (int64_t) bytes;
    }
    if (group && jl_parse_bool(group, &l->oom_group) < 0)
        return jl_refuse(e, EINVAL, "annotations.%s: '%s', allowed are true and false",
                         RT_ANNOTATION_OOM_GROUP, group);
    return 0;
}
