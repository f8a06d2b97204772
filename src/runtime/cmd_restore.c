/*
 * cmd_restore.c - restore: a container from a checkpoint's images. The record and the control group
 * come first, as when a container is made, and CRIU works inside of that group: whoever is killed
 * in between leaves what delete and gc find and end. See criu.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/strv.h"
#include "os/pidfd.h"
#include "runtime/child.h"
#include "runtime/cmd.h"
#include "runtime/criu.h"
#include "runtime/hooks.h"
#include "runtime/launch.h"
#include "runtime/step.h"
#include "runtime/terminal.h"

struct restore {
    struct rt_criu_opts criu;
    const char *bundle, *console_socket, *pid_file, *lsm_profile, *lsm_mount_context;
    bool detach, no_pivot, no_subreaper, tcp_close, auto_dedup;
};

/* They would have to run between the mounts and the change of root, where CRIU runs nothing. */
static int check_hooks(const struct oci_hooks *h, struct jl_err *e)
{
    if (!h || h->n_create_container == 0)
        return 0;
    jl_refuse(e, ENOTSUP,
              "restore: hooks.createContainer: CRIU makes the mounts and changes the "
              "root at once, without a moment for them");
    return jl_hint(e, "createRuntime and prestart hooks are run");
}

/* The namespaces are there, nothing is mounted yet. The process counts as the container's only when
 * CRIU is done: until then its control group tells who is to be killed. */
static int run_hooks(struct rt_launch *l, pid_t pid, struct jl_err *e)
{
    const struct oci_hooks *h = l->spec->oci->hooks;
    int r;

    if (!h)
        return 0;
    l->state->pid = pid;
    r = rt_hooks_run(h->prestart, h->n_prestart, "prestart", l->state, RT_CREATING, e);
    if (r == 0)
        r = rt_hooks_run(h->create_runtime, h->n_create_runtime, "createRuntime", l->state,
                         RT_CREATING, e);
    l->state->pid = 0;
    return r;
}

/* The master of the terminal that CRIU has made in the container's devpts. */
static int take_terminal(struct rt_launch *l, int *own_master, struct jl_err *e)
{
    if (*own_master < 0)
        return jl_refuse(e, EPROTO, "CRIU tells of a terminal and sends none");
    jl_close(l->tty_master);
    l->tty_master = jl_take_fd(own_master);
    return 0;
}

/* Nothing of the container has run on yet. The terminal is handed on only now: CRIU sets its modes
 * with a flush, which would take what somebody types at once. */
static int give_terminal(const struct rt_launch *l, struct jl_err *e)
{
    if (!rt_spec_has_terminal(l->spec))
        return 0;
    if (l->tty_master >= 0)
        return l->console_fd < 0 ? 0 : rt_terminal_send(l->console_fd, l->tty_master, e);
    jl_refuse(e, ENXIO, "process.terminal: the checkpoint has no terminal");
    return jl_hint(e, "the bundle is not that of the container that was checkpointed");
}

/* The moments that matter here, by CRIU's names. */
static int on_notified(void *data, const struct rt_criu_message *m, int own_fd, struct jl_err *e)
{
    struct rt_launch *l = data;
    _close_ int fd = own_fd;

    if (strcmp(m->moment, "setup-namespaces") == 0)
        return run_hooks(l, m->pid, e);
    if (strcmp(m->moment, "orphan-pts-master") == 0)
        return take_terminal(l, &fd, e);
    if (strcmp(m->moment, "post-restore") == 0)
        return give_terminal(l, e);
    return 0;
}

static int make_group(struct rt_launch *l, struct jl_err *e)
{
    int r = l->opts.unit ? rt_step_unit_start(l, 0, e) : rt_step_cgroup_make(l, 0, e);

    if (r == 0)
        r = rt_step_cgroup_limits(l, 0, e);
    if (r < 0)
        return r;
    for (size_t i = 0; i < l->n_join; i++) /* those for a child that clone3 puts into v2 */
        jl_close(l->join_fds[i]);
    l->n_join = 0;
    return os_cgroup_open_join_fds(l->cg, true, l->join_fds, &l->n_join, e);
}

static int fill_options(RtCriu__Options *o, const struct rt_launch *l, const struct restore *re,
                        struct jl_err *e)
{
    int r = rt_criu_text(&o->root, l->spec->rootfs, e);

