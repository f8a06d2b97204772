/* What a runtime wrote into its log becomes an error of ours, and nothing else does. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "shim/answer.h"

static int parse(const char *text, struct jl_err *e)
{
    return sh_answer_parse(text, strlen(text), e);
}

static void the_last_error_counts(void **state)
{
    struct jl_err e;

    (void) state;
    assert_int_equal(
        parse("{\"level\":\"warning\",\"msg\":\"w\",\"time\":\"t\"}\n"
              "{\"level\":\"error\",\"msg\":\"one\",\"time\":\"t\"}\n"
              "{\"msg\":\"exec: \\\"x\\\": not found\\n\", \"level\":\"error\", \"n\":-1.5e3}\n"
              "{\"level\":\"info\",\"msg\":\"later\"}\n\n",
              &e),
        1);
    assert_string_equal(e.text, "exec: \"x\": not found ");
    assert_int_equal(e.code, EIO);
}

static void our_own_runtime_says_more(void **state)
{
    struct jl_err e;

    (void) state;
    assert_int_equal(parse("{\"level\":\"error\",\"msg\":\"m\",\"phase\":\"exec\",\"syscall\":"
                           "\"execve\",\"object\":\"/bin/x\",\"errno\":2,\"hint\":\"h\"}",
                           &e),
                     1);
    assert_int_equal(e.code, ENOENT);
    assert_string_equal(e.phase, "exec");
    assert_string_equal(e.syscall, "execve");
    assert_string_equal(e.object, "/bin/x");
    assert_string_equal(e.hint, "h");
}

static void escapes_are_undone_and_tamed(void **state)
{
    struct jl_err e;

    (void) state;
    assert_int_equal(
        parse("{\"level\":\"fatal\",\"msg\":\"\\u00e4\\u20ac\\ud800\\/\\t\\u0000.\"}", &e), 1);
    assert_string_equal(e.text, "\xc3\xa4\xe2\x82\xac?/  .");
}

static void what_is_no_error_line_is_passed_over(void **state)
{
    static const char *const lines[] = {
        "",
        "\n\n",
        "not json",
        "{",
        "{}",
        "{\"level\":\"error\"}",
        "{\"level\":\"error\",\"msg\":\"\"}",
        "{\"level\":\"info\",\"msg\":\"x\"}",
        "{\"level\":\"error\",\"msg\":\"x\"",
        "{\"level\":\"error\",\"msg\":\"x\\\"}",
        "{\"level\":\"error\",\"msg\":\"\\u12\"}",
        "{\"level\":\"error\",\"msg\":\"\\q\"}",
        "{\"level\":\"error\",\"msg\":{\"a\":1}}",
        "{\"level\":\"error\",\"msg\":[1]}",
        "{\"level\":\"error\" \"msg\":\"x\"}",
        "{level:\"error\",\"msg\":\"x\"}",
    };
    struct jl_err e = { .code = 77 };

    (void) state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        assert_int_equal(parse(lines[i], &e), 0);
        assert_int_equal(e.code, 77);
    }
}

static void a_long_message_is_cut(void **state)
{
    char text[2000];
    struct jl_err e;
    int n = snprintf(text, sizeof text, "{\"level\":\"error\",\"msg\":\"");

    (void) state;
    memset(text + n, 'x', 1500);
    memcpy(text + n + 1500, "\"}", 3);
    assert_int_equal(parse(text, &e), 1);
    assert_int_equal(strlen(e.text), JL_ERR_TEXT_MAX - 1);
}

static int code_of(const char *text, int status)
{
    struct jl_err e;

    jl_refuse(&e, EIO, "%s", text);
    return sh_answer_code(&e, status);
}

static void codes_are_those_of_a_shell(void **state)
{
    (void) state;
    assert_int_equal(code_of("exec: \"x\": executable file not found in $PATH", 1), 127);
    assert_int_equal(code_of("exec /x: no such file or directory", 1), 127);
    assert_int_equal(code_of("open executable: Permission denied", 1), 126);
    assert_int_equal(code_of("exec format error", 1), 126);
    assert_int_equal(code_of("mount '/x': no such file or directory", 1), 1);
    assert_int_equal(code_of("memory.max: permission denied", 1), 1);
    assert_int_equal(code_of("anything", 127), 127);
    assert_int_equal(code_of("anything", 126), 126);
    assert_int_equal(code_of("anything", 0), 1);
}

UNIT_MAIN(cmocka_unit_test(the_last_error_counts), cmocka_unit_test(our_own_runtime_says_more),
          cmocka_unit_test(escapes_are_undone_and_tamed),
          cmocka_unit_test(what_is_no_error_line_is_passed_over),
          cmocka_unit_test(a_long_message_is_cut), cmocka_unit_test(codes_are_those_of_a_shell))
