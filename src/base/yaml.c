/*
 * yaml.c - see yaml.h. libyaml gives events; the tree grows along an explicit stack, the chain of
 * `parent` pointers, so that depth costs no C stack.
 */
#include "base/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <yaml.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/parse.h"

const struct jl_yaml_limits jl_yaml_limits_config = { 1024 * 1024, 16, 20000 };

struct build {
    const char *file;
    const struct jl_yaml_limits *limits;
    struct jl_yaml *root;
    struct jl_yaml *open; /* innermost map or sequence that has not ended */
    struct jl_yaml *last; /* last entry of `open` so far */
    unsigned depth;
    size_t nodes;
    bool have_key;
    char *key;
    yaml_mark_t key_mark;
    unsigned documents;
    struct jl_err *e;
};

static int refuse_mark(struct build *b, const yaml_mark_t *m, int code, const char *what)
{
    return jl_refuse(b->e, code, "%s:%zu:%zu: %s", b->file, m->line + 1, m->column + 1, what);
}

static void free_node(struct jl_yaml *n)
{
    free((char *) (uintptr_t) n->key);
    free((char *) (uintptr_t) n->text);
    free(n);
}

void jl_yaml_free(struct jl_yaml *root)
{
    struct jl_yaml *n = root;
    char *file;

    if (!root)
        return;
    file = (char *) (uintptr_t) root->file;
    while (n) {
        struct jl_yaml *up = (struct jl_yaml *) (uintptr_t) n->parent;

        if (n->first) { /* children first; the node is met again when none is left */
            struct jl_yaml *child = n->first;

            n->first = child->next;
            n = child;
            continue;
        }
        free_node(n);
        n = up;
    }
    free(file);
}

/* Both words of an anchor-and-alias bomb, and tags, whose meaning we would have to guess. */
static int refuse_extras(struct build *b, const yaml_event_t *ev, const yaml_char_t *anchor,
                         const yaml_char_t *tag)
{
    if (anchor)
        return refuse_mark(b, &ev->start_mark, EINVAL, "anchors (&name) are not allowed here");
    if (tag)
        return refuse_mark(b, &ev->start_mark, EINVAL, "tags (!name) are not allowed here");
    return 0;
}

static int take_key(struct build *b, struct jl_yaml *n)
{
    n->key_hash = jl_hash(b->key);
    JL_YAML_EACH(c, b->open)
    {
        if (c->key_hash == n->key_hash && strcmp(c->key, b->key) == 0)
            return jl_refuse(b->e, EINVAL, "%s:%zu:%zu: key '%s' is given twice, first in line %u",
                             b->file, b->key_mark.line + 1, b->key_mark.column + 1, b->key,
                             c->key_line);
    }
    n->key = jl_take_ptr(b->key);
    n->key_line = (unsigned) b->key_mark.line + 1;
    n->key_column = (unsigned) b->key_mark.column + 1;
    b->have_key = false;
    return 0;
}

/* Makes a node and hangs it below the open one. ret_node is written on success. */
static int add_node(struct build *b, enum jl_yaml_kind kind, const yaml_event_t *ev,
                    struct jl_yaml **ret_node)
{
    struct jl_yaml *n;
    int r;

    if (b->open && b->open->kind == JL_YAML_MAP && !b->have_key)
        return refuse_mark(b, &ev->start_mark, EINVAL, "a key must be a word, not a list or map");
    if (++b->nodes > b->limits->nodes)
        return jl_refuse(b->e, E2BIG, "%s:%zu: more than %zu values", b->file,
                         ev->start_mark.line + 1, b->limits->nodes);
    n = calloc(1, sizeof *n);
    if (!n)
        return jl_fail(b->e, ENOMEM, "%s", b->file);
    n->kind = kind;
    n->file = b->file;
    n->line = (unsigned) ev->start_mark.line + 1;
    n->column = (unsigned) ev->start_mark.column + 1;
    n->parent = b->open;
    if (b->open && b->open->kind == JL_YAML_MAP) {
        r = take_key(b, n);
        if (r < 0) {
            free_node(n);
            return r;
        }
    }
    if (!b->open)
        b->root = n;
    else if (!b->last)
        b->open->first = n;
    else
        b->last->next = n;
    if (b->open)
        b->open->n_children++;
    b->last = n;
    *ret_node = n;
    return 0;
}

