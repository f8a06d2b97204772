/* cmd_create.c - the verbs create and run, which make a container. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/parse.h"
#include "base/spawn.h"
#include "os/pidfd.h"
#include "runtime/child.h"
#include "runtime/cmd.h"
#include "runtime/ending.h"
#include "runtime/hooks.h"
#include "runtime/launch.h"
#include "runtime/rdt.h"
#include "runtime/terminal.h"

struct making {
    const char *bundle, *config, *console_socket, *pid_file, *pidfd_socket;
    int pidfd_sock; /* connected to pidfd_socket */
    unsigned preserve_fds;
    bool no_pivot, no_new_keyring, detach, keep, keep_exit, no_subreaper, strict;
    bool foreground; /* run without --detach */
    bool listen_pid; /* the process has to find out its LISTEN_PID itself */
};

int rt_check_terminal(const struct rt_spec *s, const char *console_socket, bool foreground,
                      struct jl_err *e)
{
    bool wants = rt_spec_has_terminal(s);

    if (wants && !console_socket && !foreground)
        return jl_refuse(e, EINVAL,
                         "process.terminal: cannot allocate a terminal without --console-socket "
                         "when the container is detached");
    if (console_socket && (!wants || foreground))
        return jl_refuse(e, EINVAL,
                         wants ? "--console-socket: needs --detach"
                               : "--console-socket: process.terminal is not set");
    return 0;
}

/* One that is not open would be one of ours by then. */
static int check_preserved(unsigned n, struct jl_err *e)
{
    for (unsigned i = 0; i < n; i++)
        if (fcntl(3 + (int) i, F_GETFD) < 0)
            return jl_refuse(e, EBADF, "--preserve-fds: descriptor %u is not open", 3 + i);
    return 0;
}

/* What is recorded of it before there is anything of it. */
static int fill_state(struct rt_state *st, const struct rt_spec *s, const char *id,
                      struct jl_err *e)
{
    char now[JL_RFC3339_MAX];

    st->id = strdup(id);
    st->bundle = strdup(s->bundle);
    st->rootfs = strdup(s->rootfs);
    st->oci_version = strdup(s->oci->oci_version);
    st->created = strdup(jl_rfc3339(jl_wall_ns(), 9, now));
    st->config = strndup(s->text, s->text_len);
    st->config_len = s->text_len;
    st->owner = geteuid();
    st->own_pid_ns = s->ns_new & os_ns_flag(OS_NS_PID);
    if (!st->id || !st->bundle || !st->rootfs || !st->oci_version || !st->created || !st->config)
        return jl_fail(e, ENOMEM, "make the record");
    for (size_t i = 0; i < s->oci->n_annotations; i++)
        if (oci_kv_add(&st->annotations, &st->n_annotations, s->oci->annotations[i].key,
                       s->oci->annotations[i].value) < 0)
            return jl_fail(e, ENOMEM, "make the record");
    return 0;
}

int rt_launch_begin(struct rt_launch *l, const struct rt_ctx *ctx, const struct rt_spec *spec,
                    struct rt_state *st, const char *id, struct jl_err *e)
{
    int r;

    rt_launch_init(l);
    l->spec = spec;
    l->state = st;
    l->mark_ns = ctx->started_ns;
    r = fill_state(st, spec, id, e);
    rt_launch_mark(l, RT_PHASE_LOAD);
    if (r < 0)
        return r;
    return rt_group_choose(l, st,
                           ctx->systemd_cgroup ? RT_GROUP_UNIT
                           : ctx->no_cgroup    ? RT_GROUP_NONE
                                               : RT_GROUP_FILES,
                           e);
}

static bool may_mount(void)
{
    struct os_caps own;
    int sys_admin = os_cap_from_name("CAP_SYS_ADMIN");

    return os_caps_get(&own) == 0 && own.effective >> sys_admin & 1;
}

/* Tells that the program runs: pid file, then the hooks that wait for it. */
static int after_start(struct rt_launch *l, const struct making *m, struct jl_err *e)
{
    const struct oci_hooks *h = l->spec->oci->hooks;
    int r = 0;

    rt_launch_mark(l, RT_PHASE_SETUP);
    rt_state_add_phases(l->state);
    if (m->keep_exit) {
        r = rt_ending_watch(l->state, l->pidfd, e);
        if (r < 0)
            return r;
    }
    rt_state_made(l->state);
    if (m->pidfd_socket)
        r = rt_pidfd_send(m->pidfd_sock, l->pidfd, "standard", e);
    if (r == 0 && m->pid_file)
        r = rt_pidfile_write(m->pid_file, l->pid, e);
    if (r == 0 && h && h->n_poststart > 0 && !l->opts.wait_for_start)
        r = rt_hooks_run(h->poststart, h->n_poststart, "poststart", l->state, RT_RUNNING, e);
    return r;
}

