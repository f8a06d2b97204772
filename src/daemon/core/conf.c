/*
 * conf.c - see conf.h: the table out of conf_keys.def, defaults, environment, dump. A default, a
 * variable and a value of the file take the same way into the struct.
 */
#include "daemon/core/conf.h"
#include "daemon/core/conf_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/io.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/yaml.h"

const struct jd_key jd_keys[] = {
#define JD_KEY(member, key, type, def, lo, hi, effect, help)                                       \
    { key, type, offsetof(struct jd_conf, member), def, lo, hi, effect },
#include "daemon/core/conf_keys.def"
#undef JD_KEY
};
const size_t jd_n_keys = JL_COUNT(jd_keys);

void *jd_key_field(const struct jd_conf *c, const struct jd_key *k)
{
    return (char *) (uintptr_t) c + k->offset;
}

static int set_str(struct jd_conf *c, const struct jd_key *k, const char *text)
{
    char **p = jd_key_field(c, k);
    char *copy = strdup(text);

    if (!copy)
        return -ENOMEM;
    free(*p);
    *p = copy;
    return 0;
}

/* "a b c", for defaults. */
static int set_words(struct jd_conf *c, const struct jd_key *k, const char *text)
{
    struct jl_strv *v = jd_key_field(c, k);

    jl_strv_clear(v);
    while (*text != '\0') {
        size_t len = strcspn(text, " ");

        if (len > 0 && jl_strv_addf(v, "%.*s", (int) len, text) < 0)
            return -ENOMEM;
        text += len;
        text += strspn(text, " ");
    }
    return 0;
}

static int set_bool(int *as_int, bool *as_bool, const char *text)
{
    bool value;
    int r;

    if (as_int && strcasecmp(text, "auto") == 0) {
        *as_int = -1;
        return 0;
    }
    r = jl_parse_bool(text, &value);
    if (r == 0 && as_int)
        *as_int = value;
    else if (r == 0)
        *as_bool = value;
    return r;
}

/* 0, -EINVAL, -ERANGE or -ENOMEM. */
int jd_key_set(struct jd_conf *c, const struct jd_key *k, const char *text)
{
    uint64_t u;
    int r;

    switch (k->type) {
    case STR:
        return set_str(c, k, text);
    case INT:
        return jl_parse_i64(text, (int64_t) k->lo, (int64_t) k->hi, jd_key_field(c, k));
    case BOOL:
        return set_bool(NULL, jd_key_field(c, k), text);
    case AUTO:
        return set_bool(jd_key_field(c, k), NULL, text);
    case DUR:
    case SIZE:
        r = k->type == DUR ? jl_parse_duration(text, &u) : jl_parse_size(text, &u);
        if (r < 0)
            return r;
        if (u < k->lo || u > k->hi)
            return -ERANGE;
        *(uint64_t *) jd_key_field(c, k) = u;
        return 0;
    case LIST:
        return set_words(c, k, text);
    }
    return -EINVAL;
}

const char *jd_key_wanted(const struct jd_key *k, char *buf, size_t size)
{
    switch (k->type) {
    case STR:
        return "text";
    case LIST:
        return "a list of texts";
    case BOOL:
        return "true or false";
    case AUTO:
        return "true, false or auto";
    case DUR:
        return "a duration such as 10s or 5m in its range";
    case SIZE:
        return "a size such as 64MB in its range";
    case INT:
        break;
    }
    snprintf(buf, size, "a whole number from %" PRIu64 " to %" PRIu64, k->lo, k->hi);
    return buf;
}

const struct jd_key *jd_key_find(const char *name)
{
    for (size_t i = 0; i < jd_n_keys; i++)
        if (strcmp(jd_keys[i].name, name) == 0)
            return &jd_keys[i];
    return NULL;
}

int jd_conf_defaults(struct jd_conf *c, struct jl_err *e)
{
    for (size_t i = 0; i < jd_n_keys; i++) {
        int r = jd_key_set(c, &jd_keys[i], jd_keys[i].def);

        if (r < 0)
            return jl_fail(e, -r, "default of %s", jd_keys[i].name);
    }
    return 0;
}

