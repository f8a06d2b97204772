/*
 * call.c - the life of one call on the server's side. The states are flags here, as two things run
 * side by side: what we send, and whether the client is still there. The call is freed when it is
 * closed and core has handed back every operation.
 */
#include <assert.h>
#include <errno.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <stdlib.h>
#include <string.h>

#include "api/status.h"
#include "rpc/server_impl.h"

/* Percent-encoding makes three bytes of one, and clients take 8 KiB of trailers. */
#define STATUS_MESSAGE_MAX 2048

static void start(struct rpc_call *c, const grpc_op *ops, size_t n, struct rpc_tag *tag)
{
    grpc_call_error err = grpc_call_start_batch(c->call, ops, n, tag, NULL);

    assert(err == GRPC_CALL_OK); /* else we have broken core's rules */
    (void) err;
    c->n_pending++;
}

static void tag_init(struct rpc_tag *tag, enum rpc_tag_kind kind, struct rpc_call *c)
{
    tag->kind = kind;
    tag->owner = c;
}

static void free_call(struct rpc_call *c)
{
    if (c->prev)
        c->prev->next = c->next;
    else
        c->server->calls = c->next;
    if (c->next)
        c->next->prev = c->prev;
    grpc_call_unref(c->call);
    rpc_call_drop_request(c);
    rpc_outgo_drop(c);
    if (c->recv)
        grpc_byte_buffer_destroy(c->recv);
    if (c->sending)
        grpc_byte_buffer_destroy(c->sending);
    if (c->reply)
        grpc_byte_buffer_destroy(c->reply);
    grpc_slice_unref(c->details);
    free(c->method);
    free(c);
}

/* Who is it? Core has verified the certificate; we read the name in it. */
static bool read_identity(struct rpc_call *c)
{
    grpc_auth_context *auth = grpc_call_auth_context(c->call);
    char *peer = grpc_call_get_peer(c->call);
    grpc_auth_property_iterator it;
    const grpc_auth_property *pem;
    bool ok = false;

    if (auth) {
        it = grpc_auth_context_find_properties_by_name(auth, GRPC_X509_PEM_CERT_PROPERTY_NAME);
        pem = grpc_auth_property_iterator_next(&it);
        if (pem && grpc_auth_context_peer_is_authenticated(auth))
            ok =
                rpc_identities_find(&c->server->identities, pem->value, pem->value_length, &c->who);
        grpc_auth_context_release(auth);
    }
    if (peer)
        rpc_peer_parse(peer, c->who.peer, sizeof c->who.peer);
    gpr_free(peer);
    return ok;
}

static void start_read(struct rpc_call *c)
{
    grpc_op op = { .op = GRPC_OP_RECV_MESSAGE };

    op.data.recv_message.recv_message = &c->recv;
    start(c, &op, 1, &c->read_tag);
    rpc_intake_begin(c);
}

/* Watches for the end of the call: core answers this one when the client is gone or served. */
static void start_watch(struct rpc_call *c)
{
    grpc_op op = { .op = GRPC_OP_RECV_CLOSE_ON_SERVER };

    op.data.recv_close_on_server.cancelled = &c->was_cancelled;
    start(c, &op, 1, &c->close_tag);
}

void rpc_call_begin(struct rpc_server *s, struct rpc_slot *slot)
{
    struct rpc_call *c = calloc(1, sizeof *c);

    if (!c) {
        grpc_call_cancel_with_status(slot->call, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory",
                                     NULL);
        grpc_call_unref(slot->call);
        return;
    }
    c->server = s;
    c->call = slot->call;
    c->method = grpc_slice_to_c_string(slot->details.method);
    c->details = grpc_empty_slice();
    tag_init(&c->close_tag, RPC_TAG_CLOSE, c);
    tag_init(&c->read_tag, RPC_TAG_READ, c);
    tag_init(&c->write_tag, RPC_TAG_WRITE, c);
    tag_init(&c->finish_tag, RPC_TAG_FINISH, c);
    c->next = s->calls;
    if (c->next)
        c->next->prev = c;
    s->calls = c;
    start_watch(c);
    if (s->is_freeing) {
        rpc_call_finish(c, API_UNAVAILABLE, "the server is shutting down", NULL, 0);
        return;
    }
    if (!read_identity(c)) {
        rpc_call_finish(c, API_UNAUTHENTICATED, "no readable client certificate", NULL, 0);
        return;
    }
    if (s->conns && !rpc_conns_know(s->conns, c->who.peer, c->who.serial, &c->conn)) {
        rpc_call_refuse(c, API_RESOURCE_EXHAUSTED,
                        "too many connections with this certificate; close some");
        return;
    }
    if (s->handlers.on_head) {
        c->is_reported = true;
        s->handlers.on_head(c, s->ctx);
    }
    if (!c->is_finished)
        start_read(c);
}

static void start_status(struct rpc_call *c)
{
    grpc_metadata answer = { .key = grpc_slice_from_static_string(RPC_ANSWER_KEY),
                             .value = grpc_slice_from_static_string("1") };
    grpc_op ops[3] = { 0 };
    size_t n = 0;

    if (!c->headers_sent)
        ops[n++].op = GRPC_OP_SEND_INITIAL_METADATA;
    c->headers_sent = true;
    if (c->reply) {
        ops[n].op = GRPC_OP_SEND_MESSAGE;
        ops[n++].data.send_message.send_message = c->reply;
    }
    ops[n].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    ops[n].data.send_status_from_server.trailing_metadata_count = 1;
    ops[n].data.send_status_from_server.trailing_metadata = &answer;
    ops[n].data.send_status_from_server.status = (grpc_status_code) c->status;
    ops[n++].data.send_status_from_server.status_details = &c->details;
    start(c, ops, n, &c->finish_tag);
}

