/*
 * logcall.c - GetJobLogs: core passes the descriptors of a segment (logopen.c), this file streams it.
 *
 * What a client gets: DataChunk {payload, stream, timestamp, sequence}. Records of one stream that
 * lie side by side and came within 100 ms go out together, up to buffers.chunk_size bytes;
 * `sequence` is that of the last record in the chunk and `timestamp` (ns since 1970) that of the
 * first, so a client that lost the connection asks again with from_sequence = sequence + 1 and
 * misses nothing. A line of joblet's own (NOTE) and the marker of a gap or of a cut (logs.max_size)
 * go to stream 2, standard error; the markers have dropped_bytes.
 *
 * The end: everything is sent and core says that the job has ended. To know that, core is asked at
 * the end of what is stored, and again at each event about the job. The log's END record alone is
 * not enough, as it comes before the exit code does and a client asks for that next; and it need
 * not be there, as the shim that writes it may have died.
 *
 * One message is on its way per call and nothing is kept, so a slow reader costs three
 * descriptors. Calls that follow the same job share one inotify descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "api/joblet.pb-c.h"
#include "api/validate.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/front/logcall.h"
#include "rpc/server.h"

#define DOUBT_NS (30 * JL_NS_PER_S)         /* of silence until the job's state is asked for */
#define POLL_NS (250 * JL_NS_PER_MS)        /* where core could not give an inotify descriptor */
#define IN_FLIGHT_MAX ((uint64_t) 32 << 20) /* with more on the way, chunks become small */
#define CHUNK_OVERHEAD 64                   /* bytes of a DataChunk besides its payload */
#define REQUEST_MAX 65536

/* One inotify descriptor of a job's log directory, for all calls that follow this job. */
struct jd_logwatch {
    struct jd_front *front;
    struct jl_source src;
    int fd;
    unsigned refs;
};

static void logcall_gone(struct jd_call *c);
static void logcall_writable(struct jd_call *c);
static void logcall_event(struct jd_call *c, const char *job_id);

static const struct jd_call_kind logcall_kind = { .pool = JD_POOL_STREAMS,
                                                  .on_gone = logcall_gone,
                                                  .on_writable = logcall_writable,
                                                  .on_event = logcall_event };

void jd_logcall_fail(struct jd_logcall *lc, const struct jl_err *e)
{
    jl_loop_disarm(lc->call.front->loop, &lc->timer);
    if (e->code == EPROTO) /* a damaged log is not our bug */
        jd_call_finish(&lc->call, API_DATA_LOSS, e->text, NULL, 0);
    else
        jd_call_fail(&lc->call, e);
}

void jd_logcall_finish(struct jd_logcall *lc)
{
    jl_loop_disarm(lc->call.front->loop, &lc->timer);
    jd_call_finish(&lc->call, API_OK, NULL, NULL, 0);
}

/* ---- being told of changes */

static void watch_release(struct jd_logwatch *w)
{
    if (!w || --w->refs > 0)
        return;
    jl_loop_del(w->front->loop, &w->src);
    jl_close(w->fd);
    free(w);
}

static int on_watch(struct jl_source *src, uint32_t ready)
{
    struct jd_logwatch *w = JL_CONTAINER(src, struct jd_logwatch, src);
    struct jd_front *front = w->front;
    char events[4096];

    (void) ready;
    while (read(w->fd, events, sizeof events) > 0)
        ;      /* which file it was does not matter: the index tells */
    w->refs++; /* ours, while calls may let go of it */
    for (struct jd_call *c = front->calls; c; c = c->next)
        if (c->kind == &logcall_kind && JL_CONTAINER(c, struct jd_logcall, call)->watch == w)
            jd_logcall_pump(JL_CONTAINER(c, struct jd_logcall, call));
    watch_release(w);
    return 0;
}

static struct jd_logwatch *find_watch(const struct jd_logcall *lc)
{
    for (struct jd_call *c = lc->call.front->calls; c; c = c->next) {
        const struct jd_logcall *other = JL_CONTAINER(c, struct jd_logcall, call);

        if (c->kind == &logcall_kind && other->watch && lc->full_job[0] &&
            strcmp(other->full_job, lc->full_job) == 0)
            return other->watch;
    }
    return NULL;
}

int jd_logcall_watch(struct jd_logcall *lc, int *fd)
{
    struct jd_logwatch *w;

    if (lc->watch)
        return 0;
    w = find_watch(lc);
    if (!w) {
        w = calloc(1, sizeof *w);
        if (!w)
            return -ENOMEM;
        w->front = lc->call.front;
        fcntl(*fd, F_SETFL, O_NONBLOCK); /* whatever core thought of: reads must not block */
        if (jl_loop_add(w->front->loop, &w->src, *fd, EPOLLIN, on_watch) < 0) {
            free(w);
            return -ENOMEM;
        }
        w->fd = jl_take_fd(fd);
    }
    w->refs++;
    lc->watch = w;
    return 0;
}

/* ---- sending */

