/*
 * test_api_validate.c - what a client may send, field by field; and how bytes become a message.
 */
#include "unit.h"

#include <errno.h>
#include <stdbool.h>

#include "api/status.h"
#include "api/validate.h"
#include "base/cleanup.h"

#define UUID "0b1c2d3e-4f50-4a6b-8c7d-9e0f1a2b3c4d"

/* A request that is fine, to spoil in one place. */
static Joblet__RunJobRequest fine(void)
{
    Joblet__RunJobRequest r = JOBLET__RUN_JOB_REQUEST__INIT;

    r.command = (char *) "/bin/true";
    return r;
}

static void accepts(const Joblet__RunJobRequest *r)
{
    struct jl_err e = JL_ERR_INIT;

    if (api_validate_run_job(r, &e) != 0)
        fail_msg("refused: %s", e.text);
}

/* Refused as INVALID_ARGUMENT, with these words in the sentence. */
static void refuses(const Joblet__RunJobRequest *r, const char *words)
{
    struct jl_err e = JL_ERR_INIT;
    int x = api_validate_run_job(r, &e);

    if (x == 0)
        fail_msg("accepted, but should have said '%s'", words);
    assert_int_equal(api_status_of(x), API_INVALID_ARGUMENT);
    assert_int_equal(x, -e.code);
    if (!strstr(e.text, words))
        fail_msg("said '%s', not '%s'", e.text, words);
}

static void a_plain_command_is_enough(void **state)
{
    Joblet__RunJobRequest r = fine();

    (void) state;
    accepts(&r);
    r.command = (char *) "";
    refuses(&r, "command is empty");
    r.command = calloc(1, API_PATH_MAX + 2);
    memset(r.command, 'x', API_PATH_MAX);
    accepts(&r);
    r.command[API_PATH_MAX] = 'x';
    refuses(&r, "command has 4096 bytes, limit is 4095");
    free(r.command);
}

static void arguments_keep_the_kernels_limits(void **state)
{
    Joblet__RunJobRequest r = fine();
    _free_ char *longest = calloc(1, API_STRING_MAX + 1);
    char *args[40];

    (void) state;
    memset(longest, 'x', API_STRING_MAX - 1);
    for (size_t i = 0; i < JL_COUNT(args); i++)
        args[i] = longest;
    r.args = args;
    r.n_args = 15;
    accepts(&r);
    r.n_args = 16; /* 16 * 128 KiB and the command */
    refuses(&r, "together");
    longest[API_STRING_MAX - 1] = 'x';
    r.n_args = 3;
    refuses(&r, "args[0] has 131072 bytes, limit is 131071");
}

struct number {
    const char *field;
    size_t offset;
    bool is_64;
    int64_t lo, hi;
};
#define NUMBER(name, is_64, lo, hi)                                                                \
    {                                                                                              \
#name, offsetof(Joblet__RunJobRequest, name), is_64, lo, hi                                \
    }

static void set(Joblet__RunJobRequest *r, const struct number *n, int64_t value)
{
    if (n->is_64)
        *(int64_t *) (void *) ((char *) r + n->offset) = value;
    else
        *(int32_t *) (void *) ((char *) r + n->offset) = (int32_t) value;
}

static void numbers_have_their_ranges(void **state)
{
    static const struct number numbers[] = {
        NUMBER(max_cpu, false, 0, 10000),
        NUMBER(max_memory, false, 4, INT32_MAX),
        NUMBER(max_io_bps, false, 0, INT32_MAX),
        NUMBER(gpu_count, false, 0, 1024),
        NUMBER(gpu_memory_mb, false, 0, INT32_MAX),
        NUMBER(timeout_seconds, true, 0, INT64_MAX / 1000000000),
        NUMBER(priority, false, -100, 100),
        NUMBER(net_rx_bps, true, 0, INT64_MAX),
        NUMBER(net_tx_bps, true, 0, INT64_MAX),
        NUMBER(tmp_size_bytes, true, 0, INT64_MAX),
    };

    (void) state;
    for (size_t i = 0; i < JL_COUNT(numbers); i++) {
        const struct number *n = &numbers[i];
        Joblet__RunJobRequest r = fine();

        set(&r, n, n->lo);
        accepts(&r);
        set(&r, n, n->hi);
        accepts(&r);
        set(&r, n, n->lo - 1);
        refuses(&r, n->field);
        set(&r, n, n->is_64 ? INT64_MIN : INT32_MIN);
        refuses(&r, n->field);
        if (n->hi < (n->is_64 ? INT64_MAX : INT32_MAX)) {
            set(&r, n, n->hi + 1);
            refuses(&r, n->field);
        }
    }
}

