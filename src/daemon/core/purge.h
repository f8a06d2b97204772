/*
 * purge.h - ended jobs forgotten, with everything they have: by retention, by DeleteJob and
 * DeleteAllJobs. Many are forgotten a slice at a time, each slice one transaction.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/loop.h"

struct jd_core;
struct jd_job;
struct jd_purge_call;

struct jd_purge {
    struct jl_timer timer;       /* the next slice */
    int64_t ahead_ns;            /* the wall clock of CLOCK_BOOTTIME, at the last look */
    uint64_t steady_since_ns;    /* CLOCK_BOOTTIME; 0: not looked at yet */
    struct jd_purge_call *calls; /* DeleteAllJobs that wait for the end */
};

/* Forgets this one now. It must have ended and be stored. 0, or -errno with e filled. */
int jd_purge_one(struct jd_job *j, struct jl_err *e);

/*
 * A clock that is wrong at one start, or is set wrong, must not make everything old: by age only then
 * anything goes when the wall clock has not been set for an hour of this core's run, or for a tenth of
 * that age where that is less. To be looked at with each sweep, before.
 */
void jd_purge_look_at_clock(struct jd_core *c);
bool jd_purge_knows_time(const struct jd_core *c, uint64_t age_ns);

/* Ended jobs over the limits of joblet.retention go soon; logs over logs.retention_days at once. */
void jd_purge_retain(struct jd_core *c);

void jd_purge_done(struct jd_core *c);
