/*
 * json.c - see json.h. The reader: one pass checks the bytes (UTF-8, escapes), yajl finds the
 * tokens, and its callbacks hang values into an arena that is freed at once.
 */
#include "base/json.h"

#include <errno.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json_mem.h"
#include "base/parse.h"
#include "base/utf8.h"

#define CHUNK_MIN ((size_t) 8 << 10)
#define CHUNK_MAX ((size_t) 256 << 10)
#define SORT_FROM 16 /* members from which on keys are compared by sorting */

struct chunk {
    struct chunk *older;
    size_t used, size;
    _Alignas(8) char data[];
};

struct doc {
    struct jl_json root; /* first: what callers hold */
    struct chunk *chunks;
};

struct level {
    struct jl_json *value; /* the open array or object */
    struct jl_json *last;  /* its youngest child */
};

struct reader {
    struct doc *doc;
    struct level open[JL_JSON_MAX_DEPTH + 1];
    unsigned depth, max_depth;
    size_t values, max_values;
    const char *key; /* of the value that comes next */
    int failed;      /* errno of what a callback refused */
    char why[160];   /* and its words */
};

static int refuse(struct reader *rd, int code, const char *why)
{
    rd->failed = code;
    snprintf(rd->why, sizeof rd->why, "%s", why);
    return 0; /* yajl: stop */
}

static void *arena(struct doc *doc, size_t size)
{
    struct chunk *c = doc->chunks;
    size_t want;
    void *p;

    size = (size + 7) & ~(size_t) 7;
    if (!c || c->size - c->used < size) {
        want = c ? c->size * 2 : CHUNK_MIN;
        if (want > CHUNK_MAX)
            want = CHUNK_MAX;
        if (want < size)
            want = size;
        c = malloc(sizeof *c + want);
        if (!c)
            return NULL;
        c->older = doc->chunks;
        c->used = 0;
        c->size = want;
        doc->chunks = c;
    }
    p = c->data + c->used;
    c->used += size;
    return p;
}

static const char *keep(struct reader *rd, const void *s, size_t len)
{
    char *p = arena(rd->doc, len + 1);

    if (!p) {
        refuse(rd, ENOMEM, "out of memory");
        return NULL;
    }
    if (len > 0)
        memcpy(p, s, len);
    p[len] = '\0';
    return p;
}

/* Hangs a new value below the innermost open one; the first becomes the root. */
static struct jl_json *add(struct reader *rd, enum jl_json_kind kind)
{
    struct level *up = rd->depth ? &rd->open[rd->depth - 1] : NULL;
    struct jl_json *v;

    if (++rd->values > rd->max_values) {
        refuse(rd, EMSGSIZE, "");
        snprintf(rd->why, sizeof rd->why, "more than %zu values, which is the limit",
                 rd->max_values);
        return NULL;
    }
    v = up ? arena(rd->doc, sizeof *v) : &rd->doc->root;
    if (!v) {
        refuse(rd, ENOMEM, "out of memory");
        return NULL;
    }
    *v = (struct jl_json){ .kind = kind, .key = rd->key };
    rd->key = NULL;
    if (up) {
        if (up->last)
            up->last->next = v;
        else
            up->value->first = v;
        up->last = v;
        up->value->len++;
    }
    return v;
}

static int on_null(void *ctx)
{
    return add(ctx, JL_JSON_NULL) != NULL;
}

static int on_bool(void *ctx, int value)
{
    struct jl_json *v = add(ctx, JL_JSON_BOOL);

    if (!v)
        return 0;
    v->text = value ? "true" : "false";
    v->len = value ? 4 : 5;
    return 1;
}

static int on_text(struct reader *rd, enum jl_json_kind kind, const void *s, size_t len)
{
    struct jl_json *v = add(rd, kind);

    if (!v)
        return 0;
    v->text = keep(rd, s, len);
    v->len = (uint32_t) len;
    return v->text != NULL;
}

static int on_number(void *ctx, const char *s, size_t len)
{
    return on_text(ctx, JL_JSON_NUMBER, s, len);
}

static int on_string(void *ctx, const unsigned char *s, size_t len)
{
    return on_text(ctx, JL_JSON_STRING, s, len);
}

static int on_open(struct reader *rd, enum jl_json_kind kind)
{
    struct jl_json *v;

    if (rd->depth >= rd->max_depth) {
        refuse(rd, EMSGSIZE, "");
        snprintf(rd->why, sizeof rd->why, "nested more than %u levels deep, which is the limit",
                 rd->max_depth);
        return 0;
    }
    v = add(rd, kind);
    if (!v)
        return 0;
    rd->open[rd->depth++] = (struct level){ .value = v };
    return 1;
}

static int on_open_array(void *ctx)
{
    return on_open(ctx, JL_JSON_ARRAY);
}

