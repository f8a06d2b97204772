/*
 * cgroup_sample.h - what a group uses at this moment, for who looks again and again. Beside
 * os_cgroup_stat_read's sums it has what only makes sense while processes run.
 */
#pragma once

#include <stdint.h>

#include "os/cgroup.h"

/* A number that the host cannot give is 0. Times in us, sizes in bytes. */
struct os_cgroup_sample {
    struct os_cgroup_stat stat;
    uint64_t throttled_us;
    uint64_t memory_anon, memory_file, major_faults, oom_kills;
    uint64_t unwritten;                 /* cached, and on its way to the disk now or later */
    uint64_t memory_limit, pids_limit;  /* UINT64_MAX: none */
    uint64_t io_reads, io_writes;       /* operations */
    double psi_cpu, psi_memory, psi_io; /* "some", percent of the last 10 s */
};

/* About 25 files; blocks for none. */
void os_cgroup_sample_read(const struct os_cgroup *cg, struct os_cgroup_sample *ret);
