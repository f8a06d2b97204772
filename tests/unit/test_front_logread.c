/* A log's segment read back: merged, resumed, its last lines, and what a damaged one gives. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "daemon/front/logread.h"

struct log {
    int idx, data;
    uint64_t sequence, offset, later_ns;
    char idx_path[32]; /* an index without a name is one that was taken away */
};

static struct log log_new(void)
{
    struct log l = { .data = memfd_create("data", MFD_CLOEXEC),
                     .idx_path = "/tmp/joblet-test-idx-XXXXXX" };

    l.idx = mkostemp(l.idx_path, O_CLOEXEC);
    assert_true(l.idx >= 0 && l.data >= 0);
    return l;
}

static void log_close(struct log *l)
{
    unlink(l->idx_path);
    close(l->idx);
    close(l->data);
}

static void add_record(struct log *l, enum ipc_log_stream stream, uint64_t length)
{
    struct ipc_log_record rec = { .sequence = ++l->sequence,
                                  .wall_ns = 1000 + l->sequence + l->later_ns,
                                  .offset = l->offset,
                                  .length = length,
                                  .stream = stream };
    uint8_t raw[IPC_LOG_RECORD_BYTES];

    ipc_log_record_write(&rec, raw);
    assert_int_equal(write(l->idx, raw, sizeof raw), sizeof raw);
}

static void add(struct log *l, enum ipc_log_stream stream, const char *text)
{
    assert_int_equal(write(l->data, text, strlen(text)), strlen(text));
    add_record(l, stream, strlen(text));
    l->offset += strlen(text);
}

static struct jd_logread open_log(const struct log *l)
{
    struct jd_logread r = JD_LOGREAD_INIT;

    jd_logread_open(&r, 0, dup(l->idx), dup(l->data));
    return r;
}

static void log_done(struct log *l, struct jd_logread *r)
{
    jd_logread_close(r);
    log_close(l);
}

static uint8_t space[1 << 20];

static struct jd_log_chunk next(struct jd_logread *r)
{
    struct jl_err e = JL_ERR_INIT;
    struct jd_log_chunk c;

    if (jd_logread_next(r, space, sizeof space, &c, &e) < 0)
        fail_msg("%s", e.text);
    return c;
}

static void expect_text(struct jd_logread *r, enum ipc_log_stream stream, const char *text,
                        uint64_t sequence)
{
    struct jd_log_chunk c = next(r);

    assert_int_equal(c.what, JD_LOG_CHUNK);
    assert_int_equal(c.stream, stream);
    assert_int_equal(c.len, strlen(text));
    assert_memory_equal(space, text, c.len);
    assert_int_equal(c.sequence, sequence);
}

static void neighbours_of_one_stream_become_one_chunk(void **state)
{
    struct log l = log_new();
    struct jd_logread r;

    (void) state;
    add(&l, IPC_LOG_STDOUT, "a\n");
    add(&l, IPC_LOG_STDOUT, "b\n");
    add(&l, IPC_LOG_STDERR, "e\n");
    add(&l, IPC_LOG_STDOUT, "c\n");
    r = open_log(&l);
    expect_text(&r, IPC_LOG_STDOUT, "a\nb\n", 2);
    expect_text(&r, IPC_LOG_STDERR, "e\n", 3);
    expect_text(&r, IPC_LOG_STDOUT, "c\n", 4);
    assert_int_equal(next(&r).what, JD_LOG_WAIT);
    add(&l, IPC_LOG_STDOUT, "d\n");
    add_record(&l, IPC_LOG_END, 0);
    expect_text(&r, IPC_LOG_STDOUT, "d\n", 5);
    assert_int_equal(next(&r).what, JD_LOG_END);
    assert_int_equal(next(&r).what, JD_LOG_END);
    log_done(&l, &r);
}

static void lines_far_apart_keep_their_times(void **state)
{
    struct log l = log_new();
    struct jd_logread r;

    (void) state;
    add(&l, IPC_LOG_STDOUT, "a\n");
    add(&l, IPC_LOG_STDOUT, "b\n");
    l.later_ns = JD_LOG_TOGETHER_NS;
    add(&l, IPC_LOG_STDOUT, "c\n");
    r = open_log(&l);
    expect_text(&r, IPC_LOG_STDOUT, "a\nb\n", 2);
    assert_int_equal(next(&r).wall_ns, 1003 + JD_LOG_TOGETHER_NS);
    log_done(&l, &r);
}

static void a_hundred_thousand_records_come_once_and_in_order(void **state)
{
    struct log l = log_new();
    struct jd_logread r;
    unsigned line = 0, chunks = 0;
    struct jd_log_chunk c;

    (void) state;
    for (int i = 0; i < 100000; i++) {
        char text[16];

        snprintf(text, sizeof text, "%06d\n", i);
        add(&l, IPC_LOG_STDOUT, text);
    }
    r = open_log(&l);
    while ((c = next(&r)).what == JD_LOG_CHUNK) {
        chunks++;
        for (size_t at = 0; at < c.len; at += 7) {
            char text[16];

            snprintf(text, sizeof text, "%06u\n", line++);
            assert_memory_equal(space + at, text, 7);
        }
    }
    assert_int_equal(c.what, JD_LOG_WAIT);
    assert_int_equal(line, 100000);
    assert_int_equal(chunks, 1);
    log_done(&l, &r);
}