int rpc_call_send(struct rpc_call *c, const void *data, size_t len)
{
    grpc_op ops[2] = { 0 };
    size_t n = 0;

    if (c->is_closed || c->is_finished)
        return -EPIPE;
    if (c->is_writing)
        return -EBUSY;
    if (!c->headers_sent)
        ops[n++].op = GRPC_OP_SEND_INITIAL_METADATA;
    c->headers_sent = true;
    c->sending = rpc_message_new(data, len);
    ops[n].op = GRPC_OP_SEND_MESSAGE;
    ops[n++].data.send_message.send_message = c->sending;
    c->is_writing = true;
    start(c, ops, n, &c->write_tag);
    return 0;
}

void rpc_call_finish(struct rpc_call *c, unsigned status, const char *message, const void *data,
                     size_t len)
{
    const char *refused;

    if (c->is_closed || c->is_finished)
        return;
    c->is_finished = true;
    refused = data ? rpc_outgo_take(c, len) : NULL;
    if (refused) {
        status = API_RESOURCE_EXHAUSTED;
        message = refused;
        data = NULL;
    }
    c->status = status > API_STATUS_MAX ? API_UNKNOWN : status;
    c->details = grpc_slice_from_copied_buffer(message ? message : "",
                                               message ? strnlen(message, STATUS_MESSAGE_MAX) : 0);
    if (data)
        c->reply = rpc_message_new(data, len);
    if (!c->is_writing) /* else when the write comes back */
        start_status(c);
}

void rpc_call_refuse(struct rpc_call *c, unsigned status, const char *message)
{
    if (c->is_closed || c->is_finished)
        return;
    if (c->server->handlers.on_refused)
        c->server->handlers.on_refused(c, status, message, c->server->ctx);
    rpc_call_finish(c, status, message, NULL, 0);
}

void rpc_call_abort(struct rpc_call *c, unsigned status, const char *message)
{
    rpc_call_finish(c, status, message, NULL, 0);
    if (c->is_writing && !c->is_closed)
        grpc_call_cancel_with_status(c->call, (grpc_status_code) status, message, NULL);
}

static void on_read(struct rpc_call *c, bool ok)
{
    grpc_byte_buffer *recv = c->recv;

    c->recv = NULL;
    c->intake.arriving = false;
    if (recv &&
        (c->is_closed || c->is_finished || !rpc_intake_arrived(c, grpc_byte_buffer_length(recv)))) {
        grpc_byte_buffer_destroy(recv);
        return;
    }
    if (c->is_closed || c->is_finished)
        return;
    if (c->is_called && (!ok || !recv)) {
        c->server->handlers.on_message(c, c->server->ctx);
        return;
    }
    if (!ok || !recv) {
        rpc_call_refuse(c, API_INVALID_ARGUMENT, "the call has no request message");
        return;
    }
    c->has_request = rpc_message_take(recv, &c->request);
    if (!c->has_request) {
        rpc_intake_drop(c);
        rpc_call_refuse(c, API_UNIMPLEMENTED, "compressed messages are not accepted");
        return;
    }
    c->is_reported = true;
    if (c->is_called) {
        c->server->handlers.on_message(c, c->server->ctx);
        return;
    }
    c->is_called = true;
    c->server->handlers.on_call(c, c->server->ctx);
}

void rpc_call_read(struct rpc_call *c)
{
    rpc_call_drop_request(c);
    if (!c->is_closed && !c->is_finished)
        start_read(c);
}

static void on_write(struct rpc_call *c, bool ok)
{
    grpc_byte_buffer_destroy(c->sending);
    c->sending = NULL;
    c->is_writing = false;
    if (c->is_closed)
        return;
    if (c->is_finished)
        start_status(c);
    else if (ok && c->server->handlers.on_writable)
        c->server->handlers.on_writable(c, c->server->ctx);
}

void rpc_call_event(struct rpc_call *c, const struct rpc_tag *tag)
{
    switch (tag->kind) {
    case RPC_TAG_READ:
        on_read(c, tag->ok);
        break;
    case RPC_TAG_WRITE:
        on_write(c, tag->ok);
        break;
    case RPC_TAG_CLOSE:
        c->is_closed = true;
        break;
    case RPC_TAG_FINISH:
        rpc_outgo_drop(c);
        break;
    case RPC_TAG_NEW:
    case RPC_TAG_DOWN:
        assert(!"not an event of a call");
    }
    if (--c->n_pending > 0)
        return;
    if (!c->is_closed) /* close_tag is pending until then */
        return;
    if (c->is_reported && c->server->handlers.on_gone)
        c->server->handlers.on_gone(c, c->server->ctx);
    free_call(c);
}

const char *rpc_call_method(const struct rpc_call *c)
{
    return c->method;
}

const void *rpc_call_request(const struct rpc_call *c, size_t *ret_len)
{
    *ret_len = c->has_request ? GRPC_SLICE_LENGTH(c->request) : 0;
    return c->has_request ? GRPC_SLICE_START_PTR(c->request) : NULL;
}

void rpc_call_drop_request(struct rpc_call *c)
{
    if (c->has_request) {
        grpc_slice_unref(c->request);
        rpc_intake_drop(c);
    }
    c->has_request = false;
}

const struct rpc_identity *rpc_call_identity(const struct rpc_call *c)
{
    return &c->who;
}

void rpc_call_set_user(struct rpc_call *c, void *user)
{
    c->user = user;
}

void *rpc_call_user(const struct rpc_call *c)
{
    return c->user;
}
