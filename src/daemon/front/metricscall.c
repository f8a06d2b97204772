/*
 * metricscall.c - GetJobMetrics and StreamJobMetrics: core passes the job's files one by one, this
 * file sends what is in them. A live stream looks at the last file once a second; it is over when
 * core has packed it, or says that nothing will come after it, and the next one is asked for. One
 * message is on its way per call, so a slow reader costs a descriptor and nothing else.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/validate.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/id.h"
#include "daemon/front/metricsread.h"
#include "daemon/front/streamcall.h"
#include "rpc/server.h"

#define LOOK_NS JL_NS_PER_S
#define DOUBT_LOOKS 30 /* at a file that does not grow, until core is asked again whether it will */

struct metricscall {
    struct jd_streamcall s;
    struct jd_metricsread reader;
    char job[JL_ID_LEN + 1];      /* as the client wrote it */
    char full_job[JL_ID_LEN + 1]; /* as core says */
    bool live;
    int64_t start, end; /* ns; end 0: none */
    uint64_t left;      /* samples that may be sent */
    unsigned file;      /* that is read, or asked for */
    unsigned looks;     /* at the end of a plain file, since core was asked; 0: to be asked */
    bool ended;         /* there will be no more than there is now */
};

static void pump(struct metricscall *mc);

static void ask(struct metricscall *mc);

static int on_look(struct jl_timer *timer)
{
    struct metricscall *mc = JL_CONTAINER(timer, struct metricscall, s.timer);

    if (mc->reader.fd < 0)
        ask(mc);
    else
        pump(mc);
    return 0;
}

/* Of a file behind the one that is read: it tells whether that one may still grow. A core that was
 * killed, or could not pack it, has left one that does not. */
static void on_next(struct metricscall *mc, struct ipc_frame *f)
{
    if (f->status != IPC_LINK_WAIT)
        mc->ended = true;
    if (mc->ended) /* what came before core's answer is read, too */
        pump(mc);
    else
        jd_streamcall_wait(&mc->s, jl_now_ns() + LOOK_NS, on_look);
}

static void on_file(struct jd_streamcall *call, struct ipc_frame *f)
{
    struct metricscall *mc = JL_CONTAINER(call, struct metricscall, s);
    struct jl_err e = JL_ERR_INIT;

    if (mc->reader.fd >= 0) {
        on_next(mc, f);
    } else if (f->status == IPC_LINK_WAIT) {
        if (mc->live)
            jd_streamcall_wait(call, jl_now_ns() + LOOK_NS, on_look);
        else
            jd_streamcall_finish(call);
    } else if (f->status != API_OK) {
        jd_call_reply(&call->call, f);
    } else if (f->n_fds == 0) {
        jd_streamcall_finish(call);
    } else {
        snprintf(mc->full_job, sizeof mc->full_job, "%.36s", f->text);
        mc->looks = 0;
        mc->ended = false;
        if (jd_metricsread_open(&mc->reader, jl_take_fd(&f->fds[0]), &e) < 0)
            jd_streamcall_fail(call, &e);
        else
            pump(mc);
    }
}

static void ask(struct metricscall *mc)
{
    Joblet__GetJobMetricsRequest msg = JOBLET__GET_JOB_METRICS_REQUEST__INIT;
    struct ipc_frame f = jd_call_frame(&mc->s.call, mc->s.call.op);
    uint8_t body[JL_ID_LEN + 16];

    msg.job_uuid = mc->job;
    f.body_len = joblet__get_job_metrics_request__pack(&msg, body);
    f.body = body;
    f.segment = mc->file + (mc->reader.fd >= 0);
    jd_streamcall_ask(&mc->s, &f);
}

/* All of this file that there is has been sent. */
static void at_the_end(struct metricscall *mc, bool over)
{
    if (over || mc->ended || !mc->live) {
        jd_metricsread_close(&mc->reader);
        mc->file++;
        ask(mc);
    } else if (mc->looks++ % DOUBT_LOOKS == 0) {
        ask(mc);
    } else {
        jd_streamcall_wait(&mc->s, jl_now_ns() + LOOK_NS, on_look);
    }
}

static void send_event(struct metricscall *mc, Joblet__JobMetricsEvent *m)
{
    uint8_t packed[512];
    size_t n;

    m->job_uuid = mc->full_job;
    n = joblet__job_metrics_event__pack(m, packed);
    jd_streamcall_send(&mc->s, packed, n);
    mc->left--;
}

