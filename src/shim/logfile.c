/*
 * logfile.c - see logfile.h.
 *
 * Both files are written at our own offsets and not with O_APPEND: what a full disk cut off, of
 * the data or of a record, is written over by what comes next, so that the index never shifts.
 */
#include "shim/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"

#define RESERVE_BYTES 16384u
#define LAST_RECORDS_BYTES (4u * IPC_LOG_RECORD_BYTES) /* gap, note, gap, end */

static int create_at(int dirfd, const char *name, struct jl_err *e)
{
    int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);

    if (fd < 0)
        return jl_fail_sys(e, "openat", name, "create the job's log");
    return fd;
}

/* Promises space for the index ahead. False when the disk is full. */
static bool reserve(struct sh_log *log)
{
    if (log->reserved >= log->index_bytes + IPC_LOG_RECORD_BYTES + LAST_RECORDS_BYTES)
        return true;
    if (fallocate(log->index_fd, FALLOC_FL_KEEP_SIZE, (off_t) log->reserved, RESERVE_BYTES) == 0) {
        log->reserved += RESERVE_BYTES;
        return true;
    }
    if (errno == ENOSPC || errno == EDQUOT)
        return false;
    log->reserved = UINT64_MAX; /* this file system promises nothing: then without */
    return true;
}

int sh_log_open(struct sh_log *log, int dirfd, struct jl_err *e)
{
    char name[32];
    struct sh_log fresh = SH_LOG_INIT;

    fresh.data_fd = create_at(dirfd, ipc_log_data_name(0, name, sizeof name), e);
    if (fresh.data_fd < 0)
        return fresh.data_fd;
    fresh.index_fd = create_at(dirfd, ipc_log_index_name(0, name, sizeof name), e);
    if (fresh.index_fd < 0) {
        jl_close(fresh.data_fd);
        return fresh.index_fd;
    }
    fresh.dirfd = fcntl(dirfd, F_DUPFD_CLOEXEC, 3); /* without it the names are not fsynced */
    reserve(&fresh); /* a disk that is full already is met again at the first output */
    *log = fresh;
    return 0;
}

/* Writes as much as goes; a count that is short means that errno says why. */
static size_t write_at(int fd, const void *data, size_t len, uint64_t offset)
{
    const char *p = data;
    size_t done = 0;

    while (done < len) {
        ssize_t n = pwrite(fd, p + done, len - done, (off_t) (offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t) n;
    }
    return done;
}

static bool put_record(struct sh_log *log, enum ipc_log_stream stream, uint64_t length)
{
    struct ipc_log_record r = {
        .sequence = log->sequence + 1,
        .wall_ns = jl_wall_ns(),
        .offset = log->data_bytes,
        .length = length,
        .stream = stream,
    };
    uint8_t bytes[IPC_LOG_RECORD_BYTES];

    ipc_log_record_write(&r, bytes);
    if (write_at(log->index_fd, bytes, sizeof bytes, log->index_bytes) != sizeof bytes)
        return false;
    log->sequence++;
    log->index_bytes += sizeof bytes;
    return true;
}

static void put_gap(struct sh_log *log)
{
    if (log->gap_bytes > 0 && put_record(log, IPC_LOG_GAP, log->gap_bytes))
        log->gap_bytes = 0;
}

void sh_log_append(struct sh_log *log, enum ipc_log_stream stream, const void *data, size_t len)
{
    size_t stored = reserve(log) ? write_at(log->data_fd, data, len, log->data_bytes) : 0;

    if (stream == IPC_LOG_NOTE && stored < len)
        stored = 0; /* half a note says nothing */
    if (stored > 0) {
        put_gap(log);
        if (log->gap_bytes == 0 && put_record(log, stream, stored))
            log->data_bytes += stored;
        else
            stored = 0;
    }
    if (stream == IPC_LOG_NOTE) /* not the job's output: nothing of that was lost */
        return;
    log->dropped_bytes += len - stored;
    log->gap_bytes += len - stored;
}

int sh_log_finish(struct sh_log *log, struct jl_err *e)
{
    bool ended;

    put_gap(log);
    ended = log->gap_bytes == 0 && put_record(log, IPC_LOG_END, 0);
    if (!ended)
        jl_fail(e, errno, "write the end of the job's log");
    /* Behind the last record there may be cut-off bytes and reserved blocks. */
    if (ftruncate(log->data_fd, (off_t) log->data_bytes) < 0 ||
        ftruncate(log->index_fd, (off_t) log->index_bytes) < 0)
        return jl_fail_sys(e, "ftruncate", NULL, "finish the job's log");
    if (fsync(log->data_fd) < 0 || fsync(log->index_fd) < 0 ||
        (log->dirfd >= 0 && fsync(log->dirfd) < 0))
        return jl_fail_sys(e, "fsync", NULL, "finish the job's log");
    return ended ? 0 : -e->code;
}

void sh_log_close(struct sh_log *log)
{
    log->data_fd = jl_close(log->data_fd);
    log->index_fd = jl_close(log->index_fd);
    log->dirfd = jl_close(log->dirfd);
}
