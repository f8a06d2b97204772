/* cmd_metrics.c - rnx job metrics. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/status.h"
#include "api/validate.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "rnx/out.h"
#include "rnx/stream.h"

#define CELL 48

/* 12.3 MiB, from bytes on. */
static char *size(double bytes, char *buf)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    size_t u = 0;

    while (bytes >= 1024 && u + 1 < JL_COUNT(units)) {
        bytes /= 1024;
        u++;
    }
    snprintf(buf, CELL, u == 0 ? "%.0f %s" : "%.1f %s", bytes, units[u]);
    return buf;
}

/* Bytes without operations: the server doesn't know these at a job's end. */
static bool has_ops(uint64_t ops, int64_t bytes)
{
    return ops > 0 || bytes == 0;
}

static int print_json(const Joblet__JobMetricsEvent *m, struct jl_err *e)
{
    _buf_ struct jl_buf b = JL_BUF_INIT(65536);
    struct jl_json_out w;
    int r;

    rnx_json_begin(&w, &b, true);
    jl_json_put_object(&w, NULL);
    jl_json_put_i64(&w, "timestamp", m->timestamp);
    jl_json_put_str(&w, "jobUuid", m->job_uuid);
    jl_json_put_double(&w, "cpuPercent", m->cpu_percent);
    jl_json_put_i64(&w, "memoryBytes", m->memory_bytes);
    jl_json_put_i64(&w, "memoryLimit", m->memory_limit);
    jl_json_put_i64(&w, "diskReadBytes", m->disk_read_bytes);
    jl_json_put_i64(&w, "diskWriteBytes", m->disk_write_bytes);
    jl_json_put_i64(&w, "netRecvBytes", m->net_recv_bytes);
    jl_json_put_i64(&w, "netSentBytes", m->net_sent_bytes);
    jl_json_put_double(&w, "gpuPercent", m->gpu_percent);
    jl_json_put_i64(&w, "gpuMemoryBytes", m->gpu_memory_bytes);
    jl_json_put_double(&w, "cpuThrottledPercent", m->cpu_throttled_percent);
    jl_json_put_u64(&w, "cpuUserUsec", m->cpu_user_usec);
    jl_json_put_u64(&w, "cpuSystemUsec", m->cpu_system_usec);
    jl_json_put_i64(&w, "memoryPeak", m->memory_peak);
    jl_json_put_i64(&w, "memoryAnon", m->memory_anon);
    jl_json_put_i64(&w, "memoryFile", m->memory_file);
    jl_json_put_u64(&w, "majorFaults", m->major_faults);
    jl_json_put_u64(&w, "oomKills", m->oom_kills);
    if (has_ops(m->io_read_ops, m->disk_read_bytes))
        jl_json_put_u64(&w, "ioReadOps", m->io_read_ops);
    if (has_ops(m->io_write_ops, m->disk_write_bytes))
        jl_json_put_u64(&w, "ioWriteOps", m->io_write_ops);
    jl_json_put_u64(&w, "pidsCurrent", m->pids_current);
    jl_json_put_u64(&w, "pidsMax", m->pids_max);
    jl_json_put_double(&w, "psiCpuSome10", m->psi_cpu_some10);
    jl_json_put_double(&w, "psiMemorySome10", m->psi_memory_some10);
    jl_json_put_double(&w, "psiIoSome10", m->psi_io_some10);
    jl_json_put_u64(&w, "processes", m->processes);
    jl_json_put_u64(&w, "openFiles", m->open_files);
    jl_json_put_u64(&w, "intervalNs", m->interval_ns);
    jl_json_end(&w);
    r = jl_json_finish(&w);
    if (r == 0)
        r = jl_buf_putc(&b, '\n');
    return r < 0 ? jl_fail(e, -r, "write JSON") : rnx_write(b.data, b.len, e);
}

static double rate(int64_t now, int64_t before, double seconds)
{
    return now > before && seconds > 0 ? (double) (now - before) / seconds : 0;
}

