/*
 * read.c - JSON into OCI structs, by the tables of engine.h. Recursion is as deep as the schema,
 * never as deep as the input.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "engine.h"
#include "ocispec.h"

struct reading {
    const struct oci_parse_opts *opts;
    struct jl_err *e;
};

static int wrong_kind(struct reading *rd, const struct jl_json *v, enum jl_json_kind want,
                      const struct oci_path *p)
{
    return oci_refuse(rd->e, EINVAL, p, "is %s, must be %s", jl_json_kind_name(v->kind),
                      jl_json_kind_name(want));
}

static int read_string(struct reading *rd, const struct jl_json *v, const struct oci_path *p,
                       char **ret)
{
    if (v->kind != JL_JSON_STRING)
        return wrong_kind(rd, v, JL_JSON_STRING, p);
    *ret = strdup(v->text);
    return *ret ? 0 : oci_no_memory(rd->e);
}

static int check_words(struct reading *rd, const char *s, const char *const *words,
                       const struct oci_path *p)
{
    _buf_ struct jl_buf list = JL_BUF_INIT(512);

    for (size_t i = 0; words[i]; i++)
        if (strcmp(s, words[i]) == 0)
            return 0;
    for (size_t i = 0; words[i]; i++)
        if (words[i][0] != '\0')
            jl_buf_printf(&list, "%s%s", i > 0 ? ", " : "", words[i]);
    return oci_refuse(rd->e, EINVAL, p, "'%.60s' is not known; allowed: %s", s,
                      list.data ? list.data : "");
}

static int bad_number(struct reading *rd, int r, const struct jl_json *v, const struct oci_path *p,
                      const char *range)
{
    if (r == -ERANGE)
        return oci_refuse(rd->e, EINVAL, p, "%.40s is out of range; allowed: %s", v->text, range);
    if (v->kind != JL_JSON_NUMBER)
        return wrong_kind(rd, v, JL_JSON_NUMBER, p);
    return oci_refuse(rd->e, EINVAL, p, "%.40s is not a whole number", v->text);
}

static int read_signed(struct reading *rd, const struct jl_json *v, const struct oci_path *p,
                       enum oci_kind kind, void *ret)
{
    bool small = kind == OCI_INT32;
    int64_t n;
    int r = jl_json_i64(v, small ? INT32_MIN : INT64_MIN, small ? INT32_MAX : INT64_MAX, &n);

    if (r < 0)
        return bad_number(rd, r, v, p,
                          small ? "-2147483648 to 2147483647"
                                : "-9223372036854775808 to 9223372036854775807");
    if (small)
        *(int32_t *) ret = (int32_t) n;
    else
        *(int64_t *) ret = n;
    return 0;
}

static int read_unsigned(struct reading *rd, const struct jl_json *v, const struct oci_path *p,
                         enum oci_kind kind, void *ret)
{
    uint64_t hi = UINT64_MAX, n;
    const char *range = "0 to 18446744073709551615";
    int r;

    if (kind == OCI_UINT16) {
        hi = UINT16_MAX;
        range = "0 to 65535";
    } else if (kind == OCI_UINT32) {
        hi = UINT32_MAX;
        range = "0 to 4294967295";
    }
    r = jl_json_u64(v, hi, &n);
    if (r < 0)
        return bad_number(rd, r, v, p, range);
    if (kind == OCI_UINT16)
        *(uint16_t *) ret = (uint16_t) n;
    else if (kind == OCI_UINT32)
        *(uint32_t *) ret = (uint32_t) n;
    else
        *(uint64_t *) ret = n;
    return 0;
}

static int read_struct(struct reading *rd, const struct oci_type *type, const struct jl_json *v,
                       const struct oci_path *p, oci_any *ret);

/* Everything below hangs what it makes into the struct at once, so that a failure later on leaves
 * nothing that oci_type_free() does not find. */

