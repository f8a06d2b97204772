/* jobs.c - see jobs.h. */
#include "daemon/core/jobs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/validate.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/io.h"
#include "base/log.h"
#include "daemon/core/bundle.h"
#include "daemon/core/core.h"
#include "daemon/core/jobreq.h"
#include "daemon/core/request.h"
#include "daemon/core/shimlink.h"

#define STORE_AGAIN_NS (5 * JL_NS_PER_S)
#define SETTLE_NS (2 * JL_NS_PER_S) /* it waits for the disk: once for all that end meanwhile */

static struct jd_job *job_of(struct jd_core *c, struct jd_record *own_rec, struct jl_err *e)
{
    struct jd_job *j = calloc(1, sizeof *j);

    if (!j) {
        jl_fail(e, ENOMEM, "add a job");
        return NULL;
    }
    j->core = c;
    j->rec = *own_rec;
    j->stop_grace_ms = UINT64_MAX;
    *own_rec = (struct jd_record){ 0 };
    return j;
}

/* The state and the request out of the record. 0, or -errno with e filled. */
static int read_record(struct jd_job *j, struct jl_err *e)
{
    ProtobufCMessage *m = NULL;
    int r = jd_state_parse(j->rec.status, &j->state);

    if (r < 0)
        jl_refuse(e, EINVAL, "job %s has the unknown state '%s'", j->rec.id, j->rec.status);
    else
        r = api_unpack_request(&joblet__run_job_request__descriptor, j->rec.request.data,
                               j->rec.request.len, &m, e);
    j->req = (Joblet__RunJobRequest *) m;
    j->request_bytes = j->rec.request.len + j->rec.secrets.len;
    j->has_secrets = j->rec.secrets.len > 0;
    if (r == 0)
        r = jd_request_add_secrets(j->req, &j->rec.secrets, e);
    if (r == 0)
        j->light = jd_request_lighten(j->req);
    return r < 0 ? jl_wrap(e, "job %s", j->rec.id) : 0;
}

/* It is no job: the record is the caller's again. */
static struct jd_job *give_up(struct jd_job *j, struct jd_record *own_rec)
{
    *own_rec = j->rec;
    j->rec = (struct jd_record){ 0 };
    jd_job_free(j);
    return NULL;
}

struct jd_job *jd_job_new(struct jd_core *c, struct jd_record *own_rec, struct jl_err *e)
{
    struct jd_job *j = job_of(c, own_rec, e);

    return j && read_record(j, e) < 0 ? give_up(j, own_rec) : j;
}

static int on_again(struct jl_timer *t);

/* What can't be read can't be started, but what runs needs its shim alone: it goes on, and its end is
 * as of any other. 0, or -errno with e filled. */
static int be_damaged(struct jd_job *j, struct jl_err *e)
{
    bool known = jd_state_parse(j->rec.status, &j->state) == 0;
    bool waits = known && (j->state == JD_PENDING || j->state == JD_SCHEDULED);
    ProtobufCMessage *m = NULL;
    int bad;

    if (j->req)
        protobuf_c_message_free_unpacked(&j->req->base, NULL);
    j->req = NULL;
    if (api_unpack_request(&joblet__run_job_request__descriptor, "", 0, &m, e) < 0)
        return -e->code;
    j->req = (Joblet__RunJobRequest *) m;
    if (known && jd_state_is_ended(j->state))
        return 0;
    if (!waits && j->rec.boot_id[0] && j->rec.ended_wall_ns == 0) {
        if (!known || j->state == JD_INITIALIZING) /* nothing that could be started anew */
            j->state = JD_RUNNING;
        return jd_record_set(&j->rec.status, jd_state_name(j->state)) < 0
                   ? jl_fail(e, ENOMEM, "add a job")
                   : 0;
    }
    j->state = JD_FAILED;
    j->rec.exit_code = -1;
    if (j->rec.ended_wall_ns == 0)
        j->rec.ended_wall_ns = jl_wall_ns();
    bad = jd_record_set(&j->rec.status, jd_state_name(j->state));
    bad |= jd_record_set(&j->rec.reason, "its record is damaged");
    j->unstored = true; /* stored, and cleaned up after, by the loop */
    jl_loop_arm(j->core->loop, &j->core->jobs.again, jl_now_ns(), on_again);
    return bad ? jl_fail(e, ENOMEM, "add a job") : 0;
}

