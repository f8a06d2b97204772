/*
 * calls.c - every call's beginning: which operation, may this role, is there room; and the plain
 * kind, one request to core and one answer.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "api/health.pb-c.h"
#include "api/joblet.pb-c.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/front/decode.h"
#include "daemon/front/front.h"
#include "rpc/server.h"

#define HEALTH_CHECK "/grpc.health.v1.Health/Check"
#define STOP_EXTRA_MS 10000               /* StopJob may take its grace and this */
#define RUN_EXTRA_NS (1800 * JL_NS_PER_S) /* a RunJob of 128 MiB takes that at 75 kB/s */
#define REVOKED "the certificate with serial number %s is revoked"

static struct ipc_identity identity_of(const struct rpc_call *rpc)
{
    const struct rpc_identity *id = rpc_call_identity(rpc);
    struct ipc_identity who;

    snprintf(who.common_name, sizeof who.common_name, "%s", id->common_name);
    snprintf(who.unit, sizeof who.unit, "%s", id->unit);
    snprintf(who.serial, sizeof who.serial, "%s", id->serial);
    snprintf(who.peer, sizeof who.peer, "%s", id->peer);
    return who;
}

void jd_call_begin(struct jd_call *c, struct jd_front *front, struct rpc_call *rpc, enum jd_op op,
                   const struct jd_call_kind *kind)
{
    c->front = front;
    c->rpc = rpc;
    c->op = op;
    c->kind = kind;
    c->who = identity_of(rpc);
    c->at = &front->calls;
    c->next = front->calls;
    if (c->next)
        c->next->at = &c->next;
    front->calls = c;
    front->n_calls[JD_POOL_CALLS]++;
    if (kind->pool != JD_POOL_CALLS)
        front->n_calls[kind->pool]++;
    rpc_call_set_user(rpc, c);
}

void jd_call_end(struct jd_call *c)
{
    *c->at = c->next;
    if (c->next)
        c->next->at = c->at;
    c->front->n_calls[JD_POOL_CALLS]--;
    if (c->kind->pool != JD_POOL_CALLS)
        c->front->n_calls[c->kind->pool]--;
    if (c->rpc)
        rpc_call_set_user(c->rpc, NULL);
}

/* Nobody may fill the link that way. */
static void tell(struct jd_front *front, struct ipc_frame *f)
{
    struct jl_err e = JL_ERR_INIT;

    if (front->link.queue || jd_link_ask(&front->link, f, NULL, NULL, &e) < 0)
        jl_log_warn("call.refused", "operation=%s client=%s peer=%s: not in the audit file",
                    jd_op_name(f->op), f->who.common_name, f->who.peer);
}

/* Core refuses the same once more and writes it into the audit file, which is its own. */
static void let_core_refuse(struct jd_front *front, const struct rpc_call *rpc, enum jd_op op,
                            const char *why)
{
    struct ipc_frame f = { .op = op, .who = identity_of(rpc), .fds = { -1, -1, -1, -1 } };

    snprintf(f.text, sizeof f.text, "%s", why);
    tell(front, &f);
}

/* For the audit file: a call that would have changed something, if core does not know of it. Of roles and
 * revoked certificates it does, by let_core_refuse or as it said so itself. */
static void tell_refused(struct jd_front *front, const struct rpc_call *rpc, enum jd_op op,
                         enum api_status status, const char *message, const char *object)
{
    struct ipc_frame f = { .op = op, .status = status, .fds = { -1, -1, -1, -1 } };

    if (op == JD_OP_NONE || jd_op_role(op) == JD_ROLE_READER || status == API_OK ||
        status == API_PERMISSION_DENIED || status == API_UNAUTHENTICATED)
        return;
    f.who = identity_of(rpc);
    f.body = (const uint8_t *) object;
    f.body_len = strlen(object);
    snprintf(f.text, sizeof f.text, "%s", message[0] ? message : api_status_name(status));
    tell(front, &f);
}

void jd_calls_refuse(struct jd_front *front, struct rpc_call *rpc, enum api_status status,
                     const char *fmt, ...)
{
    char text[JL_ERR_TEXT_MAX];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    tell_refused(front, rpc, jd_op_of_method(rpc_call_method(rpc)), status, text, "");
    rpc_call_finish(rpc, status, text, NULL, 0);
}

static size_t calls_of_client(const struct jd_front *front, const char *serial, enum jd_pool pool)
{
    size_t n = 0;

    for (const struct jd_call *c = front->calls; c; c = c->next)
        if ((pool == JD_POOL_CALLS || c->kind->pool == pool) && strcmp(c->who.serial, serial) == 0)
            n++;
    return n;
}

