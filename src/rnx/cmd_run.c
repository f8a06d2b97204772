/* cmd_run.c - rnx job run. */
#include <errno.h>
#include <string.h>

#include "api/status.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "rnx/jobtext.h"
#include "rnx/logs.h"
#include "rnx/out.h"
#include "rnx/runspec.h"
#include "rnx/stream.h"

/* Uploads that come with the request, or that the server has to walk: 30 s and a second for each MiB. */
static uint64_t deadline_ns(const struct rnx *x, const struct rnx_runspec *s)
{
    uint64_t base = x->timeout_ns ? x->timeout_ns : 30 * JL_NS_PER_S;

    return base + (s->uploads.bytes >> 20) * JL_NS_PER_S;
}

/* The words, and MB however few they are, are what scripts look for. */
static void say_uploads(const struct rnx *x, const struct rnx_runspec *s, bool wait)
{
    if (s->uploads.n_files == 0)
        return;
    fprintf(x->json || wait ? stderr : stdout, "Uploading %zu files (%.2f MB)...\n",
            s->uploads.n_files, (double) s->uploads.bytes / (1 << 20));
    fflush(stdout);
}

static void print_text(FILE *to, const struct rnx *x, const struct rnx_run_opts *o,
                       const struct rnx_runspec *s, const Joblet__RunJobResponse *r)
{
    const Joblet__RunJobRequest *q = &s->request;
    char line[8192], tame[8192];
    bool scheduled = o->schedule && strcmp(r->status, "SCHEDULED") == 0;

    rnx_command_text(q->command, q->args, q->n_args, 0, line, sizeof line);
    fprintf(to, "%s\nID: %s\n", scheduled ? "Job scheduled:" : "Job started:",
            rnx_tame(r->job_uuid, tame, sizeof tame));
    fprintf(to, "Command: %s\n", rnx_tame(line, tame, sizeof tame));
    fprintf(to, "Status: %s\n",
            rnx_status_text(r->status, x->colour && to == stdout, line, sizeof line));
    if (o->schedule)
        fprintf(to, "Schedule Input: %s\nScheduled Time: %s\n", o->schedule,
                r->scheduled_time[0] ? rnx_tame(r->scheduled_time, tame, sizeof tame) : s->due);
    else if (r->start_time[0])
        fprintf(to, "StartTime: %s\n", rnx_tame(r->start_time, tame, sizeof tame));
    if (s->uploads.n_files)
        fprintf(to, "Files: %zu uploaded successfully\n", s->uploads.n_files);
    if (q->n_environment)
        fprintf(to, "Environment: %zu variables set\n", q->n_environment);
    if (q->n_secret_environment)
        fprintf(to, "Secret Environment: %zu variables set\n", q->n_secret_environment);
}

static int print_json(const struct rnx_run_opts *o, const struct rnx_runspec *s,
                      const Joblet__RunJobResponse *r, struct jl_err *e)
{
    const Joblet__RunJobRequest *q = &s->request;
    _buf_ struct jl_buf b = JL_BUF_INIT(64u << 20);
    struct jl_json_out w;

    rnx_json_begin(&w, &b, o->wait);
    jl_json_put_object(&w, NULL);
    jl_json_put_str(&w, "job_uuid", r->job_uuid);
    jl_json_put_str(&w, "id", r->job_uuid);
    jl_json_put_str(&w, "command", q->command);
    rnx_json_strv(&w, "args", q->args, q->n_args);
    jl_json_put_str(&w, "status", r->status);
    rnx_json_str(&w, "start_time", r->start_time);
    rnx_json_str(&w, "schedule_input", o->schedule);
    rnx_json_str(&w, "scheduled_time",
                 o->schedule && !r->scheduled_time[0] ? s->due : r->scheduled_time);
    rnx_json_int(&w, "files_uploaded", (int64_t) s->uploads.n_files);
    rnx_json_int(&w, "env_vars", (int64_t) q->n_environment);
    rnx_json_int(&w, "secret_env_vars", (int64_t) q->n_secret_environment);
    jl_json_end(&w);
    return rnx_json_print(&w, stdout, e);
}

/* Asks until the job has ended; its log can be complete a moment before its record is. */
static int wait_ended(struct rnx *x, const char *id, Joblet__GetJobStatusResponse **ret,
                      struct jl_err *e)
{
    Joblet__GetJobStatusRequest request = JOBLET__GET_JOB_STATUS_REQUEST__INIT;
    uint64_t give_up = jl_now_ns() + RNX_PATIENCE_S * JL_NS_PER_S, pause = 5 * JL_NS_PER_MS;

    request.uuid = (char *) (uintptr_t) id;
    for (;;) {
        ProtobufCMessage *reply = NULL;
        struct rpc_status st = { 0 };
        int r = rnx_call(x, "/joblet.JobService/GetJobStatus", &request.base,
                         &joblet__get_job_status_response__descriptor, 0, &reply, &st, e);

        if (rnx_interrupted()) {
            protobuf_c_message_free_unpacked(reply, NULL);
            return 1;
        }
        *ret = (Joblet__GetJobStatusResponse *) reply;
        if (r == 0 && rnx_job_has_ended((*ret)->status))
            return 0;
        protobuf_c_message_free_unpacked(reply, NULL);
        *ret = NULL;
        if (r < 0 && !rnx_is_transient(e, &st))
            return r;
        if (jl_now_ns() > give_up)
            return r < 0 ? r
                         : jl_refuse(e, ETIMEDOUT,
                                     "job %s: its log is complete, but the "
                                     "server does not say that it ended",
                                     id);
        jl_err_clear(e);
        rnx_sleep_ns(pause);
        if (r < 0 && (r = rnx_reconnect(x, e)) < 0)
            return r;
        pause = pause * 2 > JL_NS_PER_S ? JL_NS_PER_S : pause * 2;
    }
}

