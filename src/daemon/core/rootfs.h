/*
 * rootfs.h - the root file system that all jobs have in common: mount points, the host's links, and
 * /etc, made ahead, so that a start makes no tree. It belongs to the host's root and is read-only in a
 * job, twice over: by its mount, and by its owner, who is nobody in there. What differs between jobs is
 * mounted on top: JD_ETC_INSIDE has the files that /etc links to.
 *
 * It is jobs/.rootfs/N. When the host's part of it changes (filesystem.allowedMounts: a path comes, goes,
 * or becomes a link) the next start makes N + 1. None goes while jobs are active: what is mounted on a
 * directory that is removed goes with it, in every mount namespace.
 */
#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "base/strv.h"

struct jd_bundle_in;
struct jd_core;
struct jl_err;

#define JD_ETC_INSIDE "/run/joblet-etc" /* hosts, resolv.conf */
#define JD_VOLUMES_INSIDE "/volumes"

struct jd_rootfs {
    int dirfd; /* jobs/.rootfs */
    unsigned n;
    char *path;           /* of N; NULL: none is made yet */
    struct jl_strv binds; /* what is to be mounted on it, parents first */
    struct jl_buf look;   /* the host's part of it, as it was */
};

/* Opens the directory; removes what earlier cores have left there, unless jobs are active; makes a tree,
 * if it can. 0, or -errno with e filled. */
int jd_rootfs_init(struct jd_core *c, struct jl_err *e);

/* Looks at the host, makes a new tree if it has to, and fills in->rootfs and the binds, which are
 * borrowed until the next call. 0, or -errno with e filled. */
int jd_rootfs_use(struct jd_core *c, struct jd_bundle_in *in, struct jl_err *e);

void jd_rootfs_done(struct jd_core *c);
