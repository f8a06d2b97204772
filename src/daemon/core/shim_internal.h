/*
 * shim_internal.h - what the files behind shimlink.h share: shimlink.c watches a shim and talks to
 * it, shim_start.c starts one, shim_adopt.c finds one of an earlier run.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/loop.h"
#include "daemon/core/core.h"
#include "daemon/core/shimlink.h"

#define JD_LOST_SHIM "lost: supervisor died"
#define JD_SHIM_START_NS (10 * JL_NS_PER_S) /* until a job has begun */

struct jd_shim {
    struct jd_job *job;
    pid_t pid; /* our child; 0: adopted */
    int pidfd;
    int sync;                /* read end; one STATE message comes */
    int control;             /* -1: not connected */
    bool up;                 /* the job runs, or ended by itself */
    bool start_late;         /* it was ended since it did not begin */
    bool stop_unsaid;        /* it is to stop, and is told once it has said whether it does */
    uint64_t adopt_until_ns; /* a shim that was just started is waited for */
    struct jl_source pid_src, sync_src, control_src;
    struct jl_timer limit;
    struct jl_timer stuck; /* the job was to end by then */
    const char *without;   /* why it is lost if there is no record, while that can't be read */
    struct jl_err early;   /* why it ended before it ran anything, if it has told */
};

static inline struct jd_core *jd_shim_core(const struct jd_shim *s)
{
    return s->job->core;
}

/* A job's shim, not watched yet; the job's own until jd_shim_release. NULL with e filled. */
struct jd_shim *jd_shim_new(struct jd_job *j, struct jl_err *e);

/* Has the loop tell of its end (pidfd) and of its message (sync). 0, or -errno with e filled. */
int jd_shim_watch(struct jd_shim *s, struct jl_err *e);

/* Ends it when the job has not begun within JD_SHIM_START_NS from now. */
void jd_shim_limit(struct jd_shim *s);

/* From SIGTERM to SIGKILL: what the StopJob that came says, or the configuration. */
uint64_t jd_shim_grace_ms(const struct jd_job *j);

/* shim_stuck.c: the job was told to end. When it is there still 10 s after its grace the reason says
 * what holds it, and who waits is answered. */
void jd_shim_expect_end(struct jd_shim *s);

/* Connects to its control socket and asks for its state; a shim whose job is to stop is told so when
 * it answers. 0, -ENOENT nobody has listened there (yet), -ECONNREFUSED who did is gone, or
 * -errno. */
int jd_shim_connect_control(struct jd_shim *s);
void jd_shim_close_control(struct jd_shim *s);

/*
 * The shim is gone: tells the job's end from its exit record, or from the copy beside its log. When
 * there is none the job could not be started, if the shim has told so, or is lost for the reason
 * `without`, which is borrowed. What can't be read now, for want of
 * a descriptor or memory, is read later, and the job stays as it is. Releases the shim.
 */
void jd_shim_conclude(struct jd_shim *s, const char *without);

/* The job has ended and nobody knows how. */
void jd_shim_lost(struct jd_job *j, const char *reason);

/*
 * Takes the lock of a job's state directory, which its shim is started with and holds as long as it
 * lives: from before its first step, so that a directory without lock is one whose shim is gone, or
 * was never started. A descriptor that holds it, -EWOULDBLOCK somebody has it, or -errno.
 */
int jd_shim_lock(const struct jd_core *c, const char *id);
