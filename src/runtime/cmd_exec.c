/* cmd_exec.c - exec: a further process in a running container. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/parse.h"
#include "base/strv.h"
#include "os/pidfd.h"
#include "runtime/cmd.h"
#include "runtime/exec.h"
#include "runtime/exec_process.h"
#include "runtime/state.h"
#include "runtime/terminal.h"

#define PROCESS_MAX ((size_t) 8 << 20) /* bytes of a --process file */

struct asking {
    struct rt_exec_asked p;
    const char *console_socket, *process, *pid_file, *pidfd_socket;
    struct jl_strv cgroups;
    bool detach, ignore_paused;
    unsigned preserve_fds;
    const struct rt_args *args; /* ID COMMAND ... */
};

static int process_from_file(const struct asking *a, struct oci_process **ret, struct jl_err *e)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(PROCESS_MAX);
    int r = jl_read_file_at(AT_FDCWD, a->process, &text, e);

    if (r < 0)
        return jl_wrap(e, "--process");
    r = rt_exec_process_read(text.data ? text.data : "", text.len, ret, e);
    if (r < 0)
        return jl_wrap(e, "--process '%s'", a->process);
    if (a->p.tty)
        (*ret)->terminal = (*ret)->has_terminal = true;
    return 0;
}

static int check_status(const struct rt_exec *x, bool ignore_paused, struct jl_err *e)
{
    const struct rt_state *s = x->l.state;
    struct os_cgroup_host host;
    bool has_host = !ignore_paused && s->cgroup && os_cgroup_host_read(&host, e) == 0;
    enum rt_status status = rt_state_status(s, has_host ? &host : NULL);

    if (status == RT_STOPPED || status == RT_CREATING)
        return jl_refuse(e, ESRCH,
                         "cannot exec in a container that is %s: container not running: '%s'",
                         rt_status_name(status), s->id);
    if (status == RT_PAUSED)
        return jl_refuse(e, EBUSY, "cannot exec in a paused container: '%s' (use --ignore-paused)",
                         s->id);
    return 0;
}

/* The process's own, or else the container's. */
static void take_affinity(const struct oci_exec_cpu_affinity *a, const struct oci_process *first,
                          struct rt_exec *x)
{
    if (!a && first)
        a = first->exec_cpu_affinity;
    if (!a)
        return;
    x->cpus_initial = a->initial && *a->initial ? a->initial : NULL;
    x->cpus_final = a->final;
}

static int prepare(const struct rt_ctx *ctx, const struct asking *a, struct rt_exec *x,
                   struct oci_process *p, struct jl_err *e)
{
    const struct rt_spec *spec = x->l.spec;
    struct jl_strv warnings = JL_STRV_INIT;
    int r = rt_process_check(p, "process", &x->process, &warnings, e);

    if (r == 0 && a->process && rt_exec_unused(&a->p, &warnings) < 0)
        r = jl_fail(e, ENOMEM, "keep a warning");
    rt_warn_all(ctx, &warnings);
    jl_strv_clear(&warnings);
    if (r < 0)
        return r;
    take_affinity(p->exec_cpu_affinity, spec->oci->process, x);
    x->terminal = p->terminal;
    if (x->terminal && a->detach && !a->console_socket)
        return jl_refuse(e, EINVAL,
                         "cannot allocate a terminal without --console-socket when the "
                         "process is detached");
    if (!x->terminal && a->console_socket)
        return jl_refuse(e, EINVAL, "--console-socket: the process has no terminal");
    for (int ns = 0; ns < OS_NS_N; ns++)
        if (rt_spec_has_ns(spec, (enum os_ns) ns))
            x->ns |= os_ns_flag((enum os_ns) ns);
    if (!rt_spec_has_ns(spec, OS_NS_MOUNT)) {
        x->root_fd = open(x->l.state->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (x->root_fd < 0)
            return jl_fail_sys(e, "open", x->l.state->rootfs, "open the container's root");
    }
    if (a->console_socket)
        r = rt_unix_connect(a->console_socket, &x->l.console_fd, e);
    if (r < 0)
        return jl_wrap(e, "the console socket");
    if (r == 0 && rt_lsm_needed(spec, p))
        r = rt_lsm_open(spec, p, false, &x->l.proc_fd, e);
    if (r == 0)
        r = rt_exec_cgroup(x, &a->cgroups, e);
    if (r == 0 && spec->seccomp)
        r = os_seccomp_build(spec->seccomp, &x->l.seccomp, e);
    return r;
}

static int start_and_wait(const struct asking *a, struct rt_exec *x, struct jl_err *e)
{
    _close_ int pidfd_sock = -1;
    sigset_t all;
    int r;

    if (!a->detach) {
        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, NULL);
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    }
    if (a->pidfd_socket && rt_unix_connect(a->pidfd_socket, &pidfd_sock, e) < 0)
        return jl_wrap(e, "--pidfd-socket");
    r = rt_exec_start(x, e);
    if (r < 0)
        return r;
    if (a->pidfd_socket)
        r = rt_pidfd_send(pidfd_sock, x->l.pidfd, "setns", e);
    if (r == 0 && a->pid_file)
        r = rt_pidfile_write(a->pid_file, x->l.pid, e);
    if (r == 0 && !a->detach)
        r = rt_foreground(x->l.pid, x->l.pidfd, x->l.tty_master, NULL, NULL, e);
    if (r < 0) /* a process that the caller takes for one that never was */
        os_pidfd_signal(x->l.pidfd, SIGKILL);
    return r;
}

