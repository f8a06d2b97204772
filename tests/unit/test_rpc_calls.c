/*
 * test_rpc_calls.c - server and client of src/rpc over the loopback, with certificates made on the
 * spot.
 */
#include "unit.h"

#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/status.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "rpc/client.h"
#include "rpc_fixture.h"

static struct fx_pair ca, foreign_ca, server_cert, admin, viewer, expired, foreign, unfit;
static struct fx_server fx;

static struct rpc_tls tls_of(const struct fx_pair *p, const struct fx_pair *of_ca)
{
    return (struct rpc_tls){ .cert_pem = p->cert, .key_pem = p->key, .ca_pem = of_ca->cert };
}

static struct rpc_client *client_as(const struct fx_pair *who, const struct fx_pair *trusts,
                                    const char *address)
{
    struct rpc_client_opts o = { .address = address, .tls = tls_of(who, trusts) };
    struct rpc_client *c = NULL;
    struct jl_err e = JL_ERR_INIT;

    if (rpc_client_new(&o, &c, &e) < 0)
        fail_msg("rpc_client_new: %s", e.text);
    return c;
}

static int call(struct rpc_client *c, const char *method, const char *req, struct jl_buf *resp,
                struct rpc_status *st, struct jl_err *e)
{
    int r = rpc_client_unary(c, method, req, strlen(req), 10000, resp, st, e);

    if (r < 0 && !e->text[0])
        fail_msg("%s failed with %d and no text", method, r);
    return r;
}

/* One call that must not reach the server; the failure's code, and its text in e. */
static int refused(const struct fx_pair *who, const struct fx_pair *trusts, const char *address,
                   struct jl_err *e)
{
    struct rpc_client *c = client_as(who, trusts, address);
    _buf_ struct jl_buf resp = JL_BUF_INIT(1024);
    struct rpc_status st;
    int r = call(c, "/t.T/Who", "", &resp, &st, e);

    if (r == 0)
        fail_msg("the server answered with status %u", st.code);
    rpc_client_free(c);
    print_message("%s (%s)\n", e->text, e->hint);
    return r;
}

static int set_up(void **state)
{
    struct fx_subject s = { .cn = "joblet-server", .dns = "joblet", .server = true };
    struct rpc_server_opts o = { 0 };
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    fx_ca("Test-CA", &ca);
    fx_ca("Other-CA", &foreign_ca);
    fx_issue(&ca, &s, &server_cert);
    fx_issue(&ca, &(struct fx_subject){ .cn = "admin-client", .ou = { "admin" } }, &admin);
    fx_issue(&ca, &(struct fx_subject){ .cn = "v", .ou = { "Viewer", "admin" } }, &viewer);
    fx_issue(&ca, &(struct fx_subject){ .cn = "x", .ou = { "viewer,admin", "admin" } }, &unfit);
    fx_issue(&ca, &(struct fx_subject){ .cn = "old", .from_s = -7200, .to_s = -3600 }, &expired);
    fx_issue(&foreign_ca, &(struct fx_subject){ .cn = "admin-client", .ou = { "admin" } },
             &foreign);
    o.tls = tls_of(&server_cert, &ca);
    if (fx_start(&fx, o, &e) < 0)
        fail_msg("fx_start: %s", e.text);
    return 0;
}

static int tear_down(void **state)
{
    struct fx_pair *all[] = { &ca,     &foreign_ca, &server_cert, &admin,
                              &viewer, &expired,    &foreign,     &unfit };

    (void) state;
    fx_stop(&fx);
    for (size_t i = 0; i < JL_COUNT(all); i++)
        fx_pair_free(all[i]);
    return 0;
}

