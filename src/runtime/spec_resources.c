/* spec_resources.c - linux.resources as limits of a control group. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "runtime/spec.h"

enum { ACC_R = 1, ACC_W = 2, ACC_M = 4 };

/*
 * What every container may use, whatever its list says, as runc and crun do: engines deny all and
 * count on it. Creating nodes is harmless as long as opening them is refused.
 */
static const struct os_cgroup_device_rule default_rules[] = {
    { true, 'c', -1, -1, ACC_M },
    { true, 'b', -1, -1, ACC_M },
    { true, 'c', 1, 3, ACC_R | ACC_W | ACC_M },    /* null */
    { true, 'c', 1, 5, ACC_R | ACC_W | ACC_M },    /* zero */
    { true, 'c', 1, 7, ACC_R | ACC_W | ACC_M },    /* full */
    { true, 'c', 1, 8, ACC_R | ACC_W | ACC_M },    /* random */
    { true, 'c', 1, 9, ACC_R | ACC_W | ACC_M },    /* urandom */
    { true, 'c', 5, 0, ACC_R | ACC_W | ACC_M },    /* tty */
    { true, 'c', 5, 1, ACC_R | ACC_W | ACC_M },    /* console */
    { true, 'c', 5, 2, ACC_R | ACC_W | ACC_M },    /* ptmx */
    { true, 'c', 136, -1, ACC_R | ACC_W | ACC_M }, /* pts */
};

static int parse_access(const char *access, size_t i, unsigned *ret, struct jl_err *e)
{
    *ret = 0;
    for (const char *p = access ? access : "rwm"; *p; p++) {
        if (*p != 'r' && *p != 'w' && *p != 'm')
            return jl_refuse(e, EINVAL,
                             "linux.resources.devices[%zu].access: '%s', allowed are r, w and m", i,
                             access);
        *ret |= *p == 'r' ? ACC_R : *p == 'w' ? ACC_W : ACC_M;
    }
    return 0;
}

static int take_devices(const struct oci_resources *res, struct os_cgroup_limits *l,
                        struct jl_err *e)
{
    size_t n = res ? res->n_devices : 0;
    struct os_cgroup_device_rule *rules = calloc(1 + n + JL_COUNT(default_rules), sizeof *rules);
    size_t out = 0;

    if (!rules)
        return jl_fail(e, ENOMEM, "linux.resources.devices");
    l->devices = rules;
    rules[out++] = (struct os_cgroup_device_rule){ false, 'a', -1, -1, ACC_R | ACC_W | ACC_M };
    for (size_t i = 0; i < n; i++) {
        const struct oci_device_cgroup *d = res->devices[i];
        const char *type = d->type && *d->type ? d->type : "a";
        unsigned access;

        if (strlen(type) != 1 || !strchr("abc", *type))
            return jl_refuse(e, EINVAL,
                             "linux.resources.devices[%zu].type: '%s', allowed are a, b and c", i,
                             type);
        if (parse_access(d->access, i, &access, e) < 0)
            return -e->code;
        if (access == 0)
            access = ACC_R | ACC_W | ACC_M;
        rules[out++] = (struct os_cgroup_device_rule){ .allow = d->allow,
                                                       .type = *type,
                                                       .major = d->has_major ? d->major : -1,
                                                       .minor = d->has_minor ? d->minor : -1,
                                                       .access = access };
    }
    memcpy(rules + out, default_rules, sizeof default_rules);
    l->n_devices = out + JL_COUNT(default_rules);
    return 0;
}

static int take_memory(struct rt_spec *s, const struct oci_memory *m, struct jl_err *e)
{
    struct os_cgroup_limits *l = &s->limits;

    if (!m)
        return 0;
    /* docker writes 0 for what is not set */
    l->has_memory = m->has_limit && m->limit != 0;
    l->memory = m->limit;
    l->has_memory_reservation = m->has_reservation && m->reservation != 0;
    l->memory_reservation = m->reservation;
    l->has_memory_swap = m->has_swap && m->swap != 0;
    l->memory_swap = m->swap;
    l->has_swappiness = m->has_swappiness;
    l->swappiness = m->swappiness;
    l->has_oom_disable = m->has_disable_oom_killer && m->disable_oom_killer;
    l->oom_disable = m->disable_oom_killer;
    if (l->has_memory && m->limit < -1)
        return jl_refuse(e, ERANGE, "linux.resources.memory.limit: %lld is below -1",
                         (long long) m->limit);
    if (l->has_memory_swap && m->swap < -1)
        return jl_refuse(e, ERANGE, "linux.resources.memory.swap: %lld is below -1",
                         (long long) m->swap);
    if (l->has_memory_reservation && m->reservation < -1)
        return jl_refuse(e, ERANGE, "linux.resources.memory.reservation: %lld is below -1",
                         (long long) m->reservation);
    if (l->has_memory_swap && m->swap > 0 && !l->has_memory)
        return jl_refuse(e, EINVAL, "linux.resources.memory.swap: needs a memory.limit");
    if (l->has_memory_swap && m->swap > 0 && m->limit > m->swap)
        return jl_refuse(e, EINVAL,
                         "linux.resources.memory.swap: %lld is memory and swap together, and below "
                         "the limit %lld",
                         (long long) m->swap, (long long) m->limit);
    if (l->has_swappiness && m->swappiness > 100)
        return jl_refuse(e, ERANGE, "linux.resources.memory.swappiness: %llu is above 100",
                         (unsigned long long) m->swappiness);
    if (m->has_use_hierarchy && !m->use_hierarchy &&
        jl_strv_add(&s->warnings, "linux.resources.memory.useHierarchy: false has no effect, every "
                                  "group counts those below it since Linux 5.11") < 0)
        return jl_fail(e, ENOMEM, "linux.resources.memory");
    return 0;
}

