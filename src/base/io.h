/*
 * io.h - whole reads and writes, and files that appear complete or not at all.
 * Blocking unless said otherwise; restarts on EINTR. Privilege: that of the caller.
 * Trees, descriptors over sockets and memfds are Linux's: a file of their own (io_linux.c), which
 * rnx does not link.
 */
#pragma once

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct jl_buf;
struct jl_err;

/* Writes all bytes. 0 or -errno. */
int jl_write_all(int fd, const void *data, size_t len);

/* Reads until EOF into b, up to its ceiling. 0 or -errno (-EMSGSIZE: there is more). */
int jl_read_all(int fd, struct jl_buf *b);

/* Reads the file `path` below dirfd (AT_FDCWD for none) whole into b. Follows no symlink in the
 * last part. 0, or -errno with e filled. */
int jl_read_file_at(int dirfd, const char *path, struct jl_buf *b, struct jl_err *e);

/*
 * Publishes a file by rename: readers see the old one or the whole new one. With `durable` the
 * data and the directory are fsynced before this returns, so that it outlives a power loss.
 * Leaves no temporary file behind on failure. 0, or -errno with e filled.
 */
int jl_publish_at(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
                  bool durable, struct jl_err *e);

/* Writes data into an existing kernel file (proc, sys, cgroup) in one write. 0 or -errno. */
int jl_write_kernel_file_at(int dirfd, const char *path, const char *data);

/* mkdir -p below dirfd for a relative or absolute path; existing directories are kept as they
 * are. 0, or -errno with e filled. Follows symlinks: for trusted paths only. */
int jl_mkdir_p(const char *path, mode_t mode, struct jl_err *e);

/* The directory `name` below dirfd, unless it is a symlink. fd, or -1 with errno, as openat. */
int jl_open_dir_at(int dirfd, const char *name);
/* The same to read its entries (closedir); "." reads dirfd's own and leaves its position alone. NULL
 * with errno. */
DIR *jl_opendir_at(int dirfd, const char *name);

/*
 * Removes the tree `name` below dirfd without following symlinks or crossing onto another
 * file system. Nothing there is success. 0, or -errno with e filled.
 */
int jl_remove_tree_at(int dirfd, const char *name, struct jl_err *e);

/* What the file system of fd has less than 5 % left of, "space" or "inodes"; NULL: neither, as far as
 * it counts them. */
const char *jl_fs_lacks(int fd);

/* Sends or receives descriptors over a unix socket: one message of data and up to
 * JL_FDS_MAX descriptors. Received ones are close-on-exec. Never raises SIGPIPE.
 * jl_send_fds: 0 or -errno. jl_recv_fds: bytes received (0: peer closed) or -errno; -EMSGSIZE
 * when data or descriptors were cut off (everything received is closed then). n_fds in: room,
 * out: received. */
#define JL_FDS_MAX 16
int jl_send_fds(int sock, const void *data, size_t len, const int *fds, size_t n_fds);
ssize_t jl_recv_fds(int sock, void *data, size_t size, int *fds, size_t *n_fds);

/* A memfd of these bytes, sealed against every change, positioned at 0. fd or -errno. */
int jl_sealed_memfd(const char *name, const void *data, size_t len);
