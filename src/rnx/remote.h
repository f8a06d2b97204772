/*
 * remote.h - one call to the server: connect with the chosen node's certificates, pack, send, wait,
 * unpack, and turn a refusal into an error that says what to do.
 */
#pragma once

#include <signal.h>

#include "api/joblet.pb-c.h"
#include "base/err.h"
#include "rnx/cmd.h"
#include "rpc/client.h"

/* Loads the configuration, chooses the node and makes the client. No connection is made yet.
 * Warns when others can read the keys. 0, or -errno with e filled. */
int rnx_connect(struct rnx *x, struct jl_err *e);

/* Throws the connection away, and with it how long the transport wants to wait before it tries once
 * more; the next call dials at once. Same answers. */
int rnx_reconnect(struct rnx *x, struct jl_err *e);

/*
 * One unary call. timeout_ns 0: x->timeout_ns. On success *ret_reply is the caller's, for
 * protobuf_c_message_free_unpacked(). 0; or -errno with e filled; st, when not NULL, then says
 * whether it was the server that refused (code not 0).
 */
int rnx_call(struct rnx *x, const char *method, const ProtobufCMessage *request,
             const ProtobufCMessageDescriptor *reply_type, uint64_t timeout_ns,
             ProtobufCMessage **ret_reply, struct rpc_status *st, struct jl_err *e);

/* Fills e from a server's refusal (st->code is not 0). Returns -errno. */
int rnx_refused(struct rnx *x, const struct rpc_status *st, struct jl_err *e);

/* After a call about one job failed: adds the id and the way to the list when the job is unknown.
 * Returns -e->code. */
int rnx_job_refused(const struct rpc_status *st, const char *id, struct jl_err *e);

/* True for a failure after which the same call may go well a little later: the connection is gone,
 * or the server said UNAVAILABLE, or CANCELLED, as some do when they are stopped. */
bool rnx_is_transient(const struct jl_err *e, const struct rpc_status *st);

/*
 * From here on SIGINT and SIGTERM do not end rnx but set a flag and cancel what waits: the stream
 * given here (may be NULL) and the client of x. rnx_interrupted() tells.
 */
void rnx_catch_signals(struct rnx *x);
void rnx_watch_stream(struct rpc_stream *s);
bool rnx_interrupted(void);

/* Sleeps, but not beyond a signal. */
void rnx_sleep_ns(uint64_t ns);
