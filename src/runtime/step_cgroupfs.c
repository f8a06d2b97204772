/*
 * step_cgroupfs.c - a mount of type cgroup: what the container sees of its control groups. With a
 * cgroup namespace its own group is the root of what is mounted anew; without one its group's
 * directories are bound. On v1 and hybrid hosts a tmpfs holds a directory for each hierarchy.
 */
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
#include "runtime/launch.h"
#include "runtime/step.h"

#define SAFE (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

/* The group's directory on the host, without what may be mounted below it. */
static int bind_group(struct rt_launch *l, const char *mount_point, struct jl_err *e)
{
    _free_ char *path = NULL;
    int fd;

    if (asprintf(&path, "%s/%s", mount_point, l->opts.cgroup ? l->opts.cgroup : "") < 0) {
        path = NULL;
        return jl_fail(e, ENOMEM, "bind the control group");
    }
    fd = os_mount_clone(AT_FDCWD, path, false, false);
    return fd < 0 ? jl_fail(e, -fd, "bind the control group '%s'", path) : fd;
}

static int set_flags(const struct rt_launch *l, int fd, const struct rt_mount *m, struct jl_err *e)
{
    struct os_mount_change change = { .set = SAFE | m->opt.set, .clear = m->opt.clear & ~SAFE };
    int r;

    if (!l->opts.cgroup) { /* nothing in there is its own */
        change.set |= MOUNT_ATTR_RDONLY;
        change.clear &= ~(uint64_t) MOUNT_ATTR_RDONLY;
    }
    r = os_mount_change(fd, false, &change);

    return r < 0 ? jl_fail(e, -r, "set the flags of the cgroup mount") : 0;
}

static int mount_v2(struct rt_launch *l, const struct rt_mount *m, int target, struct jl_err *e)
{
    bool own_ns = rt_spec_has_ns(l->spec, OS_NS_CGROUP);
    _close_ int fd = own_ns ? os_mount_new("cgroup2", "cgroup", NULL, 0, 0, e)
                            : bind_group(l, l->host.unified, e);
    int r;

    if (fd < 0)
        return fd;
    r = set_flags(l, fd, m, e);
    if (r == 0) {
        r = os_mount_attach(fd, target);
        if (r < 0)
            jl_fail(e, -r, "attach to '%s'", m->oci->destination);
    }
    return r;
}

/* One hierarchy into the directory of that name below the tmpfs. */
static int mount_part(struct rt_launch *l, const struct rt_mount *m, int dir,
                      const char *mount_point, const char *const *options, size_t n,
                      struct jl_err *e)
{
    const char *name = strrchr(mount_point, '/') + 1;
    bool own_ns = rt_spec_has_ns(l->spec, OS_NS_CGROUP);
    _close_ int target = -1;
    _close_ int fd = -1;
    int r;

    if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST)
        return jl_fail_sys(e, "mkdirat", name, "make the directory of a hierarchy");
    target = os_open_in_root_nolink(dir, name, O_PATH | O_DIRECTORY);
    if (target < 0)
        return jl_fail(e, -target, "open the directory of hierarchy '%s'", name);
    if (!own_ns)
        fd = bind_group(l, mount_point, e);
    else
        fd = os_mount_new(n > 0 ? "cgroup" : "cgroup2", "cgroup", options, n, 0, e);
    if (fd < 0)
        return fd;
    r = set_flags(l, fd, m, e);
    if (r == 0) {
        r = os_mount_attach(fd, target);
        if (r < 0)
            jl_fail(e, -r, "attach hierarchy '%s'", name);
    }
    return r;
}

/*
 * Several controllers may share one hierarchy ("cpu,cpuacct"): it is mounted once, with all of
 * them, and each has its name as a symlink.
 */
static int mount_v1_hierarchy(struct rt_launch *l, const struct rt_mount *m, int dir, int first,
                              struct jl_err *e)
{
    const char *at = l->host.v1[first], *options[OS_CG_N];
    size_t n = 0;
    int r;

    for (int c = first; c < OS_CG_N; c++)
        if (strcmp(l->host.v1[c], at) == 0)
            options[n++] = c == OS_CG_NAMED ? "name=systemd"
                           : c == OS_CG_IO  ? "blkio"
                                            : os_controller_name((enum os_controller) c);
    r = mount_part(l, m, dir, at, options, n, e);
    for (size_t k = 0; k < n && n > 1 && r == 0; k++)
        if (symlinkat(strrchr(at, '/') + 1, dir, options[k]) < 0 && errno != EEXIST)
            r = jl_fail_sys(e, "symlinkat", options[k], "name a hierarchy");
    return r;
}

static int mount_v1_all(struct rt_launch *l, const struct rt_mount *m, int dir, struct jl_err *e)
{
    int r = 0;

    for (int c = 0; c < OS_CG_N && r == 0; c++) {
        bool done =
            l->host.v1[c][0] != '/' || (l->cg && !os_cgroup_is_in(l->cg, (enum os_controller) c));

        for (int k = 0; k < c; k++)
            done = done || strcmp(l->host.v1[k], l->host.v1[c]) == 0;
        if (!done)
            r = mount_v1_hierarchy(l, m, dir, c, e);
    }
    if (r == 0 && l->host.unified[0] == '/')
        r = mount_part(l, m, dir, l->host.unified, NULL, 0, e);
    return r;
}

int rt_mount_cgroup(struct rt_launch *l, size_t i, struct jl_err *e)
{
    static const char *const options[] = { "mode=755" };
    const struct rt_mount *m = &l->spec->mounts[i];
    struct os_mount_change ro = { .set = MOUNT_ATTR_RDONLY };
    _close_ int target = -1;
    _close_ int fd = -1;
    int r;

    if (l->host.mode == OS_CGROUP_NONE)
        return jl_refuse(e, ENOTSUP, "this host has no control groups mounted");
    target = os_mkdir_in_root(l->rootfs_fd, m->oci->destination, 0755, e);
    if (target < 0)
        return target;
    if (l->host.mode == OS_CGROUP_V2)
        return mount_v2(l, m, target, e);
    fd = os_mount_new("tmpfs", "tmpfs", options, 1, SAFE, e);
    if (fd < 0)
        return fd;
    r = os_mount_attach(fd, target);
    if (r < 0)
        return jl_fail(e, -r, "attach to '%s'", m->oci->destination);
    r = mount_v1_all(l, m, fd, e);
    if (r < 0)
        return r;
    if (m->opt.set & MOUNT_ATTR_RDONLY) {
        r = os_mount_change(fd, false, &ro);
        if (r < 0)
            return jl_fail(e, -r, "make the cgroup tmpfs read-only");
    }
    return 0;
}
