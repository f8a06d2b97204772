/*
 * hooks.h - the programs that a configuration wants run at certain moments, each with the
 * container's state as JSON on standard input. Source: runtime-spec config.md (POSIX-platform
 * Hooks), runtime.md (lifecycle).
 */
#pragma once

#include <stddef.h>

#include "ocispec.h"
#include "runtime/state.h"

struct jl_err;

/*
 * Runs them in order and waits for each. The first that fails (exit status not 0, killed, or
 * longer than its timeout: killed) ends it: -errno with e filled, which names the hook and holds
 * the end of what it wrote to standard error. Blocks.
 */
int rt_hooks_run(struct oci_hook *const *hooks, size_t n, const char *name,
                 const struct rt_state *s, enum rt_status status, struct jl_err *e);

/* The same, but a signal that comes in on this signalfd (-1: none) ends it, too: the hook is killed,
 * *ret_signal is set, and -EINTR returned. */
int rt_hooks_run_until(struct oci_hook *const *hooks, size_t n, const char *name,
                       const struct rt_state *s, enum rt_status status, int signals, int *ret_signal,
                       struct jl_err *e);

/*
 * poststop: all of them run whatever becomes of the others, and a failure stops nothing. *e gets the first failure, for a warning; it is left alone when there is none.
 */
void rt_hooks_run_all(struct oci_hook *const *hooks, size_t n, const char *name,
                      const struct rt_state *s, enum rt_status status, struct jl_err *e);
