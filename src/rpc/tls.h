/*
 * tls.h - certificates of either end, as PEM text in memory. TLS 1.3 alone is spoken; both ends
 * show a certificate that the other's CA has signed.
 */
#pragma once

#include <errno.h>

#include "base/err.h"

/* Linux's numbers, for systems that have no such errors: "certificate not accepted", "expired". */
#ifndef EKEYREJECTED
#define EKEYREJECTED 129
#endif
#ifndef EKEYEXPIRED
#define EKEYEXPIRED 127
#endif

struct rpc_tls {
    const char *cert_pem; /* our certificate, then any intermediates */
    const char *key_pem;  /* its private key */
    const char *ca_pem;   /* who may have signed the peer's certificate */
};

/*
 * Checks that all three are there and can be parsed to their ends, that key and certificate belong
 * together, and that the TLS library takes them.
 * `whose` begins the refusal ("server"). It does not look at dates: see rpc_tls_not_after.
 * 0, -EINVAL with e filled, -ENOMEM.
 */
int rpc_tls_check(const struct rpc_tls *tls, const char *whose, struct jl_err *e);

/* When the first certificate in pem expires, Unix seconds; 0 when it can't be read. */
long long rpc_tls_not_after(const char *pem);
