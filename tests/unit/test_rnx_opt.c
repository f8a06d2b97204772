/* rnx/opt: every form of a flag, and where flags end. */
#include "rnx/opt.h"

#include <errno.h>

#include "base/cleanup.h"
#include "unit.h"

struct values {
    bool yes, global;
    const char *word;
    int64_t n;
    uint64_t size, time;
    struct jl_strv list;
};

static const struct rnx_opt items[] = {
    { "yes", 'y', RNX_OPT_BOOL, NULL, offsetof(struct values, yes), "" },
    { "word", 'w', RNX_OPT_STRING, "W", offsetof(struct values, word), "" },
    { "num", 'n', RNX_OPT_INT, "N", offsetof(struct values, n), "", -5, 10 },
    { "size", 0, RNX_OPT_SIZE, "S", offsetof(struct values, size), "", 0, 1 << 20 },
    { "time", 0, RNX_OPT_DURATION, "D", offsetof(struct values, time), "" },
    { "env", 'e', RNX_OPT_LIST, "K=V", offsetof(struct values, list), "" },
};
static const struct rnx_opt global_items[] = {
    { "global", 'g', RNX_OPT_BOOL, NULL, offsetof(struct values, global), "" },
    { "word", 0, RNX_OPT_STRING, "W", offsetof(struct values, word), "" },
};
static const struct rnx_opts own = RNX_OPTS(items), global = RNX_OPTS(global_items);

static struct values v, gv;
static struct jl_strv words;
static struct jl_err e;

static int parse(bool stop, const char *const *argv)
{
    char *copy[16];
    int n = 0;

    for (; argv[n]; n++)
        copy[n] = (char *) (uintptr_t) argv[n];
    jl_strv_clear(&v.list);
    jl_strv_clear(&words);
    memset(&v, 0, sizeof v);
    memset(&gv, 0, sizeof gv);
    jl_err_clear(&e);
    return rnx_opt_parse(&own, &v, &global, &gv, copy, n, stop, &words, &e);
}

#define PARSE(stop, ...) parse((stop), (const char *const[]){ __VA_ARGS__, NULL })

static int teardown(void **state)
{
    (void) state;
    jl_strv_clear(&v.list);
    jl_strv_clear(&words);
    return 0;
}

static void opt_takes_every_form(void **state)
{
    (void) state;
    assert_int_equal(PARSE(false, "--word=a", "--num", "7", "-e", "A=1", "-e=B=2", "-eC=3",
                           "--env=D", "--size=1KB", "--time", "1m"),
                     0);
    assert_string_equal(v.word, "a");
    assert_int_equal(v.n, 7);
    assert_int_equal(v.list.len, 4);
    assert_string_equal(v.list.items[0], "A=1");
    assert_string_equal(v.list.items[1], "B=2");
    assert_string_equal(v.list.items[2], "C=3");
    assert_string_equal(v.list.items[3], "D");
    assert_int_equal(v.size, 1024);
    assert_int_equal(v.time, UINT64_C(60000000000));
    assert_int_equal(PARSE(false, "--yes", "-g"), 0);
    assert_true(v.yes && gv.global);
    assert_int_equal(PARSE(false, "--yes=false", "-y=true", "--word="), 0);
    assert_true(v.yes);
    assert_string_equal(v.word, "");
    assert_int_equal(PARSE(false, "--num=-5"), 0);
    assert_int_equal(v.n, -5);
}

static void opt_ends_where_the_job_begins(void **state)
{
    (void) state;
    assert_int_equal(PARSE(true, "--num=1", "sh", "-c", "--num=2", "--"), 0);
    assert_int_equal(v.n, 1);
    assert_int_equal(words.len, 4);
    assert_string_equal(words.items[3], "--");
    assert_int_equal(PARSE(true, "--", "--num=2"), 0);
    assert_int_equal(words.len, 1);
    assert_int_equal(PARSE(true, "-"), 0);
    assert_int_equal(words.len, 1);
    assert_int_equal(PARSE(false, "id", "--num=2"), 0); /* other commands: in any order */
    assert_int_equal(v.n, 2);
    assert_int_equal(words.len, 1);
}

static void opt_own_flag_wins_over_a_global_one(void **state)
{
    (void) state;
    assert_int_equal(PARSE(false, "--word=x"), 0);
    assert_string_equal(v.word, "x");
    assert_null(gv.word);
}

static void opt_refuses(const char *flag, const char *want)
{
    assert_int_equal(PARSE(false, flag), -EINVAL);
    assert_true(rnx_is_usage(&e));
    if (!strstr(e.text, want))
        fail_msg("'%s' does not say '%s'", e.text, want);
}

static void opt_refusals_name_the_flag(void **state)
{
    (void) state;
    opt_refuses("--nope=3", "unknown flag: --nope");
    opt_refuses("--yesno", "unknown flag: --yesno");
    opt_refuses("-yx", "unknown flag: -yx");
    opt_refuses("-q", "unknown flag: -q");
    opt_refuses("--num", "--num needs a value (N)");
    opt_refuses("-e", "--env needs a value");
    opt_refuses("--num=ten", "--num wants a whole number, got 'ten'");
    opt_refuses("--num=11", "--num=11 is outside -5 to 10");
    opt_refuses("--num=", "whole number");
    opt_refuses("--yes=maybe", "--yes is true or false");
    opt_refuses("--size=2MB", "too large");
    opt_refuses("--size=x", "wants a size");
    opt_refuses("--time=x", "wants whole seconds");
    opt_refuses("--time=500ms", "wants whole seconds");
    opt_refuses("--time=0", "wants whole seconds");
}

UNIT_MAIN(cmocka_unit_test_teardown(opt_takes_every_form, teardown),
          cmocka_unit_test_teardown(opt_ends_where_the_job_begins, teardown),
          cmocka_unit_test_teardown(opt_own_flag_wins_over_a_global_one, teardown),
          cmocka_unit_test_teardown(opt_refusals_name_the_flag, teardown))
