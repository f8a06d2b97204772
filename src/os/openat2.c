/* openat2.c - see openat2.h. */
#include "os/openat2.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

#define IN_ROOT (RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
#define TRIES 32 /* openat2 answers EAGAIN when something below was renamed meanwhile */

int os_openat2(int dirfd, const char *path, uint64_t flags, mode_t mode, uint64_t resolve)
{
    struct open_how how = { .flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve };

    for (int i = 0;; i++) {
        int fd = (int) syscall(SYS_openat2, dirfd, path, &how, sizeof how);

        if (fd >= 0)
            return fd;
        if ((errno != EAGAIN && errno != EINTR) || i == TRIES)
            return -errno;
    }
}

int os_open_in_root(int root_fd, const char *path, uint64_t flags)
{
    return os_openat2(root_fd, *path ? path : ".", flags, 0, IN_ROOT);
}

int os_open_in_root_nolink(int root_fd, const char *path, uint64_t flags)
{
    return os_openat2(root_fd, *path ? path : ".", flags, 0, IN_ROOT | RESOLVE_NO_SYMLINKS);
}

/*
 * Walks the path part by part. Each prefix is resolved from the root again, so that absolute
 * symlinks in the middle stay inside; a missing part is made in the directory that the prefix
 * before it led to. mkdirat never follows a symlink in its last part.
 */
int os_mkdir_in_root(int root_fd, const char *path, mode_t mode, struct jl_err *e)
{
    char prefix[PATH_MAX];
    size_t len = strlen(path), end = 0;
    _close_ int parent = -1;
    int fd = os_open_in_root(root_fd, path, O_PATH | O_DIRECTORY);

    if (fd >= 0)
        return fd;
    if (fd != -ENOENT)
        return jl_fail(e, -fd, "open directory '%s' below the root", path);
    if (len >= sizeof prefix)
        return jl_fail(e, ENAMETOOLONG, "make directory '%.64s...' below the root", path);
    parent = os_open_in_root(root_fd, ".", O_PATH | O_DIRECTORY);
    if (parent < 0)
        return jl_fail(e, -parent, "open the root");
    memcpy(prefix, path, len + 1);
    while (end < len) {
        size_t start = end;
        char kept;

        while (prefix[start] == '/')
            start++;
        if (start >= len)
            break;
        end = start + strcspn(prefix + start, "/");
        kept = prefix[end];
        prefix[end] = '\0';
        fd = os_open_in_root(root_fd, prefix, O_PATH | O_DIRECTORY);
        if (fd == -ENOENT) {
            if (mkdirat(parent, prefix + start, mode) < 0 && errno != EEXIST)
                return jl_fail_sys(e, "mkdirat", prefix, "make directory below the root");
            fd = os_open_in_root(root_fd, prefix, O_PATH | O_DIRECTORY);
        }
        if (fd < 0)
            return jl_fail(e, -fd, "open directory '%s' below the root", prefix);
        prefix[end] = kept;
        jl_close(parent);
        parent = fd;
    }
    return jl_take_fd(&parent);
}

int os_parent_in_root(int root_fd, const char *path, const char **ret_name, struct jl_err *e)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    char dir[PATH_MAX];
    size_t len = slash ? (size_t) (slash - path) : 0;

    if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return jl_refuse(e, EINVAL, "path '%s' must end in a name", path);
    if (len >= sizeof dir)
        return jl_fail(e, ENAMETOOLONG, "path '%.64s...'", path);
    memcpy(dir, path, len);
    dir[len] = '\0';
    *ret_name = name;
    return os_mkdir_in_root(root_fd, len ? dir : ".", 0755, e);
}

int os_mkfile_in_root(int root_fd, const char *path, mode_t mode, struct jl_err *e)
{
    _close_ int parent = -1;
    _close_ int made = -1;
    const char *name;
    struct stat st;
    int fd = os_open_in_root(root_fd, path, O_PATH);

    if (fd == -ENOENT) {
        parent = os_parent_in_root(root_fd, path, &name, e);
        if (parent < 0)
            return parent;
        made = openat(parent, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, mode);
        if (made < 0 && errno != EEXIST)
            return jl_fail_sys(e, "openat", path, "make file below the root");
        fd = os_open_in_root(root_fd, path, O_PATH);
    }
    if (fd < 0)
        return jl_fail(e, -fd, "open '%s' below the root", path);
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        jl_close(fd);
        return jl_fail(e, EISDIR, "open file '%s' below the root", path);
    }
    return fd;
}
