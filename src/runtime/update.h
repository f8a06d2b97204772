/*
 * update.h - new limits for a container that is there, from a LinuxResources document (runtime-spec
 * config-linux.md) and from options: parsed and checked whole before anything is touched.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/strv.h"
#include "ocispec.h"
#include "os/cgroup.h"

struct jl_err;

struct rt_update {
    struct oci_resources *res;      /* own; what limits borrows from */
    struct os_cgroup_limits limits; /* filled by rt_update_check */
    bool check_usage;               /* memory.checkBeforeUpdate */
    struct jl_strv warnings;
};

/* Reads a document; it may be called once. 0, or -errno with e filled. */
int rt_update_parse(struct rt_update *u, const char *text, size_t len, struct jl_err *e);

/*
 * The options of `update` that are one number or one list each, by index; NULL past the last. The
 * text of each is checked by rt_update_set; "-1" is no limit, sizes may have a unit.
 */
const char *rt_update_option(size_t i, const char **ret_arg, const char **ret_help);
int rt_update_set(struct rt_update *u, size_t i, const char *text, struct jl_err *e);

/* Whether swap is asked for without the memory limit that it includes: rt_update_set_memory gives
 * the one in force, bytes, -1 none. */
bool rt_update_lacks_memory(const struct rt_update *u);
void rt_update_set_memory(struct rt_update *u, int64_t limit);

/* Checks all of it and fills limits. Device rules are in it only when some were given. 0, or
 * -errno with e filled. */
int rt_update_check(struct rt_update *u, struct jl_err *e);
void rt_update_clear(struct rt_update *u);
