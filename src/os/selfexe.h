/*
 * selfexe.h - the running program itself, out of reach: a process that enters a container can be
 * made to exec /proc/self/exe, and its image's file must not be writable through that
 * (CVE-2019-5736). So it runs from a sealed memory file, which nobody can change.
 */
#pragma once

#include <stdbool.h>

struct jl_err;

/* Whether /proc/self/exe is a memory file sealed against every change. */
bool os_selfexe_is_sealed(void);

/* A sealed copy of our program, close-on-exec. fd, or -errno with e filled. */
int os_selfexe_seal(struct jl_err *e);

/* Executes the sealed copy with the same arguments and environment; returns only on failure,
 * -errno with e filled. */
int os_selfexe_exec_sealed(char *const *argv, char *const *envp, struct jl_err *e);
