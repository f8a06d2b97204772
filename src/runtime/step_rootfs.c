/* step_rootfs.c - the child's root: the parent's clone of the rootfs becomes /. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "os/mountfd.h"
#include "os/openat2.h"
#include "os/rlimit.h"
#include "runtime/launch.h"
#include "runtime/step.h"

/*
 * Where the rootfs is put: on top of the host's root, which needs no path of the host. Lookups from
 * our own root still start below it, so the host's files stay reachable until pivot_root.
 * createContainer hooks, though, mount what they bring at <root.path>/..., so for them it is there.
 */
int rt_place_open(struct rt_launch *l, struct jl_err *e)
{
    const struct oci_hooks *h = l->spec->oci->hooks;
    const char *path = h && h->n_create_container > 0 ? l->spec->rootfs : "/";

    l->place_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (l->place_fd >= 0)
        return 0;
    jl_fail_sys(e, "open", path, "root.path: open it for the createContainer hooks");
    if (e->code == EACCES)
        jl_hint(e, "the container's root must be allowed to walk there");
    return -e->code;
}

int rt_step_rootfs_attach(struct rt_launch *l, size_t i, struct jl_err *e)
{
    struct os_mount_change slave = { .propagation = MS_SLAVE };
    _close_ int host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int r;

    (void) i;
    umask(022);
    if (!rt_spec_has_ns(l->spec, OS_NS_MOUNT))
        return 0; /* nothing is mounted */
    if (host < 0)
        return jl_fail_sys(e, "open", "/", "open the host's root");
    /* Nothing that we mount may show up outside. */
    r = os_mount_change(host, true, &slave);
    if (r < 0)
        return jl_fail(e, -r, "keep our mounts from the host");
    if (l->place_fd < 0 && rt_place_open(l, e) < 0)
        return -e->code;
    r = os_mount_attach(l->rootfs_fd, l->place_fd);
    l->place_fd = jl_close(l->place_fd);
    if (r < 0)
        return jl_fail(e, -r, "root.path: attach '%s'", l->spec->rootfs);
    l->null_fd = open("/dev/null", O_PATH | O_CLOEXEC);
    return 0;
}

int rt_step_rootfs_seal(struct rt_launch *l, size_t i, struct jl_err *e)
{
    struct os_mount_change ro = { .set = MOUNT_ATTR_RDONLY };
    struct os_mount_change prop = { .propagation = l->spec->propagation };
    _close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int r = 0;

    (void) i;
    if (root < 0)
        return jl_fail_sys(e, "open", "/", "open the container's root");
    if (l->spec->oci->root->readonly)
        r = os_mount_change(root, false, &ro);
    if (r < 0)
        return jl_fail(e, -r, "root.readonly: make the rootfs read-only");
    if (prop.propagation != 0)
        r = os_mount_change(root, l->spec->propagation_tree, &prop);
    return r < 0 ? jl_fail(e, -r, "linux.rootfsPropagation: set it to '%s'",
                           l->spec->oci->linux->rootfs_propagation)
                 : 0;
}

/* The directory that the process starts in is made when the image has none. */
int rt_step_cwd(struct rt_launch *l, size_t i, struct jl_err *e)
{
    int fd = os_mkdir_in_root(l->rootfs_fd, l->spec->oci->process->cwd, 0755, e);

    (void) i;
    if (fd < 0)
        return jl_wrap(e, "process.cwd");
    jl_close(fd);
    return 0;
}

int rt_step_pivot(struct rt_launch *l, size_t i, struct jl_err *e)
{
    int keep[] = { l->sync, l->start_fd, l->console_fd, l->devpts_fd, l->proc_fd };
    int r;

    (void) i;
    if (l->opts.no_pivot || !rt_spec_has_ns(l->spec, OS_NS_MOUNT)) {
        /* Without a mount namespace there is nothing else. A root on a ramdisk cannot be pivoted away from: the rootfs, already attached over it,
         * is entered by chroot, as switch_root(8) does. */
        if (fchdir(l->rootfs_fd) < 0 || chroot(".") < 0 || chdir("/") < 0)
            return jl_fail_sys(e, "chroot", NULL, "enter the rootfs");
    } else {
        r = os_pivot_root(l->rootfs_fd, e);
        if (r < 0) {
            if (r == -EINVAL)
                jl_hint(e, "a root on a ramdisk cannot be pivoted away from: use --no-pivot");
            return r;
        }
    }
    /* A directory of the host that stays open here is a way out (CVE-2024-21626). */
    rt_close_all_but(l->preserve_fds, keep, JL_COUNT(keep));
    l->rootfs_fd = l->null_fd = l->mask_fd = -1;
    for (size_t k = 0; k < l->spec->n_mounts; k++)
        l->bind_fds[k] = -1;
    if (l->nofile != 0) /* process.rlimits, if it sets this one, comes later */
        os_nofile_set(l->nofile);
    return 0;
}
