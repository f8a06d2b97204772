/* launch.c - see launch.h. */
#include "runtime/launch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "os/pidfd.h"
#include "os/rlimit.h"
#include "runtime/hooks.h"
#include "runtime/listener.h"
#include "runtime/rdt.h"
#include "runtime/step.h"
#include "runtime/sync.h"

#define REMOVE_WAIT_MS 2000
#define KILL_WAIT_MS 10000
#define FEW_BINDS 64    /* fit into any usual limit of open files, */
#define OTHER_FILES 128 /* beside these */

void rt_launch_init(struct rt_launch *l)
{
    *l = (struct rt_launch){ .state_root_fd = -1,
                             .rootfs_fd = -1,
                             .place_fd = -1,
                             .map_ns = -1,
                             .notify_dir = -1,
                             .notify = RT_NOTIFY_INIT,
                             .net_fd = -1,
                             .console_fd = -1,
                             .start_fd = -1,
                             .sync = -1,
                             .interrupts = -1,
                             .pidfd = -1,
                             .helper = RT_HELPER_INIT,
                             .tty_master = -1,
                             .proc_fd = -1,
                             .landlock_fd = -1,
                             .null_fd = -1,
                             .mask_fd = -1,
                             .devpts_fd = -1 };
    for (int ns = 0; ns < OS_NS_N; ns++)
        l->ns_fds[ns] = -1;
}

static int died(struct rt_launch *l, struct jl_err *e)
{
    siginfo_t info = { 0 };

    if (waitid(P_PIDFD, (id_t) l->pidfd, &info, WEXITED | WNOWAIT) == 0 &&
        info.si_code != CLD_EXITED) {
        l->ended_by = info.si_status;
        jl_refuse(e, ECHILD,
                  "the container's first process was killed by signal %d while it was "
                  "set up",
                  info.si_status);
        if (info.si_status == SIGKILL)
            jl_hint(e, "a memory limit too small for the set-up does that");
        return -e->code;
    }
    return jl_refuse(e, ECHILD, "the container's first process ended while it was set up");
}

/* Until there is a message on sock; or the user does not want to wait any longer. */
static int wait_message(struct rt_launch *l, int sock, struct jl_err *e)
{
    struct pollfd p[] = { { .fd = sock, .events = POLLIN },
                          { .fd = l->interrupts, .events = POLLIN } };
    struct signalfd_siginfo si;

    if (l->interrupts < 0)
        return 0;
    while (poll(p, JL_COUNT(p), -1) < 0)
        if (errno != EINTR)
            return jl_fail_sys(e, "poll", NULL, "wait for the container's first process");
    if (p[0].revents || read(l->interrupts, &si, sizeof si) != sizeof si)
        return 0;
    l->ended_by = (int) si.ssi_signo;
    return jl_refuse(e, EINTR, "ended by signal %d while the container was made", l->ended_by);
}

/* Takes own_fd. */
static int pass_listener(struct rt_launch *l, int own_fd, struct jl_err *e)
{
    int r = rt_listener_send(l->state, l->joins ? RT_RUNNING : RT_CREATING,
                             l->spec->oci->linux->seccomp, l->pid, own_fd, e);

    if (r == 0)
        r = rt_sync_send(l->sync, RT_MSG_GO, -1);
    return r < 0 && e->code == 0 ? jl_fail(e, -r, "tell the child to go on") : r;
}

int rt_launch_expect(struct rt_launch *l, unsigned type, struct jl_err *e)
{
    for (;;) {
        struct jl_err theirs = JL_ERR_INIT;
        int fd = -1, got;

        if (wait_message(l, l->sync, e) < 0)
            return -e->code;
        got = rt_sync_recv(l->sync, &fd, &theirs);
        if (got == RT_MSG_ERROR) {
            *e = theirs;
            return -e->code;
        }
        if (got < 0) {
            jl_close(fd);
            return jl_fail(e, -got, "read from the container's first process");
        }
        if (got == 0)
            return l->executed ? 1 : died(l, e);
        if (got == RT_MSG_TTY) {
            jl_close(l->tty_master);
            l->tty_master = fd;
            continue;
        }
        if (got == RT_MSG_LISTENER) {
            if (pass_listener(l, fd, e) < 0)
                return -e->code;
            continue;
        }
        jl_close(fd);
        if (got == RT_MSG_EXEC)
            l->executed = true;
        if (type != 0 && got == (int) type)
            return 0;
    }
}

int rt_launch_take_child(struct rt_launch *l, int report, pid_t middle, struct jl_err *e)
{
    struct jl_err theirs = JL_ERR_INIT;
    int fd = -1, r = rt_sync_recv(report, &fd, &theirs);

    waitpid(middle, NULL, 0);
    if (r == RT_MSG_ERROR) {
        *e = theirs;
        return -e->code;
    }
    if (r <= 0 || fd < 0)
        return jl_refuse(e, EPROTO, "the process that joins the namespaces died");
    l->pidfd = fd;
    l->pid = os_pidfd_pid(fd);
    return l->pid > 0 ? 0 : jl_fail(e, -l->pid, "read the pid of the container's process");
}

