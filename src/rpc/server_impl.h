/*
 * server_impl.h - what server.c (listening, threads, queue) and call.c (one call's life) share.
 * Private to src/rpc.
 *
 * Threads: `thread` alone takes events from core's completion queue and does nothing but append
 * them to `queue`, under `lock`, and write to event_fd. Everything else in here belongs to the
 * owner's thread.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "rpc/conns.h"
#include "rpc/core.h"
#include "rpc/identity.h"
#include "rpc/intake.h"
#include "rpc/outgo.h"

enum rpc_tag_kind {
    RPC_TAG_NEW,    /* a slot has a new call, or the server goes down */
    RPC_TAG_CLOSE,  /* the call is over for the client, one way or the other */
    RPC_TAG_READ,   /* the request message is there */
    RPC_TAG_WRITE,  /* a message went out */
    RPC_TAG_FINISH, /* the status went out */
    RPC_TAG_DOWN,   /* no call and no connection is left */
};

/* What core hands back for an operation. Each is part of what it is about, and in flight once at
 * most, so the queue needs no memory of its own. */
struct rpc_tag {
    enum rpc_tag_kind kind;
    void *owner; /* struct rpc_slot, struct rpc_call or struct rpc_server */
    bool ok;
    struct rpc_tag *next; /* in the queue */
};

/* Where core puts the next call. */
struct rpc_slot {
    struct rpc_tag tag;
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array metadata;
    bool requested; /* core has it */
};

#define RPC_SLOTS 8

struct rpc_server {
    struct rpc_handlers handlers;
    void *ctx;
    grpc_server *server;
    grpc_completion_queue *cq;
    pthread_t thread;
    bool has_thread;
    bool has_core; /* rpc_core_init succeeded */
    uint16_t port;
    int event_fd; /* written by the thread */
    int timer_fd; /* the grace of a shutdown */
    int epoll_fd; /* both: what the owner watches */
    pthread_mutex_t lock;
    struct rpc_tag *queue, **queue_end;
    struct rpc_conns *conns; /* NULL: no ceilings */
    struct rpc_intake intake;
    struct rpc_outgo outgo;
    struct rpc_identities identities;
    struct rpc_slot slots[RPC_SLOTS];
    struct rpc_call *calls;
    struct rpc_tag down_tag;
    bool is_stopping, is_down, is_freeing;
};

struct rpc_call {
    struct rpc_server *server;
    struct rpc_call *prev, *next;
    grpc_call *call;
    char *method;
    struct rpc_identity who;
    void *user;
    struct rpc_conn_ref conn;
    struct rpc_intake_call intake;
    struct rpc_outgo_call outgo;
    struct rpc_tag close_tag, read_tag, write_tag, finish_tag;
    unsigned n_pending; /* operations that core has not handed back */
    grpc_byte_buffer *recv;
    grpc_slice request;
    bool has_request;
    bool is_called;   /* on_call was told: what is read from now on is on_message's */
    bool is_reported; /* the owner knows it: on_gone is due */
    bool is_closed;   /* nothing reaches the client any more */
    int was_cancelled;
    bool headers_sent;
    bool is_writing;
    bool is_finished; /* rpc_call_finish was called */
    grpc_byte_buffer *sending;
    grpc_byte_buffer *reply; /* of rpc_call_finish */
    unsigned status;
    grpc_slice details;
};

/* Takes the call out of the slot and begins to read its request. */
void rpc_call_begin(struct rpc_server *s, struct rpc_slot *slot);
/* Finishes it without the owner, who is told. */
void rpc_call_refuse(struct rpc_call *c, unsigned status, const char *message);
/* An operation of a call came back. Frees the call when it was the last. */
void rpc_call_event(struct rpc_call *c, const struct rpc_tag *tag);
