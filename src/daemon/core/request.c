/* request.c - see request.h: from frame to handler, and answers. */
#include "daemon/core/request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/validate.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/core/audit.h"
#include "daemon/core/core.h"

typedef void (*op_fn)(struct jd_call *call, const struct ipc_frame *f);

static op_fn handler_of(enum jd_op op)
{
    switch (op) {
    case JD_OP_RUN_JOB:
        return jd_op_run;
    case JD_OP_GET_JOB:
        return jd_op_status;
    case JD_OP_LIST_JOBS:
        return jd_op_list;
    case JD_OP_STOP_JOB:
        return jd_op_stop;
    case JD_OP_CANCEL_JOB:
        return jd_op_cancel;
    case JD_OP_DELETE_JOB:
        return jd_op_delete;
    case JD_OP_DELETE_ALL_JOBS:
        return jd_op_delete_all;
    case JD_OP_GET_JOB_LOGS:
        return jd_op_logs;
    case JD_OP_GET_JOB_METRICS:
    case JD_OP_STREAM_JOB_METRICS:
        return jd_op_job_metrics;
    case JD_OP_GET_SYSTEM_STATUS:
        return jd_op_system_status;
    case JD_OP_STREAM_SYSTEM_METRICS:
        return jd_op_system_metrics;
    case JD_OP_LIST_NETWORKS:
        return jd_op_list_networks;
    case JD_OP_CREATE_NETWORK:
        return jd_op_create_network;
    case JD_OP_REMOVE_NETWORK:
        return jd_op_remove_network;
    case JD_OP_STAGE:
        return jd_op_stage;
    case JD_OP_KEEP_STAGE:
        return jd_op_keep_stage;
    case JD_OP_UNSTAGE:
        return jd_op_unstage;
    case JD_OP_STAGE_UPLOADS:
        return jd_op_stage_uploads;
    case JD_OP_CREATE_VOLUME:
        return jd_op_create_volume;
    case JD_OP_LIST_VOLUMES:
        return jd_op_list_volumes;
    case JD_OP_REMOVE_VOLUME:
        return jd_op_remove_volume;
    case JD_OP_NONE:
    case JD_OP_N:
        break;
    }
    return NULL;
}

static void send_reply(const struct jd_call *call, const struct ipc_frame *f)
{
    jd_audit(call, f->status, f->text);
    jd_front_send(call->core, call->generation, f);
}

static struct ipc_frame reply_frame(const struct jd_call *call)
{
    return (struct ipc_frame){ .type = IPC_LINK_REPLY, .op = call->op, .id = call->id };
}

void jd_reply_status(const struct jd_call *call, uint32_t status, const char *text)
{
    struct ipc_frame f = reply_frame(call);

    f.status = status;
    snprintf(f.text, sizeof f.text, "%s", text);
    send_reply(call, &f);
}

void jd_reply_error(const struct jd_call *call, const struct jl_err *e)
{
    uint32_t status = api_status_of(e->code);
    char text[IPC_LINK_TEXT_MAX];

    if (status == API_INTERNAL || status == API_OK) {
        jl_log_fail(e, "request.failed", "operation=%s client=%s", jd_op_name(call->op),
                    call->who.common_name);
        jd_reply_status(call, API_INTERNAL,
                        "internal error; the server's log says more (request.failed)");
        return;
    }
    snprintf(text, sizeof text, "%.380s%s%.120s", e->text, e->hint[0] ? "; " : "", e->hint);
    jd_reply_status(call, status, text);
}

void jd_reply_bytes(const struct jd_call *call, const uint8_t *body, size_t len)
{
    struct ipc_frame f = reply_frame(call);

    f.body = body;
    f.body_len = len;
    send_reply(call, &f);
}

