/*
 * cmd.h - the verbs of joblet-run: parse options, make one call, print.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/opts.h"

struct jl_err;
struct jl_strv;
struct os_cgroup;
struct rt_spec;
struct rt_state;

#define RT_LOCK_WAIT_MS 5000 /* for whoever changes the container at the moment */

/* Global options. */
struct rt_ctx {
    const char *root; /* state root */
    const char *log;  /* file for errors, or NULL */
    bool log_json;
    struct jl_strv *held; /* warnings that go to a JSON log when all went well */
    bool debug;
    uint64_t started_ns; /* when this process began its work; CLOCK_MONOTONIC */
    bool systemd_cgroup;
    bool no_cgroup; /* --cgroup-manager disabled */
};

/* A verb returns the exit status (>= 0), or -errno with e filled. */
struct rt_cmd {
    const char *name;
    const char *synopsis; /* "[OPTIONS] ID" */
    const char *summary;  /* one line */
    int (*fn)(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e);
    bool seal;   /* touches a container's processes: must run sealed (os/selfexe.h) */
    int failure; /* exit status when it fails */
};

extern const struct rt_cmd rt_cmds[]; /* ends with a NULL name */

int rt_cmd_checkpoint(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e);
int rt_cmd_restore(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e);
int rt_cmd_create(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e);
int rt_cmd_run(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e);
int rt_cmd_start(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e);
int rt_cmd_state(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e);
int rt_cmd_kill(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e);
int rt_cmd_delete(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e);
int rt_cmd_exec(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e);
int rt_cmd_list(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e);
int rt_cmd_pause(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e);
int rt_cmd_ps(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e);
int rt_cmd_resume(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e);
int rt_cmd_spec(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e);
int rt_cmd_update(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e);
int rt_cmd_wait(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e);
int rt_cmd_events(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e);
int rt_cmd_gc(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e);
int rt_cmd_features(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e);
int rt_cmd_plan(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e);

/*
 * Parses a verb's command line; prints its help for --help and -h. want: how many arguments there
 * must be at least; extra: more are allowed. 0 to go on, 1 when the help was printed, or -EINVAL
 * with e filled.
 */
int rt_cmd_parse(const char *verb, const struct rt_opt *opts, size_t n_opts, int argc, char **argv,
                 size_t want, bool extra, struct rt_args *ret, struct jl_err *e);

/*
 * Opens the state root and the container's state; _lock: with its lock. Both are the caller's,
 * also on failure. 0, or -errno with e filled (-ENOENT: "container does not exist").
 */
int rt_container_open(const struct rt_ctx *ctx, const char *id, int *ret_root, struct rt_state *s,
                      struct jl_err *e);
int rt_container_lock(const struct rt_ctx *ctx, const char *id, int *ret_root, struct rt_state *s,
                      struct jl_err *e);

/* Opens its control group, which is the container's own; refuses for `verb` where it has none. */
int rt_container_group(const struct rt_state *s, const char *verb, struct os_cgroup **ret,
                       struct jl_err *e);

/* Refuses a terminal that has nowhere to go, and a console socket that will get none. */
int rt_check_terminal(const struct rt_spec *s, const char *console_socket, bool foreground,
                      struct jl_err *e);

/* The beginning of a container of this configuration: the launch (rt_launch_done in any case), the
 * record of it, its control group as the options before the verb say. 0, or -errno with e filled. */
struct rt_launch;
int rt_launch_begin(struct rt_launch *l, const struct rt_ctx *ctx, const struct rt_spec *spec,
                    struct rt_state *st, const char *id, struct jl_err *e);

/* rt_spec_check_strict, and a line for each key on standard error. */
int rt_check_strict(const struct rt_spec *spec, struct jl_err *e);

/* Warnings go to the log when it is text, else to standard error: a JSON log holds errors only. */
void rt_warn_all(const struct rt_ctx *ctx, const struct jl_strv *warnings);

/* Writes the failure to the log and to standard error. */
void rt_report(const struct rt_ctx *ctx, const struct jl_err *e);

/* Writes the pid into the file, complete or not at all. 0, or -errno with e filled. */
int rt_pidfile_write(const char *path, int pid, struct jl_err *e);
