/*
 * ahead.h - directories that the next starts will want, made in the quiet after one: to make a file costs
 * a start more than to write it (docs/adr/0018), to rename a directory next to nothing. jobs/.ahead/N is
 * a bundle with its files empty, logs/.ahead/N the directory of a log with the files of segment 0.
 *
 * A start that finds none makes its own.
 */
#pragma once

#include <stdbool.h>

#include "base/loop.h"

struct jd_core;
struct jl_err;

struct jd_ahead_pool {
    int dirfd;         /* .ahead */
    unsigned first, n; /* names: first to first + n - 1 */
};

struct jd_ahead {
    struct jd_ahead_pool bundles, logs;
    struct jl_timer timer;
};

/* Removes what an earlier core has left; makes new ones soon. 0, or -errno with e filled. */
int jd_ahead_init(struct jd_core *c, struct jl_err *e);

/* Gives the job one of them as jobs/ID, or logs/ID. False: there is none, or the job has its own. */
bool jd_ahead_bundle(struct jd_core *c, const char *id);
bool jd_ahead_log(struct jd_core *c, const char *id);

void jd_ahead_done(struct jd_core *c);
