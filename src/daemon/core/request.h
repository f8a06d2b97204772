/*
 * request.h - what joblet-front asks, served: the role once more, the message parsed and checked
 * once more, the answer after its commit, a line in the audit file. Nothing of front is believed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "api/joblet.pb-c.h"
#include "api/status.h"
#include "base/err.h"
#include "ipc/corelink.h"

struct jd_core;
struct jd_job;

/* A request that is being served; small enough to be kept on the heap while it waits. */
struct jd_call {
    struct jd_core *core;
    uint64_t id;         /* front's */
    unsigned generation; /* of the front that asked */
    enum jd_op op;
    enum jd_role role;
    struct ipc_identity who;
    char job_id[40];                  /* for the audit line; "" none */
    char object[IPC_LINK_OBJECT_MAX]; /* the same: a volume's or network's name, maybe cut */
    struct jd_call *next;             /* waiters of a job */
};

void jd_request(struct jd_core *c, unsigned generation, struct ipc_received *got);

/* Answers, each once a call. The audit line is written here. m NULL: an empty body. */
void jd_reply(const struct jd_call *call, const ProtobufCMessage *m);
void jd_reply_bytes(const struct jd_call *call, const uint8_t *body, size_t len); /* a packed one */
void jd_reply_fds(const struct jd_call *call, const char *text, const int *fds, size_t n);
void jd_reply_segment(const struct jd_call *call, const char *text, unsigned segment,
                      const int *fds, size_t n); /* of a log */
/* The status of e's code; what is INTERNAL is logged and answered without its details. */
void jd_reply_error(const struct jd_call *call, const struct jl_err *e);
void jd_reply_status(const struct jd_call *call, uint32_t status, const char *text);

/* Names the volume or network for the audit line. */
void jd_call_about(struct jd_call *call, const char *object);

/* A copy that can wait, or NULL. */
struct jd_call *jd_call_keep(const struct jd_call *call);

/* One each for the rows of ops.def; body is the message's bytes. */
void jd_op_run(struct jd_call *call, const struct ipc_frame *f);
void jd_op_status(struct jd_call *call, const struct ipc_frame *f);
void jd_op_list(struct jd_call *call, const struct ipc_frame *f);
void jd_op_stop(struct jd_call *call, const struct ipc_frame *f);
void jd_op_cancel(struct jd_call *call, const struct ipc_frame *f);
void jd_op_delete(struct jd_call *call, const struct ipc_frame *f);
void jd_op_delete_all(struct jd_call *call, const struct ipc_frame *f);
void jd_op_logs(struct jd_call *call, const struct ipc_frame *f);
void jd_op_list_networks(struct jd_call *call, const struct ipc_frame *f);
void jd_op_create_network(struct jd_call *call, const struct ipc_frame *f);
void jd_op_remove_network(struct jd_call *call, const struct ipc_frame *f);
void jd_op_stage(struct jd_call *call, const struct ipc_frame *f);
void jd_op_keep_stage(struct jd_call *call, const struct ipc_frame *f);
void jd_op_unstage(struct jd_call *call, const struct ipc_frame *f);
void jd_op_stage_uploads(struct jd_call *call, const struct ipc_frame *f);
void jd_op_job_metrics(struct jd_call *call, const struct ipc_frame *f);
void jd_op_system_status(struct jd_call *call, const struct ipc_frame *f);
/* One sample for a StreamSystemMetrics: a SystemStatusResponse, fresh. Front repeats it. */
void jd_op_system_metrics(struct jd_call *call, const struct ipc_frame *f);

void jd_op_create_volume(struct jd_call *call, const struct ipc_frame *f);
void jd_op_list_volumes(struct jd_call *call, const struct ipc_frame *f);
void jd_op_remove_volume(struct jd_call *call, const struct ipc_frame *f);

/* A message that goes with its block: `_message_ ProtobufCMessage *in = NULL;`. */
static inline void jd_messagep(ProtobufCMessage **m)
{
    if (*m)
        protobuf_c_message_free_unpacked(*m, NULL);
}
#define _message_ __attribute__((cleanup(jd_messagep)))

/* Forgets the RunJobs that are not stored yet: the end of the daemon. */
void jd_submits_clear(struct jd_core *c);
/* Whether a job of this id is about to be stored: its directory is nobody else's. */
bool jd_submits_have(const struct jd_core *c, const char *id);

/* The answer to a StopJob or CancelJob whose job has ended. */
void jd_reply_ended(const struct jd_call *call, const struct jd_job *j);
