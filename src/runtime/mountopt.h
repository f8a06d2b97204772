/*
 * mountopt.h - the words of a mount's `options` turned into what the mount system calls take.
 * Pure: no system call. Source: runtime-spec config.md and config-linux.md (mounts), mount(8).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/strv.h"

struct jl_err;

/* Flags of a file system, common to all kinds (mount(8)). */
#define RT_SB_SYNC 0x01u
#define RT_SB_DIRSYNC 0x02u
#define RT_SB_LAZYTIME 0x04u
#define RT_SB_MAND 0x08u
#define RT_SB_IVERSION 0x10u /* the new mount calls have no word for it */
#define RT_SB_ALL 0x1fu

enum rt_idmap { RT_IDMAP_NONE, RT_IDMAP_TOP, RT_IDMAP_TREE };

struct rt_mountopt {
    bool bind, recursive; /* bind, rbind */
    bool remount;
    bool tmpcopyup;
    uint64_t set, clear;             /* MOUNT_ATTR_* for the mount itself */
    uint64_t tree_set, tree_clear;   /* for it and all mounts below (rro, rnosuid, ...) */
    uint64_t super_set, super_clear; /* RT_SB_* */
    uint64_t propagation;            /* MS_PRIVATE, ...; 0: not asked for */
    bool tree_propagation;           /* rprivate, ... */
    enum rt_idmap idmap;             /* idmap, ridmap */
    bool src_nofollow;               /* a symlink as source is mounted itself, */
    bool copy_symlink;               /* or made anew at the destination; as crun(1) has them */
    bool dest_nofollow;              /* a symlink at the destination is what is mounted on */
    struct jl_strv data;             /* what is left: options of the file system itself */
};

#define RT_MOUNTOPT_INIT                                                                           \
    {                                                                                              \
        .bind = false                                                                              \
    }

/*
 * Applies one more word to o; later words win over earlier ones. 0, -ENOMEM, or -EINVAL with e
 * filled for a word that we know and can't honour.
 */
int rt_mountopt_add(struct rt_mountopt *o, const char *word, struct jl_err *e);

/* The word that sets (or clears) one RT_SB_* flag; NULL when there is none. */
const char *rt_mountopt_super(uint64_t flag, bool set);

/* The i-th word known here, NULL past the last: for `features`. */
const char *rt_mountopt_word(unsigned i);

void rt_mountopt_clear(struct rt_mountopt *o);