static int read_strings(struct reading *rd, const struct oci_field *f, const struct jl_json *v,
                        const struct oci_path *p, void *base)
{
    char **list = calloc((size_t) v->len + 1, sizeof *list);
    struct oci_path here = { .up = p };

    if (!list)
        return oci_no_memory(rd->e);
    *(char ***) oci_at(base, f->offset) = list;
    JL_JSON_FOREACH(item, v)
    {
        int r = read_string(rd, item, &here, &list[here.index]);

        if (r < 0)
            return r;
        *oci_count(base, f) = ++here.index;
    }
    return 0;
}

static int read_numbers(struct reading *rd, const struct oci_field *f, const struct jl_json *v,
                        const struct oci_path *p, void *base)
{
    uint32_t *list = calloc((size_t) v->len + 1, sizeof *list);
    struct oci_path here = { .up = p };

    if (!list)
        return oci_no_memory(rd->e);
    *(uint32_t **) oci_at(base, f->offset) = list;
    JL_JSON_FOREACH(item, v)
    {
        int r = read_unsigned(rd, item, &here, OCI_UINT32, &list[here.index]);

        if (r < 0)
            return r;
        *oci_count(base, f) = ++here.index;
    }
    return 0;
}

static int read_objects(struct reading *rd, const struct oci_field *f, const struct jl_json *v,
                        const struct oci_path *p, void *base)
{
    oci_any *list = calloc((size_t) v->len + 1, sizeof *list);
    struct oci_path here = { .up = p };

    if (!list)
        return oci_no_memory(rd->e);
    *oci_ptr(base, f) = list;
    JL_JSON_FOREACH(item, v)
    {
        int r = read_struct(rd, f->sub, item, &here, &list[here.index]);

        if (r < 0)
            return r;
        *oci_count(base, f) = ++here.index;
    }
    return 0;
}

