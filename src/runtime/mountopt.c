/* mountopt.c - see mountopt.h. */
#include "runtime/mountopt.h"

#include <errno.h>
#include <string.h>
#include <sys/mount.h>

#include "base/cleanup.h"
#include "base/err.h"

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif

enum kind {
    ATTR,      /* set `value`, clear `value2` on the mount */
    TREE_ATTR, /* the same for the whole tree */
    PROP,
    TREE_PROP,
    SUPER,   /* set `value`, clear `value2` on the file system itself */
    NOTHING, /* what the kernel does anyway */
    BIND,
    RBIND,
    REMOUNT,
    COPYUP,
    IDMAP,
    RIDMAP,
    SRC_NOFOLLOW,
    DEST_NOFOLLOW,
    COPY_SYMLINK,
};

static const struct {
    const char *word;
    enum kind kind;
    uint64_t value, value2;
} table[] = {
    { "async", SUPER, 0, RT_SB_SYNC },
    { "atime", ATTR, 0, MOUNT_ATTR__ATIME },
    { "bind", BIND, 0, 0 },
    { "copy-symlink", COPY_SYMLINK, 0, 0 },
    { "defaults", NOTHING, 0, 0 },
    { "dest-nofollow", DEST_NOFOLLOW, 0, 0 },
    { "dev", ATTR, 0, MOUNT_ATTR_NODEV },
    { "diratime", ATTR, 0, MOUNT_ATTR_NODIRATIME },
    { "dirsync", SUPER, RT_SB_DIRSYNC, 0 },
    { "exec", ATTR, 0, MOUNT_ATTR_NOEXEC },
    { "idmap", IDMAP, 0, 0 },
    { "iversion", SUPER, RT_SB_IVERSION, 0 },
    { "lazytime", SUPER, RT_SB_LAZYTIME, 0 },
    { "loud", NOTHING, 0, 0 },
    { "mand", SUPER, RT_SB_MAND, 0 },
    { "noatime", ATTR, MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME },
    { "nodev", ATTR, MOUNT_ATTR_NODEV, 0 },
    { "nodiratime", ATTR, MOUNT_ATTR_NODIRATIME, 0 },
    { "noexec", ATTR, MOUNT_ATTR_NOEXEC, 0 },
    { "noiversion", SUPER, 0, RT_SB_IVERSION },
    { "nolazytime", SUPER, 0, RT_SB_LAZYTIME },
    { "nomand", SUPER, 0, RT_SB_MAND },
    { "norelatime", ATTR, 0, MOUNT_ATTR__ATIME },
    { "nostrictatime", ATTR, 0, MOUNT_ATTR__ATIME },
    { "nosuid", ATTR, MOUNT_ATTR_NOSUID, 0 },
    { "nosymfollow", ATTR, MOUNT_ATTR_NOSYMFOLLOW, 0 },
    { "private", PROP, MS_PRIVATE, 0 },
    { "ratime", TREE_ATTR, 0, MOUNT_ATTR__ATIME },
    { "rbind", RBIND, 0, 0 },
    { "rdev", TREE_ATTR, 0, MOUNT_ATTR_NODEV },
    { "rdiratime", TREE_ATTR, 0, MOUNT_ATTR_NODIRATIME },
    { "relatime", ATTR, MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME },
    { "remount", REMOUNT, 0, 0 },
    { "rexec", TREE_ATTR, 0, MOUNT_ATTR_NOEXEC },
    { "ridmap", RIDMAP, 0, 0 },
    { "rnoatime", TREE_ATTR, MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME },
    { "rnodev", TREE_ATTR, MOUNT_ATTR_NODEV, 0 },
    { "rnodiratime", TREE_ATTR, MOUNT_ATTR_NODIRATIME, 0 },
    { "rnoexec", TREE_ATTR, MOUNT_ATTR_NOEXEC, 0 },
    { "rnorelatime", TREE_ATTR, 0, MOUNT_ATTR__ATIME },
    { "rnostrictatime", TREE_ATTR, 0, MOUNT_ATTR__ATIME },
    { "rnosuid", TREE_ATTR, MOUNT_ATTR_NOSUID, 0 },
    { "rnosymfollow", TREE_ATTR, MOUNT_ATTR_NOSYMFOLLOW, 0 },
    { "ro", ATTR, MOUNT_ATTR_RDONLY, 0 },
    { "rprivate", TREE_PROP, MS_PRIVATE, 0 },
    { "rrelatime", TREE_ATTR, MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME },
    { "rro", TREE_ATTR, MOUNT_ATTR_RDONLY, 0 },
    { "rrw", TREE_ATTR, 0, MOUNT_ATTR_RDONLY },
    { "rshared", TREE_PROP, MS_SHARED, 0 },
    { "rslave", TREE_PROP, MS_SLAVE, 0 },
    { "rstrictatime", TREE_ATTR, MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME },
    { "rsuid", TREE_ATTR, 0, MOUNT_ATTR_NOSUID },
    { "rsymfollow", TREE_ATTR, 0, MOUNT_ATTR_NOSYMFOLLOW },
    { "runbindable", TREE_PROP, MS_UNBINDABLE, 0 },
    { "rw", ATTR, 0, MOUNT_ATTR_RDONLY },
    { "shared", PROP, MS_SHARED, 0 },
    { "silent", NOTHING, 0, 0 },
    { "slave", PROP, MS_SLAVE, 0 },
    { "src-nofollow", SRC_NOFOLLOW, 0, 0 },
    { "strictatime", ATTR, MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME },
    { "suid", ATTR, 0, MOUNT_ATTR_NOSUID },
    { "symfollow", ATTR, 0, MOUNT_ATTR_NOSYMFOLLOW },
    { "sync", SUPER, RT_SB_SYNC, 0 },
    { "tmpcopyup", COPYUP, 0, 0 },
    { "unbindable", PROP, MS_UNBINDABLE, 0 },
};

