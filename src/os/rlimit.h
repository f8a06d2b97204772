/*
 * rlimit.h - resource limits of a process, by their OCI names. Source: getrlimit(2).
 */
#pragma once

#include <stdint.h>

struct jl_err;

/* "RLIMIT_NOFILE". The number for setrlimit, or -EINVAL. */
int os_rlimit_from_name(const char *name);
const char *os_rlimit_name(int resource); /* NULL when there is none */

/*
 * Raises the soft limit of open files of this process to at least n, or to the hard limit when
 * that is lower. Returns the soft limit there was before (for os_nofile_set), 0 when nothing had
 * to be or could be changed.
 */
uint64_t os_nofile_raise(uint64_t n);
void os_nofile_set(uint64_t soft); /* may lower it below what is open; those stay open */

/* Sets the limit of this process; UINT64_MAX is unlimited. Needs CAP_SYS_RESOURCE to raise the
 * hard limit. 0, or -errno with e filled; the hint says what the present hard limit is. */
int os_rlimit_set(int resource, uint64_t soft, uint64_t hard, struct jl_err *e);
