/*
 * musl.h - what our sources use of the GNU C library and musl does not have; included in front of
 * every source of the programs that are linked with musl (docs/adr/0013). Everything here is a
 * system call or a constant of the kernel's.
 */
#pragma once

#include <stdio.h> /* renameat2's constants stand there in glibc */
#include <sys/mount.h>
#include <sys/resource.h>

#include <linux/fs.h>
#include <linux/mount.h>

#ifndef __GLIBC__ /* else only looked at: tests/lint/headers */
typedef int __rlimit_resource_t;
#endif

/* As in glibc's <stdio.h> and <sys/mount.h>: -1 with errno set. */
int renameat2(int old_dirfd, const char *old_path, int new_dirfd, const char *new_path,
              unsigned flags);
int fsopen(const char *fs_name, unsigned flags);
int fspick(int dirfd, const char *path, unsigned flags);
int fsconfig(int fd, unsigned cmd, const char *key, const void *value, int aux);
int fsmount(int fd, unsigned flags, unsigned attributes);
int open_tree(int dirfd, const char *path, unsigned flags);
int move_mount(int from_dirfd, const char *from_path, int to_dirfd, const char *to_path,
               unsigned flags);
int mount_setattr(int dirfd, const char *path, unsigned flags, struct mount_attr *attr,
                  size_t size);