static void a_unary_call_brings_back_its_reply(void **state)
{
    struct rpc_client *c = client_as(&admin, &ca, fx.address);
    _buf_ struct jl_buf resp = JL_BUF_INIT(1024);
    struct rpc_status st;
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    assert_int_equal(call(c, "/t.T/Echo", "hello", &resp, &st, &e), 0);
    assert_int_equal(st.code, API_OK);
    assert_string_equal(resp.data, "hello");
    jl_buf_clear(&resp);
    assert_int_equal(call(c, "/t.T/Echo", "", &resp, &st, &e), 0);
    assert_int_equal(st.code, API_OK);
    assert_int_equal(resp.len, 0);
    rpc_client_free(c);
}

static void a_refusal_is_an_answer_with_its_words(void **state)
{
    struct rpc_client *c = client_as(&admin, &ca, fx.address);
    _buf_ struct jl_buf resp = JL_BUF_INIT(1024);
    struct rpc_status st;
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    assert_int_equal(call(c, "/t.T/Fail", "grüße", &resp, &st, &e), 0);
    assert_int_equal(st.code, API_NOT_FOUND);
    assert_string_equal(st.message, "no such thing: grüße");
    assert_int_equal(call(c, "/t.T/Nothing", "", &resp, &st, &e), 0);
    assert_int_equal(st.code, API_UNIMPLEMENTED);
    assert_int_equal(call(c, "/t.T/Secret", "", &resp, &st, &e), 0);
    assert_int_equal(st.code, API_PERMISSION_DENIED);
    assert_string_equal(st.message, "not for you");
    rpc_client_free(c);
}

static void who_is(const struct fx_pair *who, const char *expect)
{
    struct rpc_client *c = client_as(who, &ca, fx.address);
    _buf_ struct jl_buf resp = JL_BUF_INIT(1024);
    struct rpc_status st;
    struct jl_err e = JL_ERR_INIT;

    assert_int_equal(call(c, "/t.T/Who", "", &resp, &st, &e), 0);
    assert_int_equal(st.code, API_OK);
    assert_memory_equal(resp.data, expect, strlen(expect));
    assert_non_null(strstr(resp.data, "|127.0.0.1:"));
    rpc_client_free(c);
}

static void the_certificate_says_who_calls(void **state)
{
    (void) state;
    who_is(&admin, "admin-client|admin|");
    who_is(&viewer, "v|Viewer,admin|");
    who_is(&unfit, "x||"); /* a comma inside a unit: none of them counts */
}

static void a_foreign_certificate_is_refused_with_the_reason(void **state)
{
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    assert_int_equal(refused(&foreign, &ca, fx.address, &e), -EKEYREJECTED);
    assert_non_null(strstr(e.text, "did not sign it"));
    assert_true(e.hint[0]);
}

static void an_expired_certificate_is_refused_with_the_reason(void **state)
{
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    assert_int_equal(refused(&expired, &ca, fx.address, &e), -EKEYEXPIRED);
    assert_non_null(strstr(e.text, "our certificate: it has expired"));
}

static void a_server_certificate_is_no_client_certificate(void **state)
{
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    assert_int_equal(refused(&server_cert, &ca, fx.address, &e), -EKEYREJECTED);
    assert_non_null(strstr(e.text, "not a client's"));
}

static void a_server_of_another_ca_is_refused_with_the_reason(void **state)
{
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    assert_int_equal(refused(&admin, &foreign_ca, fx.address, &e), -EKEYREJECTED);
    assert_non_null(strstr(e.text, "not signed by the CA"));
}

/* A second server with a certificate of its own, seen by a client that should not accept it. */
static void odd_server(const struct fx_subject *subject, int code, const char *words)
{
    struct fx_pair odd;
    static struct fx_server other;
    struct rpc_server_opts o = { 0 };
    struct jl_err e = JL_ERR_INIT;

    fx_issue(&ca, subject, &odd);
    o.tls = tls_of(&odd, &ca);
    assert_int_equal(fx_start(&other, o, &e), 0);
    assert_int_equal(refused(&admin, &ca, other.address, &e), code);
    assert_non_null(strstr(e.text, words));
    fx_stop(&other);
    fx_pair_free(&odd);
}

