/*
 * logfile.h - the shim's end of a job's log: the one writer of output.N.log and output.N.idx
 * (ipc/joblog.h). Nothing that happens to the disk stops the job or the shim: what can't be
 * stored is dropped, counted, and a gap record stands in its place once there is room again.
 *
 * Space for the last records (gap, note, end) is reserved ahead, so that a log that filled the
 * disk still has its end. Nothing blocks but the disk.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "ipc/joblog.h"

struct jl_err;

struct sh_log {
    int data_fd, index_fd, dirfd;
    uint64_t data_bytes; /* stored and told of by a record */
    uint64_t index_bytes;
    uint64_t reserved;      /* bytes of the index that the file system has promised */
    uint64_t sequence;      /* of the last record */
    uint64_t dropped_bytes; /* in all */
    uint64_t gap_bytes;     /* of them, not yet told of by a record */
};

#define SH_LOG_INIT                                                                                \
    {                                                                                              \
        .data_fd = -1, .index_fd = -1                                                              \
    }

/* Creates the files of segment 0 in the directory; files that exist are refused: a job's log has
 * one writer, once. Takes a copy of dirfd. 0, or -errno with e filled. */
int sh_log_open(struct sh_log *log, int dirfd, struct jl_err *e);

/* Appends what was read from a stream, at most IPC_LOG_CHUNK_MAX bytes. Never fails. */
void sh_log_append(struct sh_log *log, enum ipc_log_stream stream, const void *data, size_t len);

/* Writes the end record, gives back what was reserved, and makes both files durable. 0, or
 * -errno with e filled (the job's record is written all the same). */
int sh_log_finish(struct sh_log *log, struct jl_err *e);

void sh_log_close(struct sh_log *log);
