/*
 * procfs.h - what the host's /proc says, out of its text. Pure: no system call, no heap. Names in
 * these files are chosen by whoever runs a process, mounts a file system or makes an interface, so
 * nothing in them is believed; what can't be read is left out. Source: proc(5),
 * Documentation/admin-guide/iostats.rst.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JD_PROC_CORES_MAX 512

struct jd_proc_cpu {
    uint64_t user, kernel, idle, iowait, steal; /* clock ticks; nice is user, interrupts system */
};

/* /proc/stat. cores[0..*n_cores) are the cpus that are online. */
struct jd_proc_stat {
    struct jd_proc_cpu all, cores[JD_PROC_CORES_MAX];
    size_t n_cores;
    uint64_t boot_s; /* since 1970 */
};
void jd_proc_stat(const char *text, struct jd_proc_stat *ret);

/* /proc/cpuinfo: what x86 has; elsewhere the model may be "" and the frequency 0. */
struct jd_proc_cpuinfo {
    char model[128];
    double mhz; /* mean of all cpus */
};
void jd_proc_cpuinfo(const char *text, struct jd_proc_cpuinfo *ret);

/* /proc/meminfo, in bytes. */
struct jd_proc_memory {
    uint64_t total, free, available, buffers, cached, swap_total, swap_free;
};
void jd_proc_memory(const char *text, struct jd_proc_memory *ret);

/* A line of /proc/net/dev, running totals. */
struct jd_proc_net {
    char name[32];
    uint64_t rx_bytes, rx_packets, rx_errors, rx_drops;
    uint64_t tx_bytes, tx_packets, tx_errors, tx_drops;
};
size_t jd_proc_net(const char *text, struct jd_proc_net *ret, size_t room);

/* A line of /proc/diskstats, running totals. */
struct jd_proc_disk {
    unsigned major, minor;
    char name[32];
    uint64_t reads, read_bytes, read_ms, writes, write_bytes, write_ms, busy_ms;
};
size_t jd_proc_disks(const char *text, struct jd_proc_disk *ret, size_t room);

/* A line of /proc/PID/mountinfo. */
struct jd_proc_mount {
    unsigned major, minor;
    char root[32]; /* of the file system, what was mounted; cut */
    char point[1024];
    char type[32];
    char source[256]; /* cut */
};
/* The first line of *text that is a mount; *text moves behind it. False at the end. */
bool jd_proc_mount(const char **text, struct jd_proc_mount *ret);

/* /proc/PID/stat. */
struct jd_proc_pid {
    int pid, ppid;
    char name[64]; /* of its main thread; any bytes but NUL */
    char state;
    uint64_t ticks; /* of CPU time */
    uint64_t threads;
    uint64_t start_ticks; /* since boot */
    uint64_t rss_pages;
};
/* 0 or -EINVAL. */
int jd_proc_pid(const char *text, size_t len, struct jd_proc_pid *ret);
