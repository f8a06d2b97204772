/* strv.c - see strv.h. */
#include "base/strv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int push(struct jl_strv *v, char *own_s)
{
    if (!own_s)
        return -ENOMEM;
    if (v->len + 2 > v->size) {
        size_t size = v->size ? v->size * 2 : 8;
        char **p = realloc(v->items, size * sizeof *p);

        if (!p) {
            free(own_s);
            return -ENOMEM;
        }
        v->items = p;
        v->size = size;
    }
    v->items[v->len++] = own_s;
    v->items[v->len] = NULL;
    return 0;
}

int jl_strv_add(struct jl_strv *v, const char *s)
{
    return push(v, strdup(s));
}

int jl_strv_addf(struct jl_strv *v, const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&s, fmt, ap);
    va_end(ap);
    return push(v, n < 0 ? NULL : s);
}

int jl_strv_setenv(struct jl_strv *v, const char *name, const char *value)
{
    size_t len = strlen(name);
    char *s = NULL;

    for (size_t i = 0; i < v->len; i++) {
        if (strncmp(v->items[i], name, len) != 0 || v->items[i][len] != '=')
            continue;
        if (asprintf(&s, "%s=%s", name, value) < 0)
            return -ENOMEM;
        free(v->items[i]);
        v->items[i] = s;
        return 0;
    }
    return jl_strv_addf(v, "%s=%s", name, value);
}

const char *jl_env_get(char *const *env, const char *name)
{
    size_t len = strlen(name);
    const char *value = NULL;

    for (; env && *env; env++)
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
            value = *env + len + 1;
    return value;
}

void jl_strv_clear(struct jl_strv *v)
{
    for (size_t i = 0; i < v->len; i++)
        free(v->items[i]);
    free(v->items);
    v->items = NULL;
    v->len = v->size = 0;
}
