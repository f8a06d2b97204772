/*
 * rpc_fixture.h - for tests of src/rpc: certificates made on the spot, and a server with a few
 * methods whose owner is a thread of the test.
 *
 *   /t.T/Echo     the request back                    /t.T/Who      "CN|OU|serial|peer"
 *   /t.T/Fail     NOT_FOUND "no such thing: <req>"    /t.T/Hang     never an answer
 *   /t.T/Stream   "<n> <size>": n messages of size    /t.T/Forever  one message, then nothing
 *   /t.T/Deadline milliseconds until the deadline     /t.T/Secret   PERMISSION_DENIED in on_head
 *   /t.T/Collect  reads on to the end, then how many bytes; a message "enough": NOT_FOUND at once,
 *                 "wait": reads no more
 *   others        UNIMPLEMENTED
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "rpc/server.h"

struct fx_pair {
    char *cert, *key; /* PEM */
};

struct fx_subject {
    const char *cn;
    const char *ou[4]; /* NULL ends */
    const char *dns;   /* subject alternative name; NULL: none */
    long from_s, to_s; /* validity, relative to now; both 0: an hour ago to a day ahead */
    bool server;       /* extended key usage: serverAuth, else clientAuth */
};

void fx_ca(const char *cn, struct fx_pair *ret);
void fx_issue(const struct fx_pair *ca, const struct fx_subject *subject, struct fx_pair *ret);
void fx_pair_free(struct fx_pair *p);

struct fx_server {
    struct rpc_server *rpc;
    pthread_t thread;
    atomic_bool stop;
    atomic_uint grace_ms; /* set before stop: shut down with it; UINT32_MAX: free at once */
    atomic_int n_calls, n_gone, n_sent, n_collected;
    atomic_int ended_ms; /* how long the shutdown took; -1 until then */
    uint16_t port;
    char address[64]; /* "127.0.0.1:<port>" */
};

/* Starts on 127.0.0.1 and a free port, with opts' other fields. 0 or rpc_server_new's failure. */
int fx_start(struct fx_server *s, struct rpc_server_opts opts, struct jl_err *e);
void fx_stop(struct fx_server *s);
