/*
 * run.c - RunJob. Without uploads it is one request to core. With them: core makes a staging
 * directory and passes its descriptor (STAGE), the files are written below it slice by slice, then
 * the request goes to core without their contents but with the session's name. Whatever fails on
 * the way, or a client that vanishes, gives the directory back (UNSTAGE).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/joblet.pb-c.h"
#include "api/validate.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/front/decode.h"
#include "daemon/front/front.h"
#include "daemon/front/stage.h"
#include "daemon/front/upload_wire.h"
#include "rpc/server.h"

#define SLICE_BYTES ((size_t) 1 << 20) /* of uploads written before others get their turn */

struct run {
    struct jd_call call;
    struct jd_link_req req;
    struct jl_timer timer; /* core's answer is due, or the next slice is */
    Joblet__RunJobRequest *msg;
    Joblet__FileUpload *files; /* what msg->uploads points to */
    struct jd_uploads uploads;
    struct jd_stage stage;
    bool staging;
    char session[IPC_LINK_TEXT_MAX]; /* empty: there is none to give back */
};

/* The uploads' structs are ours, not protobuf-c's. */
static void free_message(struct run *run)
{
    if (run->msg) {
        free(run->msg->uploads);
        run->msg->uploads = NULL;
        run->msg->n_uploads = 0;
        joblet__run_job_request__free_unpacked(run->msg, NULL);
    }
    free(run->files);
    run->msg = NULL;
    run->files = NULL;
    jd_uploads_done(&run->uploads);
}

static void end_staging(struct run *run)
{
    jl_loop_disarm(run->call.front->loop, &run->timer);
    if (run->staging)
        jd_stage_done(&run->stage);
    run->staging = false;
}

/* Gives the session back to core, which removes what was written. */
static void unstage(struct run *run)
{
    struct ipc_frame f = jd_call_frame(&run->call, JD_OP_UNSTAGE);
    struct jl_err e = JL_ERR_INIT;

    if (run->session[0] == '\0')
        return;
    snprintf(f.text, sizeof f.text, "%s", run->session);
    run->session[0] = '\0';
    if (jd_link_ask(&run->call.front->link, &f, NULL, NULL, &e) < 0)
        jl_log_fail(&e, "run.unstage", "peer=%s", run->call.who.peer);
}

static void run_free(struct run *run)
{
    end_staging(run);
    jd_link_forget(&run->call.front->link, &run->req);
    free_message(run);
    jd_call_end(&run->call);
    free(run);
}

static void fail(struct run *run, const struct jl_err *e)
{
    end_staging(run);
    unstage(run);
    jd_call_fail(&run->call, e);
}

/* A request to core that is on its way decides about the session, so it is waited for even when
 * the client is gone. */
static void run_gone(struct jd_call *c)
{
    struct run *run = JL_CONTAINER(c, struct run, call);

    if (run->req.id != 0)
        return;
    end_staging(run); /* first: the files' contents went with the client's call */
    unstage(run);
    run_free(run);
}

static int run_late(struct jl_timer *timer)
{
    struct run *run = JL_CONTAINER(timer, struct run, timer);

    jd_call_timed_out(&run->call); /* on_gone leaves the rest to core's answer */
    return 0;
}

static void run_reply(struct jd_link_req *req, struct ipc_received *r)
{
    struct run *run = JL_CONTAINER(req, struct run, req);

    jl_loop_disarm(run->call.front->loop, &run->timer);
    if (r->frame.status != API_OK)
        unstage(run);
    run->session[0] = '\0'; /* it is the job's now */
    if (!run->call.rpc) {
        run_free(run);
        return;
    }
    jd_call_reply(&run->call, &r->frame);
}

static int send_run(struct run *run, struct jl_err *e)
{
    struct ipc_frame f = jd_call_frame(&run->call, JD_OP_RUN_JOB);
    _free_ uint8_t *body = NULL;
    char *own_session;
    int r;

    for (size_t i = 0; i < run->uploads.n; i++)
        run->files[i].content = (ProtobufCBinaryData){ 0 };
    own_session = run->msg->upload_session;
    if (run->session[0])
        run->msg->upload_session = run->session;
    f.body_len = joblet__run_job_request__get_packed_size(run->msg);
    body = malloc(f.body_len + 1);
    if (body)
        joblet__run_job_request__pack(run->msg, body);
    run->msg->upload_session = own_session;
    free_message(run);
    rpc_call_drop_request(run->call.rpc);
    if (!body)
        return jl_fail(e, ENOMEM, "encode the request");
    f.body = body;
    r = jd_link_ask(&run->call.front->link, &f, &run->req, run_reply, e);
    run->call.asked = r == 0;
    if (r == 0)
        jl_loop_arm(run->call.front->loop, &run->timer, jd_call_due_ns(&run->call, 0), run_late);
    return r;
}

