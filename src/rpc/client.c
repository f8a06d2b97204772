/*
 * client.c - blocking calls over gRPC core. A call has a completion queue of its own; whatever was
 * started is waited for before anything is freed, as core writes into our memory until then.
 */
#include "rpc/client.h"

#include <assert.h>
#include <errno.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "api/status.h"
#include "base/cleanup.h"
#include "rpc/core.h"
#include "rpc/diagnose.h"

#define CONNECT_DEFAULT_MS 5000
#define DIAGNOSE_MS 2000   /* the second attempt need not be as patient as the first */
#define CANCEL_LOOK_MS 100 /* how often a wait looks at the flag a signal handler may set */

struct rpc_client {
    grpc_channel *channel;
    char *host, *port, *name;
    char *cert, *key, *ca;
    unsigned connect_ms;
    atomic_int cancelled;
};

enum { OP_SEND = 1, OP_HEADERS = 2, OP_MESSAGE = 4, OP_STATUS = 8 };

/* A call of either kind. `pending` has the operations core still owes, also their tags. */
struct rpc_stream {
    struct rpc_client *client;
    grpc_completion_queue *cq;
    grpc_call *call;
    unsigned pending;
    atomic_int cancelled;
    grpc_byte_buffer *sending, *recv;
    grpc_metadata_array headers, trailers;
    grpc_status_code code;
    grpc_slice details;
    bool got_message;
    bool headers_sent; /* of a client-streaming call */
    bool at_end;
};

static void *tag_of(unsigned op)
{
    return (void *) (uintptr_t) op;
}

static void start(struct rpc_stream *s, const grpc_op *ops, size_t n, unsigned tag)
{
    grpc_call_error err = grpc_call_start_batch(s->call, ops, n, tag_of(tag), NULL);

    assert(err == GRPC_CALL_OK);
    (void) err;
    s->pending |= tag;
}

static bool is_cancelled(struct rpc_stream *s)
{
    return atomic_load(&s->cancelled) || atomic_load(&s->client->cancelled);
}

/* Waits for one operation. Looks at the flag in between, and cancels the call when it is set: the
 * operation comes back then. False: it failed. */
static bool wait_op(struct rpc_stream *s, unsigned tag)
{
    bool ok = true;

    while (s->pending & tag) {
        gpr_timespec look = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                         gpr_time_from_millis(CANCEL_LOOK_MS, GPR_TIMESPAN));
        grpc_event ev = grpc_completion_queue_pluck(s->cq, tag_of(tag), look, NULL);

        if (ev.type == GRPC_OP_COMPLETE) {
            s->pending &= ~tag;
            ok = ev.success;
        } else if (is_cancelled(s)) {
            grpc_call_cancel(s->call, NULL);
        }
    }
    return ok;
}

static void start_request(struct rpc_stream *s, const void *req, size_t len)
{
    grpc_op ops[3] = { { .op = GRPC_OP_SEND_INITIAL_METADATA },
                       { .op = GRPC_OP_SEND_MESSAGE },
                       { .op = GRPC_OP_SEND_CLOSE_FROM_CLIENT } };

    s->sending = rpc_message_new(req, len);
    ops[1].data.send_message.send_message = s->sending;
    start(s, ops, 3, OP_SEND);
}

static void start_headers(struct rpc_stream *s)
{
    grpc_op headers = { .op = GRPC_OP_RECV_INITIAL_METADATA };

    headers.data.recv_initial_metadata.recv_initial_metadata = &s->headers;
    start(s, &headers, 1, OP_HEADERS);
}

int rpc_stream_open_sending(struct rpc_client *c, const char *method, unsigned timeout_ms,
                            struct rpc_stream **ret, struct jl_err *e)
{
    struct rpc_stream *s = calloc(1, sizeof *s);
    gpr_timespec deadline = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    grpc_slice name;

    if (!s)
        return jl_fail(e, ENOMEM, "call %s", method);
    if (timeout_ms)
        deadline = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                gpr_time_from_millis(timeout_ms, GPR_TIMESPAN));
    s->client = c;
    s->cq = grpc_completion_queue_create_for_pluck(NULL);
    s->details = grpc_empty_slice();
    grpc_metadata_array_init(&s->headers);
    grpc_metadata_array_init(&s->trailers);
    name = grpc_slice_from_copied_string(method);
    s->call = grpc_channel_create_call(c->channel, NULL, GRPC_PROPAGATE_DEFAULTS, s->cq, name, NULL,
                                       deadline, NULL);
    grpc_slice_unref(name); /* the call has a reference of its own */
    *ret = s;
    return 0;
}

int rpc_stream_open(struct rpc_client *c, const char *method, const void *req, size_t len,
                    unsigned timeout_ms, struct rpc_stream **ret, struct jl_err *e)
{
    int r = rpc_stream_open_sending(c, method, timeout_ms, ret, e);

    if (r < 0)
        return r;
    start_request(*ret, req, len);
    start_headers(*ret);
    return 0;
}

