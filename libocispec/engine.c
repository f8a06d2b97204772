/*
 * engine.c - what reading and writing share (engine.h), freeing, and helpers for building.
 */
#include "engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "ocispec.h"

_Static_assert(sizeof(struct oci_any_entry) == sizeof(struct oci_rdma_entry), "same shape");
_Static_assert(sizeof(struct oci_any_entry) == sizeof(struct oci_kv), "same shape");
_Static_assert(offsetof(struct oci_any_entry, value) == offsetof(struct oci_rdma_entry, value),
               "same shape");

static bool is_word(const char *s)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

    return *s != '\0' && s[strspn(s, plain)] == '\0';
}

/* Control bytes become '?': a key comes from outside and the path ends on somebody's terminal. */
void oci_path_render(const struct oci_path *p, struct jl_buf *b)
{
    size_t start;

    if (!p)
        return;
    oci_path_render(p->up, b);
    start = b->len;
    if (!p->key)
        jl_buf_printf(b, "[%zu]", p->index);
    else if (is_word(p->key))
        jl_buf_printf(b, "%s%s", b->len > 0 ? "." : "", p->key);
    else
        jl_buf_printf(b, "[\"%.200s\"]", p->key);
    for (size_t i = start; i < b->len; i++)
        if ((unsigned char) b->data[i] < 0x20 || b->data[i] == 0x7f)
            b->data[i] = '?';
}

int oci_refuse(struct jl_err *e, int code, const struct oci_path *p, const char *fmt, ...)
{
    _buf_ struct jl_buf where = JL_BUF_INIT(4096);
    char why[JL_ERR_TEXT_MAX];
    va_list ap;

    oci_path_render(p, &where);
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    if (where.len == 0)
        return jl_refuse(e, code, "%s", why);
    jl_refuse(e, code, "%.300s: %s", where.data, why);
    snprintf(e->object, sizeof e->object, "%s", where.data);
    return -code;
}

int oci_no_memory(struct jl_err *e)
{
    return jl_fail(e, ENOMEM, "hold the OCI document");
}

static void free_map(const struct oci_field *f, struct oci_any_entry *list, size_t n)
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

static void free_list(const struct oci_field *f, oci_any *list, size_t n)
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
            free(*oci_ptr(x, f));
            break;
        case OCI_OBJECT:
            oci_type_free(f->sub, *oci_ptr(x, f));
            break;
        case OCI_STRINGS:
        case OCI_OBJECTS:
            free_list(f, *oci_ptr(x, f), *oci_count(x, f));
            break;
        case OCI_STRING_MAP:
        case OCI_OBJECT_MAP:
            free_map(f, *oci_ptr(x, f), *oci_count(x, f));
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
