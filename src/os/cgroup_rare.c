/*
 * cgroup_rare.c - limits that few ask for: RDMA resources, and those that only v1 has: network
 * classes and priorities, realtime bandwidth. Documentation/admin-guide/cgroup-v1/{rdma,net_cls,
 * net_prio}.rst and scheduler/sched-rt-group.rst of the kernel.
 */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "os/cgroup_internal.h"

#define LINES_MAX (1u << 20) /* a line for each device or interface of the host */

bool cg_has_words(const char *text, const char *name, const char *words)
{
    size_t len = strlen(name);

    for (const char *line = text; *line != '\0'; line += strspn(line, "\n")) {
        size_t line_len = strcspn(line, "\n"), want = strcspn(words, " ");
        const char *w = words;
        bool all = strncmp(line, name, len) == 0 && line[len] == ' ';

        for (; all && *w != '\0'; w += want + (w[want] == ' '), want = strcspn(w, " ")) {
            const char *at = memmem(line, line_len, w, want);

            all = at && at[-1] == ' ' && strchr(" \n", at[want]);
        }
        if (all)
            return true;
        line += line_len;
    }
    return false;
}

/* Writes "NAME WORDS" and looks whether the line of NAME has each of the words then. */
static int put_line(const struct cg_place *p, const char *file, const char *name, const char *words,
                    struct jl_err *e)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(LINES_MAX);
    char line[384];
    int n = snprintf(line, sizeof line, "%s %s", name, words), r;

    if (n < 0 || (size_t) n >= sizeof line)
        return jl_refuse(e, ENAMETOOLONG, "%s: the name '%.64s...' is too long", file, name);
    r = cg_put(p, file, line, e);
    if (r == -ENODEV || r == -EINVAL)
        jl_hint(e, "is there a device '%s' on this host?", name);
    if (r < 0)
        return r;
    r = jl_read_file_at(p->fd, file, &text, e);
    if (r < 0)
        return r;
    if (cg_has_words(text.data ? text.data : "", name, words))
        return 0;
    return cg_fail_readback(p, file, line, "something else", e);
}

int cg_apply_rdma(struct os_cgroup *cg, const struct os_cgroup_limits *l, struct jl_err *e)
{
    struct cg_place p;
    int r = 0;

    if (l->n_rdma > 0)
        r = cg_place(cg, OS_CG_RDMA, "a limit of rdma resources", &p, e);
    for (size_t i = 0; i < l->n_rdma && r == 0; i++) {
        const struct os_cgroup_rdma *d = &l->rdma[i];
        char words[64];
        int n = 0;

        if (d->has_handles)
            n = snprintf(words, sizeof words, "hca_handle=%u", d->handles);
        if (d->has_objects)
            snprintf(words + n, sizeof words - (size_t) n, "%shca_object=%u", n > 0 ? " " : "",
                     d->objects);
        r = put_line(&p, "rdma.max", d->device, words, e);
    }
    return r;
}

/* v2 has no such controllers: there a program is attached to the group, or nftables match it. */
static int place_network(const struct os_cgroup *cg, enum os_controller c, const char *what,
                         struct cg_place *ret, struct jl_err *e)
{
    int r = cg_place(cg, c, what, ret, e);

    if (r == -ENOTSUP && cg->host.mode == OS_CGROUP_V2)
        jl_hint(e, "it exists with cgroup v1 only; with v2 use nftables (socket cgroupv2)");
    return r;
}

int cg_apply_network(struct os_cgroup *cg, const struct os_cgroup_limits *l, struct jl_err *e)
{
    struct cg_place p;
    char priority[16];
    int r = 0;

    if (l->has_net_class) {
        r = place_network(cg, OS_CG_NET_CLS, "a network class", &p, e);
        if (r == 0)
            r = cg_put_number(&p, "net_cls.classid", l->net_class, "-1", 1, e);
    }
    if (r == 0 && l->n_net_prio > 0)
        r = place_network(cg, OS_CG_NET_PRIO, "a network priority", &p, e);
    for (size_t i = 0; i < l->n_net_prio && r == 0; i++) {
        snprintf(priority, sizeof priority, "%u", l->net_prio[i].priority);
        r = put_line(&p, "net_prio.ifpriomap", l->net_prio[i].interface, priority, e);
    }
    return r;
}

/*
 * The runtime may not exceed the period at any time, nor what the group above has: a period that
 * shrinks goes after the runtime, one that grows before it; so the other order is the second try.
 */
static int put_realtime(const struct cg_place *p, const struct os_cgroup_limits *l,
                        struct jl_err *e)
{
    bool late_period = false;
    int r = 0;

    if (l->has_rt_period) {
        r = cg_put_number(p, "cpu.rt_period_us", (int64_t) l->rt_period, "-1", 1, e);
        late_period = r == -EINVAL && l->has_rt_runtime;
        if (late_period)
            r = 0;
    }
    if (r == 0 && l->has_rt_runtime)
        r = cg_put_number(p, "cpu.rt_runtime_us", l->rt_runtime, "-1", 1, e);
    if (r == 0 && late_period)
        r = cg_put_number(p, "cpu.rt_period_us", (int64_t) l->rt_period, "-1", 1, e);
    return r;
}

int cg_apply_realtime(struct os_cgroup *cg, const struct os_cgroup_limits *l, struct jl_err *e)
{
    struct cg_place p;
    int r;

    if (!l->has_rt_runtime && !l->has_rt_period)
        return 0;
    r = cg_place(cg, OS_CG_CPU, "realtime bandwidth", &p, e);
    if (r < 0)
        return r;
    if (p.v2)
        return cg_refuse_version(&p, "realtime bandwidth", e);
    if (!cg_has_file(p.fd, "cpu.rt_runtime_us")) {
        jl_refuse(e, ENOTSUP, "realtime bandwidth: this kernel does not divide it among groups");
        return jl_hint(e, "it was built without CONFIG_RT_GROUP_SCHED");
    }
    r = put_realtime(&p, l, e);
    if (r == -EINVAL)
        jl_hint(e, "a group has only what the one above it has: set cpu.rt_runtime_us there first");
    return r;
}
