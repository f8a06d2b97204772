/* outgo.c - see outgo.h. */
#include "rpc/outgo.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "rpc/server_impl.h"

#define LEAST (UINT64_C(64) << 20)
#define SMALL (4u << 10) /* bytes that are taken in any case */
#define SLOWEST 65536    /* bytes a second */

int rpc_outgo_init(struct rpc_server *s, unsigned messages, uint64_t message_max,
                   unsigned timeout_ms, struct jl_err *e)
{
    struct rpc_outgo *out = &s->outgo;
    struct epoll_event ev = { .events = EPOLLIN };

    out->max = messages * message_max;
    if (out->max < LEAST)
        out->max = LEAST;
    out->timeout_ns = timeout_ms * JL_NS_PER_MS;
    out->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (out->timer_fd < 0 || epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, out->timer_fd, &ev) < 0)
        return jl_fail(e, errno, "count the bytes of replies");
    return 0;
}

void rpc_outgo_done(struct rpc_server *s)
{
    s->outgo.timer_fd = jl_close(s->outgo.timer_fd);
}

static void arm(struct rpc_outgo *out, uint64_t due_ns)
{
    struct itimerspec t = { .it_value = { .tv_sec = (time_t) (due_ns / JL_NS_PER_S),
                                          .tv_nsec = (long) (due_ns % JL_NS_PER_S) } };

    out->next_ns = due_ns;
    timerfd_settime(out->timer_fd, TFD_TIMER_ABSTIME, &t, NULL);
}

static uint64_t held_by(const struct rpc_server *s, const char *serial)
{
    uint64_t held = 0;

    for (const struct rpc_call *c = s->calls; c; c = c->next)
        if (c->outgo.held > 0 && strcmp(c->who.serial, serial) == 0)
            held += c->outgo.held;
    return held;
}

const char *rpc_outgo_take(struct rpc_call *c, size_t len)
{
    struct rpc_outgo *out = &c->server->outgo;
    uint64_t share = out->max - out->max / 4;

    if (out->max == 0)
        return NULL;
    if (len > SMALL && out->held + len > out->max)
        return "answers that clients have not fetched take up all the memory that the server has "
               "for "
               "them: try again in a moment";
    if (len > SMALL && out->held + len > share && held_by(c->server, c->who.serial) + len > share)
        return "this certificate has too many answers that it has not fetched: try again when they "
               "are";
    out->held += len;
    c->outgo.held = len;
    c->outgo.due_ns = jl_now_ns() + out->timeout_ns + len / SLOWEST * JL_NS_PER_S;
    if (out->next_ns == 0 || c->outgo.due_ns < out->next_ns)
        arm(out, c->outgo.due_ns);
    return NULL;
}

void rpc_outgo_drop(struct rpc_call *c)
{
    c->server->outgo.held -= c->outgo.held;
    c->outgo = (struct rpc_outgo_call){ 0 };
}

void rpc_outgo_look(struct rpc_server *s)
{
    struct rpc_outgo *out = &s->outgo;
    uint64_t now = jl_now_ns(), next = UINT64_MAX;
    eventfd_t count;

    if (out->max == 0 || eventfd_read(out->timer_fd, &count) < 0)
        return;
    for (struct rpc_call *c = s->calls; c; c = c->next) {
        if (c->outgo.due_ns == 0)
            continue;
        if (c->outgo.due_ns <= now) {
            grpc_call_cancel_with_status(c->call, GRPC_STATUS_DEADLINE_EXCEEDED,
                                         "the answer was not fetched in time", NULL);
            c->outgo.due_ns = 0; /* what is held comes back with the call's operations */
        } else if (c->outgo.due_ns < next) {
            next = c->outgo.due_ns;
        }
    }
    out->next_ns = 0;
    if (next < UINT64_MAX)
        arm(out, next);
}
