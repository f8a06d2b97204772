/*
 * intelrdt.h - groups of the resctrl file system: which part of the caches and of the memory
 * bandwidth processes get (classes of service), and what they use of it (monitoring groups).
 *
 * `root` is a descriptor of the mounted file system (a test gives a directory that looks like it).
 * `group` is the directory of a class, "" the default one; `monitor` the name of a monitoring group
 * in it, NULL for none. Nothing blocks; all needs the right to write there, so usually root. 0, or
 * -errno with e filled, where nothing else is said.
 * Source: Documentation/filesystems/resctrl.rst of the kernel.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct jl_err;

#define OS_RDT_PATH "/sys/fs/resctrl"

/* Whether a group can have this name: one part of a path, and none of resctrl's own. */
bool os_rdt_name_is_good(const char *name);

/* -EEXIST with e filled when it is there already. */
int os_rdt_make(int root, const char *group, const char *monitor, struct jl_err *e);
bool os_rdt_exists(int root, const char *group);

/* Sets lines as "L3:0=7f0;1=1f" of a group. The kernel's own word for what is wrong is in e. */
int os_rdt_set(int root, const char *group, const char *lines, struct jl_err *e);

/* Refuses (-EINVAL) unless the group has these lines in force already. */
int os_rdt_compare(int root, const char *group, const char *lines, struct jl_err *e);

/* Moves a process, whose later children are born there. */
int os_rdt_join(int root, const char *group, const char *monitor, pid_t pid, struct jl_err *e);

/* Whether nobody is in it; also when it can't be told. */
bool os_rdt_is_empty(int root, const char *group, const char *monitor);

/* With a monitor that one, else the group; who is inside goes to the one above. One that is not
 * there is removed. */
int os_rdt_remove(int root, const char *group, const char *monitor, struct jl_err *e);

/* Whether this machine measures it: "llc_occupancy", "mbm_total_bytes". */
bool os_rdt_monitors(int root, const char *event);
