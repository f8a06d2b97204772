/*
 * unit.h - cmocka with the headers it needs in their order, and a main that takes a name filter:
 * `test_base_parse size` runs the cases whose name holds "size".
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the four above, as cmocka.h asks */
#include <cmocka.h>

#define UNIT_MAIN(...)                                                                             \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        const struct CMUnitTest tests[] = { __VA_ARGS__ };                                         \
        char filter[128];                                                                          \
                                                                                                   \
        if (argc > 1) {                                                                            \
            snprintf(filter, sizeof filter, "*%s*", argv[1]);                                      \
            cmocka_set_test_filter(filter);                                                        \
        }                                                                                          \
        return cmocka_run_group_tests(tests, NULL, NULL);                                          \
    }