static int check_list(const char *list, const char *name, struct jl_err *e)
{
    unsigned highest;

    if (list && *list && jl_parse_cpulist(list, &highest) < 0)
        return jl_refuse(e, EINVAL, "linux.resources.cpu.%s: '%s' is no list such as \"0-3,6\"",
                         name, list);
    return 0;
}

static int take_cpu(struct rt_spec *s, const struct oci_cpu *c, struct jl_err *e)
{
    struct os_cgroup_limits *l = &s->limits;

    if (!c)
        return 0;
    l->has_cpu_shares = c->has_shares && c->shares != 0;
    l->cpu_shares = c->shares;
    l->has_cpu_quota = c->has_quota && c->quota != 0;
    l->cpu_quota = c->quota;
    l->has_cpu_period = c->has_period && c->period != 0;
    l->cpu_period = c->period;
    l->has_cpu_burst = c->has_burst;
    l->cpu_burst = c->burst;
    l->has_cpu_idle = c->has_idle;
    l->cpu_idle = c->idle;
    l->cpuset_cpus = c->cpus && *c->cpus ? c->cpus : NULL;
    l->cpuset_mems = c->mems && *c->mems ? c->mems : NULL;
    if (c->has_idle && c->idle != 0 && c->idle != 1)
        return jl_refuse(e, ERANGE, "linux.resources.cpu.idle: %lld, allowed are 0 and 1",
                         (long long) c->idle);
    if (check_list(c->cpus, "cpus", e) < 0 || check_list(c->mems, "mems", e) < 0)
        return -e->code;
    return 0;
}

static int take_rates(struct oci_throttle_device *const *from, size_t n, const char *name,
                      const struct os_cgroup_device_rate **ret, size_t *ret_n, struct jl_err *e)
{
    struct os_cgroup_device_rate *rates;

    if (n == 0)
        return 0;
    rates = calloc(n, sizeof *rates);
    if (!rates)
        return jl_fail(e, ENOMEM, "linux.resources.blockIO.%s", name);
    *ret = rates;
    *ret_n = n;
    for (size_t i = 0; i < n; i++) {
        if (from[i]->major < 0 || from[i]->minor < 0 || from[i]->major > UINT32_MAX ||
            from[i]->minor > UINT32_MAX)
            return jl_refuse(e, ERANGE, "linux.resources.blockIO.%s[%zu]: is no device number",
                             name, i);
        rates[i] = (struct os_cgroup_device_rate){ .major = (unsigned) from[i]->major,
                                                   .minor = (unsigned) from[i]->minor,
                                                   .rate = from[i]->rate };
    }
    return 0;
}

static int take_weights(const struct oci_block_io *b, struct os_cgroup_limits *l, struct jl_err *e)
{
    struct os_cgroup_device_weight *w;

    if (b->n_weight_device == 0)
        return 0;
    w = calloc(b->n_weight_device, sizeof *w);
    if (!w)
        return jl_fail(e, ENOMEM, "linux.resources.blockIO.weightDevice");
    l->io_weight_device = w;
    for (size_t i = 0; i < b->n_weight_device; i++) {
        const struct oci_weight_device *d = b->weight_device[i];

        if (d->has_leaf_weight && d->leaf_weight != 0)
            return jl_refuse(e, ENOTSUP,
                             "linux.resources.blockIO.weightDevice[%zu].leafWeight: the kernel has "
                             "it no more",
                             i);
        if (!d->has_weight && !d->has_leaf_weight)
            return jl_refuse(e, EINVAL, "linux.resources.blockIO.weightDevice[%zu]: needs a weight",
                             i);
        if (!d->has_weight || d->weight == 0)
            continue;
        w[l->n_io_weight_device++] = (struct os_cgroup_device_weight){ .major = (unsigned) d->major,
                                                                       .minor = (unsigned) d->minor,
                                                                       .weight = d->weight };
    }
    return 0;
}

