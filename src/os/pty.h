/*
 * pty.h - pseudoterminals by descriptor. The slave comes from the master (TIOCGPTPEER), never
 * from a path that the image could have changed. Source: ioctl_tty(2), pty(7).
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>
#include <termios.h>

struct jl_err;

/* Opens `ptmx` below a devpts directory and its slave, which leaves "\n" as it is (no ONLCR: who
 * reads the master gets lines as they were written). ret_master and ret_slave are the caller's.
 * 0, or -errno with e filled. */
int os_pty_open(int devpts_fd, int *ret_master, int *ret_slave, struct jl_err *e);

/* Size in characters. 0 or -errno. */
int os_pty_set_size(int fd, uint16_t rows, uint16_t cols);
int os_pty_copy_size(int from_fd, int to_fd);

/* Makes the slave the controlling terminal of a new session and descriptors 0, 1 and 2. 0, or
 * -errno with e. */
int os_pty_take_over(int slave, struct jl_err *e);

/* Raw mode for a terminal of ours, but for "\n" to "\r\n" if it did that; ret_old gets what tcsetattr
 * restores. 0 or -errno. */
int os_tty_raw(int fd, struct termios *ret_old);