bool jd_calls_have_room(struct jd_front *front, struct rpc_call *rpc, enum jd_pool pool)
{
    static const char *const names[] = {
        [JD_POOL_CALLS] = "calls", [JD_POOL_STREAMS] = "streams", [JD_POOL_UPLOADS] = "uploads"
    };
    size_t n = front->n_calls[pool], max = front->max_calls[pool];

    if (n >= max) {
        jd_calls_refuse(front, rpc, API_RESOURCE_EXHAUSTED, "the server has too many open %s",
                        names[pool]);
        return false;
    }
    /* counted only when it could matter */
    if (n >= JD_FRONT_SHARE(max) &&
        calls_of_client(front, rpc_call_identity(rpc)->serial, pool) >= JD_FRONT_SHARE(max)) {
        jd_calls_refuse(front, rpc, API_RESOURCE_EXHAUSTED, "this certificate has too many open %s",
                        names[pool]);
        return false;
    }
    return true;
}

void jd_call_finish(struct jd_call *c, enum api_status status, const char *message,
                    const void *data, size_t len)
{
    if (c->finished || !c->rpc)
        return;
    c->finished = true;
    if (!c->asked)
        tell_refused(c->front, c->rpc, c->op, status, message ? message : "", c->object);
    rpc_call_finish(c->rpc, status, message, data, len);
}

void jd_call_fail(struct jd_call *c, const struct jl_err *e)
{
    char text[sizeof e->text + sizeof e->hint + 4];

    snprintf(text, sizeof text, "%s%s%s%s", e->text, e->hint[0] ? " (" : "", e->hint,
             e->hint[0] ? ")" : "");
    jd_call_finish(c, api_status_of(e->code), text, NULL, 0);
}

void jd_call_reply(struct jd_call *c, const struct ipc_frame *reply)
{
    if (reply->status != API_OK)
        jd_call_finish(c, (enum api_status) reply->status, reply->text, NULL, 0);
    else
        jd_call_finish(c, API_OK, NULL, reply->body ? reply->body : (const uint8_t *) "",
                       reply->body_len);
}

struct ipc_frame jd_call_frame(const struct jd_call *c, enum jd_op op)
{
    return (struct ipc_frame){ .op = op, .who = c->who, .fds = { -1, -1, -1, -1 } };
}

uint64_t jd_call_due_ns(const struct jd_call *c, uint64_t extra_ms)
{
    return jl_now_ns() + (c->front->conf.timeout_ms + extra_ms) * JL_NS_PER_MS;
}

uint64_t jd_call_message_due_ns(const struct jd_call *c)
{
    return jl_now_ns() + JD_FRONT_PATIENCE * c->front->conf.timeout_ms * JL_NS_PER_MS;
}

void jd_call_timed_out(struct jd_call *c)
{
    jd_call_finish(c, API_DEADLINE_EXCEEDED, "joblet core did not answer in time", NULL, 0);
}

/* ---- one request, one answer */

struct unary {
    struct jd_call call;
    struct jd_link_req req;
    struct jl_timer timer;
};

static void unary_free(struct unary *u)
{
    jl_loop_disarm(u->call.front->loop, &u->timer);
    jd_link_forget(&u->call.front->link, &u->req);
    jd_call_end(&u->call);
    free(u);
}

static void unary_gone(struct jd_call *c)
{
    unary_free(JL_CONTAINER(c, struct unary, call));
}

static void unary_reply(struct jd_link_req *req, struct ipc_received *r)
{
    struct unary *u = JL_CONTAINER(req, struct unary, req);

    jl_loop_disarm(u->call.front->loop, &u->timer);
    jd_call_reply(&u->call, &r->frame);
}

static int unary_late(struct jl_timer *timer)
{
    struct unary *u = JL_CONTAINER(timer, struct unary, timer);

    jd_link_forget(&u->call.front->link, &u->req);
    jd_call_timed_out(&u->call);
    return 0;
}

/* How much longer than others the call may take: StopJob its grace, and a little. */
static uint64_t stop_ms(const struct jd_front *front, const struct jd_decoded *d)
{
    if (!d->stops)
        return 0;
    return STOP_EXTRA_MS + (d->grace_ms > 0 ? d->grace_ms : front->conf.stop_grace_ms);
}

