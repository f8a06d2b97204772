/*
 * space_work.h - workspaces on disk with a limit: what a worker does for space.h, in a job's directory
 * (docs/formats/bundle.md). `work`, the uploads, becomes `up/data`; `work.img` is made and mounted
 * on `workfs`, and `up` copied into it, where `data` is the workspace and a reserve file beside it takes all of the
 * free space but what the job may have.
 *
 * Each may be done again after it was interrupted anywhere. All block; all need root.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/worker.h"

#define JD_SPACE_UPLOADS "up" /* in the job's directory, once the image is being made */
#define JD_SPACE_SOURCE "workfs/data"

/* A request; the descriptor of the job's directory comes with it. */
struct jd_space_job {
    char id[40];
    uint64_t free;  /* bytes that the job may write besides what is uploaded ... */
    uint64_t total; /* ... or, not 0: with it */
    bool has_uploads;
};

enum { JD_SPACE_MAKE, JD_SPACE_UNMAKE, JD_SPACE_WORK_N };
extern const jd_work_fn jd_space_work[JD_SPACE_WORK_N];

/* Whether something is mounted on `workfs` of this job's directory. */
bool jd_space_mounted(int job_dirfd);

/* Unmounts it; nothing there is success. 0, or -errno with e filled. */
int jd_space_unmount(int job_dirfd, struct jl_err *e);
