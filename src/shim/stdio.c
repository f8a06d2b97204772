/* stdio.c - see stdio.h. */
#include "shim/stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "shim/logfile.h"

#define HOLD_BYTES (IPC_LOG_CHUNK_MAX / SH_STREAMS)
/* A pipe holds at most fs.pipe-max-size (1 MiB) unless root inside raised it: when the job is
 * gone, more than this is not the job's but comes from somebody who got hold of the pipe. */
#define DRAIN_MAX (16u << 20)

/* Room for a job that prints while we are not running; pages are only taken when they are used. */
#define PIPE_BYTES (256 * 1024)

/* One reader, one buffer; pages of it that were never needed cost nothing. */
static uint8_t buffer[IPC_LOG_CHUNK_MAX];

static uint8_t *hold_of(const struct sh_stream *s)
{
    return buffer + (s - s->owner->streams) * HOLD_BYTES;
}

static void stream_end(struct sh_stream *s)
{
    if (s->fd < 0)
        return;
    jl_loop_del(s->owner->loop, &s->src);
    s->fd = jl_close(s->fd);
}

static void flush_held(struct sh_stream *s)
{
    if (s->held > 0 && !s->owner->discard)
        sh_log_append(s->owner->log, s->kind, hold_of(s), s->held);
    s->held = 0;
}

/* A read of a pipe or terminal: bytes, 0 at the end, -EAGAIN when there is nothing now. */
static ssize_t read_some(int fd, void *p, size_t size)
{
    ssize_t n;

    do
        n = read(fd, p, size);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return -EAGAIN;
    return n < 0 ? 0 : n; /* EIO: the last slave of a terminal is closed */
}

/* The runtime may block on a pipe that nobody reads: more than fits is taken for the job's. */
static ssize_t read_held(struct sh_stream *s)
{
    ssize_t n;

    if (s->held == HOLD_BYTES)
        flush_held(s);
    n = read_some(s->fd, hold_of(s) + s->held, HOLD_BYTES - s->held);
    if (n > 0)
        s->held += (uint32_t) n;
    return n;
}

static ssize_t pump(struct sh_stream *s)
{
    ssize_t n;

    if (s->owner->holding)
        return read_held(s);
    n = read_some(s->fd, buffer, sizeof buffer);
    if (n > 0)
        sh_log_append(s->owner->log, s->kind, buffer, (size_t) n);
    return n;
}

static int on_stream(struct jl_source *src, uint32_t ready)
{
    struct sh_stream *s = JL_CONTAINER(src, struct sh_stream, src);

    (void) ready; /* hang-up and data alike: read tells */
    if (pump(s) == 0)
        stream_end(s);
    return 0;
}

static int stream_start(struct sh_stdio *io, size_t i, enum ipc_log_stream kind, int own_fd,
                        struct jl_err *e)
{
    struct sh_stream *s = &io->streams[i];
    int flags = fcntl(own_fd, F_GETFL), r;

