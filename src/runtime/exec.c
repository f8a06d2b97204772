/*
 * exec.c - see exec.h.
 *
 * Without a user namespace one clone is enough: the parent joins the pid namespace for its next
 * child, which joins the others itself. With one, a process in between joins all of them, since
 * who has entered a user namespace may not come back, and makes the child as our own.
 */
#include "runtime/exec.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "base/spawn.h"
#include "os/pidfd.h"
#include "os/pty.h"
#include "os/sched.h"
#include "runtime/landlock.h"
#include "runtime/rdt.h"
#include "runtime/step.h"
#include "runtime/sync.h"
#include "runtime/terminal.h"

static int join_namespaces(const struct rt_exec *x, uint64_t flags, struct jl_err *e)
{
    if (flags != 0 && setns(x->init_fd, (int) flags) < 0) {
        jl_fail_sys(e, "setns", NULL, "join the namespaces of container '%s'", x->l.state->id);
        return e->code == ESRCH ? jl_refuse(e, ESRCH, "container not running: '%s'", x->l.state->id)
                                : -e->code;
    }
    return 0;
}

static int make_terminal(struct rt_exec *x, struct jl_err *e)
{
    const struct oci_process *p = x->process.oci;
    struct rt_terminal t = {
        .rows = p->console_size ? (uint16_t) p->console_size->height : 0,
        .cols = p->console_size ? (uint16_t) p->console_size->width : 0,
        .uid = p->user ? p->user->uid : 0,
        .console_fd = x->l.console_fd,
        .sync = x->l.sync,
    };
    _close_ int devpts = rt_terminal_devpts(e);
    _close_ int slave = -1;
    int r;

    if (devpts < 0)
        return devpts;
    r = rt_terminal_hand_over(devpts, &t, &slave, e);
    return r < 0 ? r : os_pty_take_over(slave, e);
}

static bool in_userns(const struct rt_exec *x)
{
    return x->ns & os_ns_flag(OS_NS_USER);
}

/* Where it runs, from its control group on, and how. */
static int take_place(const struct rt_exec *x, struct jl_err *e)
{
    struct jl_numset cpus;
    int r = 0;

    if (x->cpus_final && *x->cpus_final) {
        jl_parse_numset(x->cpus_final, &cpus);
        r = os_affinity_set(&cpus, e);
        if (r < 0)
            return jl_wrap(e, "process.execCPUAffinity.final '%s'", x->cpus_final);
    } else {
        os_affinity_reset();
    }
    r = rt_domain_enter(x->l.spec, e);
    if (r == 0 && !(in_userns(x) && x->process.may_nice))
        r = rt_sched_set(0, &x->process, e);
    return r;
}

/* In the child, inside of everything. */
static int become(struct rt_exec *x, struct jl_err *e)
{
    struct rt_become b = { .process = &x->process,
                           .seccomp = x->l.seccomp.insns ? &x->l.seccomp : NULL,
                           .sync = x->l.sync,
                           .preserve_fds = x->l.preserve_fds,
                           .proc_fd = x->l.proc_fd,
                           .landlock_fd = -1,
                           .skip_rlimits = in_userns(x) };
    struct jl_err none;
    int keep[] = { x->l.sync, x->l.proc_fd };
    int r = 0;

    if (x->root_fd >= 0 && (fchdir(x->root_fd) < 0 || chroot(".") < 0))
        return jl_fail_sys(e, "chroot", NULL, "enter the container's root");
    if (in_userns(x) && !rt_become_ns_root())
        return jl_fail_sys(e, "setresuid", NULL, "become root of the user namespace");
    if (!x->l.opts.no_new_keyring)
        r = rt_step_keyring(&x->l, 0, e);
    if (r == 0)
        r = take_place(x, e);
    if (r == 0 && x->terminal)
        r = make_terminal(x, e);
    rt_close_all_but(x->l.preserve_fds, keep, JL_COUNT(keep));
    if (r == 0 && x->l.spec->landlock)
        r = b.landlock_fd = rt_landlock_ruleset(x->l.spec->landlock, e);
    if (r >= 0)
        r = rt_become_user(&b, e);
    if (r < 0)
        return r;
    if (rt_is_set_by_parent(&x->process, in_userns(x)) &&
        rt_sync_send(x->l.sync, RT_MSG_READY, -1) < 0)
        _exit(RT_EXIT_SETUP);
    if (rt_sync_recv(x->l.sync, NULL, &none) != RT_MSG_GO)
        _exit(RT_EXIT_SETUP);
    r = rt_tell_exec(x->l.sync, e);
    return r < 0 ? r : rt_become_program(&b, e);
}

static _Noreturn void child(struct rt_exec *x, int sync, uint64_t join)
{
    struct jl_err e = JL_ERR_INIT;

    jl_close(x->l.sync);
    x->l.sync = sync;
    jl_signals_reset();
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (rt_session_leave(&e) == 0 && join_namespaces(x, join, &e) == 0)
        become(x, &e);
    rt_sync_send_error(sync, &e);
    _exit(RT_EXIT_SETUP);
}

static _Noreturn void direct_child(struct rt_exec *x, int sync)
{
    struct jl_err e = JL_ERR_INIT;

    if (rt_step_cgroup_join(&x->l, 0, &e) < 0) {
        rt_sync_send_error(sync, &e);
        _exit(RT_EXIT_SETUP);
    }
    child(x, sync, x->ns & ~os_ns_flag(OS_NS_PID));
}

