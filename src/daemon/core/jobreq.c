/* jobreq.c - see jobreq.h. */
#include "daemon/core/jobreq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/validate.h"
#include "base/cleanup.h"
#include "daemon/core/core.h"

#define MASK "***"

/* About what malloc and protobuf-c's structures take besides the bytes. */
#define STRING_COST 32
#define ENTRY_COST 128

#define MAP_COST(map, n)                                                                           \
    for (size_t i_ = 0; i_ < (n); i_++)                                                            \
    cost += ENTRY_COST + strlen((map)[i_]->key) + strlen((map)[i_]->value)

static size_t cost_of(const Joblet__RunJobRequest *q)
{
    size_t cost = 0;

    for (size_t i = 0; i < q->n_args; i++)
        cost += STRING_COST + strlen(q->args[i]);
    for (size_t i = 0; i < q->n_uploads; i++)
        cost += ENTRY_COST + strlen(q->uploads[i]->path);
    MAP_COST(q->environment, q->n_environment);
    MAP_COST(q->secret_environment, q->n_secret_environment);
    return cost;
}

/* What is left out goes with a message of its own. */
#define MOVE(to, from, field)                                                                      \
    do {                                                                                           \
        (to)->field = (from)->field;                                                               \
        (to)->n_##field = (from)->n_##field;                                                       \
        (from)->field = NULL;                                                                      \
        (from)->n_##field = 0;                                                                     \
    } while (0)

bool jd_request_lighten(Joblet__RunJobRequest *q)
{
    Joblet__RunJobRequest *out;

    if (cost_of(q) <= JD_REQUEST_SMALL)
        return false;
    out = malloc(sizeof *out);
    if (!out)
        return false; /* it stays as it is */
    *out = (Joblet__RunJobRequest) JOBLET__RUN_JOB_REQUEST__INIT;
    MOVE(out, q, args);
    MOVE(out, q, uploads);
    MOVE(out, q, environment);
    MOVE(out, q, secret_environment);
    jd_request_drop(out);
    return true;
}

void jd_request_mask(Joblet__RunJobRequest *q)
{
    for (size_t i = 0; i < q->n_secret_environment; i++) {
        char *v = q->secret_environment[i]->value;
        size_t len = strlen(v);

        explicit_bzero(v, len);
        if (len >= sizeof MASK - 1)
            memcpy(v, MASK, sizeof MASK);
    }
}

void jd_request_drop(Joblet__RunJobRequest *own)
{
    if (!own)
        return;
    jd_request_mask(own);
    protobuf_c_message_free_unpacked(&own->base, NULL);
}

int jd_request_add_secrets(Joblet__RunJobRequest *q, const struct jd_blob *secrets,
                           struct jl_err *e)
{
    ProtobufCMessage *m = NULL;
    Joblet__RunJobRequest *s;
    Joblet__RunJobRequest__SecretEnvironmentEntry **entries = q->secret_environment;
    size_t n = q->n_secret_environment;
    int r;

    if (secrets->len == 0)
        return 0;
    r = api_unpack_request(&joblet__run_job_request__descriptor, secrets->data, secrets->len, &m,
                           e);
    if (r < 0)
        return r;
    s = (Joblet__RunJobRequest *) m;
    q->secret_environment = s->secret_environment;
    q->n_secret_environment = s->n_secret_environment;
    s->secret_environment = entries;
    s->n_secret_environment = n;
    protobuf_c_message_free_unpacked(m, NULL);
    return 0;
}

const Joblet__RunJobRequest *jd_request_whole(const struct jd_job *j, Joblet__RunJobRequest **own,
                                              struct jl_err *e)
{
    struct jd_blob request = { 0 }, secrets = { 0 };
    ProtobufCMessage *m = NULL;
    int r;

    if (!j->light)
        return j->req;
    r = jd_store_request(j->core->store, j->rec.id, &request, &secrets, e);
    if (r == 0)
        r = api_unpack_request(&joblet__run_job_request__descriptor, request.data, request.len, &m,
                               e);
    if (r == 0)
        r = jd_request_add_secrets((Joblet__RunJobRequest *) m, &secrets, e);
    jd_blob_done(&request);
    jd_blob_done(&secrets);
    *own = (Joblet__RunJobRequest *) m;
    return r == 0 ? *own : NULL;
}

/* What a certificate's jobs have in the database until they end. */
static size_t bytes_of(const struct jd_core *c, const char *serial)
{
    size_t sum = 0;

    for (const struct jd_job *j = c->jobs.first; j; j = j->next)
        if (!jd_state_is_ended(j->state) && strcmp(j->rec.owner_serial, serial) == 0)
            sum += j->request_bytes;
    return sum;
}

int jd_request_check_room(const struct jd_core *c, const char *serial, size_t bytes,
                          struct jl_err *e)
{
    const size_t share = JD_REQUESTS_MAX / 4 * 3;
    size_t all = c->jobs.request_bytes + c->jobs.submit_bytes + bytes;

    if (c->jobs.submit_bytes + bytes > JD_SUBMITS_MAX) {
        jl_refuse(e, EMFILE, "the requests that are being taken have more than %zu MiB together",
                  JD_SUBMITS_MAX >> 20);
        return jl_hint(e, "try again in a moment");
    }
    if (all <= share)
        return 0; /* whosever they are */
    if (all > JD_REQUESTS_MAX)
        jl_refuse(e, EMFILE,
                  "the requests of all jobs that wait and run have %zu MiB together, the limit",
                  JD_REQUESTS_MAX >> 20);
    else if (bytes_of(c, serial) + bytes > share)
        jl_refuse(
            e, EMFILE,
            "the requests of this certificate's jobs that wait and run have %zu MiB together, "
            "its share",
            share >> 20);
    else
        return 0;
    return jl_hint(e,
                   "wait until some have ended, or cancel some; hand large data over as uploads, "
                   "many files as an archive");
}