    RT_CRIU_FLAG(o, rst_sibling, true);
    RT_CRIU_FLAG(o, notify_scripts, true);
    RT_CRIU_FLAG(o, orphan_pts_master, rt_spec_has_terminal(l->spec));
    RT_CRIU_FLAG(o, tcp_close, re->tcp_close);
    RT_CRIU_FLAG(o, auto_dedup, re->auto_dedup);
    o->has_manage_cgroups_mode = true;
    o->manage_cgroups_mode = RT_CRIU__CGROUP_MODE__IGNORE;
    if (r == 0)
        r = rt_criu_text(&o->lsm_profile, re->lsm_profile, e);
    return r < 0 ? r : rt_criu_text(&o->lsm_mount_context, re->lsm_mount_context, e);
}

/* Calls CRIU; the restored first process is our child then. */
static int call_criu(struct rt_launch *l, const struct restore *re, struct jl_err *e)
{
    const char *images = re->criu.image_path ? re->criu.image_path : "checkpoint";
    _rt_criu_ struct rt_criu c = RT_CRIU_INIT;
    _free_ char *group = NULL;
    int r = rt_criu_begin(&c, "restore", &re->criu, e);

    if (r == 0)
        r = fill_options(c.request->opts, l, re, e);
    if (r == 0 && l->host.mode == OS_CGROUP_V2 &&
        asprintf(&group, "%s/%s", l->host.unified, l->state->cgroup) < 0) {
        group = NULL;
        r = jl_fail(e, ENOMEM, "call CRIU");
    }
    if (r == 0)
        r = rt_criu_outside_from(&c, l->spec, images, group, e);
    if (r < 0)
        return r;
    c.root = l->spec->rootfs;
    c.join_fds = l->join_fds;
    c.n_join = l->n_join;
    c.new_cgroup_ns = l->spec->ns_new & os_ns_flag(OS_NS_CGROUP);
    c.notified = on_notified;
    c.notified_data = l;
    r = rt_criu_run(&c, e);
    if (r == 0 && c.pid <= 0)
        r = jl_refuse(e, EPROTO, "CRIU does not tell the pid of what it restored");
    l->pid = c.pid;
    return r;
}

static int after_restore(struct rt_launch *l, const struct restore *re, struct jl_err *e)
{
    const struct oci_hooks *h = l->spec->oci->hooks;
    int r = rt_state_set_pid(l->state, l->pid, e);

    if (r < 0)
        return r;
    l->pidfd = rt_state_pidfd(l->state);
    if (l->pidfd < 0)
        return jl_fail(e, -l->pidfd, "open the restored process %d", (int) l->pid);
    rt_step_unit_release(l, 0, e);
    if (l->spec->limits.has_pids)
        r = rt_step_pids_limit(l, 0, e);
    if (r == 0)
        rt_state_made(l->state);
    if (r == 0 && re->pid_file)
        r = rt_pidfile_write(re->pid_file, l->pid, e);
    if (r == 0 && h && h->n_poststart > 0)
        r = rt_hooks_run(h->poststart, h->n_poststart, "poststart", l->state, RT_RUNNING, e);
    return r;
}

static void undo(struct rt_launch *l)
{
    struct jl_err ignored = JL_ERR_INIT;

    if (l->state->dirfd < 0)
        return;
    rt_helper_close(&l->helper);
    os_cgroup_free(l->cg);
    l->cg = NULL;
    if (!l->state->cgroup_made) {
        free(l->state->cgroup);
        l->state->cgroup = NULL;
    }
    rt_destroy(l->state_root_fd, l->state, &l->host, &ignored);
}

static int restore(struct rt_launch *l, struct rt_spec *spec, const struct restore *re,
                   struct jl_err *e)
{
    bool has_pids = spec->limits.has_pids;
    int r;

    if (!l->opts.cgroup && !l->opts.unit)
        return jl_refuse(e, ENOTSUP,
                         "restore: the container would have no control group, by which "
                         "its processes could be found");
    spec->limits.has_pids = false; /* CRIU needs some of its own */
    r = rt_step_record(l, 0, e);
    if (r < 0)
        return r;
    r = make_group(l, e);
    if (r == 0)
        r = call_criu(l, re, e);
    spec->limits.has_pids = has_pids;
    return r < 0 ? r : after_restore(l, re, e);
}

static int wait_and_delete(struct rt_launch *l, struct jl_err *e)
{
    int r, status;

    rt_state_unlock(l->state); /* others may look at it, and kill or delete it, meanwhile */
    status = rt_foreground(l->pid, l->pidfd, l->tty_master, NULL, NULL, e);
    if (status < 0)
        return status;
    r = rt_state_lock(l->state, RT_LOCK_WAIT_MS, e);
    if (r < 0 && r != -EBUSY)
        jl_err_clear(e); /* somebody has deleted it */
    if (r != -EBUSY)
        r = rt_destroy(l->state_root_fd, l->state, &l->host, e);
    return r < 0 ? r : status;
}

