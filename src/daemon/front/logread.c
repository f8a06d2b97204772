#include "daemon/front/logread.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/cleanup.h"

#define BATCH 512 /* records read at once: 20 KiB of stack */
#define TAIL_BLOCK ((size_t) 65536)

void jd_logread_close(struct jd_logread *r)
{
    r->idx_fd = jl_close(r->idx_fd);
    r->data_fd = jl_close(r->data_fd);
    r->next = 0;
    r->skip_data = 0;
}

void jd_logread_open(struct jd_logread *r, unsigned segment, int own_idx_fd, int own_data_fd)
{
    jd_logread_close(r);
    if (segment != r->segment + 1)
        r->expect = 0; /* one in between is gone, or it is the first: any beginning will do */
    r->idx_fd = own_idx_fd;
    r->data_fd = own_data_fd;
    r->segment = segment;
}

static ssize_t pread_some(int fd, void *buf, size_t len, uint64_t offset)
{
    ssize_t n;

    do
        n = pread(fd, buf, len, (off_t) offset);
    while (n < 0 && errno == EINTR);
    return n;
}

static int damaged(const struct jd_logread *r, uint64_t record, const char *what, struct jl_err *e)
{
    return jl_refuse(e, EPROTO, "the log is damaged in segment %u, record %" PRIu64 ": %s",
                     r->segment, record, what);
}

/* Record `number`: 1, 0 when it is not whole yet, -errno. */
static int record_at(const struct jd_logread *r, uint64_t number, struct ipc_log_record *ret,
                     struct jl_err *e)
{
    uint8_t raw[IPC_LOG_RECORD_BYTES];
    ssize_t n = pread_some(r->idx_fd, raw, sizeof raw, number * sizeof raw);

    if (n < 0)
        return jl_fail_sys(e, "pread", NULL, "read the log's index");
    if ((size_t) n < sizeof raw)
        return 0;
    if (ipc_log_record_parse(raw, ret) < 0)
        return damaged(r, number, "wrong check sum", e);
    return 1;
}

static int count_records(const struct jd_logread *r, uint64_t *ret, struct jl_err *e)
{
    struct stat st;

    if (fstat(r->idx_fd, &st) < 0)
        return jl_fail_sys(e, "fstat", NULL, "read the log's index");
    *ret = (uint64_t) st.st_size / IPC_LOG_RECORD_BYTES;
    return 0;
}

int jd_logread_last(const struct jd_logread *r, struct ipc_log_record *ret, struct jl_err *e)
{
    uint64_t count = 0;
    int rc = count_records(r, &count, e);

    if (rc < 0)
        return rc;
    return count == 0 ? 0 : record_at(r, count - 1, ret, e);
}

/* Sequences have no holes, so the first record tells where the wanted one stands. */
static int jump_to_wanted(struct jd_logread *r, struct jl_err *e)
{
    struct ipc_log_record first;
    uint64_t count = 0;
    int rc;

    if (r->next != 0 || r->from == 0)
        return 0;
    rc = record_at(r, 0, &first, e);
    if (rc <= 0 || first.sequence >= r->from)
        return rc;
    rc = count_records(r, &count, e);
    if (rc < 0)
        return rc;
    r->next = r->from - first.sequence;
    if (r->next > count - 1)
        r->next = count - 1; /* not in this segment, or not written yet: its last record tells */
    r->expect = first.sequence + r->next;
    return 0;
}

/* Where the data of a record ends; a gap has a length, but its bytes are not there. */
static uint64_t data_end_of(const struct ipc_log_record *rec)
{
    switch (rec->stream) {
    case IPC_LOG_STDOUT:
    case IPC_LOG_STDERR:
    case IPC_LOG_NOTE:
        return rec->offset + rec->length;
    case IPC_LOG_GAP:
    case IPC_LOG_CUT:
    case IPC_LOG_NEXT:
    case IPC_LOG_END:
        break;
    }
    return rec->offset;
}

/* The first record with data at or behind skip_data; offsets grow, so halving finds it. */
static int jump_to_data(struct jd_logread *r, struct jl_err *e)
{
    struct ipc_log_record rec;
    uint64_t lo = 0, hi, count = 0;
    int rc;

    if (r->next != 0 || r->skip_data == 0)
        return 0;
    rc = count_records(r, &count, e);
    if (rc < 0)
        return rc;
    hi = count;
    while (lo < hi) {
        uint64_t mid = lo + (hi - lo) / 2;

        rc = record_at(r, mid, &rec, e);
        if (rc <= 0)
            return rc;
        if (data_end_of(&rec) <= r->skip_data)
            lo = mid + 1;
        else
            hi = mid;
    }
    r->next = lo > 0 && lo == count ? lo - 1 : lo; /* the last one may be a mark */
    r->expect = 0;
    return 0;
}

