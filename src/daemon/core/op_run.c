/*
 * op_run.c - RunJob: checked, defaults filled in, uploads taken over, stored, answered, and only then
 * started.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "api/schedule.h"
#include "api/validate.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "daemon/core/arena.h"
#include "daemon/core/core.h"
#include "daemon/core/hostinfo.h"
#include "daemon/core/jobreq.h"
#include "daemon/core/request.h"
#include "daemon/core/run_check.h"
#include "daemon/core/stage_sync.h"

#define STARTS_MAX 2 /* of jobs that come together: the others start from the queue */

/* A RunJob on its way into the database. */
struct jd_submit {
    struct jd_call call;
    struct jd_submit *next;   /* that came in the same turn of the loop */
    struct jd_job *job;       /* made of it, for the commit */
    bool has_uploads, synced; /* synced: they are on disk */
    uint64_t upload_bytes;
    Joblet__RunJobRequest *req;      /* own; without what is large */
    struct jd_blob request, secrets; /* what is stored of it, until the job has them */
    size_t bytes;                    /* of both, counted in jobs.submit_bytes */
    bool named;                      /* the request has the paths of its uploads */
    struct jl_strv names;            /* else: what its session held */
    char id[40];
    uint64_t due_ns;      /* wall clock; 0: at once */
    uint64_t due_boot_ns; /* of a relative time, as the record has it */
};

static void submit_free(struct jd_submit *s)
{
    if (s->req)
        protobuf_c_message_free_unpacked(&s->req->base, NULL);
    s->call.core->jobs.submit_bytes -= s->bytes;
    jd_blob_done(&s->request);
    jd_blob_done(&s->secrets);
    jl_strv_clear(&s->names);
    free(s);
}

static int pack(const ProtobufCMessage *m, struct jd_blob *ret, struct jl_err *e)
{
    ret->len = protobuf_c_message_get_packed_size(m);
    ret->data = malloc(ret->len + 1);
    if (!ret->data)
        return jl_fail(e, ENOMEM, "take the job");
    protobuf_c_message_pack(m, ret->data);
    return 0;
}

/* The request as it is stored: with the names of the secrets; and the secrets apart. */
static int pack_both(struct jd_submit *s, struct jl_err *e)
{
    Joblet__RunJobRequest *q = s->req;
    _arena_ struct jd_arena a = JD_ARENA_INIT;
    Joblet__RunJobRequest only = JOBLET__RUN_JOB_REQUEST__INIT;
    Joblet__RunJobRequest__SecretEnvironmentEntry **values = q->secret_environment, **names;
    int r;

    names = jd_arena_get(&a, (q->n_secret_environment + 1) * sizeof *names);
    for (size_t i = 0; names && i < q->n_secret_environment; i++) {
        names[i] = jd_arena_get(&a, sizeof **names);
        if (!names[i])
            break;
        *names[i] = *values[i];
        names[i]->value = (char *) (uintptr_t) "***";
    }
    if (jd_arena_failed(&a))
        return jl_fail(e, ENOMEM, "take the job");
    q->secret_environment = names;
    r = pack(&q->base, &s->request, e);
    q->secret_environment = values;
    if (r < 0 || q->n_secret_environment == 0)
        return r;
    only.secret_environment = values;
    only.n_secret_environment = q->n_secret_environment;
    return pack(&only.base, &s->secrets, e);
}

/* The request as bytes, and of the request as a message what is small: one that waits for its uploads
 * costs no more. */
static int take_in(struct jd_submit *s, struct jl_err *e)
{
    struct jd_core *c = s->call.core;
    size_t bytes = protobuf_c_message_get_packed_size(&s->req->base);
    int r = jd_request_check_room(c, s->call.who.serial, bytes, e);

    if (r == 0)
        r = pack_both(s, e);
    if (r < 0)
        return r;
    s->bytes = bytes;
    c->jobs.submit_bytes += bytes;
    jd_request_lighten(s->req);
    return 0;
}

static int fill_record(struct jd_submit *s, struct jd_record *rec, enum jd_state state,
                       struct jl_err *e)
{
    const struct jd_core *c = s->call.core;
    int bad = 0;

