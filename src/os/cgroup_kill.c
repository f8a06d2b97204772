/* cgroup_kill.c - the processes of a group: listing, signalling, killing, waiting. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "os/cgroup_internal.h"
#include "os/pidfd.h"

#define PROCS_MAX (64u << 20) /* bytes of one cgroup.procs: 4 million processes */
#define SIGNAL_BATCH 64       /* descriptors at a time */
#define KILL_ROUNDS 100       /* passes over a group without cgroup.kill */

struct pid_list {
    pid_t *pids;
    size_t n, room;
};

static int add_pid(struct pid_list *l, pid_t pid)
{
    if (l->n == l->room) {
        size_t room = l->room ? 2 * l->room : 64;
        pid_t *grown = reallocarray(l->pids, room, sizeof *grown);

        if (!grown)
            return -ENOMEM;
        l->pids = grown;
        l->room = room;
    }
    l->pids[l->n++] = pid;
    return 0;
}

static int add_procs(int dir, void *data)
{
    struct pid_list *l = data;
    _buf_ struct jl_buf text = JL_BUF_INIT(PROCS_MAX);
    _close_ int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int r = fd < 0 ? -errno : jl_read_all(fd, &text);

    if (r == -EOPNOTSUPP) /* threaded: its processes are listed by the domain above it */
        return 0;
    if (r < 0)
        return r;
    for (char *p = text.data; p && *p != '\0';) {
        long pid = strtol(p, &p, 10);

        p += strspn(p, "\n");
        if (pid > 0) /* 0: in a PID namespace that we can't see into */
            r = add_pid(l, (pid_t) pid);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The v1 hierarchy that stands for the others in questions about processes; -1 if none. */
static int some_v1_fd(const struct os_cgroup *cg)
{
    static const enum os_controller order[] = { OS_CG_FREEZER, OS_CG_PIDS,    OS_CG_MEMORY,
                                                OS_CG_CPU,     OS_CG_DEVICES, OS_CG_IO,
                                                OS_CG_CPUACCT, OS_CG_CPUSET,  OS_CG_HUGETLB,
                                                OS_CG_NAMED };

    for (size_t i = 0; i < JL_COUNT(order); i++)
        if (cg->fd[order[i]] >= 0)
            return cg->fd[order[i]];
    return -1;
}

static int by_number(const void *a, const void *b)
{
    pid_t x = *(const pid_t *) a, y = *(const pid_t *) b;

    return (x > y) - (x < y);
}

/* Both the unified tree and a v1 hierarchy are asked: another runtime may have put a process into
 * one of them only. */
static int list_pids(const struct os_cgroup *cg, struct pid_list *l)
{
    const int fds[] = { cg->fd[CG_UNIFIED], some_v1_fd(cg) };
    size_t kept = 0;
    int r = 0;

    for (size_t i = 0; i < JL_COUNT(fds) && r == 0; i++)
        if (fds[i] >= 0)
            r = cg_each_group(fds[i], add_procs, l);
    if (r < 0 || l->n == 0)
        return r;
    qsort(l->pids, l->n, sizeof l->pids[0], by_number);
    for (size_t i = 0; i < l->n; i++)
        if (kept == 0 || l->pids[kept - 1] != l->pids[i])
            l->pids[kept++] = l->pids[i];
    l->n = kept;
    return 0;
}

int os_cgroup_pids(const struct os_cgroup *cg, pid_t **ret_pids, size_t *ret_n, struct jl_err *e)
{
    struct pid_list l = { 0 };
    int r = list_pids(cg, &l);

    if (r < 0) {
        free(l.pids);
        jl_fail(e, -r, "list the processes of cgroup %s", cg->path);
        if (r == -ELOOP)
            jl_hint(e, "groups are nested more than %d deep in it", CG_DEPTH_MAX);
        return jl_phase(e, "cgroup");
    }
    *ret_n = l.n;
    if (ret_pids)
        *ret_pids = l.pids;
    else
        free(l.pids);
    return 0;
}

/* Are we sure of this process? Whoever is in the group after its pidfd was opened is the one that
 * the pidfd means, or that one has ended: a number that was given to a stranger in between is not
 * in the group. */
static bool is_listed(const struct pid_list *l, pid_t pid)
{
    return l->n > 0 && bsearch(&pid, l->pids, l->n, sizeof pid, by_number);
}

/* sig to up to SIGNAL_BATCH processes; adds to *sent those that it reached. */
static int signal_batch(const struct os_cgroup *cg, const pid_t *pids, size_t n, int sig,
                        size_t *sent, struct jl_err *e)
{
    struct pid_list now = { 0 };
    int fds[SIGNAL_BATCH], r;

    for (size_t i = 0; i < n; i++)
        fds[i] = (int) syscall(SYS_pidfd_open, pids[i], 0);
    r = list_pids(cg, &now);
    if (r < 0)
        jl_fail(e, -r, "list the processes of cgroup %s", cg->path);
    for (size_t i = 0; i < n; i++) {
        bool sure = fds[i] >= 0 && is_listed(&now, pids[i]);
        int s = sure ? os_pidfd_signal(fds[i], sig) : -ESRCH;

        *sent += s == 0;
        if (s == 0)
            continue;
        if (s != -ESRCH)
            r = jl_fail(e, -s, "signal %d to process %d of cgroup %s", sig, (int) pids[i],
                        cg->path);
    }
    for (size_t i = 0; i < n; i++)
        jl_close(fds[i]);
    free(now.pids);
    return r;
}

/* *ret_n: who was inside; *ret_sent: whom it reached. */
static int signal_pids(const struct os_cgroup *cg, int sig, pid_t except, size_t *ret_n,
                       size_t *ret_sent, struct jl_err *e)
{
    _free_ pid_t *pids = NULL;
    size_t n = 0, kept = 0;
    int r = os_cgroup_pids(cg, &pids, &n, e), r2;

    *ret_n = n;
    *ret_sent = 0;
    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++)
        if (pids[i] != except)
            pids[kept++] = pids[i];
    for (size_t at = 0; at < kept; at += SIGNAL_BATCH) {
        size_t left = kept - at;

        r2 = signal_batch(cg, pids + at, left < SIGNAL_BATCH ? left : SIGNAL_BATCH, sig, ret_sent,
                          e);
        r = r2 < 0 ? r2 : r;
    }
    return r < 0 ? jl_phase(e, "cgroup") : 0;
}

int os_cgroup_signal_all(struct os_cgroup *cg, int sig, struct jl_err *e)
{
    size_t n, sent;

    return signal_pids(cg, sig, 0, &n, &sent, e);
}

int os_cgroup_signal_but(struct os_cgroup *cg, int sig, pid_t but, size_t *n, struct jl_err *e)
{
    size_t inside;

    return signal_pids(cg, sig, but, &inside, n, e);
}

/* ---- killing ---- */

/*
 * Without cgroup.kill (before Linux 5.14, or v1 alone): frozen, a group can't fork, so one pass
 * meets everybody; and what v1 froze gets its SIGKILL when it is thawed. Without a freezer, passes
 * until nobody is left, which a fork storm could outrun; the last pass says so.
 */
static int kill_each(struct os_cgroup *cg, struct jl_err *e)
{
    bool can_freeze = true;
    size_t n = 0, sent;
    int r = 0;

    for (int round = 0; round < KILL_ROUNDS; round++) {
        struct jl_err ignored = JL_ERR_INIT;
        bool frozen = can_freeze && os_cgroup_freeze(cg, true, &ignored) == 0;

        can_freeze = frozen; /* a process in state D makes each try last 2 s */
        r = signal_pids(cg, SIGKILL, 0, &n, &sent, e);
        if (frozen)
            os_cgroup_freeze(cg, false, &ignored);
        if (r < 0 || n == 0 || frozen)
            return r;
        jl_sleep_ns(JL_NS_PER_MS);
    }
    jl_refuse(e, EAGAIN, "kill cgroup %s: %zu processes are left after %d passes", cg->path, n,
              KILL_ROUNDS);
    return jl_phase(e, "cgroup");
}

int os_cgroup_kill_all(struct os_cgroup *cg, struct jl_err *e)
{
    int r = -ENOENT;
    size_t n = 0, sent;

    if (cg->fd[CG_UNIFIED] >= 0)
        r = jl_write_kernel_file_at(cg->fd[CG_UNIFIED], "cgroup.kill", "1");
    if (r < 0 && r != -ENOENT && r != -EOPNOTSUPP && r != -ENODEV) {
        jl_fail(e, -r, "kill cgroup %s: write to cgroup.kill", cg->path);
        return jl_phase(e, "cgroup");
    }
    if (r < 0)
        return kill_each(cg, e);
    if (some_v1_fd(cg) < 0)
        return 0;
    r = signal_pids(cg, SIGKILL, 0, &n, &sent, e); /* who is inside in v1 only */
    if (cg->fd[OS_CG_FREEZER] >= 0)
        cg_write_freeze(cg, false, false); /* a frozen process does not die of it */
    return r;
}

/* ---- waiting ---- */

/* 1 somebody is inside, 0 nobody, <0 -errno. */
static int occupied(const struct os_cgroup *cg)
{
    struct pid_list l = { 0 };
    uint64_t populated = 0;
    int v1 = some_v1_fd(cg), r;

    if (cg->fd[CG_UNIFIED] >= 0) {
        r = cg_read_key(cg->fd[CG_UNIFIED], "cgroup.events", "populated", &populated);
        if (r == -ENODEV || r == -ENOENT) /* removed: then nobody is inside */
            r = 0;
        if (r < 0 || populated)
            return r < 0 ? r : 1;
    }
    if (v1 < 0)
        return 0;
    r = cg_each_group(v1, add_procs, &l);
    free(l.pids);
    return r < 0 ? r : l.n > 0;
}

int os_cgroup_wait_empty(const struct os_cgroup *cg, uint64_t deadline_ns, struct jl_err *e)
{
    _close_ int events = -1;
    uint64_t pause = JL_NS_PER_MS / 4;
    char seen[256];
    int r;

    if (cg->fd[CG_UNIFIED] >= 0)
        events = openat(cg->fd[CG_UNIFIED], "cgroup.events", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    for (;;) {
        uint64_t now = jl_now_ns(), left = now < deadline_ns ? deadline_ns - now : 0;
        struct pollfd p = { .fd = events, .events = POLLPRI };

        /* what is not read is told again and again */
        if (events >= 0 && pread(events, seen, sizeof seen, 0) < 0)
            events = jl_close(events); /* removed */
        r = occupied(cg);
        if (r != 1)
            break;
        if (left == 0)
            return 1;
        if (pause < 20 * JL_NS_PER_MS)
            pause *= 2;
        if (events < 0)
            jl_sleep_ns(left < pause ? left : pause);
        else /* the event wakes us; the time limit is for who is inside in v1 only */
            poll(&p, 1, (int) ((left < pause ? left : pause) / JL_NS_PER_MS + 1));
    }
    if (r < 0) {
        jl_fail(e, -r, "wait for cgroup %s to become empty", cg->path);
        return jl_phase(e, "cgroup");
    }
    return 0;
}