/* One direction, a second and in all: "read 1 KiB/s (2.0 ops/s)", "4 KiB read (8 ops)". */
static void io_cells(const char *verb, const char *done, const int64_t bytes[2],
                     const uint64_t ops[2], double seconds, char a_second[2 * CELL],
                     char in_all[2 * CELL])
{
    bool known = has_ops(ops[1], bytes[1]);
    char cell[CELL], n[CELL] = "", n_second[CELL] = "";

    if (known) {
        snprintf(n_second, CELL, " (%.1f ops/s)",
                 rate((int64_t) ops[1], (int64_t) ops[0], seconds));
        snprintf(n, CELL, " (%" PRIu64 " ops)", ops[1]);
    }
    snprintf(a_second, 2 * CELL, "%s %s/s%s", verb, size(rate(bytes[1], bytes[0], seconds), cell),
             n_second);
    snprintf(in_all, 2 * CELL, "%s %s%s", size((double) bytes[1], cell), done, n);
}

static void print_io(const Joblet__JobMetricsEvent *m, const Joblet__JobMetricsEvent *before,
                     double seconds)
{
    const int64_t read[] = { before->disk_read_bytes, m->disk_read_bytes };
    const int64_t written[] = { before->disk_write_bytes, m->disk_write_bytes };
    const uint64_t reads[] = { before->io_read_ops, m->io_read_ops };
    const uint64_t writes[] = { before->io_write_ops, m->io_write_ops };
    char r_second[2 * CELL], w_second[2 * CELL], r_all[2 * CELL], w_all[2 * CELL];

    io_cells("read", "read", read, reads, seconds, r_second, r_all);
    io_cells("write", "written", written, writes, seconds, w_second, w_all);
    printf("  I/O:       %s, %s, in all %s, %s, pressure %.1f%%\n", r_second, w_second, r_all,
           w_all, m->psi_io_some10);
}

/* before: the sample before, all 0 for the first. */
static int print_text(const Joblet__JobMetricsEvent *m, const Joblet__JobMetricsEvent *before,
                      struct jl_err *e)
{
    double seconds = (double) m->interval_ns / (double) JL_NS_PER_S;
    time_t t = (time_t) (m->timestamp / (int64_t) JL_NS_PER_S);
    char a[CELL], b[CELL], c[CELL], d[CELL], when[16] = "", id[64];
    struct tm tm;

    if (localtime_r(&t, &tm))
        strftime(when, sizeof when, "%H:%M:%S", &tm);
    printf("%s  job %.8s", when, rnx_tame(m->job_uuid, id, sizeof id));
    if (seconds > 0)
        printf("  (%.1f s after the one before)", seconds);
    printf("\n  CPU:       %.1f%%, throttled %.1f%%, user %" PRIu64 " us, system %" PRIu64
           " us, pressure %.1f%%\n",
           m->cpu_percent, m->cpu_throttled_percent, m->cpu_user_usec, m->cpu_system_usec,
           m->psi_cpu_some10);
    printf("  Memory:    %s", size((double) m->memory_bytes, a));
    if (m->memory_limit > 0)
        printf(" (%.1f%% of %s)", 100.0 * (double) m->memory_bytes / (double) m->memory_limit,
               size((double) m->memory_limit, b));
    printf(", peak %s, anonymous %s, file cache %s, major faults %" PRIu64 ", OOM kills %" PRIu64
           ", pressure %.1f%%\n",
           size((double) m->memory_peak, a), size((double) m->memory_anon, b),
           size((double) m->memory_file, c), m->major_faults, m->oom_kills, m->psi_memory_some10);
    print_io(m, before, seconds);
    printf("  Network:   in %s/s, out %s/s, in all %s in, %s out\n",
           size(rate(m->net_recv_bytes, before->net_recv_bytes, seconds), a),
           size(rate(m->net_sent_bytes, before->net_sent_bytes, seconds), b),
           size((double) m->net_recv_bytes, c), size((double) m->net_sent_bytes, d));
    printf("  Processes: ");
    if (m->processes > 0)
        printf("%" PRIu64 ", open files %" PRIu64 ", ", m->processes, m->open_files);
    printf("threads %" PRIu64, m->pids_current);
    if (m->pids_max > 0)
        printf(" of %" PRIu64, m->pids_max);
    printf("\n\n");
    return fflush(stdout) != 0 ? jl_fail(e, errno, "write to standard output") : 0;
}

