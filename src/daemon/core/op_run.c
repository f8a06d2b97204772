/*
 * op_run.c - RunJob, and the staging directories it may come with. Checked, defaults filled in,
 * uploads taken over, stored, answered, and only then started.
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
#include "daemon/core/request.h"
#include "daemon/core/run_check.h"

/* A RunJob on its way into the database. */
struct submit {
    struct jd_call call;
    Joblet__RunJobRequest *req; /* own */
    char id[40];
    uint64_t due_ns; /* wall clock; 0: at once */
};

static void submit_free(struct submit *s)
{
    if (s->req)
        protobuf_c_message_free_unpacked(&s->req->base, NULL);
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
static int pack_both(Joblet__RunJobRequest *q, struct jd_record *rec, struct jl_err *e)
{
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
    r = pack(&q->base, &rec->request, e);
    q->secret_environment = values;
    if (r < 0 || q->n_secret_environment == 0)
        return r;
    only.secret_environment = values;
    only.n_secret_environment = q->n_secret_environment;
    return pack(&only.base, &rec->secrets, e);
}

static int fill_record(const struct submit *s, struct jd_record *rec, enum jd_state state,
                       struct jl_err *e)
{
    const struct jd_core *c = s->call.core;
    int bad = 0;

    snprintf(rec->id, sizeof rec->id, "%s", s->id);
    bad |= jd_record_set(&rec->name, s->req->name);
    bad |= jd_record_set(&rec->command, s->req->command);
    bad |= jd_record_set(&rec->status, jd_state_name(state));
    bad |= jd_record_set(&rec->node_id, c->conf.node_id);
    bad |= jd_record_set(&rec->network, s->req->network);
    bad |= jd_record_set(&rec->owner_name, s->call.who.common_name);
    bad |= jd_record_set(&rec->owner_serial, s->call.who.serial);
    if (bad)
        return jl_fail(e, ENOMEM, "take the job");
    rec->created_wall_ns = jl_wall_ns();
    return pack_both(s->req, rec, e);
}

static int store(struct jd_job *j, struct jl_err *e)
{
    int r = jd_store_add(j->core->store, &j->rec, e);

    if (r == 0 || e->code == ENOMEM)
        return r;
    jl_log_fail(e, "job.store", "job=%s", j->rec.id);
    return jl_refuse(e, EAGAIN, "the server can't store jobs at the moment");
}

static int check_waiting(const struct jd_core *c, struct jl_err *e)
{
    if (c->jobs.n - c->jobs.n_ended - c->jobs.n_active < c->conf.max_waiting)
        return 0;
    return jl_refuse(e, EMFILE, "too many jobs wait already (%lld, joblet.maxWaitingJobs)",
                     (long long) c->conf.max_waiting);
}

/* What the job is to be stored as: it starts now, when its time has come and nothing is in its way. */
static enum jd_state first_state(const struct submit *s, struct jd_record *rec)
{
    struct jd_core *c = s->call.core;
    struct jl_err none = JL_ERR_INIT;

    if (s->due_ns > jl_wall_ns())
        return JD_SCHEDULED;
    if (!jd_queue_is_free_for(c, s->req->max_cpu, s->req->max_memory))
        return JD_PENDING;
    if (c->userns)
        rec->host_id_base = jd_jobs_host_ids(c, &none);
    if (c->userns && rec->host_id_base == 0)
        return JD_PENDING; /* all in use */
    return jd_record_set(&rec->boot_id, c->boot_id) < 0 ? JD_PENDING : JD_INITIALIZING;
}

static void reply_submitted(struct submit *s, const struct jd_job *j)
{
    Joblet__RunJobResponse m = JOBLET__RUN_JOB_RESPONSE__INIT;
    char scheduled[JL_RFC3339_MAX] = "";

    if (s->due_ns > 0)
        jl_rfc3339(s->due_ns, 3, scheduled);
    m.job_uuid = (char *) (uintptr_t) j->rec.id;
    m.status = j->rec.status;
    m.command = j->req->command;
    m.args = j->req->args;
    m.n_args = j->req->n_args;
    m.max_cpu = j->req->max_cpu;
    m.cpu_cores = j->req->cpu_cores;
    m.max_memory = j->req->max_memory;
    m.max_io_bps = j->req->max_io_bps;
    m.scheduled_time = scheduled;
    memcpy(s->call.job_id, j->rec.id, sizeof s->call.job_id);
    jd_reply(&s->call, &m.base);
}

static struct jd_job *make_job(struct submit *s, bool has_uploads, uint64_t bytes, struct jl_err *e)
{
    struct jd_core *c = s->call.core;
    enum jd_state state;
    struct jd_record rec;

    if (jd_record_init(&rec) < 0) {
        jl_fail(e, ENOMEM, "take the job");
        return NULL;
    }
    rec.has_uploads = has_uploads;
    rec.upload_bytes = bytes;
    rec.scheduled_wall_ns = s->due_ns;
    state = first_state(s, &rec);
    if ((state != JD_INITIALIZING && check_waiting(c, e) < 0) ||
        fill_record(s, &rec, state, e) < 0) {
        jd_record_done(&rec);
        return NULL;
    }
    return jd_job_new(c, &rec, e);
}

/* Stored, answered, started. */
static int commit(struct submit *s, bool has_uploads, uint64_t bytes, struct jl_err *e)
{
    struct jd_core *c = s->call.core;
    struct jd_job *j; /* before it is stored: what is refused must not run later */
    int r = jd_queue_reserve(c, c->jobs.n + 1, e);

    if (r == 0) /* one may have been removed while the uploads were taken over */
        r = jd_volumes_check(c, s->req, e);
    if (r < 0)
        return r;
    j = make_job(s, has_uploads, bytes, e);
    if (!j)
        return -e->code;
    r = store(j, e);
    if (r < 0) {
        jd_job_free(j);
        return r;
    }
    jd_jobs_add(c, j);
    jl_log_info("job.submit", "job=%s client=%s status=%s command=%.64s", j->rec.id,
                s->call.who.common_name, j->rec.status, j->req->command);
    reply_submitted(s, j);
    if (j->state == JD_INITIALIZING)
        jd_job_start(j);
    else
        jd_queue_run(c);
    return 0;
}

/* jobs/<id>/work out of the staging directory. */
static int move_uploads(struct submit *s, struct jd_stage *stage, struct jl_err *e)
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

static void on_taken(struct jd_take *t, int r, struct jl_err *e)
{
    struct submit *s = t->arg;
    struct jl_err ignored = JL_ERR_INIT;

    if (r == 0)
        r = move_uploads(s, t->stage, e);
    jd_stage_drop(t->core, t->stage); /* what was moved away stays */
    if (r == 0)
        r = commit(s, true, t->bytes, e);
    if (r < 0) {
        jd_trash_put(t->core, t->core->jobs_dirfd, s->id, &ignored);
        jd_reply_error(&s->call, e);
    }
    submit_free(s);
}

static int begin(struct submit *s, const struct ipc_frame *f, struct jl_err *e)
{
    int r = jd_run_read(f->body, f->body_len, &s->call.core->conf, &s->req, e);

    if (r == 0 && s->req->cpu_cores[0])
        r = jd_host_check_cpus(s->req->cpu_cores, e);
    if (r == 0 && s->req->schedule[0])
        r = api_schedule(s->req->schedule, jl_wall_ns(), &s->due_ns, e);
    if (r == 0)
        r = jd_volumes_check(s->call.core, s->req, e);
    if (r == 0 && jl_id_new(s->id) < 0)
        r = jl_fail(e, ENOMEM, "make a job id");
    return r;
}

void jd_op_run(struct jd_call *call, const struct ipc_frame *f)
{
    struct submit *s = calloc(1, sizeof *s);
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
        r = stage ? jd_stage_take(call->core, stage, on_taken, s, &e) : -e.code;
        if (r == 0)
            return; /* goes on in on_taken */
    }
    if (r == 0)
        r = commit(s, false, 0, &e);
    if (r < 0)
        jd_reply_error(&s->call, &e);
    submit_free(s);
}

void jd_op_stage(struct jd_call *call, const struct ipc_frame *f)
{
    struct jl_err e = JL_ERR_INIT;
    const char *session;
    _close_ int fd = -1;

    (void) f;
    if (jd_stage_new(call->core, &call->who, &session, &fd, &e) < 0) {
        jd_reply_error(call, &e);
        return;
    }
    jd_reply_fds(call, session, &fd, 1);
}

void jd_op_keep_stage(struct jd_call *call, const struct ipc_frame *f)
{
    struct jl_err e = JL_ERR_INIT;
    struct jd_stage *s = jd_stage_find(call->core, f->text, &call->who, &e);

    if (!s) {
        jd_reply_error(call, &e);
        return;
    }
    jd_stage_keep(call->core, s);
    jd_reply(call, NULL);
}

/* The session is the frame's text, as the reply to STAGE gave it. */
void jd_op_unstage(struct jd_call *call, const struct ipc_frame *f)
{
    struct jl_err e = JL_ERR_INIT;
    struct jd_stage *s = jd_stage_find(call->core, f->text, &call->who, &e);

    if (!s) {
        jd_reply_error(call, &e);
        return;
    }
    jd_stage_drop(call->core, s);
    jd_reply(call, NULL);
}
