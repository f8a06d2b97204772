/*
 * server.c - listening, the one thread that waits for core, and the queue between it and the
 * owner.
 */
#include "rpc/server.h"

#include <assert.h>
#include <errno.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "rpc/server_impl.h"

/* A client that asks "are you there" more often than this is misbehaving. */
#define PING_LEAST_MS 5000
#define LOOKAHEAD_BYTES (1u << 20) /* 20 MB/s over a line of 50 ms */

static void *wait_for_core(void *arg)
{
    struct rpc_server *s = arg;

    for (;;) {
        grpc_event ev = grpc_completion_queue_next(s->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        struct rpc_tag *tag = ev.tag;
        bool was_empty;

        if (ev.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        if (ev.type != GRPC_OP_COMPLETE)
            continue;
        tag->ok = ev.success;
        tag->next = NULL;
        pthread_mutex_lock(&s->lock);
        was_empty = !s->queue;
        *s->queue_end = tag;
        s->queue_end = &tag->next;
        pthread_mutex_unlock(&s->lock);
        if (was_empty)
            eventfd_write(s->event_fd, 1);
    }
}

static unsigned long or_default(unsigned value, unsigned long dflt)
{
    return value ? value : dflt;
}

static void server_args(struct rpc_args *a, const struct rpc_server_opts *o)
{
    rpc_args_int(a, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
                 or_default(o->max_recv_bytes, RPC_MESSAGE_DEFAULT));
    rpc_args_int(a, GRPC_ARG_MAX_SEND_MESSAGE_LENGTH,
                 or_default(o->max_send_bytes, RPC_MESSAGE_DEFAULT));
    rpc_args_int(a, GRPC_ARG_MAX_METADATA_SIZE, or_default(o->max_header_bytes, 16ul << 20));
    rpc_args_int(a, GRPC_ARG_MAX_CONCURRENT_STREAMS, or_default(o->max_streams, 1000));
    rpc_args_int(a, GRPC_ARG_KEEPALIVE_TIME_MS, or_default(o->keepalive_ms, 10000));
    rpc_args_int(a, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, or_default(o->keepalive_timeout_ms, 3000));
    rpc_args_int(a, GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    rpc_args_int(a, GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, PING_LEAST_MS);
    rpc_args_int(a, GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                 or_default(o->handshake_timeout_ms, 10000));
    rpc_args_int(a, GRPC_ARG_MAX_CONNECTION_IDLE_MS, or_default(o->idle_ms, 300000));
    rpc_args_int(a, GRPC_ARG_MAX_CONNECTION_AGE_MS, or_default(o->age_ms, 1800000));
    rpc_args_int(a, GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, or_default(o->age_grace_ms, INT32_MAX));
    /* What a client may send before it is asked for: by itself core would let it grow with the speed
     * of the line, to tens of MiB for each upload when we are the slower side. */
    rpc_args_int(a, GRPC_ARG_HTTP2_BDP_PROBE, 0);
    rpc_args_int(a, GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, LOOKAHEAD_BYTES);
    /* Two servers on one port would share its calls between them. */
    rpc_args_int(a, GRPC_ARG_ALLOW_REUSEPORT, 0);
    /* A compressed message of any size can be made of a small one: neither offered nor unpacked. */
    rpc_args_int(a, GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1u << GRPC_COMPRESS_NONE);
    rpc_args_int(a, GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
    rpc_args_int(a, GRPC_ARG_ENABLE_CHANNELZ, 0);
}

/* Core only says that it could not bind; the system call that says why is done again. */
static int why_not_bound(const struct rpc_server_opts *o, struct jl_err *e)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
    struct addrinfo *list = NULL;
    char port[8];
    int r, code = EIO;

    snprintf(port, sizeof port, "%u", o->port);
    r = getaddrinfo(o->address, port, &hints, &list);
    if (r != 0)
        return jl_refuse(e, EADDRNOTAVAIL, "listen on %s:%u: %s", o->address, o->port,
                         gai_strerror(r));
    for (struct addrinfo *a = list; a; a = a->ai_next) {
        int on = 1;
        _close_ int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, 1) < 0)
            code = errno;
    }
    freeaddrinfo(list);
    jl_fail(e, code, "listen on %s:%u", o->address, o->port);
    if (code == EADDRINUSE)
        return jl_hint(e, "another program has port %u: stop it, or choose another port", o->port);
    return -code;
}

static int listen_on(struct rpc_server *s, const struct rpc_server_opts *o, struct jl_err *e)
{
    grpc_ssl_pem_key_cert_pair pair = { o->tls.key_pem, o->tls.cert_pem };
    grpc_ssl_server_credentials_options *options =
        grpc_ssl_server_credentials_create_options_using_config(
            GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY,
            grpc_ssl_server_certificate_config_create(o->tls.ca_pem, &pair, 1));
    grpc_server_credentials *creds = grpc_ssl_server_credentials_create_with_options(options);
    char target[300];
    int port;

    if (!creds)
        return jl_refuse(e, EINVAL, "server certificate: not accepted by the TLS library");
    snprintf(target, sizeof target, strchr(o->address, ':') ? "[%s]:%u" : "%s:%u", o->address,
             o->port);
    port = grpc_server_add_http2_port(s->server, target, creds);
    grpc_server_credentials_release(creds);
    if (port <= 0)
        return why_not_bound(o, e);
    s->port = (uint16_t) port;
    return 0;
}

static void request_call(struct rpc_server *s, struct rpc_slot *slot)
{
    slot->call = NULL;
    slot->requested =
        grpc_server_request_call(s->server, &slot->call, &slot->details, &slot->metadata, s->cq,
                                 s->cq, &slot->tag) == GRPC_CALL_OK;
}

static int start_serving(struct rpc_server *s, struct jl_err *e)
{
    int r;

    grpc_server_start(s->server);
    r = pthread_create(&s->thread, NULL, wait_for_core, s);
    if (r != 0)
        return jl_fail(e, r, "start the thread that waits for calls");
    s->has_thread = true;
    for (size_t i = 0; i < RPC_SLOTS; i++) {
        struct rpc_slot *slot = &s->slots[i];

        slot->tag.kind = RPC_TAG_NEW;
        slot->tag.owner = slot;
        grpc_call_details_init(&slot->details);
        grpc_metadata_array_init(&slot->metadata);
        request_call(s, slot);
    }
    return 0;
}

static int make_fds(struct rpc_server *s, struct jl_err *e)
{
    struct epoll_event ev = { .events = EPOLLIN };

    s->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (s->event_fd < 0 || s->timer_fd < 0 || s->epoll_fd < 0 ||
        epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->event_fd, &ev) < 0 ||
        epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->timer_fd, &ev) < 0)
        return jl_fail(e, errno, "make the server's event descriptors");
    return 0;
}

