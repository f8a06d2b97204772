/*
 * trash.h - removes directory trees beside core's loop, so that a job's million files hold up nobody.
 * A tree is renamed into `.trash` at once, and is gone from its place with that.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/loop.h"

struct jd_core;
struct jd_worker;

struct jd_trash {
    struct jd_core *core;
    int dirfd;             /* .trash below filesystem.baseDir; -1 before jd_trash_init */
    struct jd_worker *worker;
    struct jl_timer timer; /* the worker's next call */
    bool working, more;    /* more: something came since its last call */
    uint64_t counter;
};

/* Opens .trash, made when missing, and goes on with what an earlier run left. */
int jd_trash_init(struct jd_core *c, struct jl_err *e);
/* Moves `name` below dirfd away; nothing there is success. Falls back to nothing: on failure the
 * tree stays and the sweep finds it again. 0, or -errno with e filled. */
int jd_trash_put(struct jd_core *c, int dirfd, const char *name, struct jl_err *e);
void jd_trash_done(struct jd_core *c);

/* Removes everything below dirfd, without following links or leaving the file system, however deep it
 * is. Blocks. 0, or the first -errno when some of it can't be removed; all else was. For the worker
 * and tests. */
int jd_trash_empty(int dirfd);
