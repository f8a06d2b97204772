/* ending.c - see ending.h. */
#include "runtime/ending.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/spawn.h"
#include "os/exits.h"
#include "os/pidfd.h"
#include "runtime/launch.h"

#define LOOK_EVERY_MS 1000

int rt_ending_learn(struct rt_state *s, int pidfd)
{
    int status, r = -ENODATA;

    if (s->exited)
        return 0;
    if (s->pid > 0)
        r = os_pid_exit_status(s->pid, s->start_ticks, &status);
    if (r < 0 && pidfd >= 0)
        r = os_pidfd_exit_status(pidfd, &status);
    if (r < 0)
        return -ENODATA;
    s->exited = true;
    s->exit_status = status;
    return 0;
}

int rt_ending_record(const struct rt_state *s, int status, struct jl_err *e)
{
    _close_ int fd = openat(s->dirfd, "record", O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
    char line[128], now[JL_RFC3339_MAX];
    int len, r;

    if (fd < 0)
        return jl_fail_sys(e, "openat", "record", "record the end of container '%s'", s->id);
    len = snprintf(line, sizeof line, "{\"waitStatus\":%d,\"finished\":\"%s\"}\n", status,
                   jl_rfc3339(jl_wall_ns(), 9, now));
    r = jl_write_all(fd, line, (size_t) len);
    if (r == 0 && fdatasync(fd) < 0)
        r = -errno;
    return r < 0 ? jl_fail(e, -r, "record the end of container '%s'", s->id) : 0;
}

/* Without the caller's pipes, which somebody may read to their end, and its signals. */
static void leave_caller(int *keep, size_t n_keep)
{
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    sigset_t none;

    setsid();
    for (int fd = 0; fd < 3; fd++)
        if (null_fd < 0 || dup2(null_fd, fd) < 0)
            close(fd);
    rt_close_all_but(0, keep, n_keep);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_NAME, "joblet-exit", 0, 0, 0);
    if (chdir("/") < 0)
        return; /* it keeps a file system busy, no more */
}

/*
 * A zombie tells at once, if we may know; after its parent's wait the kernel does, since Linux 6.15,
 * and before that the process connector, if we may listen to it; else nobody.
 */
static void learn(struct rt_state *s, int pidfd, int exits)
{
    /* POLLHUP tells of the wait, since Linux 6.9 */
    struct pollfd p[] = { { .fd = pidfd, .events = 0 }, { .fd = exits, .events = POLLIN } };

    for (bool last = false; rt_ending_learn(s, pidfd) < 0; last = rt_state_has_ended(s)) {
        s->exited = exits >= 0 && os_exits_read(exits, &s->exit_status) == 0;
        if (s->exited || (last && exits < 0))
            return;
        p[0].fd = last ? -1 : pidfd; /* what the connector has to say comes a moment later */
        if (poll(p, JL_COUNT(p), LOOK_EVERY_MS) == 0 && last)
            return;
    }
}

_Noreturn static void watch(const struct rt_state *made, int pidfd, int exits)
{
    /* of its own: ours has the lock, which would stay with it */
    int dirfd = openat(made->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int keep[] = { pidfd, dirfd, exits };
    struct rt_state s = { .dirfd = dirfd,
                          .record = -1,
                          .id = made->id,
                          .pid = made->pid,
                          .start_ticks = made->start_ticks };
    struct jl_err ignored = JL_ERR_INIT;

    leave_caller(keep, JL_COUNT(keep));
    os_pidfd_wait_end(pidfd, -1);
    learn(&s, pidfd, exits);
    if (s.exited)
        rt_ending_record(&s, s.exit_status, &ignored);
    os_exits_close(exits);
    _exit(0);
}

/* 0, or an errno. */
static int start_watcher(const struct rt_state *s, int pidfd, int exits)
{
    pid_t middle = fork();
    int r;

    if (middle < 0)
        return errno;
    if (middle == 0) {
        pid_t watcher = fork(); /* nobody's child, so that nobody need wait for it */

        if (watcher == 0)
            watch(s, pidfd, exits);
        _exit(watcher < 0 ? errno : 0);
    }
    r = jl_wait_status(middle);
    return r < 0 ? -r : r;
}

int rt_ending_watch(const struct rt_state *s, int pidfd, struct jl_err *e)
{
    int exits = os_pidfd_tells_exit() ? -1 : os_exits_open(s->pid);
    int status, r;

    /* From here on its end is heard of; one that came before has left its zombie to us. */
    if (os_pid_exit_status(s->pid, s->start_ticks, &status) == 0) {
        os_exits_close(exits);
        return rt_ending_record(s, status, e);
    }
    r = start_watcher(s, pidfd, exits);
    if (r != 0)
        os_exits_close(exits);
    else
        jl_close(exits); /* the watcher's now */
    return r == 0 ? 0 : jl_fail(e, r, "--keep-exit: start the process that watches");
}
