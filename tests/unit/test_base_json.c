/* JSON is read strictly, within ceilings, and written so that it reads the same again. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/utf8.h"

static struct jl_json *must_read(const char *text)
{
    struct jl_json *root = NULL;
    struct jl_err e = JL_ERR_INIT;

    if (jl_json_parse(text, strlen(text), NULL, &root, &e) < 0)
        fail_msg("%s: %s", text, e.text);
    return root;
}

static void must_refuse(const char *text, size_t len, int code, const char *words)
{
    struct jl_json *root = NULL;
    struct jl_err e = JL_ERR_INIT;

    if (jl_json_parse(text, len, NULL, &root, &e) != -code || root || !strstr(e.text, words))
        fail_msg("'%.60s': expected '%s', got %d '%s'", text, words, e.code, e.text);
}

static void a_document_becomes_a_tree(void **state)
{
    _json_ struct jl_json *root = must_read(
        " {\"a\": [1, -2, true, null, \"x\\u20acy\"], \"b\": {\"c\": 18446744073709551615}} ");
    const struct jl_json *a = jl_json_get(root, "a");
    uint64_t u;
    int64_t i;
    bool b;

    (void) state;
    assert_int_equal(root->kind, JL_JSON_OBJECT);
    assert_int_equal(root->len, 2);
    assert_int_equal(a->len, 5);
    assert_int_equal(jl_json_i64(a->first, 0, 9, &i), 0);
    assert_int_equal(i, 1);
    assert_int_equal(jl_json_i64(a->first->next, -9, 9, &i), 0);
    assert_int_equal(i, -2);
    assert_int_equal(jl_json_bool(a->first->next->next, &b), 0);
    assert_true(b);
    assert_int_equal(a->first->next->next->next->kind, JL_JSON_NULL);
    assert_string_equal(jl_json_str(a->first->next->next->next->next), "x\xe2\x82\xacy");
    assert_int_equal(jl_json_u64(jl_json_get(jl_json_get(root, "b"), "c"), UINT64_MAX, &u), 0);
    assert_true(u == UINT64_MAX);
    assert_null(jl_json_get(root, "d"));
    assert_null(jl_json_get(jl_json_get(root, "d"), "e"));
    assert_null(jl_json_str(a));
}

static void a_number_is_taken_whole_and_in_range_or_not(void **state)
{
    _json_ struct jl_json *root = must_read("[1.0, 1e2, -1, 18446744073709551616, \"1\", "
                                            "-9223372036854775808, -9223372036854775809, 256]");
    const struct jl_json *v = root->first;
    uint64_t u = 7;
    int64_t i = 7;

    (void) state;
    assert_int_equal(jl_json_u64(v, 9, &u), -EINVAL);
    assert_int_equal(jl_json_i64(v, 0, 9, &i), -EINVAL);
    v = v->next;
    assert_int_equal(jl_json_u64(v, 999, &u), -EINVAL);
    v = v->next;
    assert_int_equal(jl_json_u64(v, 9, &u), -ERANGE);
    assert_int_equal(jl_json_i64(v, 0, 9, &i), -ERANGE);
    v = v->next;
    assert_int_equal(jl_json_u64(v, UINT64_MAX, &u), -ERANGE);
    v = v->next;
    assert_int_equal(jl_json_u64(v, 9, &u), -EINVAL);
    v = v->next;
    assert_int_equal(jl_json_i64(v, INT64_MIN, INT64_MAX, &i), 0);
    assert_true(i == INT64_MIN);
    i = 7;
    v = v->next;
    assert_int_equal(jl_json_i64(v, INT64_MIN, INT64_MAX, &i), -ERANGE);
    v = v->next;
    assert_int_equal(jl_json_u64(v, 255, &u), -ERANGE);
    assert_int_equal(jl_json_u64(NULL, 255, &u), -EINVAL);
    assert_int_equal(u, 7);
    assert_int_equal(i, 7);
}

static void what_is_not_json_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *text, *words;
    } table[] = {
        { "", "line 1, column 1: the text ends before" },
        { "{\"a\": [1,\n  2", "line 2, column 4: the text ends before" },
        { "\"abc", "the text ends before" },
        { "[1,]", "line 1, column" },
        { "{} {}", "trailing garbage" },
        { "{'a': 1}", "line 1, column 2" },
        { "[/* */]", "line 1, column" },
        { "[01]", "line 1, column" },
        { "[\"\t\"]", "line 1, column" },
        { "\xef\xbb\xbf{}", "line 1, column 1" },
        { "[\n\"\\u0000\"]", "line 2, column 2: \\u0000" },
        { "[\"\\uD800\"]", "surrogate" },
        { "[\"\\ud83d\\ud83d\"]", "surrogate" },
        { "[\"\\udc00\"]", "surrogate" },
        { "[\"\\ud83d", "surrogate" },
        { "[\"\xc0\x80\"]", "line 1, column 3: not UTF-8" },
        { "[\"\xed\xa0\x80\"]", "not UTF-8" },
        { "[\"\xf4\x90\x80\x80\"]", "not UTF-8" },
        { "[\"12345678\xe9\"]", "line 1, column 11: not UTF-8" },
        { "{\"a\": 1, \"b\": 2, \"\\u0061\": 3}", "'a' twice" },
    };

    (void) state;
    for (size_t i = 0; i < JL_COUNT(table); i++)
        must_refuse(table[i].text, strlen(table[i].text), EINVAL, table[i].words);
    must_refuse("[\"a\0b\"]", 7, EINVAL, "line 1, column");
    must_refuse("\0", 1, EINVAL, "line 1, column");
}

