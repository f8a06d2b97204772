/*
 * monitor.h - core's end of the host's monitoring: a sample every monitoring.system_interval, kept
 * packed, so that GetSystemStatus is answered at once; streams may have fresher ones. The looking
 * itself is sysmon.h's, in a worker.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"

struct jd_call;
struct jd_core;
struct jd_worker;

struct jd_monitor {
    struct jd_worker *worker;
    struct jl_timer timer;
    bool looking;            /* a sample is being taken */
    unsigned n_samples;      /* so far; stops at 2 */
    struct jd_call *waiters; /* for the one that is being taken */
    unsigned n_waiters;
    uint8_t *body; /* SystemStatusResponse, the last */
    size_t body_len;
    uint64_t taken_ns;
};

/* Begins to sample, if monitoring.enabled. */
void jd_monitor_start(struct jd_core *c);
void jd_monitor_done(struct jd_core *c);