    snprintf(rec->id, sizeof rec->id, "%s", s->id);
    bad |= jd_record_set(&rec->name, s->req->name);
    bad |= jd_record_set(&rec->command, s->req->command);
    bad |= jd_record_set(&rec->status, jd_state_name(state));
    bad |= jd_record_set(&rec->node_id, c->conf.node_id);
    bad |= jd_record_set(&rec->owner_name, s->call.who.common_name);
    bad |= jd_record_set(&rec->owner_serial, s->call.who.serial);
    if (bad)
        return jl_fail(e, ENOMEM, "take the job");
    rec->created_wall_ns = jl_wall_ns();
    rec->request = s->request;
    rec->secrets = s->secrets;
    s->request = s->secrets = (struct jd_blob){ 0 };
    return 0;
}

static int check_waiting(const struct jd_core *c, struct jl_err *e)
{
    if (c->jobs.n - c->jobs.n_ended - c->jobs.n_active < c->conf.max_waiting)
        return 0;
    return jl_refuse(e, EMFILE, "too many jobs wait already (%lld, joblet.maxWaitingJobs)",
                     (long long) c->conf.max_waiting);
}

/* What the job is to be stored as: it starts now, when its time has come and nothing is in its way. */
static enum jd_state first_state(const struct jd_submit *s, bool may_start, struct jd_record *rec)
{
    struct jd_core *c = s->call.core;
    struct jl_err none = JL_ERR_INIT;

    if (s->due_ns > jl_wall_ns())
        return JD_SCHEDULED;
    if (!may_start || !jd_queue_is_free_for(c, s->req->max_cpu, s->req->max_memory))
        return JD_PENDING;
    if (!jd_nets_take_ready(c, rec) && c->userns && !jd_nets_find(c, rec->network)) {
        rec->host_id_base = jd_jobs_host_ids(c, &none);
        if (rec->host_id_base == 0)
            return JD_PENDING; /* all in use */
    }
    if (jd_record_set(&rec->boot_id, c->boot_id) == 0)
        return JD_INITIALIZING;
    jd_nets_give_back(c, rec);
    jd_record_set(&rec->address, "");
    return JD_PENDING;
}

static void reply_submitted(struct jd_submit *s, const struct jd_job *j)
{
    Joblet__RunJobResponse m = JOBLET__RUN_JOB_RESPONSE__INIT;
    _request_ Joblet__RunJobRequest *own = NULL;
    struct jl_err e = JL_ERR_INIT;
    const Joblet__RunJobRequest *q = jd_request_whole(j, &own, &e);
    char scheduled[JL_RFC3339_MAX] = "", start[JL_RFC3339_MAX] = "";

    if (j->state == JD_INITIALIZING)
        jl_rfc3339(j->rec.created_wall_ns, 3, start);
    if (!q) {
        jl_log_fail(&e, "job.submit", "job=%s: answered without its arguments", j->rec.id);
        q = j->req;
    }
    if (s->due_ns > 0)
        jl_rfc3339(s->due_ns, 3, scheduled);
    m.job_uuid = (char *) (uintptr_t) j->rec.id;
    m.status = j->rec.status;
    m.command = q->command;
    m.args = q->args;
    m.n_args = q->n_args;
    m.max_cpu = q->max_cpu;
    m.cpu_cores = q->cpu_cores;
    m.max_memory = q->max_memory;
    m.max_io_bps = q->max_io_bps;
    m.start_time = start;
    m.scheduled_time = scheduled;
    memcpy(s->call.job_id, j->rec.id, sizeof s->call.job_id);
    jd_reply(&s->call, &m.base);
}

static struct jd_job *make_job(struct jd_submit *s, bool may_start, struct jl_err *e)
{
    struct jd_core *c = s->call.core;
    struct jd_job *j = NULL;
    enum jd_state state;
    struct jd_record rec;

    if (jd_record_init(&rec) < 0) {
        jl_fail(e, ENOMEM, "take the job");
        return NULL;
    }
    rec.sequence = c->jobs.last ? c->jobs.last->rec.sequence + 1 : 1; /* until it is stored */
    rec.has_uploads = s->has_uploads;
    rec.upload_bytes = s->upload_bytes;
    if (s->due_boot_ns > 0) /* the clock may have been set since it came */
        s->due_ns = s->due_boot_ns + jl_wall_ns() - jl_boot_ns();
    rec.scheduled_wall_ns = s->due_ns;
    rec.due_boot_ns = s->due_boot_ns;
    if (jd_record_set(&rec.network, s->req->network) < 0 ||
        (rec.due_boot_ns > 0 && jd_record_set(&rec.due_boot_id, c->boot_id) < 0)) {
        jl_fail(e, ENOMEM, "take the job");
        jd_record_done(&rec);
        return NULL;
    }
    state = first_state(s, may_start, &rec);
    if ((state != JD_INITIALIZING && check_waiting(c, e) < 0) ||
        fill_record(s, &rec, state, e) < 0 || !(j = jd_job_new(c, &rec, e))) {
        jd_nets_give_back(c, &rec);
        jd_record_done(&rec);
    }
    return j;
}

