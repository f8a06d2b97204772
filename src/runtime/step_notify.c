/* step_notify.c - the directory of the notify socket, in the container read-only. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "os/mountfd.h"
#include "os/openat2.h"
#include "runtime/launch.h"
#include "runtime/notify.h"
#include "runtime/step.h"

int rt_step_notify_dir(struct rt_launch *l, size_t i, struct jl_err *e)
{
    struct os_mount_change change = { .set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
                                             MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
                                      .propagation = MS_PRIVATE };
    int r;

    (void) i;
    if (!rt_spec_has_ns(l->spec, OS_NS_MOUNT))
        return jl_refuse(e, EINVAL, "NOTIFY_SOCKET: needs a mount namespace in linux.namespaces");
    if (mkdirat(l->state->dirfd, "notify", 0755) < 0)
        return jl_fail_sys(e, "mkdirat", "notify", "make the directory of the notify socket");
    fchmodat(l->state->dirfd, "notify", 0755, 0); /* whatever our umask is */
    l->notify_dir = os_mount_clone(l->state->dirfd, "notify", false, false);
    r = l->notify_dir < 0 ? l->notify_dir : os_mount_change(l->notify_dir, false, &change);
    if (r == -EPERM) {
        jl_fail(e, EPERM, "NOTIFY_SOCKET: give the container a socket of its own");
        return jl_hint(e, "this needs the right to mount; leave NOTIFY_SOCKET out of the "
                          "environment");
    }
    if (r == 0 && !l->opts.wait_for_start)
        return rt_notify_open(&l->notify, l->state, e);
    return r < 0 ? jl_fail(e, -r, "NOTIFY_SOCKET: give the container a socket of its own") : 0;
}

int rt_step_notify_mount(struct rt_launch *l, size_t i, struct jl_err *e)
{
    _close_ int target = os_mkdir_in_root(l->rootfs_fd, RT_NOTIFY_DIR, 0755, e);
    int r = target < 0 ? target : os_mount_attach(l->notify_dir, target);

    (void) i;
    if (target < 0)
        return jl_wrap(e, "NOTIFY_SOCKET");
    l->notify_dir = jl_close(l->notify_dir);
    return r < 0 ? jl_fail(e, -r, "NOTIFY_SOCKET: attach to '%s'", RT_NOTIFY_DIR) : 0;
}
