/*
 * logread.h - reads one segment of a job's log (ipc/joblog.h) from two descriptors and puts small
 * records together into large chunks; knows neither gRPC nor core, so it is tested with plain
 * files. It never waits: when there is no more (yet) it says so, and the caller comes back when
 * inotify tells of a change.
 *
 * The files are written by the job's shim (root) but hold what a hostile job printed; a record is
 * believed only if its check sum is right, its sequence follows and its bytes are there.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "ipc/joblog.h"

/* Records further apart than this are not put together, so that a line keeps its time. */
#define JD_LOG_TOGETHER_NS UINT64_C(100000000)

struct jd_logread {
    int idx_fd;  /* own; -1: no segment is open */
    int data_fd; /* own */
    unsigned segment;
    uint64_t next;      /* number of the next record in this segment */
    uint64_t expect;    /* sequence it must have; 0: not known yet */
    uint64_t from;      /* first sequence wanted */
    uint64_t skip_data; /* bytes of this segment before this offset are not wanted */
};

/* clang-format off */
#define JD_LOGREAD_INIT { .idx_fd = -1, .data_fd = -1 }
/* clang-format on */

enum jd_log_what {
    JD_LOG_WAIT,  /* no complete record there (yet) */
    JD_LOG_CHUNK, /* a stretch of one stream */
    JD_LOG_GAP,   /* output was dropped; `len` tells how many bytes, no data */
    JD_LOG_CUT,   /* the first `len` bytes of the whole output are no longer kept; no data */
    JD_LOG_GONE,  /* the segment was taken away while it was read: open it anew */
    JD_LOG_NEXT,  /* open the next segment */
    JD_LOG_END,   /* the output is complete */
};

struct jd_log_chunk {
    enum jd_log_what what;
    enum ipc_log_stream stream; /* CHUNK: STDOUT, STDERR or NOTE */
    uint64_t len;               /* CHUNK: bytes in the buffer */
    uint64_t wall_ns;           /* of the first record in it */
    uint64_t sequence;          /* of the last record in it: go on with sequence + 1 */
};

/* Takes the two descriptors of a segment. The place in the log (sequence) stays. */
void jd_logread_open(struct jd_logread *r, unsigned segment, int own_idx_fd, int own_data_fd);
void jd_logread_close(struct jd_logread *r);

/*
 * The next chunk: adjacent records of one stream and moment together, at most size bytes (size must
 * be at least IPC_LOG_CHUNK_MAX). 0 with ret filled; -EPROTO with e filled: a whole record is there
 * that cannot be one (damaged, after a power loss). Reads files, so it may block on a disk.
 */
int jd_logread_next(struct jd_logread *r, uint8_t *buf, size_t size, struct jd_log_chunk *ret,
                    struct jl_err *e);

/* The last whole record of the open segment, to find its kind and how far its data goes.
 * 1 there is one, 0 none yet, -EPROTO with e filled: damaged. */
int jd_logread_last(const struct jd_logread *r, struct ipc_log_record *ret, struct jl_err *e);

/* How many bytes of data the open segment's records hold so far. 1 they end in a newline or there
 * are none, 0 they do not, -errno with e filled. */
int jd_logread_data_end(const struct jd_logread *r, uint64_t *ret_end, struct jl_err *e);

/*
 * Goes back from *end in the data, at most `budget` bytes, over *lines newlines, to the one before
 * them: the last N lines are N newlines where the log ends in one, else N - 1.
 * 1 found: *end is the offset behind that newline. 0: *end is where to go on, *lines how many are
 * still to be passed; at *end 0 go on in the segment before. -errno with e filled.
 */
int jd_logread_tail(const struct jd_logread *r, uint64_t budget, uint64_t *end, uint64_t *lines,
                    struct jl_err *e);
