/* A list of revoked certificates is read strictly, and knows a serial however it is spelt. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "ipc/revoked.h"

static int parse(const char *text, struct ipc_revoked *ret, struct jl_err *e)
{
    jl_err_clear(e);
    return ipc_revoked_parse("revoked", text, strlen(text), ret, e);
}

static void a_serial_is_found_in_any_spelling(void **state)
{
    static const char *const spellings[] = { "7ABC01", "7abc01", "007ABC01", "7A:BC:01",
                                             "0x7abc01" };
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        _revoked_ struct ipc_revoked list = { 0 };
        char text[64];

        snprintf(text, sizeof text, "# who left\n\t%s # ada\r\n\nFF\n", spellings[i]);
        assert_int_equal(parse(text, &list, &e), 0);
        assert_int_equal(list.n, 2);
        for (size_t k = 0; k < sizeof spellings / sizeof spellings[0]; k++)
            assert_true(ipc_revoked_has(&list, spellings[k]));
        assert_true(ipc_revoked_has(&list, "0ff"));
        assert_false(ipc_revoked_has(&list, "7ABC0"));
        assert_false(ipc_revoked_has(&list, "7ABC010"));
        assert_false(ipc_revoked_has(&list, "0"));
    }
}

static void an_empty_list_revokes_nobody_but_the_nameless(void **state)
{
    _revoked_ struct ipc_revoked list = { 0 };
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    assert_int_equal(parse("# nobody\n", &list, &e), 0);
    assert_int_equal(list.n, 0);
    assert_false(ipc_revoked_has(&list, "1"));
    assert_true(ipc_revoked_has(&list, ""));    /* too long to be kept, or not there */
    assert_true(ipc_revoked_has(&list, "-1A")); /* negative: RFC 5280 forbids it */
    assert_true(ipc_revoked_has(&list, "nope"));
}

static void what_is_not_a_list_is_refused_whole(void **state)
{
    static const char *const bad[] = {
        "7ABC\n12 34\n", "7ABC\nzoe\n",
        "7A::BC\n",      ":7A\n",
        "7A:\n",         "0x\n",
        "7ABC",          "\n7ABC\n#",
        "7ABC\n-1\n",    "123456789012345678901234567890123456789012\n",
    };
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        _revoked_ struct ipc_revoked list = { 0 };

        assert_int_equal(parse(bad[i], &list, &e), -EINVAL);
        assert_int_equal(list.n, 0);
        assert_null(list.serials);
    }
    assert_non_null(strstr(e.text, "revoked:1: "));
}

static void a_list_keeps_one_of_each_in_order(void **state)
{
    _revoked_ struct ipc_revoked list = { 0 };
    _buf_ struct jl_buf text = JL_BUF_INIT(1000);
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    assert_int_equal(parse("B\n0a\n0B\nA\n100\nb\n", &list, &e), 0);
    assert_int_equal(ipc_revoked_write(&list, &text), 0);
    assert_string_equal(text.data, "100\nA\nB\n");
}

static void there_is_a_ceiling(void **state)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(1u << 20);
    _revoked_ struct ipc_revoked list = { 0 };
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    for (unsigned i = 0; i < IPC_REVOKED_MAX; i++)
        assert_int_equal(jl_buf_printf(&text, "%X\n", i), 0);
    assert_int_equal(parse(text.data, &list, &e), 0);
    assert_int_equal(list.n, IPC_REVOKED_MAX);
    ipc_revoked_done(&list);
    assert_int_equal(jl_buf_puts(&text, "FFFFFF\n"), 0);
    assert_int_equal(parse(text.data, &list, &e), -E2BIG);
}

UNIT_MAIN(cmocka_unit_test(a_serial_is_found_in_any_spelling),
          cmocka_unit_test(an_empty_list_revokes_nobody_but_the_nameless),
          cmocka_unit_test(what_is_not_a_list_is_refused_whole),
          cmocka_unit_test(a_list_keeps_one_of_each_in_order), cmocka_unit_test(there_is_a_ceiling))
