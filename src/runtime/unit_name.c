/* unit_name.c - names of units, and the values of org.systemd.property.* annotations. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "os/cgroup.h"
#include "runtime/spec.h"
#include "runtime/unit.h"

#define ANNOTATION "org.systemd.property."

void rt_unit_of(const char *name, bool user, struct rt_unit *ret)
{
    *ret = (struct rt_unit){ .user = user };
    snprintf(ret->name, sizeof ret->name, "%s", name);
}

/* podman sets it for root too, to nothing. */
bool rt_unit_is_users(void)
{
    const char *uid = getenv("_CONTAINERS_ROOTLESS_UID");

    return geteuid() != 0 || (uid && *uid);
}

/* By systemd's own rule: it has cgroup v2 alone where that is what is at /sys/fs/cgroup
 * (cg_unified_cached() of its sources), whoever mounted v1 hierarchies beside it. */
bool rt_unit_is_v1(const struct os_cgroup_host *host)
{
    return host->mode != OS_CGROUP_V2 && strcmp(host->unified, "/sys/fs/cgroup") != 0;
}

/* Adds text to a name of n bytes, escaped as systemd-escape(1) does; the new length, or 0 when it
 * does not fit. */
static size_t add_escaped(char *name, size_t n, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool good = isalnum((unsigned char) text[i]) || strchr(":-_.", text[i]);
        size_t need = good ? 1 : 4;

        if (n + need >= RT_UNIT_NAME_MAX)
            return 0;
        if (good)
            name[n++] = text[i];
        else
            n += (size_t) snprintf(name + n, 5, "\\x%02x", (unsigned char) text[i]);
    }
    name[n] = '\0';
    return n;
}

