/* Numbers, sizes, durations and lists are taken whole and in range, or refused. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "base/clock.h"
#include "base/parse.h"

static void integers_must_be_whole_and_in_range(void **state)
{
    int64_t v;

    (void) state;
    assert_int_equal(jl_parse_i64("42", 0, 100, &v), 0);
    assert_int_equal(v, 42);
    assert_int_equal(jl_parse_i64("-7", -10, 10, &v), 0);
    assert_int_equal(v, -7);
    assert_int_equal(jl_parse_i64("101", 0, 100, &v), -ERANGE);
    assert_int_equal(jl_parse_i64("9223372036854775808", 0, INT64_MAX, &v), -ERANGE);
    assert_int_equal(jl_parse_i64("", 0, 100, &v), -EINVAL);
    assert_int_equal(jl_parse_i64("5x", 0, 100, &v), -EINVAL);
    assert_int_equal(jl_parse_i64(" 5", 0, 100, &v), -EINVAL);
    assert_int_equal(jl_parse_i64("-", -5, 100, &v), -EINVAL);
    assert_int_equal(jl_parse_i64("-9223372036854775808", INT64_MIN, INT64_MAX, &v), 0);
    assert_true(v == INT64_MIN);
    assert_int_equal(jl_parse_i64("-9223372036854775809", INT64_MIN, INT64_MAX, &v), -ERANGE);
}

static void sizes_take_units_of_1024(void **state)
{
    uint64_t v;

    (void) state;
    assert_int_equal(jl_parse_size("1GB", &v), 0);
    assert_int_equal(v, 1 << 30);
    assert_int_equal(jl_parse_size("1.5k", &v), 0);
    assert_int_equal(v, 1536);
    assert_int_equal(jl_parse_size("64MiB", &v), 0);
    assert_int_equal(v, 64 << 20);
    assert_int_equal(jl_parse_size("12", &v), 0);
    assert_int_equal(v, 12);
    assert_int_equal(jl_parse_size("-1", &v), -EINVAL);
    assert_int_equal(jl_parse_size("0x10", &v), -EINVAL);
    assert_int_equal(jl_parse_size("1XB", &v), -EINVAL);
    assert_int_equal(jl_parse_size("99999999999999TB", &v), -ERANGE);
    assert_int_equal(jl_parse_size("0.0", &v), 0);
    assert_int_equal(v, 0);
    assert_int_equal(jl_parse_size("0e5", &v), 0);
    assert_int_equal(jl_parse_size("0.5", &v), -EINVAL); /* not 0: no limit */
    assert_int_equal(jl_parse_size("0.0009k", &v), -EINVAL);
    assert_int_equal(jl_parse_size("1e-400", &v), -EINVAL);
}

static void durations_add_their_groups(void **state)
{
    uint64_t v;

    (void) state;
    assert_int_equal(jl_parse_duration("1h30m", &v), 0);
    assert_int_equal(v, 5400 * JL_NS_PER_S);
    assert_int_equal(jl_parse_duration("100ms", &v), 0);
    assert_int_equal(v, 100 * JL_NS_PER_MS);
    assert_int_equal(jl_parse_duration("0", &v), 0);
    assert_int_equal(v, 0);
    assert_int_equal(jl_parse_duration("5", &v), -EINVAL);
    assert_int_equal(jl_parse_duration("h", &v), -EINVAL);
    assert_int_equal(jl_parse_duration("999999999999999d", &v), -ERANGE);
}

static void cpu_lists_are_checked(void **state)
{
    unsigned hi;

    (void) state;
    assert_int_equal(jl_parse_cpulist("0-2,6", &hi), 0);
    assert_int_equal(hi, 6);
    assert_int_equal(jl_parse_cpulist("3-1", &hi), -EINVAL);
    assert_int_equal(jl_parse_cpulist("1,", &hi), -EINVAL);
    assert_int_equal(jl_parse_cpulist("", &hi), -EINVAL);
    assert_int_equal(jl_parse_cpulist("9999", &hi), -ERANGE);
}

static void numset(void **state)
{
    struct jl_numset a, b;

    (void) state;
    assert_int_equal(jl_parse_numset("0-2,64,8191", &a), 0);
    assert_int_equal(a.bits[0], 7);
    assert_int_equal(a.bits[1], 1);
    assert_true(a.bits[127] == UINT64_C(1) << 63);
    assert_int_equal(jl_numset_count(&a), 5);
    assert_int_equal(jl_parse_numset("8191,2,64,0-1,1", &b), 0);
    assert_true(jl_numset_equal(&a, &b));
    assert_int_equal(jl_parse_numset("0-1", &b), 0);
    assert_false(jl_numset_equal(&a, &b));
    assert_int_equal(jl_parse_numset("8192", &b), -ERANGE);
    assert_int_equal(jl_parse_numset("1 ", &b), -EINVAL);
}

static void times_round_trip(void **state)
{
    uint64_t ns;
    char buf[JL_RFC3339_MAX];

    (void) state;
    assert_int_equal(jl_parse_rfc3339("2026-02-28T23:59:59.250+01:00", &ns), 0);
    assert_string_equal(jl_rfc3339(ns, 3, buf), "2026-02-28T22:59:59.250Z");
    assert_int_equal(jl_parse_rfc3339("2026-02-30T00:00:00Z", &ns), -ERANGE);
    assert_int_equal(jl_parse_rfc3339("2026-02-28T00:00:00", &ns), -EINVAL);
    assert_int_equal(jl_parse_rfc3339("9999-01-01T00:00:00Z", &ns), -ERANGE);
}

UNIT_MAIN(cmocka_unit_test(integers_must_be_whole_and_in_range),
          cmocka_unit_test(sizes_take_units_of_1024), cmocka_unit_test(durations_add_their_groups),
          cmocka_unit_test(cpu_lists_are_checked), cmocka_unit_test(numset),
          cmocka_unit_test(times_round_trip))
