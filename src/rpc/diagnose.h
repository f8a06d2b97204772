/*
 * diagnose.h - why no connection came about. gRPC core says little more than "failed to connect";
 * so after a failure one connection is made by hand, step by step, and the step that fails is the
 * answer. Private to src/rpc.
 */
#pragma once

#include "base/err.h"
#include "rpc/client.h"

struct rpc_target {
    const char *host; /* without brackets */
    const char *port;
    const char *server_name; /* in the server's certificate */
    struct rpc_tls tls;
    unsigned timeout_ms; /* for each step */
};

/*
 * Name, TCP connection, TLS handshake, the server's verdict on our certificate. Blocks for three
 * times timeout_ms at most, and for the resolver. Returns the codes of rpc_client_unary with e
 * filled, or 0 when everything works.
 */
int rpc_diagnose(const struct rpc_target *t, struct jl_err *e);
