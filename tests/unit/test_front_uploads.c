/* Uploads: taken out of the request without a copy, and written below a directory. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/joblet.pb-c.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "daemon/front/stage.h"
#include "daemon/front/upload_wire.h"

struct file {
    const char *path, *content;
    uint32_t mode;
    bool is_directory;
};

/* An encoded RunJobRequest of these files, made by protobuf-c, which is the other opinion here. */
static uint8_t *encode(const struct file *files, size_t n, size_t *ret_len)
{
    Joblet__RunJobRequest msg = JOBLET__RUN_JOB_REQUEST__INIT;
    Joblet__FileUpload ups[16], *list[16];
    char *args[] = { (char *) (uintptr_t) "-c", (char *) (uintptr_t) "true" };
    uint8_t *data;

    msg.command = (char *) (uintptr_t) "sh";
    msg.args = args;
    msg.n_args = 2;
    msg.timeout_seconds = 9;
    msg.uploads = list;
    msg.n_uploads = n;
    for (size_t i = 0; i < n; i++) {
        joblet__file_upload__init(&ups[i]);
        ups[i].path = (char *) (uintptr_t) files[i].path;
        ups[i].mode = files[i].mode;
        ups[i].is_directory = files[i].is_directory;
        ups[i].content.data = (uint8_t *) (uintptr_t) files[i].content;
        ups[i].content.len = files[i].content ? strlen(files[i].content) : 0;
        list[i] = &ups[i];
    }
    *ret_len = joblet__run_job_request__get_packed_size(&msg);
    data = malloc(*ret_len);
    assert_non_null(data);
    joblet__run_job_request__pack(&msg, data);
    return data;
}

static void uploads_are_found_and_the_rest_stays_a_request(void **state)
{
    static const struct file files[] = { { "a/b.txt", "hello", 0755, false },
                                         { "empty", NULL, 0, false },
                                         { "d", NULL, 0700, true } };
    struct jd_uploads u = JD_UPLOADS_INIT;
    struct jl_err e = JL_ERR_INIT;
    Joblet__RunJobRequest *rest;
    size_t len;
    _free_ uint8_t *msg = encode(files, 3, &len);

    (void) state;
    assert_int_equal(jd_uploads_split(msg, len, &u, &e), 0);
    assert_int_equal(u.n, 3);
    assert_string_equal(u.items[0].path, "a/b.txt");
    assert_int_equal(u.items[0].len, 5);
    assert_memory_equal(u.items[0].content, "hello", 5);
    assert_true(u.items[0].content > msg && u.items[0].content < msg + len);
    assert_int_equal(u.items[0].mode, 0755);
    assert_int_equal(u.items[1].len, 0);
    assert_true(u.items[2].is_directory);
    rest = joblet__run_job_request__unpack(NULL, u.rest.len, (uint8_t *) u.rest.data);
    assert_non_null(rest);
    assert_string_equal(rest->command, "sh");
    assert_int_equal(rest->n_args, 2);
    assert_int_equal(rest->timeout_seconds, 9);
    assert_int_equal(rest->n_uploads, 0);
    joblet__run_job_request__free_unpacked(rest, NULL);
    jd_uploads_done(&u);
}

static void every_cut_off_request_is_refused_or_whole(void **state)
{
    static const struct file files[] = { { "a/b.txt", "hello", 0755, false } };
    size_t len;
    _free_ uint8_t *msg = encode(files, 1, &len);

    (void) state;
    for (size_t cut = 0; cut < len; cut++) {
        struct jd_uploads u = JD_UPLOADS_INIT;
        struct jl_err e = JL_ERR_INIT;
        int r = jd_uploads_split(msg, cut, &u, &e);

        assert_true(r == 0 || r == -EINVAL);
        assert_true(r == 0 || e.text[0] != '\0');
        jd_uploads_done(&u);
    }
}

