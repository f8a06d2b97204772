/* hooks.c - see hooks.h. */
#include "runtime/hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/spawn.h"
#include "os/pidfd.h"

#define TAIL_MAX 160 /* bytes of a failed hook's standard error in the message */

/* Waits for its end or its timeout; returns the exit status as a shell has it, or -ETIME. */
static int wait_hook(pid_t pid, int pidfd, int64_t timeout_s)
{
    int timeout = timeout_s > 0 && timeout_s < INT32_MAX / 1000 ? (int) timeout_s * 1000 : -1;

    if (os_pidfd_wait_end(pidfd, timeout) == 0) {
        os_pidfd_signal(pidfd, SIGKILL);
        jl_wait_status(pid);
        return -ETIME;
    }
    return jl_wait_status(pid);
}

/* The last line or two of what it said. */
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
}

static int run_one(const struct oci_hook *h, const char *name, size_t i, int state_fd,
                   struct jl_err *e)
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
    r = wait_hook(pid, pidfd, h->has_timeout ? h->timeout : 0);
    if (r == 0)
        return 0;
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

int rt_hooks_run(struct oci_hook *const *hooks, size_t n, const char *name,
                 const struct rt_state *s, enum rt_status status, struct jl_err *e)
{
    _close_ int fd = n > 0 ? state_document(s, status, name, e) : -1;

    if (n > 0 && fd < 0)
        return fd;
    for (size_t i = 0; i < n; i++)
        if (run_one(hooks[i], name, i, fd, e) < 0)
            return jl_phase(e, "hooks");
    return 0;
}

void rt_hooks_run_all(struct oci_hook *const *hooks, size_t n, const char *name,
                      const struct rt_state *s, enum rt_status status, struct jl_err *e)
{
    struct jl_err err = JL_ERR_INIT;
    _close_ int fd = n > 0 ? state_document(s, status, name, &err) : -1;

    for (size_t i = 0; i < n && fd >= 0; i++) {
        struct jl_err one = JL_ERR_INIT;

        if (run_one(hooks[i], name, i, fd, &one) < 0 && err.code == 0)
            err = one;
    }
    if (err.code != 0) {
        *e = err;
        jl_phase(e, "hooks");
    }
}