static void pump(struct metricscall *mc)
{
    Joblet__JobMetricsEvent m;
    struct jl_err e = JL_ERR_INIT;
    bool over;
    int r;

    if (mc->s.in_flight || mc->reader.fd < 0 || !mc->s.call.rpc || mc->s.call.finished)
        return;
    over = jd_metricsread_is_over(&mc->reader); /* first: what is added meanwhile is read then */
    do
        r = jd_metricsread_next(&mc->reader, &m, &e);
    while (r > 0 && (m.timestamp < mc->start || (mc->end > 0 && m.timestamp > mc->end)));
    if (r < 0)
        jd_streamcall_fail(&mc->s, &e);
    else if (mc->left == 0)
        jd_streamcall_finish(&mc->s);
    else if (r > 0)
        send_event(mc, &m);
    else
        at_the_end(mc, over);
}

static void on_writable(struct jd_call *c)
{
    struct metricscall *mc = JL_CONTAINER(c, struct metricscall, s.call);

    mc->s.in_flight = false;
    pump(mc);
}

/* The state of some job has changed: its last sample is there when it has ended. */
static void on_event(struct jd_call *c, const char *job_id)
{
    struct metricscall *mc = JL_CONTAINER(c, struct metricscall, s.call);

    if (strncmp(job_id, mc->job, strlen(mc->job)) != 0 || mc->s.req.id != 0)
        return;
    mc->looks = 0;
    if (mc->reader.fd < 0)
        ask(mc);
    else
        pump(mc);
}

static void on_gone(struct jd_call *c)
{
    struct metricscall *mc = JL_CONTAINER(c, struct metricscall, s.call);

    jd_metricsread_close(&mc->reader);
    jd_streamcall_end(&mc->s);
    free(mc);
}

/* StreamJobMetricsRequest is the first field of the other. */
static int parse(struct metricscall *mc, struct jl_err *e)
{
    const Joblet__GetJobMetricsRequest *req;
    ProtobufCMessage *msg;
    int r = jd_streamcall_read(&mc->s, &joblet__get_job_metrics_request__descriptor, &msg, e);

    if (r < 0)
        return r;
    req = (const Joblet__GetJobMetricsRequest *) msg;
    r = api_validate_id("job_uuid", req->job_uuid, e);
    if (r == 0 && !mc->live &&
        (req->start_time < 0 || req->end_time < 0 || req->limit < 0 ||
         (req->end_time > 0 && req->end_time < req->start_time)))
        r = jl_refuse(
            e, EINVAL,
            "start_time, end_time (ns since 1970) and limit must not be negative, nor the "
            "end before the start");
    if (r == 0) {
        snprintf(mc->job, sizeof mc->job, "%s", req->job_uuid);
        mc->left = UINT64_MAX;
        if (!mc->live) {
            mc->start = req->start_time;
            mc->end = req->end_time;
            mc->left = req->limit > 0 ? (uint64_t) req->limit : UINT64_MAX;
        }
    }
    protobuf_c_message_free_unpacked(msg, NULL);
    return r;
}

void jd_metricscall_begin(struct jd_front *front, struct rpc_call *rpc, enum jd_op op)
{
    static const struct jd_call_kind kind = { .pool = JD_POOL_STREAMS,
                                              .on_gone = on_gone,
                                              .on_writable = on_writable,
                                              .on_event = on_event };
    struct metricscall *mc;
    struct jl_err e = JL_ERR_INIT;

    if (!jd_calls_have_room(front, rpc, JD_POOL_STREAMS))
        return;
    mc = calloc(1, sizeof *mc);
    if (!mc) {
        rpc_call_finish(rpc, API_RESOURCE_EXHAUSTED, "the server is out of memory", NULL, 0);
        return;
    }
    mc->reader = (struct jd_metricsread) JD_METRICSREAD_INIT;
    mc->live = op == JD_OP_STREAM_JOB_METRICS;
    mc->s.on_reply = on_file;
    jd_call_begin(&mc->s.call, front, rpc, op, &kind);
    if (parse(mc, &e) < 0)
        jd_streamcall_fail(&mc->s, &e);
    else
        ask(mc);
}