static int on_scalar(struct build *b, const yaml_event_t *ev)
{
    const yaml_char_t *value = ev->data.scalar.value;
    const char *tag = (const char *) ev->data.scalar.tag;
    struct jl_yaml *n;
    char *copy;
    int r;

    r = refuse_extras(b, ev, ev->data.scalar.anchor, (const yaml_char_t *) tag);
    if (r < 0)
        return r;
    if (memchr(value, '\0', ev->data.scalar.length))
        return refuse_mark(b, &ev->start_mark, EINVAL, "a NUL byte in text");
    copy = strdup((const char *) value);
    if (!copy)
        return jl_fail(b->e, ENOMEM, "%s", b->file);
    if (b->open && b->open->kind == JL_YAML_MAP && !b->have_key) {
        free(b->key);
        b->key = copy;
        b->key_mark = ev->start_mark;
        b->have_key = true;
        return 0;
    }
    r = add_node(b, JL_YAML_SCALAR, ev, &n);
    if (r < 0) {
        free(copy);
        return r;
    }
    n->text = copy;
    n->quoted = ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return 0;
}

static int on_open(struct build *b, const yaml_event_t *ev, enum jl_yaml_kind kind)
{
    bool map = kind == JL_YAML_MAP;
    struct jl_yaml *n;
    int r;

    r = refuse_extras(b, ev, map ? ev->data.mapping_start.anchor : ev->data.sequence_start.anchor,
                      map ? ev->data.mapping_start.tag : ev->data.sequence_start.tag);
    if (r < 0)
        return r;
    if (++b->depth > b->limits->depth)
        return jl_refuse(b->e, E2BIG, "%s:%zu: nested more than %u deep", b->file,
                         ev->start_mark.line + 1, b->limits->depth);
    r = add_node(b, kind, ev, &n);
    if (r < 0)
        return r;
    b->open = n;
    b->last = NULL;
    return 0;
}

static void on_close(struct build *b)
{
    b->depth--;
    b->last = b->open;
    b->open = (struct jl_yaml *) (uintptr_t) b->open->parent;
}

/* Returns 1 at the end of the stream. */
static int on_event(struct build *b, const yaml_event_t *ev)
{
    switch (ev->type) {
    case YAML_SCALAR_EVENT:
        return on_scalar(b, ev);
    case YAML_MAPPING_START_EVENT:
        return on_open(b, ev, JL_YAML_MAP);
    case YAML_SEQUENCE_START_EVENT:
        return on_open(b, ev, JL_YAML_SEQ);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        on_close(b);
        return 0;
    case YAML_ALIAS_EVENT:
        return refuse_mark(b, &ev->start_mark, EINVAL, "aliases (*name) are not allowed here");
    case YAML_DOCUMENT_START_EVENT:
        if (b->documents++ > 0)
            return refuse_mark(b, &ev->start_mark, EINVAL,
                               "a second document begins here; one is allowed");
        return 0;
    case YAML_STREAM_END_EVENT:
        return 1;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return 0;
    }
    return 0;
}

static int refuse_syntax(struct build *b, const yaml_parser_t *p)
{
    if (p->error == YAML_MEMORY_ERROR)
        return jl_fail(b->e, ENOMEM, "%s", b->file);
    if (p->error == YAML_READER_ERROR)
        return jl_refuse(b->e, EINVAL, "%s: not text: %s at byte %zu", b->file, p->problem,
                         p->problem_offset);
    return jl_refuse(b->e, EINVAL, "%s:%zu:%zu: not valid YAML: %s%s%s", b->file,
                     p->problem_mark.line + 1, p->problem_mark.column + 1,
                     p->problem ? p->problem : "syntax", p->context ? ", " : "",
                     p->context ? p->context : "");
}

