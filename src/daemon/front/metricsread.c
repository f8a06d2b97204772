/* metricsread.c - see metricsread.h. */
#include "daemon/front/metricsread.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/cleanup.h"
#include "base/json.h"

#define PIECE 65536
#define LINE_MAX_BYTES 4096

static double real(const struct jl_json *root, const char *key)
{
    const struct jl_json *v = jl_json_get(root, key);
    double d = v && v->kind == JL_JSON_NUMBER ? strtod(v->text, NULL) : 0;

    return isfinite(d) ? d : 0;
}

static int64_t whole(const struct jl_json *root, const char *key)
{
    int64_t v = 0;

    jl_json_i64(jl_json_get(root, key), 0, INT64_MAX, &v);
    return v;
}

int jd_metrics_parse(const char *line, size_t len, Joblet__JobMetricsEvent *m)
{
    struct jl_json_limits limits = { .max_bytes = LINE_MAX_BYTES,
                                     .max_depth = 2,
                                     .max_values = 64 };
    struct jl_err ignored = JL_ERR_INIT;
    struct jl_json *root = NULL;

    joblet__job_metrics_event__init(m);
    if (jl_json_parse(line, len, &limits, &root, &ignored) < 0)
        return -EINVAL;
    m->timestamp = whole(root, "timestamp");
    m->cpu_percent = real(root, "cpuPercent");
    m->memory_bytes = whole(root, "memoryBytes");
    m->memory_limit = whole(root, "memoryLimit");
    m->disk_read_bytes = whole(root, "diskReadBytes");
    m->disk_write_bytes = whole(root, "diskWriteBytes");
    m->net_recv_bytes = whole(root, "netRecvBytes");
    m->net_sent_bytes = whole(root, "netSentBytes");
    m->cpu_throttled_percent = real(root, "cpuThrottledPercent");
    m->cpu_user_usec = (uint64_t) whole(root, "cpuUserUsec");
    m->cpu_system_usec = (uint64_t) whole(root, "cpuSystemUsec");
    m->memory_peak = whole(root, "memoryPeak");
    m->memory_anon = whole(root, "memoryAnon");
    m->memory_file = whole(root, "memoryFile");
    m->major_faults = (uint64_t) whole(root, "majorFaults");
    m->oom_kills = (uint64_t) whole(root, "oomKills");
    m->io_read_ops = (uint64_t) whole(root, "ioReadOps");
    m->io_write_ops = (uint64_t) whole(root, "ioWriteOps");
    m->pids_current = (uint64_t) whole(root, "pidsCurrent");
    m->pids_max = (uint64_t) whole(root, "pidsMax");
    m->processes = (uint64_t) whole(root, "processes");
    m->open_files = (uint64_t) whole(root, "openFiles");
    m->interval_ns = (uint64_t) whole(root, "intervalNs");
    m->psi_cpu_some10 = real(root, "psiCpuSome10");
    m->psi_memory_some10 = real(root, "psiMemorySome10");
    m->psi_io_some10 = real(root, "psiIoSome10");
    jl_json_free(root);
    return m->timestamp > 0 ? 0 : -EINVAL;
}

/* Everything of a packed file; what is damaged ends it. */
static int unpack(struct jd_metricsread *r, struct jl_err *e)
{
    unsigned char in[PIECE];
    z_stream z = { 0 };
    ssize_t n;
    int s = Z_OK, err = 0;

    if (inflateInit2(&z, 15 + 16) != Z_OK)
        return jl_fail(e, ENOMEM, "unpack the job's metrics");
    while (s == Z_OK && err == 0 && (n = pread(r->fd, in, sizeof in, (off_t) r->offset)) > 0) {
        r->offset += (uint64_t) n;
        z.next_in = in;
        z.avail_in = (uInt) n;
        do {
            err = jl_buf_reserve(&r->text, PIECE);
            if (err < 0)
                break;
            z.next_out = (Bytef *) r->text.data + r->text.len;
            z.avail_out = PIECE;
            s = inflate(&z, Z_NO_FLUSH);
            r->text.len += PIECE - z.avail_out;
        } while (s == Z_OK && z.avail_out == 0);
    }
    inflateEnd(&z);
    return err == -ENOMEM ? jl_fail(e, ENOMEM, "unpack the job's metrics") : 0;
}

int jd_metricsread_open(struct jd_metricsread *r, int own_fd, struct jl_err *e)
{
    unsigned char magic[2] = { 0 };

    jd_metricsread_close(r);
    r->fd = own_fd;
    r->packed = pread(own_fd, magic, 2, 0) == 2 && magic[0] == 0x1f && magic[1] == 0x8b;
    return r->packed ? unpack(r, e) : 0;
}

void jd_metricsread_close(struct jd_metricsread *r)
{
    jl_close(r->fd);
    r->fd = -1;
    r->packed = false;
    r->offset = 0;
    r->at = 0;
    jl_buf_clear(&r->text);
}

/* More of a plain file. 1 there was some, 0 not, -errno. */
static int more(struct jd_metricsread *r)
{
    ssize_t n;

    if (r->packed)
        return 0;
    memmove(r->text.data, r->text.data + r->at, r->text.len - r->at);
    r->text.len -= r->at;
    r->at = 0;
    if (r->text.len > LINE_MAX_BYTES) /* no line of ours */
        r->text.len = 0;
    if (jl_buf_reserve(&r->text, PIECE) < 0)
        return -ENOMEM;
    n = pread(r->fd, r->text.data + r->text.len, PIECE, (off_t) r->offset);
    if (n < 0)
        return -errno;
    r->offset += (uint64_t) n;
    r->text.len += (size_t) n;
    return n > 0;
}

int jd_metricsread_next(struct jd_metricsread *r, Joblet__JobMetricsEvent *ret, struct jl_err *e)
{
    for (;;) {
        const char *line = r->text.data + r->at;
        const char *end = r->at < r->text.len ? memchr(line, '\n', r->text.len - r->at) : NULL;
        int got;

        if (end) {
            r->at += (size_t) (end - line) + 1;
            if (jd_metrics_parse(line, (size_t) (end - line), ret) == 0)
                return 1;
            continue;
        }
        got = r->fd < 0 || (r->text.data == NULL && jl_buf_reserve(&r->text, PIECE) < 0) ? 0
                                                                                         : more(r);
        if (got < 0)
            return jl_fail(e, -got, "read the job's metrics");
        if (got == 0)
            return 0;
    }
}

bool jd_metricsread_is_over(const struct jd_metricsread *r)
{
    struct stat st;

    return r->packed || fstat(r->fd, &st) < 0 || st.st_nlink == 0; /* replaced by a packed one */
}
