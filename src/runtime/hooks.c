/* hooks.c - see hooks.h. */
#include "runtime/hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/spawn.h"
#include "os/pidfd.h"

#define TAIL_MAX 320 /* bytes of a failed hook's standard error in the message */

/* What may end the waiting for a hook; -1: nothing does. */
struct interrupts {
    int fd;  /* a signalfd */
    int *by; /* gets the signal */
};

/* 1 ended, 0 the deadline passed (0: there is none), -EINTR a signal came, -errno. */
static int wait_for_end(int pidfd, uint64_t deadline, const struct interrupts *in)
{
    struct pollfd p[] = { { .fd = pidfd, .events = POLLIN }, { .fd = in->fd, .events = POLLIN } };
    struct signalfd_siginfo si;

    for (;;) {
        uint64_t now = deadline ? jl_now_ns() : 0;
        uint64_t left_ms = deadline > now ? (deadline - now) / JL_NS_PER_MS + 1 : 0;

        if (deadline && now >= deadline)
            return 0;
        if (poll(p, JL_COUNT(p),
                 !deadline             ? -1
                 : left_ms < INT32_MAX ? (int) left_ms
                                       : INT32_MAX) < 0 &&
            errno != EINTR)
            return -errno;
        if (p[0].revents)
            return 1;
        if (p[1].revents && read(in->fd, &si, sizeof si) == sizeof si) {
            *in->by = (int) si.ssi_signo;
            return -EINTR;
        }
    }
}

/* Waits for its end or its timeout; returns the exit status as a shell has it, -ETIME, or -EINTR:
 * it was killed then. */
static int wait_hook(pid_t pid, int pidfd, int64_t timeout_s, const struct interrupts *in)
{
    uint64_t deadline = timeout_s > 0 && timeout_s < INT32_MAX
                            ? jl_now_ns() + (uint64_t) timeout_s * JL_NS_PER_S
                            : 0;
    int r = wait_for_end(pidfd, deadline, in);

    if (r == 1)
        return jl_wait_status(pid);
    os_pidfd_signal(pidfd, SIGKILL);
    jl_wait_status(pid);
    return r == 0 ? -ETIME : r;
}

/* The last lines of what it said, whole ones if there are any. */
static void read_tail(int fd, char *tail, size_t size)
{
    off_t end = lseek(fd, 0, SEEK_END);
    off_t from = end > (off_t) size - 1 ? end - (off_t) (size - 1) : 0;
    ssize_t n = end < 0 ? 0 : pread(fd, tail, size - 1, from);

    if (n < 0)
        n = 0;
    while (n > 0 && tail[n - 1] == '\n')
        n--;
    tail[n] = '\0';
    if (from > 0 && strchr(tail, '\n'))
        memmove(tail, strchr(tail, '\n') + 1, strlen(strchr(tail, '\n')));
    for (char *p = strchr(tail, '\n'); p; p = strchr(p, '\n'))
        *p = '|'; /* an error is one line */
}

static int run_one(const struct oci_hook *h, const char *name, size_t i, int state_fd,
                   const struct interrupts *in, struct jl_err *e)
{
    char *no_env[] = { NULL };
    char *only_path[] = { h->path, NULL };
    _close_ int err = memfd_create("hook-stderr", MFD_CLOEXEC);
    struct jl_spawn_fd fds[] = { { state_fd, 0 }, { err, 2 } };
    struct jl_spawn s = JL_SPAWN_INIT;
    _close_ int pidfd = -1;
    char tail[TAIL_MAX];
    pid_t pid;
    int r;

    if (err < 0)
        return jl_fail_sys(e, "memfd_create", NULL, "hooks.%s[%zu]", name, i);
    lseek(state_fd, 0, SEEK_SET);
    s.path = h->path;
    s.argv = h->n_args > 0 ? h->args : only_path;
    s.envp = h->n_env > 0 ? h->env : no_env;
    s.fds = fds;
    s.n_fds = JL_COUNT(fds);
    r = jl_spawn(&s, &pid, &pidfd, e);
    if (r < 0)
        return jl_wrap(e, "hooks.%s[%zu]", name, i);
    r = wait_hook(pid, pidfd, h->has_timeout ? h->timeout : 0, in);
    if (r == 0)
        return 0;
    if (r == -EINTR)
        return jl_refuse(e, EINTR, "hooks.%s[%zu]: '%s' was ended by signal %d to joblet-run", name,
                         i, h->path, *in->by);
    if (r < 0 && r != -ETIME)
        return jl_fail(e, -r, "hooks.%s[%zu]: wait for '%s'", name, i, h->path);
    read_tail(err, tail, sizeof tail);
    if (r == -ETIME)
        return jl_refuse(e, ETIME,
                         "hooks.%s[%zu]: '%s' did not end within %lld s and was killed%s%s", name,
                         i, h->path, (long long) h->timeout, *tail ? ": " : "", tail);
    return jl_refuse(e, ECANCELED, "hooks.%s[%zu]: '%s' failed with exit status %d%s%s", name, i,
                     h->path, r, *tail ? ": " : "", tail);
}

static int state_document(const struct rt_state *s, enum rt_status status, const char *name,
                          struct jl_err *e)
{
    _buf_ struct jl_buf json = JL_BUF_INIT((size_t) 4 << 20);
    int r = rt_state_json(s, status, false, &json, e);

    if (r < 0)
        return r;
    r = jl_sealed_memfd("state", json.data, json.len);
    return r < 0 ? jl_fail(e, -r, "hooks.%s: write the state", name) : r;
}

int rt_hooks_run_until(struct oci_hook *const *hooks, size_t n, const char *name,
                       const struct rt_state *s, enum rt_status status, int signals,
                       int *ret_signal, struct jl_err *e)
{
    const struct interrupts in = { signals, ret_signal };
    _close_ int fd = n > 0 ? state_document(s, status, name, e) : -1;

    if (n > 0 && fd < 0)
        return fd;
    for (size_t i = 0; i < n; i++)
        if (run_one(hooks[i], name, i, fd, &in, e) < 0)
            return jl_phase(e, "hooks");
    return 0;
}

int rt_hooks_run(struct oci_hook *const *hooks, size_t n, const char *name,
                 const struct rt_state *s, enum rt_status status, struct jl_err *e)
{
    return rt_hooks_run_until(hooks, n, name, s, status, -1, NULL, e);
}

void rt_hooks_run_all(struct oci_hook *const *hooks, size_t n, const char *name,
                      const struct rt_state *s, enum rt_status status, struct jl_err *e)
{
    const struct interrupts none = { -1, NULL };
    struct jl_err err = JL_ERR_INIT;
    _close_ int fd = n > 0 ? state_document(s, status, name, &err) : -1;

    for (size_t i = 0; i < n && fd >= 0; i++) {
        struct jl_err one = JL_ERR_INIT;

        if (run_one(hooks[i], name, i, fd, &none, &one) < 0 && err.code == 0)
            err = one;
    }
    if (err.code != 0) {
        *e = err;
        jl_phase(e, "hooks");
    }
}