/* The next message into msg: 1, 0 none is left, -errno. */
static int take_message(struct rpc_stream *s, struct jl_buf *msg, struct jl_err *e)
{
    grpc_op op = { .op = GRPC_OP_RECV_MESSAGE };
    grpc_byte_buffer *recv;
    grpc_slice slice;
    int r;

    op.data.recv_message.recv_message = &s->recv;
    start(s, &op, 1, OP_MESSAGE);
    wait_op(s, OP_MESSAGE);
    recv = s->recv;
    s->recv = NULL;
    if (!recv)
        return 0;
    if (!rpc_message_take(recv, &slice))
        return jl_refuse(e, EPROTO, "the server sent a compressed message, which was not offered");
    s->got_message = true;
    r = jl_buf_add(msg, GRPC_SLICE_START_PTR(slice), GRPC_SLICE_LENGTH(slice));
    grpc_slice_unref(slice);
    if (r == -EMSGSIZE)
        return jl_refuse(e, EMSGSIZE, "the server's message is larger than %zu bytes", msg->max);
    if (r < 0)
        return jl_fail(e, -r, "keep the server's message");
    return 1;
}

static void take_status(struct rpc_stream *s)
{
    grpc_op op = { .op = GRPC_OP_RECV_STATUS_ON_CLIENT };

    if (s->at_end)
        return;
    s->at_end = true;
    op.data.recv_status_on_client.trailing_metadata = &s->trailers;
    op.data.recv_status_on_client.status = &s->code;
    op.data.recv_status_on_client.status_details = &s->details;
    start(s, &op, 1, OP_STATUS);
    wait_op(s, OP_STATUS);
}

static void copy_text(grpc_slice from, char *to, size_t size)
{
    size_t n = GRPC_SLICE_LENGTH(from);

    if (n >= size)
        n = size - 1;
    memcpy(to, GRPC_SLICE_START_PTR(from), n);
    to[n] = '\0';
    for (char *p = to; p < to + n; p++)
        if (((unsigned char) *p < 0x20 && *p != '\n') || *p == 0x7f)
            *p = '?';
}

/* Core could not connect, so nothing has left: these are its words for it, and all it tells. */
static bool never_left(const char *words)
{
    return strncmp(words, "failed to connect to all addresses", 34) == 0;
}

/* No connection, or it was lost: then the server may have gone after it took the request, and how it
 * looks now is no answer. */
static int not_available(struct rpc_stream *s, const char *words, struct jl_err *e)
{
    struct rpc_client *c = s->client;
    struct rpc_target t = { .host = c->host,
                            .port = c->port,
                            .server_name = c->name,
                            .tls = { .cert_pem = c->cert, .key_pem = c->key, .ca_pem = c->ca },
                            .timeout_ms =
                                c->connect_ms < DIAGNOSE_MS ? c->connect_ms : DIAGNOSE_MS };
    int r = s->got_message ? 0 : rpc_diagnose(&t, e);

    if (r < 0 && (never_left(words) || r == -ENOENT))
        return r;
    jl_refuse(e, ECONNRESET, "the connection to %s:%s was lost: %.200s", c->host, c->port, words);
    return jl_hint(e, "what was asked may have been done: look before you ask again");
}

/* Did the server answer, or has core made the status up? Core's own servers let some through
 * unmarked too (a message over the server's limit), so only codes that core uses are doubted. */
static bool is_answer(struct rpc_stream *s)
{
    for (size_t i = 0; i < s->trailers.count; i++)
        if (grpc_slice_str_cmp(s->trailers.metadata[i].key, RPC_ANSWER_KEY) == 0)
            return true;
    return s->code != GRPC_STATUS_CANCELLED && s->code != GRPC_STATUS_UNKNOWN &&
           s->code != GRPC_STATUS_DEADLINE_EXCEEDED && s->code != GRPC_STATUS_RESOURCE_EXHAUSTED &&
           s->code != GRPC_STATUS_UNAVAILABLE && s->code != GRPC_STATUS_INTERNAL;
}

/* A status that core made up becomes our error. */
static int local_failure(struct rpc_stream *s, const char *words, struct jl_err *e)
{
    struct rpc_client *c = s->client;

    if (is_cancelled(s))
        return jl_refuse(e, EINTR, "cancelled");
    if (s->code == GRPC_STATUS_DEADLINE_EXCEEDED)
        return jl_refuse(e, ETIME, "%s:%s did not answer in time", c->host, c->port);
    if (s->code == GRPC_STATUS_RESOURCE_EXHAUSTED)
        return jl_refuse(e, EMSGSIZE, "a message is over the limit: %.200s", words);
    if (s->code == GRPC_STATUS_INTERNAL)
        return jl_refuse(e, EPROTO, "%s:%s does not speak gRPC as expected: %.200s", c->host,
                         c->port, words);
    return not_available(s, words, e);
}