static _Noreturn void middle(struct rt_exec *x, int sync, int report)
{
    struct jl_err e = JL_ERR_INIT;
    int pidfd = -1, r;
    pid_t pid;

    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (x->l.outside && rt_sync_recv(report, NULL, &e) != RT_MSG_GO)
        _exit(RT_EXIT_SETUP); /* who moves us into the group failed, or died */
    r = rt_step_cgroup_join(&x->l, 0, &e);
    if (r == 0)
        r = join_namespaces(x, x->ns, &e);
    if (r == 0) {
        pid = os_clone3(CLONE_PARENT, -1, &pidfd);
        if (pid == 0) {
            jl_close(report);
            child(x, sync, 0);
        }
        if (pid > 0)
            _exit(rt_sync_send(report, RT_MSG_READY, pidfd) < 0);
        jl_fail(&e, -pid, "clone3: make the process");
    }
    rt_sync_send_error(report, &e);
    _exit(RT_EXIT_SETUP);
}

/* The unified group to be born in. Who has processors of his own until he joins it joins later. */
static int birth_group(const struct rt_exec *x)
{
    return x->l.cg && !x->cpus_initial ? os_cgroup_unified_fd(x->l.cg) : -1;
}

/* A user may not move a process from his session into his own unit; his manager can. */
static int move_inside(struct rt_exec *x, pid_t pid, int sync, struct jl_err *e)
{
    struct rt_unit u;
    int r;

    rt_unit_of(x->l.state->unit, true, &u);
    r = rt_unit_attach(&u, NULL, pid, e);
    if (r == 0) {
        r = rt_sync_send(sync, RT_MSG_GO, -1);
        if (r < 0)
            jl_fail(e, -r, "tell the process that it is in its group");
    }
    return r;
}

static int clone_through(struct rt_exec *x, int child_sync, struct jl_err *e)
{
    _close_ int middle_fd = -1;
    struct jl_err theirs = JL_ERR_INIT;
    int pair[2], r = rt_sync_pair(pair);
    pid_t pid;

    if (r < 0)
        return jl_fail(e, -r, "make a socket pair");
    pid = os_clone3(0, birth_group(x), &middle_fd);
    if (pid == -EACCES && x->l.state->unit_user) {
        x->l.outside = true;
        pid = os_clone3(0, -1, &middle_fd);
    }
    if (pid == 0) {
        jl_close(pair[0]);
        middle(x, child_sync, pair[1]);
    }
    jl_close(pair[1]);
    if (pid < 0) {
        jl_close(pair[0]);
        return jl_fail(e, -pid, "make the process that joins the container");
    }
    if (x->l.outside && move_inside(x, pid, pair[0], e) < 0) {
        jl_close(pair[0]); /* which ends it */
        waitpid(pid, NULL, 0);
        return -e->code;
    }
    r = rt_launch_take_child(&x->l, pair[0], pid, &theirs);
    jl_close(pair[0]);
    if (r < 0)
        *e = theirs;
    return r;
}

static int clone_directly(struct rt_exec *x, int child_sync, struct jl_err *e)
{
    pid_t pid;
    int r = join_namespaces(x, x->ns & os_ns_flag(OS_NS_PID), e);

    if (r < 0)
        return r;
    pid = os_clone3(0, birth_group(x), &x->l.pidfd);
    if (pid == 0)
        direct_child(x, child_sync);
    if (pid < 0)
        return jl_fail(e, -pid, "clone3: make the process");
    x->l.pid = pid;
    return 0;
}

static int guide(struct rt_exec *x, struct jl_err *e)
{
    const struct oci_process *p = x->process.oci;
    int r = rt_rdt_join(x->l.state, x->l.pid, e);
    if (r == 0 && p->has_oom_score_adj)
        r = rt_oom_score_write(x->l.pid, p->oom_score_adj, e);
    if (r == 0 && rt_is_set_by_parent(&x->process, in_userns(x))) {
        r = rt_launch_expect(&x->l, RT_MSG_READY, e);
        if (r == 0)
            r = rt_set_by_parent(x->l.pid, &x->process, e);
    }
    if (r < 0)
        return r;
    r = rt_sync_send(x->l.sync, RT_MSG_GO, -1);
    if (r < 0 && r != -EPIPE && r != -ECONNRESET) /* it died: expect tells how */
        return jl_fail(e, -r, "tell the process to go on");
    r = rt_launch_expect(&x->l, 0, e);
    return r < 0 ? r : 0;
}

/* Us, and so the child until it has joined the control group. */
static int start_on(const char *list, struct jl_err *e)
{
    struct jl_numset cpus;

    jl_parse_numset(list, &cpus);
    return os_affinity_set(&cpus, e) < 0 ? jl_wrap(e, "process.execCPUAffinity.initial '%s'", list)
                                         : 0;
}

int rt_exec_start(struct rt_exec *x, struct jl_err *e)
{
    int pair[2], r;

    if (x->cpus_initial && start_on(x->cpus_initial, e) < 0)
        return jl_phase(e, "exec");
    r = rt_sync_pair(pair);
    if (r < 0)
        return jl_fail(e, -r, "make a socket pair");
    x->l.sync = pair[0];
    x->l.joins = true;
    r = in_userns(x) ? clone_through(x, pair[1], e) : clone_directly(x, pair[1], e);
    jl_close(pair[1]);
    if (r == 0)
        r = guide(x, e);
    if (r < 0 && x->l.pid > 0) {
        os_pidfd_signal(x->l.pidfd, SIGKILL);
        waitpid(x->l.pid, NULL, 0);
    }
    return r < 0 ? jl_phase(e, "exec") : 0;
}
