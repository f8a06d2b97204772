/*
 * jobprocs.h - what a job's control group does not count itself: its processes, and the files they
 * have open. Looked at in core's loop, so a job beyond a bound is not looked at: 0 for not known.
 */
#pragma once

#include <stdint.h>

#include "os/cgroup.h"

#define JD_PROCS_MAX 512        /* tasks of a job that is looked into: below a millisecond */
#define JD_PROCS_FILES_MAX 4096 /* files counted one by one, before Linux 6.2 */

struct jd_procs {
    uint64_t processes, open_files; /* a file that several processes share counts for each */
};

/* tasks: in the group, by its own count. What ends meanwhile is left out. Blocks for nothing. */
void jd_procs_read(const struct os_cgroup *cg, uint64_t tasks, struct jd_procs *ret);
