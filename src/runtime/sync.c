/* sync.c - see sync.h. */
#include "runtime/sync.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

#define HEAD offsetof(struct rt_msg, err)

int rt_sync_pair(int ret_fds[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_fds) < 0 ? -errno : 0;
}

int rt_sync_send(int sock, enum rt_msg_type type, int fd)
{
    struct rt_msg m = { .magic = RT_MSG_MAGIC, .type = type };

    if (fd >= 0)
        return jl_send_fds(sock, &m, HEAD, &fd, 1);
    return send(sock, &m, HEAD, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int rt_sync_send_error(int sock, const struct jl_err *err)
{
    struct rt_msg m = { .magic = RT_MSG_MAGIC, .type = RT_MSG_ERROR, .err = *err };

    return send(sock, &m, sizeof m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* The sender may be a process that something hostile got hold of. */
static void take_error(struct jl_err *dst, const struct jl_err *src)
{
    *dst = *src;
    dst->phase[sizeof dst->phase - 1] = '\0';
    dst->syscall[sizeof dst->syscall - 1] = '\0';
    dst->object[sizeof dst->object - 1] = '\0';
    dst->text[sizeof dst->text - 1] = '\0';
    dst->hint[sizeof dst->hint - 1] = '\0';
    if (dst->code <= 0)
        dst->code = EPROTO;
}

int rt_sync_recv(int sock, int *ret_fd, struct jl_err *err)
{
    struct rt_msg m = { 0 };
    int fd = -1;
    size_t n_fds = 1;
    ssize_t n = jl_recv_fds(sock, &m, sizeof m, &fd, &n_fds);

    if (n == -ECONNRESET) {
        /* The other side ended with a message of ours unread. The kernel tells that first, once;
         * what it said before is still in the queue. */
        n_fds = 1;
        n = jl_recv_fds(sock, &m, sizeof m, &fd, &n_fds);
    }
    if (n <= 0)
        return (int) n;
    if (n_fds == 0)
        fd = -1;
    if ((size_t) n < HEAD || m.magic != RT_MSG_MAGIC || m.type < RT_MSG_HOOKS ||
        m.type > RT_MSG_JOINED || (m.type == RT_MSG_ERROR && (size_t) n != sizeof m)) {
        jl_close(fd);
        return -EPROTO;
    }
    if (m.type == RT_MSG_ERROR)
        take_error(err, &m.err);
    if (ret_fd)
        *ret_fd = fd;
    else
        jl_close(fd);
    return (int) m.type;
}
