/* child.c - see child.h. This process is a copy of the parent; its stdio is the container's. */
#include "runtime/child.h"

#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/spawn.h"
#include "os/ns.h"
#include "os/rlimit.h"
#include "runtime/launch.h"
#include "runtime/step.h"
#include "runtime/sync.h"

/* In a session of its own, so that /dev/tty inside never is the caller's terminal, where a program
 * could type commands for him (TIOCSTI) or read what he types. A signal typed there reaches us, and
 * we pass it on. */
int rt_session_leave(struct jl_err *e)
{
    if (setsid() < 0 && getsid(0) != getpid()) /* EPERM: leads one already */
        return jl_fail_sys(e, "setsid", NULL, "leave the caller's session");
    return 0;
}

_Noreturn void rt_child_main(struct rt_launch *l, int sync)
{
    struct jl_err e = JL_ERR_INIT;

    jl_close(l->sync);
    l->sync = sync;
    /* The state directory's lock is ours too as long as we hold the descriptor. */
    l->state->dirfd = jl_close(l->state->dirfd);
    l->state->record = jl_close(l->state->record);
    l->state_root_fd = jl_close(l->state_root_fd);
    l->pidfd = jl_close(l->pidfd);
    l->helper.sock = jl_close(l->helper.sock); /* it waits for nobody else to have it */
    jl_signals_reset();
    if (l->spec->ns_new & os_ns_flag(OS_NS_USER)) {
        /* stays inspectable for our parent until the maps are written */
    } else {
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    }
    if (rt_session_leave(&e) == 0)
        rt_steps_run(l, RT_CHILD, &e);
    rt_sync_send_error(l->sync, &e);
    _exit(RT_EXIT_SETUP); /* not exit(): buffers and handlers belong to the parent */
}

int rt_tell_exec(int sync, struct jl_err *e)
{
    int r = rt_sync_send(sync, RT_MSG_EXEC, -1);

    if (r < 0 && r != -EPIPE && r != -ECONNRESET)
        return jl_fail(e, -r, "tell that the program comes next");
    return 0;
}

/* Our ids on the host mean nothing inside: files could not even be made. In a namespace without an
 * id 0 we stay who we are (EINVAL). */
bool rt_become_ns_root(void)
{
    if (setgroups(0, NULL) < 0 && errno != EPERM)
        return false;
    if (setresgid(0, 0, 0) < 0 && errno != EINVAL)
        return false;
    if (setresuid(0, 0, 0) < 0 && errno != EINVAL)
        return false;
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* as it was before the ids changed, but say it */
    return true;
}

/*
 * A namespace that the host's root owns can be joined only by somebody with rights on the host, so
 * before any user namespace is entered. What may not be joined yet (an ordinary user's, who gets
 * his rights from the user namespace) stays open for the child, which tries again.
 */
static int join_before_user(struct rt_launch *l, struct jl_err *e)
{
    for (int ns = 0; ns < OS_NS_N; ns++) {
        if (ns == OS_NS_USER || ns == OS_NS_PID || l->ns_fds[ns] < 0)
            continue;
        if (setns(l->ns_fds[ns], (int) os_ns_flag((enum os_ns) ns)) == 0)
            l->ns_fds[ns] = jl_close(l->ns_fds[ns]);
        else if (errno != EPERM)
            return jl_fail_sys(e, "setns", l->spec->ns_path[ns], "join the %s namespace",
                               os_ns_name((enum os_ns) ns));
    }
    return 0;
}

/* The pid namespace comes last: it concerns the child alone, and may belong to the user namespace
 * or to the host. */
