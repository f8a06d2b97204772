/*
 * engine.c - reads, writes and frees OCI structs by the tables that gen.py makes (engine.h).
 * Recursion is as deep as the schema, never as deep as the input.
 */
#include "engine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "ocispec.h"

/* Members are reached through these, whatever struct they point to. */
typedef void *any_ptr __attribute__((may_alias));

struct any_entry {
    char *key;
    any_ptr value;
} __attribute__((may_alias));

_Static_assert(sizeof(struct any_entry) == sizeof(struct oci_rdma_entry), "same shape");
_Static_assert(offsetof(struct any_entry, value) == offsetof(struct oci_rdma_entry, value),
               "same shape");

/* Where in the document we are; frames live on the stack, the text is made when it is needed. */
struct path {
    const struct path *up;
    const char *key; /* NULL: an index */
    size_t index;
};

struct reading {
    const struct oci_parse_opts *opts;
    struct jl_err *e;
};

static void *at(const void *base, size_t offset)
{
    return (char *) base + offset;
}

static any_ptr *ptr_at(const void *base, const struct oci_field *f)
{
    return at(base, f->offset);
}

static size_t *count_at(const void *base, const struct oci_field *f)
{
    return at(base, f->flag);
}

static bool is_word(const char *s)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

    return *s != '\0' && s[strspn(s, plain)] == '\0';
}

/* linux.namespaces[2].type, annotations["org.example"] */
static void render(const struct path *p, struct jl_buf *b)
{
    if (!p)
        return;
    render(p->up, b);
    if (!p->key)
        jl_buf_printf(b, "[%zu]", p->index);
    else if (is_word(p->key))
        jl_buf_printf(b, "%s%s", b->len > 0 ? "." : "", p->key);
    else
        jl_buf_printf(b, "[\"%.200s\"]", p->key);
}

/* "<path>: <why>"; the path is the error's object as well. */
__attribute__((format(printf, 4, 5))) static int refuse(struct jl_err *e, int code,
                                                        const struct path *p, const char *fmt, ...)
{
    _buf_ struct jl_buf where = JL_BUF_INIT(4096);
    char why[JL_ERR_TEXT_MAX];
    va_list ap;

    render(p, &where);
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    if (where.len == 0)
        return jl_refuse(e, code, "%s", why);
    jl_refuse(e, code, "%.300s: %s", where.data, why);
    snprintf(e->object, sizeof e->object, "%s", where.data);
    return -code;
}

static int no_memory(struct jl_err *e)
{
    return jl_fail(e, ENOMEM, "hold the OCI document");
}

/* ---- reading ---- */

static int wrong_kind(struct reading *rd, const struct jl_json *v, enum jl_json_kind want,
                      const struct path *p)
{
    return refuse(rd->e, EINVAL, p, "is %s, must be %s", jl_json_kind_name(v->kind),
                  jl_json_kind_name(want));
}

static int read_string(struct reading *rd, const struct jl_json *v, const struct path *p,
                       char **ret)
{
    if (v->kind != JL_JSON_STRING)
        return wrong_kind(rd, v, JL_JSON_STRING, p);
    *ret = strdup(v->text);
    return *ret ? 0 : no_memory(rd->e);
}

static int check_words(struct reading *rd, const char *s, const char *const *words,
                       const struct path *p)
{
    _buf_ struct jl_buf list = JL_BUF_INIT(512);

    for (size_t i = 0; words[i]; i++)
        if (strcmp(s, words[i]) == 0)
            return 0;
    for (size_t i = 0; words[i]; i++)
        if (words[i][0] != '\0')
            jl_buf_printf(&list, "%s%s", i > 0 ? ", " : "", words[i]);
    return refuse(rd->e, EINVAL, p, "'%.60s' is not known; allowed: %s", s,
                  list.data ? list.data : "");
}

static int bad_number(struct reading *rd, int r, const struct jl_json *v, const struct path *p,
                      const char *range)
{
    if (r == -ERANGE)
        return refuse(rd->e, EINVAL, p, "%.40s is out of range; allowed: %s", v->text, range);
    if (v->kind != JL_JSON_NUMBER)
        return wrong_kind(rd, v, JL_JSON_NUMBER, p);
    return refuse(rd->e, EINVAL, p, "%.40s is not a whole number", v->text);
}

