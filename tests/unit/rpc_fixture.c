/*
 * rpc_fixture.c - see rpc_fixture.h.
 */
#include "rpc_fixture.h"

#include <assert.h>
#include <errno.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "api/status.h"
#include "base/clock.h"

static char *pem_of(BIO *bio)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    char *text = strndup(data, (size_t) len);

    BIO_free(bio);
    return text;
}

static void extend(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    assert(ext && X509_add_ext(cert, ext, -1));
    X509_EXTENSION_free(ext);
}

static void add_name(X509_NAME *name, const char *field, const char *value)
{
    assert(X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const unsigned char *) value, -1,
                                      -1, 0));
}

static X509 *new_cert(EVP_PKEY *key, const struct fx_subject *subject)
{
    X509 *cert = X509_new();
    uint64_t serial;
    X509_NAME *name = X509_get_subject_name(cert);

    RAND_bytes((unsigned char *) &serial, sizeof serial);
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), subject->to_s ? subject->from_s : -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), subject->to_s ? subject->to_s : 86400);
    X509_set_pubkey(cert, key);
    add_name(name, "CN", subject->cn);
    for (size_t i = 0; i < 4 && subject->ou[i]; i++)
        add_name(name, "OU", subject->ou[i]);
    return cert;
}

static void finish_cert(X509 *cert, EVP_PKEY *key, EVP_PKEY *signer, struct fx_pair *ret)
{
    BIO *c = BIO_new(BIO_s_mem()), *k = BIO_new(BIO_s_mem());

    assert(X509_sign(cert, signer, EVP_sha256()) > 0);
    PEM_write_bio_X509(c, cert);
    PEM_write_bio_PrivateKey(k, key, NULL, NULL, 0, NULL, NULL);
    ret->cert = pem_of(c);
    ret->key = pem_of(k);
    X509_free(cert);
    EVP_PKEY_free(key);
}

void fx_ca(const char *cn, struct fx_pair *ret)
{
    struct fx_subject subject = { .cn = cn };
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = new_cert(key, &subject);

    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    extend(cert, NID_basic_constraints, "critical,CA:TRUE");
    finish_cert(cert, key, key, ret);
}

void fx_issue(const struct fx_pair *ca, const struct fx_subject *subject, struct fx_pair *ret)
{
    BIO *c = BIO_new_mem_buf(ca->cert, -1), *k = BIO_new_mem_buf(ca->key, -1);
    X509 *issuer = PEM_read_bio_X509(c, NULL, NULL, NULL);
    EVP_PKEY *signer = PEM_read_bio_PrivateKey(k, NULL, NULL, NULL);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = new_cert(key, subject);
    char san[128];

    X509_set_issuer_name(cert, X509_get_subject_name(issuer));
    extend(cert, NID_ext_key_usage, subject->server ? "serverAuth" : "clientAuth");
    if (subject->dns) {
        snprintf(san, sizeof san, "DNS:%s", subject->dns);
        extend(cert, NID_subject_alt_name, san);
    }
    finish_cert(cert, key, signer, ret);
    X509_free(issuer);
    EVP_PKEY_free(signer);
    BIO_free(c);
    BIO_free(k);
}

void fx_pair_free(struct fx_pair *p)
{
    free(p->cert);
    free(p->key);
}

struct flow {
    unsigned left;
    size_t size;
    char *data;
};

static void reply(struct rpc_call *c, const char *text)
{
    rpc_call_finish(c, API_OK, NULL, text, strlen(text));
}

static void flow_on(struct rpc_call *c)
{
    struct flow *f = rpc_call_user(c);

    if (!f)
        return;
    if (f->left == 0) {
        rpc_call_finish(c, API_OK, NULL, NULL, 0);
        return;
    }
    if (f->size >= sizeof f->left)
        memcpy(f->data, &f->left, sizeof f->left);
    assert(rpc_call_send(c, f->data, f->size) == 0);
    assert(rpc_call_send(c, f->data, f->size) == -EBUSY);
    f->left--;
}

static void on_stream(struct rpc_call *c, const char *request)
{
    struct flow *f = calloc(1, sizeof *f);

    assert(sscanf(request, "%u %zu", &f->left, &f->size) == 2);
    f->data = calloc(1, f->size + 1);
    rpc_call_set_user(c, f);
    flow_on(c);
}

