/*
 * shim.h - one job under supervision: the state that the parts of joblet-shim share, and the
 * events that move it on. The phases are those of ipc/shimctl.h:
 *
 *   STARTING -> RUNNING -> ENDING -> DONE
 *       \-> FAILED
 *
 * shim.c has the start and what comes in while the job runs, signals.c what goes out to it,
 * ending.c all that follows. One process, one thread, one loop; while the job runs and prints
 * nothing, nothing wakes up.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/loop.h"
#include "shim/control.h"
#include "shim/logfile.h"
#include "shim/options.h"
#include "shim/record.h"
#include "shim/stdio.h"

struct os_cgroup;

struct sh_shim {
    const struct sh_options *opt; /* borrowed */
    struct jl_loop *loop;
    int state_dirfd;
    int sync_fd; /* -1: none, or told already */
    int report_fd; /* from joblet-init; -1: none */
    pid_t parent; /* who started us; 0: was gone when the job ran */
    enum ipc_shim_phase phase;
    pid_t runtime_pid;    /* a call of the runtime that has not ended; 0: none */
    pid_t init_pid;       /* the job's PID 1, our child; 0: not known or reaped */
    struct os_cgroup *cg; /* NULL: no cgroup, or not opened yet */

    struct sh_log log;
    struct sh_stdio io;
    struct sh_control control;
    struct sh_record record;
    struct ipc_exitrec rec; /* filled as things become known */

    struct jl_source signal_src;
    int signal_fd;
    struct jl_timer limit_timer; /* run-time limit */
    struct jl_timer stop_timer;  /* end of the grace: kill */
    struct jl_timer end_timer;   /* is the cgroup empty?  then: does the delete take too long? */
    struct jl_timer again_timer; /* does PID 1 take the SIGTERM of a stop by now? */
    uint64_t again_until_ns;
    unsigned init_takes; /* how it did when it was last asked */
    uint64_t end_deadline_ns;
    unsigned end_tries;
    bool stopping; /* SIGTERM was sent, or will be as soon as the job runs */
    bool finished; /* everybody has been told */
};

/* Prepares everything but the job. 0, or -errno with e filled; then sh_end_early. */
int sh_shim_init(struct sh_shim *sh, const struct sh_options *opt, struct jl_err *e);

/* Runs the job to its end. The result is the shim's exit code: 0 when the record is on disk. */
int sh_shim_run(struct sh_shim *sh);

/* The job shall end: SIGTERM to all of it, SIGKILL after the grace. Again: only sooner. */
void sh_shim_stop(struct sh_shim *sh, uint64_t grace_ms);

/* SIGKILL to every process of the job. */
void sh_shim_kill(struct sh_shim *sh);

/* Changes the phase and tells everybody who is connected. */
void sh_shim_enter(struct sh_shim *sh, enum ipc_shim_phase phase);

/* What an answer on the socket says now. */
struct ipc_shim_msg sh_shim_state(const struct sh_shim *sh);

/* A line in `shim.log` in the state directory, for what went wrong and is carried on past. */
void sh_shim_warn(const struct sh_shim *sh, const struct jl_err *e, const char *event);

/* signals.c */

/* sig to every process of the job, once: what joblet-init would pass on is not sent to it. */
void sh_signal_job(struct sh_shim *sh, int sig);

/* SIGTERM to the job, and again to a PID 1 that was too young to take it. */
void sh_signal_stop(struct sh_shim *sh);

/* ending.c */

/* The job's PID 1 is gone; si as waitid gave it. */
int sh_end_begin(struct sh_shim *sh, const siginfo_t *si);

/* The job could not be started; e says why, code is 1, 126 or 127. */
int sh_end_failed(struct sh_shim *sh, const struct jl_err *e, int code);

/* The shim could not be prepared: leaves the record if it can. Returns the shim's exit code. */
int sh_end_early(struct sh_shim *sh, const struct jl_err *e);

/* `runtime delete` has ended. */
int sh_end_deleted(struct sh_shim *sh, const siginfo_t *si);
