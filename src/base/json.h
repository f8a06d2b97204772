/*
 * json.h - JSON (RFC 8259) in and out, over yajl: a tree for reading, a writer for making.
 * Used by libocispec for whole documents and directly for small ones (state, --json output).
 *
 * Reading is strict: valid UTF-8, no NUL (raw or \u0000), no lone surrogate, no key twice in one
 * object, nothing after the value, and ceilings on bytes, depth and number of values. Numbers
 * stay text until a caller asks for an integer of a given range.
 *
 * Never blocks, needs no privilege.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct jl_buf;
struct jl_err;

#define JL_JSON_MAX_BYTES ((size_t) 8 << 20)  /* text length when limits say 0 */
#define JL_JSON_MAX_DEPTH 64                  /* nesting when limits say 0; also the hard ceiling */
#define JL_JSON_MAX_VALUES ((size_t) 1 << 18) /* values of any kind when limits say 0 */

enum jl_json_kind {
    JL_JSON_NULL,
    JL_JSON_BOOL,
    JL_JSON_NUMBER,
    JL_JSON_STRING,
    JL_JSON_ARRAY,
    JL_JSON_OBJECT,
};

/* One value. Read-only for callers; lives as long as its document. */
struct jl_json {
    enum jl_json_kind kind;
    uint32_t len;     /* bytes of text, or number of children */
    const char *key;  /* name inside the parent object, else NULL; has no NUL inside */
    const char *text; /* string, or number as written; ends in NUL; "true"/"false"; else NULL */
    const struct jl_json *first; /* first child of an array or object */
    const struct jl_json *next;  /* next child of the same parent, in document order */
};

struct jl_json_limits {
    size_t max_bytes;   /* 0: JL_JSON_MAX_BYTES */
    unsigned max_depth; /* 0, or more than JL_JSON_MAX_DEPTH: JL_JSON_MAX_DEPTH */
    size_t max_values;  /* 0: JL_JSON_MAX_VALUES */
};

/*
 * Parses one document. lim may be NULL. *ret_root is the caller's, for jl_json_free(); written only
 * on success. 0; -EINVAL (not JSON as described above), -EMSGSIZE (a ceiling) or -ENOMEM, with e
 * filled; the sentence starts with the place, "line 3, column 14: ...".
 */
int jl_json_parse(const char *text, size_t len, const struct jl_json_limits *lim,
                  struct jl_json **ret_root, struct jl_err *e);
void jl_json_free(struct jl_json *root); /* NULL is fine */

/* The member `key` of an object; NULL when there is none, or v is NULL or no object. */
const struct jl_json *jl_json_get(const struct jl_json *v, const char *key);

/* The value, when v is of that kind. str: NULL otherwise. The others: 0, -EINVAL (v is NULL, of
 * another kind, or no whole number) or -ERANGE. Fractions and exponents are not whole numbers. */
const char *jl_json_str(const struct jl_json *v);
int jl_json_bool(const struct jl_json *v, bool *ret_value);
int jl_json_i64(const struct jl_json *v, int64_t lo, int64_t hi, int64_t *ret_value);
int jl_json_u64(const struct jl_json *v, uint64_t hi, uint64_t *ret_value);
const char *jl_json_kind_name(enum jl_json_kind kind); /* "a string", "an object", ... */

#define JL_JSON_FOREACH(child, parent)                                                             \
    for (const struct jl_json *child = (parent)->first; child; child = child->next)

/*
 * The writer appends to a buffer. Failures stick: calls after one do nothing and
 * jl_json_finish() tells, so that callers check once. `key` is the member's name inside an object
 * and NULL inside an array or at the top.
 */
struct jl_json_out {
    struct jl_buf *buf; /* borrowed; its ceiling holds */
    unsigned indent;    /* spaces a level; 0: compact, one line */
    bool replace;       /* bytes that are not UTF-8: U+FFFD instead of the failure -EILSEQ */
    int failed;         /* private: first failure, 0 or -errno */
    unsigned depth;     /* private: open objects and arrays */
    uint64_t arrays;    /* private: bit d is set when level d is an array */
    bool comma;         /* private: the next value needs one */
};

/* clang-format off */
#define JL_JSON_OUT_INIT(buffer, spaces) { .buf = (buffer), .indent = (spaces) }
/* clang-format on */

void jl_json_put_object(struct jl_json_out *w, const char *key); /* opens; jl_json_end closes */
void jl_json_put_array(struct jl_json_out *w, const char *key);
void jl_json_end(struct jl_json_out *w); /* closes the innermost open object or array */
void jl_json_put_str(struct jl_json_out *w, const char *key, const char *s); /* s NULL: null */
void jl_json_put_strn(struct jl_json_out *w, const char *key, const char *s, size_t len);
void jl_json_put_i64(struct jl_json_out *w, const char *key, int64_t v);
void jl_json_put_u64(struct jl_json_out *w, const char *key, uint64_t v);
void jl_json_put_double(struct jl_json_out *w, const char *key,
                        double v); /* finite, else -EINVAL */
void jl_json_put_bool(struct jl_json_out *w, const char *key, bool v);
void jl_json_put_null(struct jl_json_out *w, const char *key);
void jl_json_put_tree(struct jl_json_out *w, const char *key, const struct jl_json *v);

/* 0 when everything was written and closed; else the first failure: -ENOMEM, -EMSGSIZE (ceiling
 * of the buffer, or deeper than JL_JSON_MAX_DEPTH), -EILSEQ (not UTF-8), -EINVAL (misuse). */
int jl_json_finish(struct jl_json_out *w);

static inline void jl_json_freep(struct jl_json **root)
{
    jl_json_free(*root);
}

#define _json_ __attribute__((cleanup(jl_json_freep)))