/* 0 and st filled when the server answered, else -errno. */
static int end_of_call(struct rpc_stream *s, struct rpc_status *st, struct jl_err *e)
{
    take_status(s);
    st->code = (unsigned) s->code;
    copy_text(s->details, st->message, sizeof st->message);
    return is_answer(s) ? 0 : local_failure(s, st->message, e);
}

int rpc_stream_next(struct rpc_stream *s, struct jl_buf *msg, struct rpc_status *st,
                    struct jl_err *e)
{
    int r = 0;

    jl_buf_clear(msg);
    if (!s->at_end) {
        wait_op(s, OP_HEADERS);
        r = take_message(s, msg, e);
    }
    if (r != 0)
        return r;
    return end_of_call(s, st, e);
}

void rpc_stream_cancel(struct rpc_stream *s)
{
    atomic_store(&s->cancelled, 1);
}

void rpc_stream_close(struct rpc_stream *s)
{
    if (!s)
        return;
    grpc_call_cancel(s->call, NULL);
    take_status(s); /* nothing that core would write to may stay open */
    wait_op(s, OP_SEND);
    wait_op(s, OP_HEADERS);
    wait_op(s, OP_MESSAGE);
    grpc_call_unref(s->call);
    grpc_completion_queue_shutdown(s->cq);
    grpc_completion_queue_destroy(s->cq);
    grpc_byte_buffer_destroy(s->sending);
    if (s->recv)
        grpc_byte_buffer_destroy(s->recv);
    grpc_metadata_array_destroy(&s->headers);
    grpc_metadata_array_destroy(&s->trailers);
    grpc_slice_unref(s->details);
    free(s);
}

/* The one reply and the status. */
static int take_reply(struct rpc_stream *s, struct jl_buf *resp, struct rpc_status *st,
                      struct jl_err *e)
{
    bool has_reply;
    int r;

    wait_op(s, OP_HEADERS);
    r = take_message(s, resp, e);
    if (r < 0)
        return r;
    has_reply = r > 0;
    r = end_of_call(s, st, e);
    if (r == 0 && st->code == API_OK && !has_reply)
        r = jl_refuse(e, EPROTO, "the server answered without a reply");
    return r;
}

int rpc_client_unary(struct rpc_client *c, const char *method, const void *req, size_t len,
                     unsigned timeout_ms, struct jl_buf *resp, struct rpc_status *st,
                     struct jl_err *e)
{
    struct rpc_stream *s = NULL;
    int r = rpc_stream_open(c, method, req, len, timeout_ms, &s, e);

    if (r < 0)
        return r;
    r = take_reply(s, resp, st, e);
    if (r == -EPROTO)
        jl_wrap(e, "%s", method);
    rpc_stream_close(s);
    return r;
}

/* Operations of the sending side, in front of them the headers if they are not out yet. */
static bool send_ops(struct rpc_stream *s, grpc_op *ops, size_t n)
{
    bool first = !s->headers_sent;

    s->headers_sent = true;
    start(s, first ? ops : ops + 1, first ? n : n - 1, OP_SEND);
    if (first)
        start_headers(s);
    return wait_op(s, OP_SEND);
}

int rpc_stream_send(struct rpc_stream *s, const void *data, size_t len, struct jl_err *e)
{
    grpc_op ops[2] = { { .op = GRPC_OP_SEND_INITIAL_METADATA }, { .op = GRPC_OP_SEND_MESSAGE } };
    bool ok;

    s->sending = rpc_message_new(data, len);
    ops[1].data.send_message.send_message = s->sending;
    ok = send_ops(s, ops, 2);
    grpc_byte_buffer_destroy(s->sending);
    s->sending = NULL;
    if (is_cancelled(s))
        return jl_refuse(e, EINTR, "cancelled");
    return ok;
}

int rpc_stream_reply(struct rpc_stream *s, struct jl_buf *resp, struct rpc_status *st,
                     struct jl_err *e)
{
    grpc_op ops[2] = { { .op = GRPC_OP_SEND_INITIAL_METADATA },
                       { .op = GRPC_OP_SEND_CLOSE_FROM_CLIENT } };

    send_ops(s, ops, 2);
    return take_reply(s, resp, st, e);
}

void rpc_client_cancel(struct rpc_client *c)
{
    atomic_store(&c->cancelled, 1);
}

