/* io.c - see io.h; what POSIX has. The rest is in io_linux.c. */
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"

int jl_close(int fd)
{
    int saved = errno;

    if (fd >= 0)
        close(fd); /* EINTR: Linux has closed it all the same */
    errno = saved;
    return -1;
}

int jl_write_all(int fd, const void *data, size_t len)
{
    const char *p = data;

    while (len > 0) {
        ssize_t n = write(fd, p, len);

        if (n < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        p += n;
        len -= (size_t) n;
    }
    return 0;
}

int jl_read_all(int fd, struct jl_buf *b)
{
    for (;;) {
        size_t room = b->max - b->len;
        char probe;
        ssize_t n;
        int r;

        if (room == 0) { /* full: only EOF is still good */
            n = read(fd, &probe, 1);
            if (n < 0 && errno == EINTR)
                continue;
            return n == 0 ? 0 : n < 0 ? -errno : -EMSGSIZE;
        }
        if (room > 65536)
            room = 65536;
        r = jl_buf_reserve(b, room < 4096 ? room : 4096);
        if (r < 0)
            return r;
        if (room > b->size - b->len - 1)
            room = b->size - b->len - 1;
        n = read(fd, b->data + b->len, room);
        if (n < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        if (n == 0)
            return 0;
        b->len += (size_t) n;
        b->data[b->len] = '\0';
    }
}

int jl_read_file_at(int dirfd, const char *path, struct jl_buf *b, struct jl_err *e)
{
    _close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
    int r;

    if (fd < 0)
        return jl_fail_sys(e, "openat", path, "read file");
    r = jl_read_all(fd, b);
    if (r == -EMSGSIZE)
        return jl_refuse(e, EMSGSIZE, "read '%s': larger than the limit of %zu bytes", path,
                         b->max);
    if (r < 0)
        return jl_fail(e, -r, "read '%s'", path);
    return 0;
}

static int write_and_rename(int dirfd, const char *tmp, const char *name, int fd, const void *data,
                            size_t len, bool durable, struct jl_err *e)
{
    int r = jl_write_all(fd, data, len);

    if (r < 0)
        return jl_fail(e, -r, "write '%s'", name);
    if (durable && fsync(fd) < 0)
        return jl_fail_sys(e, "fsync", name, "publish file");
    if (renameat(dirfd, tmp, dirfd, name) < 0)
        return jl_fail_sys(e, "renameat", name, "publish file");
    return 0;
}

/* The directory that holds `name`, as a descriptor for fsync. */
static int open_parent(int dirfd, const char *name)
{
    char parent[4096];
    const char *slash = strrchr(name, '/');
    size_t len = slash ? (size_t) (slash - name) : 0;

    if (!slash)
        return openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (len >= sizeof parent) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(parent, name, len);
    parent[len] = '\0';
    return openat(dirfd, len ? parent : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int jl_publish_at(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
                  bool durable, struct jl_err *e)
{
    char tmp[4096];
    _close_ int fd = -1;
    _close_ int dir = -1;
    int r;

    r = snprintf(tmp, sizeof tmp, "%s.new%d", name, (int) getpid());
    if (r < 0 || (size_t) r >= sizeof tmp)
        return jl_refuse(e, ENAMETOOLONG, "publish '%s': name is too long", name);
    if (unlinkat(dirfd, tmp, 0) < 0 && errno != ENOENT)
        return jl_fail_sys(e, "unlinkat", tmp, "publish file");
    fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return jl_fail_sys(e, "openat", tmp, "publish file");
    r = write_and_rename(dirfd, tmp, name, fd, data, len, durable, e);
    if (r < 0) {
        unlinkat(dirfd, tmp, 0);
        return r;
    }
    if (!durable)
        return 0;
    dir = open_parent(dirfd, name);
    if (dir < 0 || fsync(dir) < 0)
        return jl_fail_sys(e, "fsync", name, "publish file: its directory");
    return 0;
}

int jl_write_kernel_file_at(int dirfd, const char *path, const char *data)
{
    _close_ int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    size_t len = strlen(data);
    ssize_t n;

    if (fd < 0)
        return -errno;
    do
        n = write(fd, data, len);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    return (size_t) n == len ? 0 : -EIO;
}

int jl_mkdir_p(const char *path, mode_t mode, struct jl_err *e)
{
    char part[4096];
    size_t len = strlen(path);

    if (len == 0 || len >= sizeof part)
        return jl_refuse(e, ENAMETOOLONG, "make directory '%s': bad length", path);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, mode) < 0 && errno != EEXIST)
            return jl_fail_sys(e, "mkdir", part, "make directory");
    }
    return 0;
}
