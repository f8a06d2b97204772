/*
 * stagecall.c - StageUploads: pieces of files, written as they come below a directory that core made,
 * one message at a time, so that an upload of any size costs front one piece of memory. Answered
 * with the session's name, which a RunJob of the same certificate takes up within ten minutes.
 * Whatever fails on the way gives the directory back.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api/joblet.pb-c.h"
#include "api/validate.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/front/front.h"
#include "daemon/front/stage.h"
#include "rpc/server.h"

#define DATA_MAX (1u << 20)                  /* of one piece */
#define MESSAGE_MAX (DATA_MAX + (16u << 10)) /* with path and all */
#define KEEP_NS (60 * JL_NS_PER_S)           /* how often core is told that it goes on */

struct stagecall {
    struct jd_call call;
    struct jd_link_req req;
    struct jl_timer timer; /* core's answer is due, or the client's next message */
    struct jd_uploads none;
    struct jd_stage stage;
    bool staging;
    char session[IPC_LINK_TEXT_MAX];
    uint64_t bytes, kept_ns;
    int32_t files;
};

static void unstage(struct stagecall *s)
{
    struct ipc_frame f = jd_call_frame(&s->call, JD_OP_UNSTAGE);
    struct jl_err e = JL_ERR_INIT;

    if (s->staging)
        jd_stage_done(&s->stage);
    s->staging = false;
    if (s->session[0] == '\0')
        return;
    snprintf(f.text, sizeof f.text, "%s", s->session);
    s->session[0] = '\0';
    if (jd_link_ask(&s->call.front->link, &f, NULL, NULL, &e) < 0)
        jl_log_fail(&e, "stage.unstage", "peer=%s", s->call.who.peer);
}

static void stagecall_free(struct stagecall *s)
{
    jl_loop_disarm(s->call.front->loop, &s->timer);
    unstage(s);
    jd_call_end(&s->call);
    free(s);
}

/* An answer of core's that is on its way may bring a directory to be given back. */
static void stagecall_gone(struct jd_call *c)
{
    struct stagecall *s = JL_CONTAINER(c, struct stagecall, call);

    if (s->req.id == 0)
        stagecall_free(s);
}

static void fail(struct stagecall *s, const struct jl_err *e)
{
    jl_loop_disarm(s->call.front->loop, &s->timer);
    unstage(s);
    jd_call_fail(&s->call, e);
}

static void keep(struct stagecall *s)
{
    struct ipc_frame f = jd_call_frame(&s->call, JD_OP_KEEP_STAGE);
    struct jl_err e = JL_ERR_INIT;

    if (jl_now_ns() - s->kept_ns < KEEP_NS)
        return;
    s->kept_ns = jl_now_ns();
    snprintf(f.text, sizeof f.text, "%s", s->session);
    if (jd_link_ask(&s->call.front->link, &f, NULL, NULL, &e) < 0)
        jl_log_fail(&e, "stage.keep", "peer=%s", s->call.who.peer);
}

static int write_chunk(struct stagecall *s, const Joblet__UploadChunk *m, struct jl_err *e)
{
    struct jd_chunk c = { .eof = m->eof };
    int r = api_validate_upload_path("path", m->path, e);

    if (r < 0)
        return r;
    if (m->data.len > DATA_MAX)
        return jl_refuse(e, EMSGSIZE, "upload '%.200s': a piece has %zu bytes, limit is %u",
                         m->path, m->data.len, DATA_MAX);
    if (m->is_directory && m->data.len > 0)
        return jl_refuse(e, EINVAL, "upload '%.200s' is a directory, which has no data", m->path);
    c.up.path = m->path;
    c.up.content = m->data.data;
    c.up.len = m->data.len;
    c.up.mode = m->mode;
    c.up.is_directory = m->is_directory;
    s->bytes += m->data.len;
    r = jd_stage_chunk(&s->stage, &c, e);
    s->files += r == 0 && c.eof && !m->is_directory;
    return r;
}

/* The message that is there. */
static int take_message(struct stagecall *s, struct jl_err *e)
{
    ProtobufCMessage *m = NULL;
    size_t len;
    const void *data = rpc_call_request(s->call.rpc, &len);
    int r;

    if (len > MESSAGE_MAX)
        return jl_refuse(e, EMSGSIZE, "a message has %zu bytes, limit is %u", len, MESSAGE_MAX);
    r = api_unpack_request(&joblet__upload_chunk__descriptor, data, len, &m, e);
    if (r == 0)
        r = write_chunk(s, (const Joblet__UploadChunk *) m, e);
    if (m)
        protobuf_c_message_free_unpacked(m, NULL);
    return r;
}

static int on_late(struct jl_timer *timer)
{
    jd_call_timed_out(&JL_CONTAINER(timer, struct stagecall, timer)->call);
    return 0;
}