static int write_slice(struct jl_timer *timer)
{
    struct run *run = JL_CONTAINER(timer, struct run, timer);
    struct jl_err e = JL_ERR_INIT;
    int r = jd_stage_step(&run->stage, SLICE_BYTES, &e);

    if (r > 0) {
        jl_loop_arm(run->call.front->loop, &run->timer, jl_now_ns(), write_slice);
        return 0;
    }
    if (r == 0) {
        end_staging(run);
        r = send_run(run, &e);
    }
    if (r < 0)
        fail(run, &e);
    return 0;
}

static void stage_reply(struct jd_link_req *req, struct ipc_received *r)
{
    struct run *run = JL_CONTAINER(req, struct run, req);
    struct jl_err e = JL_ERR_INIT;

    jl_loop_disarm(run->call.front->loop, &run->timer);
    if (r->frame.status == API_OK)
        snprintf(run->session, sizeof run->session, "%s", r->frame.text);
    if (!run->call.rpc || run->call.finished) { /* gone, or told that core is too late */
        unstage(run);
        if (!run->call.rpc)
            run_free(run);
        return;
    }
    if (r->frame.status != API_OK) {
        jd_call_reply(&run->call, &r->frame);
        return;
    }
    if (r->frame.n_fds < 1 || run->session[0] == '\0') {
        jl_refuse(&e, EPROTO, "joblet core gave no staging directory");
        fail(run, &e);
        return;
    }
    jd_stage_init(&run->stage, jl_take_fd(&r->frame.fds[0]), &run->uploads);
    run->staging = true;
    jl_loop_arm(run->call.front->loop, &run->timer, jl_now_ns(), write_slice);
}

/* How much is to come stands in the request's text, so that core can refuse it in time. */
static int send_stage(struct run *run, struct jl_err *e)
{
    struct ipc_frame f = jd_call_frame(&run->call, JD_OP_STAGE);
    uint64_t bytes = 0;
    int r;

    for (size_t i = 0; i < run->uploads.n; i++)
        bytes += run->uploads.items[i].len;
    snprintf(f.text, sizeof f.text, "bytes=%llu files=%zu", (unsigned long long) bytes,
             run->uploads.n);
    r = jd_link_ask(&run->call.front->link, &f, &run->req, stage_reply, e);
    if (r == 0)
        jl_loop_arm(run->call.front->loop, &run->timer, jd_call_due_ns(&run->call, 0), run_late);
    return r;
}

/* Hangs the uploads into the message; contents still point into the client's bytes. */
static int attach_uploads(struct run *run, struct jl_err *e)
{
    size_t n = run->uploads.n;

    if (n == 0)
        return 0;
    run->files = calloc(n, sizeof *run->files);
    run->msg->uploads = calloc(n, sizeof *run->msg->uploads);
    if (!run->files || !run->msg->uploads)
        return jl_fail(e, ENOMEM, "read the request");
    run->msg->n_uploads = n;
    for (size_t i = 0; i < n; i++) {
        const struct jd_upload *up = &run->uploads.items[i];

        joblet__file_upload__init(&run->files[i]);
        run->files[i].path = up->path;
        run->files[i].mode = up->mode;
        run->files[i].is_directory = up->is_directory;
        run->files[i].content.len = up->len;
        run->files[i].content.data = (uint8_t *) (uintptr_t) up->content;
        run->msg->uploads[i] = &run->files[i];
    }
    return 0;
}

static int parse(struct run *run, struct jl_err *e)
{
    ProtobufCMessage *msg;
    const void *data;
    size_t len;
    int r;

    data = rpc_call_request(run->call.rpc, &len);
    r = jd_uploads_split(data, len, &run->uploads, e);
    if (r == 0)
        r = api_unpack_request(&joblet__run_job_request__descriptor,
                               run->uploads.rest.data ? run->uploads.rest.data : "",
                               run->uploads.rest.len, &msg, e);
    if (r < 0)
        return r;
    run->msg = (Joblet__RunJobRequest *) msg;
    jl_buf_clear(&run->uploads.rest);
    jd_drop_unknown(msg);
    r = attach_uploads(run, e);
    if (r == 0)
        r = api_validate_run_job(run->msg, e);
    if (r < 0)
        return r;
    if (run->msg->upload_session[0] != '\0' && run->uploads.n > 0)
        return jl_refuse(e, EINVAL,
                         "upload_session: files come either in `uploads` or by StageUploads, not "
                         "both ways");
    return 0;
}

void jd_run_begin(struct jd_front *front, struct rpc_call *rpc)
{
    static const struct jd_call_kind kind = { .on_gone = run_gone };
    struct run *run = calloc(1, sizeof *run);
    struct jl_err e = JL_ERR_INIT;
    int r;

    if (!run) {
        jd_calls_refuse(front, rpc, API_RESOURCE_EXHAUSTED, "the server is out of memory");
        return;
    }
    jd_call_begin(&run->call, front, rpc, JD_OP_RUN_JOB, &kind);
    run->uploads = (struct jd_uploads) JD_UPLOADS_INIT;
    r = parse(run, &e);
    if (r == 0)
        r = run->uploads.n > 0 ? send_stage(run, &e) : send_run(run, &e);
    if (r < 0)
        jd_call_fail(&run->call, &e);
}