/* Builds one chunk out of records; the bytes are read at once when it is complete. */
struct gather {
    struct jd_log_chunk *chunk;
    uint64_t offset; /* of the chunk's data */
    size_t room;
    uint64_t data_size;
};

enum step { STEP_TAKEN, STEP_FULL };

static int check_record(const struct jd_logread *r, const struct ipc_log_record *rec,
                        struct jl_err *e)
{
    /* a cut stands for all that was before it */
    if (r->expect != 0 && rec->sequence != r->expect &&
        (rec->stream != IPC_LOG_CUT || rec->sequence < r->expect))
        return damaged(r, r->next, "its sequence does not follow", e);
    switch (rec->stream) {
    case IPC_LOG_STDOUT:
    case IPC_LOG_STDERR:
    case IPC_LOG_NOTE:
        if (rec->length > IPC_LOG_CHUNK_MAX || rec->offset > INT64_MAX - IPC_LOG_CHUNK_MAX)
            return damaged(r, r->next, "it is too long", e);
        return 0;
    case IPC_LOG_GAP:
    case IPC_LOG_CUT:
    case IPC_LOG_NEXT:
    case IPC_LOG_END:
        return 0;
    }
    return damaged(r, r->next, "its stream is unknown", e);
}

static enum jd_log_what mark_of(enum ipc_log_stream stream)
{
    switch (stream) {
    case IPC_LOG_GAP:
        return JD_LOG_GAP;
    case IPC_LOG_CUT:
        return JD_LOG_CUT;
    case IPC_LOG_NEXT:
        return JD_LOG_NEXT;
    case IPC_LOG_END:
        return JD_LOG_END;
    case IPC_LOG_STDOUT:
    case IPC_LOG_STDERR:
    case IPC_LOG_NOTE:
        break;
    }
    return JD_LOG_CHUNK;
}

static void passed(struct jd_logread *r, const struct ipc_log_record *rec)
{
    r->next++;
    r->expect = rec->sequence + 1;
}

static enum step take_mark(struct jd_logread *r, const struct ipc_log_record *rec, struct gather *g)
{
    struct jd_log_chunk *c = g->chunk;

    if (c->what != JD_LOG_WAIT)
        return STEP_FULL; /* first what is gathered */
    if ((rec->stream == IPC_LOG_GAP || rec->stream == IPC_LOG_CUT) && rec->sequence < r->from) {
        passed(r, rec);
        return STEP_TAKEN;
    }
    c->what = mark_of(rec->stream);
    c->len = rec->length;
    c->wall_ns = rec->wall_ns;
    c->sequence = rec->sequence;
    if (c->what == JD_LOG_GAP || c->what == JD_LOG_CUT)
        passed(r, rec); /* NEXT and END are met again, however often one asks */
    else if (c->what == JD_LOG_NEXT)
        r->expect = rec->sequence + 1;
    return STEP_FULL;
}

static enum step take_record(struct jd_logread *r, const struct ipc_log_record *rec,
                             struct gather *g)
{
    struct jd_log_chunk *c = g->chunk;
    uint64_t skip = 0;

    if (mark_of(rec->stream) != JD_LOG_CHUNK)
        return take_mark(r, rec, g);
    if (rec->offset + rec->length > g->data_size)
        return STEP_FULL; /* its bytes are not there (yet) */
    if (rec->offset < r->skip_data)
        skip = r->skip_data - rec->offset < rec->length ? r->skip_data - rec->offset : rec->length;
    if (rec->sequence < r->from || rec->length == skip) {
        passed(r, rec);
        return STEP_TAKEN;
    }
    if (c->what == JD_LOG_WAIT) {
        *c = (struct jd_log_chunk){ .what = JD_LOG_CHUNK,
                                    .stream = rec->stream,
                                    .wall_ns = rec->wall_ns };
        g->offset = rec->offset + skip;
    } else if (c->stream != rec->stream || g->offset + c->len != rec->offset ||
               c->len + rec->length > g->room || rec->wall_ns - c->wall_ns > JD_LOG_TOGETHER_NS) {
        return STEP_FULL;
    }
    c->len += rec->length - skip;
    c->sequence = rec->sequence;
    passed(r, rec);
    return STEP_TAKEN;
}

/* The writer takes an old segment away by putting another index in its place, then truncating the
 * data: bytes that are missing then do not come. */
static bool is_gone(const struct jd_logread *r)
{
    struct stat st;

    return fstat(r->idx_fd, &st) == 0 && st.st_nlink == 0;
}