static int exec_in(const struct rt_ctx *ctx, const struct asking *a, struct rt_state *s,
                   struct rt_exec *x, struct jl_err *e)
{
    _rt_spec_ struct rt_spec *spec = NULL;
    struct oci_process *from_file = NULL;
    _close_ int init_fd = rt_state_pidfd(s);
    int r;

    if (init_fd == -ESRCH)
        return jl_refuse(e, ESRCH, "container not running: '%s'", s->id);
    if (init_fd < 0)
        return jl_fail(e, -init_fd, "pidfd_open: look at the first process of '%s'", s->id);
    x->init_fd = init_fd;
    r = check_status(x, a->ignore_paused, e);
    if (r == 0 && !s->config)
        r = jl_refuse(e, EINVAL, "container '%s' has no stored configuration", s->id);
    if (r == 0)
        r = rt_spec_from_text(s->bundle, s->config, s->config_len, &spec, e);
    if (r < 0)
        return r;
    x->l.spec = spec;
    if (a->process)
        r = process_from_file(a, &from_file, e);
    else if (!spec->has_process)
        r = jl_refuse(e, EINVAL, "exec: the container has no process whose settings could hold");
    else
        r = rt_exec_process_edit(&a->p, spec->oci->process, e);
    if (r == 0)
        r = prepare(ctx, a, x, from_file ? from_file : spec->oci->process, e);
    if (r == 0)
        r = start_and_wait(a, x, e);
    oci_process_free(from_file);
    return r;
}

static int check_options(const struct asking *a, struct jl_err *e)
{
    if (!a->process && a->args->n < 2) {
        jl_refuse(e, EINVAL, "exec: a command is required");
        return jl_hint(e,
                       "usage: joblet-run exec [OPTIONS] ID COMMAND [ARG...], or --process FILE");
    }
    for (unsigned i = 0; i < a->preserve_fds; i++)
        if (fcntl(3 + (int) i, F_GETFD) < 0)
            return jl_refuse(e, EBADF, "--preserve-fds: descriptor %u is not open", 3 + i);
    return 0;
}

static int run(const struct rt_ctx *ctx, const struct asking *a, struct jl_err *e)
{
    _rt_state_ struct rt_state s = RT_STATE_INIT;
    _close_ int root = -1;
    struct rt_exec x = { .init_fd = -1, .root_fd = -1 };
    int r = check_options(a, e);

    if (r < 0)
        return r;
    root = rt_state_root_open(ctx->root, false, e);
    if (root < 0 && root != -ENOENT)
        return root;
    jl_err_clear(e);
    r = rt_state_open(root, a->args->items[0], &s, e);
    if (r < 0)
        return r;
    rt_launch_init(&x.l);
    x.l.state = &s;
    x.l.preserve_fds = a->preserve_fds;
    r = exec_in(ctx, a, &s, &x, e);
    x.l.spec = NULL;
    rt_launch_done(&x.l);
    jl_close(x.root_fd);
    return r;
}

int rt_cmd_exec(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e)
{
    struct asking a = { .args = NULL };
    const struct rt_opt opts[] = {
        { "additional-gids", 'g', RT_OPT_LIST, &a.p.gids, "GID", "a further group" },
        { "apparmor", 0, RT_OPT_TEXT, &a.p.apparmor, "PROFILE", "an AppArmor profile" },
        { "cap", 'c', RT_OPT_LIST, &a.p.caps, "CAP", "a further capability" },
        { "cgroup", 0, RT_OPT_LIST, &a.cgroups, "[CONTROLLERS:]PATH",
          "a group below the container's" },
        { "console-socket", 0, RT_OPT_TEXT, &a.console_socket, "SOCKET",
          "unix socket that gets the terminal's master" },
        { "cwd", 0, RT_OPT_TEXT, &a.p.cwd, "DIR", "working directory" },
        { "detach", 'd', RT_OPT_FLAG, &a.detach, NULL, "do not wait for the process" },
        { "env", 'e', RT_OPT_LIST, &a.p.env, "NAME=VALUE", "set in its environment" },
        { "ignore-paused", 0, RT_OPT_FLAG, &a.ignore_paused, NULL,
          "go on in a paused container; it runs after resume" },
        { "no-new-privs", 0, RT_OPT_FLAG, &a.p.no_new_privs, NULL, "set no_new_privs" },
        { "pid-file", 0, RT_OPT_TEXT, &a.pid_file, "FILE", "write its pid there" },
        { "pidfd-socket", 0, RT_OPT_TEXT, &a.pidfd_socket, "SOCKET",
          "unix socket that gets a pidfd of the process" },
        { "preserve-fds", 0, RT_OPT_UINT, &a.preserve_fds, "N", "pass descriptors 3 to 3+N-1" },
        { "process", 'p', RT_OPT_TEXT, &a.process, "FILE", "a process object as JSON" },
        { "process-label", 0, RT_OPT_TEXT, &a.p.label, "LABEL", "an SELinux label" },
        { "tty", 't', RT_OPT_FLAG, &a.p.tty, NULL, "give it a terminal" },
        { "user", 'u', RT_OPT_TEXT, &a.p.user, "UID[:GID]", "run as this user" },
    };
    struct rt_args args;
    int r = rt_cmd_parse("exec", opts, JL_COUNT(opts), argc, argv, 1, true, &args, e);

    a.args = &args;
    if (r == 0) {
        a.p.args = args.items + 1;
        a.p.n_args = args.n - 1;
        r = run(ctx, &a, e);
    } else if (r > 0) {
        r = 0;
    }
    jl_strv_clear(&a.cgroups);
    jl_strv_clear(&a.p.env);
    jl_strv_clear(&a.p.gids);
    jl_strv_clear(&a.p.caps);
    return r;
}