static int join_user_and_pid(struct rt_launch *l, struct jl_err *e)
{
    int user = l->ns_fds[OS_NS_USER], pid = l->ns_fds[OS_NS_PID];
    bool joined = pid < 0 || setns(pid, CLONE_NEWPID) == 0;

    if (user >= 0 && setns(user, CLONE_NEWUSER) < 0)
        return jl_fail_sys(e, "setns", "user", "join the user namespace");
    if (!joined && setns(pid, CLONE_NEWPID) < 0)
        return jl_fail_sys(e, "setns", "pid", "join the pid namespace");
    if (user >= 0 && !rt_become_ns_root())
        return jl_fail_sys(e, "setresuid", NULL, "become root of the user namespace");
    return 0;
}

/* The host's id of the container's root; but root himself where createContainer hooks have the child
 * walk to root.path, which that id need not be able to. */
uid_t rt_userns_owner(const struct rt_spec *s)
{
    const struct oci_hooks *h = s->oci->hooks;

    return h && h->n_create_container > 0 ? 0 : os_idmap_root(s->uids, s->n_uids);
}

_Noreturn void rt_child_middle(struct rt_launch *l, uint64_t flags, int sync, int report)
{
    struct jl_err e = JL_ERR_INIT;
    int pidfd = -1;
    pid_t pid;

    if (l->ns_fds[OS_NS_USER] >=
        0) /* a new one's maps are written by our parent, who must see us */
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (join_before_user(l, &e) == 0 && join_user_and_pid(l, &e) == 0) {
        /* inherits our control group */
        pid = os_clone3_owned(flags | CLONE_PARENT, -1, rt_userns_owner(l->spec), &pidfd);
        if (pid == 0) {
            jl_close(report);
            rt_child_main(l, sync);
        }
        if (pid > 0)
            _exit(rt_sync_send(report, RT_MSG_READY, pidfd) < 0);
        jl_fail(&e, -pid, "clone3: make the container's first process");
    }
    rt_sync_send_error(report, &e);
    _exit(RT_EXIT_SETUP);
}

bool rt_is_set_by_parent(const struct rt_process *p, bool in_userns)
{
    return in_userns && (p->n_rlimits > 0 || p->may_nice);
}

/* A root without CAP_SYS_RESOURCE has it in a user namespace of which he is the owner. */
static int set_rlimit(pid_t pid, int resource, const struct rlimit *want)
{
    struct os_owner before;
    uint32_t owner;
    int r = prlimit(pid, (__rlimit_resource_t) resource, want, NULL), err = errno;

    if (r == 0 || err != EPERM || os_idmap_to_host(pid, 0, &owner) < 0 ||
        !os_owner_begin(&before, owner)) {
        errno = err;
        return r;
    }
    r = prlimit(pid, (__rlimit_resource_t) resource, want, NULL);
    err = errno;
    os_owner_end(&before);
    errno = err;
    return r;
}

static int set_rlimits(pid_t pid, const struct rt_process *p, struct jl_err *e)
{
    for (size_t i = 0; i < p->n_rlimits; i++) {
        struct rlimit want = { .rlim_cur = p->rlimits[i].soft, .rlim_max = p->rlimits[i].hard };

        if (set_rlimit(pid, p->rlimits[i].resource, &want) < 0) {
            struct rlimit now = { 0 };
            int r =
                jl_fail_sys(e, "prlimit", os_rlimit_name(p->rlimits[i].resource),
                            "process.rlimits: set to soft %llu, hard %llu",
                            (unsigned long long) want.rlim_cur, (unsigned long long) want.rlim_max);

            if (r == -EPERM &&
                prlimit(pid, (__rlimit_resource_t) p->rlimits[i].resource, NULL, &now) == 0)
                jl_hint(e, "the hard limit here is %llu; raising it needs CAP_SYS_RESOURCE",
                        (unsigned long long) now.rlim_max);
            return r;
        }
    }
    return 0;
}

int rt_set_by_parent(pid_t pid, const struct rt_process *p, struct jl_err *e)
{
    int r = set_rlimits(pid, p, e);

    return r == 0 && p->may_nice ? rt_sched_set(pid, p, e) : r;
}
