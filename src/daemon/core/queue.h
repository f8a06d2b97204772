/*
 * queue.h - jobs that wait: for their time (SCHEDULED, soonest first), then for a slot and for room
 * (PENDING, by priority, due time, submission). The first that is ready holds up the others, so
 * none waits for ever because smaller ones keep passing it.
 *
 * Room: what active jobs ask for (max_cpu, max_memory; nothing asked takes nothing) may not come to
 * more than joblet.cpuCapacity and joblet.memoryCapacity. A job that asks for more than there is at
 * all counts as asking for everything: it runs alone.
 *
 * Times are of the wall clock, with a timer that the kernel cancels when that is set. An absolute
 * time then stays what it is. A relative one ("1h") counts the seconds that pass: it is known on
 * CLOCK_BOOTTIME too, and moves on the wall clock. After a reboot nothing but the wall clock is
 * left, and it counts. The records say all there is to know.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/loop.h"

struct jd_core;
struct jd_job;

struct jd_heap {
    struct jd_job **items;
    size_t n;
    bool (*before)(const struct jd_job *a, const struct jd_job *b);
};

struct jd_queue {
    struct jd_heap due, ready;
    size_t size;  /* items that either has memory for */
    int timer_fd; /* -1: not open */
    struct jl_source src;
    struct jl_timer kick;                   /* jd_queue_run from the loop */
    uint64_t cpu_capacity, memory_capacity; /* percent of one core; MiB */
    uint64_t cpu_used, memory_used;         /* by active jobs */
    uint64_t resume_ns;        /* nothing is started before; 0 or gone by: there is no pause */
    uint64_t pause_ns;         /* how long the last one was; 0 since a job has begun */
    char why[112];             /* ... and for what */
    struct jl_timer due_again; /* relative times as the clock has them now, to be stored */
};

/* 0, or -errno with e filled. */
int jd_queue_init(struct jd_core *c, struct jl_err *e);
void jd_queue_done(struct jd_core *c);

/* Memory for `n` waiting jobs: jd_queue_add cannot fail then. 0 or -ENOMEM with e filled. */
int jd_queue_reserve(struct jd_core *c, size_t n, struct jl_err *e);

/* The wall clock was set, maybe: relative times are brought to it, here and in the database. */
void jd_queue_follow_clock(struct jd_core *c);

/* In and out, by the job's state; a job that waits for nothing is left alone. */
void jd_queue_add(struct jd_job *j);
void jd_queue_remove(struct jd_job *j);

/* A job has become active (by 1) or is it no more (by -1). */
void jd_queue_account(struct jd_job *j, int by);

/* Whether a job that comes now can start at once: nobody waits, a slot is free, there is room. */
bool jd_queue_is_free_for(const struct jd_core *c, int32_t max_cpu, int32_t max_memory);

/* Gives free slots to those that are ready, a few at a time. Never from inside a job's event: use
 * jd_queue_kick there. */
void jd_queue_run(struct jd_core *c);
void jd_queue_kick(struct jd_core *c);

/* Nothing is started for a while: what the next job would want is not to be had either, a disk or
 * descriptors. One second, and twice as long each time up to 30 s, until a job has begun. */
void jd_queue_pause(struct jd_core *c, const char *why);
/* A job has begun. */
void jd_queue_works(struct jd_core *c);

/* Why a job waits, for people; "" when it does not. Returns buf. */
char *jd_queue_why(const struct jd_job *j, char *buf, size_t size);
