/*
 * spawn.h - start a program with an exact descriptor map and nothing else.
 *
 * The child gets: the descriptors of the map (and no others), default signal dispositions, an
 * empty signal mask, the given environment. It is started with CLONE_PIDFD|CLONE_VFORK, so a
 * failed exec is reported here, with its errno, and memory is not copied.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct jl_err;

struct jl_spawn_fd {
    int fd;     /* ours; borrowed */
    int target; /* its number in the child */
};

struct jl_spawn {
    const char *path; /* program; used when exec_fd < 0 */
    int exec_fd;      /* program as descriptor, or -1 */
    char *const *argv;
    char *const *envp;
    /* at most JL_SPAWN_FDS_MAX; 0, 1, 2 not named become /dev/null */
    const struct jl_spawn_fd *fds;
    size_t n_fds;
    bool new_session; /* setsid in the child */
    int cwd_fd;       /* directory to start in, or -1 */
    uid_t uid;        /* with drop: become this user, no groups */
    gid_t gid;
    bool drop;
    int parent_death_signal; /* 0: none */
};

/* clang-format off */
#define JL_SPAWN_INIT { .exec_fd = -1, .cwd_fd = -1 }
/* clang-format on */
#define JL_SPAWN_FDS_MAX 32

/*
 * Starts it. ret_pid and ret_pidfd (may be NULL) are written on success; the caller closes the
 * pidfd and waits for the process. 0, or -errno with e filled: -ENOENT when the program is not
 * there. Blocks until the exec has happened or failed. drop needs CAP_SETUID and CAP_SETGID.
 */
int jl_spawn(const struct jl_spawn *s, pid_t *ret_pid, int *ret_pidfd, struct jl_err *e);

/* Every signal does what it does by default, and none is blocked: for a child before it is something
 * else. */
void jl_signals_reset(void);

/* Waits for the process and gives its exit status as a shell does: code, or 128 + signal.
 * -errno on failure. Blocks. */
int jl_wait_status(pid_t pid);
