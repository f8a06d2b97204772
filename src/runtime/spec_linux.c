/* spec_linux.c - namespaces, id maps, devices, sysctl: the checks of `linux`. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "os/ns.h"
#include "runtime/spec.h"

#define IDMAPS_MAX 340 /* extents of one map, user_namespaces(7) */

int rt_idmaps_copy(struct oci_id_mapping *const *from, size_t n, const char *where,
                   struct os_idmap **ret, struct jl_err *e)
{
    struct os_idmap *maps;

    *ret = NULL;
    if (n == 0)
        return 0;
    if (n > IDMAPS_MAX)
        return jl_refuse(e, E2BIG, "%s: has %zu entries, the kernel takes %d", where, n,
                         IDMAPS_MAX);
    maps = calloc(n, sizeof *maps);
    if (!maps)
        return jl_fail(e, ENOMEM, "%s", where);
    for (size_t i = 0; i < n; i++) {
        if (from[i]->size == 0) {
            free(maps);
            return jl_refuse(e, EINVAL, "%s[%zu].size: 0 maps nothing", where, i);
        }
        maps[i] = (struct os_idmap){ .inside = from[i]->container_id,
                                     .outside = from[i]->host_id,
                                     .count = from[i]->size };
    }
    *ret = maps;
    return 0;
}

static int check_namespaces(struct rt_spec *s, struct jl_err *e)
{
    const struct oci_linux *l = s->oci->linux;
    enum os_ns ns;

    for (size_t i = 0; l && i < l->n_namespaces; i++) {
        const char *path = l->namespaces[i]->path;

        if (os_ns_from_name(l->namespaces[i]->type, &ns) < 0)
            return jl_refuse(e, EINVAL, "linux.namespaces[%zu].type: '%s' is unknown", i,
                             l->namespaces[i]->type);
        if (rt_spec_has_ns(s, ns))
            return jl_refuse(e, EINVAL, "linux.namespaces[%zu].type: '%s' is there twice", i,
                             os_ns_name(ns));
        if (path && *path && *path != '/')
            return jl_refuse(e, EINVAL, "linux.namespaces[%zu].path: '%s' is not absolute", i,
                             path);
        if (path && *path)
            s->ns_path[ns] = path;
        else
            s->ns_new |= os_ns_flag(ns);
    }
    return 0;
}

/*
 * Without a mount namespace the container has the host's (config-linux.md): its root is a chroot
 * then, and whatever needs a mount would be mounted on the host.
 */
static int check_no_mount_ns(struct rt_spec *s, struct jl_err *e)
{
    const struct oci_linux *l = s->oci->linux;
    const char *what = NULL;

    if (rt_spec_has_ns(s, OS_NS_MOUNT))
        return 0;
    if (s->oci->n_mounts > 0)
        what = "mounts";
    else if (l->n_masked_paths > 0)
        what = "linux.maskedPaths";
    else if (l->n_readonly_paths > 0)
        what = "linux.readonlyPaths";
    else if (l->rootfs_propagation && *l->rootfs_propagation)
        what = "linux.rootfsPropagation";
    else if (s->oci->root->has_readonly && s->oci->root->readonly)
        what = "root.readonly";
    else if (s->oci->process && s->oci->process->terminal)
        what = "process.terminal";
    else if (rt_spec_has_ns(s, OS_NS_USER))
        what = "linux.namespaces: a user namespace";
    if (what) {
        jl_refuse(e, EINVAL, "%s: needs a mount namespace in linux.namespaces", what);
        return jl_hint(e, "without one the container's mounts would be the host's");
    }
    if (jl_strv_addf(&s->warnings, "linux.namespaces: no mount namespace: the container's root is "
                                   "no more than a chroot") < 0)
        return jl_fail(e, ENOMEM, "linux.namespaces");
    return 0;
}

