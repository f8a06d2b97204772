/*
 * loop.h - the event loop of core, shim and runtime: epoll with descriptor and timer sources,
 * signals through a signalfd. One thread; Linux only (rnx and front do not use it).
 *
 * A source sits inside its owner; the callback finds the owner with JL_CONTAINER. A callback may
 * remove any source, its own too. Remove a source before closing its descriptor: epoll watches
 * the open file, not the number.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct jl_loop;
struct jl_source;
struct jl_timer;

/* ready: EPOLL* bits. A negative return ends jl_loop_run with that value. */
typedef int (*jl_source_fn)(struct jl_source *src, uint32_t ready);
typedef int (*jl_timer_fn)(struct jl_timer *timer);

struct jl_source {
    int fd; /* borrowed */
    jl_source_fn fn;
    bool added;
};

struct jl_timer {
    uint64_t due_ns; /* CLOCK_MONOTONIC; meaningful while armed */
    jl_timer_fn fn;
    struct jl_timer *next;
    bool armed;
};

/* A loop, or NULL with errno set. */
struct jl_loop *jl_loop_new(void);
void jl_loop_free(struct jl_loop *loop); /* NULL is fine; closes no source's descriptor */

/* Watches fd for `events` (EPOLLIN, ...). 0 or -errno. */
int jl_loop_add(struct jl_loop *loop, struct jl_source *src, int fd, uint32_t events,
                jl_source_fn fn);
int jl_loop_change(struct jl_loop *loop, struct jl_source *src, uint32_t events);
void jl_loop_del(struct jl_loop *loop, struct jl_source *src); /* not added: nothing happens */

/* Calls fn once at due_ns (absolute). Arming again moves the time. */
void jl_loop_arm(struct jl_loop *loop, struct jl_timer *timer, uint64_t due_ns, jl_timer_fn fn);
void jl_loop_disarm(struct jl_loop *loop, struct jl_timer *timer);

/* Runs until jl_loop_stop or a callback's negative return; that value is the result. */
int jl_loop_run(struct jl_loop *loop);
/* Ends jl_loop_run with `result` once the current callbacks are done. Returns 0. */
int jl_loop_stop(struct jl_loop *loop, int result);

/* Blocks the signals of the set in this process and returns a signalfd for them, or -errno. */
int jl_signalfd(const sigset_t *set);
