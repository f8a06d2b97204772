/*
 * identity.h - whom the certificates name that were seen last. To read one takes a third of a
 * millisecond, and a client makes many calls with the same. Compared byte by byte, so the cache can give
 * nobody a name that is not in his own certificate; whether it is valid, core and revocation say.
 * Private to src/rpc; the owner's thread alone. Nothing blocks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "rpc/server.h"

#define RPC_IDENTITIES 64

struct rpc_identities {
    struct {
        char *pem; /* own; NULL: free */
        size_t len;
        struct rpc_identity who;
    } list[RPC_IDENTITIES];
    unsigned next; /* to be replaced */
};

/* All of *ret but the peer, which becomes "". False: the certificate can't be parsed. */
bool rpc_identities_find(struct rpc_identities *ids, const char *pem, size_t len,
                         struct rpc_identity *ret);
void rpc_identities_clear(struct rpc_identities *ids);
