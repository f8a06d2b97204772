/* pty.c - see pty.h. */
#include "os/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "os/openat2.h"

/* Programs that read the master want lines as they were written; who shows them on a terminal has
 * that terminal's own ONLCR. */
static int plain_newlines(int slave, struct jl_err *e)
{
    struct termios t;

    if (tcgetattr(slave, &t) < 0)
        return jl_fail_sys(e, "tcgetattr", NULL, "set the terminal up");
    t.c_oflag &= ~(tcflag_t) ONLCR;
    if (tcsetattr(slave, TCSANOW, &t) < 0)
        return jl_fail_sys(e, "tcsetattr", NULL, "set the terminal up");
    return 0;
}

int os_pty_open(int devpts_fd, int *ret_master, int *ret_slave, struct jl_err *e)
{
    struct statfs fs;
    int unlock = 0, r;
    _close_ int slave = -1;
    _close_ int master = os_open_in_root_nolink(devpts_fd, "ptmx", O_RDWR | O_NOCTTY);

    if (master < 0)
        return jl_fail(e, -master, "open a terminal: ptmx in /dev/pts");
    if (fstatfs(master, &fs) < 0 || fs.f_type != DEVPTS_SUPER_MAGIC)
        return jl_refuse(e, EINVAL, "open a terminal: what is mounted on /dev/pts is not devpts");
    if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
        return jl_fail_sys(e, "ioctl", "TIOCSPTLCK", "unlock the terminal");
    slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return jl_fail_sys(e, "ioctl", "TIOCGPTPEER", "open the terminal's slave");
    r = plain_newlines(slave, e);
    if (r < 0)
        return r;
    *ret_master = jl_take_fd(&master);
    *ret_slave = jl_take_fd(&slave);
    return 0;
}

int os_pty_set_size(int fd, uint16_t rows, uint16_t cols)
{
    struct winsize size = { .ws_row = rows, .ws_col = cols };

    return ioctl(fd, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}

int os_pty_copy_size(int from_fd, int to_fd)
{
    struct winsize size;

    if (ioctl(from_fd, TIOCGWINSZ, &size) < 0)
        return -errno;
    if (size.ws_row == 0 && size.ws_col == 0) /* a terminal of unknown size */
        return 0;
    return ioctl(to_fd, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}

int os_pty_take_over(int slave, struct jl_err *e)
{
    if (setsid() < 0 && errno != EPERM) /* EPERM: leads a session already */
        return jl_fail_sys(e, "setsid", NULL, "start a session");
    if (ioctl(slave, TIOCSCTTY, 0) < 0)
        return jl_fail_sys(e, "ioctl", "TIOCSCTTY", "take the controlling terminal");
    for (int fd = 0; fd < 3; fd++)
        if (dup2(slave, fd) < 0)
            return jl_fail_sys(e, "dup2", NULL, "make the terminal standard input and output");
    return 0;
}

int os_tty_raw(int fd, struct termios *ret_old)
{
    struct termios raw;

    if (tcgetattr(fd, ret_old) < 0)
        return -errno;
    raw = *ret_old;
    cfmakeraw(&raw);
    raw.c_oflag |= OPOST; /* our terminal makes "\r\n" of what the container's leaves "\n" */
    return tcsetattr(fd, TCSANOW, &raw) < 0 ? -errno : 0;
}