static int check_userns(struct rt_spec *s, struct jl_err *e)
{
    const struct oci_linux *l = s->oci->linux;
    int r;

    if (l->n_uid_mappings == 0 && l->n_gid_mappings == 0) {
        if (s->ns_new & os_ns_flag(OS_NS_USER))
            return jl_refuse(e, EINVAL,
                             "linux.uidMappings: a new user namespace needs uid and gid mappings");
        return 0;
    }
    if (s->ns_path[OS_NS_USER]) /* CRI gives both; those of the namespace hold */
        return 0;
    if (!(s->ns_new & os_ns_flag(OS_NS_USER)))
        return jl_refuse(
            e, EINVAL, "linux.uidMappings: id mappings need a user namespace in linux.namespaces");
    if (l->n_uid_mappings == 0 || l->n_gid_mappings == 0)
        return jl_refuse(e, EINVAL, "linux.%s: is required with a new user namespace",
                         l->n_uid_mappings == 0 ? "uidMappings" : "gidMappings");
    r = rt_idmaps_copy(l->uid_mappings, l->n_uid_mappings, "linux.uidMappings", &s->uids, e);
    if (r == 0)
        r = rt_idmaps_copy(l->gid_mappings, l->n_gid_mappings, "linux.gidMappings", &s->gids, e);
    s->n_uids = l->n_uid_mappings;
    s->n_gids = l->n_gid_mappings;
    return r;
}

static int check_time(const struct rt_spec *s, struct jl_err *e)
{
    const struct oci_linux *l = s->oci->linux;

    for (size_t i = 0; i < l->n_time_offsets; i++) {
        const char *clock = l->time_offsets[i].key;

        if (strcmp(clock, "monotonic") != 0 && strcmp(clock, "boottime") != 0)
            return jl_refuse(
                e, EINVAL, "linux.timeOffsets.%s: only monotonic and boottime have offsets", clock);
        if (l->time_offsets[i].value && l->time_offsets[i].value->nanosecs > 999999999)
            return jl_refuse(e, ERANGE, "linux.timeOffsets.%s.nanosecs: %u is above 999999999",
                             clock, l->time_offsets[i].value->nanosecs);
    }
    if (l->n_time_offsets > 0 && !(s->ns_new & os_ns_flag(OS_NS_TIME)))
        return jl_refuse(e, EINVAL, "linux.timeOffsets: needs a new time namespace");
    return 0;
}

static int check_devices(const struct oci_linux *l, struct jl_err *e)
{
    for (size_t i = 0; i < l->n_devices; i++) {
        const struct oci_device *d = l->devices[i];

        if (d->path[0] != '/' || strlen(d->path) >= PATH_MAX)
            return jl_refuse(e, EINVAL, "linux.devices[%zu].path: '%s' is not absolute", i,
                             d->path);
        if (d->type[0] != 'p' && (!d->has_major || !d->has_minor))
            return jl_refuse(e, EINVAL, "linux.devices[%zu]: '%s' needs major and minor", i,
                             d->path);
        if (d->has_file_mode && d->file_mode & ~07777u & ~0170000u)
            return jl_refuse(e, ERANGE, "linux.devices[%zu].fileMode: %u is no file mode", i,
                             d->file_mode);
    }
    return 0;
}

static int check_path_list(char *const *paths, size_t n, const char *name, struct jl_err *e)
{
    for (size_t i = 0; i < n; i++)
        if (paths[i][0] != '/')
            return jl_refuse(e, EINVAL, "linux.%s[%zu]: '%s' is not absolute", name, i, paths[i]);
    return 0;
}

static void take_propagation(struct rt_spec *s, const char *word)
{
    static const struct {
        const char *word;
        uint64_t flag;
    } table[] = {
        { "private", MS_PRIVATE },
        { "slave", MS_SLAVE },
        { "shared", MS_SHARED },
        { "unbindable", MS_UNBINDABLE },
    };

    if (!word || *word == '\0')
        return;
    s->propagation_tree = *word == 'r';
    for (size_t i = 0; i < JL_COUNT(table); i++)
        if (strcmp(word + s->propagation_tree, table[i].word) == 0)
            s->propagation = table[i].flag;
}

