/*
 * engine.h - between the tables that gen.py makes and engine.c, which reads, writes and frees
 * every struct by them. Not for users of the library.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct jl_buf;
struct jl_err;

enum oci_kind {
    OCI_STRING, /* char * */
    OCI_BOOL,   /* bool, and has_ unless flag is OCI_NO_FLAG; likewise the integers */
    OCI_INT32,
    OCI_INT64,
    OCI_UINT16,
    OCI_UINT32,
    OCI_UINT64,
    OCI_OBJECT,     /* struct * */
    OCI_STRINGS,    /* char **, and n_ */
    OCI_UINT32S,    /* uint32_t *, and n_ */
    OCI_OBJECTS,    /* struct **, and n_ */
    OCI_STRING_MAP, /* struct oci_kv *, and n_ */
    OCI_OBJECT_MAP, /* struct { char *key; struct *value; } *, and n_ */
};

#define OCI_NO_FLAG UINT16_MAX

struct oci_field {
    const char *key;            /* JSON name */
    const struct oci_type *sub; /* what the object, array or map holds; else NULL */
    const char *const *words;   /* the strings that are allowed, up to NULL; NULL: any */
    uint16_t offset;            /* of the value in its struct, bytes */
    uint16_t flag;              /* of its has_ or n_, bytes, or OCI_NO_FLAG */
    uint8_t kind;               /* enum oci_kind */
    bool required;
};

struct oci_type {
    const char *name;
    const struct oci_field *fields;
    uint16_t n_fields; /* at most 64 */
    uint16_t size;     /* of the struct, bytes */
};

/* Members are reached through these, whatever struct they point to. */
typedef void *oci_any __attribute__((may_alias));

struct oci_any_entry {
    char *key;
    oci_any value;
} __attribute__((may_alias));

static inline void *oci_at(const void *base, size_t offset)
{
    return (char *) base + offset;
}

static inline oci_any *oci_ptr(const void *base, const struct oci_field *f)
{
    return (oci_any *) oci_at(base, f->offset);
}

static inline size_t *oci_count(const void *base, const struct oci_field *f)
{
    return (size_t *) oci_at(base, f->flag);
}

/* A number or boolean that may be absent has a bool for its flag. */
static inline bool oci_has_flag(const struct oci_field *f)
{
    return f->flag != OCI_NO_FLAG && f->kind < OCI_OBJECT;
}

/* Where in the document we are; frames live on the stack, the text is made when it is needed. */
struct oci_path {
    const struct oci_path *up;
    const char *key; /* NULL: an index */
    size_t index;
};

/* Appends "linux.namespaces[2].type" or "annotations["org.example"]". */
void oci_path_render(const struct oci_path *p, struct jl_buf *b);

/* Fills e with "<path>: <text>"; the path is the error's object as well. Returns -code. */
int oci_refuse(struct jl_err *e, int code, const struct oci_path *p, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
int oci_no_memory(struct jl_err *e);
