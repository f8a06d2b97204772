/*
 * mountfd.h - mounts as descriptors: made or cloned detached, given their attributes, and only
 * then attached to a directory descriptor. No path is looked up twice.
 *
 * A detached mount goes away with its last descriptor. Privilege: CAP_SYS_ADMIN in the user
 * namespace of the mount namespace. Sources: fsopen(2), open_tree(2), move_mount(2),
 * mount_setattr(2).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct jl_err;

/*
 * A new mount of a file system. options: strings "key=value" or "flag", given to fsconfig one by
 * one, n of them; source may be NULL. attrs: MOUNT_ATTR_*. The error holds the kernel's own words
 * when it left some in the context's log. fd, or -errno with e filled.
 */
int os_mount_new(const char *fstype, const char *source, const char *const *options, size_t n,
                 unsigned attrs, struct jl_err *e);

/*
 * The same with a file system that counts the changes of its inodes, which only mount(2) can ask
 * for. place: any directory of the own mount namespace; it is covered meanwhile. Needs /proc.
 */
int os_mount_new_iversion(const char *fstype, const char *source, const char *const *options,
                          size_t n, unsigned attrs, int place, struct jl_err *e);

/* Sets options of the file system that fd's mount is of, for all its mounts. 0, or -errno with e
 * filled. */
int os_mount_reconfigure(int fd, const char *const *options, size_t n, struct jl_err *e);

/* A detached clone (bind) of the tree at path; path "" means dirfd itself. nofollow: of a symlink
 * that path is. fd or -errno. */
int os_mount_clone(int dirfd, const char *path, bool recursive, bool nofollow);

struct os_mount_change {
    uint64_t set, clear;  /* MOUNT_ATTR_* */
    uint64_t propagation; /* MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE, or 0 */
    int userns_fd;        /* for MOUNT_ATTR_IDMAP in set */
};

/* Changes the mount that fd refers to (it must be its root), or the whole tree. 0 or -errno. */
int os_mount_change(int fd, bool recursive, const struct os_mount_change *change);

/* Attaches a detached mount onto the file or directory `target_fd` (O_PATH is enough). 0 or
 * -errno. */
int os_mount_attach(int mount_fd, int target_fd);

/* A procfs of the current pid namespace that is attached nowhere, so that no mount of the image
 * can stand in its way. -errno where the kernel refuses one. */
int os_proc_private(void);

/* Makes new_root_fd, the root of an attached mount, the root of the mount namespace, and
 * detaches the old one. The working directory is the new root then. 0, or -errno with e. */
int os_pivot_root(int new_root_fd, struct jl_err *e);
