/*
 * terminal.h - making a container's terminal (inside) and serving it (outside, in the foreground).
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct jl_err;
struct rt_notify;

struct rt_terminal {
    uint16_t rows, cols; /* 0: as the kernel has it */
    uid_t uid;           /* who will own it */
    int console_fd;      /* where the master goes; -1: over sync */
    int sync;
};

/* Opens a pair in this devpts, sends the master away, returns the slave. 0, or -errno with e. */
int rt_terminal_hand_over(int devpts_fd, const struct rt_terminal *t, int *ret_slave,
                          struct jl_err *e);

/* Sends a master to a console socket. 0, or -errno with e filled. */
int rt_terminal_send(int console_fd, int master, struct jl_err *e);

/* /dev/pts of the root we are in. fd, or -errno with e filled. */
int rt_terminal_devpts(struct jl_err *e);

/*
 * In the foreground: waits for the process (a child of ours), passing signals on to it. With
 * tty_master >= 0 our own terminal becomes raw, what is typed goes there and what comes from there
 * is written to standard output, until the process has ended and all was read. Reaps other
 * children meanwhile, and relays what the container notifies (NULL: nobody wants to know). Returns
 * the exit status as a shell has it, or -errno with e filled; *ret_how gets it as wait(2) has it
 * (NULL: not wanted).
 */
int rt_foreground(pid_t pid, int pidfd, int tty_master, struct rt_notify *notify, int *ret_how,
                  struct jl_err *e);
