/*
 * criu.h - checkpoint and restore by CRIU, which is run as a program that takes one request
 * (criu_rpc.h). It does all that concerns processes and memory; joblet-run tells it what of the
 * container comes from outside (bind mounts, masked files, a network namespace that was joined,
 * standard input and output), and makes record and control group as for any container.
 *
 * Needs root on a kernel that CRIU knows. Sources: criu(8), criu.org/RPC, /External_bind_mounts,
 * /Inheriting_FDs_on_restore. docs/formats/checkpoint.md has what is added to the images.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/strv.h"
#include "runtime/criu_rpc.h"

struct jl_err;
struct rt_spec;

#define RT_CRIU_FDS_MAX 4

/* What checkpoint and restore have in common; see RT_CRIU_OPTIONS. */
struct rt_criu_opts {
    const char *image_path, *work_path, *manage_cgroups;
    bool tcp_established, ext_unix_sk, shell_job, file_locks;
    struct jl_strv empty_ns;
};

/* The rows of both verbs' option tables. */
#define RT_CRIU_OPTIONS(o)                                                                         \
    { "image-path", 0, RT_OPT_TEXT, &(o).image_path, "DIR", "the images (default: checkpoint)" },  \
        { "work-path",    0,     RT_OPT_TEXT,                                                      \
          &(o).work_path, "DIR", "CRIU's log (default: with the images)" },                        \
        { "tcp-established", 0, RT_OPT_FLAG, &(o).tcp_established, NULL, "keep TCP connections" }, \
        { "ext-unix-sk",    0,    RT_OPT_FLAG,                                                     \
          &(o).ext_unix_sk, NULL, "allow Unix sockets that are connected to the outside" },        \
        { "shell-job",    0,    RT_OPT_FLAG,                                                       \
          &(o).shell_job, NULL, "allow a terminal of the caller's as standard input" },            \
        { "file-locks", 0, RT_OPT_FLAG, &(o).file_locks, NULL, "keep file locks" },                \
        { "manage-cgroups-mode", 0,      RT_OPT_TEXT,                                              \
          &(o).manage_cgroups,   "MODE", "soft or ignore; limits come from config.json in both" }, \
    {                                                                                              \
        "empty-ns", 0, RT_OPT_LIST, &(o).empty_ns, "network", "do not keep what is in it"          \
    }

/* One run of CRIU, being put together. */
struct rt_criu {
    char *program;
    const char *verb;         /* "dump", "pre-dump", "restore" */
    RtCriu__Request *request; /* with its options, and all of their texts; own */
    char *log;                /* where it writes what it does */
    int images_fd, work_fd;   /* directories; own */
    int fds[RT_CRIU_FDS_MAX]; /* that it gets under the numbers they have here; own */
    size_t n_fds;             /* beside 0, 1 and 2 */
    const char *root;         /* restore: the rootfs, bound onto itself for it; borrowed */
    const int *join_fds;      /* restore: of the control group that it works in; borrowed */
    size_t n_join;
    bool new_cgroup_ns;         /* restore: in a cgroup namespace of its own */
    rt_criu_notified *notified; /* restore: what is done meanwhile, with notified_data */
    void *notified_data;
    pid_t pid; /* restore: of the first process, once that is done */
};

/* clang-format off */
#define RT_CRIU_INIT { .images_fd = -1, .work_fd = -1 }
/* clang-format on */

/* An option that is a flag. */
#define RT_CRIU_FLAG(opts, name, on) ((opts)->has_##name = (opts)->name = (on))

/* Which program it is (--criu): a path, or a name that is looked for where programs of the system
 * are. NULL: "criu". */
void rt_criu_program(const char *path);

/*
 * Begins the request with what the options say; refuses those that can't be had. c was initialized
 * with RT_CRIU_INIT, and is to be cleared also on failure. The directories are made for a dump and
 * must be there for a restore. 0, or -errno with e filled.
 */
int rt_criu_begin(struct rt_criu *c, const char *verb, const struct rt_criu_opts *o,
                  struct jl_err *e);

/* Sets an option that is a text, to a copy. text: NULL leaves it. 0, or -ENOMEM with e filled. */
int rt_criu_text(char **option, const char *text, struct jl_err *e);

/* Names something that comes from outside, or the descriptor of CRIU's that is there in its place.
 * 0, or -ENOMEM with e filled. */
int rt_criu_external(struct rt_criu *c, const char *name, struct jl_err *e);
int rt_criu_inherit(struct rt_criu *c, int fd, const char *name, struct jl_err *e);

/*
 * Runs it and waits for its end. What it restores becomes our child. 0, or -errno with e filled:
 * CRIU's first error, and where its log is. Blocks as long as CRIU takes.
 */
int rt_criu_run(struct rt_criu *c, struct jl_err *e);
void rt_criu_clear(struct rt_criu *c);

#define _rt_criu_ __attribute__((cleanup(rt_criu_clear)))

/* Refuses what CRIU can't do, or would restore as something else. 0 or -errno. */
int rt_criu_check_spec(const struct rt_spec *s, const char *verb, struct jl_err *e);

/* criu_outside.c: tells CRIU what comes from outside of the container with this first process, and
 * writes the names of its standard input, output and error to the images. 0, or -errno with e. */
int rt_criu_outside_of(struct rt_criu *c, const struct rt_spec *s, pid_t pid, const char *images,
                       struct jl_err *e);

/* The same for a restore: where those things are now; the standard ones are our own. group: of the
 * container, in the unified tree; NULL where there are v1 hierarchies. */
int rt_criu_outside_from(struct rt_criu *c, const struct rt_spec *s, const char *images,
                         const char *group, struct jl_err *e);
