/*
 * notify.h - readiness: a container whose caller waits for it (NOTIFY_SOCKET, sd_notify(3)) gets a
 * socket of its own, and what it says there is passed on line by line, known lines only.
 *
 * The socket is in the directory `notify` of the state directory, which the container sees
 * read-only at RT_NOTIFY_DIR. It is bound by whoever relays: `run`, or `start`.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct jl_err;
struct rt_state;

#define RT_NOTIFY_DIR "/run/notify"
#define RT_NOTIFY_ENV "NOTIFY_SOCKET=" RT_NOTIFY_DIR "/notify.sock"
#define RT_NOTIFY_MAX 4096 /* bytes of a message; what is longer is dropped */

struct rt_notify {
    int from;      /* bound for the container; -1: nobody wants to know */
    int to;        /* connected to the caller's socket */
    pid_t mainpid; /* told with READY=1; 0: joblet-run stays the service's process */
};

#define RT_NOTIFY_INIT                                                                             \
    {                                                                                              \
        .from = -1, .to = -1                                                                       \
    }

/* Whether our caller gave a NOTIFY_SOCKET. */
bool rt_notify_wanted(void);

/*
 * What of a message may be passed on: READY=1, RELOADING=1, STOPPING=1, WATCHDOG=1, MONOTONIC_USEC
 * with a number, STATUS with printable text. out: at least len + 1 bytes, gets lines that end in a
 * newline. Returns their length; *ret_ready: READY=1 was among them. Pure.
 */
size_t rt_notify_filter(const char *in, size_t len, char *out, bool *ret_ready);

/* Binds the container's socket in its state directory and connects to the caller's. 0, or -errno
 * with e filled. */
int rt_notify_open(struct rt_notify *n, const struct rt_state *s, struct jl_err *e);

/* One message, if there is one; does not block. true when it said READY=1. */
bool rt_notify_relay(struct rt_notify *n);

/* Relays until READY=1 came or the process has ended. Blocks. */
void rt_notify_wait_ready(struct rt_notify *n, int pidfd);

void rt_notify_close(struct rt_notify *n);
