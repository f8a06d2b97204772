/* purge.c - see purge.h; and the requests that delete. */
#include "daemon/core/purge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/validate.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/core/core.h"
#include "daemon/core/request.h"

#define SLICE_MAX 64 /* jobs in one turn of the loop */
#define STEADY_NS (3600 * JL_NS_PER_S)
#define SLEW_NS ((int64_t) (5 * JL_NS_PER_S)) /* from one look to the next: not set, only led */

struct jd_purge_call {
    struct jd_call call;
    int32_t deleted, skipped;
    struct jd_purge_call *next;
};

static bool can_go(const struct jd_job *j)
{
    return jd_state_is_ended(j->state) && !j->unstored;
}

/* From the database, then from the disk: what is left when we die between is found by the sweep. */
static int forget(struct jd_core *c, struct jd_job **jobs, size_t n, struct jl_err *e)
{
    const char *ids[SLICE_MAX] = { NULL };
    int r;

    for (size_t i = 0; i < n; i++)
        ids[i] = jobs[i]->rec.id;
    r = jd_store_delete(c->store, ids, n, e);
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct jl_err log = JL_ERR_INIT;

        if (jd_trash_put(c, c->logs_dirfd, ids[i], &log) < 0)
            jl_log_fail(&log, "job.forget", "job=%s", ids[i]);
        if (jd_trash_put(c, c->metrics.dirfd, ids[i], &log) < 0)
            jl_log_fail(&log, "job.forget", "job=%s", ids[i]);
        jl_log_info("job.forget", "job=%s status=%s", ids[i], jobs[i]->rec.status);
        jd_jobs_remove(c, jobs[i]);
    }
    return r;
}

int jd_purge_one(struct jd_job *j, struct jl_err *e)
{
    return forget(j->core, &j, 1, e);
}

static void answer(struct jd_core *c)
{
    while (c->purge.calls) {
        struct jd_purge_call *p = c->purge.calls;
        Joblet__DeleteAllJobsResponse m = JOBLET__DELETE_ALL_JOBS_RESPONSE__INIT;
        char text[128];

        c->purge.calls = p->next;
        snprintf(text, sizeof text, "%d job%s deleted, %d that had not ended skipped", p->deleted,
                 p->deleted == 1 ? "" : "s", p->skipped);
        m.success = true;
        m.message = text;
        m.deleted_count = p->deleted;
        m.skipped_count = p->skipped;
        jd_reply(&p->call, &m.base);
        free(p);
    }
}

static void refuse_all(struct jd_core *c, const struct jl_err *e)
{
    while (c->purge.calls) {
        struct jd_purge_call *p = c->purge.calls;

        c->purge.calls = p->next;
        jd_reply_error(&p->call, e);
        free(p);
    }
}

static int on_slice(struct jl_timer *t)
{
    struct jd_core *c = JL_CONTAINER(t, struct jd_core, purge.timer);
    struct jd_job *jobs[SLICE_MAX];
    struct jl_err e = JL_ERR_INIT;
    size_t n = 0;

    for (struct jd_job *j = c->jobs.first; j && n < SLICE_MAX; j = j->next)
        if (j->doomed)
            jobs[n++] = j;
    if (n == 0) {
        answer(c);
        return 0;
    }
    if (forget(c, jobs, n, &e) < 0) {
        jl_log_fail(&e, "job.forget", "%zu jobs", n);
        for (struct jd_job *j = c->jobs.first; j; j = j->next)
            j->doomed = false;
        jl_refuse(&e, EAGAIN, "the server can't change its records at the moment");
        refuse_all(c, &e);
        return 0;
    }
    jl_loop_arm(c->loop, t, jl_now_ns(), on_slice);
    return 0;
}

void jd_purge_look_at_clock(struct jd_core *c)
{
    struct jd_purge *p = &c->purge;
    uint64_t boot = jl_boot_ns();
    int64_t ahead = (int64_t) (jl_wall_ns() - boot), by = ahead - p->ahead_ns;

    if (p->steady_since_ns == 0 || by > SLEW_NS || by < -SLEW_NS)
        p->steady_since_ns = boot;
    p->ahead_ns = ahead;
}

