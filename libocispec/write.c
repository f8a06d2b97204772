/*
 * write.c - OCI structs into JSON, by the tables of engine.h. What a struct holds decides what is
 * written, in the order of the schema.
 */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "engine.h"
#include "ocispec.h"

struct writing {
    struct jl_json_out out;
    struct jl_err *e;
};

static int write_struct(struct writing *wr, const char *key, const struct oci_type *type,
                        const void *base, const struct oci_path *p);

static int write_list(struct writing *wr, const struct oci_field *f, const void *base,
                      const struct oci_path *p)
{
    struct oci_path here = { .up = p };
    size_t n = *oci_count(base, f);
    int r = 0;

    jl_json_put_array(&wr->out, f->key);
    for (; here.index < n && r == 0; here.index++) {
        if (f->kind == OCI_UINT32S) {
            jl_json_put_u64(&wr->out, NULL, ((uint32_t *) *oci_ptr(base, f))[here.index]);
        } else if (!((oci_any *) *oci_ptr(base, f))[here.index]) {
            r = oci_refuse(wr->e, EINVAL, &here, "is a null pointer");
        } else if (f->kind == OCI_STRINGS) {
            jl_json_put_str(&wr->out, NULL, ((oci_any *) *oci_ptr(base, f))[here.index]);
        } else {
            r = write_struct(wr, NULL, f->sub, ((oci_any *) *oci_ptr(base, f))[here.index], &here);
        }
    }
    jl_json_end(&wr->out);
    return r;
}

static int write_map(struct writing *wr, const struct oci_field *f, const void *base,
                     const struct oci_path *p)
{
    const struct oci_any_entry *list = *oci_ptr(base, f);
    size_t n = *oci_count(base, f);
    int r = 0;

    jl_json_put_object(&wr->out, f->key);
    for (size_t i = 0; i < n && r == 0; i++) {
        struct oci_path here = { .up = p, .key = list[i].key };

        if (!list[i].key || !list[i].value)
            r = oci_refuse(wr->e, EINVAL, p, "entry %zu has a null pointer", i);
        else if (f->kind == OCI_STRING_MAP)
            jl_json_put_str(&wr->out, list[i].key, list[i].value);
        else
            r = write_struct(wr, list[i].key, f->sub, list[i].value, &here);
    }
    jl_json_end(&wr->out);
    return r;
}

static int write_value(struct writing *wr, const struct oci_field *f, const void *base,
                       const struct oci_path *p)
{
    const void *value = oci_at(base, f->offset);

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
        return write_struct(wr, f->key, f->sub, *oci_ptr(base, f), p);
    case OCI_STRINGS:
    case OCI_UINT32S:
    case OCI_OBJECTS:
        return write_list(wr, f, base, p);
    case OCI_STRING_MAP:
    case OCI_OBJECT_MAP:
        return write_map(wr, f, base, p);
    }
    return oci_refuse(wr->e, EINVAL, p, "has a kind the library does not know");
}

static bool present(const struct oci_field *f, const void *base)
{
    if (oci_has_flag(f))
        return *(bool *) oci_at(base, f->flag);
    if (f->kind == OCI_STRING || f->kind >= OCI_OBJECT)
        return *oci_ptr(base, f) != NULL;
    return true;
}

static int write_struct(struct writing *wr, const char *key, const struct oci_type *type,
                        const void *base, const struct oci_path *p)
{
    jl_json_put_object(&wr->out, key);
    for (size_t i = 0; i < type->n_fields; i++) {
        const struct oci_field *f = &type->fields[i];
        struct oci_path here = { .up = p, .key = f->key };
        int r;

        if (!present(f, base)) {
            if (f->required)
                return oci_refuse(wr->e, EINVAL, &here, "is missing, it is required");
            continue;
        }
        r = write_value(wr, f, base, &here);
        if (r < 0)
            return r;
        if (wr->out.failed)
            return oci_refuse(wr->e, -wr->out.failed, &here, "cannot be written: %s",
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
