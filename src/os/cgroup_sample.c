/* cgroup_sample.c - see cgroup_sample.h. */
#include "os/cgroup_sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/cgroup_internal.h"

#define TEXT_MAX 16384

/* The text of a controller's file in the hierarchy that serves it; "" when there is none. */
static const char *text_of(const struct os_cgroup *cg, enum os_controller c, const char *v1,
                           const char *v2, char buf[TEXT_MAX])
{
    bool is_v2 = cg->host.v1[c][0] == '\0';
    int fd = is_v2 ? cg->fd[CG_UNIFIED] : cg->fd[c];
    const char *file = is_v2 ? v2 : v1;

    if (fd < 0 || !file || cg_read(fd, file, buf, TEXT_MAX) < 0)
        buf[0] = '\0';
    return buf;
}

static uint64_t key(const char *text, const char *v1, const char *v2)
{
    uint64_t v;

    return cg_text_key(text, v1, &v) == 0 || cg_text_key(text, v2, &v) == 0 ? v : 0;
}

static uint64_t limit(const struct os_cgroup *cg, enum os_controller c, const char *v1,
                      const char *v2)
{
    char buf[TEXT_MAX];
    const char *text = text_of(cg, c, v1, v2, buf);
    char *end;
    uint64_t v = strtoull(text, &end, 10);

    return end == text || v >= INT64_MAX / 4096 * 4096 ? UINT64_MAX : v; /* v1's way of "none" */
}

/* io.stat's "rios=N" and "wios=N", or the Read and Write lines of v1. */
static void operations(const struct os_cgroup *cg, struct os_cgroup_sample *s)
{
    char buf[TEXT_MAX];
    const char *text =
        text_of(cg, OS_CG_IO, "blkio.throttle.io_serviced_recursive", "io.stat", buf);

    if (cg->host.v1[OS_CG_IO][0] != '\0') {
        cg_blkio_sum(text, &s->io_reads, &s->io_writes);
        return;
    }
    for (const char *p = text; *p != '\0'; p += strspn(p, " \n")) {
        if (strncmp(p, "rios=", 5) == 0)
            s->io_reads += strtoull(p + 5, NULL, 10);
        else if (strncmp(p, "wios=", 5) == 0)
            s->io_writes += strtoull(p + 5, NULL, 10);
        p += strcspn(p, " \n");
    }
}

static double pressure(const struct os_cgroup *cg, const char *file)
{
    char text[512];
    double v = 0;

    if (cg->fd[CG_UNIFIED] < 0 || cg_read(cg->fd[CG_UNIFIED], file, text, sizeof text) < 0 ||
        sscanf(text, "some avg10=%lf", &v) != 1)
        return 0;
    return v;
}

void os_cgroup_sample_read(const struct os_cgroup *cg, struct os_cgroup_sample *s)
{
    char buf[TEXT_MAX];
    const char *text;

    memset(s, 0, sizeof *s);
    os_cgroup_stat_read(cg, &s->stat);
    os_cgroup_oom_kills(cg, &s->oom_kills);
    text = text_of(cg, OS_CG_CPU, "cpu.stat", "cpu.stat", buf);
    s->throttled_us = key(text, "throttled_time", "throttled_time") / 1000;
    if (s->throttled_us == 0)
        s->throttled_us = key(text, "throttled_usec", "throttled_usec");
    text = text_of(cg, OS_CG_MEMORY, "memory.stat", "memory.stat", buf);
    s->memory_anon = key(text, "total_rss", "anon");
    s->memory_file = key(text, "total_cache", "file");
    s->unwritten =
        key(text, "total_dirty", "file_dirty") + key(text, "total_writeback", "file_writeback");
    s->major_faults = key(text, "total_pgmajfault", "pgmajfault");
    s->memory_limit = limit(cg, OS_CG_MEMORY, "memory.limit_in_bytes", "memory.max");
    s->pids_limit = limit(cg, OS_CG_PIDS, "pids.max", "pids.max");
    operations(cg, s);
    s->psi_cpu = pressure(cg, "cpu.pressure");
    s->psi_memory = pressure(cg, "memory.pressure");
    s->psi_io = pressure(cg, "io.pressure");
}
