/* cgroup.c - an open group: opening, joining, removing; see cgroup.h. */
#include "os/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "os/cgroup_internal.h"

#define REMOVE_STEPS_MAX 100000 /* directories entered or left */

struct os_cgroup *cg_new(const struct os_cgroup_host *host, const char *path, struct jl_err *e)
{
    struct os_cgroup *cg = malloc(sizeof *cg);

    if (!cg) {
        jl_fail(e, ENOMEM, "cgroup %s", path);
        return NULL;
    }
    cg->host = *host;
    for (unsigned h = 0; h < CG_HIERARCHIES; h++)
        cg->fd[h] = -1;
    if (cg_path_check(path, cg->path, e) < 0) {
        free(cg);
        return NULL;
    }
    return cg;
}

void cg_share_joint(struct os_cgroup *cg)
{
    for (unsigned c = 0; c < OS_CG_N; c++)
        if (cg->host.v1[c][0] != '\0')
            cg->fd[c] = cg->fd[cg_v1_owner(&cg->host, (enum os_controller) c)];
}

int os_cgroup_open(const struct os_cgroup_host *host, const char *path, struct os_cgroup **ret,
                   struct jl_err *e)
{
    struct os_cgroup *cg = cg_new(host, path, e);
    bool any = false;

    if (!cg)
        return jl_phase(e, "cgroup");
    for (unsigned h = 0; h < CG_HIERARCHIES; h++) {
        const char *mount = cg_mount(host, h);
        int fd = mount ? cg_open_below(mount, cg->path, strlen(cg->path)) : -ENOENT;

        if (fd < 0 && fd != -ENOENT) {
            jl_fail(e, -fd, "open cgroup %s/%s", mount, cg->path);
            os_cgroup_free(cg);
            return jl_phase(e, "cgroup");
        }
        cg->fd[h] = fd < 0 ? -1 : fd;
        any = any || fd >= 0;
    }
    if (!any) {
        jl_refuse(e, ENOENT, "cgroup %s is in no hierarchy of this host", cg->path);
        os_cgroup_free(cg);
        return jl_phase(e, "cgroup");
    }
    cg_share_joint(cg);
    *ret = cg;
    return 0;
}

/* The controllers whose limits are kept in this hierarchy. */
static unsigned controllers_of(const struct os_cgroup_host *host, unsigned hierarchy)
{
    unsigned bits = 0;

    for (unsigned c = 0; c < OS_CG_N; c++) {
        bool v1 = host->v1[c][0] != '\0';

        if (v1 ? hierarchy == cg_v1_owner(host, (enum os_controller) c)
               : hierarchy == CG_UNIFIED && host->v2_controllers & OS_CG_BIT(c))
            bits |= OS_CG_BIT(c);
    }
    return bits;
}

int os_cgroup_take(struct os_cgroup *cg, struct os_cgroup *sub, unsigned controllers,
                   struct jl_err *e)
{
    for (unsigned h = 0; h < CG_HIERARCHIES; h++) {
        int fd = cg_hierarchy_fd(cg, h);

        if (fd < 0 || (controllers != 0 && !(controllers_of(&cg->host, h) & controllers)))
            continue;
        if (cg_hierarchy_fd(sub, h) < 0) {
            jl_refuse(e, ENOENT, "cgroup %s/%s does not exist", cg_mount(&cg->host, h), sub->path);
            return jl_phase(e, "cgroup");
        }
        cg->fd[h] = sub->fd[h];
        sub->fd[h] = fd;
    }
    cg_share_joint(cg);
    cg_share_joint(sub);
    return 0;
}

void os_cgroup_free(struct os_cgroup *cg)
{
    if (!cg)
        return;
    for (unsigned h = 0; h < CG_HIERARCHIES; h++)
        jl_close(cg_hierarchy_fd(cg, h));
    free(cg);
}

bool os_cgroup_is_in(const struct os_cgroup *cg, enum os_controller c)
{
    return cg->fd[cg->host.v1[c][0] != '\0' ? (unsigned) c : CG_UNIFIED] >= 0;
}

int os_cgroup_unified_fd(const struct os_cgroup *cg)
{
    return cg->fd[CG_UNIFIED];
}

int os_cgroup_open_join_fds(const struct os_cgroup *cg, bool with_unified, int *ret_fds,
                            size_t *ret_n, struct jl_err *e)
{
    size_t n = 0;

    for (unsigned h = 0; h < CG_HIERARCHIES; h++) {
        const char *file = h == CG_UNIFIED ? "cgroup.procs" : "tasks";
        int dir = cg_hierarchy_fd(cg, h), fd;

        if (dir < 0 || (h == CG_UNIFIED && !with_unified))
            continue;
        fd = openat(dir, file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0) {
            jl_fail_sys(e, "openat", file, "join cgroup %s/%s", cg_mount(&cg->host, h), cg->path);
            while (n > 0)
                jl_close(ret_fds[--n]);
            return jl_phase(e, "cgroup");
        }
        ret_fds[n++] = fd;
    }
    *ret_n = n;
    return 0;
}

