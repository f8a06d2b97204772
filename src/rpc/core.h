/*
 * core.h - what server and client of src/rpc share of gRPC core and OpenSSL. Private to src/rpc:
 * the headers for others name neither library.
 */
#pragma once

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "rpc/server.h"

#define RPC_MESSAGE_DEFAULT (128u << 20) /* bytes of one message */

/* Our server puts this into the trailers of every status it sends: what has it not was made up by
 * core, on either side, as when a connection is lost. */
#define RPC_ANSWER_KEY "joblet-answer"

/*
 * Starts gRPC core, on first use with TLS 1.3 as the only version: core has no switch for that, so
 * it goes through OpenSSL's configuration, from memory. Each success needs one rpc_core_done.
 * 0 or -errno with e filled (-ENOTSUP: the configuration was not heeded).
 */
int rpc_core_init(struct jl_err *e);
void rpc_core_done(void);

/* A message for sending: copies. */
grpc_byte_buffer *rpc_message_new(const void *data, size_t len);

/* The bytes of a received message in one piece, as a slice the caller unrefs; buf is freed.
 * False when it is compressed, which we never offered, or can't be read. */
bool rpc_message_take(grpc_byte_buffer *buf, grpc_slice *ret);

/* A list of channel arguments in the making. */
#define RPC_ARGS_MAX 24
struct rpc_args {
    grpc_arg arg[RPC_ARGS_MAX];
    size_t n;
};
void rpc_args_int(struct rpc_args *a, const char *key, unsigned long value); /* at most INT_MAX */
void rpc_args_string(struct rpc_args *a, const char *key, const char *value);
grpc_channel_args rpc_args_list(struct rpc_args *a);

/* Fills everything but the peer from the certificate. False: it can't be parsed. */
bool rpc_identity_parse(const char *pem, size_t len, struct rpc_identity *ret);

/* "ipv4:192.0.2.1:40312", "ipv6:%5B::1%5D:40312" as gRPC writes them, to the usual spelling. */
void rpc_peer_parse(const char *uri, char *ret, size_t size);

/* Whether s is a host name or a numeric address and nothing else: gRPC would take "unix:/path"
 * and the like as well. */
bool rpc_host_is_plain(const char *s);
