/*
 * front.h - what the parts of joblet-front share: the process itself, and a call in it.
 *
 * Everything runs in one thread on one loop (base/loop.h); gRPC's threads stay below rpc/server.h.
 * A call belongs to the list of its front from jd_call_begin until it is freed. The client may
 * vanish at any moment: then `rpc` becomes NULL and whoever still waits for core finds out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "api/status.h"
#include "base/err.h"
#include "base/loop.h"
#include "daemon/front/conf.h"
#include "daemon/front/link.h"
#include "ipc/corelink.h"

struct rpc_call;
struct rpc_server;
struct jd_call;

/* Ceilings on what clients can make front hold; a call above is answered RESOURCE_EXHAUSTED. */
#define JD_FRONT_CALLS_MAX 4096   /* calls at once, all clients together */
#define JD_FRONT_STREAMS_MAX 1024 /* streams of logs and of metrics, if the descriptors allow it */
#define JD_FRONT_UPLOADS_MAX 64   /* StageUploads at once, each with three descriptors */
#define JD_FRONT_FDS_STREAM 4     /* descriptors a log stream may hold for a moment */
#define JD_FRONT_FDS_OTHER 512    /* descriptors kept for connections and everything else */
/* Requests held or on their way, in messages of the largest size allowed. Large ones come with files
 * in RunJob's `uploads` alone. */
#define JD_FRONT_INTAKE_MAX 2
#define JD_FRONT_OUTGO_MAX 2 /* answers that clients have not fetched, in the same way */
/* One certificate may take this much of each of them, so that no client can shut out the others. */
#define JD_FRONT_SHARE(all) ((all) - (all) / 4)

#define JD_FRONT_PATIENCE 2 /* times server.timeout: how long a client may keep us waiting */

/* Connections: at rest one costs about 30 KiB and two descriptors. */
#define JD_FRONT_CONNS_MAX 4096
#define JD_FRONT_CONNS_LOW 128      /* however few descriptors there are */
#define JD_FRONT_STRANGERS_HOST 256 /* of one address, without a call yet */

/* What a call takes up besides its place among all calls. */
enum jd_pool {
    JD_POOL_CALLS, /* nothing */
    JD_POOL_STREAMS,
    JD_POOL_UPLOADS,
    JD_POOL_N
};

struct jd_front {
    struct jl_loop *loop;
    struct jd_conf conf;
    struct jd_link link;
    struct rpc_server *server;
    struct jl_source server_src;
    struct jl_source signal_src;
    struct jl_timer down_timer;
    struct jd_call *calls;
    size_t n_calls[JD_POOL_N], max_calls[JD_POOL_N]; /* JD_POOL_CALLS: all */
    unsigned conns_max;
    uint64_t log_bytes_in_flight; /* of all log streams */
    bool ending;
};

/* What a kind of call takes up, and does when its client is ready for more, or gone. */
struct jd_call_kind {
    enum jd_pool pool;
    void (*on_writable)(struct jd_call *c); /* may be NULL */
    void (*on_message)(struct jd_call *c);  /* of client-streaming calls alone */
    void (*on_gone)(struct jd_call *c);     /* c->rpc is NULL already; frees c, now or later */
    void (*on_event)(struct jd_call *c, const char *job_id); /* may be NULL */
};

struct jd_call {
    struct jd_front *front;
    struct rpc_call *rpc;             /* NULL when the client is gone */
    bool finished;                    /* the answer is out; on_gone follows */
    bool asked;                       /* core has all of it, and tells its audit file */
    char object[IPC_LINK_OBJECT_MAX]; /* what it is about, for that file; "" none */
    enum jd_op op;
    struct ipc_identity who;
    const struct jd_call_kind *kind;
    struct jd_call *next, **at;
};

/* Puts c (zeroed, inside its owner) into the list and ties it to rpc. */
void jd_call_begin(struct jd_call *c, struct jd_front *front, struct rpc_call *rpc, enum jd_op op,
                   const struct jd_call_kind *kind);
/* Whether one more of this pool fits, and is within the share of rpc's certificate; else rpc is
 * answered. */
bool jd_calls_have_room(struct jd_front *front, struct rpc_call *rpc, enum jd_pool pool);
/* It may end at any time, as nothing is asked of core that could be lost: a stream, or a call whose
 * message has not come. */
bool jd_call_may_end(const struct jd_call *c);
/* Takes c out of the list; its owner frees it. */
void jd_call_end(struct jd_call *c);

/* Refuses what has no jd_call yet, or is about to lose it. */
void jd_calls_refuse(struct jd_front *front, struct rpc_call *rpc, enum api_status status,
                     const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Ends the call towards the client; nothing happens when that is done already. Core is told of a refusal
 * that it does not know, for the audit file. */
void jd_call_finish(struct jd_call *c, enum api_status status, const char *message,
                    const void *data, size_t len);
/* The same with the sentence and the hint of a failure, and the status that belongs to its code. */
void jd_call_fail(struct jd_call *c, const struct jl_err *e);
/* Answers as core did; r NULL stands for a core that is gone. */
void jd_call_reply(struct jd_call *c, const struct ipc_frame *reply);

/* A request of c's operation and identity, to be filled and sent. */
struct ipc_frame jd_call_frame(const struct jd_call *c, enum jd_op op);

/* When core's answer is due: server.timeout from now, plus extra_ms. */
uint64_t jd_call_due_ns(const struct jd_call *c, uint64_t extra_ms);
/* When a message of the client's that was asked for just now has to be there, whole: JD_FRONT_PATIENCE. */
uint64_t jd_call_message_due_ns(const struct jd_call *c);
void jd_call_timed_out(struct jd_call *c);

/* The kinds. Each takes over the rpc call: it finishes it at once or later. */
void jd_unary_begin(struct jd_front *front, struct rpc_call *rpc, enum jd_op op);
void jd_run_begin(struct jd_front *front, struct rpc_call *rpc);
void jd_stagecall_begin(struct jd_front *front, struct rpc_call *rpc);
void jd_metricscall_begin(struct jd_front *front, struct rpc_call *rpc, enum jd_op op);
void jd_monitorcall_begin(struct jd_front *front, struct rpc_call *rpc);
void jd_logcall_begin(struct jd_front *front, struct rpc_call *rpc);

/* Takes the new list of revoked certificates and ends the calls of those on it. A list that can't
 * be read ends front: the next one gets it anew. */
void jd_calls_revoked(struct jd_front *front, const struct ipc_frame *event);

/* Handlers for rpc/server.h; ctx is the front. */
void jd_calls_on_head(struct rpc_call *rpc, void *ctx);
void jd_calls_on_call(struct rpc_call *rpc, void *ctx);
void jd_calls_on_message(struct rpc_call *rpc, void *ctx);
void jd_calls_on_writable(struct rpc_call *rpc, void *ctx);
void jd_calls_on_gone(struct rpc_call *rpc, void *ctx);
void jd_calls_on_refused(struct rpc_call *rpc, unsigned status, const char *message, void *ctx);