static void a_record_without_its_bytes_is_not_believed(void **state)
{
    struct log l = log_new();
    struct jd_logread r;

    (void) state;
    add(&l, IPC_LOG_STDOUT, "a\n");
    add_record(&l, IPC_LOG_STDOUT, 3);
    r = open_log(&l);
    expect_text(&r, IPC_LOG_STDOUT, "a\n", 1);
    assert_int_equal(next(&r).what, JD_LOG_WAIT);
    assert_int_equal(write(l.data, "xyz", 3), 3);
    expect_text(&r, IPC_LOG_STDOUT, "xyz", 2);
    log_done(&l, &r);
}

static void reading_goes_on_at_any_sequence(void **state)
{
    struct log l = log_new();

    (void) state;
    for (int i = 0; i < 9; i++)
        add(&l, i % 3 == 2 ? IPC_LOG_STDERR : IPC_LOG_STDOUT, "123456789\n");
    add_record(&l, IPC_LOG_GAP, 77);
    add_record(&l, IPC_LOG_NEXT, 0);
    for (uint64_t from = 1; from <= 12; from++) {
        struct jd_logread r = open_log(&l);
        uint64_t bytes = 0, gap = 0;
        struct jd_log_chunk c;

        r.from = from;
        while ((c = next(&r)).what == JD_LOG_CHUNK || c.what == JD_LOG_GAP) {
            bytes += c.what == JD_LOG_CHUNK ? c.len : 0;
            gap += c.what == JD_LOG_GAP ? c.len : 0;
        }
        assert_int_equal(c.what, JD_LOG_NEXT);
        assert_int_equal(bytes, from <= 9 ? (10 - from) * 10 : 0);
        assert_int_equal(gap, from <= 10 ? 77 : 0);
        jd_logread_close(&r);
    }
    log_close(&l);
}

static void damage_is_told_after_what_is_whole(void **state)
{
    struct log l = log_new();
    struct jd_logread r;
    struct jl_err e = JL_ERR_INIT;
    struct jd_log_chunk c;

    (void) state;
    add(&l, IPC_LOG_STDOUT, "a\n");
    add(&l, IPC_LOG_STDOUT, "b\n");
    assert_int_equal(pwrite(l.idx, "\xff", 1, IPC_LOG_RECORD_BYTES + 3), 1);
    r = open_log(&l);
    expect_text(&r, IPC_LOG_STDOUT, "a\n", 1);
    assert_int_equal(jd_logread_next(&r, space, sizeof space, &c, &e), -EPROTO);
    assert_non_null(strstr(e.text, "damaged in segment 0, record 1"));
    log_done(&l, &r);
}

static void a_sequence_that_does_not_follow_is_damage(void **state)
{
    struct log l = log_new();
    struct jd_logread r;
    struct jl_err e = JL_ERR_INIT;
    struct jd_log_chunk c;

    (void) state;
    add(&l, IPC_LOG_STDOUT, "a\n");
    l.sequence++;
    add(&l, IPC_LOG_STDOUT, "b\n");
    r = open_log(&l);
    expect_text(&r, IPC_LOG_STDOUT, "a\n", 1);
    assert_int_equal(jd_logread_next(&r, space, sizeof space, &c, &e), -EPROTO);
    log_done(&l, &r);
}

/* The last n lines of a log that holds text in records of `step` bytes. */
static void check_tail(const char *text, size_t step, uint64_t n, const char *want)
{
    struct log l = log_new();
    struct jl_err e = JL_ERR_INIT;
    struct jd_logread r;
    uint64_t end = 0;
    char got[256] = "";
    struct jd_log_chunk c;
    int ends;

    for (size_t at = 0; at < strlen(text); at += step) {
        char part[64];

        snprintf(part, sizeof part, "%.*s", (int) step, text + at);
        add(&l, IPC_LOG_STDOUT, part);
    }
    r = open_log(&l);
    ends = jd_logread_data_end(&r, &end, &e);
    assert_true(ends >= 0);
    n -= ends == 0;
    if (jd_logread_tail(&r, UINT64_MAX, &end, &n, &e) == 1)
        r.skip_data = end;
    while ((c = next(&r)).what == JD_LOG_CHUNK)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%.*s", (int) c.len, space);
    assert_string_equal(got, want);
    log_done(&l, &r);
}

