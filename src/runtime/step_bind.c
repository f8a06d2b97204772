/*
 * step_bind.c - what is mounted from the host is opened by the parent, as detached clones of the
 * mount trees: the child never looks up a path of the host, and in a user namespace it may not
 * even be allowed to. Only where the parent is an ordinary user's, who may clone no mount, the
 * child does it, before it leaves the host's file tree.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "os/mountfd.h"
#include "os/ns.h"
#include "runtime/launch.h"
#include "runtime/step.h"

/*
 * A clone of a shared mount is a peer of it: what the container mounts there would appear on the
 * host. So unless asked otherwise it only follows the host (slave), as runc has it.
 */
static int tame_propagation(int fd, uint64_t wanted, bool tree)
{
    struct os_mount_change slave = { .propagation = MS_SLAVE };
    struct os_mount_change change = { .propagation = wanted };
    int r = 0;

    /* What was asked to be shared must stay a peer of the host's mount. */
    if (wanted == 0 || (wanted != MS_SHARED && !tree))
        r = os_mount_change(fd, true, &slave);
    if (r == 0 && wanted != 0)
        r = os_mount_change(fd, tree, &change);
    return r;
}

int rt_step_rootfs_open(struct rt_launch *l, size_t i, struct jl_err *e)
{
    int r;

    (void) i;
    if (!rt_spec_has_ns(l->spec, OS_NS_MOUNT)) { /* for chroot */
        l->rootfs_fd = open(l->spec->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
        return l->rootfs_fd < 0 ? jl_fail_sys(e, "open", l->spec->rootfs, "root.path") : 0;
    }
    l->rootfs_fd = os_mount_clone(AT_FDCWD, l->spec->rootfs, true, false);
    if (l->rootfs_fd < 0)
        return jl_fail(e, -l->rootfs_fd, "root.path: clone the mount tree at '%s'",
                       l->spec->rootfs);
    /* Only a clone that never was private can follow what the host mounts below root.path. */
    r = tame_propagation(l->rootfs_fd, l->spec->propagation == MS_SLAVE ? MS_SLAVE : MS_PRIVATE,
                         true);
    return r < 0 ? jl_fail(e, -r, "root.path: cut '%s' off from the host's mounts", l->spec->rootfs)
                 : 0;
}

/* The attributes of a bind mount, given while it is still detached. */
static int set_attributes(int fd, const struct rt_mount *m)
{
    struct os_mount_change tree = { .set = m->opt.tree_set, .clear = m->opt.tree_clear };
    struct os_mount_change top = { .set = m->opt.set, .clear = m->opt.clear };
    int r = tame_propagation(fd, m->opt.propagation, m->opt.tree_propagation);

    if (r == 0 && (tree.set | tree.clear) != 0)
        r = os_mount_change(fd, true, &tree);
    if (r == 0 && (top.set | top.clear) != 0)
        r = os_mount_change(fd, false, &top);
    return r;
}

static int apply_idmap(int fd, int userns_fd, bool tree)
{
    struct os_mount_change change = { .set = MOUNT_ATTR_IDMAP, .userns_fd = userns_fd };

    return os_mount_change(fd, tree, &change);
}

static int fail_idmap(struct jl_err *e, int r, const char *where)
{
    jl_fail(e, -r, "%s: map the ids of the mount", where);
    if (r == -EINVAL)
        jl_hint(e, "the file system of the source may not support idmapped mounts");
    if (r == -EPERM)
        jl_hint(e, "idmapped mounts need CAP_SYS_ADMIN on the host, and a source that is not "
                   "idmapped yet");
    return -e->code;
}

/* A clone of the source's tree. With copy-symlink a source that is a symlink is only opened: the
 * child reads it. */
static int open_source(struct rt_launch *l, const struct rt_mount *m, struct jl_err *e)
{
    const char *source = m->oci->source;
    _close_ int bundle = -1;
    int dirfd = AT_FDCWD, fd;

    if (*source != '/') { /* relative to the bundle */
        bundle = open(l->spec->bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (bundle < 0)
            return jl_fail_sys(e, "open", l->spec->bundle, "open the bundle");
        dirfd = bundle;
    }
    if (m->opt.copy_symlink) {
        struct stat st;

        fd = openat(dirfd, source, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0 && fstat(fd, &st) == 0 && S_ISLNK(st.st_mode))
            return fd;
        jl_close(fd);
    }
    fd = os_mount_clone(dirfd, source, m->opt.recursive, m->opt.src_nofollow);
    if (fd < 0) {
        jl_fail(e, -fd, "source: bind '%s'", source);
        return fd == -EMFILE
                   ? jl_hint(e, "each bind mount takes a descriptor until it is attached: "
                                "raise the hard limit of open files")
                   : fd;
    }
    return fd;
}

static bool is_symlink(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISLNK(st.st_mode);
}

/* A user namespace with the mount's own maps. It costs a process, so mounts with the same maps have
 * one together. The fd is l's; -errno with e filled. */
static int own_map_ns(struct rt_launch *l, const struct rt_mount *m, struct jl_err *e)
{
    const struct rt_mount *of = l->map_ns_of;

    if (of && os_idmap_equal(of->uids, of->n_uids, m->uids, m->n_uids) &&
        os_idmap_equal(of->gids, of->n_gids, m->gids, m->n_gids))
        return l->map_ns;
    l->map_ns_of = NULL;
    jl_close(l->map_ns);
    l->map_ns = os_userns_new(m->uids, m->n_uids, m->gids, m->n_gids, e);
    if (l->map_ns >= 0)
        l->map_ns_of = m;
    return l->map_ns;
}

/* The map of its own, or of a user namespace that is joined; that of a new one comes later. */
static int map_ids(struct rt_launch *l, const struct rt_mount *m, int fd, const char *where,
                   struct jl_err *e)
{
    int userns = l->ns_fds[OS_NS_USER], r;

    if (m->n_uids > 0) {
        userns = own_map_ns(l, m, e);
        if (userns < 0)
            return jl_wrap(e, "%s.uidMappings", where);
    } else if (userns < 0) {
        return 0;
    }
    r = apply_idmap(fd, userns, m->opt.idmap == RT_IDMAP_TREE);
    return r < 0 ? fail_idmap(e, r, where) : 0;
}

int rt_step_bind_open(struct rt_launch *l, size_t i, struct jl_err *e)
{
    const struct rt_mount *m = &l->spec->mounts[i];
    char where[48];
    int fd, r;

    snprintf(where, sizeof where, "mounts[%zu]", i);
    fd = m->kind == RT_MOUNT_BIND ? open_source(l, m, e) : rt_fs_make(m, -1, e);
    if (fd < 0)
        return jl_wrap(e, "%s", where);
    l->bind_fds[i] = fd;
    if (m->opt.copy_symlink && is_symlink(fd))
        return 0;
    if (m->kind == RT_MOUNT_BIND) {
        r = set_attributes(fd, m);
        if (r < 0)
            return jl_fail(e, -r, "%s.options: set on '%s'", where, m->oci->source);
    }
    return m->opt.idmap == RT_IDMAP_NONE ? 0 : map_ids(l, m, fd, where, e);
}

/* The container's own user namespace; the fd is l's. -errno with e filled. */
static int container_map_ns(struct rt_launch *l, struct jl_err *e)
{
    char path[64];

    if (l->map_ns >= 0 && !l->map_ns_of)
        return l->map_ns;
    l->map_ns_of = NULL;
    jl_close(l->map_ns);
    snprintf(path, sizeof path, "/proc/%d/ns/user", (int) l->pid);
    l->map_ns = open(path, O_RDONLY | O_CLOEXEC);
    return l->map_ns < 0 ? jl_fail_sys(e, "open", path, "open the user namespace") : l->map_ns;
}

/* Runs beside the child, which waits: its user namespace, just mapped, is the one to map with. The
 * mount is the same object that the child holds. */
int rt_step_bind_idmap(struct rt_launch *l, size_t i, struct jl_err *e)
{
    bool is_rootfs = i == l->spec->n_mounts;
    char where[48];
    int fd = is_rootfs ? l->rootfs_fd : l->bind_fds[i];
    bool tree = is_rootfs || l->spec->mounts[i].opt.idmap == RT_IDMAP_TREE;
    int userns, r;

    if (is_rootfs)
        snprintf(where, sizeof where, "annotations.%s", RT_ANNOTATION_IDMAP);
    else
        snprintf(where, sizeof where, "mounts[%zu]", i);
    if (fd < 0) /* opened by the child, with no rights on the host */
        return fail_idmap(e, -EPERM, where);
    userns = container_map_ns(l, e);
    if (userns < 0)
        return userns;
    r = apply_idmap(fd, userns, tree);
    return r < 0 ? fail_idmap(e, r, where) : 0;
}
