/* foreground.c - waiting for a container's process in the foreground; see terminal.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "os/pidfd.h"
#include "os/pty.h"
#include "runtime/notify.h"
#include "runtime/terminal.h"

struct fore {
    pid_t pid;
    int pidfd;
    int signals;
    struct rt_notify *notify; /* or NULL */
    int master;               /* -1: no terminal, or closed */
    bool read_stdin;          /* until its end */
    char typed[4096];         /* read from standard input, not yet taken by the terminal */
    size_t n_typed;
    struct termios saved;
    bool raw;
};

/* Passes a signal on; SIGCHLD and SIGWINCH are for us. */
static void on_signal(struct fore *f)
{
    struct signalfd_siginfo si;

    while (read(f->signals, &si, sizeof si) == sizeof si) {
        if (si.ssi_signo == SIGCHLD) {
            siginfo_t info = { 0 };

            /* orphans that fell to us as subreaper; ours is left for the end */
            while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid > 0 &&
                   info.si_pid != f->pid) {
                waitpid(info.si_pid, NULL, 0);
                info.si_pid = 0;
            }
        } else if (si.ssi_signo == SIGWINCH && f->master >= 0) {
            os_pty_copy_size(STDIN_FILENO, f->master);
        } else if (si.ssi_signo != SIGURG && si.ssi_signo != SIGPIPE) {
            os_pidfd_signal(f->pidfd, (int) si.ssi_signo);
        }
    }
}

/* EIO: every slave is closed. Anything written before that is still there to be read. */
static void on_terminal(struct fore *f)
{
    char buf[4096];
    ssize_t n = read(f->master, buf, sizeof buf);

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0 || jl_write_all(STDOUT_FILENO, buf, (size_t) n) < 0)
        f->master = -1;
}

static void on_stdin(struct fore *f)
{
    ssize_t n = read(STDIN_FILENO, f->typed, sizeof f->typed);

    if (n > 0)
        f->n_typed = (size_t) n;
    else if (n == 0 || (errno != EINTR && errno != EAGAIN))
        f->read_stdin = false;
}

/* The master does not block: a container that does not read must not keep us from reading it. */
static void feed_terminal(struct fore *f)
{
    ssize_t n = write(f->master, f->typed, f->n_typed);

    if (n > 0) {
        f->n_typed -= (size_t) n;
        memmove(f->typed, f->typed + n, f->n_typed);
    } else if (n < 0 && errno != EINTR && errno != EAGAIN) {
        f->n_typed = 0;
        f->read_stdin = false;
    }
}

static int wait_for_end(struct fore *f, struct jl_err *e)
{
    for (;;) {
        struct pollfd p[] = {
            { .fd = f->pidfd, .events = POLLIN },
            { .fd = f->signals, .events = POLLIN },
            { .fd = f->master, .events = f->n_typed > 0 ? POLLIN | POLLOUT : POLLIN },
            { .fd = f->master >= 0 && f->read_stdin && f->n_typed == 0 ? STDIN_FILENO : -1,
              .events = POLLIN },
            { .fd = f->notify ? f->notify->from : -1, .events = POLLIN },
        };

        if (poll(p, JL_COUNT(p), -1) < 0) {
            if (errno == EINTR)
                continue;
            return jl_fail_sys(e, "poll", NULL, "wait for the container");
        }
        if (p[1].revents)
            on_signal(f);
        if (p[3].revents)
            on_stdin(f);
        if (f->n_typed > 0 && f->master >= 0)
            feed_terminal(f);
        if (p[2].revents & ~POLLOUT)
            on_terminal(f);
        if (p[4].revents)
            rt_notify_relay(f->notify);
        if (p[0].revents)
            return 0;
    }
}

static int take_status(pid_t pid, int *ret_how)
{
    int how;

    while (waitpid(pid, &how, 0) < 0)
        if (errno != EINTR)
            return -errno;
    if (ret_how)
        *ret_how = how;
    return WIFSIGNALED(how) ? 128 + WTERMSIG(how) : WEXITSTATUS(how);
}

int rt_foreground(pid_t pid, int pidfd, int tty_master, struct rt_notify *notify, int *ret_how,
                  struct jl_err *e)
{
    struct fore f = {
        .pid = pid, .pidfd = pidfd, .master = tty_master, .notify = notify, .read_stdin = true
    };
    sigset_t all, old;
    int r;

    sigfillset(&all);
    sigdelset(&all, SIGTTIN);
    sigdelset(&all, SIGTTOU);
    sigdelset(&all, SIGTSTP);
    sigprocmask(SIG_BLOCK, &all, &old);
    f.signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    if (f.signals < 0)
        return jl_fail_sys(e, "signalfd", NULL, "wait for the container");
    if (tty_master >= 0) {
        fcntl(tty_master, F_SETFL, O_RDWR | O_NONBLOCK);
        os_pty_copy_size(STDIN_FILENO, tty_master);
        f.raw = os_tty_raw(STDIN_FILENO, &f.saved) == 0;
    }
    r = wait_for_end(&f, e);
    /* What it wrote last is in the terminal's buffer still. */
    while (r == 0 && f.master >= 0) {
        struct pollfd p = { .fd = f.master, .events = POLLIN };

        if (poll(&p, 1, 0) <= 0)
            break;
        on_terminal(&f);
    }
    if (f.raw)
        tcsetattr(STDIN_FILENO, TCSANOW, &f.saved);
    jl_close(f.signals);
    if (r < 0)
        return r;
    r = take_status(pid, ret_how);
    sigprocmask(SIG_SETMASK, &old, NULL);
    return r < 0 ? jl_fail(e, -r, "wait for the container") : r;
}
