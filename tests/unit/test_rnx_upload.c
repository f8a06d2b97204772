/* rnx/upload: what is read from the user's files, and what is left out. */
#include "rnx/upload.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "unit.h"

static char dir[64];
static struct rnx_uploads u;
static struct jl_err e;

static void put(const char *path, const char *text, mode_t mode)
{
    _close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(jl_write_all(fd, text, strlen(text)), 0);
    assert_int_equal(fchmod(fd, mode), 0);
}

static int setup(void **state)
{
    (void) state;
    snprintf(dir, sizeof dir, "/tmp/rnx-upload-XXXXXX");
    memset(&u, 0, sizeof u);
    jl_err_clear(&e);
    return !mkdtemp(dir) || chdir(dir) < 0;
}

static int teardown(void **state)
{
    (void) state;
    rnx_uploads_done(&u);
    return chdir("/") < 0 || jl_remove_tree_at(AT_FDCWD, dir, &e) < 0;
}

static void upload_file_has_its_base_name_mode_and_bytes(void **state)
{
    const struct rnx_upload *f;
    uint64_t at = 0;
    char text[8];
    _close_ int fd = -1;

    (void) state;
    mkdir("sub", 0700);
    put("sub/x.sh", "text", 04755);
    assert_int_equal(rnx_upload_file(&u, "sub/x.sh", &e), 0);
    assert_int_equal(rnx_upload_check(&u, &e), 0);
    f = rnx_upload_find(&u, "x.sh");
    assert_non_null(f);
    assert_int_equal(f->mode, 0755); /* no set-uid */
    assert_int_equal(f->size, 4);
    fd = rnx_upload_open(f, &e);
    assert_true(fd >= 0);
    assert_int_equal(rnx_upload_read(f, fd, &at, text, sizeof text, &e), 4);
    assert_int_equal(at, 4);
    assert_memory_equal(text, "text", 4);
    assert_int_equal(u.n_files, 1);
    assert_int_equal(u.bytes, 4);
}

static void upload_empty_file(void **state)
{
    uint64_t at = 0;
    char text[8];
    _close_ int fd = -1;

    (void) state;
    put("empty", "", 0644);
    assert_int_equal(rnx_upload_file(&u, "empty", &e), 0);
    assert_int_equal(u.items[0].size, 0);
    fd = rnx_upload_open(&u.items[0], &e);
    assert_int_equal(rnx_upload_read(&u.items[0], fd, &at, text, sizeof text, &e), 0);
}

static void upload_dir_keeps_paths_and_empty_directories(void **state)
{
    (void) state;
    mkdir("d", 0755);
    mkdir("d/a", 0750);
    mkdir("d/a/empty", 0711);
    put("d/a/f", "1", 0640);
    put("d/.hidden", "2", 0600);
    assert_int_equal(rnx_upload_dir(&u, "d", &e), 0);
    assert_int_equal(rnx_upload_check(&u, &e), 0);
    assert_int_equal(u.n, 4);
    assert_int_equal(u.n_files, 2);
    assert_true(rnx_upload_find(&u, "a")->is_directory);
    assert_int_equal(rnx_upload_find(&u, "a/empty")->mode, 0711);
    assert_int_equal(rnx_upload_find(&u, "a/f")->mode, 0640);
    assert_non_null(rnx_upload_find(&u, ".hidden"));
    assert_string_equal(u.items[1].path, "a"); /* before what is in it */
}

static void upload_links_stay_inside(void **state)
{
    (void) state;
    mkdir("d", 0755);
    mkdir("d/a", 0755);
    mkdir("d-other", 0755); /* same beginning, not inside */
    put("d/a/f", "1", 0644);
    put("secret", "no", 0644);
    put("d-other/x", "no", 0644);
    assert_int_equal(symlink("a/f", "d/good"), 0);
    assert_int_equal(symlink("a", "d/gooddir"), 0);
    assert_int_equal(symlink("../secret", "d/out"), 0);
    assert_int_equal(symlink("../../d-other/x", "d/a/near"), 0);
    assert_int_equal(symlink("..", "d/a/circle"), 0);
    assert_int_equal(symlink("self", "d/self"), 0);
    assert_int_equal(mkfifo("d/fifo", 0600), 0);
    assert_int_equal(rnx_upload_dir(&u, "d/.", &e), 0);
    assert_int_equal(rnx_upload_check(&u, &e), 0);
    assert_non_null(rnx_upload_find(&u, "good"));
    assert_non_null(rnx_upload_find(&u, "gooddir/f"));
    assert_int_equal(u.n, 5); /* a, a/f, good, gooddir, gooddir/f */
}

