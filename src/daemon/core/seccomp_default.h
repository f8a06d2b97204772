/*
 * seccomp_default.h - the system calls that a job may make. docs/seccomp.md says how the list was
 * chosen and what it costs.
 */
#pragma once

struct jd_arena;
struct oci_seccomp;

/* The profile for this machine's architecture, built in the arena; NULL when memory ran out. */
struct oci_seccomp *jd_seccomp_default(struct jd_arena *a);
