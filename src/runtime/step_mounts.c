/* step_mounts.c - the entries of `mounts`, in their order, onto targets below the rootfs. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "os/mountfd.h"
#include "os/openat2.h"
#include "runtime/copyup.h"
#include "runtime/launch.h"
#include "runtime/step.h"

static bool is_type(const struct rt_mount *m, const char *type)
{
    return m->oci->type && strcmp(m->oci->type, type) == 0;
}

/* The mount point below the rootfs, made when missing: a file when a file is bound. */
static int open_target(struct rt_launch *l, const struct rt_mount *m, bool is_file,
                       struct jl_err *e)
{
    const char *dest = m->oci->destination;
    int fd;

    if (is_type(m, "proc") || is_type(m, "sysfs")) {
        /* A symlink here would put the kernel's files where the image wants them (CVE-2019-19921).
         * One that was just made is looked up again: another container that has the same rootfs
         * may have swapped it. */
        fd = os_open_in_root_nolink(l->rootfs_fd, dest, O_PATH | O_DIRECTORY);
        if (fd == -ENOENT) {
            fd = os_mkdir_in_root(l->rootfs_fd, dest, 0755, e);
            if (fd < 0)
                return fd;
            jl_close(fd);
            fd = os_open_in_root_nolink(l->rootfs_fd, dest, O_PATH | O_DIRECTORY);
        }
        if (fd < 0)
            return jl_refuse(e, -fd, "'%s' must be a directory, and no symlink leading to it",
                             dest);
        return fd;
    }
    return is_file ? os_mkfile_in_root(l->rootfs_fd, dest, 0644, e)
                   : os_mkdir_in_root(l->rootfs_fd, dest, 0755, e);
}

static int attach(int mount_fd, int target, const char *dest, struct jl_err *e)
{
    int r = os_mount_attach(mount_fd, target);

    return r < 0 ? jl_fail(e, -r, "attach to '%s'", dest) : 0;
}

static int mount_bind(struct rt_launch *l, size_t i, struct jl_err *e)
{
    const struct rt_mount *m = &l->spec->mounts[i];
    _close_ int target = -1;
    struct stat st;

    if (fstat(l->bind_fds[i], &st) < 0)
        return jl_fail_sys(e, "fstat", m->oci->source, "look at the source");
    target = open_target(l, m, !S_ISDIR(st.st_mode), e);
    if (target < 0)
        return target;
    return attach(l->bind_fds[i], target, m->oci->destination, e);
}

/* These have nothing of their own on a disk: read-only is a matter of the mount. For the others
 * the file system itself is told, so that it writes nothing either (a journal, say). */
static bool is_virtual(const struct rt_mount *m)
{
    static const char *const types[] = { "proc",   "sysfs",  "tmpfs",   "devpts",
                                         "mqueue", "cgroup", "cgroup2", "ramfs" };

    for (size_t k = 0; k < JL_COUNT(types); k++)
        if (is_type(m, types[k]))
            return true;
    return false;
}

static int make_fs(const struct rt_mount *m, struct jl_err *e)
{
    size_t n = 0;
    const char **options = calloc(m->opt.data.len + 1, sizeof *options);
    int fd;

    if (!options)
        return jl_fail(e, ENOMEM, "mount options");
    for (; n < m->opt.data.len; n++)
        options[n] = m->opt.data.items[n];
    if (m->opt.set & MOUNT_ATTR_RDONLY && !is_virtual(m))
        options[n++] = "ro";
    fd = os_mount_new(m->oci->type, m->oci->source && *m->oci->source ? m->oci->source : NULL,
                      options, n, (unsigned) (m->opt.set | m->opt.tree_set), e);
    free(options);
    return fd;
}

static int mount_fs(struct rt_launch *l, size_t i, struct jl_err *e)
{
    const struct rt_mount *m = &l->spec->mounts[i];
    struct os_mount_change prop = { .propagation = m->opt.propagation };
    _close_ int target = -1;
    _close_ int fd = -1;
    int r;

    target = open_target(l, m, false, e);
    if (target < 0)
        return target;
    fd = make_fs(m, e);
    if (fd < 0)
        return fd;
    if (m->opt.tmpcopyup) {
        r = rt_copyup(target, fd, e);
        if (r < 0)
            return jl_wrap(e, "tmpcopyup");
    }
    r = attach(fd, target, m->oci->destination, e);
    if (r < 0)
        return r;
    if (prop.propagation != 0) {
        r = os_mount_change(fd, m->opt.tree_propagation, &prop);
        if (r < 0)
            return jl_fail(e, -r, "set the propagation of '%s'", m->oci->destination);
    }
    if (is_type(m, "devpts") && strcmp(m->oci->destination, "/dev/pts") == 0) {
        jl_close(l->devpts_fd);
        l->devpts_fd = jl_take_fd(&fd);
    }
    return 0;
}

static int remount(struct rt_launch *l, size_t i, struct jl_err *e)
{
    const struct rt_mount *m = &l->spec->mounts[i];
    struct os_mount_change tree = { .set = m->opt.tree_set, .clear = m->opt.tree_clear };
    struct os_mount_change top = { .set = m->opt.set,
                                   .clear = m->opt.clear,
                                   .propagation = m->opt.propagation };
    _close_ int fd = os_open_in_root(l->rootfs_fd, m->oci->destination, O_PATH);
    int r = 0;

    if (fd < 0)
        return jl_fail(e, -fd, "open '%s'", m->oci->destination);
    if ((tree.set | tree.clear) != 0)
        r = os_mount_change(fd, true, &tree);
    if (r == 0)
        r = os_mount_change(fd, false, &top);
    if (r == -EINVAL) {
        jl_fail(e, -r, "remount '%s'", m->oci->destination);
        return jl_hint(e, "nothing is mounted there");
    }
    return r < 0 ? jl_fail(e, -r, "remount '%s'", m->oci->destination) : 0;
}

int rt_step_mount(struct rt_launch *l, size_t i, struct jl_err *e)
{
    int r = 0;

    switch (l->spec->mounts[i].kind) {
    case RT_MOUNT_BIND:
        r = mount_bind(l, i, e);
        break;
    case RT_MOUNT_FS:
        r = mount_fs(l, i, e);
        break;
    case RT_MOUNT_CGROUP:
        r = rt_mount_cgroup(l, i, e);
        break;
    case RT_MOUNT_REMOUNT:
        r = remount(l, i, e);
        break;
    }
    return r < 0 ? jl_wrap(e, "mounts[%zu]", i) : 0;
}