/* Space for one chunk on its way from the file into the library; front has one thread. */
static uint8_t *chunk_space(const struct jd_front *front, bool packed)
{
    static uint8_t *raw, *message;

    if (!raw)
        raw = malloc(front->conf.chunk_bytes);
    if (!message)
        message = malloc(front->conf.chunk_bytes + CHUNK_OVERHEAD);
    return packed ? message : raw;
}

static void sent(struct jd_logcall *lc, uint64_t bytes)
{
    lc->in_flight = bytes;
    lc->call.front->log_bytes_in_flight += bytes;
}

static void arrived(struct jd_logcall *lc)
{
    lc->call.front->log_bytes_in_flight -= lc->in_flight;
    lc->in_flight = 0;
}

static bool is_marker(const struct jd_log_chunk *c)
{
    return c->what == JD_LOG_GAP || c->what == JD_LOG_CUT;
}

static void send_chunk(struct jd_logcall *lc, const struct jd_log_chunk *c, uint8_t *data,
                       size_t len)
{
    Joblet__DataChunk msg = JOBLET__DATA_CHUNK__INIT;
    uint8_t *packed = chunk_space(lc->call.front, true);
    size_t n;

    msg.payload.data = data;
    msg.payload.len = len;
    msg.stream =
        c->what == JD_LOG_CHUNK && c->stream == IPC_LOG_STDOUT ? IPC_LOG_STDOUT : IPC_LOG_STDERR;
    msg.timestamp = (int64_t) c->wall_ns;
    msg.sequence = c->sequence;
    msg.dropped_bytes = is_marker(c) ? c->len : 0;
    n = joblet__data_chunk__pack(&msg, packed);
    lc->mid_line = len > 0 && data[len - 1] != '\n';
    if (rpc_call_send(lc->call.rpc, packed, n) == 0)
        sent(lc, n);
}

static void send_marker(struct jd_logcall *lc, const struct jd_log_chunk *c)
{
    const char *newline = lc->mid_line ? "\n" : "";
    char text[128];
    int n;

    if (c->what == JD_LOG_GAP)
        n = snprintf(text, sizeof text,
                     "%s[joblet: %" PRIu64 " bytes of output were dropped here: disk full]\n",
                     newline, c->len);
    else
        n = snprintf(text, sizeof text,
                     "%s[joblet: the first %" PRIu64 " bytes of output are no longer kept: "
                     "logs.max_size]\n",
                     newline, c->len);
    send_chunk(lc, c, (uint8_t *) text, (size_t) n);
}

/* ---- what the job does */

static bool has_ended(const char *status)
{
    static const char *const ended[] = { "COMPLETED", "FAILED", "STOPPED", "CANCELED", "TIMEOUT" };

    for (size_t i = 0; i < JL_COUNT(ended); i++)
        if (strcmp(status, ended[i]) == 0)
            return true;
    return false;
}

static void state_reply(struct jd_link_req *req, struct ipc_received *r)
{
    struct jd_logcall *lc = JL_CONTAINER(req, struct jd_logcall, req);
    struct jl_err e = JL_ERR_INIT;
    ProtobufCMessage *msg;

    if (r->frame.status != API_OK) {
        lc->job_ended = true; /* deleted while its log is read: what we hold open is the rest */
        jd_logcall_pump(lc);
        return;
    }
    if (api_unpack_reply(&joblet__get_job_status_response__descriptor, r->frame.body,
                         r->frame.body_len, &msg, &e) < 0) {
        jd_logcall_fail(lc, &e);
        return;
    }
    lc->job_ended = has_ended(((const Joblet__GetJobStatusResponse *) msg)->status);
    protobuf_c_message_free_unpacked(msg, NULL);
    jd_logcall_pump(lc); /* what came between the last look and the end is read, too */
}

static void ask_state(struct jd_logcall *lc)
{
    Joblet__GetJobStatusRequest msg = JOBLET__GET_JOB_STATUS_REQUEST__INIT;
    struct ipc_frame f = jd_call_frame(&lc->call, JD_OP_GET_JOB);
    uint8_t body[JD_LOGCALL_JOB + 16];
    struct jl_err e = JL_ERR_INIT;

    msg.uuid = lc->job;
    f.body_len = joblet__get_job_status_request__pack(&msg, body);
    f.body = body;
    lc->state_known = true;
    if (jd_link_ask(&lc->call.front->link, &f, &lc->req, state_reply, &e) < 0)
        jd_logcall_fail(lc, &e);
}

static int poll_again(struct jl_timer *timer)
{
    jd_logcall_pump(JL_CONTAINER(timer, struct jd_logcall, timer));
    return 0;
}

/* A core that is busy drops events. */
static int doubt(struct jl_timer *timer)
{
    struct jd_logcall *lc = JL_CONTAINER(timer, struct jd_logcall, timer);

    lc->state_known = false;
    jd_logcall_pump(lc);
    return 0;
}

/* Everything that is stored has been sent. */
static void at_the_end(struct jd_logcall *lc)
{
    if (lc->no_follow || lc->job_ended) {
        jd_logcall_finish(lc);
        return;
    }
    if (!lc->state_known && lc->req.id == 0)
        ask_state(lc);
    if (lc->polled && !lc->complete)
        jl_loop_arm(lc->call.front->loop, &lc->timer, jl_now_ns() + POLL_NS, poll_again);
    else
        jl_loop_arm(lc->call.front->loop, &lc->timer,
                    jl_now_ns() + (lc->complete ? JD_LOGCALL_RETRY_NS : DOUBT_NS), doubt);
}

