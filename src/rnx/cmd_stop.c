/* cmd_stop.c - rnx job stop. */
#include <stdlib.h>

#include "base/clock.h"
#include "rnx/many.h"
#include "rnx/out.h"

/* The server answers when the job has ended, which takes its grace time. */
#define STOP_TIMEOUT_NS (300 * JL_NS_PER_S)

static void put_json(struct jl_json_out *w, const ProtobufCMessage *reply)
{
    const Joblet__StopJobResponse *s = (const Joblet__StopJobResponse *) reply;

    jl_json_put_object(w, NULL);
    jl_json_put_str(w, "uuid", s->uuid);
    jl_json_put_str(w, "status", s->status);
    rnx_json_str(w, "end_time", s->end_time);
    jl_json_put_i64(w, "exit_code", s->exit_code);
    jl_json_end(w);
}

static void print_text(const struct rnx *x, const ProtobufCMessage *reply)
{
    const Joblet__StopJobResponse *s = (const Joblet__StopJobResponse *) reply;
    char text[128];

    printf("Job stopped successfully:\nID: %s\n", rnx_tame(s->uuid, text, sizeof text));
    printf("Status: %s\n", rnx_status_text(s->status, x->colour, text, sizeof text));
    printf("Exit Code: %d\n", s->exit_code);
    if (s->end_time[0])
        printf("End Time: %s\n", rnx_time_text(s->end_time, true, "", text, sizeof text));
}

static int run_stop(struct rnx *x, int argc, char **argv, struct jl_err *e)
{
    bool given = getenv("RNX_TIMEOUT") && getenv("RNX_TIMEOUT")[0] != '\0';
    Joblet__StopJobRequest q = JOBLET__STOP_JOB_REQUEST__INIT;
    const struct rnx_ask ask = { .method = "/joblet.JobService/StopJob",
                                 .request = &q.base,
                                 .id = &q.uuid,
                                 .reply = &joblet__stop_job_response__descriptor,
                                 .timeout_ns = given ? 0 : STOP_TIMEOUT_NS,
                                 .put_json = put_json,
                                 .print_text = print_text };

    return rnx_ask_each(x, argc, argv, &ask, e);
}

const struct rnx_cmd rnx_cmd_stop = {
    .group = "job",
    .name = "stop",
    .alone = true,
    .args = "<id>... [flags]",
    .summary = "stop jobs: SIGTERM, a while later SIGKILL",
    .more = "Waits until each has ended. The first 4 or more characters of an id will do.\n",
    .run = run_stop,
};