static void a_server_with_a_wrong_name_or_date_is_refused_with_the_reason(void **state)
{
    (void) state;
    odd_server(&(struct fx_subject){ .cn = "s", .dns = "localhost", .server = true }, -EKEYREJECTED,
               "not made for the name 'joblet'");
    odd_server(
        &(struct fx_subject){
            .cn = "s", .dns = "joblet", .server = true, .from_s = -7200, .to_s = -3600 },
        -EKEYEXPIRED, "has expired");
    odd_server(
        &(struct fx_subject){
            .cn = "s", .dns = "joblet", .server = true, .from_s = 3600, .to_s = 7200 },
        -EKEYREJECTED, "not valid yet");
}

static void nobody_listening_is_told_at_once(void **state)
{
    struct jl_err e = JL_ERR_INIT;
    uint64_t begun = jl_now_ns();

    (void) state;
    assert_int_equal(refused(&admin, &ca, "127.0.0.1:1", &e), -ECONNREFUSED);
    assert_non_null(strstr(e.text, "127.0.0.1:1"));
    assert_int_equal(refused(&admin, &ca, "no-such-host.invalid:50051", &e), -ENOENT);
    assert_non_null(strstr(e.text, "no-such-host.invalid"));
    assert_true(jl_now_ns() - begun < 100 * JL_NS_PER_S);
}

/* What listens but is no joblet: silent, or of another tongue. */
static void something_else_listening_is_told(void **state)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    _close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct rpc_client_opts o = { .tls = tls_of(&admin, &ca), .connect_timeout_ms = 400 };
    _buf_ struct jl_buf resp = JL_BUF_INIT(1024);
    struct rpc_client *c = NULL;
    struct rpc_status st;
    struct jl_err e = JL_ERR_INIT;
    char address[64];

    (void) state;
    assert_int_equal(bind(fd, (struct sockaddr *) &a, sizeof a), 0);
    assert_int_equal(listen(fd, 8), 0); /* connections are made, nobody takes them */
    assert_int_equal(getsockname(fd, (struct sockaddr *) &a, &len), 0);
    snprintf(address, sizeof address, "127.0.0.1:%u", ntohs(a.sin_port));
    o.address = address;
    assert_int_equal(rpc_client_new(&o, &c, &e), 0);
    assert_int_equal(call(c, "/t.T/Who", "", &resp, &st, &e), -ETIMEDOUT);
    assert_non_null(strstr(e.text, "accepts connections but does not answer"));
    rpc_client_free(c);
}

/* A plain TLS client of the test's own: how far does it come with at most this version and this
 * certificate (NULL: none)? 1: the server greets it. */
static int greeted(int version, const struct fx_pair *who)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_port = htons(fx.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    _close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl;
    char byte;
    int ok;

    SSL_CTX_clear_options(ctx, SSL_OP_NO_TLSv1_2); /* rpc has switched it off in this process */
    SSL_CTX_set_min_proto_version(ctx, version);
    SSL_CTX_set_max_proto_version(ctx, version);
    SSL_CTX_set_alpn_protos(ctx, (const unsigned char *) "\x02h2", 3);
    if (who) {
        BIO *c = BIO_new_mem_buf(who->cert, -1), *k = BIO_new_mem_buf(who->key, -1);
        X509 *x = PEM_read_bio_X509(c, NULL, NULL, NULL);
        EVP_PKEY *key = PEM_read_bio_PrivateKey(k, NULL, NULL, NULL);

        SSL_CTX_use_certificate(ctx, x);
        SSL_CTX_use_PrivateKey(ctx, key);
        X509_free(x);
        EVP_PKEY_free(key);
        BIO_free(c);
        BIO_free(k);
    }
    ssl = SSL_new(ctx);
    assert_int_equal(connect(fd, (struct sockaddr *) &a, sizeof a), 0);
    SSL_set_fd(ssl, fd);
    ok = SSL_connect(ssl) == 1 && SSL_read(ssl, &byte, 1) == 1;
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    ERR_clear_error();
    return ok;
}

