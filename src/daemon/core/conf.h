/*
 * conf.h - the server's configuration: defaults, then the file, then the environment, then the
 * command line. conf_keys.def holds every key; unknown keys, bad values and values out of range
 * are errors with file, line and key.
 *
 * Blocks only to read the file. Reading the file needs the right to; nothing else does.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strv.h"

struct jl_buf;

#define JD_DEFAULT_PREFIX "/opt/joblet"

#define JD_CTYPE_STR char *
#define JD_CTYPE_INT int64_t
#define JD_CTYPE_BOOL bool
#define JD_CTYPE_AUTO int /* 1 true, 0 false, -1 auto */
#define JD_CTYPE_DUR uint64_t
#define JD_CTYPE_SIZE uint64_t
#define JD_CTYPE_LIST struct jl_strv

struct jd_conf {
#define JD_KEY(member, key, type, def, lo, hi, effect, help) JD_CTYPE_##type member;
#include "daemon/core/conf_keys.def"
#undef JD_KEY
    char *file;        /* it came from; NULL: defaults alone */
    char *state_dir;   /* PREFIX/state */
    char *run_dir;     /* /run/joblet, or PREFIX/run */
    char *cgroup_path; /* cgroup.baseDir relative to a hierarchy, "joblet.slice/joblet.service" */
    struct jl_strv networks; /* network.networks: name, CIDR or "", bridge or "", name, ... */
    struct jl_strv notes;    /* what the user should know: ignored keys, a readable file */
};

/*
 * Fills *c. file: from --config, or NULL to search JOBLET_CONFIG_PATH, PREFIX/config, ./config, .,
 * /etc/joblet (none there: defaults). prefix: from --prefix-dir, or NULL. env: the environment that
 * may override. 0, or -errno with e filled and *c empty.
 */
int jd_conf_load(struct jd_conf *c, const char *file, const char *prefix, char *const *env,
                 struct jl_err *e);

/* The same from text, for tests and fuzzing: name stands in messages. */
int jd_conf_parse(struct jd_conf *c, const char *name, const char *text, size_t len,
                  const char *prefix, char *const *env, struct jl_err *e);

void jd_conf_done(struct jd_conf *c);

/* Every key with its value, as a file that jd_conf_parse reads again; the private key is left
 * out. 0 or -errno. */
int jd_conf_dump(const struct jd_conf *c, struct jl_buf *out);

#define _conf_ __attribute__((cleanup(jd_conf_done)))
