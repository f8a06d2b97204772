/*
 * cgroup_internal.h - what the cgroup_*.c files share, and what their unit tests reach for. Nobody
 * else includes it.
 *
 * One rule decides everywhere which hierarchy serves a controller: the v1 hierarchy if it is
 * mounted, else the unified tree if it lists the controller. So a hybrid host needs no code of its
 * own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "os/cgroup.h"

#define OS_CG_BIT(c) (1u << (c))

/* Larger than any file of a control group that we read. */
#define CG_FILE_MAX 65536

/* ---- cgroup_host.c ---- */

/* Fills mode, unified and v1 from the text of a mountinfo file; v2_controllers stays 0. Lines that
 * are not cgroups are skipped. 0, or -ENAMETOOLONG when a mount point does not fit. */
int cg_host_parse(const char *mountinfo, struct os_cgroup_host *ret_host, struct jl_err *e);

/* The words of a cgroup.controllers or cgroup.subtree_control file as bits; unknown ones are
 * ignored. */
unsigned cg_controller_bits(const char *words);

/* The name in cgroup v2 files ("io"); NULL for what is no controller there. */
const char *cg_v2_name(enum os_controller c);

/* The first controller that is mounted at the same place as c, c itself as a rule: the one of a
 * joint mount ("cpu,cpuacct") that stands for the hierarchy. */
enum os_controller cg_v1_owner(const struct os_cgroup_host *host, enum os_controller c);