static void refuse(struct jd_submit *s, struct jl_err *e)
{
    struct jl_err ignored = JL_ERR_INIT;

    if (s->has_uploads)
        jd_trash_put(s->call.core, s->call.core->jobs_dirfd, s->id, &ignored);
    jd_reply_error(&s->call, e);
    submit_free(s);
}

static void sync_uploads(struct jd_submit *s);

/* What is refused must not run later: the certificate may have been revoked, a volume or network may
 * have gone while uploads were taken over. */
static int check_again(struct jd_core *c, const struct jd_submit *s, struct jl_err *e)
{
    int r;

    if (ipc_revoked_has(&c->revoked.list, s->call.who.serial))
        return jl_refuse(e, EKEYREJECTED, "the certificate with serial number %s is revoked",
                         s->call.who.serial);
    r = jd_volumes_check(c, s->req, e);
    return r < 0 ? r : jd_nets_check(c, s->req->network, s->call.role >= JD_ROLE_MAINTAINER, e);
}

/* Makes jobs of them, in their order; who can't become one is answered. Those that are left, whose
 * number is added to *n. */
static struct jd_submit *make_jobs(struct jd_core *c, struct jd_submit *s, size_t *n)
{
    struct jd_submit *left = NULL, **end = &left;
    unsigned starts = 0;

    for (struct jd_submit *next; s; s = next) {
        struct jl_err e = JL_ERR_INIT;

        next = s->next;
        s->next = NULL;
        if (jd_queue_reserve(c, c->jobs.n + 1, &e) == 0 && check_again(c, s, &e) == 0)
            s->job = make_job(s, starts < STARTS_MAX, &e);
        if (!s->job) {
            refuse(s, &e);
            continue;
        }
        if (s->has_uploads && !s->synced && s->job->state != JD_INITIALIZING) {
            s->request = s->job->rec.request; /* it comes again when they are on disk */
            s->secrets = s->job->rec.secrets;
            s->job->rec.request = s->job->rec.secrets = (struct jd_blob){ 0 };
            jd_job_free(jl_take_ptr(s->job));
            sync_uploads(s);
            continue;
        }
        jd_jobs_add(c, s->job); /* the next one finds its slot taken */
        starts += s->job->state == JD_INITIALIZING;
        *end = s;
        end = &s->next;
        ++*n;
    }
    return left;
}

static int store_all(struct jd_core *c, struct jd_submit *first, size_t n, struct jl_err *e)
{
    _free_ struct jd_record **recs = calloc(n, sizeof *recs);
    size_t i = 0;
    int r;

    if (!recs)
        return jl_fail(e, ENOMEM, "take the jobs");
    for (struct jd_submit *s = first; s; s = s->next)
        recs[i++] = &s->job->rec;
    r = jd_store_add(c->store, recs, n, e);
    if (r == 0 || e->code == ENOMEM)
        return r;
    jl_log_fail(e, "job.store", "%zu jobs", n);
    if (r == -ENOSPC)
        return jl_refuse(e, ENOSPC, "the server can't store jobs at the moment: its disk is full");
    return jl_refuse(e, EAGAIN, "the server can't store jobs at the moment");
}

/* What came in one turn of the loop: stored together, so that the disk is waited for once, then
 * answered and started. */
