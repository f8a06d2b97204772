/*
 * opt.h - command-line flags. One table a command says name, type, range and help; the parser, the
 * --help texts and the shell completion are made from it.
 *
 * Forms: --name=VALUE, --name VALUE, -x VALUE, -x=VALUE, -xVALUE; a yes/no flag stands alone or
 * takes =true or =false. "--" ends the flags. Pure functions but for rnx_opt_help, which prints.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/strv.h"

enum rnx_opt_kind {
    RNX_OPT_BOOL,     /* bool */
    RNX_OPT_STRING,   /* const char *, borrowed from argv */
    RNX_OPT_INT,      /* int64_t within lo..hi */
    RNX_OPT_SIZE,     /* uint64_t bytes, "64MB", at most hi when hi is not 0 */
    RNX_OPT_DURATION, /* uint64_t ns, "1h30m", whole seconds and at least one */
    RNX_OPT_LIST,     /* struct jl_strv, one entry each time it is given */
};

struct rnx_opt {
    const char *name; /* without the dashes */
    char letter;      /* short form, or 0 */
    enum rnx_opt_kind kind;
    const char *arg; /* how help calls the value; NULL for yes/no flags */
    size_t offset;   /* where the value goes in the command's struct */
    const char *help;
    int64_t lo, hi;
    const char *more; /* further sentences, for the manual; or NULL */
};

struct rnx_opts {
    const struct rnx_opt *items;
    size_t n;
};

#define RNX_OPTS(table)                                                                            \
    {                                                                                              \
        (table), JL_COUNT(table)                                                                   \
    }

/* A refusal of how the command was called; main ends with 2 for it. Returns -EINVAL. */
int rnx_usage(struct jl_err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool rnx_is_usage(const struct jl_err *e);

/*
 * Parses argv[0..argc) into `into` by `own`, and into `globals` by `global`; on a name that both
 * have, own wins. Words that are no flag go to `words` (borrowed pointers); with `stop` the first
 * one ends the flags and all that follow are words too. 0, or -EINVAL with e filled.
 */
int rnx_opt_parse(const struct rnx_opts *own, void *into, const struct rnx_opts *global,
                  void *globals, char **argv, int argc, bool stop, struct jl_strv *words,
                  struct jl_err *e);

/* One line a flag, aligned. */
void rnx_opt_help(const struct rnx_opts *opts, FILE *to);