static int by_number(const void *a, const void *b)
{
    return *(const int *) a - *(const int *) b;
}

void rt_close_all_but(unsigned preserve, int *keep, size_t n)
{
    unsigned from = 3 + preserve;

    qsort(keep, n, sizeof *keep, by_number);
    for (size_t k = 0; k < n; k++) {
        if (keep[k] < (int) from)
            continue;
        if ((unsigned) keep[k] > from)
            syscall(SYS_close_range, from, (unsigned) keep[k] - 1, 0);
        from = (unsigned) keep[k] + 1;
    }
    syscall(SYS_close_range, from, ~0u, 0);
}

static int fill_plan(struct rt_launch *l, struct jl_err *e)
{
    int r = rt_plan_build(l->spec, &l->opts, &l->plan, e);

    if (r < 0)
        return r;
    l->bind_fds = malloc((l->spec->n_mounts + 1) * sizeof *l->bind_fds);
    if (!l->bind_fds)
        return jl_fail(e, ENOMEM, "make the plan");
    for (size_t i = 0; i < l->spec->n_mounts; i++)
        l->bind_fds[i] = -1;
    if (l->spec->n_mounts > FEW_BINDS) /* each is a descriptor until it is attached */
        l->nofile = os_nofile_raise(l->spec->n_mounts + OTHER_FILES);
    return 0;
}

/* What only the child needed: a mount stays busy as long as we hold it. */
static void close_handed_over(struct rt_launch *l)
{
    l->rootfs_fd = jl_close(l->rootfs_fd);
    l->notify_dir = jl_close(l->notify_dir);
    l->console_fd = jl_close(l->console_fd);
    l->start_fd = jl_close(l->start_fd);
    l->map_ns = jl_close(l->map_ns);
    for (size_t i = 0; l->bind_fds && l->spec && i < l->spec->n_mounts; i++)
        l->bind_fds[i] = jl_close(l->bind_fds[i]);
    if (l->nofile != 0) {
        os_nofile_set(l->nofile);
        l->nofile = 0;
    }
    for (size_t i = 0; i < l->n_join; i++)
        jl_close(l->join_fds[i]);
    l->n_join = 0;
    for (int ns = 0; ns < OS_NS_N; ns++)
        l->ns_fds[ns] = jl_close(l->ns_fds[ns]);
}

static void undo(struct rt_launch *l, bool recorded)
{
    struct jl_err ignored = JL_ERR_INIT;

    if (l->n_netdevs > 0) /* before their namespace goes, and most kinds with it */
        rt_net_devices_return(l);
    if (l->pid > 0) {
        os_pidfd_signal(l->pidfd, SIGKILL);
        waitpid(l->pid, NULL, 0);
    }
    rt_helper_close(&l->helper);
    os_cgroup_free(l->cg);
    l->cg = NULL;
    if (!l->state->cgroup_made) { /* refused, or not come to: somebody else's at most */
        free(l->state->cgroup);
        l->state->cgroup = NULL;
    }
    if (!l->state->rdt_made) {
        free(l->state->rdt);
        l->state->rdt = NULL;
    }
    if (recorded)
        rt_destroy(l->state_root_fd, l->state, &l->host, &ignored);
}

int rt_launch_start(struct rt_launch *l, struct jl_err *e)
{
    int r = fill_plan(l, e);

    if (r < 0)
        return r;
    r = rt_steps_run(l, RT_BEFORE, e);
    if (r == 0)
        r = rt_steps_run(l, RT_PARENT, e);
    if (r < 0) {
        bool exists = r == -EEXIST && l->state->dirfd < 0;

        close_handed_over(l);
        undo(l, !exists && l->state->dirfd >= 0);
        return r;
    }
    close_handed_over(l);
    return 0;
}

void rt_launch_mark(struct rt_launch *l, enum rt_phase phase)
{
    uint64_t now = jl_now_ns();

    l->state->phase_us[phase] += (now - l->mark_ns) / 1000;
    l->mark_ns = now - (now - l->mark_ns) % 1000; /* what is less than a us counts for the next */
}

void rt_launch_done(struct rt_launch *l)
{
    close_handed_over(l);
    jl_close(l->sync);
    jl_close(l->pidfd);
    jl_close(l->tty_master);
    jl_close(l->interrupts);
    rt_helper_close(&l->helper);
    jl_close(l->proc_fd);
    os_cgroup_free(l->cg);
    free(l->bind_fds);
    free(l->seccomp.insns);
    rt_net_devices_done(l);
    rt_notify_close(&l->notify);
    rt_plan_clear(&l->plan);
}

