/* The log's writer: what is stored is told of, what cannot be stored is counted. A small file
 * size limit (RLIMIT_FSIZE) stands in for the disk that is full: EFBIG instead of ENOSPC. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/io.h"
#include "shim/logfile.h"

static char dir_path[] = "/tmp/joblet-test-log-XXXXXX";
static int dirfd_;

static int set_up(void **state)
{
    (void) state;
    memcpy(dir_path + sizeof dir_path - 7, "XXXXXX", 6);
    if (!mkdtemp(dir_path))
        return -1;
    dirfd_ = open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dirfd_ < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    struct jl_err e;

    (void) state;
    close(dirfd_);
    return jl_remove_tree_at(AT_FDCWD, dir_path, &e);
}

static size_t read_records(struct ipc_log_record *out, size_t max)
{
    uint8_t bytes[IPC_LOG_RECORD_BYTES];
    int fd = openat(dirfd_, "output.0.idx", O_RDONLY | O_CLOEXEC);
    size_t n = 0;

    assert_true(fd >= 0);
    while (read(fd, bytes, sizeof bytes) == sizeof bytes) {
        assert_true(n < max);
        assert_int_equal(ipc_log_record_parse(bytes, &out[n]), 0);
        assert_int_equal(out[n].sequence, n + 1);
        n++;
    }
    close(fd);
    return n;
}

static size_t data_size(void)
{
    struct stat st;

    assert_int_equal(fstatat(dirfd_, "output.0.log", &st, 0), 0);
    return (size_t) st.st_size;
}

static void output_is_stored_and_ended(void **state)
{
    struct sh_log log = SH_LOG_INIT;
    struct ipc_log_record r[8];
    struct jl_err e;

    (void) state;
    assert_int_equal(sh_log_open(&log, dirfd_, 0, &e), 0);
    sh_log_append(&log, IPC_LOG_STDOUT, "hello\n", 6);
    sh_log_append(&log, IPC_LOG_STDERR, "x", 1);
    sh_log_append(&log, IPC_LOG_NOTE, "note\n", 5);
    assert_int_equal(sh_log_finish(&log, &e), 0);
    assert_int_equal(read_records(r, 8), 4);
    assert_int_equal(r[1].stream, IPC_LOG_STDERR);
    assert_int_equal(r[1].offset, 6);
    assert_int_equal(r[2].stream, IPC_LOG_NOTE);
    assert_int_equal(r[3].stream, IPC_LOG_END);
    assert_int_equal(r[3].offset, 12);
    assert_int_equal(data_size(), 12);
    assert_int_equal(log.dropped_bytes, 0);
    sh_log_close(&log);
    assert_int_equal(sh_log_open(&log, dirfd_, 0, &e), -EEXIST); /* one writer, once */
    assert_non_null(strstr(e.text, "output.0.log"));
}

static void files_made_ahead_are_taken_once(void **state)
{
    struct sh_log log, other;
    struct jl_err e = JL_ERR_INIT;
    struct stat made, taken;

    (void) state;
    close(openat(dirfd_, "output.0.log.ahead", O_WRONLY | O_CREAT | O_EXCL, 0640));
    close(openat(dirfd_, "output.0.idx.ahead", O_WRONLY | O_CREAT | O_EXCL, 0640));
    assert_int_equal(fstatat(dirfd_, "output.0.idx.ahead", &made, 0), 0);
    assert_int_equal(sh_log_open(&log, dirfd_, 0, &e), 0);
    assert_int_equal(fstatat(dirfd_, "output.0.idx", &taken, 0), 0);
    assert_true(made.st_ino == taken.st_ino);
    assert_int_equal(faccessat(dirfd_, "output.0.log.ahead", F_OK, 0), -1);
    assert_int_equal(sh_log_open(&other, dirfd_, 0, &e), -EEXIST);
    close(openat(dirfd_, "output.0.log.ahead", O_WRONLY | O_CREAT | O_EXCL, 0640));
    jl_err_clear(&e);
    assert_int_equal(sh_log_open(&other, dirfd_, 0, &e), -EEXIST); /* nor with new ones */
    sh_log_close(&log);
}

