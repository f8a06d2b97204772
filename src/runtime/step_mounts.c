/* step_mounts.c - the entries of `mounts`, in their order, onto targets below the rootfs. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "os/mountfd.h"
#include "os/openat2.h"
#include "runtime/launch.h"
#include "runtime/step.h"

/* A symlink there is the mount point itself. */
static int open_target_itself(struct rt_launch *l, const char *dest, bool is_file, struct jl_err *e)
{
    const char *name;
    _close_ int parent = os_parent_in_root(l->rootfs_fd, dest, &name, e);
    _close_ int made = -1;
    int fd;

    if (parent < 0)
        return parent;
    fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        if (!is_file && mkdirat(parent, name, 0755) < 0 && errno != EEXIST)
            return jl_fail_sys(e, "mkdirat", dest, "make the mount point");
        if (is_file)
            made = openat(parent, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0644);
        fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    }
    return fd < 0 ? jl_fail_sys(e, "openat", dest, "open the mount point") : fd;
}

/* A symlink here would put the kernel's files where the image wants them (CVE-2019-19921). One that
 * was just made is looked up again: another container that has the same rootfs may have swapped
 * it. */
static int open_real_directory(struct rt_launch *l, const char *dest, struct jl_err *e)
{
    int fd = os_open_in_root_nolink(l->rootfs_fd, dest, O_PATH | O_DIRECTORY);

    if (fd == -ENOENT) {
        fd = os_mkdir_in_root(l->rootfs_fd, dest, 0755, e);
        if (fd < 0)
            return fd;
        jl_close(fd);
        fd = os_open_in_root_nolink(l->rootfs_fd, dest, O_PATH | O_DIRECTORY);
    }
    if (fd == -ELOOP || fd == -ENOTDIR)
        return jl_refuse(e, -fd, "'%s' must be a directory, and no symlink leading to it", dest);
    return fd < 0 ? jl_fail(e, -fd, "openat2: open directory '%s' below the root", dest) : fd;
}

int rt_mount_target(struct rt_launch *l, const struct rt_mount *m, bool is_file, struct jl_err *e)
{
    const char *dest = m->oci->destination;

    if (rt_mount_is(m, "proc") || rt_mount_is(m, "sysfs"))
        return open_real_directory(l, dest, e);
    if (m->opt.dest_nofollow)
        return open_target_itself(l, dest, is_file, e);
    return is_file ? os_mkfile_in_root(l->rootfs_fd, dest, 0644, e)
                   : os_mkdir_in_root(l->rootfs_fd, dest, 0755, e);
}

int rt_mount_attach(int mount_fd, int target, const char *dest, struct jl_err *e)
{
    int r = os_mount_attach(mount_fd, target);

    return r < 0 ? jl_fail(e, -r, "attach to '%s'", dest) : 0;
}

/* The source is a symlink, and so shall the destination be. */
static int copy_symlink(struct rt_launch *l, const struct rt_mount *m, int source, struct jl_err *e)
{
    char want[PATH_MAX], have[PATH_MAX];
    const char *name, *dest = m->oci->destination;
    _close_ int parent = os_parent_in_root(l->rootfs_fd, dest, &name, e);
    ssize_t n = readlinkat(source, "", want, sizeof want - 1), len;

    if (parent < 0)
        return parent;
    if (n < 0)
        return jl_fail_sys(e, "readlinkat", m->oci->source, "read the symlink");
    want[n] = '\0';
    if (symlinkat(want, parent, name) == 0)
        return 0;
    if (errno != EEXIST)
        return jl_fail_sys(e, "symlinkat", dest, "copy the symlink");
    len = readlinkat(parent, name, have, sizeof have - 1);
    if (len == n && memcmp(want, have, (size_t) n) == 0)
        return 0;
    return jl_refuse(e, EEXIST, "copy the symlink: '%s' is there already and is something else",
                     dest);
}

static int mount_bind(struct rt_launch *l, size_t i, struct jl_err *e)
{
    const struct rt_mount *m = &l->spec->mounts[i];
    _close_ int target = -1;
    struct stat st;

    if (fstat(l->bind_fds[i], &st) < 0)
        return jl_fail_sys(e, "fstat", m->oci->source, "look at the source");
    if (m->opt.copy_symlink && S_ISLNK(st.st_mode))
        return copy_symlink(l, m, l->bind_fds[i], e);
    target = rt_mount_target(l, m, !S_ISDIR(st.st_mode), e);
    if (target < 0)
        return target;
    return rt_mount_attach(l->bind_fds[i], target, m->oci->destination, e);
}

int rt_step_mount(struct rt_launch *l, size_t i, struct jl_err *e)
{
    int r = 0;

    switch (l->spec->mounts[i].kind) {
    case RT_MOUNT_BIND:
        r = mount_bind(l, i, e);
        break;
    case RT_MOUNT_FS:
        r = rt_mount_fs(l, i, e);
        break;
    case RT_MOUNT_CGROUP:
        r = rt_mount_cgroup(l, i, e);
        break;
    case RT_MOUNT_REMOUNT:
        r = rt_mount_again(l, i, e);
        break;
    }
    return r < 0 ? jl_wrap(e, "mounts[%zu]", i) : 0;
}
