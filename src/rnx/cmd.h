/*
 * cmd.h - what every command of rnx has: the table's row that names it, and the context it works
 * in. A command's function parses its own words with rnx_parse, does its work and prints.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strv.h"
#include "rnx/conf.h"
#include "rnx/opt.h"

struct rpc_client;

struct rnx_globals {
    const char *config;
    const char *node;
    bool json;
    bool version;
    bool help;
};

/* One run of rnx. */
struct rnx {
    struct rnx_globals g;
    const struct rnx_cmd *cmd;
    bool json;           /* --json or RNX_OUTPUT_FORMAT=json */
    bool terminal;       /* standard output is one */
    bool colour;         /* standard output is a terminal that wants colours */
    uint64_t timeout_ns; /* for one call; 0 until known */
    bool have_conf;
    struct rnx_conf conf;
    const struct rnx_node *node; /* chosen; points into conf */
    char address[300];           /* that is dialled */
    struct rpc_client *client;   /* NULL until connected */
};

/* Returns the exit status (0 or above), or -errno with e filled. argv: the words after the verb. */
typedef int rnx_cmd_fn(struct rnx *x, int argc, char **argv, struct jl_err *e);

struct rnx_cmd {
    const char *group; /* "job"; NULL for commands of no group */
    const char *name;
    bool alone;          /* may be called without its group */
    bool tail;           /* the first word that is no flag ends its flags: the rest is a job's */
    const char *args;    /* what follows the name in the usage line */
    const char *summary; /* one line */
    const char *more;    /* further text of its help, or NULL */
    const char *choices; /* what its argument can be, for completion; NULL: anything */
    const struct rnx_opts *opts; /* NULL: none of its own */
    rnx_cmd_fn *run;             /* NULL: a known word that is not built yet */
};

extern const struct rnx_opts rnx_global_opts;

/* All commands in the order of `rnx help`; NULL after the last. */
const struct rnx_cmd *rnx_cmd_at(size_t i);
bool rnx_is_group(const char *word);

/* Flags of job commands, one table beside each. */
extern const struct rnx_cmd rnx_cmd_run, rnx_cmd_list, rnx_cmd_status, rnx_cmd_log, rnx_cmd_stop;
extern const struct rnx_cmd rnx_cmd_cancel, rnx_cmd_delete, rnx_cmd_delete_all;
extern const struct rnx_cmd rnx_cmd_volume_create, rnx_cmd_volume_list, rnx_cmd_volume_remove;
extern const struct rnx_cmd rnx_cmd_metrics;
extern const struct rnx_cmd rnx_cmd_monitor, rnx_cmd_monitor_status, rnx_cmd_monitor_top;
extern const struct rnx_cmd rnx_cmd_monitor_watch;
extern const struct rnx_cmd rnx_cmd_network_create, rnx_cmd_network_list, rnx_cmd_network_remove;
extern const struct rnx_cmd rnx_cmd_nodes, rnx_cmd_version;
extern const struct rnx_cmd rnx_cmd_help, rnx_cmd_config_help, rnx_cmd_completion;

/* The row for these words: group and name, or a name that may stand alone. *ret_used: how many of
 * the words it took. NULL when there is none. */
const struct rnx_cmd *rnx_cmd_find(char **words, int n, int *ret_used);

/*
 * Parses a command's words into its struct and settles x->json, x->timeout_ns and x->colour.
 * 0; 1: --help or --version was asked for and printed, the command is done; or -errno.
 */
int rnx_parse(struct rnx *x, void *into, int argc, char **argv, struct jl_strv *words,
              struct jl_err *e);

/* Help of everything, of a group, of one command, on standard output. */
void rnx_help_all(void);
void rnx_help_group(const char *group);
void rnx_help_cmd(const struct rnx_cmd *c);

/* The parts of rnx(1) that the tables know, in roff, for docs/man/rnx.1.awk: each begins with a line "@@ NAME". */
void rnx_man(void);

/* A line on standard error that begins with "Warning: ". */
void rnx_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
