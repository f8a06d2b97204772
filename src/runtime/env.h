/*
 * env.h - the environment of a container's process and the program that its first argument means.
 * Runs inside, with the rights of the process.
 */
#pragma once

struct jl_err;
struct oci_process;

/*
 * process.env with the last of several entries of one name winning, and HOME from the container's
 * /etc/passwd when it is not set. Own; items are partly borrowed from p, so that nobody frees it
 * piece by piece. 0, or -errno with e.
 */
int rt_env_build(const struct oci_process *p, char ***ret_env, struct jl_err *e);

/* The file to execute: name itself when it has a slash, else the first in PATH that we may
 * execute. Own. -ENOENT or -EACCES with e in the words that engines look for. */
int rt_program_find(const char *name, char *const *env, char **ret, struct jl_err *e);

/* The error for an execve that failed with code. Returns -code. */
int rt_exec_failed(const char *name, const char *program, int code, struct jl_err *e);
