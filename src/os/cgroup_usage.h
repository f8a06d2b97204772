/*
 * cgroup_usage.h - reading a group's files where they are: the v1 hierarchy if the controller is
 * mounted there, else the unified tree. And being told of the OOM killer. Used by `joblet-run
 * events`. Nothing blocks.
 */
#pragma once

#include <stdint.h>

#include "os/cgroup.h"

struct jl_buf;
struct jl_err;

/* The number in the file that this host has; "max" is UINT64_MAX. NULL for a file: that version has
 * none. 0, or -errno (-ENOENT: not here). */
int os_cgroup_read_number(const struct os_cgroup *cg, enum os_controller c, const char *v1_file,
                          const char *v2_file, uint64_t *ret);

/* The whole text, likewise. */
int os_cgroup_read_text(const struct os_cgroup *cg, enum os_controller c, const char *v1_file,
                        const char *v2_file, struct jl_buf *ret);

/*
 * A descriptor that poll(2) reports with the returned events (> 0) when something happened that
 * concerns out of memory; os_cgroup_oom_kills tells what. v1 tells of this group and those below
 * whose limit was its own or one above; v2 of all below. The caller closes it. -errno with e
 * filled. os_cgroup_oom_seen makes it quiet again.
 */
int os_cgroup_oom_watch(const struct os_cgroup *cg, int *ret_fd, struct jl_err *e);
void os_cgroup_oom_seen(int fd);
