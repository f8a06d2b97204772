/*
 * launch.h - one container being made: what the steps share. The parent fills it before clone;
 * the child works on its copy. Also the making and unmaking as a whole, for the commands.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "os/cgroup.h"
#include "os/ns.h"
#include "os/seccomp.h"
#include "runtime/notify.h"
#include "runtime/plan.h"
#include "runtime/spec.h"
#include "runtime/state.h"
#include "runtime/unit.h"

struct jl_err;
struct rt_netdev; /* step_netdev.c */

struct rt_launch {
    const struct rt_spec *spec;
    struct rt_plan plan;
    struct rt_plan_opts opts;
    struct rt_state *state;
    int state_root_fd;
    const char *console_socket; /* path, or NULL */
    unsigned preserve_fds;      /* descriptors 3 to 3 + N - 1 go to the process */
    bool listen_pid;            /* the process's LISTEN_PID is not known before it is there */
    bool foreground;            /* run without --detach: the terminal comes to us */
    uint64_t mark_ns;           /* end of the phase before; CLOCK_MONOTONIC */
    bool trace;                 /* --debug: how long each step took, to standard error */

    /* filled by the parent's steps */
    struct os_cgroup_host host;
    struct os_cgroup *cg;
    struct rt_unit unit;     /* with opts.unit */
    struct rt_helper helper; /* holds the place in the unit */
    bool outside;            /* the child could not be born into its group */
    int join_fds[OS_CG_N + 1];
    size_t n_join;
    int ns_fds[OS_NS_N];
    int rootfs_fd;   /* detached clone of the rootfs tree; its root once attached */
    int place_fd;    /* the child's: where the rootfs goes; -1: not open */
    int *bind_fds;   /* one a mount; -1 where there is nothing to bind */
    int map_ns;      /* the user namespace that the last mount's ids were mapped with; -1: none */
    const struct rt_mount *map_ns_of; /* whose maps it has; NULL: it is the container's own */
    uint64_t nofile; /* soft limit of open files to go back to; 0: it was not changed */
    int console_fd;  /* connected to console_socket */
    int start_fd;    /* listens in the state directory */
    int sync;        /* this side's end */
    struct os_seccomp_prog seccomp;
    pid_t pid;
    int pidfd;
    int tty_master;            /* foreground terminal */
    struct rt_netdev *netdevs; /* that are in the container's namespace by now; own */
    size_t n_netdevs;
    int net_fd;     /* that namespace, while devices may have to come back */
    bool joins;     /* exec: a further process of a container that runs */
    int notify_dir; /* detached, for the container; -1: nobody waits for it */
    struct rt_notify notify;
    bool executed;  /* RT_MSG_EXEC has come */
    int interrupts; /* signalfd of what ends the making; -1: nothing does */
    int ended_by;   /* the signal that ended the making, or the child while it was made; or 0 */

    /* used by the child alone */
    int null_fd;     /* the host's /dev/null */
    int mask_fd;     /* the empty read-only directory that masks directories */
    int proc_fd;     /* a procfs, when a label is asked for */
    int landlock_fd; /* Landlock rules; -1: none */
    int devpts_fd;   /* the devpts we mounted on /dev/pts */
    char *program;   /* what will be executed */
    char **env;
};

void rt_launch_init(struct rt_launch *l);

/*
 * Carries out the plan's steps before the clone, clones, and carries out the parent's. When it
 * returns 0 the process waits for `start` (opts.wait_for_start) or has executed its program. On
 * failure nothing is left behind. Blocks.
 */
int rt_launch_start(struct rt_launch *l, struct jl_err *e);

/* The time since the last mark went into this phase (state->phase_us). */
void rt_launch_mark(struct rt_launch *l, enum rt_phase phase);

/* Closes and frees what l holds; leaves the container alone. */
void rt_launch_done(struct rt_launch *l);

/*
 * Waits for a message of this type from the child, handling what may come before it (the
 * terminal, failures). 0 when it came, 1 when the stream ended after RT_MSG_EXEC, or -errno with
 * e filled: the child's own error, or that it died.
 */
int rt_launch_expect(struct rt_launch *l, unsigned type, struct jl_err *e);

/*
 * Takes the first process over from the one in between, which reports its pidfd on `report` and is
 * waited for here. 0, or -errno with e filled.
 */
int rt_launch_take_child(struct rt_launch *l, int report, pid_t middle, struct jl_err *e);

/* Closes everything from 3 + preserve up but the descriptors in keep (n of them, reordered). */
void rt_close_all_but(unsigned preserve, int *keep, size_t n);

/*
 * Kills what is left of the container, removes its groups, runs poststop hooks, and removes its
 * state last. Returns 0, or -errno with e filled; the record stays then, so that it can be called
 * again. host: NULL when it is not known yet. Blocks up to some seconds. A poststop hook that
 * failed is told in *e although 0 is returned.
 */
int rt_destroy(int state_root_fd, struct rt_state *s, const struct os_cgroup_host *host,
               struct jl_err *e);

enum rt_group_kind { RT_GROUP_FILES, RT_GROUP_UNIT, RT_GROUP_NONE };

/* Decides about the container's control group: fills l->host, and what plan and record need of it.
 * Where none can be had it goes without, if nothing was asked of it. 0, or -errno with e filled. */
int rt_group_choose(struct rt_launch *l, struct rt_state *st, enum rt_group_kind kind,
                    struct jl_err *e);

/* The path in the hierarchies for this configuration; NULL when it asks for none that can be had.
 * The caller frees *ret. 0, or -errno with e filled. */
int rt_cgroup_path(const struct rt_spec *spec, const char *id, char **ret, struct jl_err *e);
