/* cmd_log.c - rnx job log. */
#include "api/status.h"
#include "base/cleanup.h"
#include "rnx/logs.h"
#include "rnx/remote.h"

struct log_opts {
    bool follow;
    bool no_follow;
    bool timestamps;
    int64_t tail;
};

static const struct rnx_opt items[] = {
    { "follow", 'f', RNX_OPT_BOOL, NULL, offsetof(struct log_opts, follow),
      "go on until the job ends (the default; --follow=false: no)" },
    { "no-follow", 0, RNX_OPT_BOOL, NULL, offsetof(struct log_opts, no_follow),
      "print what is there and end" },
    { "tail", 0, RNX_OPT_INT, "N", offsetof(struct log_opts, tail), "begin with the last N lines",
      1, 1000000000 },
    { "timestamps", 0, RNX_OPT_BOOL, NULL, offsetof(struct log_opts, timestamps),
      "begin each line with the time it was written" },
};

/*
 * The whole id, once and for all calls that may follow. Also tells a server that was never there
 * from one that goes away later. 0; -errno with e filled.
 */
static int look_up(struct rnx *x, char *word, char *id, size_t size, struct jl_err *e)
{
    Joblet__GetJobStatusRequest request = JOBLET__GET_JOB_STATUS_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    struct rpc_status st = { 0 };
    int r;

    snprintf(id, size, "%s", word);
    request.uuid = word;
    r = rnx_call(x, "/joblet.JobService/GetJobStatus", &request.base,
                 &joblet__get_job_status_response__descriptor, 0, &reply, &st, e);
    if (r < 0 && st.code == API_UNAVAILABLE) { /* it is just starting: worth waiting */
        jl_err_clear(e);
        return 0;
    }
    if (r < 0)
        return rnx_job_refused(&st, word, e);
    snprintf(id, size, "%s", ((const Joblet__GetJobStatusResponse *) reply)->uuid);
    protobuf_c_message_free_unpacked(reply, NULL);
    return 0;
}

static int run_log(struct rnx *x, int argc, char **argv, struct jl_err *e)
{
    _strv_ struct jl_strv words = JL_STRV_INIT;
    struct log_opts o = { .follow = true };
    struct rnx_log_opts lo = { .established = true };
    char id[256];
    int r = rnx_parse(x, &o, argc, argv, &words, e);

    if (r != 0)
        return r < 0 ? r : 0;
    if (words.len != 1)
        return rnx_usage(e, "rnx job log wants one job id");
    r = look_up(x, words.items[0], id, sizeof id, e);
    if (r < 0)
        return r;
    lo.follow = o.follow && !o.no_follow;
    lo.timestamps = o.timestamps;
    lo.tail = o.tail;
    rnx_catch_signals(x);
    r = rnx_log_stream(x, id, &lo, e);
    if (r == 1)
        fprintf(stderr, "rnx: no longer following; the job runs on\n");
    return r < 0 ? r : 0;
}

const struct rnx_cmd rnx_cmd_log = {
    .group = "job",
    .name = "log",
    .alone = true,
    .args = "<id> [flags]",
    .summary = "print what a job has written, and go on until it ends",
    .more =
        "Standard output and error come interleaved as they were written. Ctrl-C ends rnx, not\n"
        "the job. When the server restarts in the middle, the log goes on where it was.\n"
        "--json prints one object a piece: timestamp, stream, sequence, data (or data_base64); "
        "one\n"
        "that stands for output that is not there, dropped or no longer kept, has dropped_bytes.\n",
    .opts = &(const struct rnx_opts) RNX_OPTS(items),
    .run = run_log,
};
