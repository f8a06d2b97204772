/*
 * intake.h - a ceiling on the memory that request messages take, all calls together. Private to
 * src/rpc, owner's thread.
 *
 * A message that has arrived is counted until it is dropped. One that is on its way is with gRPC core,
 * which takes in all of it before it says a word, whatever its size; so while a read is out, what
 * has come over the call's connection since (TCP_INFO), less the messages that have arrived over it,
 * is what it may take at most. That is looked at every LOOK_MS. Over the ceiling the call with the
 * most on its way is refused, or the one that has just arrived. Small messages are never refused for
 * the others' size.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct rpc_call;
struct rpc_conns;
struct rpc_server;

struct rpc_intake {
    uint64_t max, message_max; /* bytes; max 0: no ceiling */
    uint64_t held;             /* arrived and not dropped */
    uint64_t last_total;       /* at the look before */
    int timer_fd;              /* -1: no ceiling */
    bool armed;
    int64_t *unread; /* of each connection, for one look */
    uint64_t *most;
};

/* Part of a call. */
struct rpc_intake_call {
    bool arriving; /* a read is out */
    bool has_base; /* a look has seen it */
    int64_t base;  /* the least that was unread of its connection since */
    uint64_t held; /* of this call */
};

/* The ceiling is `messages` of message_max bytes. Needs s->conns. 0, or -errno with e filled. */
int rpc_intake_init(struct rpc_server *s, unsigned messages, uint64_t message_max,
                    struct jl_err *e);
void rpc_intake_done(struct rpc_server *s);

void rpc_intake_begin(struct rpc_call *c); /* a read goes out */
/* It has come back, with len bytes. False: they are too many, the call is finished with that. */
bool rpc_intake_arrived(struct rpc_call *c, size_t len);
void rpc_intake_drop(struct rpc_call *c); /* the message is freed */

/* The time for a look may have come. */
void rpc_intake_look(struct rpc_server *s);
