/*
 * core.h - the daemon as one struct, made in main and passed down. One thread, one loop; nothing
 * here talks to the network, and nothing holds a job's pipes.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/loop.h"
#include "daemon/core/ahead.h"
#include "daemon/core/audit.h"
#include "daemon/core/conf.h"
#include "daemon/core/front.h"
#include "daemon/core/jobmetrics.h"
#include "daemon/core/jobs.h"
#include "daemon/core/monitor.h"
#include "daemon/core/nets.h"
#include "daemon/core/purge.h"
#include "daemon/core/reload.h"
#include "daemon/core/revoked.h"
#include "daemon/core/rootfs.h"
#include "daemon/core/space.h"
#include "daemon/core/stage.h"
#include "daemon/core/trash.h"
#include "daemon/core/volume.h"
#include "os/cgroup.h"

struct jd_store;

struct jd_core {
    struct jl_loop *loop;
    struct jd_conf conf;
    struct jd_store *store;
    struct os_cgroup_host cg_host;
    bool tcp_apart; /* bundle.h */
    struct jd_jobs jobs;
    struct jd_front front;
    struct jd_stages stages;
    struct jd_trash trash;
    struct jd_rootfs rootfs;
    struct jd_ahead ahead;
    struct jd_purge purge;
    struct jd_revoked revoked;
    struct jd_reload reload;
    struct jd_volumes volumes;
    struct jd_spaces spaces;
    struct jd_monitor monitor;
    struct jd_metrics metrics;
    struct jd_nets nets;

    char *shim_path, *front_path, *init_path; /* our programs; init NULL when job.init is off */
    char *runtime_path;                       /* oci.runtime, or NULL: runtime_fd */
    int runtime_fd;                           /* sealed copy of joblet-run, or -1 */
    bool userns;                              /* jobs get host ids of their own */
    char boot_id[40];
    uint64_t nofile_max;

    int lock_fd;                             /* one core a prefix */
    int jobs_dirfd, logs_dirfd, state_dirfd; /* baseDir, logs.directory, run_dir/jobs */
    struct jd_audit audit;
    struct jl_source signals;
    int signal_fd;
    struct jl_timer sweep; /* every five minutes */
    bool ending;           /* SIGTERM came */
    bool after_crash;      /* the core before us did not end by itself */
};

/* Brings everything up as far as listening; jobs of an earlier run are taken up again. 0, or
 * -errno with e filled. own_conf is taken over in any case. */
int jd_core_start(struct jd_core *c, struct jd_conf *own_conf, struct jl_err *e);
/* Runs until SIGTERM or a failure; jobs stay. Exit status. */
int jd_core_run(struct jd_core *c);
void jd_core_done(struct jd_core *c);
/* Opens the log that the configuration names. 0, or -errno with e filled. */
int jd_core_log(const struct jd_conf *conf, struct jl_err *e);
/* Begins a clean stop; jd_core_run ends when front has. */
void jd_core_end(struct jd_core *c, int status);