static void memory_is_nothing_or_four_megabytes(void **state)
{
    Joblet__RunJobRequest r = fine();

    (void) state;
    r.max_memory = 0;
    accepts(&r);
    r.max_memory = 1;
    refuses(&r, "at least 4 MiB");
}

static void cores_are_a_list(void **state)
{
    static const char *const good[] = { "", "0", "0-3", "1,3,5", "0-2,6" };
    static const char *const bad[] = { "a", "3-1", "1,", ",1", "0-", "-1", "1 2", "99999999999" };
    Joblet__RunJobRequest r = fine();

    (void) state;
    for (size_t i = 0; i < JL_COUNT(good); i++) {
        r.cpu_cores = (char *) good[i];
        accepts(&r);
    }
    for (size_t i = 0; i < JL_COUNT(bad); i++) {
        r.cpu_cores = (char *) bad[i];
        refuses(&r, "cpu_cores");
    }
}

static void upload_paths_stay_in_the_work_directory(void **state)
{
    static const char *const good[] = { "a",        "a/b.py", "..a",        "a..",     "...",
                                        "etcetera", "usr/x",  "usr/binary", "häßlich", ".hidden" };
    static const char *const bad[] = { "",      "/a",     "..",     "../a",    "a/../b",
                                       "a/..",  "a//b",   "a/",     ".",       "./a",
                                       "a/./b", "etc",    "etc/x",  "proc/1",  "dev/null",
                                       "sys",   "bin/sh", "sbin/x", "usr/bin", "usr/sbin/x",
                                       "a\nb",  "a\177b" };
    _free_ char *deep = calloc(1, 5000);
    Joblet__RunJobRequest r = fine();
    Joblet__FileUpload u = JOBLET__FILE_UPLOAD__INIT, *list[1] = { &u };

    (void) state;
    r.uploads = list;
    r.n_uploads = 1;
    for (size_t i = 0; i < JL_COUNT(good); i++) {
        u.path = (char *) good[i];
        accepts(&r);
    }
    for (size_t i = 0; i < JL_COUNT(bad); i++) {
        u.path = (char *) bad[i];
        refuses(&r, "uploads[0].path");
    }
    memset(deep, 'x', 256);
    u.path = deep;
    refuses(&r, "component of 256 bytes");
    for (size_t i = 0; i < 4999; i++)
        deep[i] = i % 2 ? '/' : 'x';
    refuses(&r, "has 4999 bytes");
}

static void upload_paths_have_a_limit_together(void **state)
{
    enum { N = API_UPLOADS_MAX, LEN = 128 };
    _free_ Joblet__FileUpload *all = calloc(N, sizeof *all);
    _free_ Joblet__FileUpload **list = calloc(N, sizeof *list);
    _free_ char *paths = calloc(N, LEN + 1);
    Joblet__RunJobRequest r = fine();

    (void) state;
    assert_true(all && list && paths);
    for (size_t i = 0; i < N; i++) {
        all[i] = (Joblet__FileUpload) JOBLET__FILE_UPLOAD__INIT;
        all[i].path = paths + i * (LEN + 1);
        snprintf(all[i].path, LEN + 1, "%0*zu", LEN - 1, i);
        list[i] = &all[i];
    }
    r.uploads = list;
    r.n_uploads = N;
    accepts(&r);
    snprintf(all[0].path, LEN + 1, "%0*d", LEN, 0);
    refuses(&r, "the paths together have more than 8388608 bytes");
}

static void uploads_do_not_contradict_each_other(void **state)
{
    Joblet__RunJobRequest r = fine();
    Joblet__FileUpload a = JOBLET__FILE_UPLOAD__INIT, b = JOBLET__FILE_UPLOAD__INIT;
    Joblet__FileUpload c = JOBLET__FILE_UPLOAD__INIT, *list[3] = { &a, &b, &c };

    (void) state;
    r.uploads = list;
    r.n_uploads = 2;
    a.path = (char *) "x/y";
    b.path = (char *) "x/y";
    refuses(&r, "'x/y' is there twice");
    b.path = (char *) "x";
    refuses(&r, "'x' is a file, and 'x/y' would lie below it");
    b.is_directory = true;
    accepts(&r);
    b.content.len = 1;
    b.content.data = (uint8_t *) "z";
    refuses(&r, "is a directory, which has no content");
    b.content.len = 0;
    b.is_directory = false;
    c.path = (char *) "x-1"; /* sorts between x and x/y */
    r.n_uploads = 3;
    refuses(&r, "'x' is a file");
}