static int run_parser(struct build *b, yaml_parser_t *p)
{
    int r = 0;

    while (r == 0) {
        yaml_event_t ev;

        if (!yaml_parser_parse(p, &ev))
            return refuse_syntax(b, p);
        r = on_event(b, &ev);
        yaml_event_delete(&ev);
    }
    return r < 0 ? r : 0;
}

static int empty_map(struct build *b)
{
    b->root = calloc(1, sizeof *b->root);
    if (!b->root)
        return jl_fail(b->e, ENOMEM, "%s", b->file);
    b->root->kind = JL_YAML_MAP;
    b->root->file = b->file;
    b->root->line = b->root->column = 1;
    return 0;
}

int jl_yaml_parse(const char *name, const void *data, size_t len,
                  const struct jl_yaml_limits *limits, struct jl_yaml **ret_root, struct jl_err *e)
{
    struct build b = { .limits = limits, .e = e };
    yaml_parser_t parser;
    int r;

    if (len > limits->bytes)
        return jl_refuse(e, EFBIG, "%s: larger than %zu bytes", name, limits->bytes);
    b.file = strdup(name);
    if (!b.file || !yaml_parser_initialize(&parser)) {
        free((char *) (uintptr_t) b.file);
        return jl_fail(e, ENOMEM, "%s", name);
    }
    yaml_parser_set_input_string(&parser, data ? data : "", len);
    r = run_parser(&b, &parser);
    yaml_parser_delete(&parser);
    free(b.key);
    if (r == 0 && !b.root)
        r = empty_map(&b);
    if (r < 0) {
        if (b.root)
            jl_yaml_free(b.root);
        else
            free((char *) (uintptr_t) b.file);
        return r;
    }
    *ret_root = b.root;
    return 0;
}

int jl_yaml_load_fd(int fd, const char *name, const struct jl_yaml_limits *limits,
                    struct jl_yaml **ret_root, struct jl_err *e)
{
    _buf_ struct jl_buf buf = JL_BUF_INIT(limits->bytes);
    int r;

    r = jl_read_all(fd, &buf);
    if (r == -EMSGSIZE)
        return jl_refuse(e, EFBIG, "%s: larger than %zu bytes", name, limits->bytes);
    if (r < 0)
        return jl_fail(e, -r, "read %s", name);
    return jl_yaml_parse(name, buf.data, buf.len, limits, ret_root, e);
}

int jl_yaml_load(const char *path, const struct jl_yaml_limits *limits, struct jl_yaml **ret_root,
                 struct jl_err *e)
{
    _close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (fd < 0)
        return jl_fail(e, errno, "open %s", path);
    return jl_yaml_load_fd(fd, path, limits, ret_root, e);
}

/* ---- reading the tree ---- */

static void path_into(const struct jl_yaml *n, struct jl_buf *b)
{
    const struct jl_yaml *chain[64];
    size_t depth = 0;

    for (; n->parent && depth < JL_COUNT(chain); n = n->parent)
        chain[depth++] = n;
    while (depth-- > 0) {
        const struct jl_yaml *c = chain[depth];
        size_t i = 0;

        if (c->key) {
            jl_buf_printf(b, "%s%s", b->len ? "." : "", c->key);
            continue;
        }
        for (const struct jl_yaml *s = c->parent->first; s && s != c; s = s->next)
            i++;
        jl_buf_printf(b, "[%zu]", i);
    }
}

char *jl_yaml_path(const struct jl_yaml *n, char *buf, size_t size)
{
    _buf_ struct jl_buf b = JL_BUF_INIT(4096);

    path_into(n, &b);
    snprintf(buf, size, "%s", b.data ? b.data : "");
    return buf;
}