void jd_logcall_pump(struct jd_logcall *lc)
{
    struct jd_front *front = lc->call.front;
    size_t room =
        front->log_bytes_in_flight < IN_FLIGHT_MAX ? front->conf.chunk_bytes : IPC_LOG_CHUNK_MAX;
    struct jl_err e = JL_ERR_INIT;
    struct jd_log_chunk chunk;

    if (lc->phase != JD_LOGCALL_READ || lc->in_flight > 0 || !lc->call.rpc || lc->call.finished)
        return;
    if (!chunk_space(front, false) || !chunk_space(front, true)) {
        jd_call_finish(&lc->call, API_RESOURCE_EXHAUSTED, "the server is out of memory", NULL, 0);
        return;
    }
    if (jd_logread_next(&lc->reader, chunk_space(front, false), room, &chunk, &e) < 0) {
        jd_logcall_fail(lc, &e);
        return;
    }
    switch (chunk.what) {
    case JD_LOG_CHUNK:
        send_chunk(lc, &chunk, chunk_space(front, false), chunk.len);
        break;
    case JD_LOG_GAP:
    case JD_LOG_CUT:
        send_marker(lc, &chunk);
        break;
    case JD_LOG_GONE:
    case JD_LOG_NEXT:
        jd_link_forget(&front->link, &lc->req); /* a question about the state can wait */
        jd_logcall_open(lc, lc->reader.segment + (chunk.what == JD_LOG_NEXT));
        break;
    case JD_LOG_END:
    case JD_LOG_WAIT:
        lc->complete = chunk.what == JD_LOG_END;
        at_the_end(lc);
        break;
    }
}

/* ---- the call */

static void logcall_gone(struct jd_call *c)
{
    struct jd_logcall *lc = JL_CONTAINER(c, struct jd_logcall, call);

    arrived(lc);
    jl_loop_disarm(lc->call.front->loop, &lc->timer);
    jd_link_forget(&c->front->link, &lc->req);
    jd_logread_close(&lc->reader);
    watch_release(lc->watch);
    jd_call_end(c);
    free(lc);
}

static void logcall_writable(struct jd_call *c)
{
    struct jd_logcall *lc = JL_CONTAINER(c, struct jd_logcall, call);

    arrived(lc);
    jd_logcall_pump(lc);
}

/* The state of some job has changed. */
static void logcall_event(struct jd_call *c, const char *job_id)
{
    struct jd_logcall *lc = JL_CONTAINER(c, struct jd_logcall, call);

    if (strncmp(job_id, lc->job, strlen(lc->job)) != 0)
        return;
    lc->state_known = false;
    if (lc->phase == JD_LOGCALL_NOT_BEGUN)
        jd_logcall_open(lc, lc->asked_segment);
    else
        jd_logcall_pump(lc);
}

static int parse(struct jd_logcall *lc, struct jl_err *e)
{
    const Joblet__GetJobLogsRequest *req;
    ProtobufCMessage *msg;
    const void *data;
    size_t len;
    int r;

    data = rpc_call_request(lc->call.rpc, &len);
    if (len > REQUEST_MAX)
        return jl_refuse(e, EMSGSIZE, "the request has %zu bytes, limit is %d", len, REQUEST_MAX);
    r = api_unpack_request(&joblet__get_job_logs_request__descriptor, data, len, &msg, e);
    if (r < 0)
        return r;
    req = (const Joblet__GetJobLogsRequest *) msg;
    r = api_validate_get_job_logs(req, e);
    if (r == 0) {
        snprintf(lc->job, sizeof lc->job, "%s", req->uuid);
        lc->no_follow = req->no_follow;
        lc->reader.from = req->from_sequence;
        lc->tail_lines = req->tail_lines > 0 ? (uint64_t) req->tail_lines : 0;
        lc->tailing = lc->tail_forward = lc->tail_lines > 0;
    }
    protobuf_c_message_free_unpacked(msg, NULL);
    rpc_call_drop_request(lc->call.rpc);
    return r;
}

void jd_logcall_begin(struct jd_front *front, struct rpc_call *rpc)
{
    struct jd_logcall *lc;
    struct jl_err e = JL_ERR_INIT;

    if (!jd_calls_have_room(front, rpc, JD_POOL_STREAMS))
        return;
    lc = calloc(1, sizeof *lc);
    if (!lc) {
        rpc_call_finish(rpc, API_RESOURCE_EXHAUSTED, "the server is out of memory", NULL, 0);
        return;
    }
    lc->reader = (struct jd_logread) JD_LOGREAD_INIT;
    jd_call_begin(&lc->call, front, rpc, JD_OP_GET_JOB_LOGS, &logcall_kind);
    if (parse(lc, &e) < 0)
        jd_logcall_fail(lc, &e);
    else
        jd_logcall_open(lc, 0);
}
