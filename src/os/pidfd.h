/*
 * pidfd.h - processes that cannot be mistaken for others: a pid alone may have been given to
 * somebody else meanwhile, so it is kept with the time its process started.
 * Sources: pidfd_open(2), pidfd_send_signal(2), proc(5) (stat, field 22). Nothing blocks.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* Start time of the process, in clock ticks since boot. 0 or -errno (-ESRCH: gone). */
int os_pid_start_ticks(pid_t pid, uint64_t *ret_ticks);

/* Start time and state letter ('R', 'S', 'Z', ...) in one read. 0 or -errno. */
int os_pid_stat(pid_t pid, uint64_t *ret_ticks, char *ret_state);

/* A pidfd of the process that has this pid and started then; -ESRCH when that one is gone. */
int os_pidfd_open_checked(pid_t pid, uint64_t start_ticks);

/* 0 or -errno (-ESRCH: gone and reaped). */
int os_pidfd_signal(int pidfd, int sig);

/* Waits until the process has ended, for at most timeout_ms (-1: for ever). 1 ended, 0 not. */
int os_pidfd_wait_end(int pidfd, int timeout_ms);

/* The pid behind a pidfd in our pid namespace; -ESRCH when it is gone, -errno. */
pid_t os_pidfd_pid(int pidfd);

/*
 * How a process ended, as wait(2) has it. The first asks the zombie: -ESRCH when it runs or was
 * waited for, -EPERM when we may not know. The second asks the kernel by a pidfd, once it was
 * waited for: -ENODATA before that, -ENOTTY or -ENODATA before Linux 6.15. 0 or -errno.
 */
int os_pid_exit_status(pid_t pid, uint64_t start_ticks, int *ret_status);
int os_pidfd_exit_status(int pidfd, int *ret_status);
