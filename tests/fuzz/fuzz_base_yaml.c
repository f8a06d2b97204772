/*
 * A YAML file from anywhere: a tree whose every node has a place and whose every map has each key
 * once, or a refusal with a sentence.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static size_t walk(const struct jl_yaml *n, unsigned depth)
{
    const char *s = NULL;
    char path[64];
    struct jl_err e = JL_ERR_INIT;
    uint64_t u = 0;
    size_t count = 1, children = 0;

    assert(depth <= 16 && n->line >= 1 && n->column >= 1);
    assert((n->kind == JL_YAML_SCALAR) == (n->text != NULL));
    jl_yaml_path(n, path, sizeof path);
    if (jl_yaml_string(n, &s, &e) == 0)
        assert(s == n->text);
    if (jl_yaml_size(n, 1, 1000, &u, &e) == 0)
        assert(u >= 1 && u <= 1000);
    if (jl_yaml_duration(n, 1, 1000, &u, &e) == 0)
        assert(u >= 1 && u <= 1000);
    JL_YAML_EACH(c, n)
    {
        assert(c->parent == n && (c->key != NULL) == (n->kind == JL_YAML_MAP));
        if (children < 200 && c->key)
            assert(jl_yaml_get(n, c->key) == c);
        children++;
        count += walk(c, depth + (c->kind != JL_YAML_SCALAR));
    }
    assert(children == n->n_children);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct jl_yaml *root = NULL;
    struct jl_err e = JL_ERR_INIT;

    if (jl_yaml_parse("fuzz", data, len, &jl_yaml_limits_config, &root, &e) < 0) {
        assert(e.code != 0 && e.text[0] != '\0' && !root);
        return 0;
    }
    assert(walk(root, root->kind != JL_YAML_SCALAR) <= jl_yaml_limits_config.nodes + 1);
    jl_yaml_free(root);
    return 0;
}
