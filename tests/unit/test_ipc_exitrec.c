/* An exit record has one spelling, and nothing that is cut off or changed passes for one. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "ipc/exitrec.h"

static const struct ipc_exitrec killed = {
    .kind = IPC_EXIT_SIGNAL,
    .value = SIGKILL,
    .core_dumped = true,
    .oom_kills = 2,
    .stop_requested = true,
    .timed_out = true,
    .started_wall_ns = 1700000000000000001u,
    .ended_wall_ns = UINT64_MAX,
    .log_bytes = 11,
    .log_dropped_bytes = 12,
    .cpu_user_us = 13,
    .cpu_system_us = 14,
    .memory_peak = 15,
    .io_read_bytes = 16,
    .io_write_bytes = 17,
    .pids_peak = 18,
    .psi_cpu_some_us = 19,
    .psi_memory_some_us = 20,
    .psi_io_some_us = 21,
};

static struct ipc_exitrec start_error(void)
{
    struct ipc_exitrec r = { .kind = IPC_EXIT_START_ERROR, .value = 127 };

    jl_refuse(&r.error, ENOENT, "exec '/bin/none': no such file");
    jl_phase(&r.error, "exec");
    jl_hint(&r.error, "check the name");
    return r;
}

static void same(const struct ipc_exitrec *a, const struct ipc_exitrec *b)
{
    char x[IPC_EXITREC_MAX], y[IPC_EXITREC_MAX];
    int n = ipc_exitrec_write(a, x, sizeof x);

    assert_true(n > 0);
    assert_int_equal(ipc_exitrec_write(b, y, sizeof y), n);
    assert_memory_equal(x, y, (size_t) n);
}

static void records_come_back_as_they_were(void **state)
{
    struct ipc_exitrec failed = start_error(), back;
    char buf[IPC_EXITREC_MAX];
    struct jl_err e;
    int n;

    (void) state;
    n = ipc_exitrec_write(&killed, buf, sizeof buf);
    assert_true(n > 0);
    assert_int_equal(ipc_exitrec_parse(buf, (size_t) n, &back, &e), 0);
    assert_int_equal(back.value, SIGKILL);
    assert_true(back.core_dumped && back.stop_requested && back.timed_out);
    assert_int_equal(back.psi_io_some_us, 21);
    assert_int_equal(back.memory_peak, 15);
    assert_true(back.ended_wall_ns == UINT64_MAX);
    same(&killed, &back);

    n = ipc_exitrec_write(&failed, buf, sizeof buf);
    assert_int_equal(ipc_exitrec_parse(buf, (size_t) n, &back, &e), 0);
    assert_int_equal(back.error.code, ENOENT);
    assert_string_equal(back.error.text, "exec '/bin/none': no such file");
    assert_string_equal(back.error.phase, "exec");
    assert_string_equal(back.error.hint, "check the name");
    same(&failed, &back);
}

static void no_prefix_passes(void **state)
{
    struct ipc_exitrec failed = start_error(), back;
    char buf[IPC_EXITREC_MAX];
    struct jl_err e;
    int n = ipc_exitrec_write(&failed, buf, sizeof buf - 1);

    (void) state;
    assert_true(n > 0);
    for (int len = 0; len < n; len++) {
        assert_int_equal(ipc_exitrec_parse(buf, (size_t) len, &back, &e), -EPROTO);
        assert_true(e.text[0] != '\0');
    }
    buf[n] = '\n';
    assert_int_equal(ipc_exitrec_parse(buf, (size_t) n + 1, &back, &e), -EPROTO);
    for (int size = 0; size <= n; size++)
        assert_int_equal(ipc_exitrec_write(&failed, buf, (size_t) size), -EMSGSIZE);
}

/* The record with one text in it replaced must be refused. */
static void refused(const struct ipc_exitrec *r, const char *from, const char *to)
{
    char buf[IPC_EXITREC_MAX], changed[2 * IPC_EXITREC_MAX];
    struct ipc_exitrec back;
    struct jl_err e;
    int n = ipc_exitrec_write(r, buf, sizeof buf);
    char *at = strstr(buf, from);

    assert_true(n > 0);
    assert_non_null(at);
    n = snprintf(changed, sizeof changed, "%.*s%s%s", (int) (at - buf), buf, to, at + strlen(from));
    assert_int_equal(ipc_exitrec_parse(changed, (size_t) n, &back, &e), -EPROTO);
}

