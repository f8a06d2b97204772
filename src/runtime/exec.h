/*
 * exec.h - a further process in a running container: joins the namespaces of its first process
 * (all at once, by pidfd) and its control groups, and becomes the program as that one did.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "runtime/child.h"
#include "runtime/launch.h"
#include "runtime/spec.h"

struct jl_err;

struct rt_exec {
    struct rt_launch l;        /* state, spec (the stored one), control group, socket, terminal */
    struct rt_process process; /* checked */
    int init_fd;               /* pidfd of the container's first process; borrowed */
    uint64_t ns;               /* CLONE_NEW* to join */
    int root_fd;               /* the root where it has no mount namespace; -1: it has one */
    bool terminal;             /* process.terminal */
    const char *cpus_initial;  /* execCPUAffinity, or NULL; borrowed. Checked lists */
    const char *cpus_final;
};

/* Opens the container's control groups to be joined; `below`: groups under them instead, each
 * "[CONTROLLERS:]PATH". 0, or -errno with e filled. */
int rt_exec_cgroup(struct rt_exec *x, const struct jl_strv *below, struct jl_err *e);

/*
 * Starts it. When 0 is returned the program was executed; x->l.pid and x->l.pidfd are it, a child
 * of ours, x->l.tty_master its terminal when it is ours. On failure nothing of it is left. Blocks.
 */
int rt_exec_start(struct rt_exec *x, struct jl_err *e);
