/*
 * runspec.h - from the words after `run` to a RunJobRequest: flags, the command's two forms,
 * environment, uploads, schedule. Everything is checked before anything is sent.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "api/joblet.pb-c.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/strv.h"
#include "rnx/opt.h"
#include "rnx/upload_send.h"

struct rnx_run_opts {
    int64_t max_cpu, max_memory, max_iobps, gpu, priority;
    const char *cpu_cores, *runtime, *network, *schedule, *workflow, *template_, *gpu_memory, *name,
        *workdir;
    uint64_t timeout_ns, net_rx, net_tx, tmp_size;
    struct jl_strv volumes, uploads, upload_dirs, env, secret_env;
    bool wait;
};

extern const struct rnx_opts rnx_run_opts;

struct rnx_env_entry {
    char *key, *value; /* key owned; value points into the same memory */
};

/* The request and everything it points to. */
struct rnx_runspec {
    Joblet__RunJobRequest request;
    struct rnx_uploads uploads;
    struct rnx_inline small;  /* what is in them, when it goes with the request */
    bool staged;              /* it does not: rnx_uploads_stage comes first */
    char *session;            /* what that gave */
    char due[JL_RFC3339_MAX]; /* --schedule, by our clock */
    char delay[24];           /* ... a relative one as it is sent: the server counts seconds */
    struct jl_strv args;      /* of the request */
    struct jl_strv volumes;
    Joblet__RunJobRequest__EnvironmentEntry **env;
    Joblet__RunJobRequest__SecretEnvironmentEntry **secret_env;
};

/*
 * Fills `ret` from flags and words (command and its arguments). now_ns: the present, wall clock.
 * Finds the files to upload, and reads small ones. 0, or -errno with e filled; rnx_runspec_done in
 * both cases.
 */
int rnx_runspec_make(struct rnx_run_opts *o, const struct jl_strv *words, uint64_t now_ns,
                     struct rnx_runspec *ret, struct jl_err *e);

/* After a session's uploads, which may have taken long: the request takes it up, and "in an hour" is
 * counted from now on. Takes own_session over. 0, or -errno with e filled. */
int rnx_runspec_staged(const struct rnx_run_opts *o, char *own_session, uint64_t now_ns,
                       struct rnx_runspec *s, struct jl_err *e);

/* One warning on standard error for each word that names a file here that is not uploaded. */
void rnx_runspec_warn(const struct rnx_runspec *s, const struct jl_strv *words);

void rnx_runspec_done(struct rnx_runspec *s);
void rnx_run_opts_done(struct rnx_run_opts *o);
