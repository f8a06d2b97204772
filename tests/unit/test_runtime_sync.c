/* test_runtime_sync.c - messages between the runtime and the process inside; environments. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/strv.h"
#include "ocispec.h"
#include "runtime/env.h"
#include "runtime/sync.h"

static int pair[2];

static int start(void **state)
{
    (void) state;
    return rt_sync_pair(pair);
}

static int finish(void **state)
{
    (void) state;
    jl_close(pair[0]);
    jl_close(pair[1]);
    return 0;
}

static void an_error_arrives_whole(void **state)
{
    struct jl_err sent = JL_ERR_INIT, got = JL_ERR_INIT;

    (void) state;
    errno = EPERM;
    jl_fail_sys(&sent, "mount", "/proc", "mounts[%d]", 3);
    jl_phase(&sent, "mount");
    jl_hint(&sent, "do this");
    assert_int_equal(rt_sync_send_error(pair[0], &sent), 0);
    assert_int_equal(rt_sync_recv(pair[1], NULL, &got), RT_MSG_ERROR);
    assert_memory_equal(&sent, &got, sizeof got);
}

static void a_descriptor_comes_with_its_message(void **state)
{
    struct jl_err none;
    int fd = -1;

    (void) state;
    assert_int_equal(rt_sync_send(pair[0], RT_MSG_TTY, pair[0]), 0);
    assert_int_equal(rt_sync_recv(pair[1], &fd, &none), RT_MSG_TTY);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    jl_close(fd);
    assert_int_equal(rt_sync_send(pair[0], RT_MSG_GO, -1), 0);
    assert_int_equal(rt_sync_recv(pair[1], &fd, &none), RT_MSG_GO);
    assert_int_equal(fd, -1);
}

static void the_end_is_told_from_a_message(void **state)
{
    struct jl_err none;

    (void) state;
    pair[0] = jl_close(pair[0]);
    assert_int_equal(rt_sync_recv(pair[1], NULL, &none), 0);
    assert_int_equal(rt_sync_send(pair[1], RT_MSG_GO, -1), -EPIPE); /* and no SIGPIPE */
}

/* A child that fails does so before it has read that it may go on. */
static void last_words_are_heard_over_an_unread_message(void **state)
{
    struct jl_err sent = JL_ERR_INIT, got = JL_ERR_INIT;

    (void) state;
    jl_refuse(&sent, EACCES, "words");
    assert_int_equal(rt_sync_send(pair[0], RT_MSG_GO, -1), 0);
    assert_int_equal(rt_sync_send_error(pair[1], &sent), 0);
    pair[1] = jl_close(pair[1]);
    assert_int_equal(rt_sync_recv(pair[0], NULL, &got), RT_MSG_ERROR);
    assert_string_equal(got.text, "words");
    assert_int_equal(rt_sync_recv(pair[0], NULL, &got), 0);
}

static void what_is_no_message_is_refused(void **state)
{
    struct rt_msg m = { .magic = RT_MSG_MAGIC, .type = 99 };
    struct jl_err got = JL_ERR_INIT;

    (void) state;
    send(pair[0], "x", 1, 0);
    assert_int_equal(rt_sync_recv(pair[1], NULL, &got), -EPROTO);
    send(pair[0], &m, 8, 0);
    assert_int_equal(rt_sync_recv(pair[1], NULL, &got), -EPROTO);
    m.type = RT_MSG_ERROR; /* an error without its text */
    send(pair[0], &m, 8, 0);
    assert_int_equal(rt_sync_recv(pair[1], NULL, &got), -EPROTO);
    m.magic = 0;
    send(pair[0], &m, sizeof m, 0);
    assert_int_equal(rt_sync_recv(pair[1], NULL, &got), -EPROTO);
}

static void a_hostile_error_is_cut_to_size(void **state)
{
    struct rt_msg m = { .magic = RT_MSG_MAGIC, .type = RT_MSG_ERROR };
    struct jl_err got = JL_ERR_INIT;

    (void) state;
    memset(&m.err, 'A', sizeof m.err);
    m.err.code = -5;
    send(pair[0], &m, sizeof m, 0);
    assert_int_equal(rt_sync_recv(pair[1], NULL, &got), RT_MSG_ERROR);
    assert_true(got.code > 0);
    assert_int_equal(strlen(got.text), sizeof got.text - 1);
    assert_int_equal(strlen(got.hint), sizeof got.hint - 1);
}

static void the_last_of_several_variables_wins(void **state)
{
    char *env[] = { "PATH=/a", "X=1", "PATH=/b", "HOME=/h", "XY=2" };
    struct oci_process p = { .env = env, .n_env = 5 };
    struct jl_err e = JL_ERR_INIT;
    char **out = NULL;

    (void) state;
    assert_int_equal(rt_env_build(&p, &out, &e), 0);
    assert_string_equal(out[0], "X=1");
    assert_string_equal(out[1], "PATH=/b");
    assert_string_equal(out[2], "HOME=/h");
    assert_string_equal(out[3], "XY=2");
    assert_null(out[4]);
    free(out);
}

static void home_comes_from_the_password_file(void **state)
{
    struct oci_user user = { .uid = 0 };
    struct oci_process p = { .user = &user };
    struct jl_err e = JL_ERR_INIT;
    char **out = NULL;

    (void) state;
    assert_int_equal(rt_env_build(&p, &out, &e), 0);
    assert_string_equal(jl_env_get(out, "HOME"), "/root");
    free(out[0]);
    free(out);
    user.uid = 4000000000u; /* nobody's */
    assert_int_equal(rt_env_build(&p, &out, &e), 0);
    assert_string_equal(jl_env_get(out, "HOME"), "/");
    free(out[0]);
    free(out);
}

static void programs_are_found_in_path(void **state)
{
    char *env[] = { "PATH=/nowhere:/bin:/usr/bin", NULL };
    char *empty[] = { "PATH=:", NULL };
    struct jl_err e = JL_ERR_INIT;
    char *found = NULL;

    (void) state;
    assert_int_equal(rt_program_find("sh", env, &found, &e), 0);
    assert_string_equal(found, "/bin/sh");
    free(found);
    assert_int_equal(rt_program_find("no-such-program", env, &found, &e), -ENOENT);
    assert_non_null(strstr(e.text, "executable file not found in $PATH"));
    assert_int_equal(rt_program_find("sh", empty, &found, &e), -ENOENT);
    assert_int_equal(rt_program_find("/no/such", env, &found, &e), -ENOENT);
    assert_non_null(strstr(e.text, "no such file or directory"));
    assert_int_equal(rt_program_find("/etc/passwd", env, &found, &e), -EACCES);
    assert_int_equal(rt_program_find("/etc", env, &found, &e), -EACCES);
    assert_non_null(strstr(e.text, "permission denied"));
    assert_string_equal(e.phase, "exec");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, start, finish)
UNIT_MAIN(CASE(an_error_arrives_whole), CASE(a_descriptor_comes_with_its_message),
          CASE(the_end_is_told_from_a_message), CASE(last_words_are_heard_over_an_unread_message),
          CASE(what_is_no_message_is_refused), CASE(a_hostile_error_is_cut_to_size),
          cmocka_unit_test(the_last_of_several_variables_wins),
          cmocka_unit_test(home_comes_from_the_password_file),
          cmocka_unit_test(programs_are_found_in_path))