struct jd_job *jd_job_load(struct jd_core *c, struct jd_record *own_rec, struct jl_err *e)
{
    struct jd_job *j = job_of(c, own_rec, e);

    if (!j || read_record(j, e) == 0)
        return j;
    if (e->code != ENOMEM && jl_id_is_valid(j->rec.id)) {
        jl_log_fail(e, "state.load", "its record is damaged");
        jl_err_clear(e);
        if (be_damaged(j, e) == 0)
            return j;
    }
    return give_up(j, own_rec);
}

void jd_job_stored(struct jd_job *j)
{
    jd_blob_done(&j->rec.request);
    jd_blob_done(&j->rec.secrets);
}

void jd_job_free(struct jd_job *j)
{
    if (!j)
        return;
    jd_shim_release(j);
    jd_space_free(j);
    jd_metrics_free(j);
    while (j->waiters) {
        struct jd_call *call = j->waiters;

        j->waiters = call->next;
        free(call);
    }
    if (j->req)
        protobuf_c_message_free_unpacked(&j->req->base, NULL);
    jd_record_done(&j->rec);
    free(j->listed.data);
    free(j);
}

/* The job is in its state from now on (by 1), or leaves it (by -1). */
static void count(struct jd_job *j, int by)
{
    struct jd_jobs *all = &j->core->jobs;

    if (!jd_state_is_ended(j->state))
        all->request_bytes += (size_t) by * j->request_bytes;
    all->n_ended += (unsigned) (jd_state_is_ended(j->state) ? by : 0);
    all->n_active += (unsigned) (jd_state_is_active(j->state) ? by : 0);
    if (jd_state_is_active(j->state))
        jd_queue_account(j, by);
    if (by > 0)
        jd_queue_add(j);
    else
        jd_queue_remove(j);
}

void jd_jobs_add(struct jd_core *c, struct jd_job *j)
{
    j->prev = c->jobs.last;
    if (c->jobs.last)
        c->jobs.last->next = j;
    else
        c->jobs.first = j;
    c->jobs.last = j;
    c->jobs.n++;
    jd_jobs_index(c, j);
    count(j, 1);
}

void jd_jobs_remove(struct jd_core *c, struct jd_job *j)
{
    *(j->prev ? &j->prev->next : &c->jobs.first) = j->next;
    *(j->next ? &j->next->prev : &c->jobs.last) = j->prev;
    c->jobs.n--;
    jd_jobs_unindex(c, j);
    count(j, -1);
    jd_job_free(j);
}

void jd_jobs_clear(struct jd_core *c)
{
    jl_loop_disarm(c->loop, &c->jobs.again);
    jl_loop_disarm(c->loop, &c->jobs.settle);
    jd_submits_clear(c);
    while (c->jobs.first)
        jd_jobs_remove(c, c->jobs.first);
}

uint32_t jd_jobs_host_ids(struct jd_core *c, struct jl_err *e)
{
    for (uint32_t i = 1; i <= JD_ID_SLOTS; i++) {
        uint32_t slot = (c->jobs.last_slot + i) % JD_ID_SLOTS;
        uint32_t base = JD_ID_FIRST + slot * JD_ID_RANGE;
        bool used = false;

        for (const struct jd_job *j = c->jobs.first; j && !used; j = j->next)
            used = (jd_state_is_active(j->state) || j->unstored) && j->rec.host_id_base == base;
        if (!used && !jd_nets_has_ids(c, base) && !jd_clean_has_ids(c, base)) {
            c->jobs.last_slot = slot;
            return base;
        }
    }
    jl_refuse(e, ENOSPC, "all %u ranges of host ids are in use", JD_ID_SLOTS);
    return 0;
}

/* What could not be forgotten when the job ended, or when it was loaded. 0, or -errno with e filled. */
static int forget_rest(struct jd_core *c, struct jl_err *e)
{
    for (struct jd_job *j = c->jobs.first; j; j = j->next) {
        if (!j->has_secrets || !jd_state_is_ended(j->state) || j->unstored)
            continue;
        if (jd_store_drop_secrets(c->store, j->rec.id, e) < 0)
            return -e->code;
        j->has_secrets = false;
    }
    return 0;
}

