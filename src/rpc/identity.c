/* identity.c - see identity.h. */
#include "rpc/identity.h"

#include <stdlib.h>
#include <string.h>

#include "rpc/core.h"

/* Without memory it is read again the next time. */
static void keep(struct rpc_identities *ids, const char *pem, size_t len,
                 const struct rpc_identity *who)
{
    char *copy = malloc(len + 1);
    unsigned at = ids->next;

    if (!copy)
        return;
    memcpy(copy, pem, len);
    free(ids->list[at].pem);
    ids->list[at].pem = copy;
    ids->list[at].len = len;
    ids->list[at].who = *who;
    ids->next = (at + 1) % RPC_IDENTITIES;
}

bool rpc_identities_find(struct rpc_identities *ids, const char *pem, size_t len,
                         struct rpc_identity *ret)
{
    for (unsigned i = 0; i < RPC_IDENTITIES && ids->list[i].pem; i++) {
        if (ids->list[i].len != len || memcmp(ids->list[i].pem, pem, len) != 0)
            continue;
        *ret = ids->list[i].who;
        return true;
    }
    *ret = (struct rpc_identity){ 0 };
    if (!rpc_identity_parse(pem, len, ret))
        return false;
    keep(ids, pem, len, ret);
    return true;
}

void rpc_identities_clear(struct rpc_identities *ids)
{
    for (unsigned i = 0; i < RPC_IDENTITIES; i++)
        free(ids->list[i].pem);
    *ids = (struct rpc_identities){ 0 };
}
