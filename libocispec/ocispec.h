/*
 * ocispec.h - OCI runtime documents as C structs: config.json, the process of `exec`, the resources
 * of `update`, a seccomp profile, and the state. Linux properties of runtime-spec 1.3.
 *
 * How JSON becomes C (oci.schema lists every property, gen.py makes oci_spec.h from it):
 *   names     the JSON key in snake_case: cgroupsPath is cgroups_path, hostID is host_id
 *   string    char *x; NULL when absent
 *   scalar    bool has_x; T x; for numbers and booleans. Required ones have no has_x, nor do
 *             user.uid and user.gid, where absent means 0.
 *   object    struct oci_foo *x; NULL when absent
 *   array     T *x, char **x (ends in NULL too) or struct oci_foo **x, and size_t n_x;
 *             x is NULL when absent and not NULL when empty
 *   map       struct oci_kv *x or struct oci_foo_entry *x, and size_t n_x; likewise
 * null in JSON means absent.
 *
 * Everything a parsed struct points to is malloc'ed on its own, so members can be replaced, added
 * and freed one by one; oci_<document>_free() takes the rest. A struct that is only written may
 * as well be built from borrowed or static memory.
 *
 * Nothing here blocks, logs or needs a privilege.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct jl_buf;
struct jl_err;
struct oci_type;

#define OCI_UNKNOWN_MAX 64 /* paths that are listed */
#define OCI_INDENT 4       /* spaces a level of oci_<document>_write() */

struct oci_kv {
    char *key;
    char *value;
};

/* JSON paths of keys that are in no schema; start with OCI_UNKNOWN_INIT. */
struct oci_unknown {
    char *paths[OCI_UNKNOWN_MAX]; /* "linux.foo", in document order */
    size_t n;                     /* how many of them are set */
    size_t more;                  /* how many further ones were met and not listed */
};

#define OCI_UNKNOWN_INIT                                                                           \
    {                                                                                              \
        .n = 0                                                                                     \
    }

struct oci_parse_opts {
    bool strict;                 /* an unknown key is an error; otherwise it is passed over */
    size_t max_bytes;            /* ceiling for the text; 0: 8 MiB (JL_JSON_MAX_BYTES) */
    unsigned max_depth;          /* ceiling for nesting; 0: 64, which is also the most */
    struct oci_unknown *unknown; /* where to list unknown keys; may be NULL */
};

/*
 * What oci_<document>_parse(text, len, opts, &ret, e) does. opts may be NULL. 0, or -EINVAL
 * (not JSON, or not this document), -EMSGSIZE (a ceiling), -ENOMEM, with e filled: the JSON path,
 * what was wrong, what is allowed ("linux.namespaces[2].type: 'nte' is not known; allowed are
 * pid, network, ..."). Checked: types, integer ranges, required properties, closed word lists.
 * Not checked: what needs the host or two properties at once.
 */
int oci_type_parse(const struct oci_type *type, const char *text, size_t len,
                   const struct oci_parse_opts *opts, void **ret, struct jl_err *e);

/*
 * What oci_<document>_write(x, out, e) (indented, newline at the end) and _write_compact(x, out, e)
 * (one line, no newline) do. Same properties in the same order whatever the input looked like.
 * 0, or -errno with e filled: -EINVAL a required property is missing, -EILSEQ a string is not
 * UTF-8, -EMSGSIZE the ceiling of out. out may hold half a document then.
 */
int oci_type_write(const struct oci_type *type, const void *x, unsigned indent, struct jl_buf *out,
                   struct jl_err *e);

/* What oci_<struct>_free(x) does. */
void oci_type_free(const struct oci_type *type, void *x);

/* For building: append a copy to a string array or a string map. 0 or -ENOMEM. */
int oci_strings_add(char ***list, size_t *n, const char *s);
int oci_kv_add(struct oci_kv **map, size_t *n, const char *key, const char *value);

/* The value of a key in annotations, sysctl, unified; NULL when it is not there. Borrowed. */
const char *oci_kv_get(const struct oci_kv *map, size_t n, const char *key);

void oci_unknown_clear(struct oci_unknown *u);

#include "oci_spec.h"

#define _oci_spec_ __attribute__((cleanup(oci_spec_freep)))
