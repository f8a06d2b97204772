/*
 * plan.h - a checked configuration turned into the ordered list of what parent and child will do.
 * Pure data: nothing here makes a system call, so plans can be printed and tested anywhere.
 *
 * Each side carries its steps out in the order of the list. Where one side has to wait for the
 * other is a step as well; the pairs are mapped (parent) -> map-wait (child; id maps and network devices) and
 * hooks-ask (child) -> hooks-runtime (parent) -> hooks-ask returns.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "runtime/spec.h"

struct jl_buf;
struct jl_err;
struct rt_unit;

enum rt_side { RT_BEFORE, RT_PARENT, RT_CHILD }; /* parent before clone, after it; the child */

enum rt_op {
    /* the parent, before there is a child */
    RT_OP_RECORD,
    RT_OP_NOTIFY_DIR,
    RT_OP_CGROUP_MAKE,
    RT_OP_UNIT_START, /* instead, with the systemd driver */
    RT_OP_CGROUP_LIMITS,
    RT_OP_RDT_MAKE,
    RT_OP_SECCOMP_BUILD,
    RT_OP_NS_OPEN,
    RT_OP_ROOTFS_OPEN,
    RT_OP_BIND_OPEN,
    RT_OP_CONSOLE_CONNECT,
    RT_OP_START_LISTEN,
    RT_OP_CLONE,
    /* the parent, beside the child */
    RT_OP_IDMAP_WRITE,
    RT_OP_BIND_IDMAP,
    RT_OP_NET_DEVICES,
    RT_OP_OOM_SCORE,
    RT_OP_PID_RECORD,
    RT_OP_RDT_JOIN,
    RT_OP_MAPPED,
    RT_OP_HOOKS_RUNTIME,
    RT_OP_UNIT_ATTACH,
    RT_OP_CGROUP_OWNER,
    RT_OP_UNIT_RELEASE,
    RT_OP_PIDS_LIMIT,
    RT_OP_GO,
    /* the child */
    RT_OP_CGROUP_JOIN,
    RT_OP_AFFINITY,
    RT_OP_NS_JOIN,
    RT_OP_MAP_WAIT,
    RT_OP_NS_UNSHARE,
    RT_OP_LSM_OPEN,
    RT_OP_KEYRING,
    RT_OP_LOOPBACK,
    RT_OP_HOSTNAME,
    RT_OP_SYSCTL,
    RT_OP_ROOTFS_OPEN_INSIDE, /* as RT_OP_ROOTFS_OPEN and RT_OP_BIND_OPEN, when only the */
    RT_OP_BIND_OPEN_INSIDE,   /* child is privileged enough */
    RT_OP_ROOTFS_ATTACH,
    RT_OP_MOUNT,
    RT_OP_NOTIFY_MOUNT,
    RT_OP_DEVICES,
    RT_OP_DEVICE,
    RT_OP_DEV_LINKS,
    RT_OP_HOOKS_ASK,
    RT_OP_HOOKS_CONTAINER,
    RT_OP_MASK,
    RT_OP_READONLY,
    RT_OP_CWD,
    RT_OP_ROOTFS_SEAL,
    RT_OP_PIVOT,
    RT_OP_TERMINAL,
    RT_OP_DOMAIN,
    RT_OP_SCHED,
    RT_OP_LANDLOCK,
    RT_OP_PROCESS,
    RT_OP_START_WAIT,
    RT_OP_EXEC,
    RT_OP_N,
};

struct rt_step {
    enum rt_op op;
    size_t i; /* which mount, device, namespace, path; 0 otherwise */
};

struct rt_plan {
    struct rt_step *steps;
    size_t n, size;
};

struct rt_plan_opts {
    bool wait_for_start; /* create: the process waits until `start` */
    bool has_console_socket;
    bool no_new_keyring;
    bool no_pivot;
    bool notify;                /* the caller waits for the container's readiness */
    bool open_inside;           /* an ordinary user's parent may clone no mount: its child does */
    const char *cgroup;         /* path in the hierarchies; NULL: none, or not known yet */
    const struct rt_unit *unit; /* systemd's; NULL: the group is made in the file system */
};

/* Builds the plan. p is the caller's (rt_plan_clear). 0, or -ENOMEM with e filled. */
int rt_plan_build(const struct rt_spec *s, const struct rt_plan_opts *opts, struct rt_plan *p,
                  struct jl_err *e);
void rt_plan_clear(struct rt_plan *p);

/* Whether the limit of processes has to wait until the container's process is in its group: 0
 * forbids it to come, and 1 as long as another holds the place in a unit. */
bool rt_pids_come_late(const struct rt_spec *s, const struct rt_plan_opts *o);

enum rt_side rt_op_side(enum rt_op op);
const char *rt_op_name(enum rt_op op); /* "cgroup-make" */

/* One line a step: side, name, details. 0, or -errno of the buffer. */
int rt_plan_print(const struct rt_plan *p, const struct rt_spec *s, const struct rt_plan_opts *opts,
                  struct jl_buf *out);
