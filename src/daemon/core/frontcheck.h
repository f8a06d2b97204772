/*
 * frontcheck.h - whether joblet-front could serve with the certificates of a configuration, found
 * out by a joblet-front of a moment (`joblet-front --check`): core itself parses no certificates.
 */
#pragma once

#include <sys/types.h>

struct jd_conf;
struct jl_err;

struct jd_frontcheck {
    pid_t pid; /* 0: none runs */
    int pidfd; /* readable when it has ended */
    int says;  /* what it prints: why not */
};

#define JD_FRONTCHECK_INIT                                                                         \
    (struct jd_frontcheck)                                                                         \
    {                                                                                              \
        .pidfd = -1, .says = -1                                                                    \
    }

/* Starts the program `path` as this user; 0: the caller's own. Does not wait for its end, and it
 * does not outlive us. 0, or -errno with e filled. */
int jd_frontcheck_begin(struct jd_frontcheck *k, const char *path, const struct jd_conf *conf,
                        uid_t uid, gid_t gid, struct jl_err *e);
/* Its verdict: 0, or -EINVAL with e filled. Waits for its end. */
int jd_frontcheck_end(struct jd_frontcheck *k, struct jl_err *e);
/* Ends it, if one runs; its verdict is of no interest. */
void jd_frontcheck_stop(struct jd_frontcheck *k);

/* All of it, with the joblet-front of this installation. Blocks for some milliseconds. */
int jd_frontcheck(const struct jd_conf *conf, struct jl_err *e);
