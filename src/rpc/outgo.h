/*
 * outgo.h - a ceiling on the memory that replies take, all calls together, and on the time that one
 * takes it. Private to src/rpc, owner's thread.
 *
 * Core keeps a reply for as long as its client lets it, and a client that never opens its window need
 * not even read. So a reply is counted from rpc_call_finish until core has handed it on; a large one
 * over the ceiling, or over three quarters of it for one certificate, is not taken in, and one that is
 * not fetched is cut. Messages of streams are not counted here: there is one for a call at a time,
 * and their owner knows best how many.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct rpc_call;
struct rpc_server;

struct rpc_outgo {
    uint64_t max;  /* bytes; 0: no ceiling */
    uint64_t held; /* of all calls */
    uint64_t timeout_ns;
    uint64_t next_ns; /* when timer_fd rings; 0: never */
    int timer_fd;     /* -1: no ceiling */
};

/* Part of a call. */
struct rpc_outgo_call {
    uint64_t held, due_ns;
};

/* The ceiling is `messages` of message_max bytes, and 64 MiB at least; a reply has timeout_ms and a
 * second for each 64 KiB. 0, or -errno with e filled. */
int rpc_outgo_init(struct rpc_server *s, unsigned messages, uint64_t message_max,
                   unsigned timeout_ms, struct jl_err *e);
void rpc_outgo_done(struct rpc_server *s);

/* A reply of len bytes is to go out. NULL, or why it must not (static). */
const char *rpc_outgo_take(struct rpc_call *c, size_t len);
void rpc_outgo_drop(struct rpc_call *c); /* core has handed it on; fine when there is none */

/* The time of some reply may be over. */
void rpc_outgo_look(struct rpc_server *s);