static void tls_13_with_a_certificate_and_nothing_less(void **state)
{
    (void) state;
    assert_int_equal(greeted(TLS1_3_VERSION, &admin), 1);
    assert_int_equal(greeted(TLS1_3_VERSION, NULL), 0);
    assert_int_equal(greeted(TLS1_2_VERSION, &admin), 0);
}

static void a_large_message_goes_both_ways(void **state)
{
    struct rpc_client *c = client_as(&admin, &ca, fx.address);
    size_t len = 64u << 20;
    _buf_ struct jl_buf resp = JL_BUF_INIT(128u << 20);
    _free_ char *data = malloc(len);
    struct rpc_status st;
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    for (size_t i = 0; i < len; i++)
        data[i] = (char) (i * 7 + (i >> 13));
    assert_int_equal(rpc_client_unary(c, "/t.T/Echo", data, len, 60000, &resp, &st, &e), 0);
    assert_int_equal(st.code, API_OK);
    assert_int_equal(resp.len, len);
    assert_memory_equal(resp.data, data, len);
    rpc_client_free(c);
}

static void a_message_over_the_limit_is_refused_on_either_side(void **state)
{
    struct rpc_server_opts o = { .tls = tls_of(&server_cert, &ca), .max_recv_bytes = 1000 };
    struct rpc_client_opts co = { .tls = tls_of(&admin, &ca), .max_message_bytes = 2000 };
    struct rpc_client *c;
    static struct fx_server small;
    _buf_ struct jl_buf resp = JL_BUF_INIT(1 << 20);
    char data[3000] = { 0 };
    struct rpc_status st;
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    assert_int_equal(fx_start(&small, o, &e), 0);
    co.address = small.address;
    assert_int_equal(rpc_client_new(&co, &c, &e), 0);
    assert_int_equal(rpc_client_unary(c, "/t.T/Echo", data, 1000, 9000, &resp, &st, &e), 0);
    assert_int_equal(st.code, API_OK);
    assert_int_equal(rpc_client_unary(c, "/t.T/Echo", data, 1001, 9000, &resp, &st, &e), -EMSGSIZE);
    assert_non_null(strstr(e.text, "1001 vs. 1000"));
    assert_int_equal(rpc_client_unary(c, "/t.T/Echo", data, 2001, 9000, &resp, &st, &e), -EMSGSIZE);
    assert_int_equal(rpc_client_unary(c, "/t.T/Stream", "1 2001", 6, 9000, &resp, &st, &e),
                     -EMSGSIZE);
    rpc_client_free(c);
    fx_stop(&small);
}

static struct rpc_stream *open_stream(struct rpc_client *c, const char *method, const char *req)
{
    struct rpc_stream *s = NULL;
    struct jl_err e = JL_ERR_INIT;

    if (rpc_stream_open(c, method, req, strlen(req), 0, &s, &e) < 0)
        fail_msg("rpc_stream_open: %s", e.text);
    return s;
}

static void a_stream_of_ten_thousand_comes_whole_and_in_order(void **state)
{
    struct rpc_client *c = client_as(&admin, &ca, fx.address);
    struct rpc_stream *s = open_stream(c, "/t.T/Stream", "10000 100");
    _buf_ struct jl_buf msg = JL_BUF_INIT(1 << 20);
    struct rpc_status st;
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    for (unsigned left = 10000; left > 0; left--) {
        assert_int_equal(rpc_stream_next(s, &msg, &st, &e), 1);
        assert_int_equal(msg.len, 100);
        assert_memory_equal(msg.data, &left, sizeof left);
    }
    assert_int_equal(rpc_stream_next(s, &msg, &st, &e), 0);
    assert_int_equal(st.code, API_OK);
    assert_int_equal(rpc_stream_next(s, &msg, &st, &e), 0); /* and stays at its end */
    rpc_stream_close(s);
    rpc_client_free(c);
}

