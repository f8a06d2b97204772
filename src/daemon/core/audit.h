/*
 * audit.h - one JSON line for each call that changes something or was refused: who, what, on which
 * job, with which answer. No environment and no upload stands in it. docs/formats/audit.md.
 *
 * Lines go to the page cache, as the log's do; nothing is waited for. One that the disk has no room
 * for is lost as a whole, counted, told in the log, and told in the file once there is room again.
 */
#pragma once

#include <stdint.h>

struct jd_audit {
    int fd;           /* -1: no audit */
    uint64_t lost;    /* lines since the last one that was written */
    uint64_t told_ns; /* when the log was last told so */
};

struct jd_call;
struct jd_core;
struct jl_err;

/* Opens audit.file for appending (0600); with audit.enabled off nothing is opened. 0, or -errno
 * with e filled. Called again on SIGHUP. */
int jd_audit_open(struct jd_core *c, struct jl_err *e);

/* status: the gRPC code of the answer; text: its sentence, "" for none. */
void jd_audit(const struct jd_call *call, uint32_t status, const char *text);
