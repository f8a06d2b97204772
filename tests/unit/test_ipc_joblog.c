/* A log record has one spelling, and a torn or foreign one is never believed. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "ipc/joblog.h"

static const struct ipc_log_record sample = { .sequence = 7,
                                              .wall_ns = 1700000000123456789u,
                                              .offset = 4096,
                                              .length = 65536,
                                              .stream = IPC_LOG_STDERR };

static void a_record_comes_back_as_it_was(void **state)
{
    uint8_t bytes[IPC_LOG_RECORD_BYTES];
    struct ipc_log_record back = { 0 };

    (void) state;
    ipc_log_record_write(&sample, bytes);
    assert_int_equal(ipc_log_record_parse(bytes, &back), 0);
    assert_int_equal(back.sequence, 7);
    assert_int_equal(back.wall_ns, 1700000000123456789u);
    assert_int_equal(back.offset, 4096);
    assert_int_equal(back.length, 65536);
    assert_int_equal(back.stream, IPC_LOG_STDERR);
}

static void the_bytes_are_those_of_the_format_document(void **state)
{
    /* clang-format off */
    static const uint8_t documented[IPC_LOG_RECORD_BYTES] = {
        1, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0x2a, 0x36, 0xfe, 0x9c, 0x97, 0x17,
        0, 0, 0, 0, 0, 0, 0, 0,  6, 0, 0, 0, 0, 0, 0, 0,
        1, 0, 0, 0,              0x26, 0x60, 0x38, 0xc7, /* zlib's crc32 of the 36 before */
    };
    /* clang-format on */
    struct ipc_log_record r = {
        .sequence = 1, .wall_ns = 1700000000000000000u, .length = 6, .stream = IPC_LOG_STDOUT
    };
    uint8_t bytes[IPC_LOG_RECORD_BYTES];

    (void) state;
    ipc_log_record_write(&r, bytes);
    assert_memory_equal(bytes, documented, sizeof bytes);
}

static void any_flipped_bit_is_noticed(void **state)
{
    uint8_t bytes[IPC_LOG_RECORD_BYTES];
    struct ipc_log_record back;

    (void) state;
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        ipc_log_record_write(&sample, bytes);
        bytes[bit / 8] ^= (uint8_t) (1u << (bit % 8));
        assert_int_equal(ipc_log_record_parse(bytes, &back), -EPROTO);
    }
    memset(bytes, 0, sizeof bytes); /* a hole that a crash left */
    assert_int_equal(ipc_log_record_parse(bytes, &back), -EPROTO);
}

static void impossible_records_are_refused(void **state)
{
    static const struct ipc_log_record bad[] = {
        { .sequence = 0, .length = 1, .stream = IPC_LOG_STDOUT },
        { .sequence = 1, .length = 0, .stream = IPC_LOG_STDOUT },
        { .sequence = 1, .length = IPC_LOG_CHUNK_MAX + 1, .stream = IPC_LOG_STDOUT },
        { .sequence = 1, .length = 0, .stream = IPC_LOG_GAP },
        { .sequence = 1, .length = 0, .stream = IPC_LOG_CUT },
        { .sequence = 1, .length = 1, .stream = IPC_LOG_END },
        { .sequence = 1, .length = 1, .stream = (enum ipc_log_stream) 8 },
        { .sequence = 1, .length = 1, .stream = (enum ipc_log_stream) 0 },
        { .sequence = 1, .offset = INT64_MAX, .length = 1, .stream = IPC_LOG_STDOUT },
    };
    uint8_t bytes[IPC_LOG_RECORD_BYTES];
    struct ipc_log_record back;

    (void) state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ipc_log_record_write(&bad[i], bytes);
        assert_int_equal(ipc_log_record_parse(bytes, &back), -EPROTO);
    }
}

static void names_carry_the_segment(void **state)
{
    char buf[32];

    (void) state;
    assert_string_equal(ipc_log_data_name(0, buf, sizeof buf), "output.0.log");
    assert_string_equal(ipc_log_index_name(4294967295u, buf, sizeof buf), "output.4294967295.idx");
}

static void only_names_of_indexes_are_taken(void **state)
{
    static const char *const others[] = { "",
                                          "output.0.log",
                                          "output..idx",
                                          "output.00.idx",
                                          "output.-1.idx",
                                          "output.1.idx.new",
                                          "output.idx.new",
                                          "output.4294967296.idx",
                                          "output.99999999999999999999.idx" };
    unsigned n = 7;

    (void) state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(ipc_log_is_index(others[i], &n));
    assert_int_equal(n, 7);
    assert_true(ipc_log_is_index("output.0.idx", &n));
    assert_int_equal(n, 0);
    assert_true(ipc_log_is_index("output.120.idx", &n));
    assert_int_equal(n, 120);
}

UNIT_MAIN(cmocka_unit_test(only_names_of_indexes_are_taken),
          cmocka_unit_test(a_record_comes_back_as_it_was),
          cmocka_unit_test(the_bytes_are_those_of_the_format_document),
          cmocka_unit_test(any_flipped_bit_is_noticed),
          cmocka_unit_test(impossible_records_are_refused),
          cmocka_unit_test(names_carry_the_segment))