/* Until a counter reaches a value, 100 s at most. */
static void wait_count(atomic_int *counter, int value)
{
    uint64_t until = jl_now_ns() + 100 * JL_NS_PER_S;

    while (*counter < value && jl_now_ns() < until)
        jl_sleep_ns(JL_NS_PER_MS);
    assert_true(*counter >= value);
}

/* A reader that does not read: the server must stop sending, not pile up. 10,000 messages of
 * 64 KiB are 640 MB; what both ends' windows hold is far below a tenth of it. */
static void a_slow_reader_costs_no_memory(void **state)
{
    struct rpc_client *c = client_as(&admin, &ca, fx.address);
    int before = fx.n_sent, sent, gone = fx.n_gone;
    struct rpc_stream *s = open_stream(c, "/t.T/Stream", "10000 65536");
    _buf_ struct jl_buf msg = JL_BUF_INIT(1 << 20);
    struct rpc_status st;
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    assert_int_equal(rpc_stream_next(s, &msg, &st, &e), 1);
    do { /* until nothing more goes out */
        sent = fx.n_sent;
        jl_sleep_ns(200 * JL_NS_PER_MS);
    } while (fx.n_sent != sent);
    assert_true(sent - before < 1000);
    for (unsigned i = 1; i < 10000; i++)
        assert_int_equal(rpc_stream_next(s, &msg, &st, &e), 1);
    assert_int_equal(rpc_stream_next(s, &msg, &st, &e), 0);
    assert_int_equal(st.code, API_OK);
    rpc_stream_close(s);
    wait_count(&fx.n_gone, gone + 1);
    rpc_client_free(c);
}

static struct rpc_stream *to_cancel;

static void on_alarm(int sig)
{
    (void) sig;
    rpc_stream_cancel(to_cancel);
}

static void a_signal_handler_ends_a_waiting_stream(void **state)
{
    struct rpc_client *c = client_as(&admin, &ca, fx.address);
    int gone = fx.n_gone;
    _buf_ struct jl_buf msg = JL_BUF_INIT(1 << 20);
    struct rpc_status st;
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    to_cancel = open_stream(c, "/t.T/Forever", "");
    assert_int_equal(rpc_stream_next(to_cancel, &msg, &st, &e), 1);
    assert_string_equal(msg.data, "one");
    signal(SIGALRM, on_alarm);
    ualarm(50000, 0);
    assert_int_equal(rpc_stream_next(to_cancel, &msg, &st, &e), -EINTR);
    signal(SIGALRM, SIG_DFL);
    rpc_stream_close(to_cancel);
    wait_count(&fx.n_gone, gone + 1); /* the server is told */
    rpc_client_free(c);
}

static struct rpc_stream *open_sending(struct rpc_client *c)
{
    struct rpc_stream *s = NULL;
    struct jl_err e = JL_ERR_INIT;

    if (rpc_stream_open_sending(c, "/t.T/Collect", 0, &s, &e) < 0)
        fail_msg("rpc_stream_open_sending: %s", e.text);
    return s;
}

static void a_client_streams_and_gets_one_reply(void **state)
{
    struct rpc_client *c = client_as(&admin, &ca, fx.address);
    struct rpc_stream *s = open_sending(c);
    _buf_ struct jl_buf resp = JL_BUF_INIT(1 << 20);
    static char piece[100000];
    struct rpc_status st;
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(rpc_stream_send(s, piece, sizeof piece, &e), 1);
    assert_int_equal(rpc_stream_reply(s, &resp, &st, &e), 0);
    assert_int_equal(st.code, API_OK);
    assert_string_equal(resp.data, "20000000");
    rpc_stream_close(s);
    s = open_sending(c); /* nothing at all is no request */
    jl_buf_clear(&resp);
    assert_int_equal(rpc_stream_reply(s, &resp, &st, &e), 0);
    assert_int_equal(st.code, API_INVALID_ARGUMENT);
    rpc_stream_close(s);
    rpc_client_free(c);
}