static void escapes_that_only_look_dangerous_pass(void **state)
{
    _json_ struct jl_json *root = must_read("[\"\\\\u0000\", \"\\\\\\ud83d\\uDE00\", \"\\\\\"]");

    (void) state;
    assert_string_equal(jl_json_str(root->first), "\\u0000");
    assert_string_equal(jl_json_str(root->first->next), "\\\xf0\x9f\x98\x80");
    assert_string_equal(jl_json_str(root->first->next->next), "\\");
}

static void a_key_twice_is_found_among_many(void **state)
{
    _buf_ struct jl_buf b = JL_BUF_INIT(1 << 20);

    (void) state;
    for (int i = 0; i < 5000; i++)
        jl_buf_printf(&b, "%s\"k%d\":0", i ? "," : "{", i);
    jl_buf_puts(&b, ",\"k77\":1}");
    must_refuse(b.data, b.len, EINVAL, "'k77' twice");
}

static void depth_and_size_and_count_have_ceilings(void **state)
{
    enum { DEEP = 10000 };
    struct jl_json_limits small = { .max_bytes = 10, .max_depth = 2, .max_values = 3 };
    struct jl_json *root = NULL;
    struct jl_err e = JL_ERR_INIT;
    char deep[DEEP];

    (void) state;
    memset(deep, '[', sizeof deep);
    must_refuse(deep, sizeof deep, EMSGSIZE, "line 1, column 65: nested more than 64 levels");
    assert_int_equal(jl_json_parse("[[[]]]", 6, &small, &root, &e), -EMSGSIZE);
    assert_int_equal(jl_json_parse("[[1]]", 5, &small, &root, &e), 0);
    jl_json_free(root);
    assert_int_equal(jl_json_parse("[1,2,3]", 7, &small, &root, &e), -EMSGSIZE);
    assert_non_null(strstr(e.text, "more than 3 values"));
    assert_int_equal(jl_json_parse("[1]        ", 11, &small, &root, &e), -EMSGSIZE);
    assert_string_equal(e.text, "11 bytes of JSON, the limit is 10");
}

static void the_writer_escapes_and_indents(void **state)
{
    _buf_ struct jl_buf b = JL_BUF_INIT(4096);
    struct jl_json_out w = JL_JSON_OUT_INIT(&b, 0), pretty = JL_JSON_OUT_INIT(&b, 2);

    (void) state;
    jl_json_put_object(&w, NULL);
    jl_json_put_str(&w, "s\"", "\"\\\b\f\n\r\t\x01\x7f\xc3\xa9");
    jl_json_put_array(&w, "a");
    jl_json_put_i64(&w, NULL, INT64_MIN);
    jl_json_put_u64(&w, NULL, UINT64_MAX);
    jl_json_put_bool(&w, NULL, false);
    jl_json_put_double(&w, NULL, 0.1);
    jl_json_put_str(&w, NULL, NULL);
    jl_json_put_object(&w, NULL);
    jl_json_end(&w);
    jl_json_end(&w);
    jl_json_end(&w);
    assert_int_equal(jl_json_finish(&w), 0);
    assert_string_equal(b.data, "{\"s\\\"\":\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u007f\xc3\xa9\","
                                "\"a\":[-9223372036854775808,18446744073709551615,false,0.1,"
                                "null,{}]}");
    jl_buf_clear(&b);
    jl_json_put_array(&pretty, NULL);
    jl_json_put_object(&pretty, NULL);
    jl_json_put_null(&pretty, "k");
    jl_json_end(&pretty);
    jl_json_put_array(&pretty, NULL);
    jl_json_end(&pretty);
    jl_json_end(&pretty);
    assert_int_equal(jl_json_finish(&pretty), 0);
    assert_string_equal(b.data, "[\n  {\n    \"k\": null\n  },\n  []\n]");
}