struct reader {
    struct rnx *x;
    Joblet__JobMetricsEvent before; /* the last one printed */
    uint64_t printed, come; /* samples in all; of the stream that is open, which has all of them */
    struct rnx_again again;
};

static int on_message(void *user, const struct jl_buf *msg, struct jl_err *e)
{
    Joblet__JobMetricsEvent empty = JOBLET__JOB_METRICS_EVENT__INIT;
    struct reader *rd = user;
    const Joblet__JobMetricsEvent *m;
    ProtobufCMessage *got = NULL;
    int r = api_unpack_reply(&joblet__job_metrics_event__descriptor, msg->data, msg->len, &got, e);

    if (r < 0)
        return jl_wrap(e, "a sample");
    m = (const Joblet__JobMetricsEvent *) got;
    rnx_again_reset(&rd->again);
    if (++rd->come > rd->printed) { /* else it came before the connection was lost */
        rd->printed = rd->come;
        r = rd->x->json ? print_json(m, e) : print_text(m, &rd->before, e);
        rd->before = *m;
        rd->before.job_uuid = empty.job_uuid; /* the message's own goes with it */
    }
    protobuf_c_message_free_unpacked(got, NULL);
    return r;
}

/* Until the job has ended: 0; 1 a signal came; -errno with e filled. */
static int stream(struct reader *rd, char *id, struct jl_err *e)
{
    Joblet__StreamJobMetricsRequest request = JOBLET__STREAM_JOB_METRICS_REQUEST__INIT;
    struct rpc_status st;
    int r;

    request.job_uuid = id;
    do {
        rd->come = 0;
        r = rnx_stream(rd->x, "/joblet.JobService/StreamJobMetrics", &request.base, 1u << 20,
                       on_message, rd, &st, e);
        if (r >= 0)
            return r;
        r = rnx_again(rd->x, &rd->again, &st, e);
    } while (r == 0);
    return r < 0 ? rnx_job_refused(&st, id, e) : r;
}

static int run_metrics(struct rnx *x, int argc, char **argv, struct jl_err *e)
{
    _strv_ struct jl_strv words = JL_STRV_INIT;
    struct reader rd = { .x = x, .before = JOBLET__JOB_METRICS_EVENT__INIT };
    int r = rnx_parse(x, NULL, argc, argv, &words, e);

    if (r != 0)
        return r < 0 ? r : 0;
    if (words.len != 1)
        return rnx_usage(e, "rnx job metrics wants one job id");
    r = rnx_connect(x, e);
    if (r < 0)
        return r;
    rnx_catch_signals(x);
    r = stream(&rd, words.items[0], e);
    if (r < 0)
        return r;
    if (r == 0 && rd.printed == 0)
        return jl_refuse(e, ENOENT,
                         "there are no samples of job %.64s: it never ran, they are no longer kept "
                         "(job_metrics.retention_days), or job_metrics.enabled is false",
                         words.items[0]);
    return 0;
}

const struct rnx_cmd rnx_cmd_metrics = {
    .group = "job",
    .name = "metrics",
    .alone = true,
    .args = "<id>",
    .summary = "what a job uses: what was sampled, and on until it ends",
    .more = "CPU in percent of one core since the sample before; I/O and network in all. --json "
            "prints\n"
            "one object a line. Ctrl-C ends rnx, not the job.\n",
    .run = run_metrics,
};