/* What is cleared first and then set; a whole field (the access times) is cleared with its mask,
 * because mount_setattr takes it only so. */
static void change(uint64_t *set, uint64_t *clear, uint64_t add, uint64_t drop)
{
    *set = (*set & ~drop) | add;
    *clear = (*clear & ~add) | drop;
}

int rt_mountopt_add(struct rt_mountopt *o, const char *word, struct jl_err *e)
{
    size_t i = 0;

    while (i < JL_COUNT(table) && strcmp(table[i].word, word) != 0)
        i++;
    if (i == JL_COUNT(table))
        return jl_strv_add(&o->data, word) < 0 ? jl_fail(e, ENOMEM, "mount options") : 0;
    switch (table[i].kind) {
    case ATTR:
        change(&o->set, &o->clear, table[i].value, table[i].value2);
        break;
    case TREE_ATTR:
        change(&o->tree_set, &o->tree_clear, table[i].value, table[i].value2);
        break;
    case PROP:
    case TREE_PROP:
        o->propagation = table[i].value;
        o->tree_propagation = table[i].kind == TREE_PROP;
        break;
    case SUPER:
        change(&o->super_set, &o->super_clear, table[i].value, table[i].value2);
        break;
    case NOTHING:
        break;
    case BIND:
    case RBIND:
        o->bind = true;
        o->recursive = o->recursive || table[i].kind == RBIND;
        break;
    case REMOUNT:
        o->remount = true;
        break;
    case COPYUP:
        o->tmpcopyup = true;
        break;
    case IDMAP:
        o->idmap = RT_IDMAP_TOP;
        break;
    case RIDMAP:
        o->idmap = RT_IDMAP_TREE;
        break;
    case SRC_NOFOLLOW:
        o->src_nofollow = true;
        break;
    case DEST_NOFOLLOW:
        o->dest_nofollow = true;
        break;
    case COPY_SYMLINK:
        o->copy_symlink = true;
        break;
    }
    return 0;
}

const char *rt_mountopt_super(uint64_t flag, bool set)
{
    for (size_t i = 0; i < JL_COUNT(table); i++)
        if (table[i].kind == SUPER && (set ? table[i].value : table[i].value2) == flag)
            return table[i].word;
    return NULL;
}

const char *rt_mountopt_word(unsigned i)
{
    return i < JL_COUNT(table) ? table[i].word : NULL;
}

void rt_mountopt_clear(struct rt_mountopt *o)
{
    jl_strv_clear(&o->data);
}
