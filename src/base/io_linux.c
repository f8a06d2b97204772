/* io_linux.c - see io.h: what Linux alone has. rnx links none of it (tests/lint/portable). */
#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

int jl_open_dir_at(int dirfd, const char *name)
{
    return openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

DIR *jl_opendir_at(int dirfd, const char *name)
{
    _close_ int fd = jl_open_dir_at(dirfd, name);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (dir)
        jl_take_fd(&fd);
    return dir;
}

/*
 * Removal keeps one descriptor and one stack frame a level open, so its depth is bounded; but a
 * job can build a tree far deeper. What lies too deep is moved up into the tree's top directory,
 * which is read again until it is empty.
 */
#define REMOVE_DEPTH_MAX 64

struct removal {
    int top_fd;
    dev_t dev;
    unsigned n_moved;
};

static int remove_one(struct removal *rm, int dirfd, const char *name, unsigned depth,
                      struct jl_err *e);

static int remove_entries(struct removal *rm, int fd, unsigned depth, struct jl_err *e)
{
    _closedir_ DIR *dir = jl_opendir_at(fd, ".");
    struct dirent *d;

    if (!dir)
        return jl_fail_sys(e, "openat", ".", "remove directory");
    while ((d = readdir(dir)) != NULL) {
        int r;

        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        r = remove_one(rm, fd, d->d_name, depth + 1, e);
        if (r < 0)
            return r;
    }
    return 0;
}

static int move_up(struct removal *rm, int dirfd, const char *name, struct jl_err *e)
{
    char fresh[32];

    do {
        snprintf(fresh, sizeof fresh, ".deep-%u", rm->n_moved++);
        if (renameat2(dirfd, name, rm->top_fd, fresh, RENAME_NOREPLACE) == 0)
            return 0;
    } while (errno == EEXIST); /* the tree had such a name of its own */
    return jl_fail_sys(e, "renameat2", name, "remove directory: move it up");
}

static int remove_one(struct removal *rm, int dirfd, const char *name, unsigned depth,
                      struct jl_err *e)
{
    _close_ int fd = -1;
    struct stat st;
    unsigned moved;
    int r;

    if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return jl_fail_sys(e, "unlinkat", name, "remove file");
    if (depth > REMOVE_DEPTH_MAX)
        return move_up(rm, dirfd, name, e);
    fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : jl_fail_sys(e, "openat", name, "remove directory");
    if (fstat(fd, &st) < 0)
        return jl_fail_sys(e, "fstat", name, "remove directory");
    if (depth == 0)
        *rm = (struct removal){ .top_fd = fd, .dev = st.st_dev };
    else if (st.st_dev != rm->dev)
        return jl_refuse(e, EXDEV, "remove '%s': something is still mounted on it", name);
    do {
        moved = rm->n_moved;
        r = remove_entries(rm, fd, depth, e);
        if (r < 0)
            return r;
    } while (depth == 0 && rm->n_moved != moved);
    if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return jl_fail_sys(e, "rmdir", name, "remove directory");
    return 0;
}

int jl_remove_tree_at(int dirfd, const char *name, struct jl_err *e)
{
    struct removal rm = { .top_fd = -1 };

    return remove_one(&rm, dirfd, name, 0, e);
}

const char *jl_fs_lacks(int fd)
{
    struct statfs fs;

    if (fstatfs(fd, &fs) < 0)
        return NULL;
    if (fs.f_blocks > 0 && fs.f_bavail < fs.f_blocks / 20)
        return "space";
    return fs.f_files > 0 && fs.f_ffree < fs.f_files / 20 ? "inodes" : NULL;
}

int jl_send_fds(int sock, const void *data, size_t len, const int *fds, size_t n_fds)
{
    char control[CMSG_SPACE(sizeof(int) * JL_FDS_MAX)] = { 0 };
    struct iovec iov = { .iov_base = (void *) (uintptr_t) data, .iov_len = len };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t n;

    if (n_fds > JL_FDS_MAX)
        return -E2BIG;
    if (n_fds > 0) {
        struct cmsghdr *c;

        msg.msg_control = control;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
    }
    do
        n = sendmsg(sock, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    return (size_t) n == len ? 0 : -EMSGSIZE;
}

ssize_t jl_recv_fds(int sock, void *data, size_t size, int *fds, size_t *n_fds)
{
    char control[CMSG_SPACE(sizeof(int) * JL_FDS_MAX)];
    struct iovec iov = { .iov_base = data, .iov_len = size };
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control
    };
    size_t room = *n_fds, got = 0;
    bool cut = false;
    ssize_t n;

    *n_fds = 0;
    do
        n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
        size_t count;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
            if (got < room) {
                fds[got++] = fd;
            } else {
                jl_close(fd);
                cut = true;
            }
        }
    }
    if (cut || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
        while (got > 0)
            jl_close(fds[--got]);
        return -EMSGSIZE;
    }
    *n_fds = got;
    return n;
}

int jl_sealed_memfd(const char *name, const void *data, size_t len)
{
    _close_ int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int r;

    if (fd < 0)
        return -errno;
    r = jl_write_all(fd, data, len);
    if (r < 0)
        return r;
    if (lseek(fd, 0, SEEK_SET) < 0)
        return -errno;
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return -errno;
    return jl_take_fd(&fd);
}
