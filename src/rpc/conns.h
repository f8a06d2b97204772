/*
 * conns.h - ceilings on connections, which gRPC core has none for. Private to src/rpc.
 *
 * Core accepts by itself, in its own threads, and tells nobody. So this file has an accept4() of its
 * own, which the program's libraries find before the C library's: each connection is counted as it
 * comes, and a second descriptor of it is kept. By that one its end is seen, and it can be ended
 * from here, without a word of core's and without a number that may be another file's by then.
 *
 * A connection is a stranger until its first call tells its certificate. Strangers (handshakes that
 * do not go on, connections that call nothing) have the least room, and the oldest makes place for a
 * new one: who is slow on purpose loses to whoever speaks.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct rpc_conns;

struct rpc_conns_limits {
    unsigned all;            /* connections; 0: no ceilings at all */
    unsigned per_host;       /* of one address */
    unsigned per_client;     /* of one certificate */
    unsigned strangers_host; /* of one address, that have called nothing yet */
};

/* A connection, for as long as it lasts; its place may have another one later. */
struct rpc_conn_ref {
    unsigned slot;   /* below rpc_conns_room */
    uint64_t number; /* 0: not known */
};

/* From now on the process's connections are counted here; one at a time may be. NULL and errno when
 * that fails. */
struct rpc_conns *rpc_conns_new(const struct rpc_conns_limits *l);
void rpc_conns_free(struct rpc_conns *c); /* NULL is fine; ends no connection */

/* Readable when connections have ended; rpc_conns_dispatch forgets them. Owner's thread. */
int rpc_conns_fd(const struct rpc_conns *c);
void rpc_conns_dispatch(struct rpc_conns *c);

/* A call has come from peer ("192.0.2.1:40312") with the certificate of this serial; *ret says over
 * which connection. False: the certificate has too many connections; told so once, the connection is
 * ended the next time. */
bool rpc_conns_know(struct rpc_conns *c, const char *peer, const char *serial,
                    struct rpc_conn_ref *ret);

/* Bytes that have come over it, TLS and all, less those that rpc_conns_read was told of. False: it is
 * gone. */
bool rpc_conns_unread(struct rpc_conns *c, const struct rpc_conn_ref *ref, int64_t *ret);
void rpc_conns_read(struct rpc_conns *c, const struct rpc_conn_ref *ref, uint64_t bytes);
unsigned rpc_conns_room(const struct rpc_conns *c);
