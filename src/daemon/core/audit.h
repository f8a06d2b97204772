/*
 * audit.h - one JSON line for each call that changes something or was refused: who, what, on which
 * job, with which answer. No environment and no upload stands in it. docs/formats/audit.md.
 *
 * Refusals cost their client nothing, so one that repeats has a line at first, and then one that says
 * how often each ten seconds. Calls that were served always have a line each.
 *
 * Lines go to the page cache, as the log's do; nothing is waited for. One that the disk has no room
 * for is lost as a whole, counted, told in the log, and told in the file once there is room again.
 */
#pragma once

#include <stdint.h>

#include "base/loop.h"

struct jd_audit_refused;
struct jd_call;
struct jd_core;
struct jl_err;

struct jd_audit {
    int fd;                           /* -1: no audit */
    uint64_t lost;                    /* lines since the last one that was written */
    uint64_t told_ns;                 /* when the log was last told so */
    struct jd_audit_refused *refused; /* what was refused of late; NULL until something is */
    struct jl_timer timer;            /* for the repeated ones */
};

/* Opens audit.file for appending (0600); with audit.enabled off nothing is opened. 0, or -errno
 * with e filled. Called again on SIGHUP: what was counted until then is told in the old file. */
int jd_audit_open(struct jd_core *c, struct jl_err *e);
void jd_audit_done(struct jd_core *c); /* nothing that was counted is lost */

/* status: the gRPC code of the answer; text: its sentence, "" for none. */
void jd_audit(const struct jd_call *call, uint32_t status, const char *text);
