/* lsm.c - see lsm.h. */
#include "os/lsm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "os/openat2.h"

#define LABEL_MAX 4096

int os_proc_trusted(struct jl_err *e)
{
    _close_ int fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct statfs fs;

    if (fd < 0 || fstatfs(fd, &fs) < 0)
        return jl_fail_sys(e, "open", "/proc", "set a security label");
    if (fs.f_type != PROC_SUPER_MAGIC)
        return jl_refuse(e, EPERM, "set a security label: /proc is no procfs");
    return jl_take_fd(&fd);
}

/* Nothing may be mounted over it, and "self" is the only link. */
static int open_attr(int proc_fd, const char *file, uint64_t flags)
{
    char path[64];

    snprintf(path, sizeof path, "thread-self/attr/%s", file);
    return os_openat2(proc_fd, path, flags, 0,
                      RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV);
}

static int write_attr(int proc_fd, const char *file, const char *command, const char *label,
                      struct jl_err *e)
{
    _close_ int fd = open_attr(proc_fd, file, O_WRONLY);
    char text[LABEL_MAX];
    int len = snprintf(text, sizeof text, "%s%s", command, label);

    if (fd < 0)
        return jl_fail(e, -fd, "open /proc/thread-self/attr/%s", file);
    if (len < 0 || (size_t) len >= sizeof text)
        return jl_refuse(e, ENAMETOOLONG, "the label has more than %d bytes", LABEL_MAX);
    /* An empty one is written as a NUL byte: nothing at all would be no write. */
    if (write(fd, text, len > 0 ? (size_t) len : 1) < 0)
        return jl_fail_sys(e, "write", file, "ask for '%s%s'", command, label);
    return 0;
}

int os_apparmor_check(int proc_fd, bool *ret_confined, struct jl_err *e)
{
    static const char none[] = "unconfined";
    _close_ int fd = open_attr(proc_fd, "apparmor/current", O_RDONLY);
    char text[LABEL_MAX];
    ssize_t n = fd < 0 ? fd : read(fd, text, sizeof text - 1);

    /* The file is there in every kernel that was built with AppArmor, and answers EINVAL where it
     * was not switched on. */
    if (n <= 0) {
        jl_refuse(e, ENOTSUP, "this kernel has no AppArmor, or it is not enabled");
        return jl_hint(e, "boot with lsm=...,apparmor, or leave the profile away");
    }
    text[n] = '\0';
    *ret_confined = strncmp(text, none, sizeof none - 1) != 0 ||
                    (text[sizeof none - 1] != '\0' && text[sizeof none - 1] != '\n');
    return 0;
}

int os_apparmor_on_exec(int proc_fd, const char *profile, struct jl_err *e)
{
    bool confined;
    int r = os_apparmor_check(proc_fd, &confined, e);

    if (r < 0)
        return r;
    r = write_attr(proc_fd, "apparmor/exec", confined ? "stack " : "exec ", profile, e);
    if (r == -ENOENT)
        return jl_hint(e, "the profile is not loaded: apparmor_parser --replace FILE");
    if (r == -EACCES || r == -EPERM)
        return jl_hint(e, "the profile that joblet-run is under does not allow it");
    return r;
}

bool os_selinux_enabled(void)
{
    struct statfs fs;

    return statfs("/sys/fs/selinux", &fs) == 0 && (unsigned long) fs.f_type == SELINUX_MAGIC;
}

int os_selinux_on_exec(int proc_fd, const char *label, struct jl_err *e)
{
    int r = write_attr(proc_fd, "exec", "", label, e);

    return r == -EINVAL ? jl_hint(e, "the policy of this host does not know the label") : r;
}

int os_selinux_on_keys(int proc_fd, const char *label, struct jl_err *e)
{
    return write_attr(proc_fd, "keycreate", "", label, e);
}
