/* base/yaml: what is parsed, what is refused and where the message points. */
#include "base/yaml.h"

#include <errno.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "unit.h"

static struct jl_yaml *good(const char *text)
{
    struct jl_err e = JL_ERR_INIT;
    struct jl_yaml *root = NULL;

    if (jl_yaml_parse("t.yml", text, strlen(text), &jl_yaml_limits_config, &root, &e) < 0)
        fail_msg("%s", e.text);
    return root;
}

static void bad(const char *text, const char *want)
{
    struct jl_err e = JL_ERR_INIT;
    struct jl_yaml *root = NULL;

    assert_true(jl_yaml_parse("t.yml", text, strlen(text), &jl_yaml_limits_config, &root, &e) < 0);
    assert_null(root);
    if (!strstr(e.text, want))
        fail_msg("'%s' does not say '%s'", e.text, want);
}

static void yaml_gives_a_tree_with_places(void **state)
{
    _yaml_ struct jl_yaml *root = good("version: \"3.0\"\n"
                                       "nodes:\n"
                                       "  default:\n"
                                       "    address: 'a:1'\n"
                                       "    cert: |\n"
                                       "      one\n"
                                       "      two\n"
                                       "list: [x, {y: z}]\n");
    const struct jl_yaml *n = jl_yaml_get(jl_yaml_get(root, "nodes"), "default");
    const char *s = NULL;
    char path[64];
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    assert_int_equal(root->n_children, 3);
    assert_int_equal(jl_yaml_string(jl_yaml_get(n, "cert"), &s, &e), 0);
    assert_string_equal(s, "one\ntwo\n");
    assert_int_equal(jl_yaml_get(n, "address")->line, 4);
    assert_int_equal(jl_yaml_get(n, "address")->column, 14);
    assert_int_equal(jl_yaml_get(n, "address")->key_column, 5);
    n = jl_yaml_get(jl_yaml_get(root, "list")->first->next, "y");
    assert_string_equal(jl_yaml_path(n, path, sizeof path), "list[1].y");
    assert_int_equal(jl_yaml_refuse(n, &e, EINVAL, "no %d", 7), -EINVAL);
    assert_string_equal(e.text, "t.yml:8:15: list[1].y: no 7");
    assert_null(jl_yaml_get(root, "absent"));
    assert_null(jl_yaml_get(NULL, "absent"));
}

static void yaml_empty_file_is_an_empty_map(void **state)
{
    _yaml_ struct jl_yaml *a = good(""), *b = good("# only a comment\n");

    (void) state;
    assert_int_equal(a->kind, JL_YAML_MAP);
    assert_int_equal(a->n_children, 0);
    assert_int_equal(b->kind, JL_YAML_MAP);
}

static void yaml_refuses_what_it_does_not_need(void **state)
{
    (void) state;
    bad("a: 1\nb: 2\na: 3\n", "t.yml:3:1: key 'a' is given twice, first in line 1");
    bad("a: &x 1\n", "t.yml:1:4: anchors");
    bad("a: *x\n", "aliases");
    bad("a: !!str 1\n", "tags");
    bad("a: 1\n---\nb: 2\n", "t.yml:2:1: a second document");
    bad("[a, b]: 1\n", "a key must be a word");
    bad("{a: 1}: 1\n", "a key must be a word");
    bad("a: \"x\\0y\"\n", "NUL");
    bad("a: [1, 2\n", "not valid YAML");
    bad("a: b: c\n", "t.yml:1:5: not valid YAML");
    bad("a: \xff\xfe\n", "not text");
    bad("a: 1\n\tb: 2\n", "t.yml:2");
}

