/*
 * cgroup.h - one control group on whatever the host has: v2, v1, or hybrid (v1 controllers plus a
 * unified tree). The same relative path is used in every hierarchy. In hybrid the unified tree
 * gives kill, freeze, events and pressure; the v1 hierarchies give the limits.
 *
 * Used by joblet-run (make, limit, join, remove), joblet-shim (OOM, kill, wait, statistics) and
 * joblet (host check, preparing the parent). Knows no OCI: callers fill struct os_cgroup_limits.
 *
 * Sources: Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/{memory,cpusets,pids,
 * freezer-subsystem,blkio-controller,devices}.rst of the kernel.
 *
 * Privilege: write access to the hierarchies (root, or a delegated subtree). Nothing blocks but
 * os_cgroup_wait_empty and os_cgroup_remove.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "os/cgroup_limits.h"

struct jl_err;

enum os_cgroup_mode { OS_CGROUP_NONE, OS_CGROUP_V2, OS_CGROUP_V1, OS_CGROUP_HYBRID };

enum os_controller {
    OS_CG_CPU,
    OS_CG_CPUACCT,
    OS_CG_CPUSET,
    OS_CG_MEMORY,
    OS_CG_PIDS,
    OS_CG_IO, /* blkio in v1 */
    OS_CG_DEVICES,
    OS_CG_FREEZER,
    OS_CG_HUGETLB,
    OS_CG_NAMED, /* name=systemd: no limits, joined only */
    OS_CG_RDMA,  /* this one and what follows: on v1 joined only if a limit needs it */
    OS_CG_MISC,
    OS_CG_DMEM,
    OS_CG_NET_CLS,  /* v1 alone */
    OS_CG_NET_PRIO, /* v1 alone */
    OS_CG_N,
};

#define OS_CG_BIT(c) (1u << (c))

/* What the host has, read once from /proc/self/mountinfo and cgroup.controllers. */
struct os_cgroup_host {
    enum os_cgroup_mode mode;
    char unified[256];       /* mount point of the cgroup2 tree; "" if none */
    char v1[OS_CG_N][256];   /* mount point of each v1 hierarchy; "" if it isn't one here */
    unsigned v2_controllers; /* bit OS_CG_x: in cgroup.controllers of the unified root */
};

int os_cgroup_host_read(struct os_cgroup_host *ret_host, struct jl_err *e);
const char *os_cgroup_mode_name(enum os_cgroup_mode mode); /* "v2", "v1", "hybrid", "none" */
const char *os_controller_name(enum os_controller c);

/* Whether the host can enforce this controller's limits in any hierarchy. */
bool os_cgroup_host_has(const struct os_cgroup_host *host, enum os_controller c);

/* An open group: the directory in each hierarchy. Heap object. */
struct os_cgroup;

/*
 * Makes the group at `path` (relative to each hierarchy's mount, "a/b/c", no "..") in every
 * hierarchy, with its parents; on v2 enables the controllers that `need` (bits, 1 << OS_CG_x) names
 * in the parents' subtree_control, and those of the statistics (cpu, memory, pids, io) where that
 * works. Bits of controllers that are not in the unified tree are ignored here; os_cgroup_apply
 * refuses what the host has not. On v1 cpuset's cpus and mems are taken over from the parents. A
 * group that exists and holds processes (also below it) is refused with -EBUSY, a frozen one with
 * -EBUSY and a hint; an empty one is taken as it is. On failure what was made is removed again.
 */
int os_cgroup_create(const struct os_cgroup_host *host, const char *path, unsigned need,
                     struct os_cgroup **ret, struct jl_err *e);

/*
 * The same for a group that systemd has made for us, in which a process of ours may hold the place:
 * it is there in the tree by which systemd knows its units, the unified one or name=systemd
 * (-ENOENT if in neither), and in v1 hierarchies that systemd sets limits in. In the others
 * (freezer, cpuset, ...) it is made, and on failure removed again.
 */
int os_cgroup_adopt(const struct os_cgroup_host *host, const char *path, unsigned need,
                    struct os_cgroup **ret, struct jl_err *e);

/*
 * Where an ordinary user may make groups: his own group in the unified tree (v2 hosts only) if he
 * may write there, or the one above if that is empty and delegated as well. ret: its path, "" for
 * the root. False when there is none.
 */
bool os_cgroup_delegated(const struct os_cgroup_host *host, char *ret, size_t size);

/* Makes a user the owner of the group in the unified tree and of those of its files that
 * /sys/kernel/cgroup/delegate names, so that he can manage groups below it. 0, or -errno. */
int os_cgroup_give(const struct os_cgroup *cg, uid_t uid, struct jl_err *e);

/* Opens an existing group; hierarchies without it are passed over; -ENOENT when none has it. */
int os_cgroup_open(const struct os_cgroup_host *host, const char *path, struct os_cgroup **ret,
                   struct jl_err *e);
/*
 * Makes cg stand for `sub` in the hierarchies of these controllers (bits; 0: in all that cg is in),
 * for whoever joins it. sub is to be freed then; a hierarchy without it is -ENOENT with e filled.
 */
int os_cgroup_take(struct os_cgroup *cg, struct os_cgroup *sub, unsigned controllers,
                   struct jl_err *e);
void os_cgroup_free(struct os_cgroup *cg); /* closes; removes nothing; NULL is fine */

/* Which controllers these limits need (bits of enum os_controller). */
unsigned os_cgroup_limits_need(const struct os_cgroup_limits *limits);

/*
 * Writes the limits and reads each back; a value the kernel rounded (to pages, say) is accepted,
 * one it did not take is an error that names controller, file, value asked for and value found.
 * A limit whose controller this host has not is refused with the reason and the fix.
 */
