/*
 * bundle.h - a job as a plain OCI bundle. jd_bundle_spec is pure (request and configuration to
 * config.json); jd_bundle_write makes the directory. What the daemon writes, joblet-run, crun and
 * (without isolation.userns) runc 1.1.5 run as it stands. docs/formats/bundle.md is the reference.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/joblet.pb-c.h"
#include "base/err.h"
#include "daemon/core/hostinfo.h"

struct jd_arena;
struct jd_conf;
struct oci_spec;

#define JD_JOB_UID 65534u       /* nobody, and gid nogroup, inside */
#define JD_ID_RANGE 65536u      /* ids of one job's user namespace */
#define JD_ID_FIRST 1879048192u /* 0x70000000: above what distributions and systemd give out */
#define JD_ID_SLOTS 4096u       /* ... up to 2^31 */
#define JD_INIT_INSIDE "/run/joblet-init"
#define JD_DEVICES_MAX 32

/* How many files a tmpfs of so many bytes may have: each takes memory besides what is in it. */
uint64_t jd_tmpfs_inodes(uint64_t bytes);

/* One volume of a job, already mounted on the host. */
struct jd_bundle_volume {
    const char *source; /* host directory */
    const char *dest;   /* "/volumes/NAME" */
    bool read_only;
    bool on_disk; /* an I/O limit concerns it */
};

/* Everything that shapes config.json; all borrowed. */
struct jd_bundle_in {
    const char *id;
    const char *etc_source;           /* directory of hosts and resolv.conf, absolute */
    bool own_etc;                     /* it is the bundle's etc/, and to be made */
    const Joblet__RunJobRequest *req; /* defaults filled in, secrets included */
    const struct jd_conf *conf;
    const char *node_id;
    const char *work_source;  /* host directory of the workspace; NULL: a tmpfs of work_bytes */
    uint64_t work_bytes;      /* 0: as much as the disk of work_source has; else a tmpfs of this
                                size, into which the runtime copies what is in work_source */
    const char *init_source;  /* joblet-init on the host; NULL: the command is process 1 */
    const char *rootfs;       /* rootfs.h, like the binds */
    const char *const *binds; /* host paths that exist and are no symlinks, parents first */
    size_t n_binds;
    const struct jd_bundle_volume *volumes;
    size_t n_volumes;
    uint32_t host_id_base; /* 0: no user namespace */
    bool oom_group;        /* cgroup v2: an OOM kill takes the whole job */
    bool tcp_apart;        /* cgroup v1: TCP's buffers are not memory, and get a limit as large */
    uint64_t nofile_max;   /* hard limit that this host lets us have */
    const char *mems;      /* memory nodes of req->cpu_cores */
    struct jd_device io[JD_DEVICES_MAX];
    size_t n_io;
    bool host_network;
    const char *net_ns, *user_ns; /* namespaces to join; NULL: new ones */
    const char *resolv;           /* contents of its own resolv.conf; NULL: no network */
    const char *own_hosts;        /* contents of its own hosts; NULL: loopback alone */
};

/* The document, built in the arena. 0, or -ENOMEM with e filled. */
int jd_bundle_spec(const struct jd_bundle_in *in, struct jd_arena *a, struct oci_spec **ret,
                   struct jl_err *e);

/*
 * Makes config.json (0600) and, with own_etc, etc/ in bundle_dirfd: probes the host for the cpus and the disks of a
 * limit, fills the rest of `in` and writes. What a start that was interrupted has left is replaced. 0, or -errno with e filled. Blocks for a few small files. Root.
 */
int jd_bundle_write(int bundle_dirfd, struct jd_bundle_in *in, struct jl_err *e);

/* Makes those files, empty, so that jd_bundle_write has but to fill them. 0 or -errno. */
int jd_bundle_prepare(int bundle_dirfd, bool own_etc);