static int take_io(struct rt_spec *s, const struct oci_block_io *b, struct jl_err *e)
{
    struct os_cgroup_limits *l = &s->limits;
    int r;

    if (!b)
        return 0;
    if (b->has_leaf_weight && b->leaf_weight != 0)
        return jl_refuse(e, ENOTSUP,
                         "linux.resources.blockIO.leafWeight: the kernel has it no more");
    l->has_io_weight = b->has_weight && b->weight != 0;
    l->io_weight = b->weight;
    if (l->has_io_weight && (b->weight < 10 || b->weight > 1000))
        return jl_refuse(e, ERANGE, "linux.resources.blockIO.weight: %u is not within 10 to 1000",
                         b->weight);
    r = take_weights(b, l, e);
    if (r == 0)
        r = take_rates(b->throttle_read_bps_device, b->n_throttle_read_bps_device,
                       "throttleReadBpsDevice", &l->io_rbps, &l->n_io_rbps, e);
    if (r == 0)
        r = take_rates(b->throttle_write_bps_device, b->n_throttle_write_bps_device,
                       "throttleWriteBpsDevice", &l->io_wbps, &l->n_io_wbps, e);
    if (r == 0)
        r = take_rates(b->throttle_read_iops_device, b->n_throttle_read_iops_device,
                       "throttleReadIOPSDevice", &l->io_riops, &l->n_io_riops, e);
    if (r == 0)
        r = take_rates(b->throttle_write_iops_device, b->n_throttle_write_iops_device,
                       "throttleWriteIOPSDevice", &l->io_wiops, &l->n_io_wiops, e);
    return r;
}

static int take_lists(const struct oci_resources *res, struct os_cgroup_limits *l, struct jl_err *e)
{
    struct os_cgroup_hugepage *pages;
    struct os_cgroup_raw *raw;

    if (res->n_hugepage_limits > 0) {
        pages = calloc(res->n_hugepage_limits, sizeof *pages);
        if (!pages)
            return jl_fail(e, ENOMEM, "linux.resources.hugepageLimits");
        l->hugepages = pages;
        l->n_hugepages = res->n_hugepage_limits;
        for (size_t i = 0; i < l->n_hugepages; i++)
            pages[i] = (struct os_cgroup_hugepage){ res->hugepage_limits[i]->page_size,
                                                    res->hugepage_limits[i]->limit };
    }
    if (res->n_unified > 0) {
        raw = calloc(res->n_unified, sizeof *raw);
        if (!raw)
            return jl_fail(e, ENOMEM, "linux.resources.unified");
        l->unified = raw;
        l->n_unified = res->n_unified;
        for (size_t i = 0; i < l->n_unified; i++) {
            if (strchr(res->unified[i].key, '/') || res->unified[i].key[0] == '.' ||
                res->unified[i].key[0] == '\0')
                return jl_refuse(e, EINVAL,
                                 "linux.resources.unified.%s: is no name of a control group file",
                                 res->unified[i].key);
            raw[i] = (struct os_cgroup_raw){ res->unified[i].key, res->unified[i].value };
        }
    }
    return 0;
}

int rt_spec_check_resources(struct rt_spec *s, struct jl_err *e)
{
    const struct oci_resources *res = s->oci->linux ? s->oci->linux->resources : NULL;
    struct os_cgroup_limits *l = &s->limits;
    int r = 0;

    if (res) {
        r = rt_spec_check_rare(res, l, e);
        if (r == 0)
            r = take_memory(s, res->memory, e);
        if (r == 0)
            r = take_cpu(s, res->cpu, e);
        if (r == 0)
            r = take_io(s, res->block_io, e);
        if (r == 0)
            r = take_lists(res, l, e);
        if (r == 0 && res->pids && res->pids->has_limit) {
            l->has_pids = true;
            l->pids = res->pids->limit < 0 ? -1 : res->pids->limit;
        }
    }
    if (r == 0)
        r = rt_spec_check_limit_annotations(s, e);
    if (r < 0)
        return r;
    s->wants_limits = os_cgroup_limits_need(l) != 0;
    return take_devices(res, l, e);
}

void rt_limits_clear(struct os_cgroup_limits *l)
{
    free((void *) l->devices);
    free((void *) l->io_weight_device);
    free((void *) l->io_rbps);
    free((void *) l->io_wbps);
    free((void *) l->io_riops);
    free((void *) l->io_wiops);
    free((void *) l->hugepages);
    free((void *) l->unified);
    free((void *) l->rdma);
    free((void *) l->net_prio);
    *l = (struct os_cgroup_limits){ 0 };
}
