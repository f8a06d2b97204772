/*
 * rdt.h - linux.intelRdt: the container's class of service, and its monitoring group.
 * Source: runtime-spec config-linux.md, "IntelRdt". All need root; 0, or -errno with e filled.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct jl_err;
struct rt_spec;
struct rt_state;

/* Decides about the group, for the record: s->rdt and what belongs to it. */
int rt_rdt_choose(const struct rt_spec *spec, struct rt_state *s, struct jl_err *e);

/* Moves a process of the container into its group; nothing if it has none. */
int rt_rdt_join(const struct rt_state *s, pid_t pid, struct jl_err *e);

/* Other lines for the group of a container; either may be NULL. */
int rt_rdt_update(const struct rt_state *s, const char *l3, const char *mem_bw, struct jl_err *e);

/* Removes what was made for this container alone. */
int rt_rdt_remove(const struct rt_state *s, struct jl_err *e);
