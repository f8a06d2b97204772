/*
 * cgroup_events.c - being told that the OOM killer struck: by the unified tree's memory.events,
 * which can be polled, or by v1's eventfd on memory.oom_control.
 * Sources: cgroup-v2.rst (memory.events), cgroup-v1/memory.rst (9, 10), kernfs: POLLPRI on change.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "os/cgroup_internal.h"
#include "os/cgroup_usage.h"

static int watch_v1(const struct os_cgroup *cg, int *ret_fd, struct jl_err *e)
{
    int dir = cg->fd[OS_CG_MEMORY];
    _close_ int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    _close_ int control = openat(dir, "memory.oom_control", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char line[32];
    int r;

    if (fd < 0)
        return jl_fail_sys(e, "eventfd", NULL, "watch for out of memory");
    if (control < 0)
        return jl_fail_sys(e, "openat", "memory.oom_control", "watch for out of memory");
    snprintf(line, sizeof line, "%d %d", fd, control);
    r = jl_write_kernel_file_at(dir, "cgroup.event_control", line);
    if (r < 0)
        return jl_fail(e, -r, "watch for out of memory in cgroup %s", cg->path);
    *ret_fd = jl_take_fd(&fd);
    return POLLIN;
}

int os_cgroup_oom_watch(const struct os_cgroup *cg, int *ret_fd, struct jl_err *e)
{
    int fd;

    if (cg->host.v1[OS_CG_MEMORY][0] != '\0' && cg->fd[OS_CG_MEMORY] >= 0)
        return watch_v1(cg, ret_fd, e);
    fd = cg->fd[CG_UNIFIED] < 0
             ? -1
             : openat(cg->fd[CG_UNIFIED], "memory.events", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        jl_refuse(e, ENOTSUP, "cgroup %s: no memory controller tells of out of memory", cg->path);
        return -ENOTSUP;
    }
    *ret_fd = fd;
    return POLLPRI;
}

void os_cgroup_oom_seen(int fd)
{
    char text[512];

    /* the eventfd's count, or the file as it is now: both are quiet again then */
    if (lseek(fd, 0, SEEK_SET) < 0 && errno != ESPIPE)
        return;
    while (read(fd, text, sizeof text) == (ssize_t) sizeof text)
        continue;
}
