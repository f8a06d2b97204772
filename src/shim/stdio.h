/*
 * stdio.h - the job's standard streams: two pipes, or one terminal, read into the log as they
 * come. Nobody who reads the log can slow this down.
 *
 * Until the runtime has said that the job runs, what comes is held back, because a runtime that
 * fails writes its own words to the same descriptors; sh_stdio_release or sh_stdio_tail decides.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "ipc/joblog.h"

struct jl_err;
struct sh_log;

#define SH_STREAMS 2 /* stdout or the terminal, stderr */

struct sh_stream {
    struct jl_source src;
    struct sh_stdio *owner;
    int fd; /* our end, non-blocking; -1 when it has ended */
    enum ipc_log_stream kind;
    uint32_t held; /* bytes held back, in the stream's part of the buffer */
};

struct sh_stdio {
    struct jl_loop *loop;
    struct sh_log *log;
    struct sh_stream streams[SH_STREAMS];
    struct jl_source console_src; /* terminal: where the runtime hands over the master */
    int console_fd;
    bool holding;
    bool discard; /* the job never ran: nothing that still comes is its output */
};

/* Makes the pipes: ret_child holds the job's ends of stdout and
 * stderr, which the caller passes on and closes. 0, or -errno with e filled. */
int sh_stdio_pipes(struct sh_stdio *io, struct jl_loop *loop, struct sh_log *log,
                   int ret_child[SH_STREAMS], struct jl_err *e);

/* Terminal instead, after sh_stdio_pipes: listens at `path`, where the runtime sends the master
 * (OCI console socket). The runtime's own output still comes through a pipe. 0, or -errno with e
 * filled. */
int sh_stdio_console(struct sh_stdio *io, const char *path, int child[SH_STREAMS],
                     struct jl_err *e);

/* The job runs: what was held is its output. */
void sh_stdio_release(struct sh_stdio *io);

/* The runtime failed: the last bytes that were held, as text of at most size - 1 bytes; blank
 * for what does not print. They do not go to the log. */
void sh_stdio_tail(struct sh_stdio *io, char *buf, size_t size);

/* Takes all that is there now, whoever still holds the other end, and closes. */
void sh_stdio_drain(struct sh_stdio *io);