static int on_commit(struct jl_timer *t)
{
    struct jd_core *c = JL_CONTAINER(t, struct jd_core, jobs.commit);
    struct jd_submit *s = jl_take_ptr(c->jobs.submits);
    struct jl_err e = JL_ERR_INIT;
    size_t n = 0;
    int r;

    s = make_jobs(c, s, &n);
    if (n == 0)
        return 0;
    r = store_all(c, s, n, &e);
    for (struct jd_submit *next; s; s = next) {
        next = s->next;
        if (r < 0) {
            jd_nets_give_back(c, &s->job->rec);
            jd_jobs_remove(c, s->job);
            refuse(s, &e);
            continue;
        }
        jd_job_stored(s->job);
        jl_log_info("job.submit", "job=%s client=%s status=%s command=%.64s", s->id,
                    s->call.who.common_name, s->job->rec.status, s->job->req->command);
        reply_submitted(s, s->job);
        if (s->job->state == JD_INITIALIZING)
            jd_job_start(s->job);
        submit_free(s);
    }
    jd_queue_kick(c);
    return 0;
}

static void put_last(struct jd_submit **at, struct jd_submit *s)
{
    while (*at)
        at = &(*at)->next;
    s->next = NULL;
    *at = s;
}

static void commit(struct jd_submit *s)
{
    struct jd_core *c = s->call.core;

    put_last(&c->jobs.submits, s);
    jl_loop_arm(c->loop, &c->jobs.commit, jl_now_ns(), on_commit);
}

static void on_synced(void *user, int r, const void *out, size_t len, int fd,
                      const struct jl_err *e)
{
    struct jd_submit *s = user;
    struct jd_submit **at = &s->call.core->jobs.syncing;
    struct jl_err why = *e;

    (void) out;
    (void) len;
    jl_close(fd);
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    s->synced = true;
    if (r == 0)
        commit(s);
    else
        refuse(s, &why);
}

static void sync_uploads(struct jd_submit *s)
{
    struct jd_core *c = s->call.core;
    struct jl_err e = JL_ERR_INIT;
    _close_ int dirfd =
        openat(c->jobs_dirfd, s->id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int fds[] = { dirfd, c->jobs_dirfd }, r;

    r = dirfd < 0 ? jl_fail_sys(&e, "open", s->id, "open the job's directory")
                  : jd_worker_call(c->stages.sync, JD_SYNC_JOB, "", 0, fds, JL_COUNT(fds),
                                   on_synced, s, &e);
    if (r < 0)
        refuse(s, &e);
    else
        put_last(&c->jobs.syncing, s);
}

static void clear(struct jd_submit **list)
{
    while (*list) {
        struct jd_submit *s = *list;

        *list = s->next;
        submit_free(s);
    }
}

void jd_submits_clear(struct jd_core *c)
{
    jl_loop_disarm(c->loop, &c->jobs.commit);
    clear(&c->jobs.submits);
    clear(&c->jobs.syncing);
}

bool jd_submits_have(const struct jd_core *c, const char *id)
{
    const struct jd_submit *const lists[] = { c->jobs.submits, c->jobs.syncing };

    for (size_t i = 0; i < JL_COUNT(lists); i++)
        for (const struct jd_submit *s = lists[i]; s; s = s->next)
            if (strcmp(s->id, id) == 0)
                return true;
    return false;
}

/* jobs/<id>/work out of the staging directory. */
static int move_uploads(struct jd_submit *s, struct jd_stage *stage, struct jl_err *e)
{
    struct jd_core *c = s->call.core;
    _close_ int dirfd = -1;

    if (mkdirat(c->jobs_dirfd, s->id, 0700) < 0)
        return jl_fail_sys(e, "mkdir", s->id, "make the job's directory");
    dirfd = openat(c->jobs_dirfd, s->id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dirfd < 0)
        return jl_fail_sys(e, "open", s->id, "open the job's directory");
    if (renameat(c->stages.dirfd, stage->session, dirfd, "work") < 0)
        return jl_fail_sys(e, "rename", s->id, "move the uploads to their job");
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *) a, *(char *const *) b);
}

