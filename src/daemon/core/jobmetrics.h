/*
 * jobmetrics.h - what each job uses, sampled while it runs and kept in files:
 * <job_metrics.storage_dir>/<id>/<time>.jsonl, a line a sample, which becomes <time>.jsonl.gz when
 * it is full or the job has ended (docs/formats/job-metrics.md). One timer for all jobs. Nothing
 * that fails here touches a job.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/loop.h"

struct jd_core;
struct jd_job;
struct jd_jobmetrics;

struct jd_metrics {
    int dirfd; /* job_metrics.storage_dir */
    struct jl_timer timer;
    struct jd_jobmetrics *first, *last; /* in the order they are due */
};

/* The job runs. anew: it just began, so it is sampled soon. */
void jd_metrics_begin(struct jd_job *j, bool anew);

/* The job has ended and its result is known: the last sample, and the file is closed. */
void jd_metrics_end(struct jd_job *j);

/* Forgets what is in memory; NULL j->metrics is fine. */
void jd_metrics_free(struct jd_job *j);
