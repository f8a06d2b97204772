/* cmd_status.c - rnx job status. */
#include <errno.h>

#include "api/status.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "rnx/jobtext.h"
#include "rnx/out.h"
#include "rnx/remote.h"

struct status_opts {
    bool workflow;
    bool detail;
};

static const struct rnx_opt items[] = {
    { "workflow", 'w', RNX_OPT_BOOL, NULL, offsetof(struct status_opts, workflow),
      "the id is a workflow's (not built yet)" },
    { "detail", 'd', RNX_OPT_BOOL, NULL, offsetof(struct status_opts, detail),
      "with the workflow's YAML (not built yet)" },
};

static int print_status(const struct rnx *x, const Joblet__GetJobStatusResponse *s,
                        struct jl_err *e)
{
    _buf_ struct jl_buf b = JL_BUF_INIT(64u << 20);
    struct jl_json_out w;

    if (!x->json) {
        rnx_job_status_text(s, x->colour, jl_wall_ns());
        return 0;
    }
    rnx_json_begin(&w, &b, false);
    rnx_job_status_json(&w, s);
    return rnx_json_print(&w, stdout, e);
}

static int run_status(struct rnx *x, int argc, char **argv, struct jl_err *e)
{
    Joblet__GetJobStatusRequest request = JOBLET__GET_JOB_STATUS_REQUEST__INIT;
    _strv_ struct jl_strv words = JL_STRV_INIT;
    struct status_opts o = { 0 };
    struct rpc_status st = { 0 };
    ProtobufCMessage *reply = NULL;
    int r = rnx_parse(x, &o, argc, argv, &words, e);

    if (r != 0)
        return r < 0 ? r : 0;
    if (words.len != 1)
        return rnx_usage(e, "rnx job status wants one job id");
    if (o.workflow || o.detail)
        return jl_refuse(e, ENOSYS, "workflows are not built yet in this version");
    request.uuid = words.items[0];
    r = rnx_call(x, "/joblet.JobService/GetJobStatus", &request.base,
                 &joblet__get_job_status_response__descriptor, 0, &reply, &st, e);
    if (r < 0)
        return rnx_job_refused(&st, words.items[0], e);
    r = print_status(x, (const Joblet__GetJobStatusResponse *) reply, e);
    protobuf_c_message_free_unpacked(reply, NULL);
    return r;
}

const struct rnx_cmd rnx_cmd_status = {
    .group = "job",
    .name = "status",
    .alone = true,
    .args = "<id> [flags]",
    .summary = "show one job",
    .more = "The first 4 or more characters of an id will do when no other job's begin so.\n",
    .opts = &(const struct rnx_opts) RNX_OPTS(items),
    .run = run_status,
};
