/* monitor.c - see monitor.h. */
#include "daemon/core/monitor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/core/core.h"
#include "daemon/core/request.h"
#include "daemon/core/sysmon.h"
#include "daemon/core/worker.h"

#define SECOND_NS JL_NS_PER_S         /* from the first sample to the second */
#define FRESH_NS (900 * JL_NS_PER_MS) /* a stream gets no sample that is older */
#define WAITERS_MAX 1024     /* for a sample that does not come; who gave up is still among them */
#define STALE_INTERVALS 3    /* without a sample, and the host is not available */
#define AVAILABLE "\x10\x01" /* SystemStatusResponse.available, true */

static int on_timer(struct jl_timer *t);

static void answer(struct jd_core *c, const struct jd_call *call)
{
    const struct jd_monitor *m = &c->monitor;
    uint64_t age = jl_now_ns() - m->taken_ns;
    size_t more = age <= STALE_INTERVALS * c->conf.monitoring_interval_ns + SECOND_NS
                      ? sizeof AVAILABLE - 1
                      : 0;
    _free_ uint8_t *body = malloc(m->body_len + sizeof AVAILABLE);

    if (!body || m->body_len == 0) {
        jd_reply_status(call, API_UNAVAILABLE, "the server has no sample of its host");
        return;
    }
    memcpy(body, m->body, m->body_len);
    memcpy(body + m->body_len, AVAILABLE,
           more); /* the encodings of two halves, joined, are one's */
    jd_reply_bytes(call, body, m->body_len + more);
}

static void answer_waiters(struct jd_core *c)
{
    c->monitor.n_waiters = 0;
    while (c->monitor.waiters) {
        struct jd_call *call = c->monitor.waiters;

        c->monitor.waiters = call->next;
        answer(c, call);
        free(call);
    }
}

static void on_sample(void *user, int r, const void *out, size_t len, int fd,
                      const struct jl_err *e)
{
    struct jd_core *c = user;
    struct jd_monitor *m = &c->monitor;
    uint8_t *body = r < 0 ? NULL : malloc(len + 1);

    jl_close(fd);
    m->looking = false;
    if (r < 0)
        jl_log_fail(e, "monitoring.sample", "the last one is kept");
    if (body) {
        memcpy(body, out, len);
        free(m->body);
        m->body = body;
        m->body_len = len;
        m->taken_ns = jl_now_ns();
        if (m->n_samples < 2)
            m->n_samples++;
    }
    answer_waiters(c);
    jl_loop_arm(c->loop, &m->timer,
                jl_now_ns() + (m->n_samples == 1 && c->conf.monitoring_interval_ns > SECOND_NS
                                   ? SECOND_NS
                                   : c->conf.monitoring_interval_ns),
                on_timer);
}

static void look(struct jd_core *c)
{
    struct jd_monitor *m = &c->monitor;
    struct jd_sysmon_in in = { .cloud = c->conf.monitoring_cloud };
    struct jl_err e = JL_ERR_INIT;

    if (m->looking)
        return;
    snprintf(in.volumes_dir, sizeof in.volumes_dir, "%s", c->conf.volumes_dir);
    snprintf(in.node_id, sizeof in.node_id, "%s", c->conf.node_id);
    if (jd_worker_call(m->worker, 0, &in, sizeof in, NULL, 0, on_sample, c, &e) < 0) {
        jl_log_fail(&e, "monitoring.sample", "tried again later");
        jl_loop_arm(c->loop, &m->timer, jl_now_ns() + c->conf.monitoring_interval_ns, on_timer);
        answer_waiters(c);
        return;
    }
    m->looking = true;
    jl_loop_disarm(c->loop, &m->timer);
}

static int on_timer(struct jl_timer *t)
{
    look(JL_CONTAINER(t, struct jd_core, monitor.timer));
    return 0;
}

void jd_monitor_start(struct jd_core *c)
{
    static const jd_work_fn table[] = { jd_sysmon_sample };

    if (!c->conf.monitoring_enabled)
        return;
    c->monitor.worker = jd_worker_new(c->loop, "monitor", table, JL_COUNT(table));
    if (!c->monitor.worker) {
        jl_log_warn("monitoring.sample", "out of memory");
        return;
    }
    look(c);
}

void jd_monitor_done(struct jd_core *c)
{
    jl_loop_disarm(c->loop, &c->monitor.timer);
    jd_worker_free(c->monitor.worker);
    while (c->monitor.waiters) {
        struct jd_call *call = c->monitor.waiters;

        c->monitor.waiters = call->next;
        free(call);
    }
    free(c->monitor.body);
}

/* With monitoring switched off: who the server is, and nothing that has to be measured. */
static void answer_unmeasured(const struct jd_call *call)
{
    Joblet__SystemStatusResponse m = JOBLET__SYSTEM_STATUS_RESPONSE__INIT;
    struct jd_arena a = JD_ARENA_INIT;
    char when[JL_RFC3339_MAX];

    m.timestamp = jl_rfc3339(jl_wall_ns(), 3, when);
    m.host = jd_sysmon_host(&a, call->core->conf.node_id);
    m.server_version = jd_sysmon_version(&a);
    jd_reply(call, &m.base);
    jd_arena_free(&a);
}

/* The answer when the sample that is being taken is there. */
static void answer_later(struct jd_call *call)
{
    struct jd_call *kept;

    if (call->core->monitor.n_waiters >= WAITERS_MAX) {
        answer(call->core, call);
        return;
    }
    kept = jd_call_keep(call);
    if (!kept) {
        jd_reply_status(call, API_RESOURCE_EXHAUSTED, "the server is out of memory");
        return;
    }
    kept->next = call->core->monitor.waiters;
    call->core->monitor.waiters = kept;
    call->core->monitor.n_waiters++;
    look(call->core);
}

void jd_op_system_status(struct jd_call *call, const struct ipc_frame *f)
{
    const struct jd_monitor *m = &call->core->monitor;

    (void) f; /* no fields */
    if (!m->worker)
        answer_unmeasured(call);
    else if (m->body)
        answer(call->core, call);
    else
        answer_later(call);
}

void jd_op_system_metrics(struct jd_call *call, const struct ipc_frame *f)
{
    const struct jd_monitor *m = &call->core->monitor;

    (void) f; /* interval and types are front's business */
    if (!m->worker)
        jd_reply_status(call, API_FAILED_PRECONDITION,
                        "the host is not measured: monitoring.enabled is false");
    else if (m->body && jl_now_ns() - m->taken_ns < FRESH_NS)
        answer(call->core, call);
    else
        answer_later(call);
}