static void other_spellings_are_refused(void **state)
{
    struct ipc_exitrec failed = start_error();
    char lengthy[JL_ERR_WORD_MAX + 16];

    (void) state;
    refused(&killed, "joblet-exit 1", "joblet-exit 2");
    refused(&killed, "kind=signal", "kind=Signal");
    refused(&killed, "kind=signal", "kind=");
    refused(&killed, "value=9\n", "value=09\n");
    refused(&killed, "value=9\n", "value=+9\n");
    refused(&killed, "value=9\n", "value=-9\n");
    refused(&killed, "value=9\n", "value= 9\n");
    refused(&killed, "value=9\n", "value=0\n");
    refused(&killed, "value=9\n", "value=65\n");
    refused(&killed, "value=9\n", "value=9\nvalue=9\n");
    refused(&killed, "core_dumped=1", "core_dumped=2");
    refused(&killed, "core_dumped=1", "core_dumped=true");
    refused(&killed, "oom_kills=2\nstop_requested=1\n", "stop_requested=1\noom_kills=2\n");
    refused(&killed, "ended_wall_ns=18446744073709551615", "ended_wall_ns=18446744073709551616");
    refused(&killed, "error_code=0", "error_code=2");
    refused(&killed, "error_text=", "error_text=why");
    refused(&failed, "error_code=2", "error_code=0");
    refused(&failed, "value=127", "value=3");
    refused(&failed, "no such", "no\tsuch");
    memset(lengthy, 'x', sizeof lengthy);
    memcpy(lengthy, "error_phase=", 12);
    lengthy[sizeof lengthy - 1] = '\0';
    refused(&failed, "error_phase=exec", lengthy);
}

static void control_characters_cannot_forge_a_line(void **state)
{
    struct ipc_exitrec r = { .kind = IPC_EXIT_START_ERROR, .value = 1 }, back;
    char buf[IPC_EXITREC_MAX];
    struct jl_err e;
    int n;

    (void) state;
    r.error.code = EIO;
    snprintf(r.error.text, sizeof r.error.text, "a\nerror_hint=b\x7f");
    n = ipc_exitrec_write(&r, buf, sizeof buf);
    assert_int_equal(ipc_exitrec_parse(buf, (size_t) n, &back, &e), 0);
    assert_string_equal(back.error.text, "a?error_hint=b?");
    assert_string_equal(back.error.hint, "");
}

static void the_largest_record_fits(void **state)
{
    struct ipc_exitrec r, back;
    char buf[IPC_EXITREC_MAX];
    struct jl_err e;
    int n;

    (void) state;
    memset(&r, 0xff, sizeof r);
    r.kind = IPC_EXIT_START_ERROR;
    r.value = 126;
    r.core_dumped = r.stop_requested = r.timed_out = true;
    r.error.code = INT32_MAX;
    n = ipc_exitrec_write(&r, buf, sizeof buf);
    assert_true(n > 0);
    assert_int_equal(ipc_exitrec_parse(buf, (size_t) n, &back, &e), 0);
    assert_int_equal(strlen(back.error.text), JL_ERR_TEXT_MAX - 1);
}

static void the_shell_sees_128_and_the_signal(void **state)
{
    struct ipc_exitrec r = { .kind = IPC_EXIT_SIGNAL, .value = SIGTERM };

    (void) state;
    assert_int_equal(ipc_exitrec_shell_code(&r), 143);
    r.kind = IPC_EXIT_CODE;
    assert_int_equal(ipc_exitrec_shell_code(&r), SIGTERM);
    r = start_error();
    assert_int_equal(ipc_exitrec_shell_code(&r), 127);
}

UNIT_MAIN(cmocka_unit_test(records_come_back_as_they_were), cmocka_unit_test(no_prefix_passes),
          cmocka_unit_test(other_spellings_are_refused),
          cmocka_unit_test(control_characters_cannot_forge_a_line),
          cmocka_unit_test(the_largest_record_fits),
          cmocka_unit_test(the_shell_sees_128_and_the_signal))
