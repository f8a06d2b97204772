/*
 * server.h - the server's side of gRPC over mutual TLS, for joblet-front. It names nothing of the
 * library underneath.
 *
 * Model: the library's threads stay inside. What they see is queued, and a descriptor
 * (rpc_server_fd) becomes readable; the owner, one thread, calls rpc_server_dispatch, which runs
 * the handlers. Every function here is for that thread alone. Handlers may call any function of a
 * call, also finish it.
 *
 * Life of a call: on_call (the whole request message is there; unary and server-streaming methods
 * look the same until answered) - any number of rpc_call_send, each followed by on_writable -
 * rpc_call_finish once - on_gone, after which the call is freed. A client that cancels or vanishes
 * gives on_gone without a finish. on_gone comes for every call that on_head or on_call has seen.
 *
 * A client-streaming method reads on with rpc_call_read, each answered by on_message, until a message
 * is missing.
 *
 * One message is in flight per call: a reader that is slow is simply not asked for more, and costs
 * one message of memory.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "rpc/tls.h"

struct rpc_server;
struct rpc_call;

/* Zero in any number means the default, which follows in parentheses. */
struct rpc_server_opts {
    const char *address;     /* numeric or name; 0.0.0.0 and :: are every address, both families */
    uint16_t port;           /* 0: any free one, see rpc_server_port */
    struct rpc_tls tls;      /* borrowed during rpc_server_new alone */
    unsigned max_recv_bytes; /* (128 MiB) one message */
    unsigned max_send_bytes; /* (128 MiB) */
    unsigned max_header_bytes;     /* (16 MiB) all headers of a call */
    unsigned max_streams;          /* (1000) calls at once on one connection */
    unsigned keepalive_ms;         /* (10 s) silence after which the client is asked */
    unsigned keepalive_timeout_ms; /* (3 s) and for how long it may owe the answer */
    unsigned handshake_timeout_ms; /* (10 s) */
    unsigned idle_ms;              /* (300 s) a connection without calls is closed */
    unsigned age_ms;               /* (1800 s) then the client is told to connect anew (GOAWAY) */
    unsigned age_grace_ms;         /* (never) after that running calls would be cut */
    /* Ceilings on connections; here zero means none. The first comes alone or with the others. A
     * connection over max_conns, or over its host's part, is closed unless an older one that has
     * called nothing yet can make place; of one certificate, its calls are refused. */
    unsigned max_conns, max_conns_host, max_conns_client, max_strangers_host;
    /* Ceiling on the bytes of all request messages that are held or on their way, as so many of the
     * largest size (and 64 MiB at least); 0: none. Needs max_conns. The largest beyond it is refused. */
    unsigned max_intake;
    /* The same of all replies that clients have not fetched; three quarters for one certificate. One
     * of more than 4 KiB beyond it becomes RESOURCE_EXHAUSTED. A client has reply_timeout_ms for one,
     * and a second for each 64 KiB, then its call is cut. */
    unsigned max_outgo, reply_timeout_ms;
};

struct rpc_handlers {
    /* The method and the caller are known, the message not read yet. May finish the call, so that
     * who may not call at all can't send 128 MiB first. May be NULL. */
    void (*on_head)(struct rpc_call *call, void *ctx);
    void (*on_call)(struct rpc_call *call, void *ctx);
    /* The message after that, asked for by rpc_call_read; without one (rpc_call_request gives NULL)
     * when the client has sent all. May be NULL. */
    void (*on_message)(struct rpc_call *call, void *ctx);
    void (*on_writable)(struct rpc_call *call, void *ctx); /* the last send is out; may be NULL */
    void (*on_gone)(struct rpc_call *call, void *ctx);     /* last word of this call; may be NULL */
    /* The call is refused here, for want of room or of a message, maybe before on_head. May be NULL. */
    void (*on_refused)(struct rpc_call *call, unsigned status, const char *message, void *ctx);
};

/* From the verified client certificate. Anything that does not fit or holds a control character
 * is left empty, never cut short: a cut list of units could lose the one that restricts. */
struct rpc_identity {
    char common_name[128];
    char unit[64];   /* organizational units in the order of the subject, "," between */
    char serial[64]; /* upper-case hex */
    char peer[64];   /* "192.0.2.1:40312", "[2001:db8::1]:40312" */
};

/*
 * Binds, listens and starts to serve. handlers is copied; ctx goes to each handler.
 * 0; -EADDRINUSE, -EADDRNOTAVAIL, -EACCES naming address:port; -EINVAL for certificates; -ENOMEM.
 * Blocks for the resolution of a name only. Starts threads: fork only to exec from here on.
 */
int rpc_server_new(const struct rpc_server_opts *opts, const struct rpc_handlers *handlers,
                   void *ctx, struct rpc_server **ret, struct jl_err *e);

uint16_t rpc_server_port(const struct rpc_server *s);

/* Readable when there is something to dispatch. Borrowed; valid until rpc_server_free. */
int rpc_server_fd(const struct rpc_server *s);

/* Runs the handlers for what has happened. Never blocks. */
void rpc_server_dispatch(struct rpc_server *s);

/* Stops listening at once, refuses new calls and tells clients to go; what still runs after
 * grace_ms is cancelled. Keep dispatching until rpc_server_is_down. */
void rpc_server_shutdown(struct rpc_server *s, unsigned grace_ms);
bool rpc_server_is_down(const struct rpc_server *s);

/* Cancels what is left (on_gone runs for it), waits for the threads, frees. NULL is fine. */
void rpc_server_free(struct rpc_server *s);

/* "/joblet.JobService/RunJob"; the owner answers a method it does not know with UNIMPLEMENTED. */
const char *rpc_call_method(const struct rpc_call *c);

/* The request message; borrowed, until rpc_call_drop_request or on_gone has returned. */
const void *rpc_call_request(const struct rpc_call *c, size_t *ret_len);
void rpc_call_drop_request(struct rpc_call *c); /* frees it early: a stream lives long */

/* Drops the request message and reads the next of a client-streaming call; on_message tells. What is
 * not asked for stays with the client, but for the transport's window. Nothing happens when the
 * call is over or finished. */
void rpc_call_read(struct rpc_call *c);

const struct rpc_identity *rpc_call_identity(const struct rpc_call *c);

void rpc_call_set_user(struct rpc_call *c, void *user);
void *rpc_call_user(const struct rpc_call *c);

/* Sends one message of a stream (copied). 0; -EBUSY before on_writable for the one before;
 * -EPIPE when the call is over or finished: nothing to do, on_gone comes. */
int rpc_call_send(struct rpc_call *c, const void *data, size_t len);

/* Ends the call: status is an api_status; message (may be NULL) is for people and is cut at 2 KiB;
 * data is a unary call's reply or NULL (copied; refused above max_outgo). May follow a send at once. A second time, or
 * after the client went: nothing happens. */
void rpc_call_finish(struct rpc_call *c, unsigned status, const char *message, const void *data,
                     size_t len);

/* The same, and nothing that waits to be sent to a slow client holds it up or still goes out. */
void rpc_call_abort(struct rpc_call *c, unsigned status, const char *message);
