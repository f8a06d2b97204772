/*
 * metricsfile.h - a job's samples on disk, as core writes them. docs/formats/job-metrics.md is the
 * reference of the form; joblet-front reads it (daemon/front/metricsread.h).
 */
#pragma once

#include <stdint.h>

#include "base/err.h"

/* The numbers of a JobMetricsEvent. The name of a line's member is the proto's, in camel case. */
struct jd_metrics_sample {
    uint64_t timestamp; /* ns since 1970 */
    double cpu_percent;
    uint64_t memory_bytes, memory_limit;
    uint64_t disk_read_bytes, disk_write_bytes, net_recv_bytes, net_sent_bytes;
    double cpu_throttled_percent;
    uint64_t cpu_user_usec, cpu_system_usec;
    uint64_t memory_peak, memory_anon, memory_file, major_faults, oom_kills;
    uint64_t io_read_ops, io_write_ops, pids_current, pids_max;
    double psi_cpu_some10, psi_memory_some10, psi_io_some10;
    uint64_t processes, open_files, interval_ns;
};

/* Which file of the job's is written; zeroed: none yet. */
struct jd_metrics_file {
    char name[40]; /* "<time>.jsonl" */
    uint64_t bytes;
};

/* When it has more it is to be closed: packing it takes a few ms of core's loop. */
#define JD_METRICS_FULL (256u << 10)

/* Appends a line, in the file that an earlier core left or a new one. 0, or -errno with e filled. */
int jd_metrics_append(struct jd_metrics_file *f, int dirfd, const char *id,
                      const struct jd_metrics_sample *s, struct jl_err *e);

/* Packs the file with gzip; *f is zeroed in any case, so that a full one is followed by another. 0, or
 * -errno with e filled: it stays as it is, for good, which readers take as well. */
int jd_metrics_close(struct jd_metrics_file *f, int dirfd, const char *id, struct jl_err *e);

/* Opens the job's n-th file, by time, for reading. fd, -ENOENT: there is none, or -errno. */
int jd_metrics_open(int dirfd, const char *id, unsigned n);
