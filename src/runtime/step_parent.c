/*
 * step_parent.c - the clone, and what the parent does beside the child. The child goes on by
 * itself as far as it can; it waits only for id maps, for hooks, and before the program.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "os/pidfd.h"
#include "runtime/child.h"
#include "runtime/hooks.h"
#include "runtime/launch.h"
#include "runtime/step.h"
#include "runtime/sync.h"

/* A process between us and the container: it can join namespaces that we could not come back from,
 * and makes the child as our own. */
static int clone_through(struct rt_launch *l, uint64_t flags, int child_sync, struct jl_err *e)
{
    _close_ int middle_fd = -1;
    int pair[2], r;
    pid_t middle;

    r = rt_sync_pair(pair);
    if (r < 0)
        return jl_fail(e, -r, "make a socket pair");
    middle = os_clone3(0, (l->cg ? os_cgroup_unified_fd(l->cg) : -1), &middle_fd);
    if (middle == 0) {
        l->helper.sock = jl_close(l->helper.sock);
        jl_close(pair[0]);
        rt_child_middle(l, flags, child_sync, pair[1]);
    }
    jl_close(pair[1]);
    if (middle < 0) {
        jl_close(pair[0]);
        return jl_fail(e, -middle, "make the process that joins the namespaces");
    }
    r = rt_launch_take_child(l, pair[0], middle, e);
    jl_close(pair[0]);
    return r;
}

static int clone_directly(struct rt_launch *l, uint64_t flags, int child_sync, struct jl_err *e)
{
    _close_ int own_pid_ns = -1;
    int cgroup_fd = l->cg ? os_cgroup_unified_fd(l->cg) : -1;
    pid_t pid;

    if (l->ns_fds[OS_NS_PID] >= 0) {
        /* concerns our children only; taken back below, for the hooks */
        own_pid_ns = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
        if (own_pid_ns < 0 || setns(l->ns_fds[OS_NS_PID], CLONE_NEWPID) < 0)
            return jl_fail_sys(e, "setns", "pid", "join the pid namespace");
    }
    pid = os_clone3_owned(flags, cgroup_fd, rt_userns_owner(l->spec), &l->pidfd);
    if (pid == -EACCES && l->opts.unit && l->unit.user && flags & CLONE_NEWUSER) {
        l->outside = true; /* until rt_step_unit_attach, for which it waits */
        pid = os_clone3(flags, -1, &l->pidfd);
    }
    if (pid == 0)
        rt_child_main(l, child_sync);
    if (own_pid_ns >= 0)
        setns(own_pid_ns, CLONE_NEWPID);
    if (pid < 0) {
        jl_fail(e, -pid, "clone3: make the container's first process");
        if (pid == -ENOSPC)
            jl_hint(e, "a limit in /proc/sys/user/max_*_namespaces is reached");
        if (pid == -EACCES && cgroup_fd >= 0)
            jl_hint(e,
                    "this user may not move processes into cgroup %.64s: run below "
                    "systemd-run --user --scope",
                    l->opts.cgroup);
        return -e->code;
    }
    l->pid = pid;
    return 0;
}

/* Who is in a user namespace may join only what belongs to it: what is the host's comes first. */
static bool needs_middle(const struct rt_launch *l)
{
    bool joins = l->ns_fds[OS_NS_USER] >= 0;

    for (int ns = 0; ns < OS_NS_N && l->spec->ns_new & os_ns_flag(OS_NS_USER); ns++)
        joins = joins || l->ns_fds[ns] >= 0;
    return joins;
}

int rt_step_clone(struct rt_launch *l, size_t i, struct jl_err *e)
{
    /* cgroup: unshared by the child once it is in its group; time: its offsets must be written
     * before anybody is inside */
    uint64_t flags = l->spec->ns_new & ~(os_ns_flag(OS_NS_TIME) | os_ns_flag(OS_NS_CGROUP));
    int pair[2], r;

    (void) i;
    r = rt_sync_pair(pair);
    if (r < 0)
        return jl_fail(e, -r, "make a socket pair");
    l->sync = pair[0];
    if (needs_middle(l))
        r = clone_through(l, flags, pair[1], e);
    else
        r = clone_directly(l, flags, pair[1], e);
    jl_close(pair[1]);
    return r;
}

