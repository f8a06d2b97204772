/*
 * exits.h - how a process ended that is not our child, on kernels whose pidfds do not tell (before
 * Linux 6.15): the kernel's process connector broadcasts each exit with its status, after which
 * whoever adopted the process may take its zombie away unseen. A filter in the socket keeps the
 * rest of the machine's exits from waking us.
 *
 * Needs CAP_NET_ADMIN in the first user, network and pid namespace, and a kernel with
 * CONFIG_PROC_EVENTS. Sources: Documentation/driver-api/connector.rst; include/uapi/linux/cn_proc.h.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* A close-on-exec, non-blocking socket that is readable once the process, which lives still, has
 * ended. -errno: it can't be known that way. */
int os_exits_open(pid_t pid);

/* The status as wait(2) has it. 0; -EAGAIN when there is none yet; -errno. Does not block. */
int os_exits_read(int sock, int *ret_status);

/* Tells the kernel that nobody listens any more, and closes. */
void os_exits_close(int sock);

/* Whether pidfds tell it (PIDFD_INFO_EXIT, Linux 6.15), so that none of this is needed. */
bool os_pidfd_tells_exit(void);
