/*
 * caps.h - capabilities by name and as masks (bit n is capability n), and giving a process
 * exactly the sets asked for. Plain system calls, no heap. Source: capabilities(7),
 * linux/capability.h.
 */
#pragma once

#include <stdint.h>

struct jl_err;

#define OS_CAP_N 41 /* those named here: CAP_CHOWN to CAP_CHECKPOINT_RESTORE */

/* "CAP_SYS_ADMIN" in any case, also without "CAP_". The number, or -EINVAL. */
int os_cap_from_name(const char *name);
const char *os_cap_name(unsigned cap); /* "CAP_..."; NULL past the last */

struct os_caps {
    uint64_t bounding, effective, permitted, inheritable, ambient;
};

/* The effective, permitted and inheritable sets of this process. 0 or -errno. */
int os_caps_get(struct os_caps *ret);

/* Which of `ask` this process has in its bounding set; a call for each, so ask for few. 0 or -errno. */
int os_caps_bounding(uint64_t ask, uint64_t *ret);

/*
 * Drops everything outside `bounding` from the bounding set. Needs CAP_SETPCAP. Before the user
 * changes. 0, or -errno with e filled.
 */
int os_caps_drop_bounding(uint64_t bounding, struct jl_err *e);

/*
 * Sets effective, permitted, inheritable and ambient. After the user changed (with
 * PR_SET_KEEPCAPS). 0, or -errno with e filled.
 */
int os_caps_apply(const struct os_caps *caps, struct jl_err *e);
