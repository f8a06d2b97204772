/* op_job.c - GetJobStatus and ListJobs: what request.h says about one job or all of them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/validate.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/core/arena.h"
#include "daemon/core/core.h"
#include "daemon/core/jobreq.h"
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

/* Of a job that waits for no other: why it ended, or what it is that begins so slowly. */
static char *own_reason(const struct jd_job *j)
{
    return j->net_waits || j->rate_waits ? (char *) (uintptr_t) "waits for its network"
                                         : j->rec.reason;
}

/* Why it ended, or why it waits. */
static char *reason(struct jd_arena *a, const struct jd_job *j)
{
    char why[128];

    return j->state == JD_PENDING ? jd_arena_format(a, "%s", jd_queue_why(j, why, sizeof why))
                                  : own_reason(j);
}

/* What Job and GetJobStatusResponse have in common. */
#define FILL_COMMON(m, j, q, a)                                                                    \
    do {                                                                                           \
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
        (m)->created_time = when(a, (j)->rec.created_wall_ns);                                     \
        (m)->start_time = when(a, (j)->rec.started_wall_ns);                                       \
        (m)->end_time = when(a, (j)->rec.ended_wall_ns);                                           \
        (m)->scheduled_time = when(a, (j)->rec.scheduled_wall_ns);                                 \
        (m)->exit_code = (j)->rec.exit_code;                                                       \
        (m)->environment = (void *) q->environment;                                                \
        (m)->n_environment = q->n_environment;                                                     \
        (m)->secret_environment = masked(a, q);                                                    \
        (m)->n_secret_environment = q->n_secret_environment;                                       \
        (m)->network = q->network;                                                                 \
        (m)->address = (j)->rec.address;                                                           \
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
    _request_ Joblet__RunJobRequest *own = NULL;
    const Joblet__RunJobRequest *q;
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
    q = jd_request_whole(j, &own, &e);
    if (!q) {
        jd_reply_error(call, &e);
        return;
    }
    FILL_COMMON(&m, j, q, &a);
    m.work_dir = q->work_dir;
    m.priority = q->priority;
    m.result = result_of(&a, &j->rec);
    m.uploads = jd_arena_get(&a, (q->n_uploads + 1) * sizeof *m.uploads);
    for (size_t i = 0; m.uploads && i < q->n_uploads; i++)
        m.uploads[m.n_uploads++] = q->uploads[i]->path;
    reply_or_no_memory(call, &a, &m.base);
}

/*
 * The list is put together of pieces that each job keeps: its Job message without the reason, which
 * depends on other jobs while it waits, and without what is large (jobreq.h). By the encoding of protobuf (fields in any order; a message
 * inside another is tag, length, bytes) the reason can be added behind it.
 */
#define LISTED_KEPT_MAX 1024 /* larger ones are made anew each time */
#define JOBS_TAG 0x0a        /* Jobs.jobs = 1, bytes */
#define HEAD_MAX 12          /* a tag of two bytes and a length */

static size_t put_varint(uint8_t *at, size_t v)
{
    size_t n = 0;

    for (; v >= 0x80; v >>= 7)
        at[n++] = (uint8_t) (v | 0x80);
    at[n++] = (uint8_t) v;
    return n;
}

static int pack_listed(const struct jd_job *j, struct jd_blob *ret)
{
    _arena_ struct jd_arena a = JD_ARENA_INIT;
    Joblet__Job m = JOBLET__JOB__INIT;

    FILL_COMMON(&m, j, j->req, &a);
    m.reason = (char *) (uintptr_t) protobuf_c_empty_string;
    if (jd_arena_failed(&a))
        return -ENOMEM;
    ret->len = joblet__job__get_packed_size(&m);
    ret->data = malloc(ret->len + 1);
    if (!ret->data)
        return -ENOMEM;
    joblet__job__pack(&m, ret->data);
    return 0;
}

/* All who wait wait for the same, but the first. */
struct reasons {
    const struct jd_job *first;
    char of_first[128], of_others[128];
    bool has_others;
};

static const char *listed_reason(struct reasons *all, const struct jd_job *j)
{
    if (j->state != JD_PENDING)
        return own_reason(j);
    if (j == all->first)
        return jd_queue_why(j, all->of_first, sizeof all->of_first);
    if (!all->has_others)
        jd_queue_why(j, all->of_others, sizeof all->of_others);
    all->has_others = true;
    return all->of_others;
}

/* One Job with tag and length. 0 or -errno. */
static int add_listed(struct jl_buf *out, struct jd_job *j, const char *reason)
{
    const unsigned tag = 100 << 3 | 2; /* Job.reason */
    struct jd_blob fresh = { 0 }, *own = j->listed.data ? &j->listed : &fresh;
    size_t len = strlen(reason), n = 0, m = 0;
    uint8_t head[HEAD_MAX], tail[HEAD_MAX];
    int r = own == &fresh ? pack_listed(j, &fresh) : 0;

    if (len > 0) {
        m = put_varint(tail, tag);
        m += put_varint(tail + m, len);
    }
    head[n++] = JOBS_TAG;
    n += put_varint(head + n, own->len + m + len);
    if (r == 0)
        r = jl_buf_reserve(out, n + own->len + m + len);
    if (r == 0) {
        jl_buf_add(out, head, n); /* there is room */
        jl_buf_add(out, own->data, own->len);
        jl_buf_add(out, tail, m);
        jl_buf_add(out, reason, len);
    }
    if (own == &fresh && r == 0 && fresh.len <= LISTED_KEPT_MAX)
        j->listed = fresh;
    else
        free(fresh.data);
    return r;
}

void jd_op_list(struct jd_call *call, const struct ipc_frame *f)
{
    const struct jd_queue *q = &call->core->jobs.queue;
    _buf_ struct jl_buf out = JL_BUF_INIT(IPC_LINK_BODY_MAX);
    struct reasons all = { .first = q->ready.n > 0 ? q->ready.items[0] : NULL };
    int r = 0;

    (void) f; /* EmptyRequest */
    for (struct jd_job *j = call->core->jobs.first; j && r == 0; j = j->next)
        r = add_listed(&out, j, listed_reason(&all, j));
    if (r == -EMSGSIZE)
        jd_reply_status(call, API_RESOURCE_EXHAUSTED, "the answer is larger than 128 MiB");
    else if (r < 0)
        jd_reply_status(call, API_RESOURCE_EXHAUSTED, "the server is out of memory");
    else
        jd_reply_bytes(call, (const uint8_t *) out.data, out.len);
}
