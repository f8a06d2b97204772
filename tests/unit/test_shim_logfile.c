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
    assert_int_equal(sh_log_open(&log, dirfd_, &e), 0);
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
    assert_int_equal(sh_log_open(&log, dirfd_, &e), -EEXIST); /* one writer, once */
    assert_non_null(strstr(e.text, "output.0.log"));
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
    assert_int_equal(sh_log_open(&log, dirfd_, &e), 0);
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
    assert_int_equal(sh_log_open(&log, dirfd_, &e), 0);
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

UNIT_MAIN(cmocka_unit_test_setup_teardown(output_is_stored_and_ended, set_up, tear_down),
          cmocka_unit_test_setup_teardown(what_does_not_fit_is_a_gap, set_up, tear_down),
          cmocka_unit_test_setup_teardown(a_torn_record_is_written_over, set_up, tear_down))
