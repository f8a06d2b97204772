/*
 * criu_action.h - joblet-run in the middle of a restore: CRIU runs an "action script" at several
 * moments, and waits for its end. That script is joblet-run again, by a symlink of the name
 * criu-action in the state directory (which may be mounted noexec, where no file of ours could be
 * run). It tells the pid of the first process, once that has its namespaces, over the socket
 * criu-socket beside it, and ends well when it is told that the restore may go on.
 *
 * Source: criu(8), --action-script; criu.org/Action_scripts (setup-namespaces, CRTOOLS_INIT_PID).
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

struct rt_criu;

/* What is to be done then. 0; or -errno with e filled, which ends the restore. */
typedef int rt_criu_then(void *data, pid_t pid, struct jl_err *e);

struct rt_criu_action {
    rt_criu_then *then; /* NULL: nothing */
    void *data;
    int sock;          /* listens; own */
    int dirfd;         /* the state directory; borrowed */
    struct jl_err err; /* what `then` said */
};

/* Adds it to the command line. dirfd stays the caller's, as does data. 0, or -errno with e. */
int rt_criu_action_add(struct rt_criu *c, int dirfd, rt_criu_then *then, void *data,
                       struct jl_err *e);

/* Answers the script until CRIU has ended, and returns its exit status as jl_wait_status does. */
int rt_criu_action_serve(struct rt_criu_action *a, pid_t pid, int pidfd);

void rt_criu_action_clear(struct rt_criu_action *a);

/* Whether we are the script, by what we were called; and what that does: the exit status. */
bool rt_criu_action_is_us(const char *argv0);
int rt_criu_action_main(const char *argv0);