/* Why the kernel refuses a newcomer. */
static int fail_join(int code, const char *file, struct jl_err *e)
{
    jl_fail(e, code, "join cgroup: write to %s", file);
    if (code == ENOSPC)
        jl_hint(e, "the cpuset of that group has no cpus or no memory nodes");
    else if (code == EBUSY)
        jl_hint(e, "the group hands controllers on (cgroup.subtree_control), so it cannot hold "
                   "processes itself; join a group below it");
    else if (code == EOPNOTSUPP)
        jl_hint(e, "the group is threaded or invalid; look at its cgroup.type");
    return jl_phase(e, "cgroup");
}

int os_cgroup_join_self(const int *fds, size_t n, struct jl_err *e)
{
    for (size_t i = 0; i < n; i++) {
        char link[32], file[256] = "?";
        ssize_t len;

        if (write(fds[i], "0", 1) == 1)
            continue;
        len = errno; /* kept over readlink */
        snprintf(link, sizeof link, "/proc/self/fd/%d", fds[i]);
        if (readlink(link, file, sizeof file - 1) < 0)
            snprintf(file, sizeof file, "hierarchy %zu", i);
        return fail_join((int) len, file, e);
    }
    return 0;
}

int os_cgroup_attach(const struct os_cgroup *cg, pid_t pid, struct jl_err *e)
{
    char text[16];

    snprintf(text, sizeof text, "%d", (int) pid);
    for (unsigned h = 0; h < CG_HIERARCHIES; h++) {
        int dir = cg_hierarchy_fd(cg, h), r;

        if (dir < 0)
            continue;
        r = jl_write_kernel_file_at(dir, "cgroup.procs", text);
        if (r < 0) {
            fail_join(-r, "cgroup.procs", e);
            return jl_wrap(e, "process %d into %s/%s", (int) pid, cg_mount(&cg->host, h), cg->path);
        }
    }
    return 0;
}

/* Removes all groups below fd. 0, -EBUSY when one holds processes, or -errno. A job can nest groups
 * deeper than we have descriptors: so this goes down and up with one, and tries each again on its
 * way up; a group's ".." can't change. */
static int remove_below(int top)
{
    _close_ int fd = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    unsigned depth = 0;

    if (fd < 0)
        return errno == ENOENT || errno == ENODEV ? 0 : -errno;
    for (unsigned step = 0; step < REMOVE_STEPS_MAX; step++) {
        _close_ int down = -1;
        int r = cg_remove_children(fd, &down);

        if (r < 0)
            return r;
        if (down >= 0)
            depth++;
        else if (depth-- == 0)
            return 0;
        else
            down = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (down < 0)
            return -errno;
        jl_close(fd);
        fd = jl_take_fd(&down);
    }
    return -EBUSY; /* somebody makes them faster than we remove them */
}

/* One hierarchy. 0 when the group is gone, -EBUSY, or -errno. */
static int remove_in(const char *mount, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    _close_ int parent = cg_open_below(mount, path, slash ? (size_t) (slash - path) : 0);
    _close_ int fd = -1;
    int r;

    if (parent < 0)
        return parent == -ENOENT ? 0 : parent;
    if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    if (errno != EBUSY)
        return -errno;
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    r = remove_below(fd);
    if (r < 0)
        return r;
    return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -errno;
}

static int fail_remove(const char *mount, const char *path, int code, struct jl_err *e)
{
    _close_ int fd = cg_open_below(mount, path, strlen(path));
    char who[96] = "";

    if (fd >= 0)
        cg_some_process(fd, true, who, sizeof who);
    if (who[0] == '\0')
        jl_fail(e, code, "remove cgroup %s/%s", mount, path);
    else
        jl_refuse(e, code, "remove cgroup %s/%s: process %s is still inside", mount, path, who);
    return jl_phase(e, "cgroup");
}

int os_cgroup_remove(const struct os_cgroup_host *host, const char *path, unsigned wait_ms,
                     struct jl_err *e)
{
    uint64_t deadline = jl_now_ns() + wait_ms * JL_NS_PER_MS, pause = JL_NS_PER_MS / 5;
    char norm[CG_PATH_MAX];
    int failed = 0;

    if (cg_path_check(path, norm, e) < 0)
        return jl_phase(e, "cgroup");
    /* The unified tree first: what a hierarchy still holds is said, but the others are removed. */
    for (unsigned i = 0; i < CG_HIERARCHIES; i++) {
        const char *mount = cg_mount(host, CG_HIERARCHIES - 1 - i);
        int r;

        if (!mount)
            continue;
        while ((r = remove_in(mount, norm)) == -EBUSY && jl_now_ns() < deadline) {
            jl_sleep_ns(pause);
            if (pause < 10 * JL_NS_PER_MS)
                pause *= 2;
        }
        if (r < 0 && failed == 0)
            failed = fail_remove(mount, norm, -r, e);
    }
    return failed;
}
