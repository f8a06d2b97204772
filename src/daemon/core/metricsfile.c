/* metricsfile.c - see metricsfile.h. */
#include "daemon/core/metricsfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/json.h"

#define PLAIN ".jsonl"
#define PACKED ".jsonl.gz"

static bool ends_in(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);

    return n > m && strcmp(s + n - m, end) == 0;
}

static int is_ours(const struct dirent *d)
{
    return d->d_name[0] != '.' && (ends_in(d->d_name, PLAIN) || ends_in(d->d_name, PACKED));
}

static int open_dir(int dirfd, const char *id)
{
    int fd = openat(dirfd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

/* The names in order of time; a packed file beside its plain one (we died in between) is left
 * out. How many, or -errno. */
static int names_in(int fd, struct dirent ***ret)
{
    int n = scandirat(fd, ".", ret, is_ours, alphasort), kept = 0;

    if (n < 0)
        return -errno;
    for (int i = 0; i < n; i++) {
        const char *name = (*ret)[i]->d_name;
        size_t len = strlen(name) - 3;

        if (kept > 0 && ends_in(name, PACKED) && strlen((*ret)[kept - 1]->d_name) == len &&
            strncmp((*ret)[kept - 1]->d_name, name, len) == 0)
            free((*ret)[i]);
        else
            (*ret)[kept++] = (*ret)[i];
    }
    return kept;
}

static void names_free(struct dirent **names, int n)
{
    for (int i = 0; i < n; i++)
        free(names[i]);
    free(names);
}

int jd_metrics_open(int dirfd, const char *id, unsigned n)
{
    _close_ int dir = open_dir(dirfd, id);
    struct dirent **names = NULL;
    int fd = -ENOENT, count;

    if (dir < 0)
        return dir;
    count = names_in(dir, &names);
    if (count < 0)
        return count;
    if (n < (unsigned) count) {
        fd = openat(dir, names[n]->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        fd = fd < 0 ? -errno : fd;
    }
    names_free(names, count);
    return fd;
}

/* The time in a name, in ms since 1970; 0 when there is none. */
static uint64_t name_ms(const char *name)
{
    struct tm tm = { 0 };
    unsigned ms = 0;

    if (sscanf(name, "%4d%2d%2dT%2d%2d%2d.%3uZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
               &tm.tm_min, &tm.tm_sec, &ms) != 7)
        return 0;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    return (uint64_t) timegm(&tm) * 1000 + ms;
}

/* "20261122T045453.123Z.jsonl": sorts by time, and after what is there already, also when the
 * clock was set back. */
static void new_name(int dir, char *ret, size_t size)
{
    struct dirent **names = NULL;
    int n = names_in(dir, &names);
    uint64_t ms = jl_wall_ns() / JL_NS_PER_MS, last = n > 0 ? name_ms(names[n - 1]->d_name) : 0;
    char text[24];
    struct tm tm;
    time_t t;

    if (ms <= last)
        ms = last + 1;
    t = (time_t) (ms / 1000);
    gmtime_r(&t, &tm);
    strftime(text, sizeof text, "%Y%m%dT%H%M%S", &tm);
    snprintf(ret, size, "%.17s.%03uZ" PLAIN, text, (unsigned) (ms % 1000));
    if (n >= 0)
        names_free(names, n);
}

/* Goes on with the plain file of an earlier core, unless that is one that could not be packed. A line
 * that was cut off is ended. */
static void find_plain(struct jd_metrics_file *f, int dir)
{
    struct dirent **names = NULL;
    int n = names_in(dir, &names);
    struct stat st;

    if (n > 0 && ends_in(names[n - 1]->d_name, PLAIN) &&
        strlen(names[n - 1]->d_name) < sizeof f->name &&
        fstatat(dir, names[n - 1]->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
        st.st_size <= (off_t) JD_METRICS_FULL) {
        memcpy(f->name, names[n - 1]->d_name, strlen(names[n - 1]->d_name) + 1);
        f->bytes = (uint64_t) st.st_size;
    }
    if (n >= 0)
        names_free(names, n);
}

static int line_of(const struct jd_metrics_sample *s, struct jl_buf *b)
{
    struct jl_json_out w = JL_JSON_OUT_INIT(b, 0);

    jl_json_put_object(&w, NULL);
    jl_json_put_u64(&w, "timestamp", s->timestamp);
    jl_json_put_double(&w, "cpuPercent", s->cpu_percent);
#define U64(key, member) jl_json_put_u64(&w, key, s->member)
    U64("memoryBytes", memory_bytes);
    U64("memoryLimit", memory_limit);
    U64("diskReadBytes", disk_read_bytes);
    U64("diskWriteBytes", disk_write_bytes);
    U64("netRecvBytes", net_recv_bytes);
    U64("netSentBytes", net_sent_bytes);
    jl_json_put_double(&w, "cpuThrottledPercent", s->cpu_throttled_percent);
    U64("cpuUserUsec", cpu_user_usec);
    U64("cpuSystemUsec", cpu_system_usec);
    U64("memoryPeak", memory_peak);
    U64("memoryAnon", memory_anon);
    U64("memoryFile", memory_file);
    U64("majorFaults", major_faults);
    U64("oomKills", oom_kills);
    if (s->io_read_ops > 0 || s->disk_read_bytes == 0) /* else they are not known */
        U64("ioReadOps", io_read_ops);
    if (s->io_write_ops > 0 || s->disk_write_bytes == 0)
        U64("ioWriteOps", io_write_ops);
    U64("pidsCurrent", pids_current);
    U64("pidsMax", pids_max);
    U64("processes", processes);
    U64("openFiles", open_files);
    U64("intervalNs", interval_ns);
#undef U64
    jl_json_put_double(&w, "psiCpuSome10", s->psi_cpu_some10);
    jl_json_put_double(&w, "psiMemorySome10", s->psi_memory_some10);
    jl_json_put_double(&w, "psiIoSome10", s->psi_io_some10);
    jl_json_end(&w);
    return jl_json_finish(&w) < 0 ? -ENOMEM : jl_buf_putc(b, '\n');
}

/* The file of a job's first sample since core began, in a directory that may be new. */
static int open_first(struct jd_metrics_file *f, int dirfd, const char *id, struct jl_err *e)
{
    _close_ int dir = -1;
    int fd;

    if (mkdirat(dirfd, id, 0700) < 0 && errno != EEXIST)
        return jl_fail_sys(e, "mkdirat", id, "job metrics");
    dir = open_dir(dirfd, id);
    if (dir < 0)
        return jl_fail(e, -dir, "open the metrics of job %s", id);
    if (f->name[0] == '\0')
        find_plain(f, dir);
    if (f->name[0] == '\0')
        new_name(dir, f->name, sizeof f->name);
    fd = openat(dir, f->name, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    return fd < 0 ? jl_fail_sys(e, "openat", f->name, "job metrics") : fd;
}

int jd_metrics_append(struct jd_metrics_file *f, int dirfd, const char *id,
                      const struct jd_metrics_sample *s, struct jl_err *e)
{
    _buf_ struct jl_buf line = JL_BUF_INIT(4096);
    char path[PATH_MAX];
    _close_ int fd = -1;
    bool first = f->name[0] == '\0';
    int r;

    snprintf(path, sizeof path, "%s/%s", id, f->name);
    fd = first ? -1 : openat(dirfd, path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        fd = open_first(f, dirfd, id, e);
    if (fd < 0)
        return fd;
    if (first && f->bytes > 0) /* of an earlier core, which may have died within a line */
        jl_buf_putc(&line, '\n');
    if (line_of(s, &line) < 0)
        return jl_fail(e, ENOMEM, "write a sample");
    r = jl_write_all(fd, line.data, line.len);
    if (r < 0)
        return jl_fail(e, -r, "write '%s'", f->name);
    f->bytes += line.len;
    return 0;
}

static int pack(const struct jl_buf *in, struct jl_buf *out)
{
    z_stream z = { 0 };
    size_t room;
    int r;

    if (deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return -ENOMEM;
    room = deflateBound(&z, in->len);
    r = jl_buf_reserve(out, room);
    if (r == 0) {
        z.next_in = (Bytef *) in->data;
        z.avail_in = (uInt) in->len;
        z.next_out = (Bytef *) out->data;
        z.avail_out = (uInt) room;
        r = deflate(&z, Z_FINISH) == Z_STREAM_END ? 0 : -EIO;
        out->len = z.total_out;
    }
    deflateEnd(&z);
    return r;
}

int jd_metrics_close(struct jd_metrics_file *f, int dirfd, const char *id, struct jl_err *e)
{
    _buf_ struct jl_buf in = JL_BUF_INIT(4 * JD_METRICS_FULL),
                        out = JL_BUF_INIT(4 * JD_METRICS_FULL);
    _close_ int dir = open_dir(dirfd, id);
    const struct jd_metrics_file old = *f;
    char name[sizeof old.name + 4];
    int r;

    *f = (struct jd_metrics_file){ 0 };
    if (old.name[0] == '\0')
        return 0;
    if (dir < 0)
        return jl_fail(e, -dir, "open the metrics of job %s", id);
    r = jl_read_file_at(dir, old.name, &in, e);
    if (r < 0)
        return r;
    r = pack(&in, &out);
    if (r < 0)
        return jl_fail(e, -r, "pack '%s'", old.name);
    snprintf(name, sizeof name, "%s.gz", old.name);
    r = jl_publish_at(dir, name, out.data, out.len, 0600, false, e);
    if (r == 0 && unlinkat(dir, old.name, 0) < 0)
        r = jl_fail_sys(e, "unlinkat", old.name, "job metrics");
    return r;
}