static void the_value_behind_a_wrong_name_is_not_told(void **state)
{
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    assert_int_equal(api_validate_env_name("secret_environment", "TOKEN=hunter2", &e), -EINVAL);
    assert_non_null(strstr(e.text, "'TOKEN' is not"));
    assert_null(strstr(e.text, "hunter2"));
}

static void names_are_names(void **state)
{
    static const char sixty_four[] =
        "0123456789012345678901234567890123456789012345678901234567890123";
    static const char *const good[] = { "a", "A-1", "x.y_z", "0" };
    static const char *const bad[] = { ".", "..", "-a", "a/b", "a b", "ü", "_x", sixty_four };
    char *volumes[2] = { (char *) "data", (char *) "data" };
    Joblet__RunJobRequest r = fine();

    (void) state;
    for (size_t i = 0; i < JL_COUNT(good); i++) {
        r.name = (char *) good[i];
        accepts(&r);
    }
    for (size_t i = 0; i < JL_COUNT(bad); i++) {
        r.name = (char *) bad[i];
        refuses(&r, "name '");
    }
    r = fine();
    r.network = (char *) "my net";
    refuses(&r, "network 'my net'");
    r = fine();
    r.volumes = volumes;
    r.n_volumes = 1;
    accepts(&r);
    r.n_volumes = 2;
    refuses(&r, "'data' is there twice");
    volumes[1] = (char *) "../x";
    refuses(&r, "volumes[1]");
    r = fine();
    r.job_uuid = (char *) UUID;
    refuses(&r, "job_uuid is set by the server");
}

static void the_work_directory_is_absolute(void **state)
{
    static const char *const good[] = { "", "/", "/work", "/a/..b", "/a/b..", "/..." };
    static const char *const bad[] = { "work", "/..", "/a/../b", "/a/..", "/a\tb" };
    Joblet__RunJobRequest r = fine();

    (void) state;
    for (size_t i = 0; i < JL_COUNT(good); i++) {
        r.work_dir = (char *) good[i];
        accepts(&r);
    }
    for (size_t i = 0; i < JL_COUNT(bad); i++) {
        r.work_dir = (char *) bad[i];
        refuses(&r, "work_dir");
    }
}

static void variables_have_names_that_are_free(void **state)
{
    static const char *const bad[] = { "",
                                       "1A",
                                       "A-B",
                                       "A=B",
                                       "A B",
                                       "JOB_ID",
                                       "Ä",
                                       "JOBLET_X",
                                       "RUNTIME_MANAGER_PATH",
                                       "NETWORK_READY_FILE" };
    static const char *const good[] = { "A", "_", "a1", "PATH", "JOB", "JOBS_", "LC_ALL" };
    Joblet__RunJobRequest r = fine();
    Joblet__RunJobRequest__EnvironmentEntry a = JOBLET__RUN_JOB_REQUEST__ENVIRONMENT_ENTRY__INIT;
    Joblet__RunJobRequest__EnvironmentEntry a2 = a, *plain[2] = { &a, &a2 };
    Joblet__RunJobRequest__SecretEnvironmentEntry s =
        JOBLET__RUN_JOB_REQUEST__SECRET_ENVIRONMENT_ENTRY__INIT;
    Joblet__RunJobRequest__SecretEnvironmentEntry *secret[1] = { &s };

    (void) state;
    r.environment = plain;
    r.n_environment = 1;
    for (size_t i = 0; i < JL_COUNT(good); i++) {
        a.key = (char *) good[i];
        accepts(&r);
    }
    for (size_t i = 0; i < JL_COUNT(bad); i++) {
        a.key = (char *) bad[i];
        refuses(&r, "environment: ");
    }
    a.key = (char *) "TOKEN";
    s.key = (char *) "TOKEN";
    r.secret_environment = secret;
    r.n_secret_environment = 1;
    refuses(&r, "'TOKEN' is there twice");
    s.key = (char *) "JOB_TOKEN";
    refuses(&r, "secret_environment: 'JOB_TOKEN' is reserved");
    r.n_secret_environment = 0;
    a2.key = (char *) "TOKEN";
    r.n_environment = 2;
    refuses(&r, "is there twice");
}