int rt_spec_check_linux(struct rt_spec *s, struct jl_err *e)
{
    const struct oci_linux *l;
    int r;

    if (!s->oci->linux) /* optional, and so is all in it: nothing but the caller's namespaces */
        s->oci->linux = calloc(1, sizeof *s->oci->linux);
    l = s->oci->linux;
    if (!l)
        return jl_fail(e, ENOMEM, "linux");
    r = check_namespaces(s, e);
    if (r < 0)
        return r;
    r = check_no_mount_ns(s, e);
    if (r == 0)
        r = check_userns(s, e);
    if (r == 0)
        r = check_time(s, e);
    if (r == 0)
        r = check_devices(l, e);
    if (r == 0)
        r = rt_spec_check_seccomp(s, e);
    if (r == 0)
        r = check_path_list(l->masked_paths, l->n_masked_paths, "maskedPaths", e);
    if (r == 0)
        r = check_path_list(l->readonly_paths, l->n_readonly_paths, "readonlyPaths", e);
    if (r == 0)
        r = rt_spec_check_net_devices(s, e);
    if (r == 0)
        r = rt_spec_check_domain(s, e);
    if (r == 0)
        r = rt_spec_check_rdt(s, e);
    take_propagation(s, l->rootfs_propagation);
    return r;
}

/*
 * sysctl(8): when the first separator is a slash, slashes separate and dots are part of names
 * ("net/ipv4/conf/eno2.100/forwarding"); else dots separate and a slash stands for a dot.
 */
int rt_sysctl_path(const char *key, char *buf, size_t size)
{
    size_t len = strlen(key);
    bool slashes = key[strcspn(key, "./")] == '/';

    if (len == 0 || len >= size || *key == '.' || *key == '/')
        return -EINVAL;
    for (size_t i = 0; i <= len; i++) {
        buf[i] = key[i];
        if (!slashes && key[i] == '.')
            buf[i] = '/';
        else if (!slashes && key[i] == '/')
            buf[i] = '.';
    }
    if (strstr(buf, "//") || strstr(buf, "/../") || strstr(buf, "/./"))
        return -EINVAL;
    return 0;
}

/* Only what belongs to a namespace of the container's own; the rest would change the host. */
int rt_sysctl_ns(const char *path, enum os_ns *ret)
{
    static const char *const ipc[] = {
        "kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem",
        "kernel/shmall", "kernel/shmmax", "kernel/shmmni", "kernel/shm_rmid_forced",
    };

    if (strncmp(path, "net/", 4) == 0) {
        *ret = OS_NS_NET;
        return 0;
    }
    if (strncmp(path, "fs/mqueue/", 10) == 0) {
        *ret = OS_NS_IPC;
        return 0;
    }
    for (size_t i = 0; i < JL_COUNT(ipc); i++)
        if (strcmp(path, ipc[i]) == 0) {
            *ret = OS_NS_IPC;
            return 0;
        }
    if (strcmp(path, "kernel/domainname") == 0 || strcmp(path, "kernel/hostname") == 0) {
        *ret = OS_NS_UTS;
        return 0;
    }
    if (strncmp(path, "user/", 5) == 0) {
        *ret = OS_NS_USER;
        return 0;
    }
    return -EINVAL;
}

int rt_spec_check_sysctl(const struct rt_spec *s, struct jl_err *e)
{
    const struct oci_linux *l = s->oci->linux;

    for (size_t i = 0; i < l->n_sysctl; i++) {
        const char *key = l->sysctl[i].key;
        char path[512];
        enum os_ns ns;

        if (rt_sysctl_path(key, path, sizeof path) < 0)
            return jl_refuse(e, EINVAL, "linux.sysctl.%s: is no name of a setting", key);
        if (rt_sysctl_ns(path, &ns) < 0) {
            jl_refuse(e, EINVAL, "linux.sysctl.%s: belongs to no namespace", key);
            return jl_hint(e,
                           "it would change the host; only net.*, fs.mqueue.*, the IPC limits "
                           "of kernel.*, kernel.hostname and domainname, and user.* are allowed");
        }
        if (!rt_spec_has_ns(s, ns))
            return jl_refuse(e, EINVAL, "linux.sysctl.%s: needs a %s namespace of its own", key,
                             os_ns_name(ns));
    }
    return 0;
}