/* The caller wants to know when the service is up, not when its program was started. */
static void wait_until_ready(struct rt_launch *l)
{
    rt_state_unlock(l->state);
    l->notify.mainpid = l->pid;
    rt_notify_wait_ready(&l->notify, l->pidfd);
}

static void kill_container(struct rt_launch *l)
{
    struct jl_err ignored = JL_ERR_INIT;

    os_pidfd_signal(l->pidfd, SIGKILL);
    jl_wait_status(l->pid);
    rt_state_lock(l->state, 1000, &ignored);
    rt_destroy(l->state_root_fd, l->state, &l->host, &ignored);
}

static int wait_and_clean(struct rt_launch *l, const struct making *m, struct jl_err *e)
{
    struct jl_err ignored = JL_ERR_INIT;
    int status, how, r;

    rt_state_unlock(l->state); /* others may look at it, and kill or delete it, meanwhile */
    status = rt_foreground(l->pid, l->pidfd, l->tty_master, &l->notify, &how, e);
    if (status < 0) /* nobody would know how it ends */
        kill_container(l);
    else if (m->keep && !m->keep_exit)
        rt_ending_record(l->state, how, &ignored); /* it may be deleted by now */
    if (status < 0 || m->keep)
        return status;
    r = rt_state_lock(l->state, 5000, e);
    if (r < 0 && r != -EBUSY)
        jl_err_clear(e); /* what can't be locked is no use to anybody else either */
    if (r != -EBUSY)
        r = rt_destroy(l->state_root_fd, l->state, &l->host, e);
    return r < 0 ? r : status;
}

/* They are blocked; any that comes once the program runs is passed on to it. */
static int open_interrupts(struct rt_launch *l, struct jl_err *e)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGQUIT);
    sigaddset(&set, SIGHUP);
    l->interrupts = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return l->interrupts < 0 ? jl_fail_sys(e, "signalfd", NULL, "wait for signals") : 0;
}

static int make(const struct rt_ctx *ctx, const struct rt_spec *spec, const struct making *m,
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
    l.console_socket = m->console_socket;
    l.preserve_fds = m->preserve_fds;
    l.foreground = m->foreground;
    l.trace = ctx->debug;
    l.opts.wait_for_start = !m->foreground && !m->detach;
    l.opts.has_console_socket = m->console_socket != NULL;
    l.listen_pid = m->listen_pid;
    l.opts.notify = rt_notify_wanted();
    l.opts.no_pivot = m->no_pivot;
    l.opts.open_inside = !may_mount();
    l.opts.no_new_keyring = m->no_new_keyring;
    if (r == 0)
        r = rt_rdt_choose(spec, &st, e);
    if (r == 0 && m->foreground)
        r = open_interrupts(&l, e);
    if (r == 0)
        r = rt_launch_start(&l, e);
    if (r < 0 && m->foreground && l.ended_by > 0) {
        /* for who waits for us the same as a little later */
        rt_report(ctx, e);
        jl_err_clear(e);
        r = 128 + l.ended_by;
    } else if (r == 0) {
        r = after_start(&l, m, e);
        if (r < 0)
            kill_container(&l);
        else if (m->foreground)
            r = wait_and_clean(&l, m, e);
        else if (l.notify.from >= 0)
            wait_until_ready(&l);
    }
    rt_launch_done(&l);
    return r;
}

/* Sockets that a service manager opened for us (sd_listen_fds(3)) are the container's. */
static int pass_listen_fds(struct making *m, const struct rt_spec *s, struct jl_err *e)
{
    struct oci_process *p = s->oci->process;
    const char *text = getenv("LISTEN_FDS");
    char var[32];
    uint64_t n;

    if (!text || jl_parse_u64(text, 1024, &n) < 0 || n == 0)
        return 0;
    m->preserve_fds += (unsigned) n;
    snprintf(var, sizeof var, "LISTEN_FDS=%u", (unsigned) n);
    m->listen_pid = !(s->ns_new & os_ns_flag(OS_NS_PID));
    if (oci_strings_add(&p->env, &p->n_env, var) < 0 ||
        (!m->listen_pid && oci_strings_add(&p->env, &p->n_env, "LISTEN_PID=1") < 0))
        return jl_fail(e, ENOMEM, "process.env");
    return 0;
}

/* The container's own socket, not the caller's, whose path means nothing inside. */
static int pass_notify_socket(struct oci_process *p, struct jl_err *e)
{
    if (!rt_notify_wanted() || !p)
        return 0;
    for (size_t i = 0; i < p->n_env; i++)
        if (strncmp(p->env[i], "NOTIFY_SOCKET=", 14) == 0) {
            free(p->env[i]);
            p->env[i] = p->env[--p->n_env];
            p->env[p->n_env] = NULL;
            break;
        }
    return oci_strings_add(&p->env, &p->n_env, RT_NOTIFY_ENV) < 0
               ? jl_fail(e, ENOMEM, "process.env")
               : 0;
}