/* "host:port" or "[host]:port" into its parts. */
static int split_address(struct rpc_client *c, const char *address, struct jl_err *e)
{
    const char *colon = strrchr(address, ':');
    bool bracket = address[0] == '[';
    size_t n = colon ? (size_t) (colon - address) : 0;

    if (n && bracket) {
        if (colon[-1] != ']')
            n = 0;
        address++;
        n = n >= 2 ? n - 2 : 0;
    }
    if (n) {
        c->host = strndup(address, n);
        c->port = strdup(colon + 1);
        if (!c->host || !c->port)
            return jl_fail(e, ENOMEM, "connect");
        n = strspn(c->port, "0123456789");
        if (n > 0 && n < 6 && !c->port[n] && rpc_host_is_plain(c->host) &&
            (bracket || !strchr(c->host, ':')))
            return 0;
    }
    jl_refuse(e, EINVAL, "'%.128s' is not an address of the form host:port", address);
    return jl_hint(e, "as in 'server.example:50051', '192.0.2.1:50051' or '[2001:db8::1]:50051'");
}

static int copy_texts(struct rpc_client *c, const struct rpc_client_opts *o, struct jl_err *e)
{
    c->name = strdup(o->server_name ? o->server_name : RPC_SERVER_NAME);
    c->cert = strdup(o->tls.cert_pem);
    c->key = strdup(o->tls.key_pem);
    c->ca = strdup(o->tls.ca_pem);
    if (!c->name || !c->cert || !c->key || !c->ca)
        return jl_fail(e, ENOMEM, "connect");
    return 0;
}

static void client_args(struct rpc_args *a, const struct rpc_client_opts *o,
                        const struct rpc_client *c)
{
    unsigned max = o->max_message_bytes ? o->max_message_bytes : RPC_MESSAGE_DEFAULT;

    rpc_args_string(a, GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, c->name);
    rpc_args_int(a, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, max);
    rpc_args_int(a, GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, max);
    rpc_args_int(a, GRPC_ARG_MAX_METADATA_SIZE, 1u << 20);
    rpc_args_int(a, GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, c->connect_ms); /* time for one attempt */
    rpc_args_int(a, GRPC_ARG_KEEPALIVE_TIME_MS, 20000); /* a stream notices a dead server */
    rpc_args_int(a, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
    rpc_args_int(a, GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    rpc_args_int(a, GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    rpc_args_int(a, GRPC_ARG_ENABLE_RETRIES, 0); /* a job must not be run twice */
    rpc_args_int(a, GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
    rpc_args_int(a, GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    rpc_args_int(a, GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1u << GRPC_COMPRESS_NONE);
    rpc_args_int(a, GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
    rpc_args_int(a, GRPC_ARG_ENABLE_CHANNELZ, 0);
}

static int make_channel(struct rpc_client *c, const struct rpc_client_opts *o, struct jl_err *e)
{
    grpc_ssl_pem_key_cert_pair pair = { .private_key = c->key, .cert_chain = c->cert };
    grpc_channel_credentials *creds = grpc_ssl_credentials_create_ex(c->ca, &pair, NULL, NULL);
    struct rpc_args args = { .n = 0 };
    grpc_channel_args list;
    char target[320];

    if (!creds)
        return jl_refuse(e, EINVAL, "client certificate: not accepted by the TLS library");
    client_args(&args, o, c);
    list = rpc_args_list(&args);
    snprintf(target, sizeof target, strchr(c->host, ':') ? "dns:///[%s]:%s" : "dns:///%s:%s",
             c->host, c->port);
    c->channel = grpc_channel_create(target, creds, &list);
    grpc_channel_credentials_release(creds);
    return 0;
}

static int set_up(struct rpc_client *c, const struct rpc_client_opts *o, struct jl_err *e)
{
    int r = split_address(c, o->address ? o->address : "", e);

    if (r == 0)
        r = rpc_tls_check(&o->tls, "client", e);
    if (r == 0)
        r = copy_texts(c, o, e);
    c->connect_ms = o->connect_timeout_ms ? o->connect_timeout_ms : CONNECT_DEFAULT_MS;
    if (r == 0)
        r = make_channel(c, o, e);
    return r;
}

int rpc_client_new(const struct rpc_client_opts *opts, struct rpc_client **ret, struct jl_err *e)
{
    struct rpc_client *c;
    int r = rpc_core_init(e);

    if (r < 0)
        return r;
    c = calloc(1, sizeof *c);
    r = c ? set_up(c, opts, e) : jl_fail(e, ENOMEM, "connect");
    if (r < 0) {
        if (c)
            rpc_client_free(c);
        else
            rpc_core_done();
        return r;
    }
    *ret = c;
    return 0;
}

void rpc_client_free(struct rpc_client *c)
{
    if (!c)
        return;
    if (c->channel)
        grpc_channel_destroy(c->channel);
    if (c->key)
        OPENSSL_cleanse(c->key, strlen(c->key));
    free(c->host);
    free(c->port);
    free(c->name);
    free(c->cert);
    free(c->key);
    free(c->ca);
    free(c);
    rpc_core_done();
}
