/*
 * ending.h - how a container's first process ended, for whoever was not its parent. It can be known
 *   from the record, where a foreground `run --keep` and the watcher of --keep-exit write it;
 *   from the zombie, as long as its parent has not waited for it (needs the right to ptrace it);
 *   from the kernel after that, by a pidfd that was opened before (Linux 6.15);
 *   from the kernel's process connector, when somebody listened before (os/exits.h; root);
 * and in no other way: what was reaped unseen is not known. Statuses are those of wait(2).
 * Sources: proc(5) (stat, field 52), ioctl_pidfd PIDFD_GET_INFO (include/uapi/linux/pidfd.h).
 */
#pragma once

#include "runtime/state.h"

struct jl_err;

/* pidfd: of the first process, which has ended; -1: none was held. Fills s->exited and what goes
 * with it when it can be known. 0, or -ENODATA. Does not block. */
int rt_ending_learn(struct rt_state *s, int pidfd);

/* Appends a status to the record, durably. 0, or -errno with e filled (-ENOENT: the container is
 * deleted). */
int rt_ending_record(const struct rt_state *s, int status, struct jl_err *e);

/*
 * Starts a small process that outlives us, waits for the end of the process behind pidfd, a child
 * of ours, and records it. It holds nothing else: no descriptor, terminal or session of ours. 0, or -errno with
 * e filled.
 */
int rt_ending_watch(const struct rt_state *s, int pidfd, struct jl_err *e);
