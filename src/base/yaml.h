/*
 * yaml.h - one YAML document as a tree of nodes that know their file, line and column. For the
 * configuration files (daemon, rnx) and the files users write for us (workflows, runtimes).
 *
 * Input is hostile: bytes, depth and number of nodes have ceilings; anchors, aliases and tags are
 * refused (nothing can expand); so are a key given twice, keys that are not plain words, a second
 * document and NUL bytes. Source of the form: yaml.org/spec/1.1, by libyaml.
 *
 * Nothing here logs. Only jl_yaml_load and jl_yaml_load_fd block (they read a file).
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct jl_err;

enum jl_yaml_kind { JL_YAML_SCALAR, JL_YAML_MAP, JL_YAML_SEQ };

/* A node. All of it belongs to the tree and is read only for its users. */
struct jl_yaml {
    enum jl_yaml_kind kind;
    const char *file;      /* name given to the parser */
    unsigned line, column; /* where the value begins, from 1 */
    const char *key;       /* its key, in a map; else NULL */
    unsigned key_line, key_column;
    const char *text;             /* a scalar's text, else NULL */
    bool quoted;                  /* scalar in quotes or as a block: never null */
    size_t n_children;            /* entries of a map or sequence */
    const struct jl_yaml *parent; /* NULL at the root */
    struct jl_yaml *first, *next; /* first entry of this node; next entry beside this node */
    uint32_t key_hash;
};

#define JL_YAML_EACH(child, node)                                                                  \
    for (const struct jl_yaml *child = (node)->first; child; child = child->next)

struct jl_yaml_limits {
    size_t bytes;   /* of the file */
    unsigned depth; /* of nesting */
    size_t nodes;
};

/* What suits a configuration file: 1 MiB, 16 deep, 20,000 nodes. */
extern const struct jl_yaml_limits jl_yaml_limits_config;

/*
 * Parses one document. `name` stands in messages. An empty document gives an empty map.
 * 0 and a tree that the caller frees, or -errno with e filled: "name:line:column: what is wrong".
 */
int jl_yaml_parse(const char *name, const void *data, size_t len,
                  const struct jl_yaml_limits *limits, struct jl_yaml **ret_root, struct jl_err *e);

/* The same for a file; it may be a symbolic link, a pipe too. */
int jl_yaml_load(const char *path, const struct jl_yaml_limits *limits, struct jl_yaml **ret_root,
                 struct jl_err *e);
int jl_yaml_load_fd(int fd, const char *name, const struct jl_yaml_limits *limits,
                    struct jl_yaml **ret_root, struct jl_err *e);

/* Fills e with "file:line:column: dotted.path: <fmt...>". Returns -code. */
int jl_yaml_refuse(const struct jl_yaml *n, struct jl_err *e, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* The dotted path of a node, "nodes.default.cert" or "dns[1]"; cut to size. Returns buf. */
char *jl_yaml_path(const struct jl_yaml *n, char *buf, size_t size);

/* The entry `key` of a map; NULL when there is none, or n is NULL or no map. */
const struct jl_yaml *jl_yaml_get(const struct jl_yaml *n, const char *key);

/* No value: `key:` alone, `~` or `null`. Also true for NULL. */
bool jl_yaml_is_null(const struct jl_yaml *n);

/* Refuses the first key that is not among `keys`, naming the nearest one. 0 or -EINVAL. */
int jl_yaml_known_keys(const struct jl_yaml *map, const char *const *keys, size_t n_keys,
                       struct jl_err *e);

/*
 * Typed values. n may be NULL, as jl_yaml_get returns it: answers are 0 and a value; 1 when there
 * is no value (NULL or null), which leaves *ret as it was; or -errno with e filled. Strings are
 * borrowed from the tree. Ranges are inclusive.
 */
int jl_yaml_string(const struct jl_yaml *n, const char **ret, struct jl_err *e);
int jl_yaml_bool(const struct jl_yaml *n, bool *ret, struct jl_err *e);
int jl_yaml_i64(const struct jl_yaml *n, int64_t lo, int64_t hi, int64_t *ret, struct jl_err *e);
int jl_yaml_u64(const struct jl_yaml *n, uint64_t lo, uint64_t hi, uint64_t *ret, struct jl_err *e);
int jl_yaml_duration(const struct jl_yaml *n, uint64_t lo_ns, uint64_t hi_ns, uint64_t *ret_ns,
                     struct jl_err *e);
int jl_yaml_size(const struct jl_yaml *n, uint64_t lo, uint64_t hi, uint64_t *ret_bytes,
                 struct jl_err *e);

/* The node itself when it is a map or sequence of that kind. Same answers. */
int jl_yaml_map(const struct jl_yaml *n, const struct jl_yaml **ret, struct jl_err *e);
int jl_yaml_seq(const struct jl_yaml *n, const struct jl_yaml **ret, struct jl_err *e);

/* Frees the whole tree, given its root. NULL is fine. */
void jl_yaml_free(struct jl_yaml *root);

static inline void jl_yaml_freep(struct jl_yaml **root)
{
    jl_yaml_free(*root);
}

#define _yaml_ __attribute__((cleanup(jl_yaml_freep)))
