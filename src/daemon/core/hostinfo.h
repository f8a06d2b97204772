/*
 * hostinfo.h - what a bundle needs to know of the machine: cpus, memory nodes, block devices, and
 * whether mounts can be idmapped. Reads /sys and /proc; blocks for nothing slower.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define JD_CPULIST_MAX 1024

/* "0-3,6" against the host's online cpus. 0, or -EINVAL with e filled: which is not there. */
int jd_host_check_cpus(const char *list, struct jl_err *e);
/* The same against a given list; pure. */
int jd_cpus_within(const char *list, const char *online, struct jl_err *e);

/* The memory nodes of these cpus ("0" on a machine without nodes). Returns buf. */
char *jd_host_mems_of(const char *cpus, char *buf, size_t size);

struct jd_device {
    unsigned major, minor;
};

/* The whole block devices under the file systems of these paths, each once. 0, or -ENOTSUP with e
 * filled when one lies on no block device that could be limited. */
int jd_host_block_devices(const char *const *paths, size_t n, struct jd_device *ret, size_t room,
                          size_t *ret_n, struct jl_err *e);

/* Whether the kernel lets us idmap a mount of this path. 0, or -errno with e filled. Needs root. */
int jd_host_can_idmap(const char *path, struct jl_err *e);

/* The id of this boot into buf (>= 37 bytes); "" when the kernel does not tell. */
void jd_host_boot_id(char *buf, size_t size);

/* Finds one of our programs: beside this one, in ../libexec/joblet of it, or where it was
 * installed. An own_ string, or NULL with e filled. */
char *jd_host_program(const char *name, struct jl_err *e);
