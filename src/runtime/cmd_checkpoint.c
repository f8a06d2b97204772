/* cmd_checkpoint.c - checkpoint: a container's processes, as CRIU's images; see criu.h. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/strv.h"
#include "os/cgroup.h"
#include "os/pidfd.h"
#include "runtime/cmd.h"
#include "runtime/criu.h"
#include "runtime/spec.h"
#include "runtime/state.h"

#define END_WAIT_MS 10000

struct checkpoint {
    struct rt_criu_opts criu;
    const char *parent_path;
    bool leave_running, pre_dump, auto_dedup, link_remap, skip_in_flight;
};

/* It freezes the whole group, so that no process is born while it looks. One that is paused stays
 * so. On a hybrid host the freezer is v1's where there is one. */
static int add_freezer(struct rt_criu *c, const struct rt_state *s, struct jl_err *e)
{
    struct os_cgroup_host host;
    _free_ char *path = NULL;
    const char *top;

    if (!s->cgroup || !s->cgroup_made)
        return 0;
    if (os_cgroup_host_read(&host, e) < 0)
        return -e->code;
    top = host.v1[OS_CG_FREEZER][0] ? host.v1[OS_CG_FREEZER] : host.unified;
    if (!*top)
        return 0;
    if (asprintf(&path, "%s/%s", top, s->cgroup) < 0) {
        path = NULL;
        return jl_fail(e, ENOMEM, "checkpoint");
    }
    return rt_criu_text(&c->request->opts->freeze_cgroup, path, e);
}

/* While it dumps, CRIU locks the container's network by firewall rules: with iptables, as all
 * versions can, or where that is not installed with nftables (CRIU 3.17). */
static void choose_network_lock(RtCriu__Options *o, const struct rt_spec *spec)
{
    if (!(spec->ns_new & os_ns_flag(OS_NS_NET)) ||
        access("/usr/sbin/iptables-restore", X_OK) == 0 ||
        access("/sbin/iptables-restore", X_OK) == 0)
        return;
    o->has_network_lock = true;
    o->network_lock = RT_CRIU__NETWORK_LOCK__NFTABLES;
}

static void fill_flags(RtCriu__Options *o, const struct checkpoint *cp, const struct rt_spec *spec)
{
    RT_CRIU_FLAG(o, track_mem, cp->pre_dump || cp->parent_path);
    RT_CRIU_FLAG(o, auto_dedup, cp->auto_dedup);
    RT_CRIU_FLAG(o, orphan_pts_master, rt_spec_has_terminal(spec));
    if (cp->pre_dump) /* it leaves them running, and knows nothing of the rest */
        return;
    o->has_manage_cgroups_mode = true;
    o->manage_cgroups_mode = RT_CRIU__CGROUP_MODE__IGNORE;
    RT_CRIU_FLAG(o, link_remap, cp->link_remap);
    RT_CRIU_FLAG(o, tcp_skip_in_flight, cp->skip_in_flight);
    RT_CRIU_FLAG(o, leave_running, cp->leave_running);
}

static int fill_dump(struct rt_criu *c, const struct checkpoint *cp, const struct rt_spec *spec,
                     const struct rt_state *s, struct jl_err *e)
{
    const char *images = cp->criu.image_path ? cp->criu.image_path : "checkpoint";
    RtCriu__Options *o = c->request->opts;
    int r = rt_criu_text(&o->root, s->rootfs, e);

    o->has_pid = true;
    o->pid = s->pid;
    fill_flags(o, cp, spec);
    choose_network_lock(o, spec);
    if (r == 0)
        r = rt_criu_outside_of(c, spec, s->pid, images, e);
    if (r == 0)
        r = add_freezer(c, s, e);
    if (r == 0)
        r = rt_criu_text(&o->parent_img, cp->parent_path, e);
    return r;
}

/* Whoever waits for the first process hears of its end before we do. */
static int wait_end(const struct rt_state *s, int pidfd, struct jl_err *e)
{
    if (os_pidfd_wait_end(pidfd, END_WAIT_MS) != 0)
        return 0;
    return jl_refuse(e, EBUSY, "container '%s' was dumped, but its first process (%d) does not end",
                     s->id, (int) s->pid);
}

static int dump(const struct checkpoint *cp, const struct rt_state *s, struct jl_err *e)
{
    _rt_spec_ struct rt_spec *spec = NULL;
    _rt_criu_ struct rt_criu c = RT_CRIU_INIT;
    _close_ int pidfd = rt_state_pidfd(s);
    int r;

    if (pidfd == -ESRCH)
        return jl_refuse(e, ESRCH, "container not running: '%s'", s->id);
    if (pidfd < 0)
        return jl_fail(e, -pidfd, "pidfd_open: look at the first process of '%s'", s->id);
    r = rt_spec_from_text(s->bundle, s->config, s->config_len, &spec, e);
    if (r == 0)
        r = rt_criu_check_spec(spec, "checkpoint", e);
    if (r == 0)
        r = rt_criu_begin(&c, cp->pre_dump ? "pre-dump" : "dump", &cp->criu, e);
    if (r == 0)
        r = fill_dump(&c, cp, spec, s, e);
    if (r == 0)
        r = rt_criu_run(&c, e);
    if (r == 0 && !cp->leave_running && !cp->pre_dump)
        r = wait_end(s, pidfd, e);
    return r;
}

int rt_cmd_checkpoint(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e)
{
    _rt_state_ struct rt_state s = RT_STATE_INIT;
    struct checkpoint cp = { 0 };
    const struct rt_opt opts[] = {
        RT_CRIU_OPTIONS(cp.criu),
        { "leave-running", 0, RT_OPT_FLAG, &cp.leave_running, NULL, "do not end the container" },
        { "pre-dump", 0, RT_OPT_FLAG, &cp.pre_dump, NULL,
          "memory alone, for a checkpoint later; the container goes on" },
        { "parent-path", 0, RT_OPT_TEXT, &cp.parent_path, "DIR",
          "images of an earlier one, as seen from --image-path" },
        { "auto-dedup", 0, RT_OPT_FLAG, &cp.auto_dedup, NULL,
          "remove from the earlier images what is in these" },
        { "link-remap", 0, RT_OPT_FLAG, &cp.link_remap, NULL,
          "give removed files that are open a name again, if that can be" },
        { "tcp-skip-in-flight", 0, RT_OPT_FLAG, &cp.skip_in_flight, NULL,
          "leave out connections that are not established yet" },
    };
    _close_ int root = -1;
    struct rt_args args;
    enum rt_status status;
    int r = rt_cmd_parse("checkpoint", opts, JL_COUNT(opts), argc, argv, 1, false, &args, e);

    if (r == 0)
        r = rt_container_lock(ctx, args.items[0], &root, &s, e);
    else if (r > 0)
        return 0;
    if (r == 0) {
        status = rt_state_status(&s, NULL);
        if (status != RT_RUNNING)
            r = jl_refuse(e, EINVAL, "container not running: '%s' is %s", s.id,
                          rt_status_name(status));
        else
            r = dump(&cp, &s, e);
    }
    jl_strv_clear(&cp.criu.empty_ns);
    return r < 0 ? jl_phase(e, "checkpoint") : 0;
}