static void yaml_bomb_is_refused(void **state)
{
    (void) state;
    bad("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "anchors");
}

static void yaml_holds_its_ceilings(void **state)
{
    _buf_ struct jl_buf b = JL_BUF_INIT(1 << 22);
    struct jl_yaml_limits small = { 100, 4, 10 };
    struct jl_yaml *root = NULL;
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    for (int i = 0; i < 10000; i++)
        jl_buf_putc(&b, '[');
    bad(b.data, "nested more than 16 deep");
    jl_buf_clear(&b);
    for (int i = 0; i < 21000; i++)
        jl_buf_puts(&b, "- x\n");
    bad(b.data, "more than 20000 values");
    assert_int_equal(jl_yaml_parse("t", b.data, b.len, &small, &root, &e), -EFBIG);
    assert_int_equal(jl_yaml_parse("t", "[[[[1]]]]", 9, &small, &root, &e), 0);
    jl_yaml_free(root);
    assert_int_equal(jl_yaml_parse("t", "[[[[[1]]]]]", 11, &small, &root, &e), -E2BIG);
}

static void yaml_getters_check_type_and_range(void **state)
{
    _yaml_ struct jl_yaml *r = good("i: 70000\nneg: -3\nb: yes\nd: 1m30s\ns: 64MB\nw: word\n"
                                    "nil:\ntilde: ~\nq: ''\nm: {a: 1}\nl: [1]\n");
    struct jl_err e = JL_ERR_INIT;
    const struct jl_yaml *node = NULL;
    const char *s = "keep";
    int64_t i = 5;
    uint64_t u = 5;
    bool b = false;

    (void) state;
    assert_int_equal(jl_yaml_i64(jl_yaml_get(r, "i"), 1, 65535, &i, &e), -ERANGE);
    assert_string_equal(e.text, "t.yml:1:4: i: 70000 is outside 1 to 65535");
    assert_int_equal(jl_yaml_i64(jl_yaml_get(r, "w"), 1, 65535, &i, &e), -EINVAL);
    assert_int_equal(i, 5);
    assert_int_equal(jl_yaml_i64(jl_yaml_get(r, "neg"), -9, 9, &i, &e), 0);
    assert_int_equal(i, -3);
    assert_int_equal(jl_yaml_u64(jl_yaml_get(r, "neg"), 0, 9, &u, &e), -EINVAL);
    assert_int_equal(jl_yaml_u64(jl_yaml_get(r, "i"), 80000, 90000, &u, &e), -ERANGE);
    assert_int_equal(jl_yaml_u64(jl_yaml_get(r, "i"), 0, 90000, &u, &e), 0);
    assert_int_equal(u, 70000);
    assert_int_equal(jl_yaml_bool(jl_yaml_get(r, "b"), &b, &e), 0);
    assert_true(b);
    assert_int_equal(jl_yaml_bool(jl_yaml_get(r, "w"), &b, &e), -EINVAL);
    assert_int_equal(jl_yaml_duration(jl_yaml_get(r, "d"), 0, 100 * JL_NS_PER_S, &u, &e), 0);
    assert_int_equal(u, 90 * JL_NS_PER_S);
    assert_int_equal(jl_yaml_duration(jl_yaml_get(r, "d"), 0, JL_NS_PER_S, &u, &e), -ERANGE);
    assert_int_equal(jl_yaml_size(jl_yaml_get(r, "s"), 0, 1 << 30, &u, &e), 0);
    assert_int_equal(u, 64 << 20);
    assert_int_equal(jl_yaml_size(jl_yaml_get(r, "w"), 0, 1 << 30, &u, &e), -EINVAL);
    assert_int_equal(jl_yaml_string(jl_yaml_get(r, "nil"), &s, &e), 1);
    assert_int_equal(jl_yaml_string(jl_yaml_get(r, "tilde"), &s, &e), 1);
    assert_int_equal(jl_yaml_string(NULL, &s, &e), 1);
    assert_string_equal(s, "keep");
    assert_int_equal(jl_yaml_string(jl_yaml_get(r, "q"), &s, &e), 0);
    assert_string_equal(s, "");
    assert_int_equal(jl_yaml_string(jl_yaml_get(r, "m"), &s, &e), -EINVAL);
    assert_int_equal(jl_yaml_map(jl_yaml_get(r, "m"), &node, &e), 0);
    assert_int_equal(jl_yaml_map(jl_yaml_get(r, "l"), &node, &e), -EINVAL);
    assert_int_equal(jl_yaml_seq(jl_yaml_get(r, "l"), &node, &e), 0);
    assert_int_equal(jl_yaml_seq(jl_yaml_get(r, "nil"), &node, &e), 1);
}

static void yaml_unknown_key_names_the_nearest(void **state)
{
    static const char *const keys[] = { "address", "port" };
    _yaml_ struct jl_yaml *r = good("server:\n  adress: x\n");
    _yaml_ struct jl_yaml *ok = good("server:\n  port: 1\n");
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    assert_int_equal(jl_yaml_known_keys(jl_yaml_get(r, "server"), keys, 2, &e), -EINVAL);
    assert_string_equal(e.text,
                        "t.yml:2:3: unknown key 'adress' in server; did you mean 'address'?");
    assert_int_equal(jl_yaml_known_keys(jl_yaml_get(ok, "server"), keys, 2, &e), 0);
}

static void yaml_load_names_the_file(void **state)
{
    struct jl_yaml *root = NULL;
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    assert_int_equal(jl_yaml_load("/nonexistent/x.yml", &jl_yaml_limits_config, &root, &e),
                     -ENOENT);
    assert_non_null(strstr(e.text, "/nonexistent/x.yml"));
}

UNIT_MAIN(cmocka_unit_test(yaml_gives_a_tree_with_places),
          cmocka_unit_test(yaml_empty_file_is_an_empty_map),
          cmocka_unit_test(yaml_refuses_what_it_does_not_need),
          cmocka_unit_test(yaml_bomb_is_refused), cmocka_unit_test(yaml_holds_its_ceilings),
          cmocka_unit_test(yaml_getters_check_type_and_range),
          cmocka_unit_test(yaml_unknown_key_names_the_nearest),
          cmocka_unit_test(yaml_load_names_the_file))
