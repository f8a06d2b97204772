/* op_job.c - GetJobStatus and ListJobs: what request.h says about one job or all of them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/validate.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/core/arena.h"
#include "daemon/core/core.h"
#include "daemon/core/request.h"

static char *when(struct jd_arena *a, uint64_t wall_ns)
{
    char text[JL_RFC3339_MAX];

    return wall_ns == 0 ? (char *) (uintptr_t) protobuf_c_empty_string
                        : jd_arena_format(a, "%s", jl_rfc3339(wall_ns, 3, text));
}

/* Names with "***" for values. The entries of all messages have one form on the wire, and packing
 * goes by the entry's own descriptor, so one kind serves all. */
static void *masked(struct jd_arena *a, const Joblet__RunJobRequest *q)
{
    Joblet__RunJobRequest__SecretEnvironmentEntry **v =
        jd_arena_get(a, (q->n_secret_environment + 1) * sizeof *v);

    for (size_t i = 0; v && i < q->n_secret_environment; i++) {
        v[i] = jd_arena_get(a, sizeof **v);
        if (!v[i])
            return NULL;
        *v[i] = (Joblet__RunJobRequest__SecretEnvironmentEntry)
            JOBLET__RUN_JOB_REQUEST__SECRET_ENVIRONMENT_ENTRY__INIT;
        v[i]->key = q->secret_environment[i]->key;
        v[i]->value = (char *) (uintptr_t) "***";
    }
    return v;
}

/* Why it ended, or why it waits. */
static char *reason(struct jd_arena *a, const struct jd_job *j)
{
    char why[128];

    return j->state == JD_PENDING ? jd_arena_format(a, "%s", jd_queue_why(j, why, sizeof why))
                                  : j->rec.reason;
}

/* What Job and GetJobStatusResponse have in common. */
#define FILL_COMMON(m, j, a)                                                                       \
    do {                                                                                           \
        const Joblet__RunJobRequest *q = (j)->req;                                                 \
                                                                                                   \
        (m)->uuid = (char *) (uintptr_t) (j)->rec.id;                                              \
        (m)->name = q->name;                                                                       \
        (m)->command = q->command;                                                                 \
        (m)->args = q->args;                                                                       \
        (m)->n_args = q->n_args;                                                                   \
        (m)->max_cpu = q->max_cpu;                                                                 \
        (m)->cpu_cores = q->cpu_cores;                                                             \
        (m)->max_memory = q->max_memory;                                                           \
        (m)->max_io_bps = q->max_io_bps;                                                           \
        (m)->status = (j)->rec.status;                                                             \
        (m)->start_time = when(a, (j)->rec.started_wall_ns);                                       \
        (m)->end_time = when(a, (j)->rec.ended_wall_ns);                                           \
        (m)->scheduled_time = when(a, (j)->rec.scheduled_wall_ns);                                 \
        (m)->exit_code = (j)->rec.exit_code;                                                       \
        (m)->environment = (void *) q->environment;                                                \
        (m)->n_environment = q->n_environment;                                                     \
        (m)->secret_environment = masked(a, q);                                                    \
        (m)->n_secret_environment = q->n_secret_environment;                                       \
        (m)->network = q->network;                                                                 \
        (m)->volumes = q->volumes;                                                                 \
        (m)->n_volumes = q->n_volumes;                                                             \
        (m)->runtime = (j)->rec.runtime;                                                           \
        (m)->workflow_uuid = q->workflow_uuid;                                                     \
        (m)->gpu_count = q->gpu_count;                                                             \
        (m)->gpu_memory_mb = q->gpu_memory_mb;                                                     \
        (m)->node_id = (j)->rec.node_id;                                                           \
        (m)->reason = reason(a, j);                                                                \
        (m)->timeout_seconds = q->timeout_seconds;                                                 \
    } while (0)

static Joblet__JobResult *result_of(struct jd_arena *a, const struct jd_record *rec)
{
    const struct jd_result *x = &rec->result;
    Joblet__JobResult *m;

    if (!rec->has_result)
        return NULL;
    m = jd_arena_get(a, sizeof *m);
    if (!m)
        return NULL;
    *m = (Joblet__JobResult) JOBLET__JOB_RESULT__INIT;
    m->signal = x->signal;
    m->oom = x->oom;
    m->timeout = x->timeout;
    m->cpu_user_usec = x->cpu_user_us;
    m->cpu_system_usec = x->cpu_system_us;
    m->memory_peak = x->memory_peak;
    m->io_read_bytes = x->io_read_bytes;
    m->io_write_bytes = x->io_write_bytes;
    m->pids_peak = x->pids_peak;
    m->psi_cpu_some_usec = x->psi_cpu_some_us;
    m->psi_memory_some_usec = x->psi_memory_some_us;
    m->psi_io_some_usec = x->psi_io_some_us;
    m->start_error = x->start_error;
    return m;
}

static void reply_or_no_memory(const struct jd_call *call, const struct jd_arena *a,
                               const ProtobufCMessage *m)
{
    if (jd_arena_failed(a))
        jd_reply_status(call, API_RESOURCE_EXHAUSTED, "the server is out of memory");
    else
        jd_reply(call, m);
}

void jd_op_status(struct jd_call *call, const struct ipc_frame *f)
{
    _message_ ProtobufCMessage *in = NULL;
    _arena_ struct jd_arena a = JD_ARENA_INIT;
    Joblet__GetJobStatusResponse m = JOBLET__GET_JOB_STATUS_RESPONSE__INIT;
    struct jl_err e = JL_ERR_INIT;
    struct jd_job *j = NULL;

    if (api_unpack_request(&joblet__get_job_status_request__descriptor, f->body, f->body_len, &in,
                           &e) == 0)
        j = jd_jobs_find(call->core, ((Joblet__GetJobStatusRequest *) in)->uuid, &e);
    if (!j) {
        jd_reply_error(call, &e);
        return;
    }
    FILL_COMMON(&m, j, &a);
    m.work_dir = j->req->work_dir;
    m.priority = j->req->priority;
    m.result = result_of(&a, &j->rec);
    m.uploads = jd_arena_get(&a, (j->req->n_uploads + 1) * sizeof *m.uploads);
    for (size_t i = 0; m.uploads && i < j->req->n_uploads; i++)
        m.uploads[m.n_uploads++] = j->req->uploads[i]->path;
    reply_or_no_memory(call, &a, &m.base);
}

void jd_op_list(struct jd_call *call, const struct ipc_frame *f)
{
    struct jd_core *c = call->core;
    _arena_ struct jd_arena a = JD_ARENA_INIT;
    Joblet__Jobs jobs = JOBLET__JOBS__INIT;

    (void) f; /* EmptyRequest */
    jobs.jobs = jd_arena_get(&a, (c->jobs.n + 1) * sizeof *jobs.jobs);
    for (const struct jd_job *j = c->jobs.first; jobs.jobs && j; j = j->next) {
        Joblet__Job *m = jd_arena_get(&a, sizeof *m);

        if (!m)
            break;
        *m = (Joblet__Job) JOBLET__JOB__INIT;
        FILL_COMMON(m, j, &a);
        jobs.jobs[jobs.n_jobs++] = m;
    }
    reply_or_no_memory(call, &a, &jobs.base);
}