static void a_server_that_has_enough_ends_the_sending(void **state)
{
    struct rpc_client *c = client_as(&admin, &ca, fx.address);
    struct rpc_stream *s = open_sending(c);
    _buf_ struct jl_buf resp = JL_BUF_INIT(1 << 20);
    static char piece[1 << 20];
    uint64_t until = jl_now_ns() + 100 * JL_NS_PER_S;
    struct rpc_status st;
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    assert_int_equal(rpc_stream_send(s, "enough", 6, &e), 1);
    while (rpc_stream_send(s, piece, sizeof piece, &e) == 1)
        assert_true(jl_now_ns() < until);
    assert_int_equal(rpc_stream_reply(s, &resp, &st, &e), 0);
    assert_int_equal(st.code, API_NOT_FOUND);
    assert_string_equal(st.message, "that is enough");
    rpc_stream_close(s);
    rpc_client_free(c);
}

/* The server reads no more: a sender waits, and nothing piles up on either side. */
static void a_slow_server_holds_the_sender_up(void **state)
{
    struct rpc_client *c = client_as(&admin, &ca, fx.address);
    struct rpc_stream *s = open_sending(c);
    static char piece[100000];
    struct jl_err e = JL_ERR_INIT;
    int gone = fx.n_gone, r;
    unsigned n = 0;

    (void) state;
    assert_int_equal(rpc_stream_send(s, "wait", 4, &e), 1);
    to_cancel = s;
    signal(SIGALRM, on_alarm);
    ualarm(500000, 0);
    while ((r = rpc_stream_send(s, piece, sizeof piece, &e)) == 1)
        assert_true(++n < 100); /* 10 MB */
    assert_int_equal(r, -EINTR);
    signal(SIGALRM, SIG_DFL);
    rpc_stream_close(s);
    wait_count(&fx.n_gone, gone + 1);
    rpc_client_free(c);
}

static void closing_in_the_middle_is_seen_by_the_server(void **state)
{
    struct rpc_client *c = client_as(&admin, &ca, fx.address);
    int gone = fx.n_gone;
    struct rpc_stream *s = open_stream(c, "/t.T/Stream", "1000000 1000");
    _buf_ struct jl_buf msg = JL_BUF_INIT(1 << 20);
    struct rpc_status st;
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    assert_int_equal(rpc_stream_next(s, &msg, &st, &e), 1);
    rpc_stream_close(s);
    wait_count(&fx.n_gone, gone + 1);
    s = open_stream(c, "/t.T/Hang", "");
    rpc_stream_close(s);
    rpc_client_free(c); /* the connection goes as well */
}

static void a_deadline_ends_the_call_at_both_ends(void **state)
{
    struct rpc_client *c = client_as(&admin, &ca, fx.address);
    int gone = fx.n_gone;
    _buf_ struct jl_buf resp = JL_BUF_INIT(1024);
    struct rpc_status st;
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    assert_int_equal(rpc_client_unary(c, "/t.T/Hang", "", 0, 200, &resp, &st, &e), -ETIME);
    wait_count(&fx.n_gone, gone + 1);
    rpc_client_free(c);
}

static void a_port_in_use_is_named(void **state)
{
    struct rpc_server_opts o = { .address = "127.0.0.1",
                                 .port = fx.port,
                                 .tls = tls_of(&server_cert, &ca) };
    struct rpc_handlers none = { 0 };
    struct rpc_server *s = NULL;
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    assert_int_equal(rpc_server_new(&o, &none, NULL, &s, &e), -EADDRINUSE);
    assert_non_null(strstr(e.text, fx.address));
    assert_null(s);
    o.address = "192.0.2.77"; /* of no machine (RFC 5737) */
    assert_int_equal(rpc_server_new(&o, &none, NULL, &s, &e), -EADDRNOTAVAIL);
    o.address = "unix:/tmp/x";
    assert_int_equal(rpc_server_new(&o, &none, NULL, &s, &e), -EINVAL);
}

