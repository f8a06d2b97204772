/* cmd_update.c - update: other limits for a container that is there. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "os/cgroup.h"
#include "runtime/cmd.h"
#include "runtime/rdt.h"
#include "runtime/spec.h"
#include "runtime/state.h"
#include "runtime/unit.h"
#include "runtime/update.h"

#define OPTIONS_MAX 20
#define RESOURCES_MAX ((size_t) 1 << 20)

struct asking {
    const char *resources; /* a file; "-": standard input */
    const char *l3, *mem_bw;
    const char *numbers[OPTIONS_MAX];
};

static int read_resources(struct rt_update *u, const char *file, struct jl_err *e)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(RESOURCES_MAX);
    _close_ int fd = -1;
    int r;

    if (strcmp(file, "-") != 0) {
        fd = open(file, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return jl_fail_sys(e, "open", file, "--resources");
    }
    r = jl_read_all(fd < 0 ? STDIN_FILENO : fd, &text);
    if (r < 0)
        return jl_fail(e, -r, "--resources: read '%s'", file);
    r = rt_update_parse(u, text.data ? text.data : "", text.len, e);
    return r < 0 ? jl_wrap(e, "--resources '%s'", file) : 0;
}

static int take_options(struct rt_update *u, const struct asking *a, struct jl_err *e)
{
    const char *arg, *help;
    int r = a->resources ? read_resources(u, a->resources, e) : 0;

    for (size_t i = 0; r == 0 && rt_update_option(i, &arg, &help); i++)
        if (a->numbers[i])
            r = rt_update_set(u, i, a->numbers[i], e);
    if (r == 0 && a->mem_bw)
        r = rt_rdt_check_mem_bw(a->mem_bw, "--mem-bw-schema", e);
    if (r == 0 && !u->res && !a->l3 && !a->mem_bw)
        return jl_refuse(e, EINVAL, "update: nothing to change was given");
    return r;
}

/* systemd has to know them too, or the next time it reads its configuration it undoes them; it
 * rounds some, so ours are set once more. */
static int tell_systemd(const struct rt_unit *u, struct os_cgroup *cg,
                        const struct os_cgroup_limits *l, struct jl_err *e)
{
    struct os_cgroup_limits whole = *l;
    int r = 0;

    /* systemd keeps the time in a second, for which it takes both */
    if (l->has_cpu_quota != l->has_cpu_period) {
        whole.has_cpu_quota = whole.has_cpu_period = true;
        r = os_cgroup_bandwidth(cg, &whole.cpu_quota, &whole.cpu_period, e);
    }
    if (r == 0)
        r = rt_unit_set(u, &whole, e);
    return r < 0 ? r : os_cgroup_apply(cg, l, e);
}

/* What systemd can't have is refused before anything is changed. */
static int find_unit(const struct rt_state *s, const struct os_cgroup_limits *l,
                     struct rt_unit *ret, struct jl_err *e)
{
    struct os_cgroup_host host;
    int r = os_cgroup_host_read(&host, e);

    if (r < 0)
        return r;
    rt_unit_of(s->unit, s->unit_user, ret);
    ret->v1 = rt_unit_is_v1(&host);
    return rt_unit_check_devices(ret, l, e);
}

static int change_group(const struct rt_ctx *ctx, struct rt_update *u, const struct rt_state *s,
                        struct jl_err *e)
{
    struct os_cgroup *cg = NULL;
    struct rt_unit unit;
    int64_t limit;
    int r = rt_container_group(s, "update", &cg, e);

    if (r == 0 && rt_update_lacks_memory(u)) {
        r = os_cgroup_memory_limit(cg, &limit, e);
        if (r == 0)
            rt_update_set_memory(u, limit);
    }
    if (r == 0)
        r = rt_update_check(u, e);
    if (r == 0 && s->unit)
        r = find_unit(s, &u->limits, &unit, e);
    if (r == 0) {
        rt_warn_all(ctx, &u->warnings);
        r = os_cgroup_update(cg, &u->limits, u->check_usage, e);
    }
    if (r == 0 && s->unit)
        r = tell_systemd(&unit, cg, &u->limits, e);
    os_cgroup_free(cg);
    return r;
}

static int change(const struct rt_ctx *ctx, struct rt_update *u, const struct asking *a,
                  const struct rt_state *s, struct jl_err *e)
{
    int r = 0;

    if (rt_state_status(s, NULL) == RT_STOPPED)
        return jl_refuse(e, ESRCH, "container not running: '%s' is stopped", s->id);
    if (a->l3 || a->mem_bw)
        r = rt_rdt_update(s, a->l3, a->mem_bw, e);
    if (r == 0 && u->res)
        r = change_group(ctx, u, s, e);
    return r < 0 ? jl_wrap(e, "update container '%s'", s->id) : 0;
}

int rt_cmd_update(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e)
{
    struct asking a = { .resources = NULL };
    struct rt_opt opts[OPTIONS_MAX + 3] = {
        { "resources", 'r', RT_OPT_TEXT, &a.resources, "FILE",
          "linux.resources as JSON; - is standard input" },
        { "l3-cache-schema", 0, RT_OPT_TEXT, &a.l3, "SCHEMA", "of intelRdt" },
        { "mem-bw-schema", 0, RT_OPT_TEXT, &a.mem_bw, "SCHEMA", "of intelRdt" },
    };
    _rt_state_ struct rt_state s = RT_STATE_INIT;
    struct rt_update u = { .res = NULL };
    _close_ int root = -1;
    struct rt_args args;
    size_t n = 3;
    int r;

    for (size_t i = 0; i < OPTIONS_MAX; i++) {
        struct rt_opt *o = &opts[n];

        o->name = rt_update_option(i, &o->arg, &o->help);
        if (!o->name)
            break;
        o->kind = RT_OPT_TEXT;
        o->dst = &a.numbers[i];
        n++;
    }
    r = rt_cmd_parse("update", opts, n, argc, argv, 1, false, &args, e);
    if (r != 0)
        return r < 0 ? r : 0;
    r = take_options(&u, &a, e);
    if (r == 0)
        r = rt_container_lock(ctx, args.items[0], &root, &s, e);
    if (r == 0)
        r = change(ctx, &u, &a, &s, e);
    rt_update_clear(&u);
    return r < 0 ? jl_phase(e, "update") : 0;
}