static void on_text(struct rpc_call *c, const char *m, const char *request)
{
    const struct rpc_identity *who = rpc_call_identity(c);
    char text[400];

    if (strcmp(m, "/t.T/Who") == 0) {
        snprintf(text, sizeof text, "%s|%s|%s|%s", who->common_name, who->unit, who->serial,
                 who->peer);
        reply(c, text);
    } else if (strcmp(m, "/t.T/Fail") == 0) {
        snprintf(text, sizeof text, "no such thing: %.200s", request);
        rpc_call_finish(c, API_NOT_FOUND, text, NULL, 0);
    } else if (strcmp(m, "/t.T/Stream") == 0) {
        on_stream(c, request);
    } else if (strcmp(m, "/t.T/Forever") == 0) {
        assert(rpc_call_send(c, "one", 3) == 0);
    } else if (strcmp(m, "/t.T/Hang") != 0) {
        rpc_call_finish(c, API_UNIMPLEMENTED, "unknown method", NULL, 0);
    }
}

static void on_head(struct rpc_call *c, void *ctx)
{
    (void) ctx;
    if (strcmp(rpc_call_method(c), "/t.T/Secret") == 0)
        rpc_call_finish(c, API_PERMISSION_DENIED, "not for you", NULL, 0);
}

/* A message of a Collect call, or its end. */
static void collect(struct rpc_call *c, struct fx_server *s)
{
    size_t len;
    const char *data = rpc_call_request(c, &len);
    size_t *sum = rpc_call_user(c);
    char text[32];

    if (!data) {
        snprintf(text, sizeof text, "%zu", *sum);
        rpc_call_finish(c, API_OK, NULL, text, strlen(text));
        return;
    }
    s->n_collected++;
    if (len == 6 && memcmp(data, "enough", 6) == 0) {
        rpc_call_finish(c, API_NOT_FOUND, "that is enough", NULL, 0);
        return;
    }
    *sum += len;
    if (len != 4 || memcmp(data, "wait", 4) != 0)
        rpc_call_read(c);
}

static void on_message(struct rpc_call *c, void *ctx)
{
    collect(c, ctx);
}

static void on_call(struct rpc_call *c, void *ctx)
{
    struct fx_server *s = ctx;
    size_t len;
    const char *data = rpc_call_request(c, &len);
    char *text;

    s->n_calls++;
    if (strcmp(rpc_call_method(c), "/t.T/Echo") == 0) {
        rpc_call_finish(c, API_OK, NULL, data, len);
        return;
    }
    if (strcmp(rpc_call_method(c), "/t.T/Collect") == 0) {
        rpc_call_set_user(c, calloc(1, sizeof(size_t)));
        collect(c, s);
        return;
    }
    text = strndup(data, len);
    on_text(c, rpc_call_method(c), text);
    free(text);
    rpc_call_drop_request(c);
}

static void on_writable(struct rpc_call *c, void *ctx)
{
    struct fx_server *s = ctx;

    s->n_sent++;
    flow_on(c);
}

static void on_gone(struct rpc_call *c, void *ctx)
{
    struct fx_server *s = ctx;
    struct flow *f = rpc_call_user(c);

    if (f && strcmp(rpc_call_method(c), "/t.T/Collect") != 0)
        free(f->data);
    free(f);
    s->n_gone++;
}

static void turn(struct fx_server *s)
{
    struct pollfd p = { .fd = rpc_server_fd(s->rpc), .events = POLLIN };

    if (poll(&p, 1, 20) > 0) /* 20 ms: how soon a stop is seen */
        rpc_server_dispatch(s->rpc);
}

static void *own_server(void *arg)
{
    struct fx_server *s = arg;
    uint64_t begun;

    while (!s->stop)
        turn(s);
    begun = jl_now_ns();
    if (s->grace_ms != UINT32_MAX) {
        rpc_server_shutdown(s->rpc, s->grace_ms);
        while (!rpc_server_is_down(s->rpc))
            turn(s);
    }
    rpc_server_free(s->rpc);
    s->ended_ms = (int) ((jl_now_ns() - begun) / JL_NS_PER_MS);
    return NULL;
}

int fx_start(struct fx_server *s, struct rpc_server_opts opts, struct jl_err *e)
{
    static const struct rpc_handlers handlers = {
        .on_head = on_head,
        .on_call = on_call,
        .on_message = on_message,
        .on_writable = on_writable,
        .on_gone = on_gone,
    };
    int r;

    memset(s, 0, sizeof *s);
    s->grace_ms = UINT32_MAX;
    s->ended_ms = -1;
    opts.address = "127.0.0.1";
    r = rpc_server_new(&opts, &handlers, s, &s->rpc, e);
    if (r < 0)
        return r;
    s->port = rpc_server_port(s->rpc);
    snprintf(s->address, sizeof s->address, "127.0.0.1:%u", s->port);
    return -pthread_create(&s->thread, NULL, own_server, s);
}

void fx_stop(struct fx_server *s)
{
    s->stop = true;
    pthread_join(s->thread, NULL);
}
