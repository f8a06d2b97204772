/*
 * landlock.h - the annotation io.joblet.landlock: what the container's processes may do with files,
 * TCP ports and each other, on top of all else. A JSON object (docs/formats/landlock.md); a kind
 * of access that it does not name is not restricted. Source: landlock(7).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strv.h"

struct jl_err;

#define RT_ANNOTATION_LANDLOCK "io.joblet.landlock"
#define RT_LANDLOCK_RULES_MAX 1024 /* paths or ports of one list */

enum rt_landlock_kind { RT_LL_READ, RT_LL_WRITE, RT_LL_EXECUTE, RT_LL_IOCTL, RT_LL_PATHS };

struct rt_landlock_ports {
    bool given;
    uint16_t *items; /* own */
    size_t n;
};

struct rt_landlock {
    bool given[RT_LL_PATHS];
    struct jl_strv paths[RT_LL_PATHS]; /* absolute, inside the container */
    struct rt_landlock_ports bind, connect;
    bool scope_signal, scope_unix;
};

/* *ret is the caller's (rt_landlock_free). 0, or -errno with e filled. Pure. */
int rt_landlock_parse(const char *text, size_t len, struct rt_landlock **ret, struct jl_err *e);
void rt_landlock_free(struct rt_landlock *l); /* NULL is fine */

/* The version of the kernel's interface that can enforce it whole, 1 or more. */
int rt_landlock_abi(const struct rt_landlock *l);

/*
 * Makes the rules of it, paths looked up below "/": inside the container. The descriptor, or
 * -errno with e filled; -ENOTSUP when the kernel's version is too old, for nothing is left out.
 */
int rt_landlock_ruleset(const struct rt_landlock *l, struct jl_err *e);

/* The caller and its children are under the rules for good. Needs no_new_privs or CAP_SYS_ADMIN. */
int rt_landlock_enforce(int ruleset_fd, struct jl_err *e);
