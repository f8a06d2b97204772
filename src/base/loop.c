/*
 * loop.c - see loop.h.
 *
 * Timers are a list sorted by due time: an owner has a handful. Events of one epoll_wait whose
 * source was removed by an earlier callback of the same round are dropped by jl_loop_del, which
 * blanks them in the round's array.
 */
#include "base/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define ROUND 32

struct jl_loop {
    int epoll_fd;
    struct jl_timer *timers;
    struct epoll_event round[ROUND];
    int n_round;
    bool stopped;
    int result;
};

struct jl_loop *jl_loop_new(void)
{
    struct jl_loop *loop = calloc(1, sizeof *loop);

    if (!loop)
        return NULL;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        free(loop);
        return NULL;
    }
    return loop;
}

void jl_loop_free(struct jl_loop *loop)
{
    if (!loop)
        return;
    jl_close(loop->epoll_fd);
    free(loop);
}

int jl_loop_add(struct jl_loop *loop, struct jl_source *src, int fd, uint32_t events,
                jl_source_fn fn)
{
    struct epoll_event ev = { .events = events, .data = { .ptr = src } };

    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
        return -errno;
    src->fd = fd;
    src->fn = fn;
    src->added = true;
    return 0;
}

int jl_loop_change(struct jl_loop *loop, struct jl_source *src, uint32_t events)
{
    struct epoll_event ev = { .events = events, .data = { .ptr = src } };

    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, src->fd, &ev) < 0 ? -errno : 0;
}

void jl_loop_del(struct jl_loop *loop, struct jl_source *src)
{
    if (!src->added)
        return;
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, src->fd, NULL);
    src->added = false;
    for (int i = 0; i < loop->n_round; i++)
        if (loop->round[i].data.ptr == src)
            loop->round[i].data.ptr = NULL;
}

void jl_loop_arm(struct jl_loop *loop, struct jl_timer *timer, uint64_t due_ns, jl_timer_fn fn)
{
    struct jl_timer **at = &loop->timers;

    jl_loop_disarm(loop, timer);
    timer->due_ns = due_ns;
    timer->fn = fn;
    while (*at && (*at)->due_ns <= due_ns)
        at = &(*at)->next;
    timer->next = *at;
    *at = timer;
    timer->armed = true;
}

void jl_loop_disarm(struct jl_loop *loop, struct jl_timer *timer)
{
    if (!timer->armed)
        return;
    for (struct jl_timer **at = &loop->timers; *at; at = &(*at)->next)
        if (*at == timer) {
            *at = timer->next;
            break;
        }
    timer->armed = false;
}

static int wait_ms(const struct jl_loop *loop)
{
    uint64_t now, left;

    if (!loop->timers)
        return -1;
    now = jl_now_ns();
    if (loop->timers->due_ns <= now)
        return 0;
    left = (loop->timers->due_ns - now + JL_NS_PER_MS - 1) / JL_NS_PER_MS;
    return left > 3600000 ? 3600000 : (int) left;
}

static int run_timers(struct jl_loop *loop)
{
    uint64_t now = jl_now_ns();

    while (loop->timers && loop->timers->due_ns <= now) {
        struct jl_timer *t = loop->timers;
        int r;

        jl_loop_disarm(loop, t);
        r = t->fn(t);
        if (r < 0)
            return r;
    }
    return 0;
}

static int run_sources(struct jl_loop *loop)
{
    int r = 0;

    for (int i = 0; i < loop->n_round && r >= 0; i++) {
        struct jl_source *src = loop->round[i].data.ptr;

        if (src)
            r = src->fn(src, loop->round[i].events);
    }
    loop->n_round = 0;
    return r < 0 ? r : 0;
}

int jl_loop_run(struct jl_loop *loop)
{
    loop->stopped = false;
    while (!loop->stopped) {
        int n = epoll_wait(loop->epoll_fd, loop->round, ROUND, wait_ms(loop));
        int r;

        if (n < 0 && errno != EINTR)
            return -errno;
        loop->n_round = n > 0 ? n : 0;
        r = run_sources(loop);
        if (r < 0)
            return r;
        r = run_timers(loop);
        if (r < 0)
            return r;
    }
    return loop->result;
}

int jl_loop_stop(struct jl_loop *loop, int result)
{
    loop->stopped = true;
    loop->result = result;
    return 0;
}

int jl_signalfd(const sigset_t *set)
{
    int fd;

    if (sigprocmask(SIG_BLOCK, set, NULL) < 0)
        return -errno;
    fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}