int jl_yaml_refuse(const struct jl_yaml *n, struct jl_err *e, int code, const char *fmt, ...)
{
    char path[128], text[320];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    jl_yaml_path(n, path, sizeof path);
    return jl_refuse(e, code, "%s:%u:%u: %s%s%s", n->file, n->line, n->column, path,
                     path[0] ? ": " : "", text);
}

const struct jl_yaml *jl_yaml_get(const struct jl_yaml *n, const char *key)
{
    if (!n || n->kind != JL_YAML_MAP)
        return NULL;
    JL_YAML_EACH(c, n)
    {
        if (strcmp(c->key, key) == 0)
            return c;
    }
    return NULL;
}

bool jl_yaml_is_null(const struct jl_yaml *n)
{
    if (!n)
        return true;
    if (n->kind != JL_YAML_SCALAR || n->quoted)
        return false;
    return n->text[0] == '\0' || strcmp(n->text, "~") == 0 || strcmp(n->text, "null") == 0;
}

/* Edit distance of two short words; large when they are long. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[49];
    size_t la = strlen(a), lb = strlen(b);

    if (la >= JL_COUNT(row) || lb >= JL_COUNT(row))
        return 99;
    for (size_t j = 0; j <= lb; j++)
        row[j] = (unsigned) j;
    for (size_t i = 1; i <= la; i++) {
        unsigned diagonal = row[0];

        row[0] = (unsigned) i;
        for (size_t j = 1; j <= lb; j++) {
            unsigned change = diagonal + (a[i - 1] != b[j - 1]);
            unsigned side = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;

            diagonal = row[j];
            row[j] = change < side ? change : side;
        }
    }
    return row[lb];
}

static int refuse_key(const struct jl_yaml *n, const char *const *keys, size_t n_keys,
                      struct jl_err *e)
{
    const char *nearest = NULL;
    unsigned best = 4;
    char path[128];

    for (size_t i = 0; i < n_keys; i++) {
        unsigned d = distance(n->key, keys[i]);

        if (d < best) {
            best = d;
            nearest = keys[i];
        }
    }
    jl_yaml_path(n->parent, path, sizeof path);
    jl_refuse(e, EINVAL, "%s:%u:%u: unknown key '%.80s'%s%s%s%s%s%s", n->file, n->key_line,
              n->key_column, n->key, path[0] ? " in " : "", path, nearest ? "; did you mean '" : "",
              nearest ? nearest : "", nearest ? "'" : "", nearest ? "?" : "");
    return -EINVAL;
}

int jl_yaml_known_keys(const struct jl_yaml *map, const char *const *keys, size_t n_keys,
                       struct jl_err *e)
{
    if (map->kind != JL_YAML_MAP)
        return jl_yaml_refuse(map, e, EINVAL, "expected a map (key: value)");
    JL_YAML_EACH(c, map)
    {
        size_t i = 0;

        while (i < n_keys && strcmp(keys[i], c->key) != 0)
            i++;
        if (i == n_keys)
            return refuse_key(c, keys, n_keys, e);
    }
    return 0;
}

int jl_yaml_string(const struct jl_yaml *n, const char **ret, struct jl_err *e)
{
    if (jl_yaml_is_null(n))
        return 1;
    if (n->kind != JL_YAML_SCALAR)
        return jl_yaml_refuse(n, e, EINVAL, "expected one value, found a %s",
                              n->kind == JL_YAML_MAP ? "map" : "list");
    *ret = n->text;
    return 0;
}

int jl_yaml_bool(const struct jl_yaml *n, bool *ret, struct jl_err *e)
{
    const char *s = NULL;
    int r = jl_yaml_string(n, &s, e);

    if (r != 0)
        return r;
    if (jl_parse_bool(s, ret) < 0)
        return jl_yaml_refuse(n, e, EINVAL, "'%.60s' is neither true nor false", s);
    return 0;
}

int jl_yaml_i64(const struct jl_yaml *n, int64_t lo, int64_t hi, int64_t *ret, struct jl_err *e)
{
    const char *s = NULL;
    int r = jl_yaml_string(n, &s, e);

    if (r != 0)
        return r;
    r = jl_parse_i64(s, lo, hi, ret);
    if (r == -ERANGE)
        return jl_yaml_refuse(n, e, ERANGE, "%.60s is outside %" PRId64 " to %" PRId64, s, lo, hi);
    if (r < 0)
        return jl_yaml_refuse(n, e, EINVAL, "'%.60s' is not a whole number", s);
    return 0;
}

int jl_yaml_u64(const struct jl_yaml *n, uint64_t lo, uint64_t hi, uint64_t *ret, struct jl_err *e)
{
    const char *s = NULL;
    uint64_t v = 0;
    int r = jl_yaml_string(n, &s, e);

    if (r != 0)
        return r;
    r = jl_parse_u64(s, hi, &v);
    if (r == -ERANGE || (r == 0 && v < lo))
        return jl_yaml_refuse(n, e, ERANGE, "%.60s is outside %" PRIu64 " to %" PRIu64, s, lo, hi);
    if (r < 0)
        return jl_yaml_refuse(n, e, EINVAL, "'%.60s' is not a whole number of 0 or more", s);
    *ret = v;
    return 0;
}

int jl_yaml_duration(const struct jl_yaml *n, uint64_t lo_ns, uint64_t hi_ns, uint64_t *ret_ns,
                     struct jl_err *e)
{
    const char *s = NULL;
    uint64_t v = 0;
    int r = jl_yaml_string(n, &s, e);

    if (r != 0)
        return r;
    r = jl_parse_duration(s, &v);
    if (r == -EINVAL)
        return jl_yaml_refuse(n, e, EINVAL, "'%.60s' is not a duration such as 30s, 5m or 1h30m",
                              s);
    if (r < 0 || v < lo_ns || v > hi_ns)
        return jl_yaml_refuse(n, e, ERANGE, "%.60s is outside %.6gs to %.6gs", s,
                              (double) lo_ns / 1e9, (double) hi_ns / 1e9);
    *ret_ns = v;
    return 0;
}

int jl_yaml_size(const struct jl_yaml *n, uint64_t lo, uint64_t hi, uint64_t *ret_bytes,
                 struct jl_err *e)
{
    const char *s = NULL;
    uint64_t v = 0;
    int r = jl_yaml_string(n, &s, e);

    if (r != 0)
        return r;
    r = jl_parse_size(s, &v);
    if (r == -EINVAL)
        return jl_yaml_refuse(n, e, EINVAL, "'%.60s' is not a size such as 512, 64MB or 1.5GB", s);
    if (r < 0 || v < lo || v > hi)
        return jl_yaml_refuse(n, e, ERANGE, "%.60s is outside %" PRIu64 " to %" PRIu64 " bytes", s,
                              lo, hi);
    *ret_bytes = v;
    return 0;
}

static int expect(const struct jl_yaml *n, enum jl_yaml_kind kind, const char *words,
                  const struct jl_yaml **ret, struct jl_err *e)
{
    if (jl_yaml_is_null(n))
        return 1;
    if (n->kind != kind)
        return jl_yaml_refuse(n, e, EINVAL, "expected %s", words);
    *ret = n;
    return 0;
}

int jl_yaml_map(const struct jl_yaml *n, const struct jl_yaml **ret, struct jl_err *e)
{
    return expect(n, JL_YAML_MAP, "a map (key: value)", ret, e);
}

int jl_yaml_seq(const struct jl_yaml *n, const struct jl_yaml **ret, struct jl_err *e)
{
    return expect(n, JL_YAML_SEQ, "a list (- value)", ret, e);
}
