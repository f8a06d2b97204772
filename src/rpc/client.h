/*
 * client.h - the client's side of gRPC over mutual TLS, for rnx. Blocking, one thread; it names
 * nothing of the library underneath and needs nothing of Linux.
 *
 * The server's certificate must be signed by our CA and be made for one fixed name ("joblet"),
 * whatever address was dialled. When no connection comes about, the error says which of the many
 * reasons it was (name, refused, no answer, whose certificate is not accepted and why) and hints
 * at what to do.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "rpc/tls.h"

#define RPC_SERVER_NAME "joblet"

struct rpc_client;
struct rpc_stream;

struct rpc_client_opts {
    const char *address;         /* "host:port", "192.0.2.1:50051", "[2001:db8::1]:50051" */
    const char *server_name;     /* the name in the server's certificate; NULL: "joblet" */
    struct rpc_tls tls;          /* borrowed during rpc_client_new alone */
    unsigned max_message_bytes;  /* 0: 128 MiB */
    unsigned connect_timeout_ms; /* 0: 5000 */
};

/* What the server answered. Filled whenever the server was reached. */
struct rpc_status {
    unsigned code;      /* api_status */
    char message[4096]; /* the server's sentence; control characters are replaced by '?' */
};

/* Checks address and certificates; connects with the first call. 0; -EINVAL; -ENOMEM. */
int rpc_client_new(const struct rpc_client_opts *opts, struct rpc_client **ret, struct jl_err *e);
void rpc_client_free(struct rpc_client *c); /* close all streams before; NULL is fine */

/*
 * One call: method "/joblet.JobService/RunJob", request req. timeout_ms 0: none besides that of
 * connecting.
 *
 * 0: the server answered, st says what; the reply was added to resp when st->code is 0.
 * A refusal by the server is an answer. Else e is filled:
 * -ECONNREFUSED, -EHOSTUNREACH or -ETIMEDOUT: no connection, and nothing was sent; -ENOENT: no such
 * name; -EKEYREJECTED: a certificate is not accepted by one side; -EKEYEXPIRED: one has expired;
 * -ETIME: no answer within timeout_ms; -ECONNRESET: the connection was lost, and whether the server did it is not known;
 * -EMSGSIZE: a message over the limit of either side; -EPROTO: what speaks there is no gRPC server;
 * -EINTR: cancelled.
 */
int rpc_client_unary(struct rpc_client *c, const char *method, const void *req, size_t len,
                     unsigned timeout_ms, struct jl_buf *resp, struct rpc_status *st,
                     struct jl_err *e);

/* Starts a server-streaming call. 0 or -errno with e filled; a server that can't be reached shows
 * at the first rpc_stream_next. */
int rpc_stream_open(struct rpc_client *c, const char *method, const void *req, size_t len,
                    unsigned timeout_ms, struct rpc_stream **ret, struct jl_err *e);

/* The next message: 1 and msg replaced by it, 0 the end and st filled (code 0: a good end), else
 * -errno as above with e filled. */
int rpc_stream_next(struct rpc_stream *s, struct jl_buf *msg, struct rpc_status *st,
                    struct jl_err *e);

/*
 * A client-streaming call: open, any number of rpc_stream_send, one rpc_stream_reply. Nothing is sent
 * before the first rpc_stream_send. 0 or -errno with e filled.
 */
int rpc_stream_open_sending(struct rpc_client *c, const char *method, unsigned timeout_ms,
                            struct rpc_stream **ret, struct jl_err *e);

/*
 * Sends one message (copied); waits while the server takes no more, so one message and the
 * transport's 64 KiB are all that is held. 1; 0: the call is over already, rpc_stream_reply says why;
 * -EINTR: cancelled.
 */
int rpc_stream_send(struct rpc_stream *s, const void *data, size_t len, struct jl_err *e);

/* No more messages: waits for the reply. Same answers as rpc_client_unary. */
int rpc_stream_reply(struct rpc_stream *s, struct jl_buf *resp, struct rpc_status *st,
                     struct jl_err *e);

/* Makes the rpc_stream_next, _send or _reply that waits, or the next one, return -EINTR
 * within a tenth of a second. Only sets a flag: may be called from a signal handler or another
 * thread. */
void rpc_stream_cancel(struct rpc_stream *s);

/* Cancels what still runs and frees. NULL is fine. */
void rpc_stream_close(struct rpc_stream *s);

/* For unary calls, which have no handle: the same flag for whatever this client is waiting for. */
void rpc_client_cancel(struct rpc_client *c);