static unsigned at_most(unsigned value, unsigned most)
{
    return value > 0 && value < most ? value : most;
}

static int count_connections(struct rpc_server *s, const struct rpc_server_opts *o,
                             struct jl_err *e)
{
    struct rpc_conns_limits l = { .all = o->max_conns };
    struct epoll_event ev = { .events = EPOLLIN };

    l.per_host = at_most(o->max_conns_host, l.all);
    l.per_client = at_most(o->max_conns_client, l.all);
    l.strangers_host = at_most(o->max_strangers_host, l.all);
    s->conns = rpc_conns_new(&l);
    if (!s->conns || epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, rpc_conns_fd(s->conns), &ev) < 0)
        return jl_fail(e, errno, "count the server's connections");
    return 0;
}

static int set_up(struct rpc_server *s, const struct rpc_server_opts *o, struct jl_err *e)
{
    struct rpc_args args = { .n = 0 };
    grpc_channel_args list;
    int r;

    if (!o->address || !rpc_host_is_plain(o->address))
        return jl_refuse(e, EINVAL, "listen address '%.64s' is neither a host name nor an address",
                         o->address ? o->address : "");
    r = make_fds(s, e);
    if (r == 0 && o->max_conns > 0)
        r = count_connections(s, o, e);
    if (r == 0 && s->conns && o->max_intake > 0)
        r = rpc_intake_init(s, o->max_intake, or_default(o->max_recv_bytes, RPC_MESSAGE_DEFAULT),
                            e);
    if (r == 0 && o->max_outgo > 0)
        r = rpc_outgo_init(s, o->max_outgo, or_default(o->max_send_bytes, RPC_MESSAGE_DEFAULT),
                           o->reply_timeout_ms, e);
    if (r < 0)
        return r;
    r = rpc_core_init(e);
    if (r < 0)
        return r;
    s->has_core = true;
    r = rpc_tls_check(&o->tls, "server", e);
    if (r < 0)
        return r;
    server_args(&args, o);
    list = rpc_args_list(&args);
    s->server = grpc_server_create(&list, NULL);
    s->cq = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(s->server, s->cq, NULL);
    r = listen_on(s, o, e);
    if (r < 0)
        return r;
    return start_serving(s, e);
}

