/*
 * criu_rpc.h - a conversation with `criu swrk`, which CRIU is when it serves one caller over a
 * socket (SOCK_SEQPACKET) that it was born with. A request goes there; until the response CRIU may
 * notify of what it does, and waits for an answer each time. protobuf-c knows the messages
 * (criu.proto).
 *
 * Source: criu.org/RPC, /CLI (swrk); docs/adr/0017.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "runtime/criu.pb-c.h"

struct jl_err;

#define RT_CRIU_MESSAGE_MAX 8192 /* of CRIU's, bytes: a name or one line of its log, not more */
#define RT_CRIU_MOMENT_SIZE 32

enum rt_criu_said { RT_CRIU_SUCCEEDED, RT_CRIU_FAILED, RT_CRIU_GONE, RT_CRIU_NOTIFIES };

/* What a message of CRIU's says. */
struct rt_criu_message {
    enum rt_criu_said what;
    char moment[RT_CRIU_MOMENT_SIZE]; /* of which it notifies; "": one whose name is too long */
    pid_t pid;                        /* of the first process, as we see it; 0: it does not tell */
};

/* 0, or -EBADMSG when it is none, -ENOMEM. */
int rt_criu_message_parse(const void *data, size_t len, struct rt_criu_message *ret);

/*
 * What is done when CRIU notifies. own_fd: the descriptor that came with it, or -1. 0; or -errno
 * with e filled, which has CRIU give up.
 */
typedef int rt_criu_notified(void *data, const struct rt_criu_message *m, int own_fd,
                             struct jl_err *e);

/*
 * Sends the request, has notifications answered (notified: NULL when none were asked for), and
 * waits for the response. ret_pid: what that tells; 0: nothing. Returns RT_CRIU_SUCCEEDED (0) or
 * RT_CRIU_FAILED; RT_CRIU_GONE when CRIU ended without a response; or -errno with e filled, which
 * is mostly what `notified` said. Blocks as long as CRIU takes.
 */
int rt_criu_talk(int sock, const RtCriu__Request *request, rt_criu_notified *notified, void *data,
                 pid_t *ret_pid, struct jl_err *e);
