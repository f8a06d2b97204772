/*
 * joblog.h - the form of a job's log: raw bytes in `output.N.log` as they came, and
 * `output.N.idx`, fixed-size records that say what each stretch is. One writer (the shim), any
 * number of readers, which follow by reading the index again when inotify tells of a change.
 * History and live output are the same file, so nothing is missing and nothing comes twice.
 *
 * The writer appends the bytes first, the record after; a reader believes a record only if its
 * bytes are there. The last record of a log is IPC_LOG_END; after it nothing follows. N counts
 * from 0 and grows when a segment is full; a log with a ceiling loses its oldest segments, and what
 * is left of the last of those is an index of CUT and NEXT. docs/formats/job-log.md is the reference.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define IPC_LOG_RECORD_BYTES 40
#define IPC_LOG_AHEAD ".ahead" /* behind the name of a segment 0 whose job has not begun */
#define IPC_LOG_CHUNK_MAX 65536 /* bytes of output in one record at most */
#define IPC_LOG_MAX_LOW (UINT64_C(1) << 20) /* the least ceiling of a log */

enum ipc_log_stream {
    IPC_LOG_STDOUT = 1,
    IPC_LOG_STDERR = 2,
    IPC_LOG_NOTE = 3, /* a line by joblet itself, such as "Job killed due to memory limit" */
    IPC_LOG_GAP = 4,  /* `length` bytes of output were dropped here (disk full); no bytes stored */
    IPC_LOG_NEXT = 5, /* this segment is full; the log goes on in N + 1 */
    IPC_LOG_END = 6,  /* the job's output is complete */
    IPC_LOG_CUT = 7,  /* the first `length` bytes of the output are no longer kept (a ceiling) */
};

struct ipc_log_record {
    uint64_t sequence; /* from 1, without holes, over all segments */
    uint64_t wall_ns;  /* when it was read */
    uint64_t offset;   /* of its bytes in this segment's .log */
    uint64_t length;   /* bytes */
    enum ipc_log_stream stream;
};

/* Little-endian; the last 4 bytes are a check sum over the others (CRC-32). */
void ipc_log_record_write(const struct ipc_log_record *r, uint8_t out[IPC_LOG_RECORD_BYTES]);
/* 0, or -EPROTO: torn or not ours. */
int ipc_log_record_parse(const uint8_t in[IPC_LOG_RECORD_BYTES], struct ipc_log_record *ret);

/* "output.<segment>.log" and ".idx" into buf (>= 32 bytes). Returns buf. */
char *ipc_log_data_name(unsigned segment, char *buf, size_t size);
char *ipc_log_index_name(unsigned segment, char *buf, size_t size);
/* Is this the name of an index, spelled as above? Its segment. */
bool ipc_log_is_index(const char *name, unsigned *ret_segment);
