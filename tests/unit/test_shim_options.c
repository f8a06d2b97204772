/* The shim's command line is taken whole or refused with a sentence. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "shim/options.h"

#define NEEDED                                                                                     \
    "--id", "j1", "--bundle", "/b", "--state-dir", "/s", "--log-dir", "/l", "--runtime-root", "/r"

static int parse(char **argv, struct sh_options *o, const char **text, struct jl_err *e)
{
    int argc = 0;

    while (argv[argc])
        argc++;
    return sh_options_parse(argc, argv, o, text, e);
}

static void all_of_it(void **state)
{
    char *argv[] = { "joblet-shim",
                     NEEDED,
                     "--runtime-fd",
                     "7",
                     "--cgroup",
                     "/a/b",
                     "--sync-fd",
                     "8",
                     "--lock-fd",
                     "9",
                     "--stop-grace-ms",
                     "0",
                     "--time-limit-ms",
                     "5",
                     "--terminal",
                     "--log-max-bytes",
                     "1048576",
                     NULL };
    struct sh_options o;
    const char *text;
    struct jl_err e;

    (void) state;
    assert_int_equal(parse(argv, &o, &text, &e), 0);
    assert_string_equal(o.id, "j1");
    assert_string_equal(o.runtime_root, "/r");
    assert_null(o.runtime);
    assert_int_equal(o.runtime_fd, 7);
    assert_int_equal(o.sync_fd, 8);
    assert_int_equal(o.lock_fd, 9);
    assert_string_equal(o.cgroup, "a/b");
    assert_int_equal(o.stop_grace_ms, 0);
    assert_int_equal(o.time_limit_ms, 5);
    assert_true(o.terminal);
    assert_int_equal(o.log_max_bytes, 1048576);
}

static void what_is_left_out(void **state)
{
    char *argv[] = { "joblet-shim", NEEDED, "--runtime=/bin/runc", NULL };
    struct sh_options o;
    const char *text;
    struct jl_err e;

    (void) state;
    assert_int_equal(parse(argv, &o, &text, &e), 0);
    assert_string_equal(o.runtime, "/bin/runc");
    assert_int_equal(o.runtime_fd, -1);
    assert_int_equal(o.sync_fd, -1);
    assert_int_equal(o.lock_fd, -1);
    assert_null(o.cgroup);
    assert_int_equal(o.stop_grace_ms, SH_GRACE_DEFAULT_MS);
    assert_int_equal(o.time_limit_ms, 0);
    assert_false(o.terminal);
}

static void refused(char *word, char *value)
{
    char *argv[] = { "joblet-shim", NEEDED, "--runtime", "/bin/runc", word, value, NULL };
    struct sh_options o;
    const char *text;
    struct jl_err e = JL_ERR_INIT;

    assert_int_equal(parse(argv, &o, &text, &e), -EINVAL);
    assert_true(e.text[0] != '\0');
}

static void nonsense_is_refused(void **state)
{
    (void) state;
    refused("--id", "");
    refused("--id", ".");
    refused("--id", "-v");
    refused("--id", "a/b");
    refused("--id", "a b");
    refused("--bundle", "b");
    refused("--state-dir", "");
    refused("--cgroup", "/");
    refused("--cgroup", "a/../b");
    refused("--cgroup", "sys:fd:x");
    refused("--runtime-fd", "3"); /* both ways at once */
    refused("--sync-fd", "2");
    refused("--sync-fd", "x");
    refused("--lock-fd", "1");
    refused("--stop-grace-ms", "-1");
    refused("--time-limit-ms", "99999999999999999999");
    refused("--log-max-bytes", "1048575");
    refused("--log-max-bytes", "1MB");
    refused("--unknown", NULL);
    refused("--terminal=yes", NULL);
    refused("word", NULL);
    refused("--sync-fd", NULL);
}

static void each_needed_word_is_missed(void **state)
{
    static const char *const words[] = { "--id",      "--bundle",       "--state-dir",
                                         "--log-dir", "--runtime-root", "--runtime" };
    char *all[] = { "joblet-shim", NEEDED, "--runtime", "/bin/runc", NULL };

    (void) state;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        char *argv[16];
        struct sh_options o;
        const char *text;
        struct jl_err e;
        size_t n = 0;

        for (size_t k = 0; all[k]; k++) {
            if (strcmp(all[k], words[i]) == 0)
                k++;
            else
                argv[n++] = all[k];
        }
        argv[n] = NULL;
        assert_int_equal(parse(argv, &o, &text, &e), -EINVAL);
        assert_non_null(strstr(e.text, words[i]));
    }
}

UNIT_MAIN(cmocka_unit_test(all_of_it), cmocka_unit_test(what_is_left_out),
          cmocka_unit_test(nonsense_is_refused), cmocka_unit_test(each_needed_word_is_missed))