static int load_and_make(const struct rt_ctx *ctx, struct making *m, const char *id,
                         struct jl_err *e)
{
    _rt_spec_ struct rt_spec *spec = NULL;
    int r;

    r = rt_id_check(id, e);
    if (r == 0)
        r = rt_spec_load(m->bundle ? m->bundle : ".", m->config, &spec, e);
    if (r == 0 && m->strict)
        r = rt_check_strict(spec, e);
    if (r < 0)
        return r;
    rt_warn_all(ctx, &spec->warnings);
    if (spec->has_process)
        r = pass_listen_fds(m, spec, e);
    else if (m->foreground || m->detach)
        r = jl_refuse(e, EINVAL, "config.json: process: is required to start the container");
    if (r == 0)
        r = pass_notify_socket(spec->oci->process, e);
    if (r == 0)
        r = check_preserved(m->preserve_fds, e);
    if (r == 0)
        r = rt_check_terminal(spec, m->console_socket, m->foreground, e);
    if (r == 0 && m->pidfd_socket && rt_unix_connect(m->pidfd_socket, &m->pidfd_sock, e) < 0)
        r = jl_wrap(e, "--pidfd-socket");
    return r < 0 ? r : make(ctx, spec, m, id, e);
}

#define COMMON_OPTS(m)                                                                                 \
    { "bundle", 'b', RT_OPT_TEXT, &(m).bundle, "DIR", "the bundle (default: working directory)" },     \
        { "console-socket",    0,        RT_OPT_TEXT,                                                  \
          &(m).console_socket, "SOCKET", "unix socket that gets the terminal's master" },              \
        { "pid-file", 0, RT_OPT_TEXT, &(m).pid_file, "FILE", "write the process's pid there" },        \
        { "pidfd-socket",    0,        RT_OPT_TEXT,                                                    \
          &(m).pidfd_socket, "SOCKET", "unix socket that gets a pidfd of the process" },               \
        { "config", 'f', RT_OPT_TEXT, &(m).config, "FILE", "instead of the bundle's config.json" },    \
        { "strict", 0, RT_OPT_FLAG, &(m).strict, NULL, "refuse keys that the specification has not" }, \
        { "keep-exit",    0,    RT_OPT_FLAG,                                                           \
          &(m).keep_exit, NULL, "have the exit status written down by a process that stays" },         \
        { "no-pivot",    0,    RT_OPT_FLAG,                                                            \
          &(m).no_pivot, NULL, "chroot instead of pivot_root (for a root on a ramdisk)" },             \
        { "no-new-keyring",    0,    RT_OPT_FLAG,                                                      \
          &(m).no_new_keyring, NULL, "keep the caller's session keyring" },                            \
    {                                                                                                  \
        "preserve-fds", 0, RT_OPT_UINT, &(m).preserve_fds, "N",                                        \
            "pass descriptors 3 to 3+N-1 to the process"                                               \
    }

int rt_cmd_create(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e)
{
    struct making m = { 0 };
    const struct rt_opt opts[] = { COMMON_OPTS(m) };
    struct rt_args args;
    int r = rt_cmd_parse("create", opts, JL_COUNT(opts), argc, argv, 1, false, &args, e);

    if (r != 0)
        return r < 0 ? r : 0;
    return load_and_make(ctx, &m, args.items[0], e);
}

int rt_cmd_run(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e)
{
    struct making m = { 0 };
    const struct rt_opt opts[] = {
        COMMON_OPTS(m),
        { "detach", 'd', RT_OPT_FLAG, &m.detach, NULL, "do not wait for the container" },
        { "keep", 0, RT_OPT_FLAG, &m.keep, NULL, "do not delete the container at its end" },
        { "no-subreaper", 0, RT_OPT_FLAG, &m.no_subreaper, NULL,
          "leave orphans of the container to others" },
    };
    struct rt_args args;
    sigset_t all;
    int r = rt_cmd_parse("run", opts, JL_COUNT(opts), argc, argv, 1, false, &args, e);

    if (r != 0)
        return r < 0 ? r : 0;
    m.foreground = !m.detach;
    if (m.foreground) {
        /* A signal that comes while the container is made is the container's later on, or ends
         * the making (open_interrupts). */
        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, NULL);
        if (!m.no_subreaper && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
            return jl_fail_sys(e, "prctl", NULL, "become the container's reaper");
    }
    return load_and_make(ctx, &m, args.items[0], e);
}