static int on_open_object(void *ctx)
{
    return on_open(ctx, JL_JSON_OBJECT);
}

static int on_close_array(void *ctx)
{
    struct reader *rd = ctx;

    rd->depth--;
    return 1;
}

static int on_key(void *ctx, const unsigned char *s, size_t len)
{
    struct reader *rd = ctx;

    rd->key = keep(rd, s, len);
    return rd->key != NULL;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static const char *twice_sorted(const struct jl_json *v, struct reader *rd)
{
    _free_ const char **keys = malloc(v->len * sizeof *keys);
    size_t n = 0;

    if (!keys) {
        refuse(rd, ENOMEM, "out of memory");
        return NULL;
    }
    JL_JSON_FOREACH(m, v)
    keys[n++] = m->key;
    qsort(keys, n, sizeof *keys, by_key);
    for (size_t i = 1; i < n; i++)
        if (strcmp(keys[i - 1], keys[i]) == 0)
            return keys[i];
    return NULL;
}

/* A key twice: readers differ in which value counts, so that a checker and a runtime could see
 * two different documents in one text. */
static const char *twice(const struct jl_json *v, struct reader *rd)
{
    if (v->len > SORT_FROM)
        return twice_sorted(v, rd);
    JL_JSON_FOREACH(a, v)
    for (const struct jl_json *b = a->next; b; b = b->next)
        if (strcmp(a->key, b->key) == 0)
            return a->key;
    return NULL;
}

static int on_close_object(void *ctx)
{
    struct reader *rd = ctx;
    const char *key = twice(rd->open[--rd->depth].value, rd);

    if (key) {
        refuse(rd, EINVAL, "");
        snprintf(rd->why, sizeof rd->why, "the object that ends here has the key '%.100s' twice",
                 key);
    }
    return rd->failed == 0;
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_bool,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_open_object,
    .yajl_map_key = on_key,
    .yajl_end_map = on_close_object,
    .yajl_start_array = on_open_array,
    .yajl_end_array = on_close_array,
};

/* "line 3, column 14: " in front of why; columns are bytes. */
static int refuse_at(struct jl_err *e, int code, const char *text, size_t at, const char *why)
{
    size_t line = 1, start = 0;

    for (size_t i = 0; i < at; i++)
        if (text[i] == '\n') {
            line++;
            start = i + 1;
        }
    return jl_refuse(e, code, "line %zu, column %zu: %s", line, at - start + 1, why);
}

/* A \uXXXX at s. -1 when it is none. */
static int hex4(const char *s, const char *end)
{
    int v = 0;

    if (end - s < 6 || s[0] != '\\' || s[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        int c = s[i];

        if (c >= '0' && c <= '9')
            v = v * 16 + c - '0';
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            v = v * 16 + (c | 32) - 'a' + 10;
        else
            return -1;
    }
    return v;
}

/* yajl turns a lone surrogate into '?' or broken UTF-8, and a NUL would end a C string early:
 * both are found here, in the text, where the place is known. A backslash is legal JSON within
 * strings alone, so that no state is needed. */
static int check_escapes(const char *text, size_t len, struct jl_err *e)
{
    const char *end = text + len, *s = text;

    while ((s = memchr(s, '\\', (size_t) (end - s)))) {
        int u = hex4(s, end);
        size_t at = (size_t) (s - text);

        if (u == 0)
            return refuse_at(e, EINVAL, text, at, "\\u0000 is not allowed in a string");
        if (u >= 0xdc00 && u <= 0xdfff)
            return refuse_at(e, EINVAL, text, at, "half of a surrogate pair");
        if (u >= 0xd800 && u <= 0xdbff) {
            int low = hex4(s + 6, end);

            if (low < 0xdc00 || low > 0xdfff)
                return refuse_at(e, EINVAL, text, at, "half of a surrogate pair");
            s += 6;
        }
        s += u >= 0 ? 6 : 2;
        if (s >= end)
            break;
    }
    return 0;
}

/* yajl's words, without its newline. */
static int yajl_says(yajl_handle h, const char *text, size_t at, struct jl_err *e)
{
    unsigned char *words = yajl_get_error(h, 0, NULL, 0);
    char why[160];

    snprintf(why, sizeof why, "%s", words ? (char *) words : "not JSON");
    yajl_free_error(h, words);
    why[strcspn(why, "\n")] = '\0';
    return refuse_at(e, EINVAL, text, at, why);
}

static int parse_all(yajl_handle h, struct reader *rd, const char *text, size_t len,
                     struct jl_err *e)
{
    yajl_status status;
    size_t at;

    yajl_config(h, yajl_dont_validate_strings, 1); /* checked already, and more strictly */
    status = yajl_parse(h, (const unsigned char *) text, len);
    at = yajl_get_bytes_consumed(h);
    if (at > 0)
        at--; /* the last byte it took is where it stopped */
    if (status == yajl_status_error)
        return yajl_says(h, text, at, e);
    if (status == yajl_status_ok && yajl_complete_parse(h) != yajl_status_ok && !rd->failed)
        return refuse_at(e, EINVAL, text, len, "the text ends before the JSON document does");
    return rd->failed ? refuse_at(e, rd->failed, text, at, rd->why) : 0;
}

static int feed(struct reader *rd, const char *text, size_t len, struct jl_err *e)
{
    struct jl_json_mem mem;
    yajl_handle h;
    int r;

    jl_json_mem_init(&mem);
    if (setjmp(mem.out) != 0) { /* it had no more memory */
        jl_json_mem_done(&mem);
        return jl_fail(e, ENOMEM, "parse JSON");
    }
    h = yajl_alloc(&callbacks, &mem.funcs, rd);
    r = h ? parse_all(h, rd, text, len, e) : jl_fail(e, ENOMEM, "parse JSON");
    if (h)
        yajl_free(h);
    jl_json_mem_done(&mem);
    return r;
}

int jl_json_parse(const char *text, size_t len, const struct jl_json_limits *lim,
                  struct jl_json **ret_root, struct jl_err *e)
{
    struct jl_json_limits l = lim ? *lim : (struct jl_json_limits){ 0 };
    struct reader rd = { 0 };
    size_t bad;
    int r;

    if (l.max_bytes == 0)
        l.max_bytes = JL_JSON_MAX_BYTES;
    if (l.max_bytes > INT32_MAX)
        l.max_bytes = INT32_MAX; /* lengths are 32 bits wide here, and yajl's sums must not wrap */
    if (len > l.max_bytes)
        return jl_refuse(e, EMSGSIZE, "%zu bytes of JSON, the limit is %zu", len, l.max_bytes);
    if (!jl_utf8_valid(text, len, &bad))
        return refuse_at(e, EINVAL, text, bad, "not UTF-8");
    r = check_escapes(text, len, e);
    if (r < 0)
        return r;
    rd.max_depth = l.max_depth && l.max_depth < JL_JSON_MAX_DEPTH ? l.max_depth : JL_JSON_MAX_DEPTH;
    rd.max_values = l.max_values ? l.max_values : JL_JSON_MAX_VALUES;
    rd.doc = calloc(1, sizeof *rd.doc);
    if (!rd.doc)
        return jl_fail(e, ENOMEM, "parse JSON");
    r = feed(&rd, text, len, e);
    if (r < 0) {
        jl_json_free(&rd.doc->root);
        return r;
    }
    *ret_root = &rd.doc->root;
    return 0;
}

void jl_json_free(struct jl_json *root)
{
    struct doc *doc;

    if (!root)
        return;
    doc = JL_CONTAINER(root, struct doc, root);
    while (doc->chunks) {
        struct chunk *c = doc->chunks;

        doc->chunks = c->older;
        free(c);
    }
    free(doc);
}

const struct jl_json *jl_json_get(const struct jl_json *v, const char *key)
{
    if (!v || v->kind != JL_JSON_OBJECT)
        return NULL;
    JL_JSON_FOREACH(m, v)
    if (strcmp(m->key, key) == 0)
        return m;
    return NULL;
}

const char *jl_json_str(const struct jl_json *v)
{
    return v && v->kind == JL_JSON_STRING ? v->text : NULL;
}

int jl_json_bool(const struct jl_json *v, bool *ret_value)
{
    if (!v || v->kind != JL_JSON_BOOL)
        return -EINVAL;
    *ret_value = v->text[0] == 't';
    return 0;
}

int jl_json_i64(const struct jl_json *v, int64_t lo, int64_t hi, int64_t *ret_value)
{
    if (!v || v->kind != JL_JSON_NUMBER)
        return -EINVAL;
    return jl_parse_i64(v->text, lo, hi, ret_value);
}

int jl_json_u64(const struct jl_json *v, uint64_t hi, uint64_t *ret_value)
{
    uint64_t magnitude;

    if (!v || v->kind != JL_JSON_NUMBER)
        return -EINVAL;
    if (v->text[0] == '-' && jl_parse_u64(v->text + 1, UINT64_MAX, &magnitude) != -EINVAL)
        return -ERANGE; /* a whole number, but below 0 */
    return jl_parse_u64(v->text, hi, ret_value);
}

const char *jl_json_kind_name(enum jl_json_kind kind)
{
    switch (kind) {
    case JL_JSON_NULL:
        return "null";
    case JL_JSON_BOOL:
        return "a boolean";
    case JL_JSON_NUMBER:
        return "a number";
    case JL_JSON_STRING:
        return "a string";
    case JL_JSON_ARRAY:
        return "an array";
    case JL_JSON_OBJECT:
        return "an object";
    }
    return "nothing known";
}
