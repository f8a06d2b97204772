/* opt.c - see opt.h. */
#include "rnx/opt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/parse.h"

int rnx_usage(struct jl_err *e, const char *fmt, ...)
{
    char text[JL_ERR_TEXT_MAX];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    jl_refuse(e, EINVAL, "%s", text);
    return jl_phase(e, "usage");
}

bool rnx_is_usage(const struct jl_err *e)
{
    return strcmp(e->phase, "usage") == 0;
}

static int set_int(const struct rnx_opt *o, int64_t *to, const char *s, struct jl_err *e)
{
    int r = jl_parse_i64(s, o->lo, o->hi, to);

    if (r == -ERANGE)
        return rnx_usage(e, "--%s=%s is outside %" PRId64 " to %" PRId64, o->name, s, o->lo, o->hi);
    if (r < 0)
        return rnx_usage(e, "--%s wants a whole number, got '%s'", o->name, s);
    return 0;
}

static int set_size(const struct rnx_opt *o, uint64_t *to, const char *s, struct jl_err *e)
{
    uint64_t v = 0;
    int r = jl_parse_size(s, &v);

    if (r == -EINVAL)
        return rnx_usage(e, "--%s wants a size such as 512, 64MB or 1.5GB, got '%s'", o->name, s);
    if (r < 0 || (o->hi > 0 && v > (uint64_t) o->hi))
        return rnx_usage(e, "--%s=%s is too large", o->name, s);
    *to = v;
    return 0;
}

static int set_duration(const struct rnx_opt *o, uint64_t *to, const char *s, struct jl_err *e)
{
    uint64_t ns = 0;
    int r = jl_parse_duration(s, &ns);

    if (r == -ERANGE)
        return rnx_usage(e, "--%s=%s is too large", o->name, s);
    if (r < 0 || ns == 0 || ns % JL_NS_PER_S != 0)
        return rnx_usage(e, "--%s wants whole seconds, such as 30s, 5m or 1h30m, got '%s'", o->name,
                         s);
    *to = ns;
    return 0;
}

static int set_value(const struct rnx_opt *o, void *into, const char *value, struct jl_err *e)
{
    void *to = (char *) into + o->offset;

    switch (o->kind) {
    case RNX_OPT_BOOL:
        if (jl_parse_bool(value, to) < 0)
            return rnx_usage(e, "--%s is true or false, got '%s'", o->name, value);
        return 0;
    case RNX_OPT_STRING:
        *(const char **) to = value;
        return 0;
    case RNX_OPT_INT:
        return set_int(o, to, value, e);
    case RNX_OPT_SIZE:
        return set_size(o, to, value, e);
    case RNX_OPT_DURATION:
        return set_duration(o, to, value, e);
    case RNX_OPT_LIST:
        if (jl_strv_add(to, value) < 0)
            return jl_fail(e, ENOMEM, "--%s", o->name);
        return 0;
    }
    return 0;
}

static const struct rnx_opt *find(const struct rnx_opts *opts, const char *name, size_t len,
                                  char letter)
{
    for (size_t i = 0; opts && i < opts->n; i++) {
        const struct rnx_opt *o = &opts->items[i];

        if (letter ? o->letter == letter
                   : strlen(o->name) == len && memcmp(o->name, name, len) == 0)
            return o;
    }
    return NULL;
}

struct parse {
    const struct rnx_opts *own, *global;
    void *into, *globals;
    char **argv;
    int argc;
    int at;
};

/* The flag at p->at; moves on to its last word. */
static int parse_flag(struct parse *p, struct jl_err *e)
{
    const char *word = p->argv[p->at];
    bool is_long = word[1] == '-';
    const char *name = word + (is_long ? 2 : 1);
    size_t len = is_long ? strcspn(name, "=") : 1;
    const char *value = NULL;
    void *into = p->into;
    const struct rnx_opt *o = find(p->own, name, len, is_long ? 0 : name[0]);

    if (!o) {
        o = find(p->global, name, len, is_long ? 0 : name[0]);
        into = p->globals;
    }
    if (!o)
        return rnx_usage(e, "unknown flag: %.*s", is_long ? (int) len + 2 : 60, word);
    if (name[len] == '=')
        value = name + len + 1;
    else if (name[len] != '\0') /* -xVALUE */
        value = name + len;
    if (o->kind == RNX_OPT_BOOL) {
        if (!value)
            value = "true";
        else if (name[len] != '=')
            return rnx_usage(e, "unknown flag: %.60s", word);
    } else if (!value) {
        if (p->at + 1 >= p->argc)
            return rnx_usage(e, "--%s needs a value (%s)", o->name, o->arg);
        value = p->argv[++p->at];
    }
    return set_value(o, into, value, e);
}

int rnx_opt_parse(const struct rnx_opts *own, void *into, const struct rnx_opts *global,
                  void *globals, char **argv, int argc, bool stop, struct jl_strv *words,
                  struct jl_err *e)
{
    struct parse p = { own, global, into, globals, argv, argc, 0 };
    bool flags = true;
    int r;

    for (; p.at < argc; p.at++) {
        const char *word = argv[p.at];

        if (flags && strcmp(word, "--") == 0) {
            flags = false;
            continue;
        }
        if (flags && word[0] == '-' && word[1] != '\0') {
            r = parse_flag(&p, e);
            if (r < 0)
                return r;
            continue;
        }
        if (stop)
            flags = false;
        if (jl_strv_add(words, word) < 0)
            return jl_fail(e, ENOMEM, "arguments");
    }
    return 0;
}

void rnx_opt_help(const struct rnx_opts *opts, FILE *to)
{
    char left[64];

    for (size_t i = 0; i < opts->n; i++) {
        const struct rnx_opt *o = &opts->items[i];
        char letter[8] = "";

        if (o->letter)
            snprintf(letter, sizeof letter, "-%c, ", o->letter);
        snprintf(left, sizeof left, "%4s--%s%s%s", letter, o->name, o->arg ? "=" : "",
                 o->arg ? o->arg : "");
        fprintf(to, "  %-26s %s\n", left, o->help);
    }
}
