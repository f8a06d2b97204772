/* test_runtime_opts.c - command lines as engines and people write them. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/strv.h"
#include "runtime/opts.h"

static const char *bundle;
static bool detach, force;
static unsigned number;
static struct jl_strv env;

static const struct rt_opt opts[] = {
    { "bundle", 'b', RT_OPT_TEXT, &bundle, "DIR", "" },
    { "detach", 'd', RT_OPT_FLAG, &detach, NULL, "" },
    { "force", 'f', RT_OPT_FLAG, &force, NULL, "" },
    { "preserve-fds", 0, RT_OPT_UINT, &number, "N", "" },
    { "env", 'e', RT_OPT_LIST, &env, "NAME=VALUE", "" },
    { "criu", 0, RT_OPT_NONE, NULL, "PATH", "" },
};

static struct rt_args args;
static struct jl_err e;

static int parse(int stop_after, const char *const *words)
{
    static char *argv[32];
    int argc = 0;

    for (; words[argc]; argc++)
        argv[argc] = (char *) words[argc];
    argv[argc] = NULL;
    bundle = NULL;
    detach = force = false;
    number = 0;
    jl_strv_clear(&env);
    jl_err_clear(&e);
    return rt_opts_parse(opts, JL_COUNT(opts), argc, argv, stop_after, &args, &e);
}

#define PARSE(stop, ...) parse(stop, (const char *const[]){ "verb", __VA_ARGS__, NULL })

static void values_come_as_word_or_behind_an_equals_sign(void **state)
{
    (void) state;
    assert_int_equal(PARSE(-1, "--bundle", "/b", "id"), 0);
    assert_string_equal(bundle, "/b");
    assert_int_equal(PARSE(-1, "--bundle=/b=c", "id"), 0);
    assert_string_equal(bundle, "/b=c");
    assert_int_equal(PARSE(-1, "-b", "/b", "id"), 0);
    assert_string_equal(bundle, "/b");
    assert_int_equal(PARSE(-1, "-b/b", "id"), 0);
    assert_string_equal(bundle, "/b");
    assert_int_equal(PARSE(-1, "-bundle", "/b", "id"), 0); /* runc takes one dash too */
    assert_string_equal(bundle, "/b");
}

static void options_may_follow_the_arguments(void **state)
{
    (void) state;
    assert_int_equal(PARSE(-1, "id", "-b", "/b", "--force"), 0);
    assert_string_equal(bundle, "/b");
    assert_true(force);
    assert_int_equal(args.n, 1);
    assert_string_equal(args.items[0], "id");
}

static void what_follows_the_command_is_not_ours(void **state)
{
    (void) state;
    assert_int_equal(PARSE(1, "-e", "A=1", "id", "sh", "-d", "--", "--force"), 0);
    assert_int_equal(args.n, 5);
    assert_string_equal(args.items[1], "sh");
    assert_string_equal(args.items[2], "-d");
    assert_string_equal(args.items[3], "--");
    assert_false(detach || force);
    assert_int_equal(env.len, 1);
}

static void two_dashes_end_the_options(void **state)
{
    (void) state;
    assert_int_equal(PARSE(-1, "--", "-d"), 0);
    assert_int_equal(args.n, 1);
    assert_string_equal(args.items[0], "-d");
    assert_false(detach);
}

static void letters_can_be_joined_and_flags_be_denied(void **state)
{
    (void) state;
    assert_int_equal(PARSE(-1, "-df", "id"), 0);
    assert_true(detach && force);
    assert_int_equal(PARSE(-1, "--detach=false", "id"), 0);
    assert_false(detach);
    assert_int_equal(PARSE(-1, "--detach=perhaps", "id"), -EINVAL);
}

static void lists_keep_all_their_values(void **state)
{
    (void) state;
    assert_int_equal(PARSE(-1, "-e", "A=1", "--env=B=2", "id"), 0);
    assert_int_equal(env.len, 2);
    assert_string_equal(env.items[1], "B=2");
}

static void mistakes_are_named(void **state)
{
    (void) state;
    assert_int_equal(PARSE(-1, "--nonsense", "id"), -EINVAL);
    assert_non_null(strstr(e.text, "--nonsense"));
    assert_int_equal(PARSE(-1, "id", "--bundle"), -EINVAL);
    assert_non_null(strstr(e.text, "bundle"));
    assert_int_equal(PARSE(-1, "-x"), -EINVAL);
    assert_int_equal(PARSE(-1, "--preserve-fds", "-1", "id"), -EINVAL);
    assert_int_equal(PARSE(-1, "--preserve-fds", "3x", "id"), -EINVAL);
    assert_int_equal(PARSE(-1, "--preserve-fds", "99999999999", "id"), -EINVAL);
}

static void options_without_effect_still_take_their_value(void **state)
{
    (void) state;
    assert_int_equal(PARSE(-1, "--criu", "/usr/sbin/criu", "id"), 0);
    assert_int_equal(args.n, 1);
}

static int finish(void **state)
{
    (void) state;
    jl_strv_clear(&env);
    return 0;
}

UNIT_MAIN(cmocka_unit_test(values_come_as_word_or_behind_an_equals_sign),
          cmocka_unit_test(options_may_follow_the_arguments),
          cmocka_unit_test(what_follows_the_command_is_not_ours),
          cmocka_unit_test(two_dashes_end_the_options),
          cmocka_unit_test(letters_can_be_joined_and_flags_be_denied),
          cmocka_unit_test_teardown(lists_keep_all_their_values, finish),
          cmocka_unit_test(mistakes_are_named),
          cmocka_unit_test_teardown(options_without_effect_still_take_their_value, finish))
