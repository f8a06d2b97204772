/* api/schedule: relative and absolute times, and what is refused. */
#include "api/schedule.h"

#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "unit.h"

/* 2026-06-15T12:00:00Z */
#define NOW (UINT64_C(1781524800) * JL_NS_PER_S)

static void is(const char *spec, const char *want)
{
    char out[JL_RFC3339_MAX];
    struct jl_err e = JL_ERR_INIT;
    uint64_t due, delay_s;

    if (api_schedule(spec, NOW, &due, &delay_s, &e) < 0)
        fail_msg("%s", e.text);
    assert_string_equal(jl_rfc3339(due, 0, out), want);
}

static void refused(const char *spec, const char *want)
{
    struct jl_err e = JL_ERR_INIT;
    uint64_t due, delay_s;

    if (api_schedule(spec, NOW, &due, &delay_s, &e) == 0)
        fail_msg("'%s' was taken", spec);
    if (!strstr(e.text, want))
        fail_msg("'%s' does not say '%s'", e.text, want);
}

static void schedule_relative(void **state)
{
    (void) state;
    is("1hour", "2026-06-15T13:00:00Z");
    is("30min", "2026-06-15T12:30:00Z");
    is("2h30m", "2026-06-15T14:30:00Z");
    is("45s", "2026-06-15T12:00:45Z");
    is(" 2 Hours 5 MINUTES ", "2026-06-15T14:05:00Z");
    is("1d", "2026-06-16T12:00:00Z");
    is("365days", "2027-06-15T12:00:00Z");
    is("1sec1secs1second1seconds", "2026-06-15T12:00:04Z");
}

static void schedule_absolute(void **state)
{
    (void) state;
    setenv("TZ", "CET-1", 1);
    tzset();
    is("2026-06-16T08:00:00Z", "2026-06-16T08:00:00Z");
    is("2026-06-16T08:00:00.25Z", "2026-06-16T08:00:00Z");
    is("2026-06-16 08:00", "2026-06-16T07:00:00Z");
    is("2026-06-16T08:00:30", "2026-06-16T07:00:30Z");
    is("2026-06-16T08:00:00+02:00", "2026-06-16T06:00:00Z");
    is("2026-06-16T08:00-05:30", "2026-06-16T13:30:00Z");
    is("2026-06-15T11:59:40Z", "2026-06-15T11:59:40Z"); /* within the clocks' difference */
}

static void schedule_below_a_second(void **state)
{
    struct jl_err e = JL_ERR_INIT;
    uint64_t due = 0, delay_s = 0;

    (void) state;
    assert_int_equal(api_schedule("2026-06-16T08:00:00.2504Z", NOW, &due, &delay_s, &e), 0);
    assert_int_equal(due % JL_NS_PER_S, 250400000);
    assert_int_equal(api_schedule("2026-06-16T08:00:00.1234567899Z", NOW, &due, &delay_s, &e), 0);
    assert_int_equal(due % JL_NS_PER_S, 123456789);
}

static void schedule_tells_which_form_it_was(void **state)
{
    struct jl_err e = JL_ERR_INIT;
    uint64_t due, delay_s;

    (void) state;
    assert_int_equal(api_schedule("2h 30m", NOW, &due, &delay_s, &e), 0);
    assert_int_equal(delay_s, 9000);
    assert_int_equal(api_schedule("2026-06-16T08:00:00Z", NOW, &due, &delay_s, &e), 0);
    assert_int_equal(delay_s, 0);
}

static void schedule_refusals(void **state)
{
    (void) state;
    refused("", "is no time");
    refused("soon", "is no time");
    refused("5", "is no time");
    refused("1h30", "is no time");
    refused("1 fortnight", "is no time");
    refused("-1h", "is no time");
    refused("1h tomorrow", "is no time");
    refused("0s", "outside 1 second");
    refused("366d", "outside 1 second to 365 days");
    refused("999999999d999999999d", "outside");
    refused("9999999999s", "is no time");
    refused("2026-06-15T11:59:00Z", "is over since 1.0m");
    refused("2025-12-25T00:00:00Z", "is over since 172d");
    refused("2027-06-16T00:00:00Z", "more than 365 days");
    refused("2026-02-30T00:00:00Z", "is no time");
    refused("2026-13-01T00:00:00Z", "is no time");
    refused("2026-06-16T24:00:00Z", "is no time");
    refused("2026-06-16T08:00:00 Z", "is no time");
    refused("2026-06-16T08:00:00+2:00", "is no time");
    refused("2026-06-16", "is no time");
    refused("2026-06-16T08:00:00Zulu", "is no time");
}

UNIT_MAIN(cmocka_unit_test(schedule_relative), cmocka_unit_test(schedule_absolute),
          cmocka_unit_test(schedule_below_a_second),
          cmocka_unit_test(schedule_tells_which_form_it_was), cmocka_unit_test(schedule_refusals))