static void refused(int r, const char *want)
{
    assert_true(r < 0);
    if (!strstr(e.text, want) && !strstr(e.hint, want))
        fail_msg("'%s' / '%s' does not say '%s'", e.text, e.hint, want);
}

static void upload_refusals(void **state)
{
    (void) state;
    mkdir("d", 0755);
    put("f", "1", 0644);
    put("d/f", "1", 0644);
    refused(rnx_upload_file(&u, "d", &e), "--upload-dir=d");
    refused(rnx_upload_file(&u, "missing", &e), "missing");
    refused(rnx_upload_file(&u, "/dev/null", &e), "not a regular file");
    assert_int_equal(mkfifo("pipe", 0600), 0);
    refused(rnx_upload_file(&u, "pipe", &e), "not a regular file");
    assert_int_equal(symlink("loop", "loop"), 0);
    refused(rnx_upload_file(&u, "loop", &e), "loop");
    refused(rnx_upload_file(&u, "..", &e), "--upload-dir=..");
    refused(rnx_upload_dir(&u, "f", &e), "--upload=f");
    refused(rnx_upload_dir(&u, "missing", &e), "missing");
    assert_int_equal(rnx_upload_file(&u, "f", &e), 0);
    assert_int_equal(rnx_upload_dir(&u, "d", &e), 0);
    refused(rnx_upload_check(&u, &e), "two uploads would be 'f'");
    rnx_uploads_done(&u);
    put("etc", "1", 0644);
    assert_int_equal(rnx_upload_file(&u, "etc", &e), 0);
    refused(rnx_upload_check(&u, &e), "etc");
    rnx_uploads_done(&u);
    put("no\xffutf8", "1", 0644);
    assert_int_equal(rnx_upload_file(&u, "no\xffutf8", &e), 0);
    refused(rnx_upload_check(&u, &e), "not UTF-8");
}

static void upload_that_changes_is_refused(void **state)
{
    const struct rnx_upload *f;
    uint64_t at = 0;
    char text[2];
    _close_ int fd = -1;

    (void) state;
    put("log", "1234", 0644);
    assert_int_equal(rnx_upload_file(&u, "log", &e), 0);
    f = &u.items[0];
    fd = rnx_upload_open(f, &e);
    assert_int_equal(rnx_upload_read(f, fd, &at, text, sizeof text, &e), 2);
    assert_int_equal(truncate("log", 5), 0);
    refused((int) rnx_upload_read(f, fd, &at, text, sizeof text, &e), "it grew");
    at = 2;
    assert_int_equal(lseek(fd, 2, SEEK_SET), 2);
    assert_int_equal(truncate("log", 3), 0);
    refused((int) rnx_upload_read(f, fd, &at, text, sizeof text, &e), "it shrank");
    refused(rnx_upload_open(f, &e), "it shrank");
    assert_int_equal(truncate("log", 9), 0);
    refused(rnx_upload_open(f, &e), "it grew");
    assert_int_equal(unlink("log"), 0);
    refused(rnx_upload_open(f, &e), "log");
}

static void upload_same_directory_twice(void **state)
{
    (void) state;
    mkdir("a", 0755);
    mkdir("a/x", 0755);
    mkdir("b", 0755);
    mkdir("b/x", 0755);
    put("a/x/1", "1", 0644);
    put("b/x/2", "2", 0644);
    assert_int_equal(rnx_upload_dir(&u, "a", &e), 0);
    assert_int_equal(rnx_upload_dir(&u, "b", &e), 0);
    assert_int_equal(rnx_upload_check(&u, &e), 0);
    assert_int_equal(u.n, 3);
}

UNIT_MAIN(cmocka_unit_test_setup_teardown(upload_file_has_its_base_name_mode_and_bytes, setup,
                                          teardown),
          cmocka_unit_test_setup_teardown(upload_empty_file, setup, teardown),
          cmocka_unit_test_setup_teardown(upload_dir_keeps_paths_and_empty_directories, setup,
                                          teardown),
          cmocka_unit_test_setup_teardown(upload_links_stay_inside, setup, teardown),
          cmocka_unit_test_setup_teardown(upload_refusals, setup, teardown),
          cmocka_unit_test_setup_teardown(upload_that_changes_is_refused, setup, teardown),
          cmocka_unit_test_setup_teardown(upload_same_directory_twice, setup, teardown))
