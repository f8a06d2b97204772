/* step_fs.c - entries of `mounts` that are new file systems, and remounts. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/copytree.h"
#include "base/err.h"
#include "os/mountfd.h"
#include "os/openat2.h"
#include "runtime/launch.h"
#include "runtime/step.h"

bool rt_mount_is(const struct rt_mount *m, const char *type)
{
    return m->oci->type && strcmp(m->oci->type, type) == 0;
}

/* These have nothing of their own on a disk: read-only is a matter of the mount. For the others
 * the file system itself is told, so that it writes nothing either (a journal, say). */
static bool is_virtual(const struct rt_mount *m)
{
    static const char *const types[] = { "proc",   "sysfs",  "tmpfs",   "devpts",
                                         "mqueue", "cgroup", "cgroup2", "ramfs" };

    for (size_t k = 0; k < JL_COUNT(types); k++)
        if (rt_mount_is(m, types[k]))
            return true;
    return false;
}

/* The options as fsconfig takes them: the file system's own, then what is common to all. In a new
 * one nothing has to be cleared. Returns an array to be freed, of borrowed strings. */
static const char **super_options(const struct rt_mount *m, bool with_cleared, size_t *ret_n)
{
    const char **options = calloc(m->opt.data.len + 2 * sizeof(uint64_t) * 8 + 1, sizeof *options);
    size_t n = 0;

    if (!options)
        return NULL;
    for (; n < m->opt.data.len; n++)
        options[n] = m->opt.data.items[n];
    for (uint64_t flag = 1; flag <= RT_SB_ALL; flag <<= 1) {
        if (flag == RT_SB_IVERSION)
            continue;
        if (m->opt.super_set & flag)
            options[n++] = rt_mountopt_super(flag, true);
        else if (with_cleared && m->opt.super_clear & flag)
            options[n++] = rt_mountopt_super(flag, false);
    }
    *ret_n = n;
    return options;
}

int rt_fs_make(const struct rt_mount *m, int place, struct jl_err *e)
{
    const char *source = m->oci->source && *m->oci->source ? m->oci->source : NULL;
    /* what is filled by us becomes read-only afterwards */
    unsigned attrs = (unsigned) (m->opt.set | m->opt.tree_set) &
                     ~(m->opt.tmpcopyup ? (unsigned) MOUNT_ATTR_RDONLY : 0u);
    size_t n;
    const char **options = super_options(m, false, &n);
    int fd;

    if (!options)
        return jl_fail(e, ENOMEM, "mount options");
    if (m->opt.set & MOUNT_ATTR_RDONLY && !is_virtual(m))
        options[n++] = "ro";
    if (m->opt.super_set & RT_SB_IVERSION)
        fd = os_mount_new_iversion(m->oci->type, source, options, n, attrs, place, e);
    else
        fd = os_mount_new(m->oci->type, source, options, n, attrs, e);
    free(options);
    return fd;
}

/* tmpcopyup: with what is at the destination. */
static int fill(const struct rt_mount *m, int from, int fd, struct jl_err *e)
{
    struct os_mount_change ro = { .set = MOUNT_ATTR_RDONLY };
    int r = jl_copy_tree(from, fd, e);

    if (r < 0)
        return jl_wrap(e, "tmpcopyup");
    r = (m->opt.set | m->opt.tree_set) & MOUNT_ATTR_RDONLY ? os_mount_change(fd, false, &ro) : 0;
    return r < 0 ? jl_fail(e, -r, "make '%s' read-only", m->oci->destination) : 0;
}

int rt_mount_fs(struct rt_launch *l, size_t i, struct jl_err *e)
{
    const struct rt_mount *m = &l->spec->mounts[i];
    struct os_mount_change prop = { .propagation = m->opt.propagation };
    _close_ int target = -1;
    _close_ int fd = -1;
    int r;

    target = rt_mount_target(l, m, false, e);
    if (target < 0)
        return target;
    /* an idmapped one was made by the parent, who may map it */
    fd = l->bind_fds[i] >= 0 ? jl_take_fd(&l->bind_fds[i]) : rt_fs_make(m, target, e);
    if (fd < 0)
        return fd;
    r = m->opt.tmpcopyup ? fill(m, target, fd, e) : 0;
    if (r == 0)
        r = rt_mount_attach(fd, target, m->oci->destination, e);
    if (r < 0)
        return r;
    if (prop.propagation != 0) {
        r = os_mount_change(fd, m->opt.tree_propagation, &prop);
        if (r < 0)
            return jl_fail(e, -r, "set the propagation of '%s'", m->oci->destination);
    }
    if (rt_mount_is(m, "devpts") && strcmp(m->oci->destination, "/dev/pts") == 0) {
        jl_close(l->devpts_fd);
        l->devpts_fd = jl_take_fd(&fd);
    }
    return 0;
}

/* What of a remount concerns the file system and not this mount of it. */
static int reconfigure(const struct rt_mount *m, int fd, struct jl_err *e)
{
    size_t n = 0;
    const char **options;
    int r;

    if (m->opt.data.len == 0 && (m->opt.super_set | m->opt.super_clear) == 0)
        return 0;
    options = super_options(m, true, &n);
    r = options ? os_mount_reconfigure(fd, options, n, e) : jl_fail(e, ENOMEM, "mount options");
    free(options);
    return r < 0 ? jl_wrap(e, "remount '%s'", m->oci->destination) : 0;
}

int rt_mount_again(struct rt_launch *l, size_t i, struct jl_err *e)
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
    r = reconfigure(m, fd, e);
    if (r < 0)
        return r;
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