static int on_settle(struct jl_timer *t)
{
    struct jd_core *c = JL_CONTAINER(t, struct jd_core, jobs.settle);
    struct jl_err e = JL_ERR_INIT;
    int r = forget_rest(c, &e);

    if (r == 0)
        r = jd_store_settle(c->store, &e);
    if (r < 0 && r != -EAGAIN)
        jl_log_fail(&e, "job.secrets", "forgotten ones stay on disk; tried again");
    if (r < 0)
        jd_jobs_settle(c);
    return 0;
}

void jd_jobs_settle(struct jd_core *c)
{
    if (!c->jobs.settle.armed)
        jl_loop_arm(c->loop, &c->jobs.settle, jl_now_ns() + SETTLE_NS, on_settle);
}

static void forget_secrets(struct jd_job *j)
{
    struct jl_err e = JL_ERR_INIT;

    jd_request_mask(j->req);
    if (jd_store_drop_secrets(j->core->store, j->rec.id, &e) == 0)
        j->has_secrets = false;
    else
        jl_log_fail(&e, "job.secrets", "job=%s: tried again", j->rec.id);
    jd_jobs_settle(j->core);
}

/* Removes what an ended job has left but its record and its log; tells those who wait. */
static void finish(struct jd_job *j)
{
    struct jd_core *c = j->core;

    jd_shim_release(j);
    jd_space_free(j);
    jd_shim_clean(j);
    jd_nets_ended(j);
    if (j->req->n_volumes > 0)
        jd_volumes_mend(c);
    jd_log_seal(c, j->rec.id, j->rec.reason);
    if (j->has_secrets)
        forget_secrets(j);
    jd_metrics_end(j);
    jl_log_info("job.end", "job=%s status=%s exit_code=%d%s%s", j->rec.id, j->rec.status,
                j->rec.exit_code, j->rec.reason[0] ? " reason=" : "", j->rec.reason);
    jd_front_event(c, j->rec.id);
    while (j->waiters) {
        struct jd_call *call = j->waiters;

        j->waiters = call->next;
        jd_reply_ended(call, j);
        free(call);
    }
}

bool jd_job_is_of_earlier_boot(const struct jd_job *j)
{
    return j->rec.boot_id[0] && strcmp(j->rec.boot_id, j->core->boot_id) != 0;
}

/* That a job runs is said again by its shim after a restart, and that it was lost with the machine
 * is seen again after the next one: nobody waits for the disk. */
static bool is_found_anew(const struct jd_job *j)
{
    return j->state == JD_RUNNING ||
           (jd_state_is_ended(j->state) && !j->rec.has_result && jd_job_is_of_earlier_boot(j));
}

/* A change that cannot be stored stays in memory, and its traces on disk, until it can. */
static bool store(struct jd_job *j, struct jl_err *e)
{
    int r = is_found_anew(j) ? jd_store_note(j->core->store, &j->rec, e)
                             : jd_store_update(j->core->store, &j->rec, e);

    if (r == 0) {
        j->unstored = false;
        return true;
    }
    jl_log_fail(e, "job.store", "job=%s status=%s", j->rec.id, j->rec.status);
    j->unstored = true;
    jl_loop_arm(j->core->loop, &j->core->jobs.again, jl_now_ns() + STORE_AGAIN_NS, on_again);
    return false;
}

static int on_again(struct jl_timer *t)
{
    struct jd_core *c = JL_CONTAINER(t, struct jd_core, jobs.again);
    struct jl_err e = JL_ERR_INIT;

    for (struct jd_job *j = c->jobs.first, *next; j; j = next) {
        next = j->next;
        if (j->unstored && store(j, &e) && jd_state_is_ended(j->state))
            finish(j);
    }
    jd_queue_run(c);
    return 0;
}

static void set_state(struct jd_job *j, enum jd_state to, const char *reason)
{
    free(jl_take_ptr(j->listed.data));
    count(j, -1);
    j->state = to;
    count(j, 1);
    if (jd_record_set(&j->rec.status, jd_state_name(to)) < 0 ||
        (reason && jd_record_tell(&j->rec.reason, reason) < 0))
        jl_log_warn("job.store", "job=%s: out of memory", j->rec.id);
    if (jd_state_is_ended(to) && j->rec.ended_wall_ns == 0)
        j->rec.ended_wall_ns = jl_wall_ns();
    if (to == JD_CANCELED) /* it never ran: 0 would be taken for success */
        j->rec.exit_code = -1;
}

