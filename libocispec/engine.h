/*
 * engine.h - between the tables that gen.py makes and engine.c, which reads, writes and frees
 * every struct by them. Not for users of the library.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
