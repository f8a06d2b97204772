/*
 * logcall.h - a GetJobLogs call, between the two files that carry it out: logopen.c finds the segment
 * of the log, and in it the place, where reading begins; logcall.c sends what is there and follows.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "daemon/front/front.h"
#include "daemon/front/logread.h"

struct jd_logwatch;
struct jl_err;

#define JD_LOGCALL_JOB (JL_ID_LEN + 1)
#define JD_LOGCALL_RETRY_NS JL_NS_PER_S /* until core is asked again for what is not there yet */

enum jd_logcall_phase {
    JD_LOGCALL_OPEN,      /* core was asked for a segment */
    JD_LOGCALL_NOT_BEGUN, /* the job has no log yet */
    JD_LOGCALL_TAIL,      /* looking back for the beginning of the last lines */
    JD_LOGCALL_READ,
};

struct jd_logcall {
    struct jd_call call;
    struct jd_link_req req;
    struct jl_timer timer;
    struct jd_logread reader;
    struct jd_logwatch *watch;
    enum jd_logcall_phase phase;
    unsigned asked_segment;
    char job[JD_LOGCALL_JOB];      /* as the client wrote it: an id, or the beginning of one */
    char full_job[JD_LOGCALL_JOB]; /* as core says; empty when it doesn't */
    bool no_follow;
    bool polled;      /* no inotify descriptor was to be had */
    bool state_known; /* asked since the last event */
    bool job_ended;
    bool complete;     /* END was met: the job is about to end */
    bool tailing;      /* looking for where the last lines begin, first */
    bool tail_forward; /* for the last segment */
    bool tail_begun;
    uint64_t tail_lines, tail_end;
    uint64_t in_flight; /* bytes of the message on its way; 0: none */
    bool mid_line;      /* the last byte sent was no newline */
};

/* Asks core for a segment; JD_LOGCALL_READ and jd_logcall_pump follow, or the call's end. */
void jd_logcall_open(struct jd_logcall *lc, unsigned segment);

/* Sends the next chunk, if the client is ready for one. */
void jd_logcall_pump(struct jd_logcall *lc);

/* Joins the watch of this job or makes one of *fd, which is taken then. 0 or -ENOMEM. */
int jd_logcall_watch(struct jd_logcall *lc, int *fd);

/* The call is answered so. */
void jd_logcall_finish(struct jd_logcall *lc);
void jd_logcall_fail(struct jd_logcall *lc, const struct jl_err *e);
