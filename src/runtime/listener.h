/*
 * listener.h - the descriptor of seccomp notifications to whoever answers them: runtime-spec
 * config-linux.md, "The Container Process State". Done by the runtime outside, by the host's path
 * and with the caller's rights; nothing of the container takes part, and the child's own copy is
 * gone with its execve.
 */
#pragma once

#include <sys/types.h>

#include "runtime/state.h"

struct jl_err;

/*
 * Takes the listener that came with RT_MSG_LISTENER, connects to c->listener_path, sends the one
 * state with the descriptor, and closes. own_fd is closed in any case. pid: the process that is
 * filtered; status: of the container. 0, or -errno with e filled. Blocks while the socket is full.
 */
int rt_listener_send(const struct rt_state *s, enum rt_status status, const struct oci_seccomp *c,
                     pid_t pid, int own_fd, struct jl_err *e);

/* The same with the profile of the recorded configuration, for `start`. */
int rt_listener_send_recorded(const struct rt_state *s, int own_fd, struct jl_err *e);