bool jd_purge_knows_time(const struct jd_core *c, uint64_t age_ns)
{
    uint64_t wait = age_ns / 10 < STEADY_NS ? age_ns / 10 : STEADY_NS;

    return c->purge.steady_since_ns > 0 && jl_boot_ns() - c->purge.steady_since_ns >= wait;
}

/* Whether this age is over a limit; 0: none. */
static bool is_too_old(const struct jd_core *c, uint64_t age_ns, uint64_t limit_ns)
{
    return limit_ns > 0 && age_ns >= limit_ns && jd_purge_knows_time(c, limit_ns);
}

void jd_purge_retain(struct jd_core *c)
{
    uint64_t now = jl_wall_ns(), day = 86400 * JL_NS_PER_S;
    struct jl_err e = JL_ERR_INIT;
    unsigned n = c->jobs.n_ended;
    bool any = false;

    for (struct jd_job *j = c->jobs.first; j; j = j->next) {
        uint64_t age = now > j->rec.ended_wall_ns ? now - j->rec.ended_wall_ns : 0;

        if (!can_go(j))
            continue;
        if ((c->conf.retention_jobs > 0 && n > c->conf.retention_jobs) ||
            is_too_old(c, age, c->conf.retention_age_ns)) {
            j->doomed = any = true;
            n--;
            continue;
        }
        if (is_too_old(c, age, (uint64_t) c->conf.metrics_days * day) &&
            jd_trash_put(c, c->metrics.dirfd, j->rec.id, &e) < 0)
            jl_log_fail(&e, "job.metrics", "job=%s", j->rec.id);
        if (is_too_old(c, age, (uint64_t) c->conf.logs_days * day) &&
            jd_trash_put(c, c->logs_dirfd, j->rec.id, &e) < 0)
            jl_log_fail(&e, "job.log", "job=%s", j->rec.id);
    }
    if (any)
        jl_loop_arm(c->loop, &c->purge.timer, jl_now_ns(), on_slice);
}

void jd_purge_done(struct jd_core *c)
{
    jl_loop_disarm(c->loop, &c->purge.timer);
    while (c->purge.calls) {
        struct jd_purge_call *p = c->purge.calls;

        c->purge.calls = p->next;
        free(p);
    }
}

void jd_op_delete_all(struct jd_call *call, const struct ipc_frame *f)
{
    struct jd_core *c = call->core;
    struct jd_purge_call *p = calloc(1, sizeof *p);

    (void) f; /* no fields */
    if (!p) {
        jd_reply_status(call, API_RESOURCE_EXHAUSTED, "the server is out of memory");
        return;
    }
    p->call = *call;
    for (struct jd_job *j = c->jobs.first; j; j = j->next) {
        if (!can_go(j))
            p->skipped++;
        else if (!j->doomed)
            p->deleted++;
        j->doomed |= can_go(j);
    }
    p->next = c->purge.calls;
    c->purge.calls = p;
    jl_loop_arm(c->loop, &c->purge.timer, jl_now_ns(), on_slice);
}

static int delete_job(struct jd_call *call, const struct ipc_frame *f, struct jl_err *e)
{
    ProtobufCMessage *in = NULL;
    struct jd_job *j;
    int r =
        api_unpack_request(&joblet__delete_job_request__descriptor, f->body, f->body_len, &in, e);

    if (r < 0)
        return r;
    j = jd_jobs_find(call->core, ((Joblet__DeleteJobRequest *) in)->uuid, e);
    protobuf_c_message_free_unpacked(in, NULL);
    if (!j)
        return -e->code;
    memcpy(call->job_id, j->rec.id, sizeof call->job_id);
    if (can_go(j))
        return jd_purge_one(j, e);
    jl_refuse(e, EBUSY, "job %s is %s: only jobs that have ended can be deleted", j->rec.id,
              j->rec.status);
    return jl_hint(e, "stop it first: rnx job stop %.8s", j->rec.id);
}

void jd_op_delete(struct jd_call *call, const struct ipc_frame *f)
{
    Joblet__DeleteJobResponse m = JOBLET__DELETE_JOB_RESPONSE__INIT;
    struct jl_err e = JL_ERR_INIT;

    if (delete_job(call, f, &e) < 0) {
        jd_reply_error(call, &e);
        return;
    }
    m.uuid = call->job_id;
    m.success = true;
    m.message = (char *) (uintptr_t) "the job, its log and its metrics are deleted";
    jd_reply(call, &m.base);
}
