/*
 * image.h - ext4 in a file: made by mkfs.ext4, mounted over a loop device that goes away with the
 * mount. Its root is the job user's. For workers (worker.h): all of it blocks and needs root.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct jd_image_fs {
    unsigned journal_mib; /* 0: none, and then it is not worth a repair after a crash */
    uint64_t inodes;
};

/* The file system's program, an absolute path; NULL when it is not installed. */
const char *jd_image_mkfs(void);

/* How large a file has to be for so many bytes to be free in it, to 0.1 % or 32 KiB more. */
uint64_t jd_image_size(const struct jd_image_fs *fs, uint64_t free_bytes);

/* Makes the file system in all of the file, which is sparse and stays so. 0, or -errno with e
 * filled. */
int jd_image_format(int image_fd, const struct jd_image_fs *fs, struct jl_err *e);

/* Mends what e2fsck mends without asking; dev is used by nobody. 0 or 1 (it was mended); -errno with e
 * filled: it needs a person. */
int jd_image_check(const char *dev, struct jl_err *e);

/* A mount that is attached nowhere yet, nosuid and nodev, of what need not outlive a loss of power: what
 * is synced there is in the host's page cache alone. label: what losetup(8) shows. fd, or -errno with e
 * filled. */
int jd_image_mount(int image_fd, const char *label, struct jl_err *e);

/* A mount of a block device, where what is synced is on the disk. */
int jd_image_mount_dev(const char *dev, bool read_only, struct jl_err *e);
