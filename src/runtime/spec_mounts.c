/* spec_mounts.c - the checks of `mounts`. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "runtime/spec.h"

static bool is_fs_word(const char *type, const char *word)
{
    return type && strcmp(type, word) == 0;
}

static int take_options(struct rt_mount *m, size_t i, struct jl_err *e)
{
    for (size_t j = 0; j < m->oci->n_options; j++) {
        int r = rt_mountopt_add(&m->opt, m->oci->options[j], e);

        if (r < 0)
            return jl_wrap(e, "mounts[%zu].options[%zu]", i, j);
    }
    return 0;
}

static int take_idmaps(struct rt_mount *m, size_t i, struct jl_err *e)
{
    char where[64];
    int r;

    if ((m->oci->n_uid_mappings == 0) != (m->oci->n_gid_mappings == 0))
        return jl_refuse(e, EINVAL, "mounts[%zu].%s: is required when the other one is given", i,
                         m->oci->n_uid_mappings == 0 ? "uidMappings" : "gidMappings");
    snprintf(where, sizeof where, "mounts[%zu].uidMappings", i);
    r = rt_idmaps_copy(m->oci->uid_mappings, m->oci->n_uid_mappings, where, &m->uids, e);
    if (r < 0)
        return r;
    snprintf(where, sizeof where, "mounts[%zu].gidMappings", i);
    r = rt_idmaps_copy(m->oci->gid_mappings, m->oci->n_gid_mappings, where, &m->gids, e);
    if (r < 0)
        return r;
    m->n_uids = m->oci->n_uid_mappings;
    m->n_gids = m->oci->n_gid_mappings;
    if (m->n_uids > 0 && m->opt.idmap == RT_IDMAP_NONE)
        m->opt.idmap = RT_IDMAP_TOP;
    return 0;
}

/* The maps of the new user namespace are that one's already: no other has to be made for them. */
static void drop_equal_idmaps(const struct rt_spec *s, struct rt_mount *m)
{
    if (m->n_uids == 0 || !(s->ns_new & os_ns_flag(OS_NS_USER)) ||
        !os_idmap_equal(m->uids, m->n_uids, s->uids, s->n_uids) ||
        !os_idmap_equal(m->gids, m->n_gids, s->gids, s->n_gids))
        return;
    free(m->uids);
    free(m->gids);
    m->uids = m->gids = NULL;
    m->n_uids = m->n_gids = 0;
}

static int take_kind(struct rt_mount *m, size_t i, struct jl_err *e)
{
    const char *type = m->oci->type;

    if (m->opt.remount) {
        m->kind = RT_MOUNT_REMOUNT;
        return 0;
    }
    if (is_fs_word(type, "bind") && !m->opt.bind)
        m->opt.bind = true;
    if (m->opt.bind) {
        m->kind = RT_MOUNT_BIND;
        return 0;
    }
    if (!type || *type == '\0' || is_fs_word(type, "none"))
        return jl_refuse(e, EINVAL,
                         "mounts[%zu].type: is required unless bind or rbind is among "
                         "the options",
                         i);
    m->kind =
        is_fs_word(type, "cgroup") || is_fs_word(type, "cgroup2") ? RT_MOUNT_CGROUP : RT_MOUNT_FS;
    return 0;
}

/* Of these an idmap would change nothing that a program sees, and their content depends on the
 * namespaces of who makes them, which an idmapped mount's maker is not in. */
static bool has_own_ids(const struct rt_mount *m)
{
    static const char *const types[] = { "proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2" };

    for (size_t k = 0; k < JL_COUNT(types); k++)
        if (is_fs_word(m->oci->type, types[k]))
            return true;
    return m->kind == RT_MOUNT_REMOUNT;
}

static int check_idmap(const struct rt_spec *s, const struct rt_mount *m, size_t i,
                       struct jl_err *e)
{
    if (m->opt.idmap == RT_IDMAP_NONE)
        return 0;
    if (m->kind != RT_MOUNT_BIND && has_own_ids(m))
        return jl_refuse(e, EINVAL, "mounts[%zu]: a mount of type '%s' cannot be idmapped", i,
                         m->kind == RT_MOUNT_REMOUNT ? "remount" : m->oci->type);
    if (m->n_uids == 0 && !rt_spec_has_ns(s, OS_NS_USER))
        return jl_refuse(
            e, EINVAL, "mounts[%zu].options: idmap without uidMappings needs a user namespace", i);
    if (m->opt.super_set & RT_SB_IVERSION)
        return jl_refuse(e, EINVAL, "mounts[%zu].options: iversion and an idmap exclude each other",
                         i);
    return 0;
}

/* What concerns the file system cannot be set on a further mount of it: the kernel would not even
 * say that it did nothing. */