static int exit_status(const Joblet__GetJobStatusResponse *s)
{
    bool well = strcmp(s->status, "COMPLETED") == 0;

    if (s->exit_code > 0 && s->exit_code < 256)
        return s->exit_code;
    return well ? 0 : 1;
}

static int tell_end(const struct rnx *x, const Joblet__GetJobStatusResponse *s, struct jl_err *e)
{
    _buf_ struct jl_buf b = JL_BUF_INIT(64u << 20);
    struct jl_json_out w;
    char tame[1024];

    if (x->json) {
        rnx_json_begin(&w, &b, true);
        rnx_job_status_json(&w, s);
        return rnx_json_print(&w, stdout, e);
    }
    if (strcmp(s->status, "COMPLETED") != 0)
        fprintf(stderr, "rnx: job %s ended as %s, exit code %d%s%s\n", s->uuid, s->status,
                s->exit_code, s->reason[0] ? ": " : "", rnx_tame(s->reason, tame, sizeof tame));
    return 0;
}

/* The log, then the exit code. */
static int wait_for(struct rnx *x, const char *id, struct jl_err *e)
{
    struct rnx_log_opts lo = { .follow = true, .established = true };
    Joblet__GetJobStatusResponse *s = NULL;
    int r, status;

    rnx_catch_signals(x);
    r = rnx_log_stream(x, id, &lo, e);
    if (r == 0)
        r = wait_ended(x, id, &s, e);
    if (r == 1) /* not 130: that would be a job's */
        return jl_refuse(e, EINTR, "interrupted: nobody waits for job %s any more, which runs on",
                         id);
    if (r < 0)
        return r;
    status = exit_status(s);
    r = tell_end(x, s, e);
    joblet__get_job_status_response__free_unpacked(s, NULL);
    return r < 0 ? r : status;
}

static int send_uploads(struct rnx *x, const struct rnx_run_opts *o, struct rnx_runspec *s,
                        struct jl_err *e)
{
    char *session = NULL;
    int r;

    say_uploads(x, s, o->wait);
    if (!s->staged)
        return 0;
    r = rnx_uploads_stage(x, &s->uploads, &session, e);
    if (r == 1)
        return jl_refuse(e, EINTR,
                         "interrupted: nothing was submitted, and nothing stays on the server");
    return r < 0 ? r : rnx_runspec_staged(o, session, jl_wall_ns(), s, e);
}

static int submit(struct rnx *x, const struct rnx_run_opts *o, struct rnx_runspec *s,
                  struct jl_err *e)
{
    ProtobufCMessage *reply = NULL;
    const Joblet__RunJobResponse *answer;
    struct rpc_status st = { 0 };
    int r;

    r = rnx_connect(x, e);
    if (r == 0)
        r = send_uploads(x, o, s, e);
    if (r != 0)
        return r;
    r = rnx_call(x, "/joblet.JobService/RunJob", &s->request.base,
                 &joblet__run_job_response__descriptor, deadline_ns(x, s), &reply, &st, e);
    if (r < 0) {
        if (st.code != API_OK ? rnx_is_transient(e, &st)
                              : e->code == ECONNRESET || e->code == ETIME || e->code == EINTR)
            jl_hint(e, "The job may have been taken all the same; see rnx job list.");
        return r;
    }
    answer = (const Joblet__RunJobResponse *) reply;
    if (x->json)
        r = print_json(o, s, answer, e);
    else
        print_text(o->wait ? stderr : stdout, x, o, s, answer);
    if (r == 0 && o->wait)
        r = wait_for(x, answer->job_uuid, e);
    protobuf_c_message_free_unpacked(reply, NULL);
    return r;
}

static int run_run(struct rnx *x, int argc, char **argv, struct jl_err *e)
{
    _strv_ struct jl_strv words = JL_STRV_INIT;
    struct rnx_run_opts o = { 0 };
    struct rnx_runspec s = { 0 };
    int r = rnx_parse(x, &o, argc, argv, &words, e);

    if (r == 0) {
        r = rnx_runspec_make(&o, &words, jl_wall_ns(), &s, e);
        if (r == 0) {
            rnx_runspec_warn(&s, &words);
            r = submit(x, &o, &s, e);
        }
        rnx_runspec_done(&s);
    } else if (r == 1) {
        r = 0;
    }
    rnx_run_opts_done(&o);
    return r;
}

const struct rnx_cmd rnx_cmd_run = {
    .group = "job",
    .name = "run",
    .alone = true,
    .tail = true,
    .args = "[flags] <command> [arguments...]",
    .summary = "run a command on the server",
    .more =
        "Flags end at the first word without a dash, or after --; all that follows is the job's.\n"
        "A single word with blanks or shell characters is run by /bin/sh -c.\n"
        "The job starts in /work, where its uploads are. rnx returns at once, with --wait when\n"
        "the job has ended.\n",
    .opts = &rnx_run_opts,
    .run = run_run,
};
