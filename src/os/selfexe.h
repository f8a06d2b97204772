/*
 * selfexe.h - the running program itself, out of reach: a process that enters a container can be
 * made to exec /proc/self/exe, and its image's file must not be writable through that
 * (CVE-2019-5736). So it runs from what nobody can change, one of two things (docs/adr/0008):
 *
 * - a read-only mount of its file, whose root is the file. The mount is attached nowhere any more
 *   and in no mount namespace, so that no mount_setattr(2), remount or bind, not even the host's
 *   root, reaches it (fs/namespace.c: is_mounted(), check_mnt()). /proc/self/exe reads as "/".
 *   runtime/entry.c makes it, where it may;
 * - a sealed memory file with a copy.
 */
#pragma once

#include <stdbool.h>

struct jl_err;

/* Whether /proc/self/exe is one of the two. */
bool os_selfexe_is_sealed(void);

/* A sealed copy of our program, close-on-exec. fd, or -errno with e filled. */
int os_selfexe_seal(struct jl_err *e);

/* Executes the sealed copy with the same arguments and environment; returns only on failure,
 * -errno with e filled. */
int os_selfexe_exec_sealed(char *const *argv, char *const *envp, struct jl_err *e);
