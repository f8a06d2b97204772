/* criu_action.c - see criu_action.h. */
#include "runtime/criu_action.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/spawn.h"
#include "runtime/criu.h"
#include "runtime/criu_text.h"
#include "runtime/sync.h"

#define SCRIPT "criu-action"
#define SOCKET "criu-socket"

static void remove_files(int dirfd)
{
    unlinkat(dirfd, SCRIPT, 0);
    unlinkat(dirfd, SOCKET, 0);
}

static int make_files(struct rt_criu_action *a, struct jl_err *e)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    char self[40];

    remove_files(a->dirfd);
    snprintf(self, sizeof self, "/proc/%d/exe", (int) getpid());
    if (symlinkat(self, a->dirfd, SCRIPT) < 0)
        return jl_fail_sys(e, "symlinkat", SCRIPT, "make CRIU's action script");
    snprintf(addr.sun_path, sizeof addr.sun_path, "/proc/self/fd/%d/" SOCKET, a->dirfd);
    a->sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (a->sock < 0 || bind(a->sock, (struct sockaddr *) &addr, sizeof addr) < 0 ||
        listen(a->sock, 1) < 0)
        return jl_fail_sys(e, "bind", SOCKET, "listen to CRIU's action script");
    return 0;
}

int rt_criu_action_add(struct rt_criu *c, int dirfd, rt_criu_then *then, void *data,
                       struct jl_err *e)
{
    char path[64];

    c->action = (struct rt_criu_action){ .then = then, .data = data, .sock = -1, .dirfd = dirfd };
    if (make_files(&c->action, e) < 0)
        return -e->code;
    snprintf(path, sizeof path, "/proc/%d/fd/%d/" SCRIPT, (int) getpid(), dirfd);
    return rt_criu_add(c, "--action-script", path, e);
}

static void answer(struct rt_criu_action *a)
{
    _close_ int sock = accept4(a->sock, NULL, NULL, SOCK_CLOEXEC);
    char text[16];
    ssize_t n = sock < 0 ? -1 : recv(sock, text, sizeof text - 1, 0);
    pid_t pid;

    if (n <= 0)
        return;
    text[n] = '\0';
    pid = rt_criu_pid(text);
    if (pid > 0 && a->then(a->data, pid, &a->err) == 0)
        rt_sync_send(sock, RT_MSG_HOOKS_DONE, -1);
}

int rt_criu_action_serve(struct rt_criu_action *a, pid_t pid, int pidfd)
{
    struct pollfd p[] = { { .fd = a->sock, .events = POLLIN }, { .fd = pidfd, .events = POLLIN } };

    for (;;) {
        if (poll(p, JL_COUNT(p), -1) < 0) {
            if (errno != EINTR)
                break;
            continue;
        }
        if (p[1].revents)
            break;
        answer(a);
    }
    return jl_wait_status(pid);
}

void rt_criu_action_clear(struct rt_criu_action *a)
{
    if (!a->then)
        return;
    jl_close(a->sock);
    remove_files(a->dirfd);
    *a = (struct rt_criu_action){ 0 };
}

bool rt_criu_action_is_us(const char *argv0)
{
    const char *name = strrchr(argv0, '/');

    return name && strcmp(name, "/" SCRIPT) == 0;
}

/* Of the moments that CRIU tells of, only one is ours. */
int rt_criu_action_main(const char *argv0)
{
    const char *moment = getenv("CRTOOLS_SCRIPT_ACTION"), *pid = getenv("CRTOOLS_INIT_PID");
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    struct jl_err ignored = JL_ERR_INIT;
    _close_ int sock = -1;
    int n;

    if (!moment || strcmp(moment, "setup-namespaces") != 0)
        return 0;
    n = snprintf(addr.sun_path, sizeof addr.sun_path, "%.*s" SOCKET,
                 (int) (strrchr(argv0, '/') + 1 - argv0), argv0);
    sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (!pid || sock < 0 || n >= (int) sizeof addr.sun_path ||
        connect(sock, (struct sockaddr *) &addr, sizeof addr) < 0 ||
        send(sock, pid, strlen(pid), MSG_NOSIGNAL) < 0)
        return 1;
    return rt_sync_recv(sock, NULL, &ignored) != RT_MSG_HOOKS_DONE;
}