static const char *of_file_system(const struct rt_mount *m)
{
    for (uint64_t flag = 1; flag <= RT_SB_ALL; flag <<= 1)
        if (m->opt.super_set & flag)
            return rt_mountopt_super(flag, true);
    return m->opt.data.len > 0 ? m->opt.data.items[0] : NULL;
}

static int check_kind(const struct rt_mount *m, size_t i, struct jl_err *e)
{
    bool links = m->opt.src_nofollow || m->opt.copy_symlink;

    if (m->kind == RT_MOUNT_BIND) {
        if (!m->oci->source || *m->oci->source == '\0')
            return jl_refuse(e, EINVAL, "mounts[%zu].source: a bind mount needs one", i);
        if (of_file_system(m))
            return jl_refuse(e, EINVAL, "mounts[%zu].options: '%s' cannot be set on a bind mount",
                             i, of_file_system(m));
    } else if (links) {
        return jl_refuse(e, EINVAL, "mounts[%zu].options: '%s' is for bind mounts only", i,
                         m->opt.src_nofollow ? "src-nofollow" : "copy-symlink");
    }
    if (m->opt.src_nofollow && m->opt.copy_symlink)
        return jl_refuse(
            e, EINVAL, "mounts[%zu].options: src-nofollow and copy-symlink exclude each other", i);
    if (m->kind == RT_MOUNT_REMOUNT && m->opt.super_set & RT_SB_IVERSION)
        return jl_refuse(e, EINVAL, "mounts[%zu].options: 'iversion' cannot be set by a remount",
                         i);
    if (m->kind == RT_MOUNT_CGROUP && of_file_system(m))
        return jl_refuse(e, EINVAL,
                         "mounts[%zu].options: '%s' cannot be set on control groups, which are the "
                         "host's",
                         i, of_file_system(m));
    if (m->opt.tmpcopyup && !is_fs_word(m->oci->type, "tmpfs"))
        return jl_refuse(e, EINVAL, "mounts[%zu].options: tmpcopyup works on tmpfs only", i);
    return 0;
}

/* linux.mountLabel, on file systems that have labels of their own to be replaced; what a bind mount
 * shows keeps its files' labels. */
static int take_label(const struct rt_spec *s, struct rt_mount *m, struct jl_err *e)
{
    const char *label = s->oci->linux->mount_label;

    if (!label || *label == '\0' || m->kind != RT_MOUNT_FS || is_fs_word(m->oci->type, "proc") ||
        is_fs_word(m->oci->type, "sysfs") || is_fs_word(m->oci->type, "mqueue"))
        return 0;
    for (size_t i = 0; i < m->opt.data.len; i++)
        if (strncmp(m->opt.data.items[i], "context=", 8) == 0)
            return 0;
    return jl_strv_addf(&m->opt.data, "context=%s", label) < 0 ? jl_fail(e, ENOMEM, "mounts") : 0;
}

static int check_mount(const struct rt_spec *s, struct rt_mount *m, size_t i, struct jl_err *e)
{
    const char *dest = m->oci->destination;
    int r;

    if (strlen(dest) >= PATH_MAX)
        return jl_refuse(e, ENAMETOOLONG, "mounts[%zu].destination: is too long", i);
    if (dest[strspn(dest, "/")] == '\0')
        return jl_refuse(e, EINVAL, "mounts[%zu].destination: '%s' is the root itself", i, dest);
    r = take_options(m, i, e);
    if (r == 0)
        r = take_idmaps(m, i, e);
    if (r == 0) {
        drop_equal_idmaps(s, m);
        r = take_kind(m, i, e);
    }
    if (r == 0)
        r = check_kind(m, i, e);
    if (r == 0)
        r = check_idmap(s, m, i, e);
    if (r == 0)
        r = take_label(s, m, e);
    return r;
}

int rt_spec_check_mounts(struct rt_spec *s, struct jl_err *e)
{
    if (s->oci->n_mounts == 0)
        return 0;
    s->mounts = calloc(s->oci->n_mounts, sizeof *s->mounts);
    if (!s->mounts)
        return jl_fail(e, ENOMEM, "mounts");
    s->n_mounts = s->oci->n_mounts;
    for (size_t i = 0; i < s->n_mounts; i++) {
        int r;

        s->mounts[i].oci = s->oci->mounts[i];
        r = check_mount(s, &s->mounts[i], i, e);
        if (r < 0)
            return r;
        if (s->oci->mounts[i]->destination[0] != '/' &&
            jl_strv_addf(&s->warnings,
                         "mounts[%zu].destination: '%s' is not absolute; taken from /", i,
                         s->oci->mounts[i]->destination) < 0)
            return jl_fail(e, ENOMEM, "mounts");
    }
    return 0;
}