/* There is no whole record, or its bytes are not there. */
static bool is_cut_short(const struct jd_logread *r, uint64_t data_size)
{
    struct ipc_log_record rec;
    struct jl_err ignored = JL_ERR_INIT;

    return record_at(r, r->next, &rec, &ignored) > 0 && data_end_of(&rec) > data_size && is_gone(r);
}

static int gather_records(struct jd_logread *r, struct gather *g, struct jl_err *e)
{
    uint8_t raw[BATCH * IPC_LOG_RECORD_BYTES];

    for (;;) {
        ssize_t n = pread_some(r->idx_fd, raw, sizeof raw, r->next * IPC_LOG_RECORD_BYTES);
        size_t whole;

        if (n < 0)
            return jl_fail_sys(e, "pread", NULL, "read the log's index");
        whole = (size_t) n / IPC_LOG_RECORD_BYTES;
        for (size_t i = 0; i < whole; i++) {
            struct ipc_log_record rec;
            int rc = 0;

            if (ipc_log_record_parse(raw + i * IPC_LOG_RECORD_BYTES, &rec) < 0)
                rc = damaged(r, r->next, "wrong check sum", e);
            else
                rc = check_record(r, &rec, e);
            if (rc < 0) /* what was gathered before it goes out first */
                return g->chunk->what == JD_LOG_WAIT ? rc : 0;
            if (take_record(r, &rec, g) == STEP_FULL)
                return 0;
        }
        if (whole < BATCH)
            return 0;
    }
}

int jd_logread_next(struct jd_logread *r, uint8_t *buf, size_t size, struct jd_log_chunk *ret,
                    struct jl_err *e)
{
    struct gather g = { .chunk = ret, .room = size };
    struct stat st;
    int rc;

    *ret = (struct jd_log_chunk){ .what = JD_LOG_WAIT };
    rc = r->skip_data > 0 ? jump_to_data(r, e) : jump_to_wanted(r, e);
    if (rc < 0)
        return rc;
    if (fstat(r->data_fd, &st) < 0)
        return jl_fail_sys(e, "fstat", NULL, "read the log");
    g.data_size = (uint64_t) st.st_size;
    rc = gather_records(r, &g, e);
    if (rc == 0 && ret->what == JD_LOG_WAIT && is_cut_short(r, g.data_size))
        ret->what = JD_LOG_GONE;
    if (rc < 0 || ret->what != JD_LOG_CHUNK)
        return rc;
    for (uint64_t have = 0; have < ret->len;) {
        ssize_t n = pread_some(r->data_fd, buf + have, ret->len - have, g.offset + have);

        if (n < 0)
            return jl_fail_sys(e, "pread", NULL, "read the log");
        if (n == 0 && is_gone(r)) { /* while we read it */
            *ret = (struct jd_log_chunk){ .what = JD_LOG_GONE };
            return 0;
        }
        if (n == 0)
            return damaged(r, r->next - 1, "its output is gone", e);
        have += (uint64_t) n;
    }
    return 0;
}

int jd_logread_data_end(const struct jd_logread *r, uint64_t *ret_end, struct jl_err *e)
{
    struct ipc_log_record rec;
    char last = '\n';
    int rc = jd_logread_last(r, &rec, e);

    if (rc < 0)
        return rc;
    *ret_end = rc > 0 ? data_end_of(&rec) : 0;
    if (*ret_end > 0 && pread_some(r->data_fd, &last, 1, *ret_end - 1) < 0)
        return jl_fail_sys(e, "pread", NULL, "read the log");
    return last == '\n';
}

int jd_logread_tail(const struct jd_logread *r, uint64_t budget, uint64_t *end, uint64_t *lines,
                    struct jl_err *e)
{
    _free_ uint8_t *block = malloc(TAIL_BLOCK);

    if (!block)
        return jl_fail(e, ENOMEM, "read the log");
    while (*end > 0 && budget > 0) {
        size_t want = *end < TAIL_BLOCK ? (size_t) *end : TAIL_BLOCK;
        ssize_t n = pread_some(r->data_fd, block, want, *end - want);

        if (n < 0)
            return jl_fail_sys(e, "pread", NULL, "read the log");
        if ((size_t) n < want && is_gone(r)) { /* nothing before it is kept either */
            *end = 0;
            return 0;
        }
        if ((size_t) n < want)
            return damaged(r, 0, "its output is gone", e);
        for (size_t i = want; i-- > 0;) {
            if (block[i] != '\n')
                continue;
            if (*lines == 0) {
                *end = *end - want + i + 1;
                return 1;
            }
            --*lines;
        }
        *end -= want;
        budget -= want < budget ? want : budget;
    }
    return 0;
}
