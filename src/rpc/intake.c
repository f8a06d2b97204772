/* intake.c - see intake.h. */
#include "rpc/intake.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include "api/status.h"
#include "base/cleanup.h"
#include "rpc/server_impl.h"

#define LOOK_MS 50        /* a second of loopback is 1 GiB */
#define LOOK_QUIET_MS 200 /* nothing has come since the look before */
#define LEAST (UINT64_C(64) << 20)
#define SMALL (64u << 10) /* bytes that are taken in any case */
#define OVERHEAD 100      /* bytes of a small call besides its message, and a 64th of a large one */
#define UNKNOWN INT64_MIN

static void arm(struct rpc_intake *in, unsigned ms)
{
    struct itimerspec t = { .it_value.tv_nsec = (long) ms * 1000000L };

    in->armed = true;
    timerfd_settime(in->timer_fd, 0, &t, NULL);
}

int rpc_intake_init(struct rpc_server *s, unsigned messages, uint64_t message_max, struct jl_err *e)
{
    struct rpc_intake *in = &s->intake;
    struct epoll_event ev = { .events = EPOLLIN };
    unsigned n = rpc_conns_room(s->conns);

    in->max = messages * message_max;
    if (in->max < LEAST)
        in->max = LEAST;
    in->message_max = message_max;
    in->unread = calloc(n, sizeof *in->unread);
    in->most = calloc(n, sizeof *in->most);
    in->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (!in->unread || !in->most || in->timer_fd < 0 ||
        epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, in->timer_fd, &ev) < 0)
        return jl_fail(e, errno, "count the bytes of requests");
    return 0;
}

void rpc_intake_done(struct rpc_server *s)
{
    s->intake.timer_fd = jl_close(s->intake.timer_fd);
    free(s->intake.unread);
    free(s->intake.most);
}

void rpc_intake_begin(struct rpc_call *c)
{
    struct rpc_intake *in = &c->server->intake;

    c->intake.arriving = in->max > 0;
    c->intake.has_base = false;
    if (c->intake.arriving && !in->armed)
        arm(in, LOOK_MS);
}

static void refuse(struct rpc_call *c)
{
    char text[256];

    snprintf(text, sizeof text,
             "large requests of all clients take up the %" PRIu64 " MiB that the server has for "
             "them: try again in a moment, or send files by pieces (StageUploads, as rnx does)",
             c->server->intake.max >> 20);
    rpc_call_refuse(c, API_RESOURCE_EXHAUSTED, text);
}

bool rpc_intake_arrived(struct rpc_call *c, size_t len)
{
    struct rpc_intake *in = &c->server->intake;

    c->intake.arriving = false;
    if (in->max == 0)
        return true;
    if (c->conn.number)
        rpc_conns_read(c->server->conns, &c->conn, len + len / 64 + OVERHEAD);
    if (len > SMALL && in->held + len > in->max) {
        refuse(c);
        return false;
    }
    c->intake.held = len;
    in->held += len;
    return true;
}

void rpc_intake_drop(struct rpc_call *c)
{
    c->server->intake.held -= c->intake.held;
    c->intake.held = 0;
}

static bool is_arriving(const struct rpc_call *c)
{
    return c->intake.arriving && !c->is_closed && !c->is_finished;
}

/* What this call may have on its way; its connection is asked once a look. */
static uint64_t on_its_way(struct rpc_call *c)
{
    int64_t *unread = &c->server->intake.unread[c->conn.slot];

    if (*unread == UNKNOWN && !rpc_conns_unread(c->server->conns, &c->conn, unread))
        return 0; /* gone; its calls go too */
    if (!c->intake.has_base || *unread < c->intake.base)
        c->intake.base = *unread;
    c->intake.has_base = true;
    return (uint64_t) (*unread - c->intake.base);
}

/* All that is on its way, once for each connection. *ret_n: calls; *ret_most: the one with the most. */
static uint64_t sum_up(struct rpc_server *s, unsigned *ret_n, struct rpc_call **ret_most)
{
    struct rpc_intake *in = &s->intake;
    unsigned room = rpc_conns_room(s->conns);
    uint64_t total = 0, most = 0;

    *ret_n = 0;
    *ret_most = NULL;
    memset(in->most, 0, room * sizeof *in->most);
    for (struct rpc_call *c = s->calls; c; c = c->next) {
        uint64_t bytes;

        if (!is_arriving(c))
            continue;
        ++*ret_n;
        bytes = c->conn.number ? on_its_way(c) : 0;
        if (bytes > in->most[c->conn.slot]) {
            total += bytes - in->most[c->conn.slot];
            in->most[c->conn.slot] = bytes;
        }
        if (bytes > most) {
            most = bytes;
            *ret_most = c;
        }
    }
    return total;
}

void rpc_intake_look(struct rpc_server *s)
{
    struct rpc_intake *in = &s->intake;
    struct rpc_call *most;
    eventfd_t count;
    uint64_t total;
    unsigned n;

    if (in->max == 0 || eventfd_read(in->timer_fd, &count) < 0)
        return;
    in->armed = false;
    for (unsigned i = 0; i < rpc_conns_room(s->conns); i++)
        in->unread[i] = UNKNOWN;
    for (;;) {
        uint64_t bytes;

        total = sum_up(s, &n, &most);
        bytes = most ? on_its_way(most) : 0;
        if (bytes > in->message_max + in->message_max / 32 + SMALL) /* with what TLS and HTTP add */
            rpc_call_refuse(most, API_RESOURCE_EXHAUSTED, "the message is over the server's limit");
        else if (bytes > SMALL && in->held + total > in->max)
            refuse(most);
        else
            break;
    }
    if (n > 0)
        arm(in, total == in->last_total ? LOOK_QUIET_MS : LOOK_MS);
    in->last_total = total;
}
