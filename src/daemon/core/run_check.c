/* run_check.c - see run_check.h. */
#include "daemon/core/run_check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api/validate.h"
#include "base/clock.h"
#include "daemon/core/conf.h"

#define RATE_MIN 1024 /* under it TCP makes no progress */

static int not_built(struct jl_err *e, const char *what, const char *option)
{
    return jl_refuse(e, ENOSYS, "%s not built yet: leave %s out", what, option);
}

static int check_built(const Joblet__RunJobRequest *q, struct jl_err *e)
{
    if (q->runtime[0])
        return not_built(e, "prepared runtimes are", "runtime");
    if (q->workflow_uuid[0] || q->job_uuid[0] || q->n_requirements > 0)
        return not_built(e, "workflows are", "workflow_uuid, job_uuid and requirements");
    if (q->gpu_count > 0 || q->gpu_memory_mb > 0)
        return not_built(e, "GPUs are", "gpu_count and gpu_memory_mb");
    return 0;
}

/* A rate is set on the job's own end of its network. */
static int check_rates(const Joblet__RunJobRequest *q, struct jl_err *e)
{
    if (q->net_rx_bps == 0 && q->net_tx_bps == 0)
        return 0;
    if (strcmp(q->network, "none") == 0 || strcmp(q->network, "host") == 0)
        return jl_refuse(
            e, EINVAL,
            "net_rx_bps and net_tx_bps limit a job's own network; with network '%s' it "
            "has none",
            q->network);
    if ((q->net_rx_bps != 0 && q->net_rx_bps < RATE_MIN) ||
        (q->net_tx_bps != 0 && q->net_tx_bps < RATE_MIN))
        return jl_refuse(e, ERANGE,
                         "net_rx_bps and net_tx_bps must be 0 or at least %d bytes a "
                         "second",
                         RATE_MIN);
    return 0;
}

/* The kernel holds a page's lock from the begin of its reading to the end, the limit's wait
 * included, and all who want that page wait with it: of any job, and of the host. */
static int check_io(const Joblet__RunJobRequest *q, const struct jd_conf *conf, struct jl_err *e)
{
    if (q->max_io_bps == 0 || q->max_io_bps >= conf->min_io)
        return 0;
    return jl_refuse(e, ERANGE,
                     "max_io_bps must be 0 or at least %" PRId64 " bytes a second: what a slower "
                     "job reads is locked meanwhile for all others who read the same file",
                     conf->min_io);
}

bool jd_run_in_workspace(const struct jd_conf *conf, const char *dir)
{
    size_t len = strlen(conf->workspace);

    return strncmp(dir, conf->workspace, len) == 0 && (dir[len] == '/' || dir[len] == '\0');
}

/* Elsewhere joblet-init enters it, with the job's rights. */
static int check_work_dir(const Joblet__RunJobRequest *q, const struct jd_conf *conf,
                          struct jl_err *e)
{
    if (conf->job_init || jd_run_in_workspace(conf, q->work_dir))
        return 0;
    return jl_refuse(e, EINVAL,
                     "work_dir '%.64s' is not in %s: this server runs jobs without joblet-init "
                     "(job.init), which would enter it",
                     q->work_dir, conf->workspace);
}

static int set(char **field, const char *value, struct jl_err *e)
{
    char *copy = strdup(value);

    if (!copy)
        return jl_fail(e, ENOMEM, "take the job");
    if (*field != protobuf_c_empty_string)
        free(*field);
    *field = copy;
    return 0;
}

static int fill_in(Joblet__RunJobRequest *q, const struct jd_conf *conf, struct jl_err *e)
{
    int r = 0;

    if (q->max_cpu == 0)
        q->max_cpu = (int32_t) conf->default_cpu;
    if (q->max_memory == 0)
        q->max_memory = (int32_t) conf->default_memory;
    if (q->max_io_bps == 0)
        q->max_io_bps = (int32_t) conf->default_io;
    if (q->timeout_seconds == 0)
        q->timeout_seconds = (int64_t) ((conf->job_timeout_ns + JL_NS_PER_S - 1) / JL_NS_PER_S);
    if (!q->network[0])
        r = set(&q->network, conf->network_default, e);
    if (r == 0 && !q->work_dir[0])
        r = set(&q->work_dir, conf->workspace, e);
    /* the contents are on disk; only names and modes belong to the record */
    for (size_t i = 0; i < q->n_uploads; i++) {
        free(q->uploads[i]->content.data);
        q->uploads[i]->content = (ProtobufCBinaryData){ 0 };
    }
    return r;
}

static int check(Joblet__RunJobRequest *q, const struct jd_conf *conf, struct jl_err *e)
{
    int r = fill_in(q, conf, e);

    if (r == 0)
        r = api_validate_run_job(q, e);
    if (r == 0)
        r = check_built(q, e);
    if (r == 0)
        r = check_rates(q, e);
    if (r == 0)
        r = check_io(q, conf, e);
    if (r == 0)
        r = check_work_dir(q, conf, e);
    if (r == 0 && q->n_uploads > 0 && !q->upload_session[0])
        r = jl_refuse(e, EINVAL, "uploads come without the session they were staged in");
    return r;
}

int jd_run_read(const void *body, size_t len, const struct jd_conf *conf,
                Joblet__RunJobRequest **ret, struct jl_err *e)
{
    ProtobufCMessage *m = NULL;
    int r = api_unpack_request(&joblet__run_job_request__descriptor, body, len, &m, e);

    if (r < 0)
        return r;
    r = check((Joblet__RunJobRequest *) m, conf, e);
    if (r < 0) {
        protobuf_c_message_free_unpacked(m, NULL);
        return r;
    }
    *ret = (Joblet__RunJobRequest *) m;
    return 0;
}
