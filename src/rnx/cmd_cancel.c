/* cmd_cancel.c - rnx job cancel. */
#include <stdio.h>

#include "rnx/many.h"
#include "rnx/out.h"

#define NOTE "The job did not run; it stays in the list until it is deleted."

static void put_json(struct jl_json_out *w, const ProtobufCMessage *reply)
{
    const Joblet__CancelJobResponse *s = (const Joblet__CancelJobResponse *) reply;

    jl_json_put_object(w, NULL);
    jl_json_put_bool(w, "canceled", true);
    jl_json_put_str(w, "job_id", s->uuid);
    jl_json_put_str(w, "status", s->status);
    jl_json_put_str(w, "message", NOTE);
    jl_json_end(w);
}

static void print_text(const struct rnx *x, const ProtobufCMessage *reply)
{
    const Joblet__CancelJobResponse *s = (const Joblet__CancelJobResponse *) reply;
    char text[128];

    printf("Scheduled job canceled successfully:\nID: %s\n", rnx_tame(s->uuid, text, sizeof text));
    printf("Status: %s\n%s\n", rnx_status_text(s->status, x->colour, text, sizeof text), NOTE);
}

static int run_cancel(struct rnx *x, int argc, char **argv, struct jl_err *e)
{
    Joblet__CancelJobRequest q = JOBLET__CANCEL_JOB_REQUEST__INIT;
    const struct rnx_ask ask = { .method = "/joblet.JobService/CancelJob",
                                 .request = &q.base,
                                 .id = &q.uuid,
                                 .reply = &joblet__cancel_job_response__descriptor,
                                 .put_json = put_json,
                                 .print_text = print_text };

    return rnx_ask_each(x, argc, argv, &ask, e);
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
