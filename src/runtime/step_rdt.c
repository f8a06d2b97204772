/*
 * step_rdt.c - see rdt.h. A group with the container's name is the container's: it is recorded
 * before it is made, and goes with it. One that closID names is shared by whoever names it: it is
 * made when it is missing, and stays.
 */
#include "runtime/rdt.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "os/intelrdt.h"
#include "runtime/launch.h"
#include "runtime/step.h"

/* The mounted file system, or -errno with e filled. */
static int open_resctrl(struct jl_err *e)
{
    _close_ int fd = open(OS_RDT_PATH, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct statfs fs;

    if (fd < 0 && errno != ENOENT)
        return jl_fail_sys(e, "open", OS_RDT_PATH, "linux.intelRdt");
    if (fd >= 0 && fstatfs(fd, &fs) == 0 && fs.f_type == RDTGROUP_SUPER_MAGIC)
        return jl_take_fd(&fd);
    jl_refuse(e, ENOTSUP, "linux.intelRdt: resctrl is not mounted on " OS_RDT_PATH);
    if (fd < 0)
        return jl_hint(e, "this processor or kernel has none (CONFIG_X86_CPU_RESCTRL)");
    return jl_hint(e, "mount -t resctrl resctrl " OS_RDT_PATH);
}

static bool has_text(const char *s)
{
    return s && *s;
}

static bool has_schema(const struct oci_intel_rdt *c)
{
    return has_text(c->l3_cache_schema) || has_text(c->mem_bw_schema) || c->n_schemata > 0;
}

int rt_rdt_choose(const struct rt_spec *spec, struct rt_state *s, struct jl_err *e)
{
    const struct oci_intel_rdt *c = spec->oci->linux->intel_rdt;
    const char *group;

    if (!c)
        return 0;
    s->rdt_own = !has_text(c->clos_id);
    s->rdt_monitor = c->has_enable_monitoring && c->enable_monitoring;
    group = s->rdt_own ? s->id : c->clos_id;
    if (!os_rdt_name_is_good(group) && strcmp(group, "/") != 0)
        return jl_refuse(e, EINVAL, "linux.intelRdt.closID: is needed, as '%s' names no group",
                         group);
    s->rdt = strdup(strcmp(group, "/") == 0 ? "" : group);
    return s->rdt ? 0 : jl_fail(e, ENOMEM, "linux.intelRdt");
}

static const char *monitor_of(const struct rt_state *s)
{
    return s->rdt_monitor ? s->id : NULL;
}

/* What is this container's alone; false: nothing. */
static bool own_part(const struct rt_state *s, const char **ret_monitor)
{
    *ret_monitor = s->rdt_own ? NULL : monitor_of(s);
    return s->rdt && (s->rdt_own || s->rdt_monitor);
}

typedef int (*line_fn)(int root, const char *group, const char *lines, struct jl_err *e);

/* In the order that the specification wants. */
static int each_line(const struct oci_intel_rdt *c, line_fn fn, int root, const char *group,
                     struct jl_err *e)
{
    if (has_text(c->l3_cache_schema) && fn(root, group, c->l3_cache_schema, e) < 0)
        return jl_wrap(e, "linux.intelRdt.l3CacheSchema");
    if (has_text(c->mem_bw_schema) && fn(root, group, c->mem_bw_schema, e) < 0)
        return jl_wrap(e, "linux.intelRdt.memBwSchema");
    for (size_t i = 0; i < c->n_schemata; i++)
        if (fn(root, group, c->schemata[i], e) < 0)
            return jl_wrap(e, "linux.intelRdt.schemata[%zu]", i);
    return 0;
}

/* One that others use too. */
static int enter_shared(const struct oci_intel_rdt *c, int root, const char *group,
                        struct jl_err *e)
{
    struct jl_err ignored = JL_ERR_INIT;
    int r;

    if (os_rdt_exists(root, group))
        return each_line(c, os_rdt_compare, root, group, e);
    if (!has_schema(c)) {
        jl_refuse(e, ENOENT, "linux.intelRdt.closID: there is no group '%s'", group);
        return jl_hint(e, "make it, or give the schema it is to be made with");
    }
    r = os_rdt_make(root, group, NULL, e);
    if (r == -EEXIST) { /* just now, by another */
        jl_err_clear(e);
        return each_line(c, os_rdt_compare, root, group, e);
    }
    if (r == 0)
        r = each_line(c, os_rdt_set, root, group, e);
    if (r < 0)
        os_rdt_remove(root, group, NULL, &ignored);
    return r;
}

static int make_own(struct rt_launch *l, int root, const char *monitor, struct jl_err *e)
{
    const struct rt_state *s = l->state;
    int r = os_rdt_make(root, s->rdt, monitor, e);

    if (r == -EEXIST)
        jl_hint(e, "it belongs to somebody else: another id, or a closID of your own");
    return r < 0 ? jl_wrap(e, "linux.intelRdt") : rt_state_set_rdt_made(l->state, e);
}

/* Every class is measured by itself; what is asked for has to be measured at all. */
static int check_measured(const struct oci_intel_rdt *c, int root, struct jl_err *e)
{
    const char *what = NULL;

    if (c->has_enable_cmt && c->enable_cmt && !os_rdt_monitors(root, "llc_occupancy"))
        what = "enableCMT";
    else if (c->has_enable_mbm && c->enable_mbm && !os_rdt_monitors(root, "mbm_"))
        what = "enableMBM";
    return what ? jl_refuse(e, ENOTSUP, "linux.intelRdt.%s: this processor does not measure it",
                            what)
                : 0;
}

int rt_step_rdt_make(struct rt_launch *l, size_t i, struct jl_err *e)
{
    const struct oci_intel_rdt *c = l->spec->oci->linux->intel_rdt;
    const struct rt_state *s = l->state;
    _close_ int root = open_resctrl(e);
    int r;

    (void) i;
    if (root < 0)
        return root;
    r = check_measured(c, root, e);
    if (r == 0)
        r = s->rdt_own ? make_own(l, root, NULL, e) : enter_shared(c, root, s->rdt, e);
    if (r == 0 && s->rdt_own)
        r = each_line(c, os_rdt_set, root, s->rdt, e);
    if (r == 0 && s->rdt_monitor)
        r = s->rdt_own ? os_rdt_make(root, s->rdt, s->id, e) : make_own(l, root, s->id, e);
    return r;
}

int rt_step_rdt_join(struct rt_launch *l, size_t i, struct jl_err *e)
{
    (void) i;
    return rt_rdt_join(l->state, l->pid, e);
}

int rt_rdt_join(const struct rt_state *s, pid_t pid, struct jl_err *e)
{
    _close_ int root = -1;

    if (!s->rdt)
        return 0;
    root = open_resctrl(e);
    return root < 0 ? root : os_rdt_join(root, s->rdt, monitor_of(s), pid, e);
}

int rt_rdt_update(const struct rt_state *s, const char *l3, const char *mem_bw, struct jl_err *e)
{
    _close_ int root = -1;
    int r = 0;

    if (!s->rdt) {
        jl_refuse(e, ENOTSUP, "--%s: this container has no class of service",
                  l3 ? "l3-cache-schema" : "mem-bw-schema");
        return jl_hint(e, "it needs linux.intelRdt in its configuration, and a host with resctrl");
    }
    root = open_resctrl(e);
    if (root < 0)
        return root;
    if (l3)
        r = os_rdt_set(root, s->rdt, l3, e);
    if (r == 0 && mem_bw)
        r = os_rdt_set(root, s->rdt, mem_bw, e);
    return r;
}

int rt_rdt_remove(const struct rt_state *s, struct jl_err *e)
{
    struct jl_err ignored = JL_ERR_INIT;
    _close_ int root = -1;
    const char *monitor;

    if (!own_part(s, &monitor))
        return 0;
    root = open_resctrl(&ignored);
    if (root < 0) /* with the file system all groups went */
        return 0;
    /* its maker was killed right after making it, or it is somebody else's */
    if (!s->rdt_made && !os_rdt_is_empty(root, s->rdt, monitor))
        return 0;
    return os_rdt_remove(root, s->rdt, monitor, e);
}