int rt_step_idmap_write(struct rt_launch *l, size_t i, struct jl_err *e)
{
    (void) i;
    return os_idmap_write(l->pid, l->spec->uids, l->spec->n_uids, l->spec->gids, l->spec->n_gids,
                          e);
}

int rt_oom_score_write(pid_t pid, int score, struct jl_err *e)
{
    char path[64], text[16];
    int r;

    snprintf(path, sizeof path, "/proc/%d/oom_score_adj", (int) pid);
    snprintf(text, sizeof text, "%d", score);
    r = jl_write_kernel_file_at(AT_FDCWD, path, text);
    if (r < 0) {
        jl_fail(e, -r, "process.oomScoreAdj: set it to %d", score);
        if (r == -EACCES || r == -EPERM)
            jl_hint(e, "a value below the caller's own needs CAP_SYS_RESOURCE");
        return r;
    }
    return 0;
}

int rt_step_oom_score(struct rt_launch *l, size_t i, struct jl_err *e)
{
    (void) i;
    return rt_oom_score_write(l->pid, l->spec->oci->process->oom_score_adj, e);
}

int rt_step_pid_record(struct rt_launch *l, size_t i, struct jl_err *e)
{
    (void) i;
    return rt_state_set_pid(l->state, l->pid, e);
}

int rt_step_mapped(struct rt_launch *l, size_t i, struct jl_err *e)
{
    int r = rt_sync_send(l->sync, RT_MSG_MAPPED, -1);

    (void) i;
    return r < 0 && r != -EPIPE ? jl_fail(e, -r, "tell the child that its ids are mapped") : 0;
}

int rt_step_hooks_runtime(struct rt_launch *l, size_t i, struct jl_err *e)
{
    const struct oci_hooks *h = l->spec->oci->hooks;
    int r = rt_launch_expect(l, RT_MSG_HOOKS, e);

    (void) i;
    if (r < 0)
        return r;
    rt_launch_mark(l, RT_PHASE_SETUP);
    r = rt_hooks_run_until(h->prestart, h->n_prestart, "prestart", l->state, RT_CREATING,
                           l->interrupts, &l->ended_by, e);
    if (r == 0)
        r = rt_hooks_run_until(h->create_runtime, h->n_create_runtime, "createRuntime", l->state,
                               RT_CREATING, l->interrupts, &l->ended_by, e);
    rt_launch_mark(l, RT_PHASE_HOOKS);
    if (r == 0)
        r = rt_sync_send(l->sync, RT_MSG_HOOKS_DONE, -1);
    return r < 0 && e->code == 0 ? jl_fail(e, -r, "tell the child that the hooks have run") : r;
}

int rt_step_go(struct rt_launch *l, size_t i, struct jl_err *e)
{
    const struct rt_process *p = &l->spec->process;
    bool ours = rt_is_set_by_parent(p, rt_spec_has_ns(l->spec, OS_NS_USER));
    int r;

    (void) i;
    if (l->opts.wait_for_start || ours) {
        r = rt_launch_expect(l, RT_MSG_READY, e);
        if (r == 0 && ours)
            r = rt_set_by_parent(l->pid, p, e);
        if (r < 0 || l->opts.wait_for_start)
            return r;
    }
    r = rt_sync_send(l->sync, RT_MSG_GO, -1);
    if (r < 0 && r != -EPIPE && r != -ECONNRESET) /* it died: expect tells how */
        return jl_fail(e, -r, "tell the child to go on");
    r = rt_launch_expect(l, 0, e);
    return r < 0 ? r : 0;
}
