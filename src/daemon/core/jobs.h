/*
 * jobs.h - all jobs that core knows, oldest first: each is its stored record, its request, and
 * while it lives its shim and those who wait for its end. Every change of state goes through
 * jd_job_event, which stores it before anything else sees it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "api/joblet.pb-c.h"
#include "base/err.h"
#include "base/loop.h"
#include "daemon/core/jobstate.h"
#include "daemon/core/queue.h"
#include "daemon/core/store.h"

struct jd_core;
struct jd_call;
struct jd_deletion;
struct jd_jobmetrics;
struct jd_shim;
struct jd_space;
struct jd_submit;
struct ipc_exitrec;

struct jd_job {
    struct jd_core *core;
    struct jd_record rec;
    enum jd_state state;           /* rec.status is its name */
    Joblet__RunJobRequest *req;    /* defaults filled in; secrets with values until the end */
    bool light;                    /* ... without what is large: jobreq.h */
    bool has_secrets;              /* in the database */
    size_t request_bytes;          /* in the database, with the secrets */
    struct jd_shim *shim;          /* NULL: none to be watched */
    struct jd_space *space;        /* its workspace is being made; space.c's */
    struct jd_jobmetrics *metrics; /* NULL: not sampled */
    int pid;                       /* of its PID 1 on the host, from the shim; 0 unknown */
    uint64_t stop_grace_ms;        /* of the StopJob that came; UINT64_MAX: the configuration's */
    struct jd_call *waiters;       /* StopJob calls */
    bool unstored;                 /* its last change is not on disk yet; tried again */
    bool net_waits;                /* INITIALIZING, and its lease is being made (nets.h) */
    bool rate_waits, rate_set;     /* the same for its network rates */
    bool lease_unstored;           /* its address and host ids are not on disk yet */
    unsigned put_offs;             /* how often its start was put off; queue.c goes by it */
    bool cleaning;                 /* the runtime is removing what it has of it (clean.c) */
    bool doomed;                   /* ended, and about to be forgotten (purge.h) */
    size_t heap_at;                /* queue.c's */
    struct jd_blob listed;         /* op_job.c's; dropped at each change */
    struct jd_job *next, *prev;
    struct jd_job *next_alike; /* whose id begins alike: jobs_find.c's */
};

#define JD_JOBS_BUCKETS 4096 /* the first three digits of an id */

struct jd_jobs {
    struct jd_job *first, *last;   /* in order of submission */
    unsigned n, n_ended, n_active; /* active: from INITIALIZING to STOPPING */
    size_t request_bytes;          /* of those that have not ended */
    size_t submit_bytes;           /* of RunJobs that are not stored yet */
    struct jd_job *alike[JD_JOBS_BUCKETS];
    struct jl_timer again;     /* for unstored ones */
    struct jl_timer settle;    /* for secrets that are forgotten */
    struct jd_submit *submits; /* op_run.c's: to be stored together */
    struct jd_submit *syncing; /* ... whose uploads are on their way to the disk */
    struct jl_timer commit;
    struct jd_queue queue;
    uint32_t last_slot;            /* of host ids, so that they are not used again at once */
    struct jd_deletion *deletions; /* clean.c's: under way */
};

/* A job out of its record, not yet in the list. Takes the record over. NULL with e filled:
 * the record is the caller's still, with the lease that may be in it. */
struct jd_job *jd_job_new(struct jd_core *c, struct jd_record *own_rec, struct jl_err *e);
/*
 * The same for a record of an earlier run, which may be damaged. With the id it is a job all the same:
 * one that runs goes on without its request; one that waited becomes FAILED. NULL with e filled:
 * -ENOMEM, or there is no id.
 */
struct jd_job *jd_job_load(struct jd_core *c, struct jd_record *own_rec, struct jl_err *e);
/* Its record is in the database: the request as bytes is needed no more. */
void jd_job_stored(struct jd_job *j);
void jd_job_free(struct jd_job *j); /* not in the list; NULL is fine */

/* Into the list and, when it waits, the queue, which has room (jd_queue_reserve). */
void jd_jobs_add(struct jd_core *c, struct jd_job *j);
/* Out of the list, and freed. */
void jd_jobs_remove(struct jd_core *c, struct jd_job *j);
void jd_jobs_clear(struct jd_core *c);

/* Soon no file of the database holds a secret of a job that has ended. */
void jd_jobs_settle(struct jd_core *c);

/* The job with this id, or the only one whose id begins so (>= 4 characters). NULL with e filled:
 * -ENOENT none, -EINVAL several (up to five are named) or no id at all. */
struct jd_job *jd_jobs_find(const struct jd_core *c, const char *id, struct jl_err *e);
/* The job with exactly this id, or NULL. */
struct jd_job *jd_jobs_get(const struct jd_core *c, const char *id);
/* For jd_jobs_add and jd_jobs_remove. */
void jd_jobs_index(struct jd_core *c, struct jd_job *j);
void jd_jobs_unindex(struct jd_core *c, struct jd_job *j);

/*
 * Something happened to a job. reason goes into the record when the job ends by it (NULL: as it
 * is). outcome: see jd_state_next. 0, or -errno with e filled when it must not happen now; a
 * failure to store is not among them: it is logged and tried again.
 */
int jd_job_event(struct jd_job *j, enum jd_event ev, enum jd_state outcome, const char *reason,
                 struct jl_err *e);

/* Started before the machine was: whatever it had but files is gone. */
bool jd_job_is_of_earlier_boot(const struct jd_job *j);

/* Starts a job that is INITIALIZING already; a failure is told as below. */
void jd_job_start(struct jd_job *j);

/*
 * The job could not be brought as far as a shim: it ends. But for want of what comes again, as
 * jd_is_passing has it, it waits: what was begun is undone, it is PENDING, behind those that were not
 * put off, and the queue rests for some seconds before it tries again.
 */
void jd_job_start_failed(struct jd_job *j, const struct jl_err *why);

/* Whether what failed with this errno may be tried again: disk, quota, descriptors, memory. */
bool jd_is_passing(int code);

/* A first host id that no job has that lives or is being cleaned away; 0 with e filled when all are
 * taken. */
uint32_t jd_jobs_host_ids(struct jd_core *c, struct jl_err *e);

/* What an exit record means. reason holds JL_ERR_TEXT_MAX. */
struct jd_verdict {
    enum jd_state outcome;
    int exit_code;
    char reason[JL_ERR_TEXT_MAX];
};
void jd_verdict_of(const struct ipc_exitrec *r, uint64_t time_limit_s, struct jd_verdict *ret);
