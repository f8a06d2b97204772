/*
 * lsm.h - the label of what this process executes next, from AppArmor or SELinux, by their files in
 * procfs. No library of theirs. Sources: apparmor(7) and security/apparmor/lsm.c of the kernel
 * (do_setattr), selinux(8), proc_pid_attr(5).
 *
 * The kernel wants the writer to be the opener, with the credentials he had then: so a descriptor
 * of the procfs is kept and the files are opened late. All block on nothing and need no privilege
 * beside what the policy asks for. 0, or -errno with e filled.
 */
#pragma once

#include <stdbool.h>

struct jl_err;

/* The host's /proc, for those below: opened before the container's mounts can stand in its place,
 * and checked to be a procfs (CVE-2019-16884). O_PATH descriptor, or -errno with e filled. */
int os_proc_trusted(struct jl_err *e);

/* Whether AppArmor is there; *ret_confined: whether we are under a profile already. */
int os_apparmor_check(int proc_fd, bool *ret_confined, struct jl_err *e);

/* The next execve goes on under this profile; on top of our own, when we have one. */
int os_apparmor_on_exec(int proc_fd, const char *profile, struct jl_err *e);

bool os_selinux_enabled(void);
int os_selinux_on_exec(int proc_fd, const char *label, struct jl_err *e);

/* The label of keys and keyrings that we make from now on; "": the usual one. */
int os_selinux_on_keys(int proc_fd, const char *label, struct jl_err *e);