static void unfit_certificates_are_refused_before_anything_starts(void **state)
{
    char more[8192];
    struct rpc_server_opts o = { .address = "127.0.0.1" };
    struct rpc_handlers none = { 0 };
    struct rpc_server *s = NULL;
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    o.tls = (struct rpc_tls){ server_cert.cert, admin.key, ca.cert };
    assert_int_equal(rpc_server_new(&o, &none, NULL, &s, &e), -EINVAL);
    assert_non_null(strstr(e.text, "do not belong together"));
    o.tls = (struct rpc_tls){ "rubbish", server_cert.key, ca.cert };
    assert_int_equal(rpc_server_new(&o, &none, NULL, &s, &e), -EINVAL);
    o.tls = (struct rpc_tls){ server_cert.cert, server_cert.key, NULL };
    assert_int_equal(rpc_server_new(&o, &none, NULL, &s, &e), -EINVAL);
    assert_non_null(strstr(e.text, "CA certificate"));
    snprintf(more, sizeof more, "%s-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
             ca.cert);
    o.tls = (struct rpc_tls){ server_cert.cert, server_cert.key, more };
    assert_int_equal(rpc_server_new(&o, &none, NULL, &s, &e), -EINVAL);
    assert_non_null(strstr(e.text, "behind the first"));
    snprintf(more, sizeof more, "%s-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
             server_cert.cert);
    o.tls = (struct rpc_tls){ more, server_cert.key, ca.cert };
    assert_int_equal(rpc_server_new(&o, &none, NULL, &s, &e), -EINVAL);
    assert_non_null(strstr(e.text, "behind the first"));
}

static void addresses_are_checked_before_dialling(void **state)
{
    static const char *const bad[] = { "",      "host",      "host:",         "host:x", ":1",
                                       "a/b:1", "::1:50051", "host:99999999", "[::1:5", "a b:1" };

    (void) state;
    for (size_t i = 0; i < JL_COUNT(bad); i++) {
        struct rpc_client_opts o = { .address = bad[i], .tls = tls_of(&admin, &ca) };
        struct rpc_client *c = NULL;
        struct jl_err e = JL_ERR_INIT;

        if (rpc_client_new(&o, &c, &e) != -EINVAL)
            fail_msg("address '%s' was accepted", bad[i]);
    }
}

static void a_shutdown_lets_calls_end_and_cuts_them_after_its_grace(void **state)
{
    struct rpc_server_opts o = { .tls = tls_of(&server_cert, &ca) };
    static struct fx_server other;
    struct rpc_client *c;
    struct rpc_stream *s;
    _buf_ struct jl_buf msg = JL_BUF_INIT(1 << 20);
    struct rpc_status st;
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    assert_int_equal(fx_start(&other, o, &e), 0);
    c = client_as(&admin, &ca, other.address);
    s = open_stream(c, "/t.T/Forever", "");
    assert_int_equal(rpc_stream_next(s, &msg, &st, &e), 1);
    other.grace_ms = 300;
    other.stop = true;
    assert_int_equal(rpc_stream_next(s, &msg, &st, &e), -ECONNRESET);
    rpc_stream_close(s);
    rpc_client_free(c);
    fx_stop(&other);
    assert_int_equal(other.n_gone, 1);
    assert_true(other.ended_ms >= 300 && other.ended_ms < 50000);
}

static void an_idle_server_shuts_down_at_once(void **state)
{
    struct rpc_server_opts o = { .tls = tls_of(&server_cert, &ca) };
    static struct fx_server other;
    struct rpc_client *c;
    _buf_ struct jl_buf resp = JL_BUF_INIT(1024);
    struct rpc_status st;
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    assert_int_equal(fx_start(&other, o, &e), 0);
    other.grace_ms = 60000;
    fx_stop(&other);
    assert_true(other.ended_ms < 50000);
    /* With a client that stays connected and asks nothing. */
    assert_int_equal(fx_start(&other, o, &e), 0);
    c = client_as(&admin, &ca, other.address);
    assert_int_equal(call(c, "/t.T/Echo", "a", &resp, &st, &e), 0);
    other.grace_ms = 60000;
    fx_stop(&other);
    assert_true(other.ended_ms < 50000);
    rpc_client_free(c);
}

