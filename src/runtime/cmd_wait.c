/* cmd_wait.c - wait: blocks until the container's first process ends, and tells how. */
#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "os/pidfd.h"
#include "runtime/cmd.h"
#include "runtime/ending.h"
#include "runtime/state.h"

#define LEARN_MS 1000 /* for its parent to wait for it, and for a watcher to write */

/*
 * The zombie is asked first; its parent may be quicker, and then the kernel tells by our pidfd
 * (Linux 6.15), or the watcher by the record, a moment later.
 */
static int learn(int root, struct rt_state *s, int pidfd)
{
    uint64_t deadline = jl_now_ns() + LEARN_MS * JL_NS_PER_MS;

    while (rt_ending_learn(s, pidfd) < 0) {
        _rt_state_ struct rt_state now = RT_STATE_INIT;
        struct jl_err ignored = JL_ERR_INIT;

        if (rt_state_open(root, s->id, &now, &ignored) == 0 && now.exited && now.pid == s->pid &&
            now.start_ticks == s->start_ticks) {
            s->exited = true;
            s->exit_status = now.exit_status;
            return 0;
        }
        if (jl_now_ns() >= deadline)
            return -ENODATA;
        jl_sleep_ns(5 * JL_NS_PER_MS);
    }
    return 0;
}

int rt_cmd_wait(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e)
{
    _rt_state_ struct rt_state s = RT_STATE_INIT;
    _close_ int pidfd = -1;
    _close_ int root = -1;
    struct rt_args args;
    int r = rt_cmd_parse("wait", NULL, 0, argc, argv, 1, false, &args, e);

    if (r != 0)
        return r < 0 ? r : 0;
    r = rt_container_open(ctx, args.items[0], &root, &s, e);
    if (r < 0)
        return r;
    if (s.pid <= 0)
        return jl_refuse(e, ESRCH, "container '%s' has no process yet", s.id);
    pidfd = rt_state_pidfd(&s);
    if (pidfd < 0 && pidfd != -ESRCH)
        return jl_fail(e, -pidfd, "wait for container '%s'", s.id);
    if (pidfd >= 0 && (r = os_pidfd_wait_end(pidfd, -1)) < 0)
        return jl_fail_sys(e, "poll", NULL, "wait for container '%s'", s.id);
    if (learn(root, &s, pidfd) < 0) {
        jl_refuse(e, ENODATA, "container '%s' has ended; how is not known", s.id);
        return jl_hint(e, "its parent was told; create or run it with --keep-exit to have it "
                          "written down");
    }
    r = WIFSIGNALED(s.exit_status) ? 128 + WTERMSIG(s.exit_status) : WEXITSTATUS(s.exit_status);
    if (printf("%d\n", r) < 0 || fflush(stdout) != 0)
        return jl_fail_sys(e, "write", NULL, "write to standard output");
    return r;
}