/* With its network, or once it has one. 0, or -errno with e filled. */
static int start(struct jd_job *j, struct jl_err *e)
{
    int r = jd_nets_take(j, e);

    if (r > 0 && !j->rate_set && (j->req->net_rx_bps > 0 || j->req->net_tx_bps > 0))
        r = jd_nets_limit(j, e);
    return r > 0 ? jd_shim_start(j, e) : r;
}

bool jd_is_passing(int code)
{
    return code == ENOSPC || code == EDQUOT || code == EMFILE || code == ENFILE || code == ENOMEM ||
           code == EAGAIN;
}

/* Back into the queue, with nothing but its record, uploads and an image that was made of them. What
 * can't be removed now is in nobody's way: each start makes these directories anew. */
static void put_off(struct jd_job *j, const struct jl_err *why)
{
    struct jd_core *c = j->core;
    struct jl_err ignored = JL_ERR_INIT;

    jd_shim_release(j);
    jd_nets_ended(j);
    j->rate_set = j->lease_unstored = false;
    j->rec.host_id_base = 0;
    j->rec.address[0] = j->rec.boot_id[0] = '\0';
    jl_remove_tree_at(c->state_dirfd, j->rec.id, &ignored);
    jl_remove_tree_at(c->logs_dirfd, j->rec.id, &ignored);
    jd_queue_pause(c, why->text);
    j->put_offs++;
    jd_job_event(j, JD_EV_PUT_OFF, JD_PENDING, NULL, &ignored);
}

void jd_job_start_failed(struct jd_job *j, const struct jl_err *why)
{
    struct jl_err ignored = JL_ERR_INIT;

    jl_log_fail(why, "job.start", "job=%s", j->rec.id);
    if (j->state == JD_INITIALIZING && jd_is_passing(why->code)) {
        put_off(j, why);
        return;
    }
    j->rec.exit_code = -1;
    jd_record_tell(&j->rec.result.start_error, why->text);
    jd_job_event(j, JD_EV_START_FAILED, JD_FAILED, why->text, &ignored);
}

static void act(struct jd_job *j, enum jd_action action)
{
    struct jl_err e = JL_ERR_INIT, ignored = JL_ERR_INIT;

    switch (action) {
    case JD_ACT_NONE:
        break;
    case JD_ACT_START:
        if (start(j, &e) < 0)
            jd_job_start_failed(j, &e);
        break;
    case JD_ACT_STOP:
        if (j->net_waits || j->rate_waits) { /* nothing has begun that could be stopped */
            j->rec.exit_code = -1;
            jd_job_event(j, JD_EV_START_FAILED, JD_STOPPED, NULL, &ignored);
        } else {
            jd_shim_stop(j);
        }
        break;
    case JD_ACT_FINISH:
        break; /* after the record is on disk: below */
    }
}

int jd_job_event(struct jd_job *j, enum jd_event ev, enum jd_state outcome, const char *reason,
                 struct jl_err *e)
{
    struct jl_err why = JL_ERR_INIT;
    struct jd_move move;
    bool stored = true;
    int r = jd_state_next(j->state, ev, outcome, &move, e);

    if (r < 0)
        return r;
    if (move.to != j->state) {
        set_state(j, move.to, jd_state_is_ended(move.to) ? reason : NULL);
        if (ev != JD_EV_DUE) /* a restart finds out for itself that the time has come */
            stored = store(j, &why);
        if (!jd_state_is_ended(move.to))
            jd_front_event(j->core, j->rec.id);
    }
    if (ev == JD_EV_UP || ev == JD_EV_DONE)
        jd_queue_works(j->core);
    if (ev == JD_EV_UP && j->state == JD_RUNNING) {
        jd_metrics_begin(j, true);
        jd_space_begun(j);
    }
    if (move.action == JD_ACT_START && !stored) { /* after a crash it would be started again */
        put_off(j, &why);
        return 0;
    }
    if (move.action != JD_ACT_FINISH) {
        act(j, move.action);
        return 0;
    }
    if (stored)
        finish(j);
    jd_queue_kick(j->core); /* a slot is free */
    return 0;
}

void jd_job_start(struct jd_job *j)
{
    act(j, JD_ACT_START);
}
