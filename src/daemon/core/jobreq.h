/*
 * jobreq.h - what is kept of the requests of jobs. A small one as a whole; of a large one what the
 * queue, the list and networks need: its arguments, environment and uploads are in the database
 * alone, read when the job starts and when somebody asks for its status.
 *
 * What those have in the database that have not ended has a ceiling, and so have RunJobs that are on
 * their way into it; one certificate gets three quarters of the first.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "api/joblet.pb-c.h"
#include "base/err.h"

#define JD_REQUEST_SMALL 4096                /* bytes of memory for what can be left out */
#define JD_REQUESTS_MAX ((size_t) 256 << 20) /* packed, of jobs that have not ended */
#define JD_SUBMITS_MAX ((size_t) 64 << 20)   /* packed, not stored yet */

struct jd_core;
struct jd_job;

/* Leaves out what is large. True when anything was. */
bool jd_request_lighten(Joblet__RunJobRequest *q);

/*
 * The job's request as a whole, secrets included until its end: the job's own, or one that is put into
 * *own, for jd_request_drop. NULL with e filled.
 */
const Joblet__RunJobRequest *jd_request_whole(const struct jd_job *j, Joblet__RunJobRequest **own,
                                              struct jl_err *e);
/* Overwrites the secrets' values and frees it. NULL is fine. */
void jd_request_drop(Joblet__RunJobRequest *own);

/* Swaps the masked entries of q for those of the packed secrets; nothing when there are none. */
struct jd_blob;
int jd_request_add_secrets(Joblet__RunJobRequest *q, const struct jd_blob *secrets,
                           struct jl_err *e);
/* Overwrites the secrets' values with asterisks. */
void jd_request_mask(Joblet__RunJobRequest *q);

/* Whether there is room for one more of this size, of this certificate. 0, or -EMFILE with e filled. */
int jd_request_check_room(const struct jd_core *c, const char *serial, size_t bytes,
                          struct jl_err *e);

static inline void jd_request_dropp(Joblet__RunJobRequest **q)
{
    jd_request_drop(*q);
}
#define _request_ __attribute__((cleanup(jd_request_dropp)))