int rpc_server_new(const struct rpc_server_opts *opts, const struct rpc_handlers *handlers,
                   void *ctx, struct rpc_server **ret, struct jl_err *e)
{
    struct rpc_server *s = calloc(1, sizeof *s);
    int r;

    if (!s)
        return jl_fail(e, ENOMEM, "start the server");
    s->handlers = *handlers;
    s->ctx = ctx;
    s->event_fd = s->timer_fd = s->epoll_fd = s->intake.timer_fd = s->outgo.timer_fd = -1;
    s->queue_end = &s->queue;
    s->down_tag = (struct rpc_tag){ .kind = RPC_TAG_DOWN, .owner = s };
    pthread_mutex_init(&s->lock, NULL);
    r = set_up(s, opts, e);
    if (r < 0) {
        rpc_server_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

uint16_t rpc_server_port(const struct rpc_server *s)
{
    return s->port;
}

int rpc_server_fd(const struct rpc_server *s)
{
    return s->epoll_fd;
}

static void on_new(struct rpc_server *s, struct rpc_slot *slot, bool ok)
{
    slot->requested = false;
    if (!ok) /* the server goes down */
        return;
    rpc_call_begin(s, slot);
    grpc_call_details_destroy(&slot->details);
    grpc_call_details_init(&slot->details);
    grpc_metadata_array_destroy(&slot->metadata);
    grpc_metadata_array_init(&slot->metadata);
    if (!s->is_stopping)
        request_call(s, slot);
}

static void on_event(struct rpc_server *s, struct rpc_tag *tag)
{
    switch (tag->kind) {
    case RPC_TAG_NEW:
        on_new(s, tag->owner, tag->ok);
        break;
    case RPC_TAG_DOWN:
        s->is_down = true;
        break;
    case RPC_TAG_CLOSE:
    case RPC_TAG_READ:
    case RPC_TAG_WRITE:
    case RPC_TAG_FINISH:
        rpc_call_event(tag->owner, tag);
        break;
    }
}

void rpc_server_dispatch(struct rpc_server *s)
{
    struct rpc_tag *tag, *next;
    eventfd_t count;

    if (eventfd_read(s->timer_fd, &count) == 0) /* the grace is over */
        grpc_server_cancel_all_calls(s->server);
    if (s->conns)
        rpc_conns_dispatch(s->conns);
    rpc_intake_look(s);
    rpc_outgo_look(s);
    eventfd_read(s->event_fd, &count); /* before the queue is taken: nothing is missed */
    pthread_mutex_lock(&s->lock);
    tag = s->queue;
    s->queue = NULL;
    s->queue_end = &s->queue;
    pthread_mutex_unlock(&s->lock);
    for (; tag; tag = next) {
        next = tag->next; /* what the tag is part of may be freed, or the tag be used again */
        on_event(s, tag);
    }
}

void rpc_server_shutdown(struct rpc_server *s, unsigned grace_ms)
{
    /* A timer of zero would never ring. */
    struct itimerspec grace = { .it_value = { .tv_sec = grace_ms / 1000,
                                              .tv_nsec = grace_ms % 1000 * 1000000L + 1 } };

    if (s->is_stopping)
        return;
    s->is_stopping = true;
    grpc_server_shutdown_and_notify(s->server, s->cq, &s->down_tag);
    timerfd_settime(s->timer_fd, 0, &grace, NULL);
}

static bool is_quiet(const struct rpc_server *s)
{
    for (size_t i = 0; i < RPC_SLOTS; i++)
        if (s->slots[i].requested)
            return false;
    return s->is_down && !s->calls;
}

bool rpc_server_is_down(const struct rpc_server *s)
{
    return is_quiet(s);
}

/* Core must have handed back everything before its objects may go. */
static void wind_up(struct rpc_server *s)
{
    s->is_freeing = true;
    rpc_server_shutdown(s, 0);
    grpc_server_cancel_all_calls(s->server);
    while (!is_quiet(s)) {
        struct pollfd p = { .fd = s->epoll_fd, .events = POLLIN };

        poll(&p, 1, -1);
        rpc_server_dispatch(s);
    }
    grpc_completion_queue_shutdown(s->cq);
    pthread_join(s->thread, NULL);
    for (size_t i = 0; i < RPC_SLOTS; i++) {
        grpc_call_details_destroy(&s->slots[i].details);
        grpc_metadata_array_destroy(&s->slots[i].metadata);
    }
}

/* A server that never started: its queue has no thread. */
static void wind_up_unstarted(struct rpc_server *s)
{
    grpc_server_shutdown_and_notify(s->server, s->cq, &s->down_tag);
    grpc_server_cancel_all_calls(s->server);
    grpc_completion_queue_next(s->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    grpc_completion_queue_shutdown(s->cq);
    while (grpc_completion_queue_next(s->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type !=
           GRPC_QUEUE_SHUTDOWN)
        ;
}

void rpc_server_free(struct rpc_server *s)
{
    if (!s)
        return;
    if (s->has_thread)
        wind_up(s);
    else if (s->server)
        wind_up_unstarted(s);
    if (s->server)
        grpc_server_destroy(s->server);
    if (s->cq)
        grpc_completion_queue_destroy(s->cq);
    if (s->has_core)
        rpc_core_done();
    rpc_intake_done(s);
    rpc_outgo_done(s);
    rpc_identities_clear(&s->identities);
    rpc_conns_free(s->conns);
    jl_close(s->epoll_fd);
    jl_close(s->timer_fd);
    jl_close(s->event_fd);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