static int ask(struct unary *u, struct jl_err *e)
{
    struct ipc_frame f = jd_call_frame(&u->call, u->call.op);
    _decoded_ struct jd_decoded d = { 0 };
    const void *data;
    size_t len;
    int r;

    data = rpc_call_request(u->call.rpc, &len);
    r = jd_decode(u->call.op, rpc_call_method(u->call.rpc), data, len, &d, e);
    snprintf(u->call.object, sizeof u->call.object, "%s", d.object);
    if (r < 0)
        return r;
    f.body = d.body;
    f.body_len = d.len;
    r = jd_link_ask(&u->call.front->link, &f, &u->req, unary_reply, e);
    rpc_call_drop_request(u->call.rpc);
    u->call.asked = r == 0;
    if (r == 0)
        jl_loop_arm(u->call.front->loop, &u->timer,
                    jd_call_due_ns(&u->call, stop_ms(u->call.front, &d)), unary_late);
    return r;
}

void jd_unary_begin(struct jd_front *front, struct rpc_call *rpc, enum jd_op op)
{
    static const struct jd_call_kind kind = { .on_gone = unary_gone };
    struct unary *u = calloc(1, sizeof *u);
    struct jl_err e = JL_ERR_INIT;

    if (!u) {
        jd_calls_refuse(front, rpc, API_RESOURCE_EXHAUSTED, "the server is out of memory");
        return;
    }
    jd_call_begin(&u->call, front, rpc, op, &kind);
    if (ask(u, &e) < 0)
        jd_call_fail(&u->call, &e);
}

/* ---- a call whose message has not come */

struct waiting {
    struct jd_call call;
    struct jl_timer timer;
};

static void waiting_free(struct waiting *w)
{
    jl_loop_disarm(w->call.front->loop, &w->timer);
    jd_call_end(&w->call);
    free(w);
}

static void waiting_gone(struct jd_call *c)
{
    waiting_free(JL_CONTAINER(c, struct waiting, call));
}

static const struct jd_call_kind waiting_kind = { .on_gone = waiting_gone };

static int waiting_late(struct jl_timer *timer)
{
    jd_call_finish(&JL_CONTAINER(timer, struct waiting, timer)->call, API_DEADLINE_EXCEEDED,
                   "the request message did not come in time", NULL, 0);
    return 0;
}

/* It has a place among the calls from its headers on: a client may send no more than them. */
static void wait_for_message(struct jd_front *front, struct rpc_call *rpc, enum jd_op op)
{
    struct waiting *w;

    if (!jd_calls_have_room(front, rpc, JD_POOL_CALLS))
        return;
    w = calloc(1, sizeof *w);
    if (!w) {
        jd_calls_refuse(front, rpc, API_RESOURCE_EXHAUSTED, "the server is out of memory");
        return;
    }
    jd_call_begin(&w->call, front, rpc, op, &waiting_kind);
    jl_loop_arm(front->loop, &w->timer,
                jd_call_message_due_ns(&w->call) + (op == JD_OP_RUN_JOB ? RUN_EXTRA_NS : 0),
                waiting_late);
}

bool jd_call_may_end(const struct jd_call *c)
{
    return c->kind->on_writable || c->kind->on_message || c->kind == &waiting_kind;
}

/* ---- the door */

static void health_check(const struct jd_front *front, struct rpc_call *rpc)
{
    Grpc__Health__V1__HealthCheckResponse reply = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    uint8_t body[16];
    size_t len;

    reply.status = front->ending
                       ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING
                       : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    len = grpc__health__v1__health_check_response__pack(&reply, body);
    rpc_call_finish(rpc, API_OK, NULL, body, len);
}

/* True when the certificate's role allows op; else the call is answered. */
static bool role_allows(struct jd_front *front, struct rpc_call *rpc, enum jd_op op)
{
    const char *unit = rpc_call_identity(rpc)->unit;
    enum jd_role role = jd_role_parse(unit);

    if (role < jd_op_role(op))
        let_core_refuse(front, rpc, op, "");
    if (role == JD_ROLE_NONE) {
        jd_calls_refuse(
            front, rpc, API_PERMISSION_DENIED,
            "failed to extract client role: organizational unit '%s' of the certificate is none "
            "of reader, viewer, developer, maintainer, admin",
            unit);
        return false;
    }
    if (role < jd_op_role(op)) {
        jd_calls_refuse(front, rpc, API_PERMISSION_DENIED,
                        "role %s is not allowed to perform operation %s", jd_role_name(role),
                        jd_op_name(op));
        return false;
    }
    return true;
}

/* True when the certificate is good, as far as one can know; else the call is answered. */
static bool certificate_holds(struct jd_front *front, struct rpc_call *rpc, enum jd_op op)
{
    const char *serial = rpc_call_identity(rpc)->serial;

    if (!ipc_revoked_has(&front->conf.revoked, serial))
        return true;
    if (op != JD_OP_NONE)
        let_core_refuse(front, rpc, op, IPC_LINK_REVOKED);
    jd_calls_refuse(front, rpc, API_UNAUTHENTICATED, REVOKED, serial);
    return false;
}

