/* rnx/runspec: from the words after `run` to the request. */
#include "rnx/runspec.h"

#include <errno.h>

#include "base/cleanup.h"
#include "unit.h"

#define NOW (UINT64_C(1781524800) * JL_NS_PER_S)

static struct rnx_run_opts o;
static struct rnx_runspec s;
static struct jl_strv words;
static struct jl_err e;

static void clear(void)
{
    rnx_runspec_done(&s);
    rnx_run_opts_done(&o);
    jl_strv_clear(&words);
    memset(&s, 0, sizeof s);
    memset(&o, 0, sizeof o);
    jl_err_clear(&e);
}

static int teardown(void **state)
{
    (void) state;
    clear();
    return 0;
}

static int make(const char *const *argv)
{
    char *copy[24];
    int n = 0, r;

    clear();
    for (; argv[n]; n++)
        copy[n] = (char *) (uintptr_t) argv[n];
    r = rnx_opt_parse(&rnx_run_opts, &o, NULL, NULL, copy, n, true, &words, &e);
    return r < 0 ? r : rnx_runspec_make(&o, &words, NOW, &s, &e);
}

#define MAKE(...) make((const char *const[]){ __VA_ARGS__, NULL })

static void good(int r)
{
    if (r < 0)
        fail_msg("%s", e.text);
}

static void bad(int r, const char *want)
{
    assert_true(r < 0);
    if (!strstr(e.text, want))
        fail_msg("'%s' does not say '%s'", e.text, want);
}

static void run_words_are_the_jobs_own(void **state)
{
    (void) state;
    good(MAKE("--max-cpu=50", "sh", "-c", "echo $A", "--max-cpu=9"));
    assert_int_equal(s.request.max_cpu, 50);
    assert_string_equal(s.request.command, "sh");
    assert_int_equal(s.request.n_args, 3);
    assert_string_equal(s.request.args[2], "--max-cpu=9");
    good(MAKE("--", "-odd"));
    assert_string_equal(s.request.command, "-odd");
    bad(MAKE("--max-cpu=50"), "a command to run is needed");
    bad(MAKE(""), "a command to run is needed");
}

static void run_single_words_for_the_shell(void **state)
{
    static const char *const shell[] = { "a b", "a;b", "a&b", "a|b", "a<b",
                                         "a>b", "$A",  "`a`", "(a)" };
    static const char *const plain[] = { "a", "a-b", "./a", "a=b", "a*", "a'b", "~" };

    (void) state;
    for (size_t i = 0; i < JL_COUNT(shell); i++) {
        good(MAKE(shell[i]));
        assert_string_equal(s.request.command, "/bin/sh");
        assert_int_equal(s.request.n_args, 2);
        assert_string_equal(s.request.args[1], shell[i]);
    }
    for (size_t i = 0; i < JL_COUNT(plain); i++) {
        good(MAKE(plain[i]));
        assert_string_equal(s.request.command, plain[i]);
    }
    good(MAKE("a b", "c")); /* two words: a program with a blank in its name */
    assert_string_equal(s.request.command, "a b");
}

static void run_environment(void **state)
{
    (void) state;
    good(MAKE("-e", "A=1", "--env=B=x=y", "-e=C=", "--env", "A=2", "-s", "S=hush", "true"));
    assert_int_equal(s.request.n_environment, 3);
    assert_string_equal(s.request.environment[0]->key, "A");
    assert_string_equal(s.request.environment[0]->value, "2"); /* the last one holds */
    assert_string_equal(s.request.environment[1]->value, "x=y");
    assert_string_equal(s.request.environment[2]->value, "");
    assert_int_equal(s.request.n_secret_environment, 1);
    bad(MAKE("-e", "A", "true"), "wants NAME=VALUE, got 'A'");
    bad(MAKE("-e", "=x", "true"), "is no name of a variable");
    bad(MAKE("-e", "1A=x", "true"), "is no name of a variable");
    bad(MAKE("-e", "A-B=x", "true"), "is no name of a variable");
    bad(MAKE("-e", "A=1", "-s", "A=2", "true"), "by --env and by --secret-env");
    bad(MAKE("-e", "JOB_ID=1", "true"), "JOB_ID");
    bad(MAKE("-s", "9=hush", "true"), "no name");
    assert_null(strstr(e.text, "hush"));
}

static void run_limits(void **state)
{
    (void) state;
    good(MAKE("--max-memory=64", "--max-iobps=1000", "--cpu-cores=0-2,6", "--timeout=1m30s",
              "--gpu-memory=8GB", "--gpu=2", "--tmp-size=1MB", "--net-rx=1KB", "--priority=-3",
              "--volume=a,b", "--volume=c", "true"));
    assert_int_equal(s.request.max_memory, 64);
    assert_int_equal(s.request.max_io_bps, 1000);
    assert_string_equal(s.request.cpu_cores, "0-2,6");
    assert_int_equal(s.request.timeout_seconds, 90);
    assert_int_equal(s.request.gpu_memory_mb, 8192);
    assert_int_equal(s.request.gpu_count, 2);
    assert_int_equal(s.request.tmp_size_bytes, 1 << 20);
    assert_int_equal(s.request.net_rx_bps, 1024);
    assert_int_equal(s.request.priority, -3);
    assert_int_equal(s.request.n_volumes, 3);
    good(MAKE("--gpu-memory=4096", "true"));
    assert_int_equal(s.request.gpu_memory_mb, 4096);
    bad(MAKE("--cpu-cores=3-1", "true"), "--cpu-cores");
    bad(MAKE("--gpu-memory=x", "true"), "--gpu-memory");
    bad(MAKE("--max-memory=3", "true"), "memory"); /* below what a process needs */
    bad(MAKE("--priority=101", "true"), "--priority=101");
    bad(MAKE("--name=a/b", "true"), "name");
    bad(MAKE("--workdir=relative", "true"), "dir");
}

/* A relative one is counted by the server, whose clock may be another, and may be set. */
static void run_schedule_is_sent_in_seconds_or_with_a_zone(void **state)
{
    (void) state;
    good(MAKE("--schedule=1 Hour 5min", "true"));
    assert_string_equal(s.request.schedule, "3900s");
    assert_string_equal(s.due, "2026-06-15T13:05:00Z");
    good(MAKE("--schedule=2026-06-16 08:00+01:00", "true"));
    assert_string_equal(s.request.schedule, "2026-06-16T07:00:00Z");
    bad(MAKE("--schedule=never", "true"), "'never'");
}

static void run_workflow_is_not_built_yet(void **state)
{
    (void) state;
    bad(MAKE("--workflow=x.yml"), "not built yet");
    bad(MAKE("--template=x.yml"), "not built yet");
}

UNIT_MAIN(cmocka_unit_test_teardown(run_words_are_the_jobs_own, teardown),
          cmocka_unit_test_teardown(run_single_words_for_the_shell, teardown),
          cmocka_unit_test_teardown(run_environment, teardown),
          cmocka_unit_test_teardown(run_limits, teardown),
          cmocka_unit_test_teardown(run_schedule_is_sent_in_seconds_or_with_a_zone, teardown),
          cmocka_unit_test_teardown(run_workflow_is_not_built_yet, teardown))
