/*
 * signals.c - see shim.h: signals to a running job, and to a PID 1 that cannot take them yet.
 *
 * The kernel drops a signal for which PID 1 of a namespace has neither a handler nor blocks it. So
 * a SIGTERM that comes just after the start, before joblet-init has blocked its signals, would be
 * lost, and the stop would take the whole grace. It is sent once more as soon as PID 1 takes it,
 * which its handlers tell: those that it blocks are not to be seen while it waits for them.
 */
#include "shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "os/cgroup.h"

#define INIT_NAME "joblet-init"
#define LOOK_EACH_NS (10 * JL_NS_PER_MS)
#define LOOK_FOR_NS (5 * JL_NS_PER_S)

/* Values grow as PID 1 comes nearer to the command that it will be. */
enum sh_takes { TAKES_NOT, TAKES_ITSELF, TAKES_AS_INIT };

/* /proc/PID/NAME as a string; false when the process is gone. */
static bool read_proc(pid_t pid, const char *name, char *buf, size_t size)
{
    char path[48];
    _close_ int fd = -1;
    ssize_t n;

    snprintf(path, sizeof path, "/proc/%d/%s", (int) pid, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, buf, size - 1);
    buf[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* Whether PID 1 is our init, which passes on what it gets. Asked by name: a job that takes this
 * name spares only itself a SIGTERM, not the SIGKILL that follows. */
static bool has_our_init(pid_t pid)
{
    char name[sizeof INIT_NAME + 2];

    return read_proc(pid, "comm", name, sizeof name) && strcmp(name, INIT_NAME "\n") == 0;
}

static enum sh_takes takes(pid_t pid, int sig)
{
    static const char caught[] = "\nSigCgt:";
    bool is_init = has_our_init(pid); /* before its handlers: those of the runtime say nothing */
    char status[4096], *at;

    if (!read_proc(pid, "status", status, sizeof status))
        return TAKES_NOT;
    at = strstr(status, caught);
    if (!at || !(strtoull(at + strlen(caught), NULL, 16) >> (sig - 1) & 1))
        return TAKES_NOT;
    return is_init ? TAKES_AS_INIT : TAKES_ITSELF;
}

void sh_signal_job(struct sh_shim *sh, int sig)
{
    bool spare_init = has_our_init(sh->init_pid);
    size_t sent = 0;
    struct jl_err e;

    if (sh->cg && os_cgroup_signal_but(sh->cg, sig, sh->init_pid, &sent, &e) < 0)
        sh_shim_warn(sh, &e, "job.signal");
    if (sh->init_pid > 0 && !(spare_init && sent > 0))
        kill(sh->init_pid, sig); /* our child: its number is its own until we reap it */
}

static int on_look(struct jl_timer *timer)
{
    struct sh_shim *sh = JL_CONTAINER(timer, struct sh_shim, again_timer);
    enum sh_takes now = takes(sh->init_pid, SIGTERM);

    if (sh->phase != IPC_SHIM_RUNNING || sh->init_pid <= 0)
        return 0;
    if ((unsigned) now > sh->init_takes)
        kill(sh->init_pid, SIGTERM); /* alone: all others had theirs */
    sh->init_takes = (unsigned) now;
    if (now != TAKES_AS_INIT && jl_now_ns() < sh->again_until_ns)
        jl_loop_arm(sh->loop, timer, jl_now_ns() + LOOK_EACH_NS, on_look);
    return 0;
}

void sh_signal_stop(struct sh_shim *sh)
{
    sh->init_takes = (unsigned) takes(sh->init_pid, SIGTERM); /* before, so that none is lost */
    sh_signal_job(sh, SIGTERM);
    if (sh->init_takes == TAKES_AS_INIT)
        return;
    sh->again_until_ns = jl_now_ns() + LOOK_FOR_NS;
    jl_loop_arm(sh->loop, &sh->again_timer, jl_now_ns() + LOOK_EACH_NS, on_look);
}
