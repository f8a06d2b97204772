/* cgroup_cpu.c - shares, bandwidth and the set of processors. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/err.h"
#include "base/parse.h"
#include "os/cgroup_internal.h"

/*
 * The smallest, the default and the largest of shares (2, 1024, 262144) become those of weight (1,
 * 100, 10000): with l = log2(shares), weight = ceil(10 ^ ((l^2 + 125 l) / 612 - 7/34)). The older,
 * linear conversion made 39 of 1024, so that a job with the default counted for less than half of
 * any other group. Same numbers as runc since 1.3.2 and crun since 1.23
 * (opencontainers/runc#4785, containers/crun#1767).
 */
uint64_t os_cgroup_cpu_weight(uint64_t shares)
{
    double l;

    if (shares <= 2)
        return 1;
    if (shares >= 262144)
        return 10000;
    l = log2((double) shares);
    return (uint64_t) ceil(pow(10, (l * l + 125 * l) / 612.0 - 7.0 / 34.0));
}

static int apply_weight(const struct cg_place *p, const struct os_cgroup_limits *l,
                        struct jl_err *e)
{
    if (!l->has_cpu_shares)
        return 0;
    if (l->cpu_shares < 2 || l->cpu_shares > 262144)
        return jl_refuse(e, EINVAL, "cpu shares %llu: 2 to 262144 are allowed",
                         (unsigned long long) l->cpu_shares);
    if (p->v2)
        return cg_put_number(p, "cpu.weight", (int64_t) os_cgroup_cpu_weight(l->cpu_shares), "max",
                             1, e);
    return cg_put_number(p, "cpu.shares", (int64_t) l->cpu_shares, "max", 1, e);
}

/* An idle group has no weight: the kernel refuses one while idle is 1, so that comes last when it
 * is switched on and first when it is switched off. */
static int apply_idle(const struct cg_place *p, const struct os_cgroup_limits *l, bool first,
                      struct jl_err *e)
{
    if (!l->has_cpu_idle || first != (l->cpu_idle == 0))
        return 0;
    return cg_put_number(p, "cpu.idle", l->cpu_idle, "-1", 1, e);
}

/* v1: the period alone may make the quota exceed what the parent allows; the other order works
 * then. */
static int put_v1_bandwidth(const struct cg_place *p, const struct os_cgroup_limits *l,
                            struct jl_err *e)
{
    bool late_period = false;
    int r = 0;

    if (l->has_cpu_period) {
        r = cg_put_number(p, "cpu.cfs_period_us", (int64_t) l->cpu_period, "max", 1, e);
        late_period = r == -EINVAL && l->has_cpu_quota;
        if (late_period)
            r = 0;
    }
    if (r == 0 && l->has_cpu_quota)
        r = cg_put_number(p, "cpu.cfs_quota_us", l->cpu_quota, "-1", 1, e);
    if (r == 0 && late_period)
        r = cg_put_number(p, "cpu.cfs_period_us", (int64_t) l->cpu_period, "max", 1, e);
    return r;
}

/* v2: "quota period" in one file; what was not asked for stays. */
static int put_v2_bandwidth(const struct cg_place *p, const struct os_cgroup_limits *l,
                            struct jl_err *e)
{
    char old[64], asked[64], *period;
    ssize_t n = cg_read(p->fd, "cpu.max", old, sizeof old);
    int r;

    if (!l->has_cpu_quota && !l->has_cpu_period)
        return 0;
    period = n < 0 ? NULL : strchr(old, ' ');
    if (!period)
        return jl_fail(e, n < 0 ? (int) -n : EPROTO, "read cpu.max of cgroup %s", p->path);
    *period++ = '\0';
    n = l->has_cpu_quota && l->cpu_quota != -1
            ? snprintf(asked, sizeof asked, "%lld ", (long long) l->cpu_quota)
            : snprintf(asked, sizeof asked, "%s ", l->has_cpu_quota ? "max" : old);
    if (l->has_cpu_period)
        snprintf(asked + n, sizeof asked - (size_t) n, "%llu", (unsigned long long) l->cpu_period);
    else
        snprintf(asked + n, sizeof asked - (size_t) n, "%s", period);
    r = cg_put(p, "cpu.max", asked, e);
    if (r < 0)
        return r;
    n = cg_read(p->fd, "cpu.max", old, sizeof old);
    if (n < 0)
        return jl_fail(e, (int) -n, "read back cpu.max of cgroup %s", p->path);
    return strcmp(old, asked) == 0 ? 0 : cg_fail_readback(p, "cpu.max", asked, old, e);
}

static int apply_bandwidth(const struct cg_place *p, const struct os_cgroup_limits *l,
                           struct jl_err *e)
{
    const char *burst = p->v2 ? "cpu.max.burst" : "cpu.cfs_burst_us";
    int r = 0;

    if (l->has_cpu_quota && l->cpu_quota < -1)
        return jl_refuse(e, EINVAL, "cpu quota %lld is negative; only -1 is, for no limit",
                         (long long) l->cpu_quota);
    if (l->has_cpu_burst && l->cpu_burst > INT64_MAX)
        return jl_refuse(e, ERANGE, "cpu burst %llu is out of range",
                         (unsigned long long) l->cpu_burst);
    /* The kernel wants burst <= quota at any time: an old burst must not be in the way. */
    if (l->has_cpu_burst && l->has_cpu_quota)
        r = cg_put_number(p, burst, 0, "max", 1, e);
    if (r == 0)
        r = p->v2 ? put_v2_bandwidth(p, l, e) : put_v1_bandwidth(p, l, e);
    if (r == 0 && l->has_cpu_burst)
        r = cg_put_number(p, burst, (int64_t) l->cpu_burst, "max", 1, e);
    return r;
}

