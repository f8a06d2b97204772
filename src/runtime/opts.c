/* opts.c - see opts.h. */
#include "runtime/opts.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/parse.h"
#include "base/strv.h"

static bool takes_value(const struct rt_opt *o)
{
    return o->arg != NULL;
}

static int store(const struct rt_opt *o, const char *value, struct jl_err *e)
{
    uint64_t number;

    switch (o->kind) {
    case RT_OPT_FLAG:
        *(bool *) o->dst = true;
        if (value && jl_parse_bool(value, o->dst) < 0)
            return jl_refuse(e, EINVAL, "--%s: '%s' is neither true nor false", o->name, value);
        return 0;
    case RT_OPT_TEXT:
        *(const char **) o->dst = value;
        return 0;
    case RT_OPT_UINT:
        if (jl_parse_u64(value, INT_MAX, &number) < 0)
            return jl_refuse(e, EINVAL, "--%s: '%s' is no whole number", o->name, value);
        *(unsigned *) o->dst = (unsigned) number;
        return 0;
    case RT_OPT_LIST:
        return jl_strv_add(o->dst, value) < 0 ? jl_fail(e, ENOMEM, "--%s", o->name) : 0;
    case RT_OPT_NONE:
        return 0;
    }
    return 0;
}

static const struct rt_opt *find_long(const struct rt_opt *opts, size_t n, const char *name,
                                      size_t len)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(opts[i].name) == len && strncmp(opts[i].name, name, len) == 0)
            return &opts[i];
    return NULL;
}

/* One long option at argv[*i]; *i moves past its value. */
static int parse_long(const struct rt_opt *opts, size_t n, int argc, char **argv, int *i,
                      struct jl_err *e)
{
    const char *word = argv[*i] + (argv[*i][1] == '-' ? 2 : 1);
    size_t len = strcspn(word, "=");
    const char *value = word[len] == '=' ? word + len + 1 : NULL;
    const struct rt_opt *o = find_long(opts, n, word, len);

    if (!o)
        return jl_refuse(e, EINVAL, "flag provided but not defined: %s", argv[*i]);
    if (takes_value(o) && !value) {
        if (*i + 1 >= argc)
            return jl_refuse(e, EINVAL, "--%s: needs a value (%s)", o->name, o->arg);
        value = argv[++*i];
    }
    return store(o, value, e);
}

/* A group of letters, "-df" or "-bBUNDLE". */
static int parse_short(const struct rt_opt *opts, size_t n, int argc, char **argv, int *i,
                       struct jl_err *e)
{
    const char *word = argv[*i];

    for (const char *p = word + 1; *p; p++) {
        const struct rt_opt *o = NULL;
        int r;

        for (size_t k = 0; k < n && !o; k++)
            if (opts[k].letter == *p)
                o = &opts[k];
        if (!o)
            return jl_refuse(e, EINVAL, "flag provided but not defined: %s", word);
        if (!takes_value(o)) {
            r = store(o, NULL, e);
            if (r < 0)
                return r;
            continue;
        }
        if (p[1] != '\0')
            return store(o, p + 1 + (p[1] == '='), e);
        if (*i + 1 >= argc)
            return jl_refuse(e, EINVAL, "-%c: needs a value (%s)", *p, o->arg);
        return store(o, argv[++*i], e);
    }
    return 0;
}

int rt_opts_parse(const struct rt_opt *opts, size_t n_opts, int argc, char **argv, int stop_after,
                  struct rt_args *ret_args, struct jl_err *e)
{
    char **args = argv + 1;
    size_t n = 0;
    int i = 1, r;

    for (; i < argc; i++) {
        if (stop_after >= 0 && n >= (size_t) stop_after)
            break;
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        if (argv[i][0] != '-' || argv[i][1] == '\0') {
            args[n++] = argv[i];
            continue;
        }
        if (argv[i][1] == '-' || find_long(opts, n_opts, argv[i] + 1, strcspn(argv[i] + 1, "=")))
            r = parse_long(opts, n_opts, argc, argv, &i, e);
        else
            r = parse_short(opts, n_opts, argc, argv, &i, e);
        if (r < 0)
            return r;
    }
    while (i < argc)
        args[n++] = argv[i++];
    *ret_args = (struct rt_args){ .items = args, .n = n };
    return 0;
}

void rt_opts_help(const struct rt_opt *opts, size_t n_opts)
{
    for (size_t i = 0; i < n_opts; i++) {
        char left[64], letter[8] = "    ";

        if (opts[i].letter)
            snprintf(letter, sizeof letter, "-%c, ", opts[i].letter);
        snprintf(left, sizeof left, "%s--%s%s%s", letter, opts[i].name, opts[i].arg ? " " : "",
                 opts[i].arg ? opts[i].arg : "");
        printf("  %-32s %s\n", left, opts[i].help);
    }
}