static void a_secret_does_not_stand_in_its_refusal(void **state)
{
    Joblet__RunJobRequest r = fine();
    Joblet__RunJobRequest__SecretEnvironmentEntry s =
        JOBLET__RUN_JOB_REQUEST__SECRET_ENVIRONMENT_ENTRY__INIT;
    Joblet__RunJobRequest__SecretEnvironmentEntry *secret[1] = { &s };
    _free_ char *value = calloc(1, API_STRING_MAX + 1);
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    memset(value, 'Q', API_STRING_MAX);
    s.key = (char *) "TOKEN";
    s.value = value;
    r.secret_environment = secret;
    r.n_secret_environment = 1;
    assert_int_equal(api_validate_run_job(&r, &e), -EMSGSIZE);
    assert_non_null(strstr(e.text, "secret_environment['TOKEN']"));
    assert_null(strstr(e.text, "QQ"));
}

static void ids_are_whole_or_long_enough(void **state)
{
    static const char *const good[] = { UUID, "0b1c", "0b1c2d3e-4" };
    static const char *const bad[] = { "", "0b1", "0B1C", "xyzw", "0b1c2d3e4", UUID "0", "../x" };
    struct jl_err e = JL_ERR_INIT;
    Joblet__StopJobRequest stop = JOBLET__STOP_JOB_REQUEST__INIT;
    Joblet__GetJobLogsRequest logs = JOBLET__GET_JOB_LOGS_REQUEST__INIT;
    Joblet__GetJobStatusRequest status = JOBLET__GET_JOB_STATUS_REQUEST__INIT;

    (void) state;
    for (size_t i = 0; i < JL_COUNT(good); i++) {
        stop.uuid = logs.uuid = status.uuid = (char *) good[i];
        assert_int_equal(api_validate_stop_job(&stop, &e), 0);
        assert_int_equal(api_validate_get_job_logs(&logs, &e), 0);
        assert_int_equal(api_validate_get_job_status(&status, &e), 0);
    }
    for (size_t i = 0; i < JL_COUNT(bad); i++) {
        stop.uuid = logs.uuid = status.uuid = (char *) bad[i];
        assert_int_equal(api_validate_stop_job(&stop, &e), -EINVAL);
        assert_int_equal(api_validate_get_job_logs(&logs, &e), -EINVAL);
        assert_int_equal(api_validate_get_job_status(&status, &e), -EINVAL);
    }
    stop.uuid = logs.uuid = (char *) UUID;
    stop.grace_ms = -1;
    logs.tail_lines = -1;
    assert_int_equal(api_validate_stop_job(&stop, &e), -ERANGE);
    assert_int_equal(api_validate_get_job_logs(&logs, &e), -ERANGE);
}

static int unpack(const void *data, size_t len, struct jl_err *e)
{
    ProtobufCMessage *m = NULL;
    int r = api_unpack_request(&joblet__run_job_request__descriptor, data, len, &m, e);

    if (r == 0)
        protobuf_c_message_free_unpacked(m, NULL);
    else
        assert_true(e->text[0]);
    return r;
}

static void a_packed_request_comes_back_the_same(void **state)
{
    Joblet__RunJobRequest r = fine();
    Joblet__RunJobRequest__EnvironmentEntry a = JOBLET__RUN_JOB_REQUEST__ENVIRONMENT_ENTRY__INIT;
    Joblet__RunJobRequest__EnvironmentEntry *env[1] = { &a };
    uint8_t wire[256], again[256];
    ProtobufCMessage *m = NULL;
    struct jl_err e = JL_ERR_INIT;
    size_t len;

    (void) state;
    a.key = (char *) "A";
    a.value = (char *) "grüße";
    r.environment = env;
    r.n_environment = 1;
    r.priority = -7;
    r.timeout_seconds = 3600;
    len = joblet__run_job_request__pack(&r, wire);
    assert_int_equal(api_unpack_request(&joblet__run_job_request__descriptor, wire, len, &m, &e),
                     0);
    assert_int_equal(protobuf_c_message_pack(m, again), len);
    assert_memory_equal(wire, again, len);
    protobuf_c_message_free_unpacked(m, NULL);
    assert_int_equal(unpack(NULL, 0, &e), 0); /* all defaults */
    for (size_t cut = 1; cut < len; cut++) /* a cut message is refused or another, never a crash */
        unpack(wire, cut, &e);
}

