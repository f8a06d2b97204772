/*
 * space.h - the workspace of a job, /work: a tmpfs while that is small, the directory of its uploads
 * where nothing limits it, else a file system of its own in a file (space_work.h). That is made
 * before the shim is started and unmounted when the job's directory is removed, each by a worker of
 * its own: one that copies for minutes holds up nobody.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct jd_core;
struct jd_job;
struct jd_space;

struct jd_spaces {
    struct jd_space *first; /* being unmade */
};

enum jd_space_kind {
    JD_SPACE_MEMORY, /* a tmpfs of *ret_bytes, uploads included */
    JD_SPACE_DIR,    /* `work`, no limit */
    JD_SPACE_IMAGE,
};
enum jd_space_kind jd_space_of(const struct jd_job *j, uint64_t *ret_bytes);

/* Whether the uploads have room in what the job may have at all. 0, or -ENOSPC with e filled. */
int jd_space_check(const struct jd_core *c, bool has_volumes, uint64_t upload_bytes,
                   struct jl_err *e);

/*
 * Makes the image of a job that is INITIALIZING; jd_job_start is called again when it is there
 * (jd_space_is_made), or the job has failed. 0, or -errno with e filled.
 */
int jd_space_make(struct jd_job *j, struct jl_err *e);
bool jd_space_is_made(const struct jd_job *j);
/* The job runs: nothing can start it once more, so the uploads are not needed again. */
void jd_space_begun(struct jd_job *j);
/* The job is to stop while its workspace is made: it ends when nothing works on it any more. False:
 * none is being made. */
bool jd_space_stop(struct jd_job *j);
void jd_space_free(struct jd_job *j); /* with the job */

/* Removes jobs/<id>, or with `keep` only unmounts what is there. Goes on in the background. */
void jd_space_discard(struct jd_core *c, const char *id, bool keep);
bool jd_space_left(const struct jd_core *c, const char *id); /* is something mounted? */

/* At the daemon's end: what is being unmade is unmounted here and now. */
void jd_spaces_done(struct jd_core *c);
