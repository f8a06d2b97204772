/*
 * opts.h - command lines as engines write them: --name value, --name=value, -n value, -nvalue, in
 * any order around the arguments (Slurm's manual writes `run ID -b BUNDLE`), "--" ends options.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct jl_err;

enum rt_opt_kind {
    RT_OPT_FLAG, /* bool *: --name, --name=true, --name=false */
    RT_OPT_TEXT, /* const char ** */
    RT_OPT_UINT, /* unsigned * */
    RT_OPT_LIST, /* struct jl_strv *: may come several times */
    RT_OPT_NONE, /* taken and without effect; dst unused; with arg it has a value */
};

struct rt_opt {
    const char *name;
    char letter; /* 0: none */
    enum rt_opt_kind kind;
    void *dst;
    const char *arg; /* name of the value in the help; NULL: has none */
    const char *help;
};

struct rt_args {
    char **items; /* of argv; not copied */
    size_t n;
};

/*
 * Parses argv[1..argc); ret_args gets what is no option (argv is reordered for that). stop_after:
 * after so many arguments the rest is taken as it is (-1: never). 0, or -EINVAL with e filled.
 */
int rt_opts_parse(const struct rt_opt *opts, size_t n_opts, int argc, char **argv, int stop_after,
                  struct rt_args *ret_args, struct jl_err *e);

/* The options' part of a help text, to standard output. */
void rt_opts_help(const struct rt_opt *opts, size_t n_opts);
