/* rnx/out: tables, times, durations, sizes, and text that must not move the terminal's cursor. */
#include "rnx/out.h"

#include <time.h>

#include "base/clock.h"
#include "rnx/jobtext.h"
#include "unit.h"

static void out_table_fits_its_columns(void **state)
{
    static const struct rnx_column columns[] = {
        { "ID", 0, false }, { "NAME", 6, false }, { "STATUS", 0, true }, { "LAST", 0, false }
    };
    static const char *const cells[] = { "1",  "abcdefgh",         "FAILED",  "x",
                                         "22", "\xc3\xa4\xc3\xa4", "RUNNING", "" };
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);

    (void) state;
    rnx_table(f, columns, 4, cells, 2, false);
    fflush(f);
    assert_string_equal(text, "ID  NAME    STATUS   LAST\n"
                              "--  ------  -------  ----\n"
                              "1   abc...  FAILED   x\n"
                              "22  \xc3\xa4\xc3\xa4      RUNNING  \n");
    rewind(f);
    rnx_table(f, columns, 4, cells, 1, true);
    fclose(f);
    assert_non_null(strstr(text, "\033[31mFAILED\033[0m  x\n"));
    free(text);
}

static void out_durations_have_the_documented_forms(void **state)
{
    static const struct {
        uint64_t s;
        const char *text;
    } table[] = { { 0, "0.0s" },
                  { 4, "4.0s" },
                  { 12, "12.0s" },
                  { 59, "59.0s" },
                  { 60, "1.0m" },
                  { 270, "4.5m" },
                  { 3599, "59.9m" },
                  { 3600, "1h" },
                  { 7200, "2h" },
                  { 9000, "2h30m" },
                  { 86399, "23h59m" },
                  { 86400 * 3, "3d" },
                  { 86400 * 3 + 14400, "3d4h" } };
    char buf[32];

    (void) state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_string_equal(jl_duration_text(table[i].s * JL_NS_PER_S, buf, sizeof buf),
                            table[i].text);
    assert_string_equal(jl_duration_text(142 * JL_NS_PER_MS, buf, sizeof buf), "0.1s");
    assert_string_equal(jl_duration_text(9999 * JL_NS_PER_MS, buf, sizeof buf), "9.9s");
    assert_string_equal(jl_duration_text(12345 * JL_NS_PER_MS, buf, sizeof buf), "12.3s");
}

static void out_sizes(void **state)
{
    char buf[32];

    (void) state;
    assert_string_equal(rnx_size_text(0, buf, sizeof buf), "0.00 KB");
    assert_string_equal(rnx_size_text(1536, buf, sizeof buf), "1.50 KB");
    assert_string_equal(rnx_size_text(3 << 20, buf, sizeof buf), "3.00 MB");
    assert_string_equal(rnx_size_text(UINT64_C(5) << 40, buf, sizeof buf), "5.00 TB");
}

static void out_times_are_local(void **state)
{
    char buf[64];

    (void) state;
    setenv("TZ", "CET-1", 1);
    tzset();
    assert_string_equal(rnx_time_text("2026-01-02T23:04:05.6Z", false, "-", buf, sizeof buf),
                        "2026-01-03 00:04:05");
    assert_string_equal(rnx_time_text("2026-01-02T23:04:05Z", true, "-", buf, sizeof buf),
                        "2026-01-03 00:04:05 CET");
    assert_string_equal(rnx_time_text("", true, "N/A", buf, sizeof buf), "N/A");
    assert_string_equal(rnx_time_text("rub\tbish", true, "-", buf, sizeof buf), "rub?bish");
}

static void out_text_is_tamed(void **state)
{
    char buf[32];

    (void) state;
    assert_string_equal(rnx_tame("a\033[2Jb\n", buf, sizeof buf), "a?[2Jb?");
    assert_string_equal(rnx_tame("\xff\xc3\xa4\xc3", buf, sizeof buf), "?\xc3\xa4?");
    assert_string_equal(rnx_tame("\xc2\x9b"
                                 "2J",
                                 buf, sizeof buf),
                        "??2J");
    assert_string_equal(rnx_tame("0123456789", buf, 5), "0123");
}

static void out_commands_are_one_line(void **state)
{
    char *args[] = { (char *) "-c", (char *) "one\ntwo" };
    char buf[128];

    (void) state;
    assert_string_equal(rnx_command_text("sh", args, 2, 80, buf, sizeof buf), "sh -c one...");
    assert_string_equal(rnx_command_text("sh", args, 1, 80, buf, sizeof buf), "sh -c");
    assert_string_equal(rnx_command_text("0123456789", NULL, 0, 8, buf, sizeof buf), "01234...");
    assert_string_equal(rnx_command_text("01234567", NULL, 0, 8, buf, sizeof buf), "01234567");
    assert_string_equal(rnx_command_text("0123456789012345678901234567", NULL, 0, 0, buf, 16),
                        "01234567...");
}

static void out_job_states(void **state)
{
    (void) state;
    assert_true(rnx_job_is_state("running"));
    assert_false(rnx_job_is_state("RUN"));
    assert_true(rnx_job_has_ended("TIMEOUT"));
    assert_false(rnx_job_has_ended("STOPPING"));
    assert_true(rnx_job_has_begun("RUNNING"));
    assert_false(rnx_job_has_begun("CANCELED"));
}

static Joblet__Job *job(const char *status, const char *created, const char *start,
                        const char *scheduled, Joblet__Job *at)
{
    joblet__job__init(at);
    at->status = (char *) (uintptr_t) status;
    at->created_time = (char *) (uintptr_t) created;
    at->start_time = (char *) (uintptr_t) start;
    at->scheduled_time = (char *) (uintptr_t) scheduled;
    return at;
}

static int by_order(const void *a, const void *b)
{
    return rnx_job_compare(*(Joblet__Job *const *) a, *(Joblet__Job *const *) b);
}

static void out_jobs_are_listed_newest_first(void **state)
{
    Joblet__Job at[6];
    Joblet__Job *jobs[] = {
        job("COMPLETED", "2026-01-01T01:00:00Z", "2026-01-01T01:00:01Z", "", &at[0]),
        job("CANCELED", "2026-01-01T02:00:00Z", "", "2026-02-01T00:00:00Z", &at[1]),
        job("RUNNING", "2026-01-01T00:00:00Z", "2026-01-01T03:00:00Z", "2026-01-01T03:00:00Z",
            &at[2]),
        job("SCHEDULED", "2026-01-01T00:00:00Z", "", "2026-01-02T00:00:00Z", &at[3]),
        job("PENDING", "2026-01-01T01:30:00Z", "", "", &at[4]),
        job("PENDING", "2026-01-01T02:30:00Z", "", "", &at[5]),
    };

    (void) state;
    qsort(jobs, 6, sizeof jobs[0], by_order);
    for (size_t i = 0; i < 6; i++)
        assert_ptr_equal(jobs[i], &at[5 - i]);
}

UNIT_MAIN(cmocka_unit_test(out_table_fits_its_columns),
          cmocka_unit_test(out_durations_have_the_documented_forms), cmocka_unit_test(out_sizes),
          cmocka_unit_test(out_times_are_local), cmocka_unit_test(out_text_is_tamed),
          cmocka_unit_test(out_commands_are_one_line), cmocka_unit_test(out_job_states),
          cmocka_unit_test(out_jobs_are_listed_newest_first))
