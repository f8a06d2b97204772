/*
 * conf_internal.h - the table of keys, shared by the files that make up conf.h.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct jd_conf;

enum jd_key_type { STR, INT, BOOL, AUTO, DUR, SIZE, LIST };
enum jd_key_effect { USED, IGNORED, LATER, FIXED };

struct jd_key {
    const char *name;
    enum jd_key_type type;
    size_t offset;
    const char *def;
    uint64_t lo, hi;
    enum jd_key_effect effect;
};

extern const struct jd_key jd_keys[];
extern const size_t jd_n_keys;

const struct jd_key *jd_key_find(const char *name);
/* The member of a key in the struct. */
void *jd_key_field(const struct jd_conf *c, const struct jd_key *k);
/* 0, -EINVAL, -ERANGE or -ENOMEM. */
int jd_key_set(struct jd_conf *c, const struct jd_key *k, const char *text);
/* What the key takes, in words. Returns a constant or buf. */
const char *jd_key_wanted(const struct jd_key *k, char *buf, size_t size);

/* Every key to its default; then the environment's. */
int jd_conf_defaults(struct jd_conf *c, struct jl_err *e);
int jd_conf_env(struct jd_conf *c, char *const *env, struct jl_err *e);
/* Paths from the prefix, the cgroup's path, and every check of one value against another. */
int jd_conf_resolve(struct jd_conf *c, const char *prefix, struct jl_err *e);
