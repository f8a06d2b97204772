/*
 * strv.h - lists of strings that end in NULL: arguments and environments.
 */
#pragma once

#include <stddef.h>

struct jl_strv {
    char **items; /* NULL until something is added; else ends in a NULL that is not counted */
    size_t len;
    size_t size;
};

/* clang-format off */
#define JL_STRV_INIT { 0 }
/* clang-format on */

/* Appends a copy. 0 or -ENOMEM. */
int jl_strv_add(struct jl_strv *v, const char *s);
int jl_strv_addf(struct jl_strv *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Sets NAME=value, replacing an earlier NAME. 0 or -ENOMEM. */
int jl_strv_setenv(struct jl_strv *v, const char *name, const char *value);

/* Value of NAME in an environment list, the last one if there are several; NULL if none.
 * Borrowed from the list. env may be NULL. */
const char *jl_env_get(char *const *env, const char *name);

void jl_strv_clear(struct jl_strv *v);

#define _strv_ __attribute__((cleanup(jl_strv_clear)))
