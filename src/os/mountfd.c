/* mountfd.c - see mountfd.h. */
#include "os/mountfd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"

#define OPTION_MAX 4096

/* The kernel's own sentence about a refused option waits in the context: "e tmpfs: Bad value". */
static void add_context_log(int fsfd, struct jl_err *e)
{
    char line[200];
    ssize_t n = read(fsfd, line, sizeof line - 1);

    if (n <= 2)
        return;
    line[n] = '\0';
    line[strcspn(line, "\n")] = '\0';
    jl_hint(e, "the kernel says: %s", line + 2);
}

static int set_option(int fsfd, const char *option, struct jl_err *e)
{
    const char *equals = strchr(option, '=');
    char key[256];
    size_t len = equals ? (size_t) (equals - option) : strlen(option);
    int r;

    if (len == 0 || len >= sizeof key)
        return jl_refuse(e, EINVAL, "mount option '%.64s' has no usable name", option);
    memcpy(key, option, len);
    key[len] = '\0';
    if (equals)
        r = fsconfig(fsfd, FSCONFIG_SET_STRING, key, equals + 1, 0);
    else
        r = fsconfig(fsfd, FSCONFIG_SET_FLAG, key, NULL, 0);
    if (r < 0) {
        jl_fail_sys(e, "fsconfig", option, "set mount option");
        add_context_log(fsfd, e);
        return -e->code;
    }
    return 0;
}

