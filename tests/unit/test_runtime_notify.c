/* test_runtime_notify.c - of what a container notifies, known lines pass and nothing else. */
#include "tests/unit/unit.h"

#include <string.h>

#include "runtime/notify.h"

static bool ready;
static char out[512];

static const char *filter(const char *in, size_t len)
{
    out[rt_notify_filter(in, len, out, &ready)] = '\0';
    return out;
}

#define FILTER(text) filter(text, sizeof text - 1)

static void known_lines_pass(void **state)
{
    (void) state;
    assert_string_equal(FILTER("READY=1"), "READY=1\n");
    assert_true(ready);
    assert_string_equal(FILTER("STATUS=half way\nWATCHDOG=1\n"), "STATUS=half way\nWATCHDOG=1\n");
    assert_false(ready);
    assert_string_equal(FILTER("RELOADING=1\nMONOTONIC_USEC=18446744073709551615\nSTOPPING=1"),
                        "RELOADING=1\nMONOTONIC_USEC=18446744073709551615\nSTOPPING=1\n");
}

static void others_do_not(void **state)
{
    (void) state;
    assert_string_equal(FILTER("MAINPID=1\nFDSTORE=1\nREADY=11\nREADY=\nready=1\n READY=1"), "");
    assert_false(ready);
    assert_string_equal(FILTER("STATUS=\x1b[2J\nMONOTONIC_USEC=1x\nMONOTONIC_USEC=\nSTATUS="), "");
    assert_string_equal(FILTER("READY=1\0MAINPID=1\nX\nREADY=1"), "READY=1\n");
    assert_string_equal(FILTER("\n\n\n"), "");
    assert_string_equal(filter("", 0), "");
}

static void a_long_status_is_dropped(void **state)
{
    char in[600] = "STATUS=";

    (void) state;
    memset(in + 7, 'x', sizeof in - 7);
    assert_string_equal(filter(in, sizeof in), "");
}

UNIT_MAIN(cmocka_unit_test(known_lines_pass), cmocka_unit_test(others_do_not),
          cmocka_unit_test(a_long_status_is_dropped))