int jd_conf_env(struct jd_conf *c, char *const *env, struct jl_err *e)
{
    static const struct {
        const char *variable, *key;
    } table[] = {
        { "JOBLET_SERVER_ADDRESS", "server.address" },
        { "JOBLET_SERVER_PORT", "server.port" },
        { "JOBLET_LOG_LEVEL", "logging.level" },
        { "JOBLET_LOG_FORMAT", "logging.format" },
        { "JOBLET_NODE_ID", "server.nodeId" },
        { "JOBLET_MAX_JOBS", "joblet.maxConcurrentJobs" },
    };

    for (size_t i = 0; i < JL_COUNT(table); i++) {
        const char *value = jl_env_get(env, table[i].variable);
        const struct jd_key *k = jd_key_find(table[i].key);
        char buf[80];
        int r;

        if (!value || *value == '\0')
            continue;
        r = jd_key_set(c, k, value);
        if (r < 0)
            return jl_refuse(e, -r, "environment variable %s: '%.60s' is not %s", table[i].variable,
                             value, jd_key_wanted(k, buf, sizeof buf));
    }
    return 0;
}

void jd_conf_done(struct jd_conf *c)
{
    for (size_t i = 0; i < jd_n_keys; i++) {
        if (jd_keys[i].type == STR) {
            char *s = *(char **) jd_key_field(c, &jd_keys[i]);

            if (s && strcmp(jd_keys[i].name, "security.serverKey") == 0)
                explicit_bzero(s, strlen(s));
            free(s);
        } else if (jd_keys[i].type == LIST) {
            jl_strv_clear(jd_key_field(c, &jd_keys[i]));
        }
    }
    free(c->file);
    free(c->state_dir);
    free(c->run_dir);
    free(c->cgroup_path);
    jl_strv_clear(&c->networks);
    jl_strv_clear(&c->notes);
    *c = (struct jd_conf){ 0 };
}

/* In double quotes, which carry any text, line breaks of PEM included. */
static int dump_str(struct jl_buf *out, const char *s)
{
    int r = jl_buf_putc(out, '"');

    for (; *s != '\0' && r == 0; s++) {
        if (*s == '\n')
            r = jl_buf_puts(out, "\\n");
        else if ((unsigned char) *s < 0x20 || *s == 0x7f)
            r = jl_buf_printf(out, "\\x%02x", (unsigned char) *s);
        else if (*s == '"' || *s == '\\')
            r = jl_buf_printf(out, "\\%c", *s);
        else
            r = jl_buf_putc(out, *s);
    }
    return r < 0 ? r : jl_buf_putc(out, '"');
}

static int dump_list(struct jl_buf *out, const struct jl_strv *v)
{
    int r = jl_buf_putc(out, '[');

    for (size_t i = 0; i < v->len && r == 0; i++) {
        if (i > 0)
            r = jl_buf_puts(out, ", ");
        if (r == 0)
            r = dump_str(out, v->items[i]);
    }
    return r < 0 ? r : jl_buf_putc(out, ']');
}

static int dump_value(struct jl_buf *out, const struct jd_conf *c, const struct jd_key *k)
{
    const void *p = jd_key_field(c, k);

    switch (k->type) {
    case STR:
        return dump_str(out, *(char *const *) p);
    case INT:
        return jl_buf_printf(out, "%" PRId64, *(const int64_t *) p);
    case BOOL:
        return jl_buf_puts(out, *(const bool *) p ? "true" : "false");
    case AUTO:
        return jl_buf_puts(out, *(const int *) p < 0 ? "auto"
                                : *(const int *) p   ? "true"
                                                     : "false");
    case DUR:
        return jl_buf_printf(out, "%" PRIu64 "ms", *(const uint64_t *) p / JL_NS_PER_MS);
    case SIZE:
        return jl_buf_printf(out, "%" PRIu64, *(const uint64_t *) p);
    case LIST:
        return dump_list(out, p);
    }
    return -EINVAL;
}

int jd_conf_dump(const struct jd_conf *c, struct jl_buf *out)
{
    const char *before = "";

    for (size_t i = 0; i < jd_n_keys; i++) {
        const char *name = jd_keys[i].name, *part = name, *dot;
        unsigned depth = 0;
        int r = 0;

        if (strcmp(name, "security.serverKey") == 0)
            continue;
        for (; (dot = strchr(part, '.')) && r == 0; part = dot + 1, depth++)
            if (strncmp(before, name, (size_t) (dot - name) + 1) != 0)
                r = jl_buf_printf(out, "%*s%.*s:\n", (int) depth * 2, "", (int) (dot - part), part);
        if (r == 0)
            r = jl_buf_printf(out, "%*s%s: ", (int) depth * 2, "", part);
        if (r == 0)
            r = dump_value(out, c, &jd_keys[i]);
        if (r == 0)
            r = jl_buf_putc(out, '\n');
        if (r < 0)
            return r;
        before = name;
    }
    return 0;
}