static int read_signed(struct reading *rd, const struct jl_json *v, const struct path *p,
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

static int read_unsigned(struct reading *rd, const struct jl_json *v, const struct path *p,
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
                       const struct path *p, any_ptr *ret);

/* Everything below hangs what it makes into the struct at once, so that a failure later on leaves
 * nothing that oci_type_free() does not find. */

static int read_strings(struct reading *rd, const struct oci_field *f, const struct jl_json *v,
                        const struct path *p, void *base)
{
    char **list = calloc((size_t) v->len + 1, sizeof *list);
    struct path here = { .up = p };

    if (!list)
        return no_memory(rd->e);
    *(char ***) at(base, f->offset) = list;
    JL_JSON_FOREACH(item, v)
    {
        int r = read_string(rd, item, &here, &list[here.index]);

        if (r < 0)
            return r;
        *count_at(base, f) = ++here.index;
    }
    return 0;
}

static int read_numbers(struct reading *rd, const struct oci_field *f, const struct jl_json *v,
                        const struct path *p, void *base)
{
    uint32_t *list = calloc((size_t) v->len + 1, sizeof *list);
    struct path here = { .up = p };

    if (!list)
        return no_memory(rd->e);
    *(uint32_t **) at(base, f->offset) = list;
    JL_JSON_FOREACH(item, v)
    {
        int r = read_unsigned(rd, item, &here, OCI_UINT32, &list[here.index]);

        if (r < 0)
            return r;
        *count_at(base, f) = ++here.index;
    }
    return 0;
}

static int read_objects(struct reading *rd, const struct oci_field *f, const struct jl_json *v,
                        const struct path *p, void *base)
{
    any_ptr *list = calloc((size_t) v->len + 1, sizeof *list);
    struct path here = { .up = p };

    if (!list)
        return no_memory(rd->e);
    *ptr_at(base, f) = list;
    JL_JSON_FOREACH(item, v)
    {
        int r = read_struct(rd, f->sub, item, &here, &list[here.index]);

        if (r < 0)
            return r;
        *count_at(base, f) = ++here.index;
    }
    return 0;
}

static int read_map(struct reading *rd, const struct oci_field *f, const struct jl_json *v,
                    const struct path *p, void *base)
{
    struct any_entry *list = calloc((size_t) v->len + 1, sizeof *list);
    size_t *n = count_at(base, f);

    if (!list)
        return no_memory(rd->e);
    *ptr_at(base, f) = list;
    JL_JSON_FOREACH(item, v)
    {
        struct any_entry *entry = &list[*n];
        struct path here = { .up = p, .key = item->key };
        char *text = NULL;
        int r;

        entry->key = strdup(item->key);
        if (!entry->key)
            return no_memory(rd->e);
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
                      const struct path *p, void *base)
{
    char **text = at(base, f->offset);
    int r;

    switch ((enum oci_kind) f->kind) {
    case OCI_STRING:
        r = read_string(rd, v, p, text);
        return r == 0 && f->words ? check_words(rd, *text, f->words, p) : r;
    case OCI_BOOL:
        if (jl_json_bool(v, at(base, f->offset)) < 0)
            return wrong_kind(rd, v, JL_JSON_BOOL, p);
        return 0;
    case OCI_INT32:
    case OCI_INT64:
        return read_signed(rd, v, p, f->kind, at(base, f->offset));
    case OCI_UINT16:
    case OCI_UINT32:
    case OCI_UINT64:
        return read_unsigned(rd, v, p, f->kind, at(base, f->offset));
    case OCI_OBJECT:
        return read_struct(rd, f->sub, v, p, ptr_at(base, f));
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
    return refuse(rd->e, EINVAL, p, "has a kind the library does not know");
}

static int unknown_key(struct reading *rd, const struct path *p)
{
    struct oci_unknown *u = rd->opts->unknown;
    struct jl_buf where = JL_BUF_INIT(4096);

    if (rd->opts->strict)
        return refuse(rd->e, EINVAL, p, "is not a known key");
    if (!u)
        return 0;
    if (u->n == OCI_UNKNOWN_MAX) {
        u->more++;
        return 0;
    }
    render(p, &where);
    u->paths[u->n] = jl_buf_take(&where);
    if (!u->paths[u->n])
        return no_memory(rd->e);
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

/* A number or boolean that may be absent has a bool for its flag. */
static bool has_flag(const struct oci_field *f)
{
    return f->flag != OCI_NO_FLAG && f->kind < OCI_OBJECT;
}

static int read_members(struct reading *rd, const struct oci_type *type, const struct jl_json *v,
                        const struct path *p, void *base)
{
    uint64_t seen = 0;

    JL_JSON_FOREACH(m, v)
    {
        const struct oci_field *f = find(type, m->key);
        struct path here = { .up = p, .key = m->key };
        int r;

        if (f && m->kind == JL_JSON_NULL)
            continue; /* as absent: Go programs write it for what they leave out */
        r = f ? read_value(rd, f, m, &here, base) : unknown_key(rd, &here);
        if (r < 0)
            return r;
        if (f)
            seen |= UINT64_C(1) << (f - type->fields);
        if (f && has_flag(f))
            *(bool *) at(base, f->flag) = true;
    }
    for (size_t i = 0; i < type->n_fields; i++) {
        struct path here = { .up = p, .key = type->fields[i].key };

        if (type->fields[i].required && !(seen >> i & 1))
            return refuse(rd->e, EINVAL, &here, "is missing, it is required");
    }
    return 0;
}

static int read_struct(struct reading *rd, const struct oci_type *type, const struct jl_json *v,
                       const struct path *p, any_ptr *ret)
{
    void *base;
    int r;

    if (v->kind != JL_JSON_OBJECT && !p)
        return refuse(rd->e, EINVAL, p, "the document is %s, must be an object",
                      jl_json_kind_name(v->kind));
    if (v->kind != JL_JSON_OBJECT)
        return wrong_kind(rd, v, JL_JSON_OBJECT, p);
    base = calloc(1, type->size);
    if (!base)
        return no_memory(rd->e);
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
    any_ptr made = NULL;
    int r = jl_json_parse(text, len, &lim, &root, e);

    if (r < 0)
        return r;
    r = read_struct(&rd, type, root, NULL, &made);
    if (r == 0)
        *ret = made;
    return r;
}

/* ---- writing ---- */

struct writing {
    struct jl_json_out out;
    struct jl_err *e;
};

static int write_struct(struct writing *wr, const char *key, const struct oci_type *type,
                        const void *base, const struct path *p);

static int write_list(struct writing *wr, const struct oci_field *f, const void *base,
                      const struct path *p)
{
    struct path here = { .up = p };
    size_t n = *count_at(base, f);
    int r = 0;

    jl_json_put_array(&wr->out, f->key);
    for (; here.index < n && r == 0; here.index++) {
        if (f->kind == OCI_UINT32S) {
            jl_json_put_u64(&wr->out, NULL, ((uint32_t *) *ptr_at(base, f))[here.index]);
        } else if (!((any_ptr *) *ptr_at(base, f))[here.index]) {
            r = refuse(wr->e, EINVAL, &here, "is a null pointer");
        } else if (f->kind == OCI_STRINGS) {
            jl_json_put_str(&wr->out, NULL, ((any_ptr *) *ptr_at(base, f))[here.index]);
        } else {
            r = write_struct(wr, NULL, f->sub, ((any_ptr *) *ptr_at(base, f))[here.index], &here);
        }
    }
    jl_json_end(&wr->out);
    return r;
}

static int write_map(struct writing *wr, const struct oci_field *f, const void *base,
                     const struct path *p)
{
    const struct any_entry *list = *ptr_at(base, f);
    size_t n = *count_at(base, f);
    int r = 0;

    jl_json_put_object(&wr->out, f->key);
    for (size_t i = 0; i < n && r == 0; i++) {
        struct path here = { .up = p, .key = list[i].key };

        if (!list[i].key || !list[i].value)
            r = refuse(wr->e, EINVAL, p, "entry %zu has a null pointer", i);
        else if (f->kind == OCI_STRING_MAP)
            jl_json_put_str(&wr->out, list[i].key, list[i].value);
        else
            r = write_struct(wr, list[i].key, f->sub, list[i].value, &here);
    }
    jl_json_end(&wr->out);
    return r;
}

static int write_value(struct writing *wr, const struct oci_field *f, const void *base,
                       const struct path *p)
{
    const void *value = at(base, f->offset);

    switch ((enum oci_kind) f->kind) {
    case OCI_STRING:
        jl_json_put_str(&wr->out, f->key, *(char *const *) value);
        return 0;
    case OCI_BOOL:
        jl_json_put_bool(&wr->out, f->key, *(const bool *) value);
        return 0;
    case OCI_INT32:
        jl_json_put_i64(&wr->out, f->key, *(const int32_t *) value);
        return 0;
    case OCI_INT64:
        jl_json_put_i64(&wr->out, f->key, *(const int64_t *) value);
        return 0;
    case OCI_UINT16:
        jl_json_put_u64(&wr->out, f->key, *(const uint16_t *) value);
        return 0;
    case OCI_UINT32:
        jl_json_put_u64(&wr->out, f->key, *(const uint32_t *) value);
        return 0;
    case OCI_UINT64:
        jl_json_put_u64(&wr->out, f->key, *(const uint64_t *) value);
        return 0;
    case OCI_OBJECT:
        return write_struct(wr, f->key, f->sub, *ptr_at(base, f), p);
    case OCI_STRINGS:
    case OCI_UINT32S:
    case OCI_OBJECTS:
        return write_list(wr, f, base, p);
    case OCI_STRING_MAP:
    case OCI_OBJECT_MAP:
        return write_map(wr, f, base, p);
    }
    return refuse(wr->e, EINVAL, p, "has a kind the library does not know");
}

static bool present(const struct oci_field *f, const void *base)
{
    if (has_flag(f))
        return *(bool *) at(base, f->flag);
    if (f->kind == OCI_STRING || f->kind >= OCI_OBJECT)
        return *ptr_at(base, f) != NULL;
    return true;
}

static int write_struct(struct writing *wr, const char *key, const struct oci_type *type,
                        const void *base, const struct path *p)
{
    jl_json_put_object(&wr->out, key);
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct oci_field *f = &type->fields[i];
        struct path here = { .up = p, .key = f->key };
        int r;

        if (!present(f, base)) {
            if (f->required)
                return refuse(wr->e, EINVAL, &here, "is missing, it is required");
            continue;
        }
        r = write_value(wr, f, base, &here);
        if (r < 0)
            return r;
        if (wr->out.failed)
            return refuse(wr->e, -wr->out.failed, &here, "cannot be written: %s",
                          wr->out.failed == -EILSEQ ? "not UTF-8" : strerror(-wr->out.failed));
    }
    jl_json_end(&wr->out);
    return 0;
}

int oci_type_write(const struct oci_type *type, const void *x, unsigned indent, struct jl_buf *out,
                   struct jl_err *e)
{
    struct writing wr = { .out = JL_JSON_OUT_INIT(out, indent), .e = e };
    int r = write_struct(&wr, NULL, type, x, NULL);

    if (r < 0)
        return r;
    r = jl_json_finish(&wr.out);
    if (r == 0 && indent > 0)
        r = jl_buf_putc(out, '\n');
    return r < 0 ? jl_fail(e, -r, "write the OCI document") : 0;
}

/* ---- freeing and building ---- */

static void free_map(const struct oci_field *f, struct any_entry *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(list[i].key);
        if (f->kind == OCI_STRING_MAP)
            free(list[i].value);
        else
            oci_type_free(f->sub, list[i].value);
    }
    free(list);
}

static void free_list(const struct oci_field *f, any_ptr *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (f->kind == OCI_STRINGS)
            free(list[i]);
        else
            oci_type_free(f->sub, list[i]);
    }
    free(list);
}

void oci_type_free(const struct oci_type *type, void *x)
{
    if (!x)
        return;
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct oci_field *f = &type->fields[i];

        switch ((enum oci_kind) f->kind) {
        case OCI_BOOL:
        case OCI_INT32:
        case OCI_INT64:
        case OCI_UINT16:
        case OCI_UINT32:
        case OCI_UINT64:
            break;
        case OCI_STRING:
        case OCI_UINT32S:
            free(*ptr_at(x, f));
            break;
        case OCI_OBJECT:
            oci_type_free(f->sub, *ptr_at(x, f));
            break;
        case OCI_STRINGS:
        case OCI_OBJECTS:
            free_list(f, *ptr_at(x, f), *count_at(x, f));
            break;
        case OCI_STRING_MAP:
        case OCI_OBJECT_MAP:
            free_map(f, *ptr_at(x, f), *count_at(x, f));
            break;
        }
    }
    free(x);
}

int oci_strings_add(char ***list, size_t *n, const char *s)
{
    char **more = realloc(*list, (*n + 2) * sizeof *more);

    if (!more)
        return -ENOMEM;
    *list = more;
    more[*n] = strdup(s);
    if (!more[*n])
        return -ENOMEM;
    more[++*n] = NULL;
    return 0;
}

int oci_kv_add(struct oci_kv **map, size_t *n, const char *key, const char *value)
{
    struct oci_kv *more = realloc(*map, (*n + 1) * sizeof *more);
    struct oci_kv added;

    if (!more)
        return -ENOMEM;
    *map = more;
    added.key = strdup(key);
    added.value = strdup(value);
    if (!added.key || !added.value) {
        free(added.key);
        free(added.value);
        return -ENOMEM;
    }
    more[(*n)++] = added;
    return 0;
}

const char *oci_kv_get(const struct oci_kv *map, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(map[i].key, key) == 0)
            return map[i].value;
    return NULL;
}

void oci_unknown_clear(struct oci_unknown *u)
{
    for (size_t i = 0; i < u->n; i++)
        free(u->paths[i]);
    u->n = u->more = 0;
}
