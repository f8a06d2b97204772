/* exec_cgroup.c - the control groups of a process that exec starts: the container's, or groups
 * below it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "runtime/exec.h"

static int controller_bit(const char *name, size_t len, unsigned *ret)
{
    for (unsigned c = 0; c < OS_CG_N; c++) {
        const char *known = os_controller_name((enum os_controller) c);

        if (strlen(known) == len && strncmp(known, name, len) == 0) {
            *ret |= OS_CG_BIT(c);
            return 0;
        }
    }
    return -EINVAL;
}

/* "cpu,memory:path" names hierarchies of cgroup v1; a bare path is one in all of them. */
static int split(const struct os_cgroup_host *host, const char *text, unsigned *controllers,
                 const char **path, struct jl_err *e)
{
    const char *colon = strchr(text, ':');

    *controllers = 0;
    *path = colon ? colon + 1 : text;
    if (colon && host->mode == OS_CGROUP_V2)
        return jl_refuse(e, EINVAL, "--cgroup '%s': cgroup v2 has no controllers of their own path",
                         text);
    while (colon && text < colon) {
        size_t len = strcspn(text, ",:");

        if (controller_bit(text, len, controllers) < 0)
            return jl_refuse(e, EINVAL, "--cgroup: '%.*s' is not a controller", (int) len, text);
        text += len + (text[len] == ',');
    }
    if (colon && *controllers == 0)
        return jl_refuse(e, EINVAL, "--cgroup '%s': no controller before the colon", colon);
    for (const char *part = *path; *part;) {
        size_t len = strcspn(part, "/");

        if (len == 2 && strncmp(part, "..", 2) == 0)
            return jl_refuse(e, EINVAL, "--cgroup: '%s' is no path below the container's group",
                             *path);
        part += len + strspn(part + len, "/");
    }
    return 0;
}

static int go_below(struct rt_exec *x, const char *text, struct jl_err *e)
{
    _free_ char *full = NULL;
    struct os_cgroup *sub = NULL;
    unsigned controllers;
    const char *path;
    int r = split(&x->l.host, text, &controllers, &path, e);

    if (r < 0)
        return r;
    if (asprintf(&full, "%s/%s", x->l.state->cgroup, path) < 0) {
        full = NULL;
        return jl_fail(e, ENOMEM, "--cgroup");
    }
    r = os_cgroup_open(&x->l.host, full, &sub, e);
    if (r == 0)
        r = os_cgroup_take(x->l.cg, sub, controllers, e);
    os_cgroup_free(sub);
    return r < 0 ? jl_wrap(e, "--cgroup '%s'", text) : 0;
}

int rt_exec_cgroup(struct rt_exec *x, const struct jl_strv *below, struct jl_err *e)
{
    const struct rt_state *s = x->l.state;
    int r;

    if (!s->cgroup)
        return below->len > 0 ? jl_refuse(e, EINVAL, "--cgroup: the container has no control group")
                              : 0;
    r = os_cgroup_host_read(&x->l.host, e);
    if (r == 0)
        r = os_cgroup_open(&x->l.host, s->cgroup, &x->l.cg, e);
    for (size_t i = 0; i < below->len && r == 0; i++)
        r = go_below(x, below->items[i], e);
    if (r == 0)
        r = os_cgroup_open_join_fds(x->l.cg, x->cpus_initial != NULL, x->l.join_fds, &x->l.n_join,
                                    e);
    return r;
}
