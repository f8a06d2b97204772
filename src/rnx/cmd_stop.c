/* cmd_stop.c - rnx job stop. */
#include "base/clock.h"
#include "rnx/many.h"
#include "rnx/out.h"
#include "rnx/remote.h"

/* The server answers when the job has ended, which takes its grace time. */
#define STOP_TIMEOUT_NS (300 * JL_NS_PER_S)

static void put_json(struct jl_json_out *w, const Joblet__StopJobResponse *s)
{
    jl_json_put_object(w, NULL);
    jl_json_put_str(w, "uuid", s->uuid);
    jl_json_put_str(w, "status", s->status);
    rnx_json_str(w, "end_time", s->end_time);
    jl_json_put_i64(w, "exit_code", s->exit_code);
    jl_json_end(w);
}

static void print_text(const struct rnx *x, const Joblet__StopJobResponse *s)
{
    char text[128];

    printf("Job stopped successfully:\nID: %s\n", rnx_tame(s->uuid, text, sizeof text));
    printf("Status: %s\n", rnx_status_text(s->status, x->colour, text, sizeof text));
    printf("Exit Code: %d\n", s->exit_code);
    if (s->end_time[0])
        printf("End Time: %s\n", rnx_time_text(s->end_time, true, "", text, sizeof text));
}

static int stop_one(struct rnx *x, char *id, struct jl_json_out *w, struct jl_err *e)
{
    Joblet__StopJobRequest request = JOBLET__STOP_JOB_REQUEST__INIT;
    struct rpc_status st = { 0 };
    ProtobufCMessage *reply = NULL;
    bool given = getenv("RNX_TIMEOUT") && getenv("RNX_TIMEOUT")[0] != '\0';
    int r;

    request.uuid = id;
    r = rnx_call(x, "/joblet.JobService/StopJob", &request.base,
                 &joblet__stop_job_response__descriptor, given ? 0 : STOP_TIMEOUT_NS, &reply, &st,
                 e);
    if (r < 0)
        return rnx_job_refused(&st, id, e);
    if (x->json)
        put_json(w, (const Joblet__StopJobResponse *) reply);
    else
        print_text(x, (const Joblet__StopJobResponse *) reply);
    protobuf_c_message_free_unpacked(reply, NULL);
    return 0;
}

static int run_stop(struct rnx *x, int argc, char **argv, struct jl_err *e)
{
    return rnx_each_id(x, argc, argv, stop_one, e);
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
