/*
 * cgroup_tree.c - the directories of a group: finding, making and removing them. Everything goes by
 * descriptor, one path part at a time, so that neither ".." nor a link leads anywhere else.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "os/cgroup_internal.h"

const char *cg_mount(const struct os_cgroup_host *host, unsigned hierarchy)
{
    if (hierarchy == CG_UNIFIED)
        return host->unified[0] ? host->unified : NULL;
    if (host->v1[hierarchy][0] == '\0' ||
        cg_v1_owner(host, (enum os_controller) hierarchy) != hierarchy)
        return NULL;
    return host->v1[hierarchy];
}

int cg_hierarchy_fd(const struct os_cgroup *cg, unsigned hierarchy)
{
    return cg_mount(&cg->host, hierarchy) ? cg->fd[hierarchy] : -1;
}

static int check_part(const char *part, size_t len, const char *path, struct jl_err *e)
{
    if (len > 255)
        return jl_refuse(e, ENAMETOOLONG, "cgroup path '%s': a part is longer than 255 bytes",
                         path);
    if ((len == 1 && part[0] == '.') || (len == 2 && part[0] == '.' && part[1] == '.'))
        return jl_refuse(e, EINVAL, "cgroup path '%s': '.' and '..' are not allowed in it", path);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char) part[i] < 0x20 || part[i] == 0x7f)
            return jl_refuse(e, EINVAL, "cgroup path '%s': control characters in it", path);
    return 0;
}

int cg_path_check(const char *path, char *norm, struct jl_err *e)
{
    size_t n = 0;

    for (const char *p = path; *p != '\0';) {
        size_t len = strcspn(p, "/");
        int r;

        if (len > 0) {
            r = check_part(p, len, path, e);
            if (r < 0)
                return r;
            if (n + 1 + len >= CG_PATH_MAX)
                return jl_refuse(e, ENAMETOOLONG, "cgroup path is longer than %d bytes",
                                 CG_PATH_MAX - 2);
            if (n > 0)
                norm[n++] = '/';
            memcpy(norm + n, p, len);
            n += len;
        }
        p += len;
        p += strspn(p, "/");
    }
    if (n == 0)
        return jl_refuse(e, EINVAL, "cgroup path '%s' names the root, which is not ours to use",
                         path);
    norm[n] = '\0';
    return 0;
}

int cg_open_below(const char *mount, const char *path, size_t len)
{
    _close_ int fd = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    size_t at = 0;

    if (fd < 0)
        return -errno;
    while (at < len) {
        char part[256];
        size_t n = strcspn(path + at, "/");
        int next;

        memcpy(part, path + at, n);
        part[n] = '\0';
        next = jl_open_dir_at(fd, part);
        if (next < 0)
            return -errno;
        jl_close(fd);
        fd = next;
        at += n + 1;
    }
    return jl_take_fd(&fd);
}

int cg_next_child(DIR *dir, char *name)
{
    struct dirent *d;

    for (;;) {
        int fd;

        errno = 0;
        d = readdir(dir);
        if (!d)
            return errno ? -errno : -ENOENT;
        if (d->d_type != DT_DIR || strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        fd = jl_open_dir_at(dirfd(dir), d->d_name);
        if (fd < 0 && (errno == ENOENT || errno == ENODEV))
            continue; /* removed since */
        if (name)
            memcpy(name, d->d_name, strlen(d->d_name) + 1);
        return fd < 0 ? -errno : fd;
    }
}

static int each_group(int fd, int (*fn)(int fd, void *data), void *data, unsigned depth)
{
    _closedir_ DIR *dir = NULL;
    int r = fn(fd, data);

    if (r != 0)
        return r == -ENODEV || r == -ENOENT ? 0 : r;
    if (depth >= CG_DEPTH_MAX)
        return -ELOOP;
    dir = jl_opendir_at(fd, ".");
    if (!dir)
        return errno == ENOENT || errno == ENODEV ? 0 : -errno;
    for (;;) {
        _close_ int child = cg_next_child(dir, NULL);

        if (child < 0)
            return child == -ENOENT ? 0 : child;
        r = each_group(child, fn, data, depth + 1);
        if (r != 0)
            return r;
    }
}

int cg_each_group(int fd, int (*fn)(int fd, void *data), void *data)
{
    return each_group(fd, fn, data, 0);
}

static bool has_child(int fd)
{
    struct stat st;

    /* A group's directory counts its children as links, as any file system's does. */
    return fstat(fd, &st) < 0 || st.st_nlink > 2;
}

int cg_remove_children(int fd, int *ret_busy)
{
    _closedir_ DIR *dir = jl_opendir_at(fd, ".");
    char name[256];

    if (!dir)
        return errno == ENOENT || errno == ENODEV ? 0 : -errno;
    for (;;) {
        _close_ int child = cg_next_child(dir, name);

        if (child < 0)
            return child == -ENOENT ? 0 : child;
        if (unlinkat(fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
            continue;
        if (errno != EBUSY || !has_child(child))
            return -errno;
        *ret_busy = jl_take_fd(&child);
        return 0;
    }
}
