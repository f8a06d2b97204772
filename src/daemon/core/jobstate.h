/*
 * jobstate.h - the states of a job and what each event does there. Pure: no system call, no
 * memory of its own; core's jobs.c carries out what it answers.
 *
 * The moves are those of docs/formats/job-states.md; an ended state never changes.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"

enum jd_state {
    JD_PENDING, /* waits for a free slot */
    JD_SCHEDULED,
    JD_INITIALIZING,
    JD_RUNNING,
    JD_STOPPING,
    JD_COMPLETED, /* from here on: ended */
    JD_FAILED,
    JD_STOPPED,
    JD_CANCELED,
    JD_TIMEOUT,
    JD_STATE_N,
};

enum jd_event {
    JD_EV_DUE,          /* its time has come */
    JD_EV_SLOT,         /* a slot is free */
    JD_EV_UP,           /* the shim says that the command runs */
    JD_EV_STOP,         /* somebody asked for the end */
    JD_EV_DONE,         /* the exit record was read; `outcome` says what it means */
    JD_EV_START_FAILED, /* core could not bring the job as far as a shim */
    JD_EV_LOST,         /* the shim is gone and left no record */
    JD_EV_PUT_OFF,      /* as START_FAILED, for want of what comes again: disk, descriptors */
    JD_EV_N,
};

/* What the caller has to do after the move has been stored. */
enum jd_action {
    JD_ACT_NONE,
    JD_ACT_START,  /* bundle and shim */
    JD_ACT_STOP,   /* tell the shim to stop the job */
    JD_ACT_FINISH, /* clean up, answer those who wait */
};

struct jd_move {
    enum jd_state to;
    enum jd_action action;
};

/*
 * outcome is read for JD_EV_DONE only: JD_COMPLETED, JD_FAILED, JD_STOPPED or JD_TIMEOUT.
 * 0 with *ret filled (to may be the state it was in), or -EPROTO with e filled: the event must not
 * come in this state; -EBUSY for JD_EV_STOP of an ended job, which is the user's mistake.
 */
int jd_state_next(enum jd_state state, enum jd_event ev, enum jd_state outcome, struct jd_move *ret,
                  struct jl_err *e);

bool jd_state_is_ended(enum jd_state state);
bool jd_state_is_active(enum jd_state state);   /* it has what a job needs to run */
const char *jd_state_name(enum jd_state state); /* "RUNNING" */
const char *jd_event_name(enum jd_event ev);
/* 0 or -EINVAL. */
int jd_state_parse(const char *name, enum jd_state *ret);
