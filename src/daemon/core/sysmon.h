/*
 * sysmon.h - the host looked at once: everything of SystemStatusResponse but `available`. It runs in
 * a worker (worker.h), since a file system may not answer, and keeps there what it saw the last
 * time: percentages and rates are of the time since. The sources are /proc, /sys and statvfs; no
 * network is used.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/joblet.pb-c.h"
#include "daemon/core/arena.h"

struct jl_buf;
struct jl_err;

struct jd_sysmon_in {
    char volumes_dir[4096]; /* what is mounted below it is a volume */
    char node_id[64];
    bool cloud; /* look for the cloud's traces in the firmware's tables */
};

/* A jd_work_fn: in is a struct jd_sysmon_in, out the packed message. */
int jd_sysmon_sample(const void *in, size_t len, const int *fds, size_t n_fds, struct jl_buf *out,
                     int *ret_fd, struct jl_err *e);

/* What a server says of itself and its host without looking any further. In the arena. */
Joblet__HostInfo *jd_sysmon_host(struct jd_arena *a, const char *node_id);
Joblet__ServerVersionInfo *jd_sysmon_version(struct jd_arena *a);

/* ---- between the files that do it */

#define JD_SYSMON_PROCS 10 /* entries of each list of processes */
#define JD_SYSMON_NETS 10
#define JD_SYSMON_DISKS 128
#define JD_SYSMON_TEXT 256 /* bytes of any name in the answer */

struct jd_sysmon {
    struct jd_arena a;
    const struct jd_sysmon_in *in;
    double seconds; /* since the last look; 0: this is the first one */
    uint64_t now_ns;
    uint64_t memory_total, boot_s;
    Joblet__SystemStatusResponse *m;
};

/* A copy for a message: at most JD_SYSMON_TEXT bytes, UTF-8, without control characters. */
char *jd_sysmon_text(struct jd_arena *a, const char *s, size_t len);
/* A file of /proc or /sys, whole; "" when there is none. In the arena; NULL without memory. */
char *jd_sysmon_file(struct jd_arena *a, const char *path);
double jd_sysmon_share(uint64_t part, uint64_t whole);   /* percent; 0 of nothing */
uint64_t jd_sysmon_since(uint64_t now, uint64_t before); /* of a counter; 0 when it went back */
/* In degrees Celsius, of the hottest package that `hwmon` (/sys/class/hwmon) knows; 0: of none. */
double jd_sysmon_temperature(struct jd_arena *a, const char *hwmon);

void jd_sysmon_cpus(struct jd_sysmon *s);      /* sysmon_cpu.c */
void jd_sysmon_processes(struct jd_sysmon *s); /* sysmon_procs.c */
void jd_sysmon_disks(struct jd_sysmon *s);     /* sysmon_disks.c */
void jd_sysmon_networks(struct jd_sysmon *s);  /* sysmon_net.c */
void jd_sysmon_cloud(struct jd_sysmon *s);     /* sysmon_host.c */