static bool is_slice(const char *slice)
{
    size_t len = strlen(slice);

    if (strcmp(slice, "-.slice") == 0)
        return true;
    return len > 6 && len < RT_UNIT_NAME_MAX && strcmp(slice + len - 6, ".slice") == 0 &&
           slice[0] != '-' && slice[len - 7] != '-' && !strstr(slice, "--") &&
           strspn(slice, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\") ==
               len;
}

static int refuse_path(const char *path, struct jl_err *e)
{
    return jl_refuse(e, EINVAL,
                     "linux.cgroupsPath: expected \"slice:prefix:name\" for systemd cgroups, got "
                     "'%s' instead",
                     path);
}

int rt_unit_name(const char *path, const char *id, bool user, struct rt_unit *ret, struct jl_err *e)
{
    const char *first, *second;
    size_t n, prefix;

    *ret = (struct rt_unit){ .user = user };
    if (!path)
        path = "";
    first = strchr(path, ':');
    second = first ? strchr(first + 1, ':') : NULL;
    if (*path != '\0' && (!second || strchr(second + 1, ':') || second[1] == '\0'))
        return refuse_path(path, e);
    n = first ? (size_t) (first - path) : 0;
    if (n >= sizeof ret->slice)
        return refuse_path(path, e);
    memcpy(ret->slice, path, n);
    if (n == 0)
        snprintf(ret->slice, sizeof ret->slice, user ? "user.slice" : "system.slice");
    if (!is_slice(ret->slice))
        return jl_refuse(e, EINVAL, "linux.cgroupsPath: '%s' is no name of a slice (\"a-b.slice\")",
                         ret->slice);
    prefix = first ? (size_t) (second - first - 1) : strlen("joblet");
    n = add_escaped(ret->name, 0, first ? first + 1 : "joblet", prefix);
    if (n > 0 || prefix == 0) {
        if (prefix > 0)
            n = add_escaped(ret->name, n, "-", 1);
        id = second ? second + 1 : id;
        n = n > 0 || prefix == 0 ? add_escaped(ret->name, n, id, strlen(id)) : 0;
    }
    if (n == 0 || n + strlen(".scope") >= sizeof ret->name)
        return jl_refuse(e, ENAMETOOLONG,
                         "linux.cgroupsPath: the unit's name is longer than %d bytes",
                         RT_UNIT_NAME_MAX - 1);
    memcpy(ret->name + n, ".scope", sizeof ".scope");
    return 0;
}

/* ---- values ---- */

static const char *skip_blanks(const char *p)
{
    return p + strspn(p, " \t");
}

/* 'text' or "text", with backslashes; *p is put behind it. */
static int take_string(const char **p, struct jl_strv *values)
{
    char quote = **p, *out, *to;
    int r;

    if (quote != '\'' && quote != '"')
        return -EINVAL;
    out = to = malloc(strlen(*p) + 1);
    if (!out)
        return -ENOMEM;
    for ((*p)++; **p != '\0' && **p != quote; (*p)++) {
        if (**p == '\\' && (*p)[1] != '\0')
            (*p)++;
        *to++ = **p;
    }
    *to = '\0';
    r = **p == quote ? jl_strv_add(values, out) : -EINVAL;
    *p += **p == quote;
    free(out);
    return r < 0 ? r : 0;
}

static int take_number(const char **p, char type, struct jl_strv *values)
{
    const char *start = *p, *digits = start + (*start == '-' || *start == '+');
    size_t len = strspn(digits, type == 'd' ? "0123456789.eE+-" : "0123456789");
    _free_ char *text = strndup(start, (size_t) (digits - start) + len);

    if (!text)
        return -ENOMEM;
    if (len == 0 || len > 20 || (*start == '-' && strchr("yqut", type)))
        return -EINVAL;
    *p = digits + len;
    return jl_strv_add(values, text) < 0 ? -ENOMEM : 0;
}

static int take_strings(const char *p, const char **end, struct jl_strv *values)
{
    int r = 0;

    p = skip_blanks(p + 1);
    while (*p != ']' && r == 0) {
        r = take_string(&p, values);
        p = skip_blanks(p);
        if (r == 0 && *p == ',')
            p = skip_blanks(p + 1);
        else if (*p != ']')
            r = r < 0 ? r : -EINVAL;
    }
    *end = p + (*p == ']');
    return r;
}

int rt_unit_value(const char *text, char type[3], struct jl_strv *values)
{
    static const struct {
        const char *word;
        char type;
    } words[] = {
        { "byte ", 'y' },   { "int16 ", 'n' }, { "uint16 ", 'q' }, { "int32 ", 'i' },
        { "uint32 ", 'u' }, { "int64 ", 'x' }, { "uint64 ", 't' }, { "double ", 'd' },
    };
    const char *p = skip_blanks(text);
    int r = -EINVAL;

    memcpy(type, "i\0", 3);
    for (size_t i = 0; i < JL_COUNT(words); i++)
        if (strncmp(p, words[i].word, strlen(words[i].word)) == 0) {
            type[0] = words[i].type;
            p = skip_blanks(p + strlen(words[i].word));
            break;
        }
    if (strncmp(p, "@as ", 4) == 0)
        p = skip_blanks(p + 4);
    if (*p == '[') {
        memcpy(type, "as", 3);
        r = take_strings(p, &p, values);
    } else if (*p == '\'' || *p == '"') {
        type[0] = 's';
        r = take_string(&p, values);
    } else if (strcmp(p, "true") == 0 || strcmp(p, "false") == 0) {
        type[0] = 'b';
        r = jl_strv_add(values, p) < 0 ? -ENOMEM : 0;
        p += strlen(p);
    } else {
        r = take_number(&p, type[0], values);
    }
    return r < 0 ? r : *skip_blanks(p) == '\0' ? 0 : -EINVAL;
}

/* What the container stands on. */
static bool is_ours(const char *name)
{
    static const char *const ours[] = { "PIDs", "Slice", "Delegate" };

    for (size_t i = 0; i < JL_COUNT(ours); i++)
        if (strcmp(name, ours[i]) == 0)
            return true;
    return false;
}

int rt_unit_check_annotations(const struct rt_spec *s, struct jl_err *e)
{
    for (size_t i = 0; i < s->oci->n_annotations; i++) {
        const char *key = s->oci->annotations[i].key, *name = key + strlen(ANNOTATION);
        _strv_ struct jl_strv values = JL_STRV_INIT;
        char type[3];

        if (strncmp(key, ANNOTATION, strlen(ANNOTATION)) != 0)
            continue;
        if (strlen(name) < 3 || !isupper((unsigned char) *name) ||
            strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") !=
                strlen(name))
            return jl_refuse(e, EINVAL, "annotations.%s: is no name of a property", key);
        if (is_ours(name))
            return jl_refuse(e, EINVAL, "annotations.%s: is joblet-run's to set", key);
        if (rt_unit_value(s->oci->annotations[i].value, type, &values) < 0)
            return jl_refuse(e, EINVAL,
                             "annotations.%s: '%s', expected a value as GVariant writes it: true, "
                             "uint64 5, 'text', ['a', 'b']",
                             key, s->oci->annotations[i].value);
    }
    return 0;
}
