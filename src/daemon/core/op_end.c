/* op_end.c - StopJob and CancelJob: both wait for the job's end, and are answered with it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/validate.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/core/core.h"
#include "daemon/core/request.h"

#define STOP_GRACE_MAX_MS 3600000
#define WAITERS_MAX 64        /* calls that wait for the end of one job */
#define WAITERS_CLIENT_MAX 48 /* of one certificate */

void jd_reply_ended(const struct jd_call *call, const struct jd_job *j)
{
    Joblet__StopJobResponse stop = JOBLET__STOP_JOB_RESPONSE__INIT;
    Joblet__CancelJobResponse cancel = JOBLET__CANCEL_JOB_RESPONSE__INIT;
    char end_time[JL_RFC3339_MAX] = "";

    if (call->op == JD_OP_CANCEL_JOB) {
        cancel.uuid = (char *) (uintptr_t) j->rec.id;
        cancel.status = j->rec.status;
        jd_reply(call, &cancel.base);
        return;
    }
    if (j->rec.ended_wall_ns > 0)
        jl_rfc3339(j->rec.ended_wall_ns, 3, end_time);
    stop.uuid = (char *) (uintptr_t) j->rec.id;
    stop.status = j->rec.status;
    stop.end_time = end_time;
    stop.exit_code = j->rec.exit_code;
    jd_reply(call, &stop.base);
}

/* Front forgets a call whose client went, and core is not told: without a ceiling those of a job that
 * takes an hour to end would be as many as a client likes. Those of a front before this one wait on,
 * for the audit file alone. */
static int check_waiters(const struct jd_call *call, const struct jd_job *j, struct jl_err *e)
{
    unsigned all = 0, same = 0;

    for (const struct jd_call *w = j->waiters; w; w = w->next) {
        if (w->generation != call->generation)
            continue;
        all++;
        same += strcmp(w->who.serial, call->who.serial) == 0;
    }
    if (all < WAITERS_MAX && same < WAITERS_CLIENT_MAX)
        return 0;
    jl_refuse(e, EMFILE, "job %s: %u calls wait for its end already, %u of them of this client",
              j->rec.id, all, same);
    return jl_hint(e, "it is being stopped; see when it has ended: rnx job status %.8s", j->rec.id);
}

/* Asks for the end; the call waits for it. 0, or -errno with e filled. */
static int end_job(struct jd_call *call, struct jd_job *j, struct jl_err *e)
{
    struct jd_call *waits = jd_call_keep(call);
    int r;

    if (!waits)
        return jl_fail(e, ENOMEM, "stop job %s", j->rec.id);
    waits->next = j->waiters; /* before the event: a waiting job ends in it */
    j->waiters = waits;
    r = jd_job_event(j, JD_EV_STOP, JD_CANCELED, "canceled before it began", e);
    if (r < 0) {
        j->waiters = waits->next;
        free(waits);
        return jl_wrap(e, "job %s", j->rec.id);
    }
    jl_log_info("job.stop", "job=%s client=%s", call->job_id, call->who.common_name);
    return 0;
}

static int stop(struct jd_call *call, const Joblet__StopJobRequest *q, struct jl_err *e)
{
    struct jd_job *j = NULL;
    int r = api_validate_stop_job(q, e);

    if (r < 0)
        return r;
    j = jd_jobs_find(call->core, q->uuid, e);
    if (!j)
        return -e->code;
    memcpy(call->job_id, j->rec.id, sizeof call->job_id);
    r = check_waiters(call, j, e);
    if (r < 0)
        return r;
    if (q->grace_ms > 0)
        j->stop_grace_ms =
            q->grace_ms < STOP_GRACE_MAX_MS ? (uint64_t) q->grace_ms : STOP_GRACE_MAX_MS;
    return end_job(call, j, e);
}

static int cancel(struct jd_call *call, const Joblet__CancelJobRequest *q, struct jl_err *e)
{
    struct jd_job *j = jd_jobs_find(call->core, q->uuid, e);

    if (!j)
        return -e->code;
    memcpy(call->job_id, j->rec.id, sizeof call->job_id);
    if (j->state == JD_SCHEDULED || j->state == JD_PENDING)
        return end_job(call, j, e);
    jl_refuse(e, EBUSY, "job %s is %s: only a job that has not begun can be canceled", j->rec.id,
              j->rec.status);
    if (!jd_state_is_ended(j->state))
        jl_hint(e, "stop it: rnx job stop %.8s", j->rec.id);
    return -e->code;
}

void jd_op_stop(struct jd_call *call, const struct ipc_frame *f)
{
    ProtobufCMessage *in = NULL;
    struct jl_err e = JL_ERR_INIT;
    int r;

    r = api_unpack_request(&joblet__stop_job_request__descriptor, f->body, f->body_len, &in, &e);
    if (r == 0)
        r = stop(call, (const Joblet__StopJobRequest *) in, &e);
    if (in)
        protobuf_c_message_free_unpacked(in, NULL);
    if (r < 0)
        jd_reply_error(call, &e);
}

void jd_op_cancel(struct jd_call *call, const struct ipc_frame *f)
{
    ProtobufCMessage *in = NULL;
    struct jl_err e = JL_ERR_INIT;
    int r;

    r = api_unpack_request(&joblet__cancel_job_request__descriptor, f->body, f->body_len, &in, &e);
    if (r == 0)
        r = cancel(call, (const Joblet__CancelJobRequest *) in, &e);
    if (in)
        protobuf_c_message_free_unpacked(in, NULL);
    if (r < 0)
        jd_reply_error(call, &e);
}