static void refused(const char *bytes, size_t len, int code)
{
    struct jd_uploads u = JD_UPLOADS_INIT;
    struct jl_err e = JL_ERR_INIT;

    assert_int_equal(jd_uploads_split((const uint8_t *) bytes, len, &u, &e), -code);
    assert_string_not_equal(e.text, "");
    jd_uploads_done(&u);
}

static void hostile_encodings_are_refused(void **state)
{
    (void) state;
    refused("\x42\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10, EINVAL); /* a length of 2^63 */
    refused("\x42\x04\x0a\x05xx", 6, EINVAL); /* a path that leaves its upload */
    refused("\x40\x01", 2, EINVAL);           /* uploads as a number */
    refused("\x43\x44", 2, EINVAL);           /* a group */
    refused("\x02\x00", 2, EINVAL);           /* field 0 */
    refused("\x42\x05\x0a\x03"
            "a\0b",
            7, EINVAL);                             /* NUL in a path */
    refused("\x42\x04\x0a\x02\xc3\x28", 6, EINVAL); /* not UTF-8 */
    refused("\x42\x02\x10\x01", 4, EINVAL);         /* content as a number */
}

static void two_bytes_an_upload_cannot_eat_memory(void **state)
{
    size_t n = 2 * (JD_UPLOADS_MAX + 1);
    _free_ char *msg = malloc(n);

    (void) state;
    assert_non_null(msg);
    for (size_t i = 0; i < n; i += 2)
        memcpy(msg + i, "\x42\x00", 2);
    refused(msg, n, EMSGSIZE);
}

/* ---- writing */

struct scratch {
    char path[64];
    int fd;
};

static struct scratch scratch_new(void)
{
    struct scratch s;

    snprintf(s.path, sizeof s.path, "/tmp/jl-front-XXXXXX");
    assert_non_null(mkdtemp(s.path));
    s.fd = open(s.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(s.fd >= 0);
    return s;
}

static void scratch_done(struct scratch *s)
{
    struct jl_err e = JL_ERR_INIT;

    close(s->fd);
    assert_int_equal(jl_remove_tree_at(AT_FDCWD, s->path, &e), 0);
}

static int write_all(const struct scratch *s, const struct file *files, size_t n, size_t slice,
                     struct jl_err *e)
{
    struct jd_uploads u = JD_UPLOADS_INIT;
    struct jd_stage stage;
    size_t len;
    _free_ uint8_t *msg = encode(files, n, &len);
    int r;

    assert_int_equal(jd_uploads_split(msg, len, &u, e), 0);
    jd_stage_init(&stage, dup(s->fd), &u);
    while ((r = jd_stage_step(&stage, slice, e)) > 0)
        ;
    jd_stage_done(&stage);
    jd_uploads_done(&u);
    return r;
}

static void check_file(const struct scratch *s, const char *path, const char *content, mode_t mode)
{
    _buf_ struct jl_buf b = JL_BUF_INIT(65536);
    struct jl_err e = JL_ERR_INIT;
    struct stat st;

    assert_int_equal(fstatat(s->fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_mode & 07777, mode);
    if (!content)
        return;
    assert_int_equal(jl_read_file_at(s->fd, path, &b, &e), 0);
    assert_string_equal(b.data ? b.data : "", content);
}

static void files_and_directories_appear_with_their_modes(void **state)
{
    static const struct file files[] = {
        { "plain", "one", 0, false },      { "x/y/z.sh", "two", 0100755, false },
        { "x/y/w", "three", 0600, false }, { "ro", NULL, 0555, true },
        { "ro/in", "four", 04777, false }, { "e/m/p", NULL, 0, true },
        { "x", NULL, 0750, true },         { "nothing", NULL, 0, false },
    };
    struct scratch s = scratch_new();
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    umask(0022);
    if (write_all(&s, files, JL_COUNT(files), 2, &e) < 0) /* two bytes a turn */
        fail_msg("%s", e.text);
    check_file(&s, "plain", "one", 0644);
    check_file(&s, "x/y/z.sh", "two", 0755);
    check_file(&s, "x/y/w", "three", 0600);
    check_file(&s, "ro/in", "four", 0777); /* set-user-id is not for uploads */
    check_file(&s, "ro", NULL, 0555);
    check_file(&s, "x", NULL, 0750);
    check_file(&s, "x/y", NULL, 0755);
    check_file(&s, "e/m/p", NULL, 0755);
    check_file(&s, "nothing", "", 0644);
    scratch_done(&s);
}

static void refuse_files(const struct scratch *s, const struct file *files, size_t n, int code,
                         const char *word)
{
    struct jl_err e = JL_ERR_INIT;

    assert_int_equal(write_all(s, files, n, 1 << 20, &e), -code);
    if (!strstr(e.text, word))
        fail_msg("'%s' does not say '%s'", e.text, word);
}

static void a_path_that_comes_twice_is_refused(void **state)
{
    static const struct file twice[] = { { "a", "1", 0, false }, { "a", "2", 0, false } };
    static const struct file both[] = { { "b", "1", 0, false }, { "b/c", "2", 0, false } };
    static const struct file dir[] = { { "d/c", "1", 0, false }, { "d", "2", 0, false } };
    struct scratch s = scratch_new();

    (void) state;
    refuse_files(&s, twice, 2, EINVAL, "'a': this path comes twice");
    check_file(&s, "a", "1", 0644);
    refuse_files(&s, both, 2, EINVAL, "'b/c'");
    refuse_files(&s, dir, 2, EINVAL, "'d'");
    scratch_done(&s);
}

/* validate.h refuses these before; the writer must not depend on it. */
static void nothing_is_written_outside(void **state)
{
    static const struct file up[] = { { "../out", "1", 0, false } };
    static const struct file deep[] = { { "in/../../out", "1", 0, false } };
    static const struct file absolute[] = { { "/tmp/jl-front-out", "1", 0, false } };
    static const struct file link[] = { { "link/out", "1", 0, false } };
    static const struct file link_dir[] = { { "link", NULL, 0777, true } };
    static const struct file last[] = { { "dangling", "1", 0, false } };
    struct scratch s = scratch_new(), other = scratch_new();
    struct stat st;

    (void) state;
    assert_int_equal(symlinkat(other.path, s.fd, "link"), 0);
    assert_int_equal(symlinkat("/tmp/jl-front-out", s.fd, "dangling"), 0);
    refuse_files(&s, up, 1, EINVAL, "leads out");
    refuse_files(&s, deep, 1, EINVAL, "leads out");
    refuse_files(&s, link, 1, EINVAL, "'link/out'");
    refuse_files(&s, link_dir, 1, EINVAL, "'link'");
    refuse_files(&s, last, 1, EINVAL, "'dangling'");
    assert_true(write_all(&s, absolute, 1, 1 << 20, &(struct jl_err){ 0 }) == 0);
    check_file(&s, "tmp/jl-front-out", "1", 0644); /* below the directory, not below / */
    assert_int_equal(fstatat(other.fd, "out", &st, AT_SYMLINK_NOFOLLOW), -1);
    assert_int_equal(stat("/tmp/out", &st), -1);
    assert_int_equal(stat("/tmp/jl-front-out", &st), -1);
    scratch_done(&other);
    scratch_done(&s);
}

UNIT_MAIN(cmocka_unit_test(uploads_are_found_and_the_rest_stays_a_request),
          cmocka_unit_test(every_cut_off_request_is_refused_or_whole),
          cmocka_unit_test(hostile_encodings_are_refused),
          cmocka_unit_test(two_bytes_an_upload_cannot_eat_memory),
          cmocka_unit_test(files_and_directories_appear_with_their_modes),
          cmocka_unit_test(a_path_that_comes_twice_is_refused),
          cmocka_unit_test(nothing_is_written_outside))
