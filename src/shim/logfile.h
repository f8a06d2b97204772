/*
 * logfile.h - the shim's end of a job's log: the one writer of output.N.log and output.N.idx
 * (ipc/joblog.h). Nothing that happens to the disk stops the job or the shim: what can't be
 * stored is dropped, counted, and a gap record stands in its place once there is room again.
 *
 * Space for the last records (gap, note, end) is reserved ahead, so that a log that filled the
 * disk still has its end. Nothing blocks but the disk.
 *
 * A log with a ceiling is written in segments of an eighth of it. When there is no room for more,
 * the oldest segment goes: its index becomes one of two records, how much is missing and NEXT, and its
 * data is truncated, so that a reader who still has it open gives the space back as well.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "ipc/joblog.h"

struct jl_err;

#define SH_LOG_FULL_MAX 32 /* whole segments besides the last; a least ceiling makes 17 at most */

struct sh_log_full { /* a segment that is not the last */
    uint64_t data_bytes, index_bytes;
    uint64_t output_bytes, gap_bytes; /* of the job's streams: stored; dropped and told of */
    uint64_t last;                    /* sequence of its NEXT */
};

struct sh_log {
    int data_fd, index_fd, dirfd;             /* of the last segment, which is written */
    uint64_t max_bytes;                       /* of all files; 0: no limit, and one segment */
    unsigned segment;                         /* the last */
    unsigned oldest;                          /* the first that is whole */
    struct sh_log_full full[SH_LOG_FULL_MAX]; /* segment N at N % SH_LOG_FULL_MAX */
    uint64_t full_bytes;                      /* of those, data and index */
    uint64_t data_bytes; /* of the last segment: stored and told of by a record */
    uint64_t index_bytes;
    uint64_t output_bytes, told_gaps; /* of the last segment: sh_log_full's output and gap */
    uint64_t reserved;                /* bytes of the index that the file system has promised */
    uint64_t sequence;                /* of the last record */
    uint64_t cut_bytes;               /* of output, before the oldest segment */
    uint64_t dropped_bytes;           /* in all */
    uint64_t gap_bytes;               /* of them, not yet told of by a record */
};

#define SH_LOG_INIT                                                                                \
    {                                                                                              \
        .data_fd = -1, .index_fd = -1                                                              \
    }

/* Creates the files of segment 0 in the directory; files that exist are refused: a job's log has
 * one writer, once. Takes a copy of dirfd. max_bytes is the ceiling, 0 or at least IPC_LOG_MAX_LOW;
 * nothing is dropped before all of the log, its index included, comes within 4 KiB of it. 0, or
 * -errno with e filled. */
int sh_log_open(struct sh_log *log, int dirfd, uint64_t max_bytes, struct jl_err *e);

/* Appends what was read from a stream, at most IPC_LOG_CHUNK_MAX bytes. Never fails. */
void sh_log_append(struct sh_log *log, enum ipc_log_stream stream, const void *data, size_t len);

/* Bytes that are in the log, and told of. */
uint64_t sh_log_bytes(const struct sh_log *log);

/* Writes the end record, gives back what was reserved, and makes all files durable. 0, or
 * -errno with e filled (the job's record is written all the same). */
int sh_log_finish(struct sh_log *log, struct jl_err *e);

void sh_log_close(struct sh_log *log);
