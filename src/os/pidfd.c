/* pidfd.c - see pidfd.h. */
#include "os/pidfd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/kcmp.h>

#include "base/cleanup.h"

/* Reads /proc/PID/stat into line; *ret points to field 3. 0 or -errno. */
static int read_stat(pid_t pid, char *line, size_t size, const char **ret)
{
    _close_ int fd = -1;
    char path[64];
    const char *p;
    ssize_t n;

    snprintf(path, sizeof path, "/proc/%d/stat", (int) pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    n = read(fd, line, size - 1);
    if (n < 0)
        return -errno;
    line[n] = '\0';
    /* Field 2 is the name in parentheses, in which anything may stand; the last ")" ends it. */
    p = strrchr(line, ')');
    if (!p || p[1] != ' ')
        return -EIO;
    *ret = p + 2;
    return 0;
}

/* From field `from` on to field `to`; NULL when there are not as many. */
static const char *skip_fields(const char *p, int from, int to)
{
    for (; p && from < to; from++) {
        p = strchr(p, ' ');
        p = p ? p + 1 : NULL;
    }
    return p;
}

int os_pid_stat(pid_t pid, uint64_t *ret_ticks, char *ret_state)
{
    char line[1024];
    const char *p;
    int r = read_stat(pid, line, sizeof line, &p);

    if (r < 0)
        return r;
    if (ret_state)
        *ret_state = *p;
    p = skip_fields(p, 3, 22);
    if (!p)
        return -EIO;
    *ret_ticks = strtoull(p, NULL, 10);
    return 0;
}

/* Who may not ptrace the process reads 0 for its status, too; kcmp(2) asks for that right. */
int os_pid_exit_status(pid_t pid, uint64_t start_ticks, int *ret_status)
{
    char line[1024];
    const char *p, *threads, *ticks, *status;
    int r = read_stat(pid, line, sizeof line, &p);

    if (r < 0)
        return r;
    threads = skip_fields(p, 3, 20);
    ticks = skip_fields(threads, 20, 22);
    status = skip_fields(ticks, 22, 52);
    if (!status)
        return -EIO;
    /* a dead first thread with others that live is no dead process */
    if (*p != 'Z' || strtol(threads, NULL, 10) > 1 || strtoull(ticks, NULL, 10) != start_ticks)
        return -ESRCH;
    *ret_status = (int) strtol(status, NULL, 10);
    if (*ret_status == 0 && syscall(SYS_kcmp, pid, pid, KCMP_FILES, 0, 0) < 0)
        return errno == ESRCH ? -ESRCH : -EPERM;
    return 0;
}

/* struct pidfd_info of include/uapi/linux/pidfd.h, its first version; headers may be older. */
struct info {
    uint64_t mask, cgroup;
    uint32_t ids[11];
    int32_t exit_code;
};

#define GET_INFO _IOWR(0xff, 11, struct info) /* PIDFD_GET_INFO, Linux 6.13 */
#define INFO_EXIT (UINT64_C(1) << 3)          /* PIDFD_INFO_EXIT, Linux 6.15 */

int os_pidfd_exit_status(int pidfd, int *ret_status)
{
    struct info info = { .mask = INFO_EXIT };

    if (ioctl(pidfd, GET_INFO, &info) < 0)
        return -errno;
    if (!(info.mask & INFO_EXIT))
        return -ENODATA;
    *ret_status = info.exit_code;
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