/* Kills what is left inside and waits for its end. */
static int kill_rest(const struct rt_state *s, const struct os_cgroup_host *host, struct jl_err *e)
{
    _close_ int pidfd = rt_state_pidfd(s);
    struct os_cgroup *cg = NULL;
    struct jl_err ignored = JL_ERR_INIT;
    int r = 0;

    if (pidfd >= 0)
        os_pidfd_signal(pidfd, SIGKILL);
    if (s->cgroup && os_cgroup_open(host, s->cgroup, &cg, &ignored) == 0) {
        if (os_cgroup_wait_empty(cg, 0, &ignored) != 0)
            r = os_cgroup_kill_all(cg, e);
        os_cgroup_free(cg);
        if (r < 0)
            return jl_wrap(e, "kill the processes of container '%s'", s->id);
    }
    if (pidfd >= 0 && os_pidfd_wait_end(pidfd, KILL_WAIT_MS) == 0)
        return jl_refuse(e, EBUSY, "container '%s': its first process (%d) does not end", s->id,
                         (int) s->pid);
    return 0;
}

static void run_poststop(struct rt_state *s, struct jl_err *e)
{
    struct oci_spec *oci = NULL;
    struct jl_err ignored = JL_ERR_INIT;

    /* Cheap look first: parsing costs more than everything else here. */
    if (!s->config || !strstr(s->config, "\"poststop\""))
        return;
    if (oci_spec_parse(s->config, s->config_len, NULL, &oci, &ignored) == 0 && oci->hooks)
        rt_hooks_run_all(oci->hooks->poststop, oci->hooks->n_poststop, "poststop", s, RT_STOPPED,
                         e);
    oci_spec_free(oci);
}

/* Whether somebody is in the group or below it. */
static bool is_occupied(const struct rt_state *s, const struct os_cgroup_host *host,
                        unsigned wait_ms)
{
    struct jl_err ignored = JL_ERR_INIT;
    struct os_cgroup *cg = NULL;
    int r = 0;

    if (os_cgroup_open(host, s->cgroup, &cg, &ignored) == 0)
        r = os_cgroup_wait_empty(cg, wait_ms ? jl_now_ns() + wait_ms * JL_NS_PER_MS : 0, &ignored);
    os_cgroup_free(cg);
    return r != 0;
}

/* The group was never this container's, or not to anybody's knowledge (its maker was killed between
 * making it and writing so; then nobody is inside, or what held the place in a unit is about to end).
 * Somebody inside is a stranger. */
static void leave_group(const struct rt_state *s, const struct os_cgroup_host *host)
{
    struct jl_err ignored = JL_ERR_INIT;

    if (!is_occupied(s, host, s->unit ? REMOVE_WAIT_MS : 0))
        os_cgroup_remove(host, s->cgroup, 0, &ignored);
}

/*
 * In the common case everybody is dead: with its pid namespace's init all others died as well, so
 * the groups can go without a look inside. Who is inside nevertheless came from elsewhere, such as
 * another container that found the group empty: he is not ours to kill.
 */
static int remove_group(const struct rt_state *s, const struct os_cgroup_host *host,
                        struct jl_err *e)
{
    bool ended = rt_state_all_ended(s);
    int r;

    if (!s->cgroup || host->mode == OS_CGROUP_NONE)
        return kill_rest(s, host, e);
    if (!s->cgroup_made) {
        leave_group(s, host);
        return 0;
    }
    if (ended && os_cgroup_remove(host, s->cgroup, 0, e) == 0)
        return 0;
    jl_err_clear(e);
    if (ended && is_occupied(s, host, REMOVE_WAIT_MS))
        return 0;
    r = kill_rest(s, host, e);
    if (r == 0)
        r = os_cgroup_remove(host, s->cgroup, REMOVE_WAIT_MS, e);
    return r;
}

/* The unit goes with its group as soon as systemd notices; we don't leave before. That the manager
 * can't be asked any more (a user's ends with his last session) is no failure: the group is gone. */
static void stop_unit(const struct rt_state *s)
{
    struct jl_err ignored = JL_ERR_INIT;
    struct rt_unit u;

    rt_unit_of(s->unit, s->unit_user, &u);
    rt_unit_stop(&u, &ignored);
}

int rt_destroy(int state_root_fd, struct rt_state *s, const struct os_cgroup_host *host,
               struct jl_err *e)
{
    struct os_cgroup_host read = { 0 };
    struct jl_err hook_err = JL_ERR_INIT;
    int r = 0;

    if (!host && s->cgroup) {
        r = os_cgroup_host_read(&read, e);
        host = &read;
    }
    if (r == 0)
        r = remove_group(s, host, e);
    if (r == 0 && s->unit && s->cgroup_made)
        stop_unit(s);
    if (r == 0)
        r = rt_rdt_remove(s, e);
    if (r < 0)
        return jl_wrap(e, "delete container '%s'", s->id);
    run_poststop(s, &hook_err);
    r = rt_state_remove(state_root_fd, s, e);
    if (r < 0)
        return r;
    /* the container is gone; a hook's failure is told all the same */
    if (hook_err.code != 0)
        *e = hook_err;
    return 0;
}
