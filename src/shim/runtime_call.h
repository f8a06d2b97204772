/*
 * runtime_call.h - the OCI runtime as the shim uses it: two calls of a program whose command
 * line is a standard (runc, crun, joblet-run). Starting does not wait; how it ended comes with
 * SIGCHLD.
 */
#pragma once

#include <signal.h>
#include <sys/types.h>

#include "shim/stdio.h"

struct jl_err;
struct sh_options;

#define SH_PID_NAME "pid"            /* in the state directory, written by the runtime */
#define SH_RUNTIME_LOG "runtime.log" /* the same: its log, JSON lines */
#define SH_CONSOLE_NAME "console"    /* the same: socket for the terminal */

/* RUNTIME --root R --log L --log-format json run --detach --bundle B --pid-file P ID, with the
 * job's ends as stdout and stderr, and --preserve-fds for report_fd unless that is -1. 0, or
 * -errno with e filled. */
int sh_runtime_run(const struct sh_options *o, const int child[SH_STREAMS], int report_fd,
                   pid_t *ret_pid, struct jl_err *e);

/* RUNTIME ... delete --force ID, which is a success when there is nothing to delete. */
int sh_runtime_delete(const struct sh_options *o, pid_t *ret_pid, struct jl_err *e);

/* Reads the pid that `run` left. 0, or -errno with e filled. */
int sh_runtime_pid(int state_dirfd, pid_t *ret_pid, struct jl_err *e);

/*
 * Why `run` failed: the last error in its log; without one its exit status (as waitid gave
 * it) and `tail`, the last bytes it printed. Fills e; returns the exit code to record (1,
 * 126 or 127).
 */
int sh_runtime_reason(int state_dirfd, const siginfo_t *si, const char *tail, struct jl_err *e);
