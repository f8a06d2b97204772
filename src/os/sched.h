/*
 * sched.h - how the kernel schedules a process: policy, priority of its I/O, processors, memory
 * nodes. Names are those of OCI documents, which are the kernel's own.
 *
 * Nothing blocks. pid 0 is the caller. Setters return 0, or -errno with e filled; raising a
 * priority needs CAP_SYS_NICE in the first user namespace (sched(7), ioprio_set(2)).
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct jl_err;
struct jl_numset;

/* sched_setattr(2). Times are nanoseconds. */
struct os_sched {
    uint32_t policy; /* SCHED_* */
    int32_t nice;
    uint32_t priority;
    uint64_t flags; /* SCHED_FLAG_* */
    uint64_t runtime, deadline, period;
};

#define OS_SCHED_FIFO 1
#define OS_SCHED_RR 2
#define OS_SCHED_DEADLINE 6
#define OS_SCHED_RESET_ON_FORK 0x01 /* linux/sched.h */
#define OS_SCHED_UTIL_CLAMP 0x60    /* SCHED_FLAG_UTIL_CLAMP_MIN and _MAX */

int os_sched_policy(const char *name);              /* "SCHED_FIFO"; -EINVAL */
int os_sched_flag(const char *name, uint64_t *ret); /* "SCHED_FLAG_RECLAIM"; 0 or -EINVAL */
int os_sched_set(pid_t pid, const struct os_sched *s, struct jl_err *e);

/* ioprio_set(2) of this one process. class: as os_ioprio_class gives it; level 0 to 7. */
int os_ioprio_class(const char *name); /* "IOPRIO_CLASS_BE"; -EINVAL */
int os_ioprio_set(pid_t pid, unsigned class, unsigned level, struct jl_err *e);

/* The caller may run on these processors from now on: all of them, or it fails. */
int os_affinity_set(const struct jl_numset *cpus, struct jl_err *e);

/* On every processor that its cpuset allows, whatever was inherited. Nobody asked for it by name,
 * so where a filter around us forbids it things stay as they are. */
void os_affinity_reset(void);

/* set_mempolicy(2). mode: as os_mempolicy_mode gives it, flags MPOL_F_*. nodes: NULL for none. */
int os_mempolicy_mode(const char *name);                /* "MPOL_BIND"; -EINVAL */
int os_mempolicy_flag(const char *name, unsigned *ret); /* "MPOL_F_STATIC_NODES"; 0, -EINVAL */
const char *os_mempolicy_mode_name(unsigned i);         /* the i-th known; NULL past the last */
const char *os_mempolicy_flag_name(unsigned i);
int os_mempolicy_set(int mode, unsigned flags, const struct jl_numset *nodes, struct jl_err *e);

#define OS_NODES_MAX 1024 /* the most that a kernel can be built for (CONFIG_NODES_SHIFT) */
#define OS_MPOL_DEFAULT 0 /* linux/mempolicy.h */
#define OS_MPOL_PREFERRED 1
#define OS_MPOL_LOCAL 4
#define OS_MPOL_F_STATIC_NODES 0x8000u
#define OS_MPOL_F_RELATIVE_NODES 0x4000u
