/*
 * volume.h - volumes: directories that outlive jobs, each a file system of its own with a size.
 * The database says which there are (docs/formats/state-db.md); a row is there before anything is
 * on disk ("creating") and as long as anything is ("removing"), so that whatever we are killed in
 * the middle of is undone or finished at the next start. The work is volume_work.h's, in the worker
 * "volume".
 */
#pragma once

#include <stdbool.h>

#include "api/volume.h"
#include "base/err.h"
#include "daemon/core/store.h"

struct jd_bundle_volume;
struct jd_core;
struct jd_worker;

#define JD_VOLUMES_MAX 1024

struct jd_volume {
    struct jd_core *core;
    struct jd_volume_row row;
    bool ready;           /* neither being made nor being removed */
    bool mending;         /* the worker unmounts, checks and mounts it */
    struct jd_call *call; /* who waits for the worker; NULL nobody */
    struct jd_volume *next;
};

struct jd_volumes {
    struct jd_volume *first; /* in order of names */
    unsigned n;
    int dirfd; /* volumes.base_path; -1: not open */
    struct jd_worker *worker;
};

/* Reads the rows, mounts what is to be mounted, undoes what was interrupted. Blocks; for the
 * start. A volume that can't be mounted is logged, and the jobs that name it are refused. 0, or
 * -errno with e filled. */
int jd_volumes_init(struct jd_core *c, struct jl_err *e);
void jd_volumes_done(struct jd_core *c);

/* Those that have become read-only are unmounted, checked and mounted again when no job names them:
 * in the worker; at the end of a job that had volumes, and with each sweep. */
void jd_volumes_mend(struct jd_core *c);
#define JD_VOLUME_DAMAGED "is damaged: it met an error (a full disk?) and became read-only"

/* Whether every volume that the request names can be used. 0; -ENOENT or -EBUSY with e filled. */
int jd_volumes_check(struct jd_core *c, const Joblet__RunJobRequest *q, struct jl_err *e);

/* The same, for a job's start, with what its bundle needs. Both answer strings are freed by
 * jd_volumes_release. */
int jd_volumes_take(struct jd_core *c, const Joblet__RunJobRequest *q,
                    struct jd_bundle_volume **ret, size_t *ret_n, struct jl_err *e);
void jd_volumes_release(struct jd_bundle_volume *v, size_t n);
