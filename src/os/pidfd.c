/* pidfd.c - see pidfd.h. */
#include "os/pidfd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

int os_pid_stat(pid_t pid, uint64_t *ret_ticks, char *ret_state)
{
    char path[64], line[1024];
    _close_ int fd = -1;
    const char *p;
    ssize_t n;

    snprintf(path, sizeof path, "/proc/%d/stat", (int) pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    n = read(fd, line, sizeof line - 1);
    if (n < 0)
        return -errno;
    line[n] = '\0';
    /* Field 2 is the name in parentheses, in which anything may stand; the last ")" ends it. */
    p = strrchr(line, ')');
    if (!p || p[1] != ' ')
        return -EIO;
    p += 2;
    if (ret_state)
        *ret_state = *p;
    for (int field = 3; field < 22; field++) {
        p = strchr(p, ' ');
        if (!p)
            return -EIO;
        p++;
    }
    *ret_ticks = strtoull(p, NULL, 10);
    return 0;
}

int os_pid_start_ticks(pid_t pid, uint64_t *ret_ticks)
{
    return os_pid_stat(pid, ret_ticks, NULL);
}

int os_pidfd_open_checked(pid_t pid, uint64_t start_ticks)
{
    uint64_t found;
    _close_ int fd = (int) syscall(SYS_pidfd_open, pid, 0);
    int r;

    if (fd < 0)
        return errno == EINVAL ? -ESRCH : -errno;
    /* In this order: the descriptor pins the process whose start time is read now. */
    r = os_pid_start_ticks(pid, &found);
    if (r < 0)
        return r;
    if (found != start_ticks)
        return -ESRCH;
    return jl_take_fd(&fd);
}

int os_pidfd_signal(int pidfd, int sig)
{
    if (syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0) < 0)
        return -errno;
    return 0;
}

int os_pidfd_wait_end(int pidfd, int timeout_ms)
{
    struct pollfd p = { .fd = pidfd, .events = POLLIN };
    int r;

    do {
        r = poll(&p, 1, timeout_ms);
    } while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r > 0;
}

pid_t os_pidfd_pid(int pidfd)
{
    char path[64], text[1024];
    _close_ int fd = -1;
    const char *p;
    ssize_t n;
    long pid;

    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    n = read(fd, text, sizeof text - 1);
    if (n < 0)
        return -errno;
    text[n] = '\0';
    p = strstr(text, "\nPid:");
    if (!p)
        return -EINVAL;
    pid = strtol(p + 5, NULL, 10);
    return pid > 0 ? (pid_t) pid : -ESRCH;
}
