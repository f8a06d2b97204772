/* notify.c - see notify.h. */
#include "runtime/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "runtime/state.h"

#define STATUS_MAX 512

bool rt_notify_wanted(void)
{
    const char *path = getenv("NOTIFY_SOCKET");

    return path && *path;
}

static bool is_word(const char *line, size_t len, const char *word)
{
    return strlen(word) == len && memcmp(line, word, len) == 0;
}

/* The length of NAME= when the line begins so, or 0. */
static size_t begins(const char *line, size_t len, const char *name)
{
    size_t n = strlen(name);

    return len > n && memcmp(line, name, n) == 0 ? n : 0;
}

static bool may_pass(const char *line, size_t len)
{
    static const char *const words[] = { "READY=1", "RELOADING=1", "STOPPING=1", "WATCHDOG=1" };
    size_t n;

    for (size_t i = 0; i < JL_COUNT(words); i++)
        if (is_word(line, len, words[i]))
            return true;
    n = begins(line, len, "MONOTONIC_USEC=");
    if (n > 0) {
        for (size_t i = n; i < len; i++)
            if (line[i] < '0' || line[i] > '9')
                return false;
        return len - n <= 20;
    }
    if (begins(line, len, "STATUS=") == 0 || len > STATUS_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char) line[i] < ' ' || line[i] == 0x7f)
            return false;
    return true;
}

size_t rt_notify_filter(const char *in, size_t len, char *out, bool *ret_ready)
{
    size_t n = 0;

    *ret_ready = false;
    while (len > 0) {
        const char *end = memchr(in, '\n', len);
        size_t line = end ? (size_t) (end - in) : len, used = end ? line + 1 : line;

        if (may_pass(in, line)) {
            *ret_ready = *ret_ready || is_word(in, line, "READY=1");
            memcpy(out + n, in, line);
            n += line;
            out[n++] = '\n';
        }
        in += used;
        len -= used;
    }
    return n;
}

static int connect_caller(struct jl_err *e)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    const char *path = getenv("NOTIFY_SOCKET");
    size_t len = strlen(path);
    _close_ int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (sock < 0)
        return jl_fail_sys(e, "socket", NULL, "connect to NOTIFY_SOCKET");
    if ((*path != '/' && *path != '@') || len >= sizeof addr.sun_path) {
        jl_refuse(e, EINVAL, "NOTIFY_SOCKET: '%.64s' is neither a path nor an abstract name", path);
        return jl_hint(e, "leave it out of the environment when nobody waits for the container");
    }
    memcpy(addr.sun_path, path, len);
    if (*path == '@')
        addr.sun_path[0] = '\0';
    if (connect(sock, (struct sockaddr *) &addr,
                (socklen_t) (offsetof(struct sockaddr_un, sun_path) + len + (*path == '/'))) < 0)
        return jl_fail_sys(e, "connect", path, "connect to NOTIFY_SOCKET");
    return jl_take_fd(&sock);
}

int rt_notify_open(struct rt_notify *n, const struct rt_state *s, struct jl_err *e)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    _close_ int sock = -1;
    _close_ int dir = openat(s->dirfd, "notify", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int to = dir < 0 ? -errno : connect_caller(e);

    if (dir < 0)
        return jl_fail_sys(e, "openat", "notify", "make the container's notify socket");
    if (to < 0)
        return to;
    n->to = to;
    snprintf(addr.sun_path, sizeof addr.sun_path, "/proc/self/fd/%d/notify.sock", dir);
    unlinkat(dir, "notify.sock", 0); /* of a start that failed */
    sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (sock < 0 || bind(sock, (struct sockaddr *) &addr, sizeof addr) < 0)
        return jl_fail_sys(e, "bind", "notify.sock", "make the container's notify socket");
    /* by whatever user the container runs; nobody else gets to this directory */
    if (fchmodat(dir, "notify.sock", 0666, 0) < 0)
        return jl_fail_sys(e, "fchmodat", "notify.sock", "make the container's notify socket");
    n->from = jl_take_fd(&sock);
    return 0;
}

bool rt_notify_relay(struct rt_notify *n)
{
    char in[RT_NOTIFY_MAX], out[RT_NOTIFY_MAX + 64];
    /* No room for control messages: descriptors that come along are closed by the kernel. */
    ssize_t got = recv(n->from, in, sizeof in, MSG_TRUNC | MSG_DONTWAIT);
    bool ready;
    size_t len;

    if (got <= 0 || (size_t) got > sizeof in)
        return false;
    len = rt_notify_filter(in, (size_t) got, out, &ready);
    if (ready && n->mainpid > 0)
        len += (size_t) snprintf(out + len, sizeof out - len, "MAINPID=%d\n", (int) n->mainpid);
    if (len > 0)
        send(n->to, out, len, MSG_NOSIGNAL); /* a caller that went away wants to know no more */
    return ready;
}

void rt_notify_wait_ready(struct rt_notify *n, int pidfd)
{
    struct pollfd p[] = { { .fd = n->from, .events = POLLIN }, { .fd = pidfd, .events = POLLIN } };

    while (n->from >= 0) {
        if (poll(p, JL_COUNT(p), -1) < 0 && errno != EINTR)
            return;
        if (p[0].revents && rt_notify_relay(n))
            return;
        if (!p[0].revents && p[1].revents)
            return;
    }
}

void rt_notify_close(struct rt_notify *n)
{
    n->from = jl_close(n->from);
    n->to = jl_close(n->to);
}
