/* cmd_cancel.c - rnx job cancel. */
#include <stdio.h>

#include "rnx/many.h"
#include "rnx/out.h"
#include "rnx/remote.h"

#define NOTE "The job did not run; it stays in the list until it is deleted."

static int cancel_one(struct rnx *x, char *id, struct jl_json_out *w, struct jl_err *e)
{
    Joblet__CancelJobRequest request = JOBLET__CANCEL_JOB_REQUEST__INIT;
    const Joblet__CancelJobResponse *s;
    struct rpc_status st = { 0 };
    ProtobufCMessage *reply = NULL;
    char text[128];
    int r;

    request.uuid = id;
    r = rnx_call(x, "/joblet.JobService/CancelJob", &request.base,
                 &joblet__cancel_job_response__descriptor, 0, &reply, &st, e);
    if (r < 0)
        return rnx_job_refused(&st, id, e);
    s = (const Joblet__CancelJobResponse *) reply;
    if (x->json) {
        jl_json_put_object(w, NULL);
        jl_json_put_bool(w, "canceled", true);
        jl_json_put_str(w, "job_id", s->uuid);
        jl_json_put_str(w, "status", s->status);
        jl_json_put_str(w, "message", NOTE);
        jl_json_end(w);
    } else {
        printf("Scheduled job canceled successfully:\nID: %s\n",
               rnx_tame(s->uuid, text, sizeof text));
        printf("Status: %s\n%s\n", rnx_status_text(s->status, x->colour, text, sizeof text), NOTE);
    }
    protobuf_c_message_free_unpacked(reply, NULL);
    return 0;
}

static int run_cancel(struct rnx *x, int argc, char **argv, struct jl_err *e)
{
    return rnx_each_id(x, argc, argv, cancel_one, e);
}

const struct rnx_cmd rnx_cmd_cancel = {
    .group = "job",
    .name = "cancel",
    .alone = true,
    .args = "<id>... [flags]",
    .summary = "cancel jobs that have not begun",
    .more =
        "For jobs that are SCHEDULED or PENDING; a job that runs is stopped by `rnx job stop`.\n"
        "The first 4 or more characters of an id will do.\n",
    .run = run_cancel,
};
