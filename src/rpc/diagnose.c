/*
 * diagnose.c - one connection by hand: see diagnose.h.
 */
#include "rpc/diagnose.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

/* Waits for the socket; 0, or -ETIMEDOUT. */
static int wait_for(int fd, short events, uint64_t until_ns)
{
    for (;;) {
        struct pollfd p = { .fd = fd, .events = events };
        uint64_t now = jl_now_ns();
        int r;

        if (now >= until_ns)
            return -ETIMEDOUT;
        r = poll(&p, 1, (int) ((until_ns - now) / JL_NS_PER_MS) + 1);
        if (r > 0)
            return 0;
        if (r < 0 && errno != EINTR)
            return -errno;
    }
}

static int connect_one(const struct addrinfo *a, unsigned timeout_ms)
{
    _close_ int fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
    socklen_t len = sizeof(int);
    int err = 0, r;

    if (fd < 0)
        return -errno;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    if (connect(fd, a->ai_addr, a->ai_addrlen) < 0) {
        if (errno != EINPROGRESS)
            return -errno;
        r = wait_for(fd, POLLOUT, jl_now_ns() + timeout_ms * JL_NS_PER_MS);
        if (r < 0)
            return r;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
            return -errno;
        if (err)
            return -err;
    }
    return jl_take_fd(&fd);
}

static int tcp_refusal(const struct rpc_target *t, int code, struct jl_err *e)
{
    if (code == ECONNREFUSED) {
        jl_refuse(e, ECONNREFUSED, "connect to %s:%s: connection refused", t->host, t->port);
        return jl_hint(e, "is the joblet daemon running there, and is this its port?");
    }
    if (code == ETIMEDOUT) {
        jl_refuse(e, ETIMEDOUT, "connect to %s:%s: no answer", t->host, t->port);
        return jl_hint(e, "is the address right, and does a firewall let port %s through?",
                       t->port);
    }
    if (code == ENETUNREACH)
        code = EHOSTUNREACH;
    jl_fail(e, code, "connect to %s:%s", t->host, t->port);
    return jl_hint(e, "check the node's address and this machine's network");
}

/* A connected socket, or -errno with e filled. */
static int dial(const struct rpc_target *t, struct jl_err *e)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct addrinfo *list = NULL;
    int fd = -EHOSTUNREACH;
    int r = getaddrinfo(t->host, t->port, &hints, &list);

    if (r != 0) {
        jl_refuse(e, ENOENT, "connect to %s:%s: the name cannot be resolved (%s)", t->host, t->port,
                  gai_strerror(r));
        return jl_hint(e, "check the node's address in the client's configuration");
    }
    for (struct addrinfo *a = list; a; a = a->ai_next) {
        fd = connect_one(a, t->timeout_ms);
        if (fd >= 0)
            break;
    }
    freeaddrinfo(list);
    return fd >= 0 ? fd : tcp_refusal(t, -fd, e);
}

static SSL_CTX *make_context(const struct rpc_target *t)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    BIO *cert = BIO_new_mem_buf(t->tls.cert_pem, -1);
    BIO *key = BIO_new_mem_buf(t->tls.key_pem, -1);
    BIO *ca = BIO_new_mem_buf(t->tls.ca_pem, -1);
    X509 *x = PEM_read_bio_X509(cert, NULL, NULL, (void *) "");
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(key, NULL, NULL, (void *) "");
    X509 *a;

    if (ctx && x && pkey) {
        SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
        SSL_CTX_use_certificate(ctx, x);
        SSL_CTX_use_PrivateKey(ctx, pkey);
        SSL_CTX_set_alpn_protos(ctx, (const unsigned char *) "\x02h2", 3);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    }
    while (ctx && (a = PEM_read_bio_X509(ca, NULL, NULL, (void *) ""))) {
        X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), a);
        X509_free(a);
    }
    X509_free(x);
    EVP_PKEY_free(pkey);
    BIO_free(cert);
    BIO_free(key);
    BIO_free(ca);
    ERR_clear_error();
    return ctx;
}

