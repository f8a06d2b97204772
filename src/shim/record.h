/*
 * record.h - the exit record on disk. The file is made and its space reserved when the shim
 * starts, so that a disk that fills up later can't take the job's exit code.
 */
#pragma once

#include "ipc/exitrec.h"

struct sh_record {
    int dirfd; /* borrowed: the job's state directory */
    int fd;
};

#define SH_RECORD_INIT                                                                             \
    {                                                                                              \
        .dirfd = -1, .fd = -1                                                                      \
    }

/* 0, or -errno with e filled. */
int sh_record_prepare(struct sh_record *r, int state_dirfd, struct jl_err *e);

/*
 * Publishes: write, fsync, rename to `exit`, fsync of the directory. When this returns 0 the
 * record outlives a power loss. May be called again after a failure. Blocks on the disk.
 */
int sh_record_publish(struct sh_record *r, const struct ipc_exitrec *rec, struct jl_err *e);
