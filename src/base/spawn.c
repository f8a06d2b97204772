/*
 * spawn.c - see spawn.h.
 *
 * The child runs in our memory until it execs (CLONE_VM|CLONE_VFORK on a stack of its own), so it
 * must not touch anything but its own frame and `struct start`. It first moves the wanted
 * descriptors above all targets, then down to their numbers, then closes the rest.
 */
#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

#define STACK_BYTES (64 * 1024)

struct start {
    const struct jl_spawn *s;
    const char *call; /* what failed in the child */
    int error;        /* errno of it */
};

static int fail(struct start *st, const char *call)
{
    st->call = call;
    st->error = errno;
    return -1;
}

static int place_fds(struct start *st, int *exec_fd)
{
    const struct jl_spawn *s = st->s;
    int high[JL_SPAWN_FDS_MAX + 4], target[JL_SPAWN_FDS_MAX + 4];
    int floor = 3, top;
    size_t n = 0;

    for (size_t i = 0; i < s->n_fds; i++)
        if (s->fds[i].target >= floor)
            floor = s->fds[i].target + 1;
    top = floor;
    for (size_t i = 0; i < s->n_fds; i++, n++) {
        target[n] = s->fds[i].target;
        high[n] = fcntl(s->fds[i].fd, F_DUPFD_CLOEXEC, top);
        if (high[n] < 0)
            return fail(st, "fcntl");
    }
    for (int std = 0; std < 3; std++) {
        bool named = false;

        for (size_t i = 0; i < s->n_fds; i++)
            named = named || s->fds[i].target == std;
        if (named)
            continue;
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        if (null < 0)
            return fail(st, "open /dev/null");
        target[n] = std;
        high[n] = fcntl(null, F_DUPFD_CLOEXEC, top);
        if (high[n++] < 0)
            return fail(st, "fcntl");
    }
    if (s->exec_fd >= 0) {
        *exec_fd = fcntl(s->exec_fd, F_DUPFD_CLOEXEC, top);
        if (*exec_fd < 0)
            return fail(st, "fcntl");
    }
    for (size_t i = 0; i < n; i++)
        if (dup2(high[i], target[i]) < 0)
            return fail(st, "dup2");
    /* Whatever is neither a target nor close-on-exec must not pass: mark everything, then
     * unmark the targets. */
    if (syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
        return fail(st, "close_range");
    for (size_t i = 0; i < n; i++)
        if (target[i] > 2 && fcntl(target[i], F_SETFD, 0) < 0)
            return fail(st, "fcntl");
    return 0;
}

void jl_signals_reset(void)
{
    struct sigaction dfl = { .sa_handler = SIG_DFL };
    sigset_t none;

    for (int sig = 1; sig < _NSIG; sig++)
        if (sig != SIGKILL && sig != SIGSTOP)
            sigaction(sig, &dfl, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* glibc's wrappers would change the ids of every thread of the parent, with which we share
 * memory; the plain system calls change ours alone. */
static int drop_privileges(struct start *st)
{
    const struct jl_spawn *s = st->s;

    if (syscall(SYS_setgroups, 0, NULL) < 0)
        return fail(st, "setgroups");
    if (syscall(SYS_setresgid, s->gid, s->gid, s->gid) < 0)
        return fail(st, "setresgid");
    if (syscall(SYS_setresuid, s->uid, s->uid, s->uid) < 0)
        return fail(st, "setresuid");
    return 0;
}

/* It never returns from an exec, so AddressSanitizer would take its frame for a living one for ever,
 * in memory that is others' by then: its frame goes without. */
__attribute__((no_sanitize("address"))) static int child(void *arg)
{
    struct start *st = arg;
    const struct jl_spawn *s = st->s;
    int exec_fd = -1;

    jl_signals_reset();
    if (s->new_session && setsid() < 0)
        return fail(st, "setsid");
    if (s->cwd_fd >= 0 && fchdir(s->cwd_fd) < 0)
        return fail(st, "fchdir");
    if (place_fds(st, &exec_fd) < 0)
        return 127;
    if (s->drop && drop_privileges(st) < 0)
        return 127;
    if (s->parent_death_signal != 0 &&
        prctl(PR_SET_PDEATHSIG, (unsigned long) s->parent_death_signal, 0, 0, 0) < 0)
        return fail(st, "prctl");
    if (exec_fd >= 0)
        syscall(SYS_execveat, exec_fd, "", s->argv, s->envp, AT_EMPTY_PATH);
    else
        execve(s->path, s->argv, s->envp);
    return fail(st, "execve");
}

int jl_spawn(const struct jl_spawn *s, pid_t *ret_pid, int *ret_pidfd, struct jl_err *e)
{
    struct start st = { .s = s };
    _close_ int pidfd = -1;
    sigset_t all, old;
    char *stack;
    pid_t pid;

    if (s->n_fds > JL_SPAWN_FDS_MAX)
        return jl_refuse(e, E2BIG, "start '%s': too many descriptors", s->argv[0]);
    stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK,
                 -1, 0);
    if (stack == MAP_FAILED)
        return jl_fail_sys(e, "mmap", NULL, "start '%s'", s->argv[0]);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old); /* no handler of ours may run on the child's stack */
    pid = clone(child, stack + STACK_BYTES, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &st,
                &pidfd);
    if (pid < 0)
        jl_fail_sys(e, "clone", NULL, "start '%s'", s->argv[0]);
    sigprocmask(SIG_SETMASK, &old, NULL);
    munmap(stack, STACK_BYTES);
    if (pid < 0)
        return -e->code;
    if (st.call) {
        waitpid(pid, NULL, 0);
        errno = st.error;
        return jl_fail_sys(e, st.call, s->path ? s->path : s->argv[0], "start '%s'", s->argv[0]);
    }
    *ret_pid = pid;
    if (ret_pidfd)
        *ret_pidfd = jl_take_fd(&pidfd);
    return 0;
}

int jl_wait_status(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
