/*
 * sync.h - what the runtime outside and the process inside tell each other: one fixed-size message
 * a datagram over a SOCK_SEQPACKET pair (or, between `start` and a waiting init, over the socket
 * `start` in the state directory). Written down in docs/formats/child-message.md.
 *
 * The end of the stream without RT_MSG_ERROR after RT_MSG_EXEC means that the program was
 * executed: the socket is close-on-exec. Before RT_MSG_EXEC it means that the other side died.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"

enum rt_msg_type {
    RT_MSG_HOOKS = 1,  /* child: the namespaces are there; run prestart and createRuntime hooks */
    RT_MSG_READY,      /* child: everything is set up; waits to be started */
    RT_MSG_TTY,        /* child: the terminal's master comes with this message */
    RT_MSG_EXEC,       /* child: executes the program next */
    RT_MSG_ERROR,      /* child: it failed; err says how */
    RT_MSG_MAPPED,     /* parent: id maps, idmapped mounts and network devices are in place */
    RT_MSG_HOOKS_DONE, /* parent: the hooks have run */
    RT_MSG_GO,         /* parent, or `start`: execute the program */
    RT_MSG_LISTENER,   /* child: its filter is loaded, the listener comes with it; waits for GO */
    RT_MSG_JOINED,     /* child: it is in the unit's group in all hierarchies; on cgroup v1 alone */
};

#define RT_MSG_MAGIC 0x6a6c7231u /* "jlr1" */

struct rt_msg {
    uint32_t magic;
    uint32_t type;     /* enum rt_msg_type */
    struct jl_err err; /* only RT_MSG_ERROR carries it */
};

/* A close-on-exec pair. 0 or -errno. */
int rt_sync_pair(int ret_fds[2]);

/* Sends. fd >= 0 goes along. 0 or -errno; never raises SIGPIPE. */
int rt_sync_send(int sock, enum rt_msg_type type, int fd);
int rt_sync_send_error(int sock, const struct jl_err *err);

/*
 * Receives one message; ret_fd (may be NULL) gets the descriptor that came with it, or -1.
 * Returns the type (> 0), 0 at the end of the stream, or -errno; -EPROTO for what is no message.
 * For RT_MSG_ERROR, *err is filled. Blocks.
 */
int rt_sync_recv(int sock, int *ret_fd, struct jl_err *err);
