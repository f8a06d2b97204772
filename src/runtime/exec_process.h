/*
 * exec_process.h - which process `exec` starts: that of config.json with what the command line says
 * instead, or one from a file of its own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/strv.h"
#include "ocispec.h"

struct jl_err;

/* From the command line; all borrowed but the lists. */
struct rt_exec_asked {
    const char *cwd, *user, *label, *apparmor; /* NULL: not given */
    struct jl_strv env, gids, caps;
    bool tty, no_new_privs;
    char **args; /* the program and its arguments */
    size_t n_args;
};

/* Changes config.json's process p as asked. 0, or -errno with e filled. */
int rt_exec_process_edit(const struct rt_exec_asked *a, struct oci_process *p, struct jl_err *e);

/* The object `process` of the runtime specification, as engines write it for --process. *ret is the
 * caller's (oci_process_free). 0, or -errno with e filled; its values are rt_process_check's. */
int rt_exec_process_read(const char *text, size_t len, struct oci_process **ret, struct jl_err *e);

/* Warns of what was given beside --process, which replaces it all. 0 or -ENOMEM. */
int rt_exec_unused(const struct rt_exec_asked *a, struct jl_strv *warnings);
