/*
 * options.h - the shim's command line, which is also its whole configuration.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct jl_err;

#define SH_GRACE_DEFAULT_MS 10000u

struct sh_options { /* strings are borrowed from argv */
    const char *id;
    const char *bundle;
    const char *state_dir;
    const char *log_dir;
    const char *runtime_root;
    const char *runtime; /* path, or NULL: runtime_fd */
    int runtime_fd;      /* -1: none */
    const char *cgroup;  /* below each hierarchy's root, no '/' in front; NULL: none */
    int sync_fd;         /* -1: none */
    int lock_fd;         /* kept open to the end; -1: none */
    uint64_t stop_grace_ms;
    uint64_t time_limit_ms; /* 0: none */
    uint64_t log_max_bytes; /* 0: none */
    bool terminal;
    bool init_report; /* PID 1 is joblet-init --report (ipc/initreport.h) */
};

/* The words of `joblet-shim --help`. */
extern const char sh_options_help[];

/* 0; 1: --help or --version was asked for, *ret_text says what to print; -EINVAL with e filled. */
int sh_options_parse(int argc, char **argv, struct sh_options *ret, const char **ret_text,
                     struct jl_err *e);
