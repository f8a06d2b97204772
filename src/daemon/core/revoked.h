/*
 * revoked.h - which client certificates are refused: PREFIX/config/revoked, read at start, when the
 * file changes, on SIGHUP and with each sweep, and handed to joblet-front. A file that is wrong
 * stops the start; later it changes nothing and is told as an error: never does a mistake in it, or
 * its disappearance, let a revoked client in again.
 */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/loop.h"
#include "ipc/revoked.h"

struct jd_conf;
struct jd_core;

struct jd_revoked {
    struct jd_core *core;
    struct ipc_revoked list;
    char path[4200], dir[4160];
    bool there;       /* the list came from a file */
    bool bad;         /* what is there now was refused, and that was told */
    struct stat seen; /* of the file, taken or refused; st_ino 0: none */
    int inotify;      /* on the directory; -1 when there is none to be had */
    struct jl_source src;
};

/* Reads the file that the configuration's prefix has: none there means that nobody is revoked. It
 * must belong to root, and others may not write it. 0, or -errno with e filled and *ret empty. */
int jd_revoked_read(const struct jd_conf *conf, struct ipc_revoked *ret, struct jl_err *e);

/* Reads it and watches the directory. Blocks for the file. 0, or -errno with e filled. */
int jd_revoked_init(struct jd_core *c, struct jl_err *e);
void jd_revoked_done(struct jd_core *c);

/* Looks again; when the file is not the one seen last, or `anyway`, it is read and front told. */
void jd_revoked_check(struct jd_core *c, bool anyway);
