/*
 * stream.h - reading what a server streams, and trying again when it goes away meanwhile, as it does
 * for a moment when it is restarted.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "rnx/remote.h"

/* 0, or -errno with e filled, which ends the stream. */
typedef int rnx_on_message(void *user, const struct jl_buf *msg, struct jl_err *e);

/*
 * One connection: asks, and calls fn for each message, of message_max bytes at most. 0 the stream's
 * end; 1 a signal came; -errno with e filled, and st->code not 0 when the server refused. Call
 * rnx_connect and rnx_catch_signals before.
 */
int rnx_stream(struct rnx *x, const char *method, const ProtobufCMessage *request,
               size_t message_max, rnx_on_message *fn, void *user, struct rpc_status *st,
               struct jl_err *e);

/* How long the server may be away, in all, before it is given up. */
#define RNX_PATIENCE_S 30

/* All 0 at first. */
struct rnx_again {
    bool established;       /* the server was there: a refused connection is worth waiting */
    uint64_t lost_since_ns; /* 0: connected */
    uint64_t pause_ns;
};

/* Something has come: the next loss begins anew. */
void rnx_again_reset(struct rnx_again *a);

/*
 * After a failure: says so once, waits and connects anew. 0 try again; 1 a signal came; -errno with e
 * filled: this failure is none that goes by, or the patience is at its end.
 */
int rnx_again(struct rnx *x, struct rnx_again *a, const struct rpc_status *st, struct jl_err *e);