static int v2_bandwidth(const struct cg_place *p, int64_t *ret_quota, uint64_t *ret_period,
                        struct jl_err *e)
{
    char text[64], *space;
    ssize_t n = cg_read(p->fd, "cpu.max", text, sizeof text);

    space = n < 0 ? NULL : strchr(text, ' ');
    if (space)
        *space++ = '\0';
    if (!space || jl_parse_u64(space, UINT64_MAX, ret_period) < 0 ||
        (strcmp(text, "max") != 0 && jl_parse_i64(text, 0, INT64_MAX, ret_quota) < 0))
        return jl_fail(e, n < 0 ? (int) -n : EPROTO, "read cpu.max of cgroup %s", p->path);
    if (strcmp(text, "max") == 0)
        *ret_quota = -1;
    return 0;
}

int os_cgroup_bandwidth(const struct os_cgroup *cg, int64_t *ret_quota, uint64_t *ret_period,
                        struct jl_err *e)
{
    struct cg_place p;
    uint64_t quota = 0;
    int r = cg_place(cg, OS_CG_CPU, "a limit of cpu time", &p, e);

    if (r < 0 || p.v2)
        return r < 0 ? r : v2_bandwidth(&p, ret_quota, ret_period, e);
    r = cg_read_u64(p.fd, "cpu.cfs_quota_us", &quota);
    if (r == 0)
        r = cg_read_u64(p.fd, "cpu.cfs_period_us", ret_period);
    if (r < 0)
        return jl_fail(e, -r, "read the limit of cpu time of cgroup %s", p.path);
    *ret_quota = quota > INT64_MAX ? -1 : (int64_t) quota;
    return 0;
}

int cg_apply_cpu(struct os_cgroup *cg, const struct os_cgroup_limits *l, struct jl_err *e)
{
    struct cg_place p;
    int r;

    if (!l->has_cpu_shares && !l->has_cpu_quota && !l->has_cpu_period && !l->has_cpu_burst &&
        !l->has_cpu_idle)
        return 0;
    if (l->has_cpu_idle && l->cpu_idle != 0 && l->cpu_idle != 1)
        return jl_refuse(e, EINVAL, "cpu idle %lld: 0 and 1 are allowed", (long long) l->cpu_idle);
    r = cg_place(cg, OS_CG_CPU, "a limit of cpu time", &p, e);
    if (r == 0)
        r = apply_idle(&p, l, true, e);
    if (r == 0)
        r = apply_weight(&p, l, e);
    if (r == 0)
        r = apply_bandwidth(&p, l, e);
    if (r == 0)
        r = apply_idle(&p, l, false, e);
    return r;
}

/* ---- cpuset ---- */

bool cg_same_list(const char *a, const char *b)
{
    struct jl_numset x, y;

    if (jl_parse_numset(a, &x) < 0 || jl_parse_numset(b, &y) < 0)
        return strcmp(a, b) == 0; /* both empty */
    return jl_numset_equal(&x, &y);
}

/*
 * v2 takes cpus that do not exist or that the group above may not use, and then quietly gives the
 * group others: so what is in effect is compared too. v1 refuses them itself.
 */
static int put_list(const struct cg_place *p, const char *file, const char *effective,
                    const char *asked, struct jl_err *e)
{
    char found[4096];
    unsigned highest;
    ssize_t n;
    int r;

    if (jl_parse_cpulist(asked, &highest) < 0)
        return jl_refuse(e, EINVAL, "%s '%s' is not a list of numbers and ranges such as '0-3,6'",
                         file, asked);
    r = cg_put(p, file, asked, e);
    if (r == -EINVAL || r == -EACCES || r == -ERANGE || r == -ENODEV)
        jl_hint(e,
                "it must be a part of what the group above has, and of what the host has "
                "(/sys/devices/system/%s/online)",
                strcmp(file, "cpuset.cpus") ? "node" : "cpu");
    if (r < 0)
        return r;
    n = cg_read(p->fd, file, found, sizeof found);
    if (n < 0)
        return jl_fail(e, (int) -n, "read back %s of cgroup %s", file, p->path);
    if (!cg_same_list(found, asked))
        return cg_fail_readback(p, file, asked, found, e);
    if (!p->v2)
        return 0;
    n = cg_read(p->fd, effective, found, sizeof found);
    if (n < 0)
        return jl_fail(e, (int) -n, "read back %s of cgroup %s", effective, p->path);
    if (cg_same_list(found, asked))
        return 0;
    cg_fail_readback(p, effective, asked, found, e);
    return jl_hint(e, "some of them do not exist, are offline, or are not allowed to the group "
                      "above");
}

int cg_apply_cpuset(struct os_cgroup *cg, const struct os_cgroup_limits *l, struct jl_err *e)
{
    struct cg_place p;
    int r;

    if (!l->cpuset_cpus && !l->cpuset_mems)
        return 0;
    r = cg_place(cg, OS_CG_CPUSET, "a set of cpus or memory nodes", &p, e);
    if (r == 0 && l->cpuset_cpus)
        r = put_list(&p, "cpuset.cpus", "cpuset.cpus.effective", l->cpuset_cpus, e);
    if (r == 0 && l->cpuset_mems)
        r = put_list(&p, "cpuset.mems", "cpuset.mems.effective", l->cpuset_mems, e);
    return r;
}
