/*
 * step_masked.c - paths that the container may not read (masked) or write (read-only). A masked
 * file is covered by the host's /dev/null, never by the image's (CVE-2025-31133); all masked
 * directories share one empty read-only tmpfs.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "os/mountfd.h"
#include "os/openat2.h"
#include "runtime/launch.h"
#include "runtime/step.h"

static int null_clone(struct rt_launch *l, struct jl_err *e)
{
    struct stat st;
    int fd;

    if (l->null_fd < 0 || fstat(l->null_fd, &st) < 0 || !S_ISCHR(st.st_mode) ||
        st.st_rdev != makedev(1, 3))
        return jl_refuse(e, ENODEV, "/dev/null on the host is not the null device");
    fd = os_mount_clone(l->null_fd, "", false, false);
    return fd < 0 ? jl_fail(e, -fd, "clone /dev/null") : fd;
}

static int empty_dir_clone(struct rt_launch *l, struct jl_err *e)
{
    static const char *const options[] = { "nr_blocks=1", "nr_inodes=1", "mode=000" };
    int fd;

    if (l->mask_fd >= 0) {
        fd = os_mount_clone(l->mask_fd, "", false, false);
        return fd < 0 ? jl_fail(e, -fd, "clone the empty directory") : fd;
    }
    fd = os_mount_new("tmpfs", "tmpfs", options, JL_COUNT(options),
                      MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
                      e);
    if (fd >= 0)
        /* cloned from once it is attached: older kernels clone no detached mount */
        l->mask_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return fd;
}

int rt_step_mask(struct rt_launch *l, size_t i, struct jl_err *e)
{
    const char *path = l->spec->oci->linux->masked_paths[i];
    _close_ int target = os_open_in_root(l->rootfs_fd, path, O_PATH);
    _close_ int cover = -1;
    struct stat st;
    int r;

    if (target == -ENOENT || target == -ENOTDIR)
        return 0;
    if (target < 0 || fstat(target, &st) < 0)
        return jl_fail(e, target < 0 ? -target : errno, "linux.maskedPaths[%zu]: open '%s'", i,
                       path);
    cover = S_ISDIR(st.st_mode) ? empty_dir_clone(l, e) : null_clone(l, e);
    if (cover < 0)
        return jl_wrap(e, "linux.maskedPaths[%zu]: '%s'", i, path);
    r = os_mount_attach(cover, target);
    return r < 0 ? jl_fail(e, -r, "linux.maskedPaths[%zu]: cover '%s'", i, path) : 0;
}

int rt_step_readonly(struct rt_launch *l, size_t i, struct jl_err *e)
{
    struct os_mount_change ro = { .set = MOUNT_ATTR_RDONLY };
    const char *path = l->spec->oci->linux->readonly_paths[i];
    _close_ int target = os_open_in_root(l->rootfs_fd, path, O_PATH);
    _close_ int tree = -1;
    int r;

    if (target == -ENOENT || target == -ENOTDIR)
        return 0;
    if (target < 0)
        return jl_fail(e, -target, "linux.readonlyPaths[%zu]: open '%s'", i, path);
    tree = os_mount_clone(target, "", true, false);
    r = tree < 0 ? tree : os_mount_change(tree, true, &ro);
    if (r == 0)
        r = os_mount_attach(tree, target);
    return r < 0 ? jl_fail(e, -r, "linux.readonlyPaths[%zu]: make '%s' read-only", i, path) : 0;
}
