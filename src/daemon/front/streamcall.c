/* streamcall.c - see streamcall.h. */
#include "daemon/front/streamcall.h"

#include <errno.h>

#include "api/validate.h"
#include "base/cleanup.h"
#include "rpc/server.h"

#define REQUEST_MAX 65536

static struct jl_loop *loop_of(const struct jd_streamcall *s)
{
    return s->call.front->loop;
}

int jd_streamcall_read(struct jd_streamcall *s, const ProtobufCMessageDescriptor *type,
                       ProtobufCMessage **ret, struct jl_err *e)
{
    size_t len;
    const void *data = rpc_call_request(s->call.rpc, &len);
    int r;

    if (len > REQUEST_MAX)
        return jl_refuse(e, EMSGSIZE, "the request has %zu bytes, limit is %d", len, REQUEST_MAX);
    r = api_unpack_request(type, data, len, ret, e);
    if (r == 0)
        rpc_call_drop_request(s->call.rpc);
    return r;
}

static int on_late(struct jl_timer *timer)
{
    struct jd_streamcall *s = JL_CONTAINER(timer, struct jd_streamcall, timer);

    jd_link_forget(&s->call.front->link, &s->req);
    jd_call_timed_out(&s->call);
    return 0;
}

static void on_reply(struct jd_link_req *req, struct ipc_received *r)
{
    struct jd_streamcall *s = JL_CONTAINER(req, struct jd_streamcall, req);

    jl_loop_disarm(loop_of(s), &s->timer);
    s->on_reply(s, &r->frame);
}

void jd_streamcall_ask(struct jd_streamcall *s, struct ipc_frame *f)
{
    struct jl_err e = JL_ERR_INIT;

    if (jd_link_ask(&s->call.front->link, f, &s->req, on_reply, &e) < 0)
        jd_streamcall_fail(s, &e);
    else
        jl_loop_arm(loop_of(s), &s->timer, jd_call_due_ns(&s->call, 0), on_late);
}

void jd_streamcall_wait(struct jd_streamcall *s, uint64_t due_ns, jl_timer_fn fn)
{
    jl_loop_arm(loop_of(s), &s->timer, due_ns, fn);
}

void jd_streamcall_send(struct jd_streamcall *s, const void *data, size_t len)
{
    s->in_flight = rpc_call_send(s->call.rpc, data, len) == 0;
}

void jd_streamcall_finish(struct jd_streamcall *s)
{
    jl_loop_disarm(loop_of(s), &s->timer);
    jd_call_finish(&s->call, API_OK, NULL, NULL, 0);
}

void jd_streamcall_fail(struct jd_streamcall *s, const struct jl_err *e)
{
    jl_loop_disarm(loop_of(s), &s->timer);
    jd_call_fail(&s->call, e);
}

void jd_streamcall_end(struct jd_streamcall *s)
{
    jl_loop_disarm(loop_of(s), &s->timer);
    jd_link_forget(&s->call.front->link, &s->req);
    jd_call_end(&s->call);
}
