/*
 * shimlink.h - core's end of one job's shim: started with the bundle, watched by pidfd, talked to
 * over its control socket, found again after a restart. The shim does not need us; all we learn
 * from it we could read from its exit record later.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct jd_core;
struct jd_job;
struct jd_shim;

/* Writes the bundle and starts the shim; the job's events come by themselves. 0, or -errno with e
 * filled (nothing is left then that jd_shim_forget does not remove). */
int jd_shim_start(struct jd_job *j, struct jl_err *e);

/* Takes a job of an earlier run up again: its shim is watched, or its exit record told, or it is
 * lost; one that never got as far as a shim is started. */
void jd_shim_adopt(struct jd_job *j);

/* Connects to the control socket of a job, known or not. fd or -errno. */
int jd_shim_connect(const struct jd_core *c, const char *id);

/* Asks the shim to stop the job; said again when it connects only later. */
void jd_shim_stop(struct jd_job *j);

/* Stops watching; the shim goes on. For the daemon's own end, and once a job has ended. */
void jd_shim_release(struct jd_job *j);

/* Removes what a job has outside the database but its log: runtime state and cgroup by the
 * runtime's `delete --force`, state directory, bundle. */
void jd_shim_clean(struct jd_job *j);
/* Whether a job with these host ids is still being cleaned away, processes and all. */
bool jd_clean_has_ids(const struct jd_core *c, uint32_t base);

/* Closes the log of a job whose shim could not: a note, and the end. */
void jd_log_seal(struct jd_core *c, const char *id, const char *note);
