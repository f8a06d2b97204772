/* cgroup_stat.c - what a group has used, and whether the OOM killer struck. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "os/cgroup_internal.h"

static int add_oom_kills(int fd, void *data)
{
    uint64_t *sum = data, n;
    int r = cg_read_key(fd, "memory.oom_control", "oom_kill", &n); /* since Linux 4.13 */

    if (r == 0)
        *sum += n;
    return r;
}

/*
 * v2's memory.events counts what happened in all groups below, and a victim counts in its own
 * group whichever limit was hit. v1 counts in the victim's own group only, so we add up; kills in
 * a group that was removed meanwhile are lost there.
 */
int os_cgroup_oom_kills(const struct os_cgroup *cg, uint64_t *ret_n)
{
    *ret_n = 0;
    if (cg->host.v1[OS_CG_MEMORY][0] != '\0')
        return cg->fd[OS_CG_MEMORY] < 0 ? -ENOENT
                                        : cg_each_group(cg->fd[OS_CG_MEMORY], add_oom_kills, ret_n);
    if (cg->fd[CG_UNIFIED] < 0)
        return -ENOTSUP;
    return cg_read_key(cg->fd[CG_UNIFIED], "memory.events", "oom_kill", ret_n);
}

static uint64_t number(int fd, const char *file, uint64_t divisor)
{
    uint64_t v;

    if (fd < 0 || cg_read_u64(fd, file, &v) < 0 || v == UINT64_MAX)
        return 0;
    return v / divisor;
}

static uint64_t key(int fd, const char *file, const char *word)
{
    uint64_t v;

    if (fd < 0 || cg_read_key(fd, file, word, &v) < 0)
        return 0;
    return v;
}

/* io.stat: "8:0 rbytes=1 wbytes=2 rios=3 ..." a device. */
void cg_io_stat_sum(const char *text, uint64_t *ret_read, uint64_t *ret_written)
{
    *ret_read = *ret_written = 0;
    for (const char *p = text; *p != '\0'; p += strspn(p, " \n")) {
        if (strncmp(p, "rbytes=", 7) == 0)
            *ret_read += strtoull(p + 7, NULL, 10);
        else if (strncmp(p, "wbytes=", 7) == 0)
            *ret_written += strtoull(p + 7, NULL, 10);
        p += strcspn(p, " \n");
    }
}

/* blkio.throttle.io_service_bytes_recursive: "8:0 Read 1" and "8:0 Write 2" a device, then sums. */
void cg_blkio_sum(const char *text, uint64_t *ret_read, uint64_t *ret_written)
{
    *ret_read = *ret_written = 0;
    for (const char *line = text; *line != '\0'; line += strspn(line, "\n")) {
        size_t device = strcspn(line, " \n");
        const char *word = line + device;

        if (strncmp(word, " Read ", 6) == 0)
            *ret_read += strtoull(word + 6, NULL, 10);
        else if (strncmp(word, " Write ", 7) == 0)
            *ret_written += strtoull(word + 7, NULL, 10);
        line += strcspn(line, "\n");
    }
}

static void read_io(int fd, const char *file, void (*sum)(const char *, uint64_t *, uint64_t *),
                    struct os_cgroup_stat *s)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(1u << 20);
    _close_ int f = fd < 0 ? -1 : openat(fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (f >= 0 && jl_read_all(f, &text) == 0 && text.data)
        sum(text.data, &s->io_read_bytes, &s->io_write_bytes);
}

/*
 * The unified tree's cpu.stat is exact in every group (its controller or not), and scaled from ticks to
 * user and system by the kernel. On a host of v1 alone cpuacct.usage is exact, and cpuacct.stat, in
 * ticks, tells how to divide it. cpuacct.usage_user and usage_sys would be simpler, but they give a
 * whole slice to whatever ran at its end: kernel/sched/cpuacct.c.
 */
static void read_cpu(int unified, int cpuacct, struct os_cgroup_stat *s)
{
    uint64_t total, user, ticks;

    if (unified >= 0 && cg_read_key(unified, "cpu.stat", "usage_usec", &total) == 0) {
        s->cpu_user_us = key(unified, "cpu.stat", "user_usec");
        s->cpu_system_us = key(unified, "cpu.stat", "system_usec");
        return;
    }
    total = number(cpuacct, "cpuacct.usage", 1000);
    user = key(cpuacct, "cpuacct.stat", "user");
    ticks = user + key(cpuacct, "cpuacct.stat", "system");
    s->cpu_user_us =
        ticks > 0 ? (uint64_t) ((double) total * ((double) user / (double) ticks)) : total;
    s->cpu_system_us = total - s->cpu_user_us;
}

static void read_v1(const struct os_cgroup *cg, struct os_cgroup_stat *s)
{
    const int *fd = cg->fd;

    if (fd[OS_CG_MEMORY] >= 0) {
        s->memory_current = number(fd[OS_CG_MEMORY], "memory.usage_in_bytes", 1);
        s->memory_peak = number(fd[OS_CG_MEMORY], "memory.max_usage_in_bytes", 1);
    }
    if (fd[OS_CG_PIDS] >= 0) {
        s->pids_current = number(fd[OS_CG_PIDS], "pids.current", 1);
        s->pids_peak = number(fd[OS_CG_PIDS], "pids.peak", 1);
    }
    if (fd[OS_CG_IO] >= 0)
        read_io(fd[OS_CG_IO], "blkio.throttle.io_service_bytes_recursive", cg_blkio_sum, s);
}

int os_cgroup_stat_read(const struct os_cgroup *cg, struct os_cgroup_stat *ret)
{
    int u = cg->fd[CG_UNIFIED];

    memset(ret, 0, sizeof *ret);
    read_cpu(u, cg->fd[OS_CG_CPUACCT], ret);
    if (u >= 0) {
        ret->memory_current = number(u, "memory.current", 1);
        ret->memory_peak = number(u, "memory.peak", 1); /* since Linux 5.19 */
        ret->pids_current = number(u, "pids.current", 1);
        ret->pids_peak = number(u, "pids.peak", 1);
        ret->psi_cpu_some_us = key(u, "cpu.pressure", "some");
        ret->psi_memory_some_us = key(u, "memory.pressure", "some");
        ret->psi_io_some_us = key(u, "io.pressure", "some");
        read_io(u, "io.stat", cg_io_stat_sum, ret);
    }
    read_v1(cg, ret); /* where a v1 hierarchy counts it, the unified tree does not */
    return 0;
}