static void malformed_bytes_are_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        { "\x0a", 1 },                                              /* a length is missing */
        { "\x0a\x05xx", 4 },                                        /* longer than what is there */
        { "\x80", 1 },                                              /* half a tag */
        { "\x00\x00", 2 },                                          /* field 0 */
        { "\x0b\x0c", 2 },                                          /* a group */
        { "\x0f\x00", 2 },                                          /* wire type 7 */
        { "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12 }, /* 11 bytes of varint */
        { "\x12\x03"
          "a\0b",
          5 },                         /* a NUL in the command */
        { "\x12\x02\xc3(", 4 },        /* not UTF-8 */
        { "\x12\x03\xed\xa0\x80", 5 }, /* a surrogate */
        { "\x12\x02\xc0\x80", 4 },     /* NUL the long way */
        { "\x72\x04\x0a\x05xx", 6 },   /* inside a map entry */
        { "\x10\x05", 2 },             /* command as a number */
    };
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    for (size_t i = 0; i < JL_COUNT(bad); i++)
        if (unpack(bad[i].bytes, bad[i].len, &e) != -EINVAL)
            fail_msg("row %zu was accepted", i);
    assert_int_equal(unpack("\x12\x02\xc3\xa4", 4, &e), 0);
    assert_int_equal(unpack("\x12\x04\xf0\x9f\x98\x80", 6, &e), 0);
}

/* 300,000 empty uploads are 600 KB on the wire and would be 30 MB in memory. */
static void a_small_message_cannot_cost_much(void **state)
{
    size_t len = 600000;
    _free_ uint8_t *wire = malloc(len);
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    for (size_t i = 0; i < len; i += 2) {
        wire[i] = 0x42; /* field 8, bytes */
        wire[i + 1] = 0;
    }
    assert_int_equal(unpack(wire, len, &e), -EMSGSIZE);
    assert_non_null(strstr(e.text, "262144 fields"));
    for (size_t i = 0; i < len; i += 2) {
        wire[i] = 0x48; /* field 9 as a number: unknown to its type */
        wire[i + 1] = 0;
    }
    assert_int_equal(unpack(wire, len, &e), -EMSGSIZE);
}

static void errors_become_statuses(void **state)
{
    (void) state;
    assert_int_equal(api_status_of(0), API_OK);
    assert_int_equal(api_status_of(-EINVAL), API_INVALID_ARGUMENT);
    assert_int_equal(api_status_of(ENOENT), API_NOT_FOUND);
    assert_int_equal(api_status_of(-EEXIST), API_ALREADY_EXISTS);
    assert_int_equal(api_status_of(-EPERM), API_PERMISSION_DENIED);
    assert_int_equal(api_status_of(-EBUSY), API_FAILED_PRECONDITION);
    assert_int_equal(api_status_of(-ENOSPC), API_RESOURCE_EXHAUSTED);
    assert_int_equal(api_status_of(-EAGAIN), API_UNAVAILABLE);
    assert_int_equal(api_status_of(-ENOSYS), API_UNIMPLEMENTED);
    assert_int_equal(api_status_of(-EIO), API_INTERNAL);
    assert_int_equal(api_status_of(-EKEYREJECTED), API_UNAUTHENTICATED);
    assert_string_equal(api_status_name(API_UNAUTHENTICATED), "UNAUTHENTICATED");
    assert_string_equal(api_status_name(99), "UNKNOWN");
    for (unsigned i = 0; i <= API_STATUS_MAX; i++)
        assert_non_null(api_status_name(i));
}

UNIT_MAIN(cmocka_unit_test(a_plain_command_is_enough),
          cmocka_unit_test(arguments_keep_the_kernels_limits),
          cmocka_unit_test(numbers_have_their_ranges),
          cmocka_unit_test(memory_is_nothing_or_four_megabytes), cmocka_unit_test(cores_are_a_list),
          cmocka_unit_test(upload_paths_stay_in_the_work_directory),
          cmocka_unit_test(upload_paths_have_a_limit_together),
          cmocka_unit_test(uploads_do_not_contradict_each_other),
          cmocka_unit_test(the_value_behind_a_wrong_name_is_not_told),
          cmocka_unit_test(names_are_names), cmocka_unit_test(the_work_directory_is_absolute),
          cmocka_unit_test(variables_have_names_that_are_free),
          cmocka_unit_test(a_secret_does_not_stand_in_its_refusal),
          cmocka_unit_test(ids_are_whole_or_long_enough),
          cmocka_unit_test(a_packed_request_comes_back_the_same),
          cmocka_unit_test(malformed_bytes_are_refused),
          cmocka_unit_test(a_small_message_cannot_cost_much),
          cmocka_unit_test(errors_become_statuses))
