/* group.c - which control group the container gets: none, one in the file system, or a unit of
 * systemd's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "runtime/launch.h"

#define BASE_MAX 2048

/* "a/b" from "/a//b/"; refuses "..". */
static int clean_path(const char *path, char **ret, struct jl_err *e)
{
    char *out = malloc(strlen(path) + 1);
    size_t n = 0;

    if (!out)
        return jl_fail(e, ENOMEM, "linux.cgroupsPath");
    while (*path) {
        size_t len = strcspn(path, "/");

        if (len == 2 && strncmp(path, "..", 2) == 0) {
            free(out);
            return jl_refuse(e, EINVAL, "linux.cgroupsPath: '..' is not allowed");
        }
        if (len > 0 && !(len == 1 && *path == '.')) {
            if (n > 0)
                out[n++] = '/';
            memcpy(out + n, path, len);
            n += len;
        }
        path += len + strspn(path + len, "/");
    }
    out[n] = '\0';
    if (n == 0) {
        free(out);
        return jl_refuse(e, EINVAL, "linux.cgroupsPath: is the root of the hierarchies");
    }
    *ret = out;
    return 0;
}

int rt_cgroup_path(const struct rt_spec *spec, const char *id, char **ret, struct jl_err *e)
{
    const char *path = spec->oci->linux->cgroups_path;
    _free_ char *joined = NULL;

    *ret = NULL;
    if (path && *path == '/')
        return clean_path(path, ret, e);
    if (path && *path && strchr(path, ':')) {
        jl_refuse(e, EINVAL, "linux.cgroupsPath: '%s' is a systemd path", path);
        return jl_hint(e, "give --systemd-cgroup, or an absolute path");
    }
    /* Nothing given: at the top, so that no parent directory has to be made or stays behind.
     * Relative: from the root of the hierarchies, as runc has it on v2. */
    if (path && *path)
        return clean_path(path, ret, e);
    if (asprintf(&joined, "joblet-%s", id) < 0) {
        joined = NULL;
        return jl_fail(e, ENOMEM, "linux.cgroupsPath");
    }
    return clean_path(joined, ret, e);
}

static int choose_unit(struct rt_launch *l, struct rt_state *st, struct jl_err *e)
{
    bool v1 = rt_unit_is_v1(&l->host);

    if (v1 && rt_unit_is_users()) {
        jl_refuse(e, ENOTSUP,
                  "--systemd-cgroup: an ordinary user's needs cgroup v2 alone; this host has %s, "
                  "which can't be delegated to him",
                  os_cgroup_mode_name(l->host.mode));
        return jl_hint(e, "leave it away, and limits with it (podman: --cgroup-manager=cgroupfs)");
    }
    if (rt_unit_name(l->spec->oci->linux->cgroups_path, st->id, rt_unit_is_users(), &l->unit, e) <
        0)
        return -e->code;
    l->unit.v1 = v1;
    if (rt_unit_check_annotations(l->spec, e) < 0 ||
        rt_unit_check_devices(&l->unit, &l->spec->limits, e) < 0)
        return -e->code;
    l->opts.unit = &l->unit;
    st->unit_user = l->unit.user;
    st->unit = strdup(l->unit.name);
    return st->unit ? 0 : jl_fail(e, ENOMEM, "make the record");
}

/* An ordinary user's is below the group that was delegated to him, wherever its path begins. */
static int choose_delegated(struct rt_launch *l, struct rt_state *st, struct jl_err *e)
{
    _free_ char *below = NULL;
    char base[BASE_MAX];

    if (!os_cgroup_delegated(&l->host, base, sizeof base)) {
        if (!l->spec->wants_limits)
            return 0;
        jl_refuse(e, EACCES,
                  "linux.resources: limits were asked for, but no control group is delegated to "
                  "user %u",
                  (unsigned) geteuid());
        return jl_hint(e, "use --systemd-cgroup in a user session, or run below "
                          "systemd-run --user --scope -p Delegate=yes");
    }
    if (rt_cgroup_path(l->spec, st->id, &below, e) < 0)
        return -e->code;
    if (asprintf(&st->cgroup, "%s%s%s", base, base[0] ? "/" : "", below) < 0) {
        st->cgroup = NULL;
        return jl_fail(e, ENOMEM, "linux.cgroupsPath");
    }
    l->opts.cgroup = st->cgroup;
    return 0;
}

/* Whether groups can be made here: where the hierarchies are, and not in what they are mounted in,
 * which systemd makes read-only on v1. */
static bool is_writable(const struct os_cgroup_host *host)
{
    const char *at = host->unified;

    for (int c = 0; c < OS_CG_N && *at == '\0'; c++)
        at = host->v1[c];
    return access(at, W_OK) == 0 || (errno != EACCES && errno != EROFS);
}

int rt_group_choose(struct rt_launch *l, struct rt_state *st, enum rt_group_kind kind,
                    struct jl_err *e)
{
    int r = os_cgroup_host_read(&l->host, e);
    bool unprivileged;

    if (r < 0)
        return r;
    if (l->host.mode == OS_CGROUP_NONE) {
        if (!l->spec->wants_limits && kind != RT_GROUP_UNIT)
            return 0;
        return jl_refuse(e, ENOTSUP, "linux.resources: this host has no control groups mounted");
    }
    if (kind == RT_GROUP_NONE && l->spec->wants_limits)
        return jl_refuse(e, EINVAL, "linux.resources: limits and --cgroup-manager disabled");
    if (kind == RT_GROUP_NONE)
        return 0;
    if (kind == RT_GROUP_UNIT)
        return choose_unit(l, st, e);
    unprivileged = rt_unit_is_users() || !is_writable(&l->host);
    if (unprivileged && l->host.mode == OS_CGROUP_V2)
        return choose_delegated(l, st, e);
    if (unprivileged && !l->spec->wants_limits)
        return 0;
    r = rt_cgroup_path(l->spec, st->id, &st->cgroup, e);
    l->opts.cgroup = st->cgroup;
    return r;
}