int os_cgroup_apply(struct os_cgroup *cg, const struct os_cgroup_limits *limits, struct jl_err *e);

/* Whether the group is there in the hierarchy of this controller. */
bool os_cgroup_is_in(const struct os_cgroup *cg, enum os_controller c);

/*
 * New limits for a group that is in use. When one is refused those before it are put back, and the
 * error says whether that worked ("nothing was changed: ..."). Device rules are not put back.
 * check_usage: refuse (-EBUSY) a memory limit below what is used now, which would kill. 0, or
 * -errno with e filled.
 */
int os_cgroup_update(struct os_cgroup *cg, const struct os_cgroup_limits *limits, bool check_usage,
                     struct jl_err *e);

/* The memory limit in force in this very group, bytes; -1 none. 0, or -errno with e filled. */
int os_cgroup_memory_limit(const struct os_cgroup *cg, int64_t *ret, struct jl_err *e);

/* Device rules as v1 can hold them. 0, or -errno with e filled: -EINVAL, -E2BIG for what are no rules,
 * -ENOTSUP when they have no such form. */
int os_cgroup_devices_to_list(const struct os_cgroup_device_rule *rules, size_t n,
                              struct os_cgroup_device_list *ret, struct jl_err *e);

/* The limit of cpu time in force: microseconds (-1: none) in a period of so many. */
int os_cgroup_bandwidth(const struct os_cgroup *cg, int64_t *ret_quota, uint64_t *ret_period,
                        struct jl_err *e);

/* The conversions of OCI's numbers: cpu.shares to cpu.weight, blkio.weight to io.weight. */
uint64_t os_cgroup_cpu_weight(uint64_t shares);
uint64_t os_cgroup_io_weight(uint16_t weight);

/* The unified directory, for clone3(CLONE_INTO_CGROUP); borrowed; -1 where there is none. */
int os_cgroup_unified_fd(const struct os_cgroup *cg);

/*
 * Opens, in the parent, the `tasks` file of every v1 hierarchy (and cgroup.procs of the unified
 * tree with `with_unified`), so that a single-threaded child can join by writing "0" itself: that
 * skips the thread-group lock and its RCU grace period (kernel/cgroup/cgroup.c,
 * cgroup_procs_write_start), which writing another's pid pays, and a write to cgroup.procs always.
 * So be born into the unified tree (clone3) where you can. ret_fds holds OS_CG_N + 1; the caller
 * closes them. The permission that counts is the opener's, so the child may have left its user
 * namespace. os_cgroup_join_self works after clone, before the cgroup namespace is unshared; it
 * uses no heap.
 */
int os_cgroup_open_join_fds(const struct os_cgroup *cg, bool with_unified, int *ret_fds,
                            size_t *ret_n, struct jl_err *e);
int os_cgroup_join_self(const int *fds, size_t n, struct jl_err *e);

/* Moves another process in (exec into a running container by pid). */
int os_cgroup_attach(const struct os_cgroup *cg, pid_t pid, struct jl_err *e);

/* Freezes or thaws; waits until it has happened, up to 2 s. -ENOTSUP where the host cannot. */
int os_cgroup_freeze(struct os_cgroup *cg, bool frozen, struct jl_err *e);
/* 1 frozen, 0 not, <0 -errno. */
int os_cgroup_is_frozen(const struct os_cgroup *cg);

/* SIGKILLs every process inside, also below, frozen or not. Does not wait for their end. */
int os_cgroup_kill_all(struct os_cgroup *cg, struct jl_err *e);
/* Sends sig to all inside (best effort against forks). _but: but one, *n were reached. 0, -errno. */
int os_cgroup_signal_all(struct os_cgroup *cg, int sig, struct jl_err *e);
int os_cgroup_signal_but(struct os_cgroup *cg, int sig, pid_t but, size_t *n, struct jl_err *e);

/* Processes inside, groups below included. ret_pids may be NULL; else own_ array for free(). */
int os_cgroup_pids(const struct os_cgroup *cg, pid_t **ret_pids, size_t *ret_n, struct jl_err *e);

/*
 * Waits until no process is left. deadline_ns absolute CLOCK_MONOTONIC, 0 asks once. Returns 0
 * empty, 1 the deadline passed first (an answer), <0 -errno.
 */
int os_cgroup_wait_empty(const struct os_cgroup *cg, uint64_t deadline_ns, struct jl_err *e);

/* How often the kernel's OOM killer struck inside, also below, whichever group's limit was hit:
 * memory.events oom_kill in v2, memory.oom_control oom_kill in v1. Read it before the group is
 * removed. 0, or -errno. */
int os_cgroup_oom_kills(const struct os_cgroup *cg, uint64_t *ret_n);

/* Sums for a job's result; a number the host cannot give is 0. Times in us. */
struct os_cgroup_stat {
    uint64_t cpu_user_us, cpu_system_us;  /* their sum is exact, its parts come from ticks */
    uint64_t memory_current, memory_peak; /* bytes */
    uint64_t io_read_bytes, io_write_bytes;
    uint64_t pids_current, pids_peak;
    uint64_t psi_cpu_some_us, psi_memory_some_us, psi_io_some_us;
};
int os_cgroup_stat_read(const struct os_cgroup *cg, struct os_cgroup_stat *ret);

/* Removes the group in every hierarchy, groups below it first; nothing there is success. Tries
 * again for up to `wait_ms` while the kernel says EBUSY. A failure names the process that is still
 * inside; the other hierarchies are removed all the same. Parents stay. */
int os_cgroup_remove(const struct os_cgroup_host *host, const char *path, unsigned wait_ms,
                     struct jl_err *e);