/* Core knows that the session is whole. */
static void on_whole(struct jd_link_req *req, struct ipc_received *r)
{
    struct stagecall *s = JL_CONTAINER(req, struct stagecall, req);
    Joblet__StageUploadsResponse m = JOBLET__STAGE_UPLOADS_RESPONSE__INIT;
    uint8_t body[IPC_LINK_TEXT_MAX + 64];

    jl_loop_disarm(s->call.front->loop, &s->timer);
    if (!s->call.rpc) {
        stagecall_free(s);
        return;
    }
    if (s->call.finished || r->frame.status != API_OK) {
        unstage(s);
        jd_call_reply(&s->call, &r->frame);
        return;
    }
    m.upload_session = s->session;
    m.files = s->files;
    m.bytes = (int64_t) s->bytes;
    jd_call_finish(&s->call, API_OK, NULL, body, joblet__stage_uploads_response__pack(&m, body));
    s->session[0] = '\0'; /* the client's from now on */
}

static void finish(struct stagecall *s)
{
    struct ipc_frame f = jd_call_frame(&s->call, JD_OP_STAGE_UPLOADS);
    struct jl_err e = JL_ERR_INIT;
    int r = jd_stage_finish(&s->stage, &e);

    jl_loop_disarm(s->call.front->loop, &s->timer);
    if (r == 0) {
        jd_stage_done(&s->stage);
        s->staging = false;
        snprintf(f.text, sizeof f.text, "%s", s->session);
        r = jd_link_ask(&s->call.front->link, &f, &s->req, on_whole, &e);
    }
    if (r < 0) {
        fail(s, &e);
        return;
    }
    s->call.asked = true;
    jl_loop_arm(s->call.front->loop, &s->timer, jd_call_due_ns(&s->call, 0), on_late);
}

static int on_silence(struct jl_timer *timer)
{
    struct stagecall *s = JL_CONTAINER(timer, struct stagecall, timer);
    struct jl_err e = JL_ERR_INIT;

    jl_refuse(&e, ETIMEDOUT, "the next piece of the upload did not come in time");
    fail(s, &e);
    return 0;
}

/* Each message is written before the next is asked for. */
static void go_on(struct stagecall *s)
{
    struct jl_err e = JL_ERR_INIT;
    size_t len;

    if (!rpc_call_request(s->call.rpc, &len)) {
        finish(s);
        return;
    }
    if (take_message(s, &e) < 0) {
        fail(s, &e);
        return;
    }
    keep(s);
    rpc_call_read(s->call.rpc);
    jl_loop_arm(s->call.front->loop, &s->timer, jd_call_message_due_ns(&s->call), on_silence);
}

static void stagecall_message(struct jd_call *c)
{
    struct stagecall *s = JL_CONTAINER(c, struct stagecall, call);

    if (s->staging && !c->finished)
        go_on(s);
}

static void on_staged(struct jd_link_req *req, struct ipc_received *r)
{
    struct stagecall *s = JL_CONTAINER(req, struct stagecall, req);
    struct jl_err e = JL_ERR_INIT;

    jl_loop_disarm(s->call.front->loop, &s->timer);
    if (r->frame.status == API_OK)
        snprintf(s->session, sizeof s->session, "%s", r->frame.text);
    if (!s->call.rpc) {
        stagecall_free(s);
        return;
    }
    if (s->call.finished) {
        unstage(s);
        return;
    }
    if (r->frame.status != API_OK) {
        jd_call_reply(&s->call, &r->frame);
        return;
    }
    if (r->frame.n_fds < 1 || s->session[0] == '\0') {
        jl_refuse(&e, EPROTO, "joblet core gave no staging directory");
        fail(s, &e);
        return;
    }
    jd_stage_init(&s->stage, jl_take_fd(&r->frame.fds[0]), &s->none);
    s->staging = true;
    s->kept_ns = jl_now_ns();
    go_on(s);
}

void jd_stagecall_begin(struct jd_front *front, struct rpc_call *rpc)
{
    static const struct jd_call_kind kind = { .pool = JD_POOL_UPLOADS,
                                              .on_gone = stagecall_gone,
                                              .on_message = stagecall_message };
    struct stagecall *s;
    struct jl_err e = JL_ERR_INIT;
    struct ipc_frame f;

    if (!jd_calls_have_room(front, rpc, JD_POOL_UPLOADS))
        return;
    s = calloc(1, sizeof *s);
    if (!s) {
        jd_calls_refuse(front, rpc, API_RESOURCE_EXHAUSTED, "the server is out of memory");
        return;
    }
    jd_call_begin(&s->call, front, rpc, JD_OP_STAGE_UPLOADS, &kind);
    f = jd_call_frame(&s->call, JD_OP_STAGE);
    snprintf(f.text, sizeof f.text, "bytes=0 files=0");
    if (jd_link_ask(&front->link, &f, &s->req, on_staged, &e) < 0)
        jd_call_fail(&s->call, &e);
    else
        jl_loop_arm(front->loop, &s->timer, jd_call_due_ns(&s->call, 0), on_late);
}
