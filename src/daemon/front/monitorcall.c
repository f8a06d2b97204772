/*
 * monitorcall.c - StreamSystemMetrics: core is asked for a sample every interval, and the kinds that
 * the client wants of it are passed on. Nothing is asked for while the client has not taken the one
 * before, so a slow reader gets fewer samples.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/joblet.pb-c.h"
#include "api/validate.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/front/streamcall.h"
#include "rpc/server.h"

#define INTERVAL_DEFAULT_S 5
#define INTERVAL_MAX_S 86400

enum { CPU = 1, MEMORY = 2, DISK = 4, NETWORK = 8, IO = 16, PROCESS = 32, ALL = 63 };

struct monitorcall {
    struct jd_streamcall s;
    uint64_t interval_ns, next_ns;
    unsigned types;
};

static void ask(struct monitorcall *mc);

/* The half of the message that was asked for, under the stream's own type. */
static void pass_on(struct monitorcall *mc, const Joblet__SystemStatusResponse *s)
{
    Joblet__SystemMetricsResponse m = JOBLET__SYSTEM_METRICS_RESPONSE__INIT;
    _free_ uint8_t *packed = NULL;
    size_t n;

    m.timestamp = s->timestamp;
    m.host = s->host;
    m.cloud = s->cloud;
    m.cpu = mc->types & CPU ? s->cpu : NULL;
    m.memory = mc->types & MEMORY ? s->memory : NULL;
    m.disks = s->disks;
    m.n_disks = mc->types & DISK ? s->n_disks : 0;
    m.networks = s->networks;
    m.n_networks = mc->types & NETWORK ? s->n_networks : 0;
    m.io = mc->types & IO ? s->io : NULL;
    m.processes = mc->types & PROCESS ? s->processes : NULL;
    packed = malloc(joblet__system_metrics_response__get_packed_size(&m) + 1);
    if (!packed) {
        jd_call_finish(&mc->s.call, API_RESOURCE_EXHAUSTED, "the server is out of memory", NULL, 0);
        return;
    }
    n = joblet__system_metrics_response__pack(&m, packed);
    jd_streamcall_send(&mc->s, packed, n);
}

static int on_due(struct jl_timer *timer)
{
    struct monitorcall *mc = JL_CONTAINER(timer, struct monitorcall, s.timer);

    if (!mc->s.in_flight)
        ask(mc);
    return 0;
}

static void wait_for_next(struct monitorcall *mc)
{
    uint64_t now = jl_now_ns();

    mc->next_ns += mc->interval_ns;
    if (mc->next_ns < now)
        mc->next_ns = now; /* the client was slow, or core: nothing is made up for */
    jd_streamcall_wait(&mc->s, mc->next_ns, on_due);
}

static void on_reply(struct jd_streamcall *call, struct ipc_frame *f)
{
    struct monitorcall *mc = JL_CONTAINER(call, struct monitorcall, s);
    struct jl_err e = JL_ERR_INIT;
    ProtobufCMessage *msg;

    if (f->status != API_OK) {
        jd_call_reply(&call->call, f);
        return;
    }
    if (api_unpack_reply(&joblet__system_status_response__descriptor, f->body, f->body_len, &msg,
                         &e) < 0) {
        jd_streamcall_fail(call, &e);
        return;
    }
    pass_on(mc, (const Joblet__SystemStatusResponse *) msg);
    protobuf_c_message_free_unpacked(msg, NULL);
    if (!call->call.finished)
        wait_for_next(mc);
}

static void ask(struct monitorcall *mc)
{
    struct ipc_frame f = jd_call_frame(&mc->s.call, JD_OP_STREAM_SYSTEM_METRICS);

    jd_streamcall_ask(&mc->s, &f);
}

static void on_gone(struct jd_call *c)
{
    struct monitorcall *mc = JL_CONTAINER(c, struct monitorcall, s.call);

    jd_streamcall_end(&mc->s);
    free(mc);
}

static void on_writable(struct jd_call *c)
{
    struct monitorcall *mc = JL_CONTAINER(c, struct monitorcall, s.call);

    mc->s.in_flight = false;
    if (!mc->s.timer.armed && mc->s.req.id == 0 && !c->finished)
        ask(mc); /* it was due while the client took its time */
}

static int type_of(const char *word, unsigned *types, struct jl_err *e)
{
    static const char *const words[] = { "cpu", "memory", "disk", "network", "io", "process" };

    for (unsigned i = 0; i < JL_COUNT(words); i++)
        if (strcmp(word, words[i]) == 0) {
            *types |= 1u << i;
            return 0;
        }
    return jl_refuse(e, EINVAL,
                     "metric_types: '%.40s' is none of cpu, memory, disk, network, io, process",
                     word);
}

static int parse(struct monitorcall *mc, struct jl_err *e)
{
    const Joblet__StreamMetricsRequest *req;
    ProtobufCMessage *msg;
    int r = jd_streamcall_read(&mc->s, &joblet__stream_metrics_request__descriptor, &msg, e);

    if (r < 0)
        return r;
    req = (const Joblet__StreamMetricsRequest *) msg;
    for (size_t i = 0; r == 0 && i < req->n_metric_types; i++)
        r = type_of(req->metric_types[i], &mc->types, e);
    if (r == 0 && (req->interval_seconds < 0 || req->interval_seconds > INTERVAL_MAX_S))
        r = jl_refuse(e, EINVAL, "interval_seconds is %d, not 1 to %d (0: %d)",
                      req->interval_seconds, INTERVAL_MAX_S, INTERVAL_DEFAULT_S);
    mc->interval_ns = JL_NS_PER_S * (req->interval_seconds > 0 ? (uint64_t) req->interval_seconds
                                                               : INTERVAL_DEFAULT_S);
    if (mc->types == 0)
        mc->types = ALL;
    protobuf_c_message_free_unpacked(msg, NULL);
    return r;
}

void jd_monitorcall_begin(struct jd_front *front, struct rpc_call *rpc)
{
    static const struct jd_call_kind kind = { .on_gone = on_gone, .on_writable = on_writable };
    struct monitorcall *mc = calloc(1, sizeof *mc);
    struct jl_err e = JL_ERR_INIT;

    if (!mc) {
        rpc_call_finish(rpc, API_RESOURCE_EXHAUSTED, "the server is out of memory", NULL, 0);
        return;
    }
    mc->s.on_reply = on_reply;
    jd_call_begin(&mc->s.call, front, rpc, JD_OP_STREAM_SYSTEM_METRICS, &kind);
    mc->next_ns = jl_now_ns();
    if (parse(mc, &e) < 0)
        jd_streamcall_fail(&mc->s, &e);
    else
        ask(mc);
}