static int read_map(struct reading *rd, const struct oci_field *f, const struct jl_json *v,
                    const struct oci_path *p, void *base)
{
    struct oci_any_entry *list = calloc((size_t) v->len + 1, sizeof *list);
    size_t *n = oci_count(base, f);

    if (!list)
        return oci_no_memory(rd->e);
    *oci_ptr(base, f) = list;
    JL_JSON_FOREACH(item, v)
    {
        struct oci_any_entry *entry = &list[*n];
        struct oci_path here = { .up = p, .key = item->key };
        char *text = NULL;
        int r;

        entry->key = strdup(item->key);
        if (!entry->key)
            return oci_no_memory(rd->e);
        ++*n; /* from here on oci_type_free() frees the entry */
        if (f->kind == OCI_STRING_MAP) {
            r = read_string(rd, item, &here, &text);
            entry->value = text;
        } else {
            r = read_struct(rd, f->sub, item, &here, &entry->value);
        }
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_value(struct reading *rd, const struct oci_field *f, const struct jl_json *v,
                      const struct oci_path *p, void *base)
{
    char **text = oci_at(base, f->offset);
    int r;

    switch ((enum oci_kind) f->kind) {
    case OCI_STRING:
        r = read_string(rd, v, p, text);
        return r == 0 && f->words ? check_words(rd, *text, f->words, p) : r;
    case OCI_BOOL:
        if (jl_json_bool(v, oci_at(base, f->offset)) < 0)
            return wrong_kind(rd, v, JL_JSON_BOOL, p);
        return 0;
    case OCI_INT32:
    case OCI_INT64:
        return read_signed(rd, v, p, f->kind, oci_at(base, f->offset));
    case OCI_UINT16:
    case OCI_UINT32:
    case OCI_UINT64:
        return read_unsigned(rd, v, p, f->kind, oci_at(base, f->offset));
    case OCI_OBJECT:
        return read_struct(rd, f->sub, v, p, oci_ptr(base, f));
    case OCI_STRINGS:
    case OCI_UINT32S:
    case OCI_OBJECTS:
        if (v->kind != JL_JSON_ARRAY)
            return wrong_kind(rd, v, JL_JSON_ARRAY, p);
        if (f->kind == OCI_STRINGS)
            return read_strings(rd, f, v, p, base);
        return f->kind == OCI_OBJECTS ? read_objects(rd, f, v, p, base)
                                      : read_numbers(rd, f, v, p, base);
    case OCI_STRING_MAP:
    case OCI_OBJECT_MAP:
        if (v->kind != JL_JSON_OBJECT)
            return wrong_kind(rd, v, JL_JSON_OBJECT, p);
        return read_map(rd, f, v, p, base);
    }
    return oci_refuse(rd->e, EINVAL, p, "has a kind the library does not know");
}

static int unknown_key(struct reading *rd, const struct oci_path *p)
{
    struct oci_unknown *u = rd->opts->unknown;
    struct jl_buf where = JL_BUF_INIT(4096);

    if (rd->opts->strict)
        return oci_refuse(rd->e, EINVAL, p, "is not a known key");
    if (!u)
        return 0;
    if (u->n == OCI_UNKNOWN_MAX) {
        u->more++;
        return 0;
    }
    oci_path_render(p, &where);
    u->paths[u->n] = jl_buf_take(&where);
    if (!u->paths[u->n])
        return oci_no_memory(rd->e);
    u->n++;
    return 0;
}

static const struct oci_field *find(const struct oci_type *type, const char *key)
{
    for (size_t i = 0; i < type->n_fields; i++)
        if (strcmp(type->fields[i].key, key) == 0)
            return &type->fields[i];
    return NULL;
}
static int read_members(struct reading *rd, const struct oci_type *type, const struct jl_json *v,
                        const struct oci_path *p, void *base)
{
    uint64_t seen = 0;

    JL_JSON_FOREACH(m, v)
    {
        const struct oci_field *f = find(type, m->key);
        struct oci_path here = { .up = p, .key = m->key };
        int r;

        if (f && m->kind == JL_JSON_NULL)
            continue; /* as absent: Go programs write it for what they leave out */
        r = f ? read_value(rd, f, m, &here, base) : unknown_key(rd, &here);
        if (r < 0)
            return r;
        if (f)
            seen |= UINT64_C(1) << (f - type->fields);
        if (f && oci_has_flag(f))
            *(bool *) oci_at(base, f->flag) = true;
    }
    for (size_t i = 0; i < type->n_fields; i++) {
        struct oci_path here = { .up = p, .key = type->fields[i].key };

        if (type->fields[i].required && !(seen >> i & 1))
            return oci_refuse(rd->e, EINVAL, &here, "is missing, it is required");
    }
    return 0;
}

static int read_struct(struct reading *rd, const struct oci_type *type, const struct jl_json *v,
                       const struct oci_path *p, oci_any *ret)
{
    void *base;
    int r;

    if (v->kind != JL_JSON_OBJECT && !p)
        return oci_refuse(rd->e, EINVAL, p, "the document is %s, must be an object",
                          jl_json_kind_name(v->kind));
    if (v->kind != JL_JSON_OBJECT)
        return wrong_kind(rd, v, JL_JSON_OBJECT, p);
    base = calloc(1, type->size);
    if (!base)
        return oci_no_memory(rd->e);
    r = read_members(rd, type, v, p, base);
    if (r < 0) {
        oci_type_free(type, base);
        return r;
    }
    *ret = base;
    return 0;
}

int oci_type_parse(const struct oci_type *type, const char *text, size_t len,
                   const struct oci_parse_opts *opts, void **ret, struct jl_err *e)
{
    static const struct oci_parse_opts none = { 0 };
    struct reading rd = { .opts = opts ? opts : &none, .e = e };
    struct jl_json_limits lim = { .max_bytes = rd.opts->max_bytes,
                                  .max_depth = rd.opts->max_depth };
    _json_ struct jl_json *root = NULL;
    oci_any made = NULL;
    int r = jl_json_parse(text, len, &lim, &root, e);

    if (r < 0)
        return r;
    r = read_struct(&rd, type, root, NULL, &made);
    if (r == 0)
        *ret = made;
    return r;
}