/* The age of a connection may not cut what runs on it: a log is followed for hours. */
static void an_old_connection_keeps_its_streams(void **state)
{
    struct rpc_server_opts o = { .tls = tls_of(&server_cert, &ca), .age_ms = 100 };
    static struct fx_server other;
    struct rpc_client *c;
    _buf_ struct jl_buf msg = JL_BUF_INIT(1 << 20);
    struct rpc_status st;
    struct jl_err e = JL_ERR_INIT;
    int r;

    (void) state;
    assert_int_equal(fx_start(&other, o, &e), 0);
    c = client_as(&admin, &ca, other.address);
    to_cancel = open_stream(c, "/t.T/Forever", "");
    assert_int_equal(rpc_stream_next(to_cancel, &msg, &st, &e), 1);
    for (int i = 0; i < 10; i++) { /* a second of new connections */
        jl_sleep_ns(100 * JL_NS_PER_MS);
        jl_buf_clear(&msg);
        r = call(c, "/t.T/Echo", "x", &msg, &st, &e);
        if (r == -ECONNRESET) /* sent as the server said good-bye; the next goes elsewhere */
            r = call(c, "/t.T/Echo", "x", &msg, &st, &e);
        assert_int_equal(r, 0);
    }
    signal(SIGALRM, on_alarm);
    ualarm(50000, 0);
    assert_int_equal(rpc_stream_next(to_cancel, &msg, &st, &e), -EINTR); /* not -ECONNRESET */
    signal(SIGALRM, SIG_DFL);
    rpc_stream_close(to_cancel);
    rpc_client_free(c);
    fx_stop(&other);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_unary_call_brings_back_its_reply),
        cmocka_unit_test(a_refusal_is_an_answer_with_its_words),
        cmocka_unit_test(the_certificate_says_who_calls),
        cmocka_unit_test(a_foreign_certificate_is_refused_with_the_reason),
        cmocka_unit_test(an_expired_certificate_is_refused_with_the_reason),
        cmocka_unit_test(a_server_certificate_is_no_client_certificate),
        cmocka_unit_test(a_server_of_another_ca_is_refused_with_the_reason),
        cmocka_unit_test(a_server_with_a_wrong_name_or_date_is_refused_with_the_reason),
        cmocka_unit_test(nobody_listening_is_told_at_once),
        cmocka_unit_test(something_else_listening_is_told),
        cmocka_unit_test(tls_13_with_a_certificate_and_nothing_less),
        cmocka_unit_test(a_large_message_goes_both_ways),
        cmocka_unit_test(a_message_over_the_limit_is_refused_on_either_side),
        cmocka_unit_test(a_stream_of_ten_thousand_comes_whole_and_in_order),
        cmocka_unit_test(a_slow_reader_costs_no_memory),
        cmocka_unit_test(a_signal_handler_ends_a_waiting_stream),
        cmocka_unit_test(a_client_streams_and_gets_one_reply),
        cmocka_unit_test(a_server_that_has_enough_ends_the_sending),
        cmocka_unit_test(a_slow_server_holds_the_sender_up),
        cmocka_unit_test(closing_in_the_middle_is_seen_by_the_server),
        cmocka_unit_test(a_deadline_ends_the_call_at_both_ends),
        cmocka_unit_test(a_port_in_use_is_named),
        cmocka_unit_test(unfit_certificates_are_refused_before_anything_starts),
        cmocka_unit_test(addresses_are_checked_before_dialling),
        cmocka_unit_test(a_shutdown_lets_calls_end_and_cuts_them_after_its_grace),
        cmocka_unit_test(an_idle_server_shuts_down_at_once),
        cmocka_unit_test(an_old_connection_keeps_its_streams),
    };
    char filter[128];

    if (argc > 1) {
        snprintf(filter, sizeof filter, "*%s*", argv[1]);
        cmocka_set_test_filter(filter);
    }
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
