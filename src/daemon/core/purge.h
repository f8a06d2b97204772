/*
 * purge.h - ended jobs forgotten, with everything they have: by retention, by DeleteJob and
 * DeleteAllJobs. Many are forgotten a slice at a time, each slice one transaction.
 */
#pragma once

#include "base/err.h"
#include "base/loop.h"

struct jd_core;
struct jd_job;
struct jd_purge_call;

struct jd_purge {
    struct jl_timer timer;       /* the next slice */
    struct jd_purge_call *calls; /* DeleteAllJobs that wait for the end */
};

/* Forgets this one now. It must have ended and be stored. 0, or -errno with e filled. */
int jd_purge_one(struct jd_job *j, struct jl_err *e);

/* Ended jobs over the limits of joblet.retention go soon; logs over logs.retention_days at once. */
void jd_purge_retain(struct jd_core *c);

void jd_purge_done(struct jd_core *c);