static void the_last_lines_are_found_wherever_records_begin(void **state)
{
    (void) state;
    for (size_t step = 1; step < 9; step++) {
        check_tail("one\ntwo\nthree\n", step, 1, "three\n");
        check_tail("one\ntwo\nthree\n", step, 2, "two\nthree\n");
        check_tail("one\ntwo\nthree\n", step, 3, "one\ntwo\nthree\n");
        check_tail("one\ntwo\nthree\n", step, 9, "one\ntwo\nthree\n");
        check_tail("one\ntwo\nthree", step, 1, "three");
        check_tail("one\ntwo\nthree", step, 2, "two\nthree");
        check_tail("\n\n\n", step, 2, "\n\n");
    }
}

static void the_search_for_lines_goes_on_where_it_stopped(void **state)
{
    struct log l = log_new();
    struct jl_err e = JL_ERR_INIT;
    struct jd_logread r;
    uint64_t end = 0, lines = 1000;
    int slices = 0, found;

    (void) state;
    for (int i = 0; i < 20000; i++)
        add(&l, IPC_LOG_STDOUT, "0123456789012345678901234567890123456789012345678901234567890\n");
    r = open_log(&l);
    assert_int_equal(jd_logread_data_end(&r, &end, &e), 1);
    while ((found = jd_logread_tail(&r, 1000, &end, &lines, &e)) == 0 && end > 0)
        slices++;
    assert_int_equal(found, 1);
    assert_int_equal(end, (20000 - 1000) * 62);
    assert_int_equal(slices, 0); /* a block is 64 KiB: 1000 lines lie in one */
    end = 20000 * 62;
    lines = 10000;
    slices = 0;
    while ((found = jd_logread_tail(&r, 1000, &end, &lines, &e)) == 0 && end > 0)
        slices++;
    assert_int_equal(found, 1);
    assert_int_equal(end, 10000 * 62);
    assert_true(slices > 5);
    log_done(&l, &r);
}

static void a_cut_may_skip_sequences_forwards(void **state)
{
    struct jd_log_chunk c;
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    for (int back = 0; back < 2; back++) {
        struct log l = log_new();
        struct jd_logread r;

        add(&l, IPC_LOG_STDOUT, "a\n");
        r = open_log(&l);
        expect_text(&r, IPC_LOG_STDOUT, "a\n", 1);
        l.sequence = back ? 0 : 6;
        add_record(&l, IPC_LOG_CUT, 1234);
        add_record(&l, IPC_LOG_NEXT, 0);
        if (back) {
            assert_int_equal(jd_logread_next(&r, space, sizeof space, &c, &e), -EPROTO);
        } else {
            c = next(&r);
            assert_int_equal(c.what, JD_LOG_CUT);
            assert_int_equal(c.len, 1234);
            assert_int_equal(c.sequence, 7);
            assert_int_equal(next(&r).what, JD_LOG_NEXT);
        }
        log_done(&l, &r);
    }
}

static void who_has_read_further_hears_of_no_cut(void **state)
{
    struct log l = log_new();
    struct jd_logread r;

    (void) state;
    l.sequence = 20;
    add_record(&l, IPC_LOG_CUT, 9);
    add_record(&l, IPC_LOG_NEXT, 0);
    r = open_log(&l);
    r.from = 22;
    assert_int_equal(next(&r).what, JD_LOG_NEXT);
    log_done(&l, &r);
}

static void a_segment_that_is_taken_away_is_opened_anew(void **state)
{
    struct log l = log_new();
    struct jd_logread r;
    struct jl_err e = JL_ERR_INIT;
    uint64_t end = 0, n = 5;

    (void) state;
    add(&l, IPC_LOG_STDOUT, "a\n");
    add(&l, IPC_LOG_STDERR, "b\n");
    r = open_log(&l);
    expect_text(&r, IPC_LOG_STDOUT, "a\n", 1);
    assert_int_equal(ftruncate(l.data, 0), 0);
    assert_int_equal(next(&r).what, JD_LOG_WAIT); /* only not there yet, as far as one can see */
    unlink(l.idx_path);
    assert_int_equal(next(&r).what, JD_LOG_GONE);
    assert_true(jd_logread_data_end(&r, &end, &e) >= 0);
    assert_int_equal(jd_logread_tail(&r, UINT64_MAX, &end, &n, &e), 0);
    assert_int_equal(end, 0);
    log_done(&l, &r);
}

UNIT_MAIN(cmocka_unit_test(neighbours_of_one_stream_become_one_chunk),
          cmocka_unit_test(lines_far_apart_keep_their_times),
          cmocka_unit_test(a_hundred_thousand_records_come_once_and_in_order),
          cmocka_unit_test(a_record_without_its_bytes_is_not_believed),
          cmocka_unit_test(reading_goes_on_at_any_sequence),
          cmocka_unit_test(damage_is_told_after_what_is_whole),
          cmocka_unit_test(a_sequence_that_does_not_follow_is_damage),
          cmocka_unit_test(a_cut_may_skip_sequences_forwards),
          cmocka_unit_test(who_has_read_further_hears_of_no_cut),
          cmocka_unit_test(a_segment_that_is_taken_away_is_opened_anew),
          cmocka_unit_test(the_last_lines_are_found_wherever_records_begin),
          cmocka_unit_test(the_search_for_lines_goes_on_where_it_stopped))
