/* cmd_delete.c - rnx job delete and rnx job delete-all. */
#include <stdio.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "rnx/many.h"
#include "rnx/out.h"
#include "rnx/remote.h"

#define DELETE_ALL_TIMEOUT_NS (300 * JL_NS_PER_S)

static void put_json(struct jl_json_out *w, const ProtobufCMessage *reply)
{
    const Joblet__DeleteJobResponse *s = (const Joblet__DeleteJobResponse *) reply;

    jl_json_put_object(w, NULL);
    jl_json_put_str(w, "uuid", s->uuid);
    jl_json_put_bool(w, "success", s->success);
    rnx_json_str(w, "message", s->message);
    jl_json_end(w);
}

static void print_text(const struct rnx *x, const ProtobufCMessage *reply)
{
    const Joblet__DeleteJobResponse *s = (const Joblet__DeleteJobResponse *) reply;
    char text[256];

    (void) x;
    printf("Job deleted successfully:\nID: %s\n", rnx_tame(s->uuid, text, sizeof text));
    printf("Message: %s\n", rnx_tame(s->message, text, sizeof text));
}

static int run_delete(struct rnx *x, int argc, char **argv, struct jl_err *e)
{
    Joblet__DeleteJobRequest q = JOBLET__DELETE_JOB_REQUEST__INIT;
    const struct rnx_ask ask = { .method = "/joblet.JobService/DeleteJob",
                                 .request = &q.base,
                                 .id = &q.uuid,
                                 .reply = &joblet__delete_job_response__descriptor,
                                 .put_json = put_json,
                                 .print_text = print_text };

    return rnx_ask_each(x, argc, argv, &ask, e);
}

static int print_all(struct rnx *x, const Joblet__DeleteAllJobsResponse *s, struct jl_err *e)
{
    _buf_ struct jl_buf b = JL_BUF_INIT(65536);
    struct jl_json_out w;
    char text[256];

    if (!x->json) {
        printf("Deleted: %d\nSkipped: %d\nMessage: %s\n", s->deleted_count, s->skipped_count,
               rnx_tame(s->message, text, sizeof text));
        return 0;
    }
    rnx_json_begin(&w, &b, false);
    jl_json_put_object(&w, NULL);
    jl_json_put_bool(&w, "success", s->success);
    jl_json_put_str(&w, "message", s->message);
    jl_json_put_i64(&w, "deleted_count", s->deleted_count);
    jl_json_put_i64(&w, "skipped_count", s->skipped_count);
    jl_json_end(&w);
    return rnx_json_print(&w, stdout, e);
}

static int run_delete_all(struct rnx *x, int argc, char **argv, struct jl_err *e)
{
    Joblet__DeleteAllJobsRequest request = JOBLET__DELETE_ALL_JOBS_REQUEST__INIT;
    _strv_ struct jl_strv words = JL_STRV_INIT;
    ProtobufCMessage *reply = NULL;
    int r = rnx_parse(x, NULL, argc, argv, &words, e);

    if (r != 0)
        return r < 0 ? r : 0;
    if (words.len > 0)
        return rnx_usage(e, "rnx job delete-all takes no id; rnx job delete does");
    r = rnx_call(x, "/joblet.JobService/DeleteAllJobs", &request.base,
                 &joblet__delete_all_jobs_response__descriptor, DELETE_ALL_TIMEOUT_NS, &reply, NULL,
                 e);
    if (r < 0)
        return r;
    r = print_all(x, (const Joblet__DeleteAllJobsResponse *) reply, e);
    protobuf_c_message_free_unpacked(reply, NULL);
    return r;
}

const struct rnx_cmd rnx_cmd_delete = {
    .group = "job",
    .name = "delete",
    .alone = true,
    .args = "<id>... [flags]",
    .summary = "delete jobs that have ended, with log and metrics",
    .more = "The first 4 or more characters of an id will do.\n",
    .run = run_delete,
};

const struct rnx_cmd rnx_cmd_delete_all = {
    .group = "job",
    .name = "delete-all",
    .alone = true,
    .args = "[flags]",
    .summary = "delete all jobs that have ended",
    .more = "Asks nothing. Jobs that run or wait are skipped and counted.\n",
    .run = run_delete_all,
};