int os_mount_new(const char *fstype, const char *source, const char *const *options, size_t n,
                 unsigned attrs, struct jl_err *e)
{
    _close_ int fsfd = fsopen(fstype, FSOPEN_CLOEXEC);
    int fd, r;

    if (fsfd < 0) {
        if (errno == ENODEV) {
            jl_fail_sys(e, "fsopen", fstype, "mount");
            return jl_hint(e, "the kernel knows no file system of that name");
        }
        return jl_fail_sys(e, "fsopen", fstype, "mount");
    }
    if (source && fsconfig(fsfd, FSCONFIG_SET_STRING, "source", source, 0) < 0)
        return jl_fail_sys(e, "fsconfig", source, "set mount source");
    for (size_t i = 0; i < n; i++) {
        r = set_option(fsfd, options[i], e);
        if (r < 0)
            return r;
    }
    if (fsconfig(fsfd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
        jl_fail_sys(e, "fsconfig", fstype, "mount: make the file system");
        add_context_log(fsfd, e);
        return -e->code;
    }
    fd = fsmount(fsfd, FSMOUNT_CLOEXEC, attrs);
    if (fd < 0)
        return jl_fail_sys(e, "fsmount", fstype, "mount");
    return fd;
}

int os_mount_reconfigure(int fd, const char *const *options, size_t n, struct jl_err *e)
{
    _close_ int fsfd = fspick(fd, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);
    int r = 0;

    if (fsfd < 0)
        return jl_fail_sys(e, "fspick", NULL, "change the file system");
    for (size_t i = 0; i < n && r == 0; i++)
        r = set_option(fsfd, options[i], e);
    if (r == 0 && fsconfig(fsfd, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0) {
        r = jl_fail_sys(e, "fsconfig", NULL, "change the file system");
        add_context_log(fsfd, e);
    }
    return r;
}

/* As mount(2) has them. What it knows is a flag there, the rest one string. */
static int split_options(const char *const *options, size_t n, unsigned long *flags,
                         struct jl_buf *data)
{
    static const struct {
        const char *word;
        unsigned long flag;
    } table[] = { { "sync", MS_SYNCHRONOUS },
                  { "dirsync", MS_DIRSYNC },
                  { "lazytime", MS_LAZYTIME },
                  { "mand", MS_MANDLOCK },
                  { "ro", MS_RDONLY } };
    int r = 0;

    for (size_t i = 0; i < n && r == 0; i++) {
        size_t k = 0;

        while (k < JL_COUNT(table) && strcmp(table[k].word, options[i]) != 0)
            k++;
        if (k < JL_COUNT(table))
            *flags |= table[k].flag;
        else
            r = jl_buf_printf(data, "%s%s", data->len > 0 ? "," : "", options[i]);
    }
    return r;
}

int os_mount_new_iversion(const char *fstype, const char *source, const char *const *options,
                          size_t n, unsigned attrs, int place, struct jl_err *e)
{
    struct os_mount_change change = { .set = attrs, .clear = MOUNT_ATTR__ATIME };
    _buf_ struct jl_buf data = JL_BUF_INIT(OPTION_MAX);
    _close_ int scratch = os_mount_new("tmpfs", "tmpfs", NULL, 0, 0, e);
    unsigned long flags = MS_I_VERSION;
    char path[64];
    int fd = -1, r;

    if (scratch < 0)
        return scratch;
    if (split_options(options, n, &flags, &data) < 0)
        return jl_fail(e, ENAMETOOLONG, "mount options");
    /* mount(2) wants a path: one in a directory of our own, that nobody can change. */
    r = os_mount_attach(scratch, place);
    if (r < 0)
        return jl_fail(e, -r, "attach a directory to mount on");
    snprintf(path, sizeof path, "/proc/self/fd/%d/m", scratch);
    if (mkdirat(scratch, "m", 0700) < 0 ||
        mount(source ? source : "none", path, fstype, flags, data.data ? data.data : "") < 0)
        jl_fail_sys(e, "mount", fstype, "mount with iversion");
    else if ((fd = os_mount_clone(scratch, "m", false, false)) < 0)
        jl_fail(e, -fd, "clone the mount of '%s'", fstype);
    snprintf(path, sizeof path, "/proc/self/fd/%d", scratch);
    umount2(path, MNT_DETACH);
    r = fd < 0 ? -e->code : os_mount_change(fd, false, &change);
    if (r < 0 && fd >= 0) {
        jl_close(fd);
        return jl_fail(e, -r, "set the attributes of '%s'", fstype);
    }
    return r < 0 ? r : fd;
}

int os_mount_clone(int dirfd, const char *path, bool recursive, bool nofollow)
{
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
    int fd;

    if (recursive)
        flags |= AT_RECURSIVE;
    if (nofollow)
        flags |= AT_SYMLINK_NOFOLLOW;
    if (*path == '\0')
        flags |= AT_EMPTY_PATH;
    fd = open_tree(dirfd, path, flags);
    return fd < 0 ? -errno : fd;
}

int os_mount_change(int fd, bool recursive, const struct os_mount_change *change)
{
    struct mount_attr attr = {
        .attr_set = change->set,
        .attr_clr = change->clear,
        .propagation = change->propagation,
        .userns_fd = change->set & MOUNT_ATTR_IDMAP ? (uint64_t) change->userns_fd : 0,
    };
    unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0u);

    if (mount_setattr(fd, "", flags, &attr, sizeof attr) < 0)
        return -errno;
    return 0;
}

int os_mount_attach(int mount_fd, int target_fd)
{
    if (move_mount(mount_fd, "", target_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) <
        0)
        return -errno;
    return 0;
}

int os_proc_private(void)
{
    struct jl_err e = JL_ERR_INIT;

    return os_mount_new("proc", NULL, NULL, 0, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, &e);
}

int os_pivot_root(int new_root_fd, struct jl_err *e)
{
    if (fchdir(new_root_fd) < 0)
        return jl_fail_sys(e, "fchdir", NULL, "enter the new root");
    /* "." for both: the old root is put on top of the new one and taken off right away, so that
     * no directory for it is needed in the image. */
    if (syscall(SYS_pivot_root, ".", ".") < 0)
        return jl_fail_sys(e, "pivot_root", NULL, "make the rootfs the root");
    if (umount2(".", MNT_DETACH) < 0)
        return jl_fail_sys(e, "umount2", NULL, "take the host's root off");
    if (chdir("/") < 0)
        return jl_fail_sys(e, "chdir", "/", "enter the new root");
    return 0;
}