/* Adds what a session held to the packed request: a message's bytes may follow one another. */
static int add_names(struct jd_submit *s, struct jl_err *e)
{
    _arena_ struct jd_arena a = JD_ARENA_INIT;
    Joblet__RunJobRequest more = JOBLET__RUN_JOB_REQUEST__INIT;
    size_t len;
    uint8_t *all;

    if (s->names.len == 0)
        return 0;
    qsort(s->names.items, s->names.len, sizeof *s->names.items, by_name);
    more.uploads = jd_arena_get(&a, s->names.len * sizeof *more.uploads);
    for (size_t i = 0; more.uploads && i < s->names.len; i++) {
        Joblet__FileUpload *u = jd_arena_get(&a, sizeof *u);

        if (!u)
            break;
        *u = (Joblet__FileUpload) JOBLET__FILE_UPLOAD__INIT;
        u->path = s->names.items[i];
        more.uploads[more.n_uploads++] = u;
    }
    len = s->request.len + protobuf_c_message_get_packed_size(&more.base);
    all = jd_arena_failed(&a) ? NULL : realloc(s->request.data, len);
    if (!all)
        return jl_fail(e, ENOMEM, "take the job");
    protobuf_c_message_pack(&more.base, all + s->request.len);
    s->call.core->jobs.submit_bytes += len - s->request.len;
    s->bytes += len - s->request.len;
    s->request = (struct jd_blob){ all, len };
    return 0;
}

static void on_taken(struct jd_take *t, int r, struct jl_err *e)
{
    struct jd_submit *s = t->arg;

    if (r == 0)
        r = add_names(s, e);
    if (r == 0)
        r = jd_space_check(t->core, s->req->n_volumes > 0, t->bytes, e);
    if (r == 0)
        r = move_uploads(s, t->stage, e);
    jd_stage_drop(t->core, t->stage); /* what was moved away stays */
    s->has_uploads = true;
    s->upload_bytes = t->bytes;
    if (r == 0)
        commit(s);
    else
        refuse(s, e);
}

static int read_schedule(struct jd_submit *s, struct jl_err *e)
{
    uint64_t delay_s = 0;
    int r = api_schedule(s->req->schedule, jl_wall_ns(), &s->due_ns, &delay_s, e);

    if (r == 0 && delay_s > 0 && s->call.core->boot_id[0])
        s->due_boot_ns = jl_boot_ns() + delay_s * JL_NS_PER_S;
    return r;
}

/* /tmp is memory; without a memory limit of the job its size is the only one there is. */
static int check_tmp(const struct jd_core *c, const Joblet__RunJobRequest *q, struct jl_err *e)
{
    uint64_t half = c->jobs.queue.memory_capacity / 2;

    if (half == 0 || (uint64_t) q->tmp_size_bytes >> 20 <= half)
        return 0;
    return jl_refuse(e, ERANGE,
                     "tmp_size_bytes: at most half of the memory for jobs, %" PRIu64 " MiB", half);
}

static int begin(struct jd_submit *s, const struct ipc_frame *f, struct jl_err *e)
{
    int r = jd_run_read(f->body, f->body_len, &s->call.core->conf, &s->req, e);

    if (r == 0 && s->req->cpu_cores[0])
        r = jd_host_check_cpus(s->req->cpu_cores, e);
    if (r == 0)
        r = jd_nets_check(s->call.core, s->req->network, s->call.role >= JD_ROLE_MAINTAINER, e);
    if (r == 0 && s->req->schedule[0])
        r = read_schedule(s, e);
    if (r == 0 && s->due_ns == 0)
        r = jd_nets_check_room(s->call.core, s->req->network, e);
    if (r == 0)
        r = jd_volumes_check(s->call.core, s->req, e);
    if (r == 0)
        r = check_tmp(s->call.core, s->req, e);
    s->named = r == 0 && s->req->n_uploads > 0;
    if (r == 0)
        r = take_in(s, e);
    if (r == 0 && jl_id_new(s->id) < 0)
        r = jl_fail(e, ENOMEM, "make a job id");
    return r;
}

void jd_op_run(struct jd_call *call, const struct ipc_frame *f)
{
    struct jd_submit *s = calloc(1, sizeof *s);
    struct jl_err e = JL_ERR_INIT;
    struct jd_stage *stage = NULL;
    int r;

    if (!s) {
        jd_reply_status(call, API_RESOURCE_EXHAUSTED, "the server is out of memory");
        return;
    }
    s->call = *call;
    r = begin(s, f, &e);
    if (r == 0 && s->req->upload_session[0]) {
        stage = jd_stage_find(call->core, s->req->upload_session, &call->who, &e);
        r = stage ? jd_stage_take(call->core, stage, s->named ? NULL : &s->names, on_taken, s, &e)
                  : -e.code;
        if (r == 0)
            return; /* goes on in on_taken */
    }
    if (r == 0)
        commit(s);
    else
        refuse(s, &e);
}
