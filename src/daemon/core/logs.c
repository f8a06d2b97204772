/*
 * logs.c - a job's log and metrics from core's side: opened for joblet-front, which streams them; the
 * log closed when the shim could not do so itself. src/ipc/joblog.h has the form.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/validate.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "daemon/core/core.h"
#include "daemon/core/metricsfile.h"
#include "daemon/core/request.h"
#include "daemon/core/shimlink.h"
#include "ipc/joblog.h"

#define SEGMENT_TRIES 8 /* while the shim takes segments away under our hands */

static int open_dir(const struct jd_core *c, const char *id)
{
    return openat(c->logs_dirfd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int open_file(int dirfd, const char *name, int flags)
{
    return openat(dirfd, name, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
}

/* Made as front's user: the kernel counts them by user (128 on many hosts), and root's belong to the
 * host's other programs. */
static int new_watch(uid_t front)
{
    int fd, dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);

    if (setresuid((uid_t) -1, front, (uid_t) -1) < 0)
        return -1;
    fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (setresuid((uid_t) -1, 0, (uid_t) -1) < 0)
        abort();                               /* the real one is 0, so the kernel can't refuse */
    prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0); /* a change of ids took it away */
    return fd;
}

/* Tells of changes in the directory; -1 when the kernel gives no more of these: front looks by itself
 * then. */
static int watch_dir(const struct jd_core *c, int dirfd)
{
    _close_ int watch = new_watch(c->front.uid);
    char path[64];

    snprintf(path, sizeof path, "/proc/self/fd/%d", dirfd);
    if (watch < 0 || inotify_add_watch(watch, path, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
        return -1;
    return jl_take_fd(&watch);
}

/* Of the segments that have an index: the lowest from `from` on, or the highest of all. -1: none. */
static int64_t find_segment(int dirfd, unsigned from, bool highest)
{
    _closedir_ DIR *dir = jl_opendir_at(dirfd, ".");
    int64_t found = -1;
    struct dirent *d;
    unsigned n;

    while (dir && (d = readdir(dir))) {
        if (!ipc_log_is_index(d->d_name, &n) || n < from)
            continue;
        if (found < 0 || (highest ? n > found : n < found))
            found = n;
    }
    return found;
}

/* Index and data of a segment. What is left of a segment that went for the ceiling has no data. 0,
 * -ESTALE it went while we looked, -ENOENT not there, or -errno. */
static int open_files(int dirfd, unsigned segment, int *ret_idx, int *ret_data)
{
    char name[32];
    _close_ int idx = -1, data = -1;
    struct stat st;

    idx = open_file(dirfd, ipc_log_index_name(segment, name, sizeof name), O_RDONLY);
    if (idx < 0)
        return -errno;
    data = open_file(dirfd, ipc_log_data_name(segment, name, sizeof name), O_RDONLY);
    if (data < 0 && errno != ENOENT)
        return -errno;
    if (fstat(idx, &st) < 0)
        return -errno;
    if (st.st_nlink == 0)
        return -ESTALE;
    if (data < 0)
        data = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (data < 0)
        return -errno;
    *ret_idx = jl_take_fd(&idx);
    *ret_data = jl_take_fd(&data);
    return 0;
}

/* inotify (-1: none), index, data of a segment, or of the first behind it that is still kept. 0,
 * -ENOENT not there (yet), or -errno. */
static int open_segment(const struct jd_core *c, const char *id, unsigned *segment, bool grows,
                        int fds[3])
{
    _close_ int dirfd = open_dir(c, id), watch = -1;
    int r = -ESTALE;

    if (dirfd < 0)
        return -errno;
    if (grows) /* before the files are opened: what is written from here on is told */
        watch = watch_dir(c, dirfd);
    for (unsigned tries = 0; r == -ESTALE && tries < SEGMENT_TRIES; tries++) {
        r = open_files(dirfd, *segment, &fds[1], &fds[2]);
        if (r == -ENOENT) {
            int64_t found = find_segment(dirfd, *segment, false);

            if (found < 0)
                return -ENOENT;
            *segment = (unsigned) found;
            r = -ESTALE;
        }
    }
    if (r == 0)
        fds[0] = jl_take_fd(&watch);
    return r == -ESTALE ? -EAGAIN : r;
}

void jd_op_logs(struct jd_call *call, const struct ipc_frame *f)
{
    _message_ ProtobufCMessage *in = NULL;
    struct jl_err e = JL_ERR_INIT;
    struct jd_job *j = NULL;
    unsigned segment = f->segment;
    int fds[3], r;
    size_t first;

    if (api_unpack_request(&joblet__get_job_logs_request__descriptor, f->body, f->body_len, &in,
                           &e) == 0)
        j = jd_jobs_find(call->core, ((Joblet__GetJobLogsRequest *) in)->uuid, &e);
    if (!j) {
        jd_reply_error(call, &e);
        return;
    }
    r = open_segment(call->core, j->rec.id, &segment, !jd_state_is_ended(j->state), fds);
    if ((r == -ENOENT || r == -EAGAIN) && !jd_state_is_ended(j->state)) {
        jd_reply_status(call, IPC_LINK_WAIT, j->rec.id);
        return;
    }
    if (r == -ENOENT)
        jl_refuse(&e, ENOENT, "the log of job %s is no longer kept (logs.retention_days)",
                  j->rec.id);
    else if (r < 0)
        jl_fail(&e, -r == EPERM || -r == EACCES ? EIO : -r, "open the log of job %s", j->rec.id);
    if (r < 0) {
        jd_reply_error(call, &e);
        return;
    }
    first = fds[0] < 0;
    jd_reply_segment(call, j->rec.id, segment, fds + first, JL_COUNT(fds) - first);
    for (size_t i = 0; i < JL_COUNT(fds); i++)
        jl_close(fds[i]);
}

void jd_op_job_metrics(struct jd_call *call, const struct ipc_frame *f)
{
    const struct jd_core *c = call->core;
    _message_ ProtobufCMessage *in = NULL;
    struct jl_err e = JL_ERR_INIT;
    struct jd_job *j = NULL;
    _close_ int fd = -1;

    if (api_unpack_request(&joblet__get_job_metrics_request__descriptor, f->body, f->body_len, &in,
                           &e) == 0)
        j = jd_jobs_find(c, ((Joblet__GetJobMetricsRequest *) in)->job_uuid, &e);
    if (!j) {
        jd_reply_error(call, &e);
        return;
    }
    fd = jd_metrics_open(c->metrics.dirfd, j->rec.id, f->segment);
    if (fd == -ENOENT && !jd_state_is_ended(j->state) && c->conf.metrics_enabled) {
        jd_reply_status(call, IPC_LINK_WAIT, j->rec.id);
    } else if (fd < 0 && fd != -ENOENT) {
        jl_fail(&e, fd == -EPERM || fd == -EACCES ? EIO : -fd, "open the metrics of job %s",
                j->rec.id);
        jd_reply_error(call, &e);
    } else {
        jd_reply_fds(call, j->rec.id, &fd, fd >= 0);
    }
}

/* Whether the bytes of a record are in a file of this size. */
static bool has_bytes(const struct ipc_log_record *r, uint64_t size)
{
    bool stored =
        r->stream == IPC_LOG_STDOUT || r->stream == IPC_LOG_STDERR || r->stream == IPC_LOG_NOTE;

    return !stored || (r->offset <= size && r->length <= size - r->offset);
}

/* The last record of a segment's index that is whole and whose bytes are there; what follows it
 * (torn, or on disk before its bytes when the power went) is cut off. 1 there is one, 0 the index
 * is empty, -errno. */
static int last_record(int dirfd, unsigned segment, int idx, struct ipc_log_record *ret)
{
    uint8_t raw[IPC_LOG_RECORD_BYTES];
    struct stat st, data;
    char name[32];
    off_t size;

    if (fstat(idx, &st) < 0)
        return -errno;
    if (fstatat(dirfd, ipc_log_data_name(segment, name, sizeof name), &data, AT_SYMLINK_NOFOLLOW) <
        0)
        data.st_size = 0;
    for (size = st.st_size - st.st_size % IPC_LOG_RECORD_BYTES; size > 0;
         size -= IPC_LOG_RECORD_BYTES) {
        if (pread(idx, raw, sizeof raw, size - IPC_LOG_RECORD_BYTES) == sizeof raw &&
            ipc_log_record_parse(raw, ret) == 0 && has_bytes(ret, (uint64_t) data.st_size))
            break;
    }
    if (size != st.st_size && ftruncate(idx, size) < 0)
        return -errno;
    if (size == 0)
        *ret = (struct ipc_log_record){ 0 };
    return size > 0;
}

static int append(int idx, const struct ipc_log_record *rec)
{
    uint8_t raw[IPC_LOG_RECORD_BYTES];

    ipc_log_record_write(rec, raw);
    return lseek(idx, 0, SEEK_END) < 0 ? -errno : jl_write_all(idx, raw, sizeof raw);
}

/* A note with its line break, then the end. `offset` is where the records end; what is behind it was
 * never told of. */
static int seal(int idx, int data, uint64_t sequence, uint64_t offset, const char *note)
{
    struct ipc_log_record rec = { .sequence = sequence, .wall_ns = jl_wall_ns(), .offset = offset };
    char line[1024];
    int n = snprintf(line, sizeof line, "%.1000s\n", note), r = 0;

    if (ftruncate(data, (off_t) offset) < 0 || lseek(data, (off_t) offset, SEEK_SET) < 0)
        return -errno;
    if (note[0]) {
        rec.stream = IPC_LOG_NOTE;
        rec.length = (uint64_t) n;
        r = jl_write_all(data, line, (size_t) n);
        if (r == 0)
            r = append(idx, &rec);
        rec.sequence++;
        rec.offset += rec.length;
    }
    rec.stream = IPC_LOG_END;
    rec.length = 0;
    if (r == 0)
        r = append(idx, &rec);
    return r == 0 && fsync(idx) < 0 ? -errno : r;
}

/*
 * Where a log goes on whose last segment has no record: behind the NEXT of the one before it. A shim
 * that was killed between making a segment and saying so leaves one that nothing leads to; it goes, and
 * the one before is the last. The record that the end is to follow is put into *last.
 */
static int before_empty(int dirfd, unsigned *segment, struct ipc_log_record *last)
{
    char name[32];
    _close_ int idx = -1;
    int r;

    if (*segment == 0)
        return 0;
    idx = openat(dirfd, ipc_log_index_name(*segment - 1, name, sizeof name),
                 O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (idx < 0)
        return errno == ENOENT ? 0 : -errno;
    r = last_record(dirfd, *segment - 1, idx, last);
    if (r <= 0 || last->stream == IPC_LOG_NEXT)
        return r;
    unlinkat(dirfd, ipc_log_data_name(*segment, name, sizeof name), 0);
    if (unlinkat(dirfd, ipc_log_index_name(*segment, name, sizeof name), 0) < 0)
        return -errno;
    --*segment;
    return 0;
}

static int open_last(int dirfd, unsigned segment, int *ret_idx, int *ret_data)
{
    int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC;
    char name[32];

    jl_close(*ret_idx);
    *ret_idx = openat(dirfd, ipc_log_index_name(segment, name, sizeof name), flags, 0640);
    if (*ret_idx < 0)
        return -errno;
    jl_close(*ret_data);
    *ret_data = openat(dirfd, ipc_log_data_name(segment, name, sizeof name), flags, 0640);
    return *ret_data < 0 ? -errno : 0;
}

/* Where the bytes of the segment end that the next record goes to. */
static uint64_t end_of(const struct ipc_log_record *last)
{
    switch (last->stream) {
    case IPC_LOG_STDOUT:
    case IPC_LOG_STDERR:
    case IPC_LOG_NOTE:
        return last->offset + last->length;
    case IPC_LOG_GAP:
        return last->offset;
    case IPC_LOG_CUT:
    case IPC_LOG_NEXT: /* the next segment begins */
    case IPC_LOG_END:
        break;
    }
    return 0;
}

static int seal_log(struct jd_core *c, const char *id, const char *note)
{
    _close_ int dirfd = -1, idx = -1, data = -1;
    struct ipc_log_record last = { 0 };
    unsigned segment, empty;
    int64_t found;
    int r;

    if (mkdirat(c->logs_dirfd, id, 0700) < 0 && errno != EEXIST)
        return -errno;
    dirfd = open_dir(c, id);
    if (dirfd < 0)
        return -errno;
    found = find_segment(dirfd, 0, true);
    segment = empty = found < 0 ? 0 : (unsigned) found;
    r = open_last(dirfd, segment, &idx, &data);
    if (r == 0)
        r = last_record(dirfd, segment, idx, &last);
    if (r == 0)
        r = before_empty(dirfd, &segment, &last);
    if (r >= 0 && segment != empty)
        r = open_last(dirfd, segment, &idx, &data);
    if (r < 0)
        return r;
    if (last.stream == IPC_LOG_END)
        return 0;
    return seal(idx, data, last.sequence + 1, end_of(&last), note);
}

void jd_log_seal(struct jd_core *c, const char *id, const char *note)
{
    int r = seal_log(c, id, note);

    if (r < 0)
        jl_log_warn("job.log", "job=%s: its log could not be closed: %s", id, strerror(-r));
}
