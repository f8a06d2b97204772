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
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"

#define RESERVE_BYTES 16384u
#define LAST_RECORDS_BYTES (4u * IPC_LOG_RECORD_BYTES) /* gap, note, gap, end */
#define MARGIN_BYTES 4096u /* of the ceiling: the cut, and the last records with a note */
#define SEGMENTS 8u        /* of a log with a ceiling */
#define CUT_NAME "output.idx.new"

/* A file of segment 0 may have been made ahead, under a name that nobody reads. To rename it is as
 * exclusive as to create it, and costs a start less. */
static int create_at(int dirfd, const char *name, bool ahead, struct jl_err *e)
{
    int flags = O_WRONLY | O_NOFOLLOW | O_CLOEXEC, fd;
    char made[48];

    snprintf(made, sizeof made, "%s" IPC_LOG_AHEAD, name);
    if (!ahead || renameat2(dirfd, made, dirfd, name, RENAME_NOREPLACE) < 0)
        flags |= O_CREAT | O_EXCL;
    fd = openat(dirfd, name, flags, 0640);
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

/* The two files of a segment, or none. */
static int create_segment(int dirfd, unsigned segment, int *ret_data, int *ret_index,
                          struct jl_err *e)
{
    char name[32];
    int data = create_at(dirfd, ipc_log_data_name(segment, name, sizeof name), segment == 0, e);
    int index;

    if (data < 0)
        return data;
    index = create_at(dirfd, ipc_log_index_name(segment, name, sizeof name), segment == 0, e);
    if (index < 0) {
        jl_close(data);
        unlinkat(dirfd, ipc_log_data_name(segment, name, sizeof name), 0);
        return index;
    }
    *ret_data = data;
    *ret_index = index;
    return 0;
}

int sh_log_open(struct sh_log *log, int dirfd, uint64_t max_bytes, struct jl_err *e)
{
    struct sh_log fresh = SH_LOG_INIT;
    int r = create_segment(dirfd, 0, &fresh.data_fd, &fresh.index_fd, e);

    if (r < 0)
        return r;
    fresh.max_bytes = max_bytes;
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
    if (log->gap_bytes > 0 && put_record(log, IPC_LOG_GAP, log->gap_bytes)) {
        log->told_gaps += log->gap_bytes;
        log->gap_bytes = 0;
    }
}

/* ---- a log with a ceiling */

/* Behind the last record there may be cut-off bytes and reserved blocks. */
static int trim(const struct sh_log *log)
{
    if (ftruncate(log->data_fd, (off_t) log->data_bytes) < 0 ||
        ftruncate(log->index_fd, (off_t) log->index_bytes) < 0)
        return -errno;
    return 0;
}

/* The next segment is there before NEXT leads to it. A disk that has no room for it is met again at
 * the next output; the ceiling holds in any case. */
static void next_segment(struct sh_log *log)
{
    struct sh_log_full *full = &log->full[log->segment % SH_LOG_FULL_MAX];
    unsigned next = log->segment + 1;
    int data_fd, index_fd;
    struct jl_err e;
    char name[32];

    if (create_segment(log->dirfd, next, &data_fd, &index_fd, &e) < 0)
        return;
    if (!put_record(log, IPC_LOG_NEXT, 0)) {
        jl_close(data_fd);
        jl_close(index_fd);
        unlinkat(log->dirfd, ipc_log_data_name(next, name, sizeof name), 0);
        unlinkat(log->dirfd, ipc_log_index_name(next, name, sizeof name), 0);
        return;
    }
    trim(log);
    *full = (struct sh_log_full){ .data_bytes = log->data_bytes,
                                  .index_bytes = log->index_bytes,
                                  .output_bytes = log->output_bytes,
                                  .gap_bytes = log->told_gaps,
                                  .last = log->sequence };
    log->full_bytes += log->data_bytes + log->index_bytes;
    jl_close(log->data_fd);
    jl_close(log->index_fd);
    log->data_fd = data_fd;
    log->index_fd = index_fd;
    log->segment = next;
    log->data_bytes = log->index_bytes = log->output_bytes = log->told_gaps = log->reserved = 0;
    reserve(log);
}

/* An index that says what is missing and where the log goes on, in the place of the oldest one. */
static bool put_cut(const struct sh_log *log, const struct sh_log_full *full)
{
    const struct ipc_log_record cut = { .sequence = full->last - 1,
                                        .wall_ns = jl_wall_ns(),
                                        .length =
                                            log->cut_bytes + full->output_bytes + full->gap_bytes,
                                        .stream = IPC_LOG_CUT };
    const struct ipc_log_record next = { .sequence = full->last,
                                         .wall_ns = cut.wall_ns,
                                         .stream = IPC_LOG_NEXT };
    uint8_t bytes[2 * IPC_LOG_RECORD_BYTES];
    int flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC;
    _close_ int fd = openat(log->dirfd, CUT_NAME, flags, 0640);
    char name[32];

    ipc_log_record_write(&cut, bytes);
    ipc_log_record_write(&next, bytes + IPC_LOG_RECORD_BYTES);
    return fd >= 0 && write_at(fd, bytes, sizeof bytes, 0) == sizeof bytes &&
           renameat(log->dirfd, CUT_NAME, log->dirfd,
                    ipc_log_index_name(log->oldest, name, sizeof name)) == 0;
}

/* First the index: who has the data open finds that its index has gone from the directory and looks
 * for the segment anew. The cut before this one goes last, as two of them say nothing wrong. */
static bool drop_oldest(struct sh_log *log)
{
    const struct sh_log_full *full = &log->full[log->oldest % SH_LOG_FULL_MAX];
    char name[32];

    if (!put_cut(log, full))
        return false;
    ipc_log_data_name(log->oldest, name, sizeof name);
    jl_close(openat(log->dirfd, name, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC));
    unlinkat(log->dirfd, name, 0);
    if (log->oldest > 0)
        unlinkat(log->dirfd, ipc_log_index_name(log->oldest - 1, name, sizeof name), 0);
    log->cut_bytes += full->output_bytes + full->gap_bytes;
    log->dropped_bytes += full->output_bytes;
    log->full_bytes -= full->data_bytes + full->index_bytes;
    log->oldest++;
    return true;
}

/* False: the ceiling is reached and nothing can go. */
static bool make_room(struct sh_log *log, size_t len)
{
    uint64_t need = len + 2 * IPC_LOG_RECORD_BYTES; /* a gap may come first */

    if (log->max_bytes == 0)
        return true;
    if (log->data_bytes > 0 && log->segment - log->oldest < SH_LOG_FULL_MAX &&
        log->data_bytes + log->index_bytes + need > log->max_bytes / SEGMENTS)
        next_segment(log);
    while (log->full_bytes + log->data_bytes + log->index_bytes + need + MARGIN_BYTES >
           log->max_bytes)
        if (log->oldest == log->segment || !drop_oldest(log))
            return false;
    return true;
}

uint64_t sh_log_bytes(const struct sh_log *log)
{
    uint64_t n = log->data_bytes;

    for (unsigned i = log->oldest; i < log->segment; i++)
        n += log->full[i % SH_LOG_FULL_MAX].data_bytes;
    return n;
}

/* ---- */

static size_t store(struct sh_log *log, enum ipc_log_stream stream, const void *data, size_t len)
{
    if (stream != IPC_LOG_NOTE && !make_room(log, len))
        return 0;
    return reserve(log) ? write_at(log->data_fd, data, len, log->data_bytes) : 0;
}

void sh_log_append(struct sh_log *log, enum ipc_log_stream stream, const void *data, size_t len)
{
    size_t stored = store(log, stream, data, len);

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
    log->output_bytes += stored;
    log->dropped_bytes += len - stored;
    log->gap_bytes += len - stored;
}

static int sync_file(int dirfd, const char *name)
{
    _close_ int fd = openat(dirfd, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* The segments before the last: the cut, if there is one, and those that are whole. */
static int sync_full(const struct sh_log *log)
{
    char name[32];
    int r = 0;

    for (unsigned i = log->oldest > 0 ? log->oldest - 1 : 0; r == 0 && i < log->segment; i++) {
        r = sync_file(log->dirfd, ipc_log_index_name(i, name, sizeof name));
        if (r == 0 && i >= log->oldest)
            r = sync_file(log->dirfd, ipc_log_data_name(i, name, sizeof name));
    }
    return r;
}

int sh_log_finish(struct sh_log *log, struct jl_err *e)
{
    bool ended;
    int r;

    put_gap(log);
    ended = log->gap_bytes == 0 && put_record(log, IPC_LOG_END, 0);
    if (!ended)
        jl_fail(e, errno, "write the end of the job's log");
    r = trim(log);
    if (r < 0)
        return jl_fail(e, -r, "finish the job's log");
    r = sync_full(log);
    if (r < 0)
        return jl_fail(e, -r, "finish the job's log");
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