void jd_reply(const struct jd_call *call, const ProtobufCMessage *m)
{
    size_t len = m ? protobuf_c_message_get_packed_size(m) : 0;
    _free_ uint8_t *body = NULL;

    if (len > IPC_LINK_BODY_MAX) {
        jd_reply_status(call, API_RESOURCE_EXHAUSTED, "the answer is larger than 128 MiB");
        return;
    }
    body = malloc(len + 1);
    if (!body) {
        jd_reply_status(call, API_RESOURCE_EXHAUSTED, "the server is out of memory");
        return;
    }
    if (m)
        protobuf_c_message_pack(m, body);
    jd_reply_bytes(call, body, len);
}

void jd_reply_segment(const struct jd_call *call, const char *text, unsigned segment,
                      const int *fds, size_t n)
{
    struct ipc_frame f = reply_frame(call);

    f.segment = segment;
    snprintf(f.text, sizeof f.text, "%s", text);
    for (size_t i = 0; i < n; i++)
        f.fds[i] = fds[i];
    f.n_fds = n;
    send_reply(call, &f);
}

void jd_reply_fds(const struct jd_call *call, const char *text, const int *fds, size_t n)
{
    jd_reply_segment(call, text, 0, fds, n);
}

void jd_call_about(struct jd_call *call, const char *object)
{
    snprintf(call->object, sizeof call->object, "%s", object);
}

struct jd_call *jd_call_keep(const struct jd_call *call)
{
    struct jd_call *copy = malloc(sizeof *copy);

    if (copy) {
        *copy = *call;
        copy->next = NULL;
    }
    return copy;
}

/* Front has answered it already. Its words are taken for a refusal alone; a job is named if it is one. */
static void note_refused(struct jd_call *call, const struct ipc_frame *f)
{
    const struct jd_job *j = NULL;
    struct jl_err ignored = JL_ERR_INIT;

    if (f->body_len > 0)
        snprintf(call->object, sizeof call->object, "%.*s", (int) f->body_len,
                 (const char *) f->body);
    if (call->op == JD_OP_STOP_JOB || call->op == JD_OP_CANCEL_JOB ||
        call->op == JD_OP_DELETE_JOB) {
        if (api_validate_id("uuid", call->object, &ignored) == 0)
            j = jd_jobs_find(call->core, call->object, &ignored);
        if (j)
            memcpy(call->job_id, j->rec.id, sizeof call->job_id);
        call->object[0] = '\0';
    }
    jd_reply_status(call, f->status, f->text);
}

void jd_request(struct jd_core *c, unsigned generation, struct ipc_received *got)
{
    const struct ipc_frame *f = &got->frame;
    struct jd_call call = {
        .core = c, .id = f->id, .generation = generation, .op = f->op, .who = f->who
    };
    op_fn handler = handler_of(f->op);
    char text[IPC_LINK_TEXT_MAX];

    call.role = jd_role_parse(f->who.unit);
    if (!handler) {
        jd_reply_status(&call, API_UNIMPLEMENTED, "joblet knows no such operation");
        return;
    }
    /* The text: front has refused it by a list that may be older than ours; it has no body. */
    if (ipc_revoked_has(&c->revoked.list, f->who.serial) ||
        strcmp(f->text, IPC_LINK_REVOKED) == 0) {
        snprintf(text, sizeof text, "the certificate with serial number %s is revoked",
                 f->who.serial);
        jd_reply_status(&call, API_UNAUTHENTICATED, text);
        return;
    }
    if (call.role == JD_ROLE_NONE || call.role < jd_op_role(f->op)) {
        snprintf(text, sizeof text, "role %s is not allowed to perform operation %s",
                 jd_role_name(call.role), jd_op_name(f->op));
        jd_reply_status(&call, API_PERMISSION_DENIED, text);
        return;
    }
    if (f->status != API_OK) {
        note_refused(&call, f);
        return;
    }
    if (c->ending) {
        jd_reply_status(&call, API_UNAVAILABLE, "the server is stopping");
        return;
    }
    handler(&call, f);
}