    s->owner = io;
    s->kind = kind;
    s->fd = own_fd;
    if (flags < 0 || fcntl(own_fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return jl_fail_sys(e, "fcntl", "O_NONBLOCK", "watch the job's output");
    r = jl_loop_add(io->loop, &s->src, own_fd, EPOLLIN, on_stream);
    if (r < 0)
        return jl_fail(e, -r, "watch the job's output");
    return 0;
}

int sh_stdio_pipes(struct sh_stdio *io, struct jl_loop *loop, struct sh_log *log,
                   int ret_child[SH_STREAMS], struct jl_err *e)
{
    static const enum ipc_log_stream kinds[SH_STREAMS] = { IPC_LOG_STDOUT, IPC_LOG_STDERR };

    *io = (struct sh_stdio){ .loop = loop, .log = log, .console_fd = -1, .holding = true };
    for (size_t i = 0; i < SH_STREAMS; i++)
        io->streams[i].fd = ret_child[i] = -1;
    for (size_t i = 0; i < SH_STREAMS; i++) {
        int ends[2], r;

        if (pipe2(ends, O_CLOEXEC) < 0)
            return jl_fail_sys(e, "pipe2", NULL, "make the job's output pipes");
        fcntl(ends[0], F_SETPIPE_SZ, PIPE_BYTES); /* refused: then the usual 64 KiB */
        ret_child[i] = ends[1];
        r = stream_start(io, i, kinds[i], ends[0], e);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Without this a line ends in "\r\n" in the log. Not being able to is no reason to fail. */
static void plain_newlines(int master)
{
    struct termios t;

    if (tcgetattr(master, &t) < 0)
        return;
    t.c_oflag &= ~(tcflag_t) ONLCR;
    tcsetattr(master, TCSANOW, &t);
}

static void console_close(struct sh_stdio *io)
{
    jl_loop_del(io->loop, &io->console_src);
    io->console_fd = jl_close(io->console_fd);
}

/* The runtime has connected: one message, whose descriptor is the master. It sends at once, so
 * the wait is short; the timeout is for a runtime that does not keep to that. */
static int on_console(struct jl_source *src, uint32_t ready)
{
    struct sh_stdio *io = JL_CONTAINER(src, struct sh_stdio, console_src);
    struct timeval limit = { .tv_sec = 5 };
    _close_ int conn = accept4(io->console_fd, NULL, NULL, SOCK_CLOEXEC);
    int master = -1;
    size_t n_fds = 1;
    char name[4096];
    struct jl_err e;

    (void) ready;
    if (conn < 0)
        return 0;
    setsockopt(conn, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (jl_recv_fds(conn, name, sizeof name, &master, &n_fds) < 0 || n_fds != 1)
        return 0;
    console_close(io);
    plain_newlines(master);
    if (stream_start(io, 0, IPC_LOG_STDOUT, master, &e) < 0)
        stream_end(&io->streams[0]);
    return 0;
}

/* The pipes are for the runtime's own words alone then, and one is enough. */
static int one_pipe(struct sh_stdio *io, int child[SH_STREAMS], struct jl_err *e)
{
    stream_end(&io->streams[0]);
    jl_close(child[0]);
    child[0] = fcntl(child[1], F_DUPFD_CLOEXEC, 3);
    return child[0] < 0 ? jl_fail_sys(e, "fcntl", "F_DUPFD_CLOEXEC", "terminal") : 0;
}

int sh_stdio_console(struct sh_stdio *io, const char *path, int child[SH_STREAMS], struct jl_err *e)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    size_t len = strlen(path);
    int r;

    if (len >= sizeof addr.sun_path)
        return jl_refuse(e, ENAMETOOLONG,
                         "terminal: path of the console socket '%s' has %zu "
                         "bytes, limit is %zu",
                         path, len, sizeof addr.sun_path - 1);
    memcpy(addr.sun_path, path, len + 1);
    io->console_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (io->console_fd < 0)
        return jl_fail_sys(e, "socket", NULL, "terminal: console socket");
    if (bind(io->console_fd, (struct sockaddr *) &addr, sizeof addr) < 0)
        return jl_fail_sys(e, "bind", path, "terminal: console socket");
    if (listen(io->console_fd, 1) < 0)
        return jl_fail_sys(e, "listen", path, "terminal: console socket");
    r = jl_loop_add(io->loop, &io->console_src, io->console_fd, EPOLLIN, on_console);
    if (r < 0)
        return jl_fail(e, -r, "terminal: watch the console socket");
    return one_pipe(io, child, e);
}

void sh_stdio_release(struct sh_stdio *io)
{
    for (size_t i = 0; i < SH_STREAMS; i++)
        flush_held(&io->streams[i]);
    io->holding = false;
    if (io->console_fd >= 0)
        console_close(io);
}

void sh_stdio_tail(struct sh_stdio *io, char *buf, size_t size)
{
    const struct sh_stream *s = &io->streams[SH_STREAMS - 1]; /* stderr */
    size_t n, from;

    for (size_t i = 0; i < SH_STREAMS; i++)
        while (io->streams[i].fd >= 0 && io->streams[i].held < HOLD_BYTES &&
               read_held(&io->streams[i]) > 0)
            ;
    if (s->held == 0)
        s = &io->streams[0];
    n = s->held;
    while (n > 0 && hold_of(s)[n - 1] == '\n')
        n--;
    from = n >= size ? n - (size - 1) : 0;
    for (size_t i = from; i < n; i++) {
        uint8_t b = hold_of(s)[i];

        buf[i - from] = b < 0x20 || b == 0x7f ? ' ' : (char) b;
    }
    buf[n - from] = '\0';
    for (size_t i = 0; i < SH_STREAMS; i++)
        io->streams[i].held = 0;
}

void sh_stdio_drain(struct sh_stdio *io)
{
    for (size_t i = 0; i < SH_STREAMS; i++) {
        struct sh_stream *s = &io->streams[i];
        size_t total = 0;
        ssize_t n = 1;

        while (s->fd >= 0 && n > 0 && total < DRAIN_MAX) {
            n = pump(s);
            total += n > 0 ? (size_t) n : 0;
        }
        stream_end(s);
    }
    if (io->console_fd >= 0)
        console_close(io);
}
