/*
 * step_devices.c - device nodes. In a user namespace the kernel lets nobody make them: there the
 * host's own node is bound instead, after a look that it is the one asked for.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "os/mountfd.h"
#include "os/openat2.h"
#include "runtime/launch.h"
#include "runtime/step.h"

struct node {
    const char *path; /* on the host, for binding */
    mode_t mode;      /* with the kind */
    dev_t rdev;
    uid_t uid;
    gid_t gid;
};

/* What the image has there is never opened: a FIFO would block us, a device take it for use. */
static int open_mount_point(int dir, const char *name, struct jl_err *e)
{
    struct stat st;
    _close_ int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0 && errno == EEXIST)
        fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return jl_fail_sys(e, "openat", name, "make the mount point of a device");
    if (S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode))
        return jl_refuse(e, EEXIST, "'%s' of the rootfs is a %s: no device can be put there", name,
                         S_ISDIR(st.st_mode) ? "directory" : "symlink");
    return jl_take_fd(&fd);
}

/* Binds the host's node over an empty file of that name. */
static int bind_node(int dir, const char *name, const struct node *n, struct jl_err *e)
{
    _close_ int file = -1;
    _close_ int host = -1;
    _close_ int clone = -1;
    struct stat st;
    int r;

    host = open(n->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (host < 0)
        return jl_fail_sys(e, "open", n->path, "bind the host's device");
    if (fstat(host, &st) < 0 || (st.st_mode & S_IFMT) != (n->mode & S_IFMT) ||
        st.st_rdev != n->rdev)
        return jl_refuse(e, ENODEV, "'%s' on the host is not the device %u:%u", n->path,
                         major(n->rdev), minor(n->rdev));
    clone = os_mount_clone(host, "", false, false);
    if (clone < 0)
        return jl_fail(e, -clone, "bind the host's device '%s'", n->path);
    file = open_mount_point(dir, name, e);
    if (file < 0)
        return file;
    r = os_mount_attach(clone, file);
    return r < 0 ? jl_fail(e, -r, "attach the device '%s'", n->path) : 0;
}

static int existing_node(int dir, const char *name, const struct node *n, struct jl_err *e)
{
    struct stat st;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return jl_fail_sys(e, "fstatat", name, "look at the device");
    if ((st.st_mode & S_IFMT) == (n->mode & S_IFMT) && st.st_rdev == n->rdev)
        return 0;
    return jl_refuse(e, EEXIST, "'%s' is there already and is something else", n->path);
}

static int make_node(struct rt_launch *l, int dir, const char *name, const struct node *n,
                     struct jl_err *e)
{
    bool in_userns = rt_spec_has_ns(l->spec, OS_NS_USER);

    if (!in_userns || S_ISFIFO(n->mode)) {
        mode_t old = umask(0);
        int r = mknodat(dir, name, n->mode, n->rdev);

        umask(old);
        if (r == 0) {
            if ((n->uid != 0 || n->gid != 0) &&
                fchownat(dir, name, n->uid, n->gid, AT_SYMLINK_NOFOLLOW) < 0)
                return jl_fail_sys(e, "fchownat", n->path, "give the device its owner");
            return 0;
        }
        if (errno == EEXIST)
            return existing_node(dir, name, n, e);
        if (errno != EPERM || !rt_spec_has_ns(l->spec, OS_NS_MOUNT))
            return jl_fail_sys(e, "mknodat", n->path, "make the device");
    }
    return bind_node(dir, name, n, e);
}

/* /dev itself: a directory, and no symlink of the image's leading elsewhere. */
static int open_dev(struct rt_launch *l, struct jl_err *e)
{
    int fd = os_open_in_root_nolink(l->rootfs_fd, "/dev", O_PATH | O_DIRECTORY);

    if (fd == -ENOENT)
        return os_mkdir_in_root(l->rootfs_fd, "/dev", 0755, e);
    return fd < 0 ? jl_fail(e, -fd, "open /dev of the rootfs") : fd;
}

int rt_step_devices(struct rt_launch *l, size_t i, struct jl_err *e)
{
    static const struct {
        const char *name, *path;
        unsigned minor, major;
    } table[] = {
        { "null", "/dev/null", 3, 1 },       { "zero", "/dev/zero", 5, 1 },
        { "full", "/dev/full", 7, 1 },       { "random", "/dev/random", 8, 1 },
        { "urandom", "/dev/urandom", 9, 1 }, { "tty", "/dev/tty", 0, 5 },
    };
    _close_ int dev = open_dev(l, e);

    (void) i;
    if (dev < 0)
        return dev;
    for (size_t k = 0; k < JL_COUNT(table); k++) {
        struct node n = { .path = table[k].path,
                          .mode = S_IFCHR | 0666,
                          .rdev = makedev(table[k].major, table[k].minor) };
        int r = make_node(l, dev, table[k].name, &n, e);

        if (r < 0)
            return r;
    }
    return 0;
}

int rt_step_device(struct rt_launch *l, size_t i, struct jl_err *e)
{
    const struct oci_device *d = l->spec->oci->linux->devices[i];
    mode_t kind = *d->type == 'b' ? S_IFBLK : *d->type == 'p' ? S_IFIFO : S_IFCHR;
    struct node n = { .path = d->path,
                      .mode = kind | (d->has_file_mode ? d->file_mode & 07777 : 0666),
                      .rdev =
                          *d->type == 'p' ? 0 : makedev((unsigned) d->major, (unsigned) d->minor),
                      .uid = d->has_uid ? d->uid : 0,
                      .gid = d->has_gid ? d->gid : 0 };
    _close_ int dir = -1;
    const char *name;
    int r;

    dir = os_parent_in_root(l->rootfs_fd, d->path, &name, e);
    if (dir < 0)
        return jl_wrap(e, "linux.devices[%zu]", i);
    r = make_node(l, dir, name, &n, e);
    return r < 0 ? jl_wrap(e, "linux.devices[%zu]", i) : 0;
}

int rt_step_dev_links(struct rt_launch *l, size_t i, struct jl_err *e)
{
    static const struct {
        const char *name, *target;
    } table[] = {
        { "fd", "/proc/self/fd" },       { "stdin", "/proc/self/fd/0" },
        { "stdout", "/proc/self/fd/1" }, { "stderr", "/proc/self/fd/2" },
        { "ptmx", "pts/ptmx" },
    };
    _close_ int dev = open_dev(l, e);

    (void) i;
    if (dev < 0)
        return dev;
    for (size_t k = 0; k < JL_COUNT(table); k++) {
        if (symlinkat(table[k].target, dev, table[k].name) == 0 || errno == EEXIST)
            continue;
        return jl_fail_sys(e, "symlinkat", table[k].name, "make the links in /dev");
    }
    if (access("/proc/kcore", F_OK) == 0 && symlinkat("/proc/kcore", dev, "core") < 0 &&
        errno != EEXIST)
        return jl_fail_sys(e, "symlinkat", "core", "make the links in /dev");
    return 0;
}
