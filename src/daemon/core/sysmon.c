/* sysmon.c - see sysmon.h: the sample as a whole, and memory. */
#include "daemon/core/sysmon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/utf8.h"
#include "daemon/core/procfs.h"

#define FILE_MAX (4u << 20)

char *jd_sysmon_text(struct jd_arena *a, const char *s, size_t len)
{
    char *copy;

    if (len > JD_SYSMON_TEXT)
        len = JD_SYSMON_TEXT;
    copy = jd_arena_get(a, len + 1);
    if (!copy)
        return NULL;
    memcpy(copy, s, len);
    jl_utf8_tame(copy, len);
    return copy;
}

char *jd_sysmon_file(struct jd_arena *a, const char *path)
{
    _buf_ struct jl_buf b = JL_BUF_INIT(FILE_MAX);
    _close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char *copy;

    if (fd >= 0)
        jl_read_all(fd, &b); /* the ceiling cuts: the rest is left out */
    copy = jd_arena_get(a, b.len + 1);
    if (copy && b.len > 0)
        memcpy(copy, b.data, b.len);
    return copy;
}

double jd_sysmon_share(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : 100.0 * (double) part / (double) whole;
}

uint64_t jd_sysmon_since(uint64_t now, uint64_t before)
{
    return now > before ? now - before : 0;
}

static void look_at_memory(struct jd_sysmon *s)
{
    Joblet__MemoryMetrics *m = jd_arena_get(&s->a, sizeof *m);
    const char *text = jd_sysmon_file(&s->a, "/proc/meminfo");
    struct jd_proc_memory x;

    if (!m || !text)
        return;
    joblet__memory_metrics__init(m);
    jd_proc_memory(text, &x);
    s->memory_total = x.total;
    m->total_bytes = (int64_t) x.total;
    m->used_bytes = (int64_t) jd_sysmon_since(x.total, x.available);
    m->free_bytes = (int64_t) x.free;
    m->available_bytes = (int64_t) x.available;
    m->usage_percent = jd_sysmon_share((uint64_t) m->used_bytes, x.total);
    m->cached_bytes = (int64_t) x.cached;
    m->buffered_bytes = (int64_t) x.buffers;
    m->swap_total = (int64_t) x.swap_total;
    m->swap_free = (int64_t) x.swap_free;
    m->swap_used = (int64_t) jd_sysmon_since(x.swap_total, x.swap_free);
    s->m->memory = m;
}

static void look_at_host(struct jd_sysmon *s)
{
    Joblet__HostInfo *m = jd_sysmon_host(&s->a, s->in->node_id);
    char *boot = jd_arena_get(&s->a, JL_RFC3339_MAX);

    if (!m || !boot)
        return;
    m->boot_time = jl_rfc3339(s->boot_s * JL_NS_PER_S, 0, boot);
    m->cpu_count = s->m->cpu ? s->m->cpu->cores : 0;
    m->total_memory = (int64_t) s->memory_total;
    s->m->host = m;
}

int jd_sysmon_sample(const void *in, size_t len, const int *fds, size_t n_fds, struct jl_buf *out,
                     int *ret_fd, struct jl_err *e)
{
    static uint64_t before_ns;
    struct jd_sysmon s = { .a = JD_ARENA_INIT, .in = in, .now_ns = jl_now_ns() };
    char *when;
    int r = 0;

    (void) fds, (void) n_fds, (void) ret_fd;
    if (len != sizeof *s.in)
        return jl_refuse(e, EINVAL, "look at the host: a request of %zu bytes", len);
    s.seconds = before_ns ? (double) (s.now_ns - before_ns) / (double) JL_NS_PER_S : 0;
    before_ns = s.now_ns;
    s.m = jd_arena_get(&s.a, sizeof *s.m);
    when = jd_arena_get(&s.a, JL_RFC3339_MAX);
    if (s.m && when) {
        joblet__system_status_response__init(s.m);
        s.m->timestamp = jl_rfc3339(jl_wall_ns(), 3, when);
        jd_sysmon_cpus(&s);
        look_at_memory(&s);
        look_at_host(&s);
        jd_sysmon_disks(&s);
        jd_sysmon_networks(&s);
        jd_sysmon_processes(&s);
        if (s.in->cloud)
            jd_sysmon_cloud(&s);
        s.m->server_version = jd_sysmon_version(&s.a);
    }
    if (jd_arena_failed(&s.a))
        r = jl_fail(e, ENOMEM, "look at the host");
    if (r == 0) {
        size_t n = joblet__system_status_response__get_packed_size(s.m);

        r = jl_buf_reserve(out, n);
        if (r == 0)
            out->len += joblet__system_status_response__pack(s.m, (uint8_t *) out->data + out->len);
        else
            jl_fail(e, -r, "look at the host: an answer of %zu bytes", n);
    }
    jd_arena_free(&s.a);
    return r;
}