static void bytes_that_are_not_utf8_are_refused_or_replaced(void **state)
{
    _buf_ struct jl_buf b = JL_BUF_INIT(4096);
    struct jl_json_out strict = JL_JSON_OUT_INIT(&b, 0), loose = JL_JSON_OUT_INIT(&b, 0);

    (void) state;
    jl_json_put_str(&strict, NULL, "a\xff");
    assert_int_equal(jl_json_finish(&strict), -EILSEQ);
    jl_buf_clear(&b);
    loose.replace = true;
    jl_json_put_strn(&loose, NULL,
                     "\xff"
                     "a\xe2\x82"
                     "b\n\xc3\xa9\xed",
                     9);
    assert_int_equal(jl_json_finish(&loose), 0);
    assert_string_equal(b.data, "\"\xef\xbf\xbd"
                                "a\xef\xbf\xbd\xef\xbf\xbd"
                                "b\\n\xc3\xa9\xef\xbf\xbd\"");
}

static void misuse_and_ceilings_of_the_writer_stick(void **state)
{
    _buf_ struct jl_buf b = JL_BUF_INIT(4096), tiny = JL_BUF_INIT(4);
    struct jl_json_out w = JL_JSON_OUT_INIT(&b, 0), full = JL_JSON_OUT_INIT(&tiny, 0);
    struct jl_json_out open = JL_JSON_OUT_INIT(&b, 0), deep = JL_JSON_OUT_INIT(&b, 0);

    (void) state;
    jl_json_put_object(&w, NULL);
    jl_json_put_i64(&w, NULL, 1); /* no key */
    jl_json_end(&w);
    assert_int_equal(jl_json_finish(&w), -EINVAL);
    jl_json_put_array(&open, NULL);
    assert_int_equal(jl_json_finish(&open), -EINVAL);
    jl_json_put_str(&full, NULL, "12345");
    assert_int_equal(jl_json_finish(&full), -EMSGSIZE);
    for (int i = 0; i <= JL_JSON_MAX_DEPTH; i++)
        jl_json_put_array(&deep, NULL);
    assert_int_equal(jl_json_finish(&deep), -EMSGSIZE);
}

static void utf8_has_exactly_one_form(void **state)
{
    static const char *const good[] = { "",
                                        "abcdefgh",
                                        "\x7f",
                                        "\xc2\x80",
                                        "\xe0\xa0\x80",
                                        "\xed\x9f\xbf",
                                        "\xee\x80\x80",
                                        "\xf0\x90\x80\x80",
                                        "\xf4\x8f\xbf\xbf" };
    static const char *const bad[] = { "\x80",
                                       "\xc1\xbf",
                                       "\xe0\x9f\xbf",
                                       "\xed\xa0\x80",
                                       "\xf0\x8f\xbf\xbf",
                                       "\xf4\x90\x80\x80",
                                       "\xf5\x80\x80\x80",
                                       "\xc2",
                                       "\xe2\x82",
                                       "\xff",
                                       "\xe2\x28\xa1" };
    size_t at;

    (void) state;
    for (size_t i = 0; i < JL_COUNT(good); i++)
        assert_true(jl_utf8_valid(good[i], strlen(good[i]), NULL));
    for (size_t i = 0; i < JL_COUNT(bad); i++) {
        assert_false(jl_utf8_valid(bad[i], strlen(bad[i]), &at));
        assert_int_equal(at, 0);
    }
}

static void what_is_not_text_is_made_text(void **state)
{
    char all[] = "a\n\x7f\xc3\xa4\xff\xe2\x82\xe2\x82\xac\xc3";

    (void) state;
    jl_utf8_tame(all, strlen(all));
    assert_string_equal(all, "a??\xc3\xa4???\xe2\x82\xac?");
}

UNIT_MAIN(cmocka_unit_test(a_document_becomes_a_tree),
          cmocka_unit_test(a_number_is_taken_whole_and_in_range_or_not),
          cmocka_unit_test(what_is_not_json_is_refused_with_its_place),
          cmocka_unit_test(escapes_that_only_look_dangerous_pass),
          cmocka_unit_test(a_key_twice_is_found_among_many),
          cmocka_unit_test(depth_and_size_and_count_have_ceilings),
          cmocka_unit_test(the_writer_escapes_and_indents),
          cmocka_unit_test(bytes_that_are_not_utf8_are_refused_or_replaced),
          cmocka_unit_test(misuse_and_ceilings_of_the_writer_stick),
          cmocka_unit_test(utf8_has_exactly_one_form),
          cmocka_unit_test(what_is_not_text_is_made_text))
