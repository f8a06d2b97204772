/* jobstate.c - see jobstate.h. One function a state; no default, so that -Wswitch-enum names the
 * event nobody thought of. */
#include "daemon/core/jobstate.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"

static const char *const state_names[JD_STATE_N] = {
    [JD_PENDING] = "PENDING", [JD_SCHEDULED] = "SCHEDULED", [JD_INITIALIZING] = "INITIALIZING",
    [JD_RUNNING] = "RUNNING", [JD_STOPPING] = "STOPPING",   [JD_COMPLETED] = "COMPLETED",
    [JD_FAILED] = "FAILED",   [JD_STOPPED] = "STOPPED",     [JD_CANCELED] = "CANCELED",
    [JD_TIMEOUT] = "TIMEOUT",
};

static const char *const event_names[JD_EV_N] = {
    [JD_EV_DUE] = "due",   [JD_EV_SLOT] = "slot",       [JD_EV_UP] = "up",
    [JD_EV_STOP] = "stop", [JD_EV_DONE] = "done",       [JD_EV_START_FAILED] = "start-failed",
    [JD_EV_LOST] = "lost", [JD_EV_PUT_OFF] = "put-off",
};

bool jd_state_is_ended(enum jd_state state)
{
    return state >= JD_COMPLETED;
}

bool jd_state_is_active(enum jd_state state)
{
    return state == JD_INITIALIZING || state == JD_RUNNING || state == JD_STOPPING;
}

const char *jd_state_name(enum jd_state state)
{
    return state < JD_STATE_N ? state_names[state] : "UNKNOWN";
}

const char *jd_event_name(enum jd_event ev)
{
    return ev < JD_EV_N ? event_names[ev] : "unknown";
}

int jd_state_parse(const char *name, enum jd_state *ret)
{
    for (size_t i = 0; i < JL_COUNT(state_names); i++)
        if (strcmp(state_names[i], name) == 0) {
            *ret = (enum jd_state) i;
            return 0;
        }
    return -EINVAL;
}

static int go(struct jd_move *ret, enum jd_state to, enum jd_action action)
{
    *ret = (struct jd_move){ .to = to, .action = action };
    return 0;
}

static int refuse(enum jd_state state, enum jd_event ev, struct jl_err *e)
{
    return jl_refuse(e, EPROTO, "event %s in state %s", jd_event_name(ev), jd_state_name(state));
}

/* Pending and scheduled: nothing of the job exists on the host but its record and uploads. */
static int on_waiting(enum jd_state state, enum jd_event ev, struct jd_move *ret, struct jl_err *e)
{
    switch (ev) {
    case JD_EV_DUE:
        if (state == JD_SCHEDULED)
            return go(ret, JD_PENDING, JD_ACT_NONE);
        break;
    case JD_EV_SLOT:
        return go(ret, JD_INITIALIZING, JD_ACT_START);
    case JD_EV_STOP:
        return go(ret, JD_CANCELED, JD_ACT_FINISH);
    case JD_EV_UP:
    case JD_EV_DONE:
    case JD_EV_START_FAILED:
    case JD_EV_PUT_OFF:
    case JD_EV_LOST:
    case JD_EV_N:
        break;
    }
    return refuse(state, ev, e);
}

static int on_initializing(enum jd_event ev, enum jd_state outcome, struct jd_move *ret,
                           struct jl_err *e)
{
    switch (ev) {
    case JD_EV_UP:
        return go(ret, JD_RUNNING, JD_ACT_NONE);
    case JD_EV_STOP:
        return go(ret, JD_STOPPING, JD_ACT_STOP);
    case JD_EV_DONE: /* over before we were told that it ran */
        return go(ret, outcome, JD_ACT_FINISH);
    case JD_EV_PUT_OFF:
        return go(ret, JD_PENDING, JD_ACT_NONE);
    case JD_EV_START_FAILED:
    case JD_EV_LOST:
        return go(ret, JD_FAILED, JD_ACT_FINISH);
    case JD_EV_DUE:
    case JD_EV_SLOT: /* it has one */
    case JD_EV_N:
        break;
    }
    return refuse(JD_INITIALIZING, ev, e);
}

static int on_running(enum jd_event ev, enum jd_state outcome, struct jd_move *ret,
                      struct jl_err *e)
{
    switch (ev) {
    case JD_EV_UP: /* told again after we were restarted */
        return go(ret, JD_RUNNING, JD_ACT_NONE);
    case JD_EV_STOP:
        return go(ret, JD_STOPPING, JD_ACT_STOP);
    case JD_EV_DONE:
        return go(ret, outcome, JD_ACT_FINISH);
    case JD_EV_LOST:
        return go(ret, JD_FAILED, JD_ACT_FINISH);
    case JD_EV_START_FAILED:
    case JD_EV_PUT_OFF:
    case JD_EV_DUE:
    case JD_EV_SLOT:
    case JD_EV_N:
        break;
    }
    return refuse(JD_RUNNING, ev, e);
}

/* However it ends from here on, the user asked for the end: STOPPED. */
static int on_stopping(enum jd_event ev, struct jd_move *ret, struct jl_err *e)
{
    switch (ev) {
    case JD_EV_UP: /* the shim connected only now: say again what we want */
    case JD_EV_STOP:
        return go(ret, JD_STOPPING, JD_ACT_STOP);
    case JD_EV_DONE:
    case JD_EV_START_FAILED:
    case JD_EV_LOST:
        return go(ret, JD_STOPPED, JD_ACT_FINISH);
    case JD_EV_PUT_OFF:
    case JD_EV_DUE:
    case JD_EV_SLOT:
    case JD_EV_N:
        break;
    }
    return refuse(JD_STOPPING, ev, e);
}

static int on_ended(enum jd_state state, enum jd_event ev, struct jl_err *e)
{
    if (ev == JD_EV_STOP)
        return jl_refuse(e, EBUSY, "the job has ended already (%s)", jd_state_name(state));
    return refuse(state, ev, e);
}

int jd_state_next(enum jd_state state, enum jd_event ev, enum jd_state outcome, struct jd_move *ret,
                  struct jl_err *e)
{
    switch (state) {
    case JD_PENDING:
    case JD_SCHEDULED:
        return on_waiting(state, ev, ret, e);
    case JD_INITIALIZING:
        return on_initializing(ev, outcome, ret, e);
    case JD_RUNNING:
        return on_running(ev, outcome, ret, e);
    case JD_STOPPING:
        return on_stopping(ev, ret, e);
    case JD_COMPLETED:
    case JD_FAILED:
    case JD_STOPPED:
    case JD_CANCELED:
    case JD_TIMEOUT:
        return on_ended(state, ev, e);
    case JD_STATE_N:
        break;
    }
    return refuse(state, ev, e);
}