/* The server's certificate did not pass our check. */
static int server_refused(const struct rpc_target *t, long verdict, struct jl_err *e)
{
    switch (verdict) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        jl_refuse(e, EKEYEXPIRED, "the certificate of the server %s:%s (or of its CA) has expired",
                  t->host, t->port);
        return jl_hint(e, "renew the server's certificate there, or set this machine's clock");
    case X509_V_ERR_CERT_NOT_YET_VALID:
        jl_refuse(e, EKEYREJECTED, "the certificate of the server %s:%s is not valid yet", t->host,
                  t->port);
        return jl_hint(e, "compare the clocks of this machine and of the server");
    case X509_V_ERR_HOSTNAME_MISMATCH:
        jl_refuse(e, EKEYREJECTED,
                  "the certificate of the server %s:%s is not made for the name "
                  "'%s'",
                  t->host, t->port, t->server_name);
        return jl_hint(e, "is that a joblet server? its certificate needs '%s' among its names",
                       t->server_name);
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        jl_refuse(e, EKEYREJECTED,
                  "the certificate of the server %s:%s is not signed by the CA in "
                  "the client's configuration",
                  t->host, t->port);
        return jl_hint(e, "another server, or its CA was made anew: get its current client file");
    default:
        return jl_refuse(e, EKEYREJECTED, "the certificate of the server %s:%s is not accepted: %s",
                         t->host, t->port, X509_verify_cert_error_string(verdict));
    }
}

/* What our own CA says of our own certificate, as a server would ask: an X509_V_* value. */
static int own_verdict(SSL *ssl)
{
    X509_STORE_CTX *v = X509_STORE_CTX_new();
    X509_STORE *store = SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl));
    int verdict = X509_V_ERR_OUT_OF_MEM;

    if (v && X509_STORE_CTX_init(v, store, SSL_get_certificate(ssl), NULL) == 1) {
        X509_STORE_CTX_set_purpose(v, X509_PURPOSE_SSL_CLIENT);
        X509_verify_cert(v);
        verdict = X509_STORE_CTX_get_error(v);
    }
    X509_STORE_CTX_free(v);
    return verdict;
}

/* The server hung up when it had seen our certificate. Core's servers do so without an alert, so
 * the reason is looked for here. */
static int hung_up(const struct rpc_target *t, SSL *ssl, struct jl_err *e)
{
    switch (own_verdict(ssl)) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        jl_refuse(e, EKEYEXPIRED,
                  "the server %s:%s does not accept our certificate: it has expired", t->host,
                  t->port);
        return jl_hint(e, "ask for a new client file");
    case X509_V_ERR_CERT_NOT_YET_VALID:
        jl_refuse(e, EKEYREJECTED,
                  "the server %s:%s does not accept our certificate: it is not "
                  "valid yet",
                  t->host, t->port);
        return jl_hint(e, "compare the clocks of this machine and of the server");
    case X509_V_ERR_INVALID_PURPOSE:
        jl_refuse(e, EKEYREJECTED,
                  "the server %s:%s does not accept our certificate: it is not a "
                  "client's",
                  t->host, t->port);
        return jl_hint(e, "ask for a client file");
    case X509_V_OK:
        jl_refuse(e, EKEYREJECTED, "the server %s:%s hung up when it had seen our certificate",
                  t->host, t->port);
        return jl_hint(e, "its CA may have been made anew, or the certificate revoked: ask for a "
                          "new client file, or look at the daemon's log");
    default:
        jl_refuse(e, EKEYREJECTED,
                  "the server %s:%s does not accept our certificate: the CA that "
                  "signed the server's did not sign it",
                  t->host, t->port);
        return jl_hint(e, "the client file belongs to another server, or its CA was made anew");
    }
}