void jd_calls_revoked(struct jd_front *front, const struct ipc_frame *event)
{
    struct ipc_revoked fresh;
    struct jl_err e = JL_ERR_INIT;
    size_t n = 0;

    if (ipc_revoked_parse("core's list of revoked certificates", (const char *) event->body,
                          event->body_len, &fresh, &e) < 0) {
        jl_log_fail(&e, "front.revoked", "%s", "");
        jl_loop_stop(front->loop, 1);
        return;
    }
    ipc_revoked_done(&front->conf.revoked);
    front->conf.revoked = fresh;
    for (struct jd_call *c = front->calls; c; c = c->next) {
        char text[JL_ERR_TEXT_MAX];

        if (!c->rpc || !ipc_revoked_has(&fresh, c->who.serial))
            continue;
        snprintf(text, sizeof text, REVOKED, c->who.serial);
        if (c->op != JD_OP_NONE)
            let_core_refuse(front, c->rpc, c->op, IPC_LINK_REVOKED);
        c->finished = true;
        rpc_call_abort(c->rpc, API_UNAUTHENTICATED, text);
        n++;
    }
    jl_log_info("front.revoked", "serials=%zu calls_ended=%zu", fresh.n, n);
}

void jd_calls_on_head(struct rpc_call *rpc, void *ctx)
{
    enum jd_op op = jd_op_of_method(rpc_call_method(rpc));

    rpc_call_set_user(rpc, NULL);
    if (certificate_holds(ctx, rpc, op) && (op == JD_OP_NONE || role_allows(ctx, rpc, op)))
        wait_for_message(ctx, rpc, op);
}

void jd_calls_on_call(struct rpc_call *rpc, void *ctx)
{
    struct jd_front *front = ctx;
    struct waiting *w = JL_CONTAINER(rpc_call_user(rpc), struct waiting, call);
    const char *method = rpc_call_method(rpc);
    enum jd_op op = w->call.op;

    jl_loop_disarm(front->loop, &w->timer);
    if (!certificate_holds(front, rpc, op)) /* revoked while the message came */
        return;
    if (strcmp(method, HEALTH_CHECK) == 0) {
        health_check(front, rpc);
        return;
    }
    if (op == JD_OP_NONE) {
        jd_calls_refuse(front, rpc, API_UNIMPLEMENTED, "this server has no method %s", method);
        return;
    }
    if (front->ending) { /* the role was looked at in on_head */
        jd_call_finish(&w->call, API_UNAVAILABLE, "the server is going down", NULL, 0);
        return;
    }
    waiting_free(w); /* what follows takes its place */
    if (op == JD_OP_RUN_JOB)
        jd_run_begin(front, rpc);
    else if (op == JD_OP_STAGE_UPLOADS)
        jd_stagecall_begin(front, rpc);
    else if (op == JD_OP_GET_JOB_LOGS)
        jd_logcall_begin(front, rpc);
    else if (op == JD_OP_GET_JOB_METRICS || op == JD_OP_STREAM_JOB_METRICS)
        jd_metricscall_begin(front, rpc, op);
    else if (op == JD_OP_STREAM_SYSTEM_METRICS)
        jd_monitorcall_begin(front, rpc);
    else
        jd_unary_begin(front, rpc, op);
}

void jd_calls_on_message(struct rpc_call *rpc, void *ctx)
{
    struct jd_call *c = rpc_call_user(rpc);

    (void) ctx;
    if (c && c->kind->on_message)
        c->kind->on_message(c);
}

void jd_calls_on_writable(struct rpc_call *rpc, void *ctx)
{
    struct jd_call *c = rpc_call_user(rpc);

    (void) ctx;
    if (c && c->kind->on_writable)
        c->kind->on_writable(c);
}

void jd_calls_on_gone(struct rpc_call *rpc, void *ctx)
{
    struct jd_call *c = rpc_call_user(rpc);

    (void) ctx;
    if (!c)
        return;
    c->rpc = NULL;
    c->kind->on_gone(c);
}

void jd_calls_on_refused(struct rpc_call *rpc, unsigned status, const char *message, void *ctx)
{
    struct jd_call *c = rpc_call_user(rpc);

    tell_refused(ctx, rpc, jd_op_of_method(rpc_call_method(rpc)), (enum api_status) status, message,
                 "");
    if (c)
        c->finished = true;
}
