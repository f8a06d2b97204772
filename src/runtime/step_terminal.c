/*
 * step_terminal.c - a terminal out of the container's own devpts. The master goes to the console
 * socket or, in the foreground, to our parent.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "os/mountfd.h"
#include "os/openat2.h"
#include "os/pty.h"
#include "runtime/launch.h"
#include "runtime/step.h"
#include "runtime/sync.h"
#include "runtime/terminal.h"

/* conmon and containerd's shim read one message with one descriptor; runc sends the slave's name
 * as its text, and nobody relies on it. */
int rt_terminal_send(int console_fd, int master, struct jl_err *e)
{
    static const char name[] = "/dev/ptmx";
    int r = jl_send_fds(console_fd, name, sizeof name - 1, &master, 1);

    return r < 0 ? jl_fail(e, -r, "send the terminal to the console socket") : 0;
}

int rt_terminal_hand_over(int devpts_fd, const struct rt_terminal *t, int *ret_slave,
                          struct jl_err *e)
{
    _close_ int master = -1;
    _close_ int slave = -1;
    int r = os_pty_open(devpts_fd, &master, &slave, e);

    if (r < 0)
        return r;
    if (t->rows > 0 || t->cols > 0)
        os_pty_set_size(slave, t->rows, t->cols);
    /* Only the owner may talk to it; a user namespace that does not map the user keeps root's. */
    if (fchown(slave, t->uid, (gid_t) -1) < 0 && errno != EINVAL && errno != EPERM)
        return jl_fail_sys(e, "fchown", NULL, "give the terminal to the user");
    if (t->console_fd >= 0) {
        r = rt_terminal_send(t->console_fd, master, e);
    } else {
        /* Our standard input still is the caller's; later the program might ask before that. */
        os_pty_copy_size(STDIN_FILENO, slave);
        r = rt_sync_send(t->sync, RT_MSG_TTY, master);
        if (r < 0)
            jl_fail(e, -r, "hand the terminal over");
    }
    if (r < 0)
        return r;
    *ret_slave = jl_take_fd(&slave);
    return 0;
}

/* /dev/console is the slave itself, bound by descriptor (CVE-2025-52565). */
static int bind_console(int slave, struct jl_err *e)
{
    _close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    _close_ int dev = os_open_in_root_nolink(root, "/dev", O_PATH | O_DIRECTORY);
    _close_ int target = -1;
    _close_ int clone = -1;
    int r;

    if (dev < 0)
        return jl_fail(e, -dev, "open /dev for the console");
    target = openat(dev, "console", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (target < 0 && errno == EEXIST)
        target = os_open_in_root_nolink(dev, "console", O_PATH);
    if (target < 0)
        return jl_fail_sys(e, "openat", "/dev/console", "make the console");
    clone = os_mount_clone(slave, "", false, false);
    if (clone < 0)
        return jl_fail(e, -clone, "clone the terminal for /dev/console");
    r = os_mount_attach(clone, target);
    return r < 0 ? jl_fail(e, -r, "bind the terminal to /dev/console") : 0;
}

int rt_terminal_devpts(struct jl_err *e)
{
    _close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = os_open_in_root(root, "/dev/pts", O_PATH | O_DIRECTORY);

    if (fd < 0)
        jl_fail(e, -fd, "process.terminal: open /dev/pts");
    return fd < 0 ? jl_hint(e, "the configuration needs a mount of type devpts on /dev/pts") : fd;
}

int rt_step_terminal(struct rt_launch *l, size_t i, struct jl_err *e)
{
    const struct oci_process *p = l->spec->oci->process;
    struct rt_terminal t = {
        .rows = p->console_size ? (uint16_t) p->console_size->height : 0,
        .cols = p->console_size ? (uint16_t) p->console_size->width : 0,
        .uid = p->user ? p->user->uid : 0,
        .console_fd = l->console_fd,
        .sync = l->sync,
    };
    _close_ int slave = -1;
    int r;

    (void) i;
    if (l->devpts_fd < 0) {
        l->devpts_fd = rt_terminal_devpts(e);
        if (l->devpts_fd < 0)
            return l->devpts_fd;
    }
    r = rt_terminal_hand_over(l->devpts_fd, &t, &slave, e);
    if (r == 0)
        r = bind_console(slave, e);
    if (r == 0)
        r = os_pty_take_over(slave, e);
    l->devpts_fd = jl_close(l->devpts_fd);
    l->console_fd = jl_close(l->console_fd);
    return r;
}