static void limit_file_size(rlim_t bytes)
{
    struct rlimit limit = { bytes, RLIM_INFINITY };

    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void what_does_not_fit_is_a_gap(void **state)
{
    static char chunk[IPC_LOG_CHUNK_MAX];
    struct sh_log log = SH_LOG_INIT;
    struct ipc_log_record r[8];
    struct jl_err e;
    size_t n;

    (void) state;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(sh_log_open(&log, dirfd_, 0, &e), 0);
    limit_file_size(100000);
    sh_log_append(&log, IPC_LOG_STDOUT, chunk, sizeof chunk);
    sh_log_append(&log, IPC_LOG_STDOUT, chunk, sizeof chunk); /* in part */
    sh_log_append(&log, IPC_LOG_STDOUT, chunk, sizeof chunk); /* not at all */
    sh_log_append(&log, IPC_LOG_NOTE, "note\n", 5);           /* no output: not counted */
    assert_int_equal(log.data_bytes, 100000);
    assert_int_equal(log.dropped_bytes, 3 * 65536 - 100000);
    limit_file_size(RLIM_INFINITY);
    sh_log_append(&log, IPC_LOG_STDERR, "again", 5);
    assert_int_equal(sh_log_finish(&log, &e), 0);
    n = read_records(r, 8);
    assert_int_equal(n, 5);
    assert_int_equal(r[1].length, 100000 - 65536);
    assert_int_equal(r[2].stream, IPC_LOG_GAP);
    assert_int_equal(r[2].length, 3 * 65536 - 100000);
    assert_int_equal(r[3].stream, IPC_LOG_STDERR);
    assert_int_equal(r[3].offset, 100000);
    assert_int_equal(data_size(), 100005);
    assert_int_equal(log.dropped_bytes, 3 * 65536 - 100000);
    sh_log_close(&log);
}

static void a_torn_record_is_written_over(void **state)
{
    struct sh_log log = SH_LOG_INIT;
    struct ipc_log_record r[8];
    struct jl_err e;

    (void) state;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(sh_log_open(&log, dirfd_, 0, &e), 0);
    sh_log_append(&log, IPC_LOG_STDOUT, "one", 3);
    limit_file_size(IPC_LOG_RECORD_BYTES + 10); /* the data fits, its record does not */
    sh_log_append(&log, IPC_LOG_STDOUT, "two", 3);
    limit_file_size(RLIM_INFINITY);
    assert_int_equal(log.dropped_bytes, 3);
    sh_log_append(&log, IPC_LOG_STDOUT, "three", 5);
    assert_int_equal(sh_log_finish(&log, &e), 0);
    assert_int_equal(read_records(r, 8), 4);
    assert_int_equal(r[1].stream, IPC_LOG_GAP);
    assert_int_equal(r[1].length, 3);
    assert_int_equal(r[2].length, 5);
    assert_int_equal(r[2].offset, 3);
    assert_int_equal(data_size(), 8);
    sh_log_close(&log);
}

#define CEILING (1u << 20)

static size_t sizes_of_all(unsigned *ret_lowest, unsigned *ret_highest)
{
    size_t sum = 0;
    struct stat st;
    char name[32];

    *ret_lowest = UINT32_MAX;
    for (unsigned i = 0; i < 200; i++) {
        if (fstatat(dirfd_, ipc_log_index_name(i, name, sizeof name), &st, 0) < 0)
            continue;
        *ret_lowest = i < *ret_lowest ? i : *ret_lowest;
        *ret_highest = i;
        sum += (size_t) st.st_size;
        if (fstatat(dirfd_, ipc_log_data_name(i, name, sizeof name), &st, 0) == 0)
            sum += (size_t) st.st_size;
    }
    return sum;
}

/* The log from its lowest segment on: the byte at place n of the output is n % 251. */
static void check_kept(uint64_t written, uint64_t cut)
{
    unsigned lowest, highest;
    uint64_t at = 0, sequence = 0;
    bool ended = false;

    sizes_of_all(&lowest, &highest);
    for (unsigned i = lowest; i <= highest; i++) {
        uint8_t raw[IPC_LOG_RECORD_BYTES], byte;
        struct ipc_log_record r;
        char name[32];
        int idx = openat(dirfd_, ipc_log_index_name(i, name, sizeof name), O_RDONLY | O_CLOEXEC);
        int data = openat(dirfd_, ipc_log_data_name(i, name, sizeof name), O_RDONLY | O_CLOEXEC);

        assert_true(idx >= 0 && (data >= 0) == (i > lowest || cut == 0));
        while (read(idx, raw, sizeof raw) == sizeof raw) {
            assert_int_equal(ipc_log_record_parse(raw, &r), 0);
            assert_true(sequence == 0 || r.sequence == sequence + 1);
            sequence = r.sequence;
            ended = r.stream == IPC_LOG_END;
            if (r.stream == IPC_LOG_CUT) {
                assert_int_equal(r.length, cut);
                at = cut;
            } else if (r.stream == IPC_LOG_STDOUT) {
                assert_int_equal(pread(data, &byte, 1, (off_t) r.offset), 1);
                assert_int_equal(byte, at % 251);
                at += r.length;
                assert_int_equal(pread(data, &byte, 1, (off_t) (r.offset + r.length - 1)), 1);
                assert_int_equal(byte, (at - 1) % 251);
            }
        }
        close(idx);
        if (data >= 0)
            close(data);
    }
    assert_true(ended);
    assert_int_equal(at, written);
}

/* Writes `total` bytes in pieces of `step`, at no time more than the ceiling on disk. */
static void fill(uint64_t total, size_t step)
{
    static uint8_t chunk[IPC_LOG_CHUNK_MAX];
    struct sh_log log = SH_LOG_INIT;
    unsigned lowest, highest;
    struct jl_err e;
    uint64_t at = 0;

    assert_int_equal(sh_log_open(&log, dirfd_, CEILING, &e), 0);
    for (unsigned n = 0; at < total; n++) {
        size_t len = total - at < step ? (size_t) (total - at) : step;

        for (size_t i = 0; i < len; i++)
            chunk[i] = (uint8_t) ((at + i) % 251);
        sh_log_append(&log, IPC_LOG_STDOUT, chunk, len);
        at += len;
        if (step > 1000 || n % 1000 == 0)
            assert_true(sizes_of_all(&lowest, &highest) <= CEILING);
    }
    sh_log_append(&log, IPC_LOG_NOTE, "note\n", 5);
    assert_int_equal(sh_log_finish(&log, &e), 0);
    assert_true(sizes_of_all(&lowest, &highest) <= CEILING);
    assert_int_equal(log.gap_bytes, 0);
    assert_int_equal(sh_log_bytes(&log) - 5 + log.dropped_bytes, total);
    assert_int_equal(log.cut_bytes, log.dropped_bytes);
    check_kept(total, log.cut_bytes);
    sh_log_close(&log);
}

static void a_ceiling_keeps_the_last_of_it(void **state)
{
    (void) state;
    fill(5 * CEILING + 7, IPC_LOG_CHUNK_MAX);
}

static void a_ceiling_counts_the_index(void **state)
{
    (void) state;
    fill(200000, 3);
}

static void below_the_ceiling_nothing_is_lost(void **state)
{
    unsigned lowest, highest;
    uint64_t records = 21;
    uint64_t most = CEILING - 4096 - (records + 9) * IPC_LOG_RECORD_BYTES;

    (void) state;
    fill(most, 50000);
    sizes_of_all(&lowest, &highest);
    assert_int_equal(lowest, 0);
    assert_true(highest >= 7);
}

static void a_reader_that_holds_a_segment_gives_its_space_back(void **state)
{
    static uint8_t chunk[IPC_LOG_CHUNK_MAX];
    struct sh_log log = SH_LOG_INIT;
    int idx, data;
    struct stat st;
    struct jl_err e;

    (void) state;
    assert_int_equal(sh_log_open(&log, dirfd_, CEILING, &e), 0);
    sh_log_append(&log, IPC_LOG_STDOUT, chunk, sizeof chunk);
    idx = openat(dirfd_, "output.0.idx", O_RDONLY | O_CLOEXEC);
    data = openat(dirfd_, "output.0.log", O_RDONLY | O_CLOEXEC);
    for (int i = 0; i < 20; i++)
        sh_log_append(&log, IPC_LOG_STDOUT, chunk, sizeof chunk);
    assert_true(log.oldest > 1);
    assert_int_equal(fstat(idx, &st), 0);
    assert_int_equal(st.st_nlink, 0);
    assert_int_equal(fstat(data, &st), 0);
    assert_int_equal(st.st_size, 0);
    assert_int_equal(fstatat(dirfd_, "output.0.idx", &st, 0), -1); /* the cuts do not add up */
    close(idx);
    close(data);
    sh_log_close(&log);
}

/* Files that can't be made: the ceiling holds, and what does not fit is a gap. */
static void a_segment_that_cannot_be_made_costs_output(void **state)
{
    static uint8_t chunk[IPC_LOG_CHUNK_MAX];
    struct sh_log log = SH_LOG_INIT;
    unsigned lowest, highest;
    struct jl_err e;

    (void) state;
    assert_int_equal(sh_log_open(&log, dirfd_, CEILING, &e), 0);
    assert_int_equal(mkdirat(dirfd_, "output.1.idx", 0700), 0);
    for (int i = 0; i < 20; i++)
        sh_log_append(&log, IPC_LOG_STDOUT, chunk, sizeof chunk);
    assert_int_equal(log.segment, 0);
    assert_true(log.dropped_bytes > 0);
    assert_int_equal(log.dropped_bytes % sizeof chunk, 0);
    assert_int_equal(unlinkat(dirfd_, "output.1.idx", AT_REMOVEDIR), 0);
    sh_log_append(&log, IPC_LOG_STDOUT, chunk, sizeof chunk);
    assert_int_equal(log.segment, 1);
    assert_int_equal(log.oldest, 1);
    assert_int_equal(log.gap_bytes, 0);
    assert_int_equal(sh_log_finish(&log, &e), 0);
    assert_true(sizes_of_all(&lowest, &highest) <= CEILING);
    assert_int_equal(sh_log_bytes(&log) + log.dropped_bytes, 21 * sizeof chunk);
    sh_log_close(&log);
}

UNIT_MAIN(cmocka_unit_test_setup_teardown(output_is_stored_and_ended, set_up, tear_down),
          cmocka_unit_test_setup_teardown(files_made_ahead_are_taken_once, set_up, tear_down),
          cmocka_unit_test_setup_teardown(what_does_not_fit_is_a_gap, set_up, tear_down),
          cmocka_unit_test_setup_teardown(a_torn_record_is_written_over, set_up, tear_down),
          cmocka_unit_test_setup_teardown(a_ceiling_keeps_the_last_of_it, set_up, tear_down),
          cmocka_unit_test_setup_teardown(a_ceiling_counts_the_index, set_up, tear_down),
          cmocka_unit_test_setup_teardown(below_the_ceiling_nothing_is_lost, set_up, tear_down),
          cmocka_unit_test_setup_teardown(a_reader_that_holds_a_segment_gives_its_space_back,
                                          set_up, tear_down),
          cmocka_unit_test_setup_teardown(a_segment_that_cannot_be_made_costs_output, set_up,
                                          tear_down))