static int make(const struct rt_ctx *ctx, struct rt_spec *spec, const struct restore *re,
                const char *id, struct jl_err *e)
{
    _rt_state_ struct rt_state st = RT_STATE_INIT;
    _close_ int root_fd = rt_state_root_open(ctx->root, true, e);
    struct rt_launch l;
    int r;

    if (root_fd < 0)
        return root_fd;
    r = rt_launch_begin(&l, ctx, spec, &st, id, e);
    l.state_root_fd = root_fd;
    if (r == 0 && re->console_socket && rt_unix_connect(re->console_socket, &l.console_fd, e) < 0)
        r = jl_wrap(e, "the console socket");
    if (r == 0)
        r = restore(&l, spec, re, e);
    if (r < 0)
        undo(&l);
    else if (!re->detach)
        r = wait_and_delete(&l, e);
    rt_launch_done(&l);
    return r;
}

static int load_and_make(const struct rt_ctx *ctx, const struct restore *re, const char *id,
                         struct jl_err *e)
{
    _rt_spec_ struct rt_spec *spec = NULL;
    const char *images = re->criu.image_path ? re->criu.image_path : "checkpoint";
    _free_ char *inventory = NULL;
    int r = rt_id_check(id, e);

    if (r == 0)
        r = rt_spec_load(re->bundle ? re->bundle : ".", NULL, &spec, e);
    if (r < 0)
        return r;
    rt_warn_all(ctx, &spec->warnings);
    if (!spec->has_process)
        return jl_refuse(e, EINVAL, "config.json: process: is required");
    r = rt_criu_check_spec(spec, "restore", e);
    if (r == 0)
        r = check_hooks(spec->oci->hooks, e);
    if (r == 0)
        r = rt_check_terminal(spec, re->console_socket, !re->detach, e);
    if (r < 0)
        return r;
    if (asprintf(&inventory, "%s/inventory.img", images) < 0) {
        inventory = NULL;
        return jl_fail(e, ENOMEM, "restore");
    }
    if (access(inventory, R_OK) < 0) {
        jl_fail_sys(e, "access", inventory, "--image-path: no checkpoint is there");
        return -e->code;
    }
    return make(ctx, spec, re, id, e);
}

int rt_cmd_restore(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e)
{
    struct restore re = { 0 };
    const struct rt_opt opts[] = {
        { "bundle", 'b', RT_OPT_TEXT, &re.bundle, "DIR",
          "the bundle (default: working directory)" },
        { "pid-file", 0, RT_OPT_TEXT, &re.pid_file, "FILE", "write the process's pid there" },
        { "detach", 'd', RT_OPT_FLAG, &re.detach, NULL, "do not wait for the container" },
        { "console-socket", 0, RT_OPT_TEXT, &re.console_socket, "SOCKET",
          "unix socket that gets the terminal's master" },
        { "no-pivot", 0, RT_OPT_FLAG, &re.no_pivot, NULL, "taken for runc's sake" },
        { "no-subreaper", 0, RT_OPT_FLAG, &re.no_subreaper, NULL,
          "leave orphans of the container to others" },
        { "tcp-close", 0, RT_OPT_FLAG, &re.tcp_close, NULL, "close TCP connections" },
        { "auto-dedup", 0, RT_OPT_FLAG, &re.auto_dedup, NULL,
          "remove from the images what has been restored" },
        { "lsm-profile", 0, RT_OPT_TEXT, &re.lsm_profile, "TYPE:NAME",
          "another AppArmor profile or SELinux label (apparmor:, selinux:)" },
        { "lsm-mount-context", 0, RT_OPT_TEXT, &re.lsm_mount_context, "LABEL",
          "another SELinux label of the mounts" },
        RT_CRIU_OPTIONS(re.criu),
    };
    struct rt_args args;
    sigset_t all;
    int r = rt_cmd_parse("restore", opts, JL_COUNT(opts), argc, argv, 1, false, &args, e);

    if (r > 0)
        return 0;
    if (r == 0 && !re.detach) {
        sigfillset(&all); /* what comes meanwhile is the container's */
        sigprocmask(SIG_BLOCK, &all, NULL);
        if (!re.no_subreaper && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
            r = jl_fail_sys(e, "prctl", NULL, "become the container's reaper");
    }
    if (r == 0)
        r = load_and_make(ctx, &re, args.items[0], e);
    jl_strv_clear(&re.criu.empty_ns);
    return r < 0 ? jl_phase(e, "restore") : r;
}