/* The server sent an alert: our certificate did not pass its check, or it speaks no TLS 1.3. */
static int we_were_refused(const struct rpc_target *t, unsigned long err, struct jl_err *e)
{
    const char *why = ERR_reason_error_string(err);

    switch (ERR_GET_REASON(err)) {
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        jl_refuse(e, EKEYEXPIRED,
                  "the server %s:%s does not accept our certificate: it has expired", t->host,
                  t->port);
        return jl_hint(e, "ask for a new client file");
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_DECRYPT_ERROR:
        jl_refuse(e, EKEYREJECTED,
                  "the server %s:%s does not accept our certificate: its CA did "
                  "not sign it",
                  t->host, t->port);
        return jl_hint(e, "the client file belongs to another server, or its CA was made anew");
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_UNSUPPORTED_PROTOCOL:
        return jl_refuse(e, EKEYREJECTED, "the server %s:%s does not speak TLS 1.3", t->host,
                         t->port);
    case SSL_R_WRONG_VERSION_NUMBER:
        jl_refuse(e, EKEYREJECTED, "%s:%s does not speak TLS", t->host, t->port);
        return jl_hint(e, "is that the joblet daemon's port?");
    default:
        jl_refuse(e, EKEYREJECTED, "the TLS handshake with %s:%s failed: %s", t->host, t->port,
                  why ? why : "the connection was closed");
        return jl_hint(e, "is that the joblet daemon's port?");
    }
}

/* Runs one step until it has an answer: 1 done, 0 failed, -ETIMEDOUT. */
static int ssl_step(SSL *ssl, int (*step)(SSL *ssl), uint64_t until_ns)
{
    for (;;) {
        int r = step(ssl), w;

        if (r > 0)
            return 1;
        r = SSL_get_error(ssl, r);
        if (r != SSL_ERROR_WANT_READ && r != SSL_ERROR_WANT_WRITE)
            return 0;
        w = wait_for(SSL_get_fd(ssl), r == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, until_ns);
        if (w < 0)
            return -ETIMEDOUT;
    }
}

/* In TLS 1.3 the server judges our certificate after our side of the handshake is done: what comes
 * next is its HTTP/2 greeting or an alert. */
static int read_greeting(SSL *ssl)
{
    char byte;

    return SSL_read(ssl, &byte, 1);
}

static int shake_hands(const struct rpc_target *t, SSL *ssl, struct jl_err *e)
{
    uint64_t until = jl_now_ns() + 2 * t->timeout_ms * JL_NS_PER_MS;
    bool is_through;
    unsigned long err;
    int r;

    ERR_clear_error();
    r = ssl_step(ssl, SSL_connect, until);
    is_through = r > 0;
    if (r > 0)
        r = ssl_step(ssl, read_greeting, until);
    if (r > 0)
        return 0;
    if (r < 0) {
        jl_refuse(e, ETIMEDOUT, "%s:%s accepts connections but does not answer", t->host, t->port);
        return jl_hint(e, "is that the joblet daemon's port? else look at the daemon's log");
    }
    err = ERR_peek_error();
    if (SSL_get_verify_result(ssl) != X509_V_OK)
        return server_refused(t, SSL_get_verify_result(ssl), e);
    if (is_through && (!err || ERR_GET_REASON(err) == SSL_R_UNEXPECTED_EOF_WHILE_READING))
        return hung_up(t, ssl, e);
    return we_were_refused(t, err, e);
}

static int diagnose(const struct rpc_target *t, struct jl_err *e)
{
    _close_ int fd = dial(t, e);
    SSL_CTX *ctx;
    SSL *ssl;
    int r;

    if (fd < 0)
        return fd;
    ctx = make_context(t);
    ssl = ctx ? SSL_new(ctx) : NULL;
    if (ssl && SSL_set_fd(ssl, fd) == 1 && SSL_set1_host(ssl, t->server_name) == 1 &&
        SSL_set_tlsext_host_name(ssl, t->server_name) == 1)
        r = shake_hands(t, ssl, e);
    else
        r = jl_fail(e, ENOMEM, "connect to %s:%s", t->host, t->port);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    ERR_clear_error();
    return r;
}

int rpc_diagnose(const struct rpc_target *t, struct jl_err *e)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN }, before;
    int r;

    /* OpenSSL writes to the socket with write(), and the server may hang up at any time. */
    sigaction(SIGPIPE, &ignore, &before);
    r = diagnose(t, e);
    sigaction(SIGPIPE, &before, NULL);
    return r;
}
