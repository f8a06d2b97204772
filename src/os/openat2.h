/*
 * openat2.h - look up paths below a directory descriptor and never leave it. For a container's
 * rootfs, whose content is hostile: symlinks, absolute ones too, are taken relative to the root,
 * and /proc/PID/fd style links are refused.
 *
 * Nothing blocks. Privilege: that of the file permissions. Source: openat2(2).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct jl_err;

/* openat2 with these flags, O_CLOEXEC added, and resolve flags of openat2(2). fd or -errno. */
int os_openat2(int dirfd, const char *path, uint64_t flags, mode_t mode, uint64_t resolve);

/*
 * Opens path below root_fd with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS. A leading "/" means the
 * root itself. fd or -errno.
 */
int os_open_in_root(int root_fd, const char *path, uint64_t flags);

/* The same, and no part of the path may be a symlink (-ELOOP). */
int os_open_in_root_nolink(int root_fd, const char *path, uint64_t flags);

/*
 * Makes the directory and its missing parents below root_fd (mode for what is made) and returns
 * an O_PATH descriptor of it. Existing symlinks are followed inside the root; a dangling one is
 * an error. fd, or -errno with e filled.
 */
int os_mkdir_in_root(int root_fd, const char *path, mode_t mode, struct jl_err *e);

/*
 * Opens (O_PATH) the file, making it empty (and its parents) when it isn't there. -EISDIR when it
 * is a directory. fd, or -errno with e filled.
 */
int os_mkfile_in_root(int root_fd, const char *path, mode_t mode, struct jl_err *e);

/*
 * Opens (O_PATH) the parent directory of path, making it when missing, and points *ret_name into
 * path at the last part. -EINVAL when the last part is "", "." or "..". fd, or -errno with e.
 */
int os_parent_in_root(int root_fd, const char *path, const char **ret_name, struct jl_err *e);
