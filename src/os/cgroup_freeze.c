/* cgroup_freeze.c - the freezer: of the unified tree, or v1's. See cgroup.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "os/cgroup_internal.h"

#define FREEZE_WAIT (2 * JL_NS_PER_S) /* contract of os_cgroup_freeze */

/* 1 frozen, 0 not, <0 -errno; as far as v1's freezer is concerned. */
static int v1_frozen(const struct os_cgroup *cg, bool *ret_settled)
{
    char state[32];
    ssize_t n = cg_read(cg->fd[OS_CG_FREEZER], "freezer.state", state, sizeof state);

    if (n < 0)
        return (int) n;
    *ret_settled = strcmp(state, "FREEZING") != 0;
    return strcmp(state, "THAWED") != 0;
}

static int v2_frozen(const struct os_cgroup *cg)
{
    uint64_t v;
    int r = cg_read_key(cg->fd[CG_UNIFIED], "cgroup.events", "frozen", &v);

    return r < 0 ? r : v != 0;
}

int os_cgroup_is_frozen(const struct os_cgroup *cg)
{
    bool settled = true;
    int v1 = cg->fd[OS_CG_FREEZER] >= 0 ? v1_frozen(cg, &settled) : 0;
    int v2 = cg->fd[CG_UNIFIED] >= 0 ? v2_frozen(cg) : 0;

    if (v2 == -ENODATA) /* before Linux 5.2 */
        v2 = 0;
    if (v1 > 0 || v2 > 0)
        return 1;
    return v1 < 0 ? v1 : v2;
}

/* v1 has to be asked again and again. */
static int wait_v1_frozen(const struct os_cgroup *cg, bool frozen, uint64_t deadline)
{
    bool done = false;
    int is;

    while ((is = v1_frozen(cg, &done)) >= 0 && (is != frozen || !done)) {
        if (jl_now_ns() >= deadline)
            return -ETIMEDOUT;
        jl_sleep_ns(JL_NS_PER_MS);
    }
    return is < 0 ? is : 0;
}

/* The unified tree tells of a change since the last read by POLLPRI on cgroup.events; but no sooner
 * than 10 ms after it told of another, so the first looks don't wait for it as long. */
static int wait_v2_frozen(const struct os_cgroup *cg, bool frozen, uint64_t deadline)
{
    _close_ int fd = openat(cg->fd[CG_UNIFIED], "cgroup.events", O_RDONLY | O_CLOEXEC);
    struct pollfd p = { .fd = fd, .events = POLLPRI };

    if (fd < 0)
        return -errno;
    for (int pause_ms = 1;; pause_ms = pause_ms < 64 ? 2 * pause_ms : 64) {
        char text[256];
        uint64_t is;
        ssize_t n = pread(fd, text, sizeof text - 1, 0);
        int r;

        if (n < 0)
            return -errno;
        text[n] = '\0';
        r = cg_text_key(text, "frozen", &is);
        if (r < 0 || (is != 0) == frozen)
            return r;
        if (jl_now_ns() >= deadline)
            return -ETIMEDOUT;
        if (poll(&p, 1, pause_ms) < 0 && errno != EINTR)
            return -errno;
    }
}

static int wait_frozen(const struct os_cgroup *cg, bool v2, bool frozen)
{
    uint64_t deadline = jl_now_ns() + FREEZE_WAIT;

    return v2 ? wait_v2_frozen(cg, frozen, deadline) : wait_v1_frozen(cg, frozen, deadline);
}

/* Since Linux 5.2. 1, 0, or -errno: what can't be looked at is not taken for missing, or a group
 * that was frozen one way would be thawed the other. */
static int has_v2_freezer(const struct os_cgroup *cg)
{
    struct stat st;

    if (cg->fd[CG_UNIFIED] < 0)
        return 0;
    if (fstatat(cg->fd[CG_UNIFIED], "cgroup.freeze", &st, AT_SYMLINK_NOFOLLOW) == 0)
        return 1;
    return errno == ENOENT ? 0 : -errno;
}

int cg_write_freeze(const struct os_cgroup *cg, bool v2, bool frozen)
{
    if (v2)
        return jl_write_kernel_file_at(cg->fd[CG_UNIFIED], "cgroup.freeze", frozen ? "1" : "0");
    return jl_write_kernel_file_at(cg->fd[OS_CG_FREEZER], "freezer.state",
                                   frozen ? "FROZEN" : "THAWED");
}

int os_cgroup_freeze(struct os_cgroup *cg, bool frozen, struct jl_err *e)
{
    int v2 = has_v2_freezer(cg), r;

    if (v2 == 0 && cg->fd[OS_CG_FREEZER] < 0) {
        jl_refuse(e, ENOTSUP,
                  "cgroup %s: this host can't freeze: no cgroup.freeze (Linux 5.2) and "
                  "no v1 freezer hierarchy",
                  cg->path);
        return jl_phase(e, "cgroup");
    }
    r = v2 < 0 ? v2 : cg_write_freeze(cg, v2, frozen);
    if (r == 0 && !frozen && v2 && cg->fd[OS_CG_FREEZER] >= 0)
        cg_write_freeze(cg, false, false); /* another tool may have frozen it that way */
    if (r == 0)
        r = wait_frozen(cg, v2, frozen);
    if (r == 0)
        return 0;
    if (frozen && v2 >= 0)
        cg_write_freeze(cg, v2, false); /* as it was */
    jl_fail(e, -r, "%s cgroup %s", frozen ? "freeze" : "thaw", cg->path);
    if (r == -ETIMEDOUT)
        jl_hint(e, "%s",
                frozen ? "a process in it sleeps uninterruptibly (state D); it was thawed "
                         "again"
                       : "a group above it is frozen");
    return jl_phase(e, "cgroup");
}
