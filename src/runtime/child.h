/*
 * child.h - the process inside: what runs between clone and the program. It is a copy of
 * joblet-run in the container's namespaces; it tells its failures over the socket and never
 * returns.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "runtime/spec.h"

struct jl_err;
struct os_seccomp_prog;
struct rt_launch;

#define RT_EXIT_SETUP 1 /* nobody reads it: the message says more */

/* Leaves the caller's session and its controlling terminal. In a child, never in the caller. 0, or
 * -errno with e filled. */
int rt_session_leave(struct jl_err *e);

/* Tells whoever started us that the program comes next: he takes the end of the stream for success
 * then, and for our death without. It is fine if he has gone. 0, or -errno with e filled. */
int rt_tell_exec(int sync, struct jl_err *e);

/* The container's first process. */
_Noreturn void rt_child_main(struct rt_launch *l, int sync);

/* The one that joins existing namespaces where a user namespace, joined or new, is in play, and
 * makes the first process from there; sends its pidfd over `report`. */
_Noreturn void rt_child_middle(struct rt_launch *l, uint64_t flags, int sync, int report);

/* In a user namespace just joined: becomes its root. false with errno set when it may not. */
bool rt_become_ns_root(void);

/* What becomes of the process from `process`; for the first one and for exec alike. */
struct rt_become {
    const struct rt_process *process;
    const struct os_seccomp_prog *seccomp; /* NULL: none */
    int sync;                              /* for the filter's listener; borrowed */
    unsigned preserve_fds;
    int proc_fd;       /* of rt_lsm_open, for labels */
    int landlock_fd;   /* rules to be under; -1: none */
    bool skip_rlimits; /* the parent sets them */
    char *program;     /* out: resolved by rt_become_user; own */
    char **envp;       /* out; own */
};

/*
 * Limits, working directory, bounding set, user, capabilities, and the program looked up with
 * the rights that it will have. Afterwards only what rt_become_program needs is held.
 */
int rt_become_user(struct rt_become *b, struct jl_err *e);

/* The filter, the last capabilities, and execve; returns only on failure. */
int rt_become_program(struct rt_become *b, struct jl_err *e);

/* Whose a new user namespace is: os_clone3_owned's owner. */
uid_t rt_userns_owner(const struct rt_spec *s);

/*
 * Whether the parent has to set limits and priorities, because the child, in a user namespace, may
 * not. rt_set_by_parent does it once the child has said RT_MSG_READY.
 */
bool rt_is_set_by_parent(const struct rt_process *p, bool in_userns);
int rt_set_by_parent(pid_t pid, const struct rt_process *p, struct jl_err *e);

/* step_sched.c, for the first process and for exec alike: the scheduler and the priority of I/O
 * (pid 0: the caller's own); the memory policy and the personality of the container. */
int rt_sched_set(pid_t pid, const struct rt_process *p, struct jl_err *e);
int rt_domain_enter(const struct rt_spec *s, struct jl_err *e);

/*
 * step_lsm.c, alike for both. rt_lsm_open gives a procfs for the labels (`own`: one of our pid
 * namespace) and refuses what this kernel has not; the next two go through it. No label: no call.
 */
bool rt_lsm_needed(const struct rt_spec *s, const struct oci_process *p);
int rt_lsm_open(const struct rt_spec *s, const struct oci_process *p, bool own, int *ret_proc,
                struct jl_err *e);
int rt_lsm_on_exec(int proc, const struct oci_process *p, struct jl_err *e);
int rt_lsm_on_keys(int proc, const struct oci_process *p, bool begin, struct jl_err *e);

/* Writes oom_score_adj of a process that cannot have been replaced (our child). */
int rt_oom_score_write(pid_t pid, int score, struct jl_err *e);

/* Connects to a unix stream socket of any path length. */
int rt_unix_connect(const char *path, int *ret_fd, struct jl_err *e);

/* Sends a pidfd over a connected socket, with a word that tells what it is ("standard" for a
 * container's first process, "setns" for exec's, as runc has it). */
int rt_pidfd_send(int sock, int pidfd, const char *what, struct jl_err *e);
