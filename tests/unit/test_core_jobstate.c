/* The states of a job (jobstate.h), and what an exit record means (jd_verdict_of). */
#include "unit.h"

#include <errno.h>
#include <string.h>

#include "daemon/core/jobs.h"
#include "daemon/core/jobstate.h"
#include "ipc/exitrec.h"

static int next(enum jd_state s, enum jd_event ev, enum jd_state outcome, struct jd_move *m)
{
    struct jl_err e = JL_ERR_INIT;
    int r = jd_state_next(s, ev, outcome, m, &e);

    assert_int_equal(r < 0, e.text[0] != '\0'); /* a refusal says why */
    return r;
}

static void moves(enum jd_state from, enum jd_event ev, enum jd_state to, enum jd_action action)
{
    struct jd_move m;

    assert_int_equal(next(from, ev, JD_COMPLETED, &m), 0);
    assert_int_equal(m.to, to);
    assert_int_equal(m.action, action);
}

static void a_job_goes_from_pending_to_its_end(void **state)
{
    (void) state;
    moves(JD_PENDING, JD_EV_SLOT, JD_INITIALIZING, JD_ACT_START);
    moves(JD_INITIALIZING, JD_EV_UP, JD_RUNNING, JD_ACT_NONE);
    moves(JD_RUNNING, JD_EV_DONE, JD_COMPLETED, JD_ACT_FINISH);
    moves(JD_INITIALIZING, JD_EV_DONE, JD_COMPLETED, JD_ACT_FINISH);
    moves(JD_INITIALIZING, JD_EV_START_FAILED, JD_FAILED, JD_ACT_FINISH);
    moves(JD_INITIALIZING, JD_EV_PUT_OFF, JD_PENDING, JD_ACT_NONE);
    moves(JD_RUNNING, JD_EV_LOST, JD_FAILED, JD_ACT_FINISH);
    moves(JD_RUNNING, JD_EV_UP, JD_RUNNING, JD_ACT_NONE);
}

static void a_time_that_has_come_makes_a_job_wait_for_a_slot(void **state)
{
    struct jd_move m;

    (void) state;
    moves(JD_SCHEDULED, JD_EV_DUE, JD_PENDING, JD_ACT_NONE);
    moves(JD_SCHEDULED, JD_EV_SLOT, JD_INITIALIZING, JD_ACT_START);
    for (int s = JD_PENDING; s < JD_STATE_N; s++)
        if (s != JD_SCHEDULED)
            assert_true(next((enum jd_state) s, JD_EV_DUE, JD_FAILED, &m) < 0);
}

static void stop_means_what_the_state_allows(void **state)
{
    struct jd_move m;

    (void) state;
    moves(JD_PENDING, JD_EV_STOP, JD_CANCELED, JD_ACT_FINISH);
    moves(JD_SCHEDULED, JD_EV_STOP, JD_CANCELED, JD_ACT_FINISH);
    moves(JD_INITIALIZING, JD_EV_STOP, JD_STOPPING, JD_ACT_STOP);
    moves(JD_RUNNING, JD_EV_STOP, JD_STOPPING, JD_ACT_STOP);
    moves(JD_STOPPING, JD_EV_STOP, JD_STOPPING, JD_ACT_STOP);
    moves(JD_STOPPING, JD_EV_UP, JD_STOPPING, JD_ACT_STOP);
    for (int ev = JD_EV_DONE; ev <= JD_EV_LOST; ev++)
        moves(JD_STOPPING, (enum jd_event) ev, JD_STOPPED, JD_ACT_FINISH);
    assert_int_equal(next(JD_COMPLETED, JD_EV_STOP, JD_FAILED, &m), -EBUSY);
}

static void an_ended_state_never_changes(void **state)
{
    struct jd_move m;

    (void) state;
    for (int s = JD_COMPLETED; s < JD_STATE_N; s++)
        for (int ev = 0; ev < JD_EV_N; ev++)
            assert_true(next((enum jd_state) s, (enum jd_event) ev, JD_FAILED, &m) < 0);
}

/* The table of docs: from each state only these may follow. */
static void no_other_moves_than_the_documented_ones(void **state)
{
    static const unsigned allowed[JD_STATE_N] = {
        [JD_PENDING] = 1u << JD_INITIALIZING | 1u << JD_SCHEDULED | 1u << JD_CANCELED,
        [JD_SCHEDULED] = 1u << JD_INITIALIZING | 1u << JD_PENDING | 1u << JD_CANCELED,
        /* put off; or an end that was seen before RUNNING was */
        [JD_INITIALIZING] = 1u << JD_PENDING | 1u << JD_RUNNING | 1u << JD_FAILED |
                            1u << JD_STOPPING | 1u << JD_COMPLETED | 1u << JD_TIMEOUT |
                            1u << JD_STOPPED,
        [JD_RUNNING] = 1u << JD_RUNNING | 1u << JD_COMPLETED | 1u << JD_FAILED | 1u << JD_STOPPING |
                       1u << JD_TIMEOUT | 1u << JD_STOPPED,
        [JD_STOPPING] = 1u << JD_STOPPING | 1u << JD_STOPPED,
    };

    (void) state;
    for (int s = 0; s < JD_COMPLETED; s++)
        for (int ev = 0; ev < JD_EV_N; ev++)
            for (int out = JD_COMPLETED; out < JD_STATE_N; out++) {
                struct jd_move m;

                if (out == JD_CANCELED ||
                    next((enum jd_state) s, (enum jd_event) ev, (enum jd_state) out, &m) < 0)
                    continue;
                assert_true(allowed[s] & 1u << m.to);
                assert_int_equal(jd_state_is_ended(m.to), m.action == JD_ACT_FINISH);
            }
}

static void names_are_read_back(void **state)
{
    enum jd_state s;

    (void) state;
    for (int i = 0; i < JD_STATE_N; i++) {
        assert_int_equal(jd_state_parse(jd_state_name((enum jd_state) i), &s), 0);
        assert_int_equal(s, i);
    }
    assert_int_equal(jd_state_parse("running", &s), -EINVAL);
}

static void verdict(const struct ipc_exitrec *r, enum jd_state outcome, int code,
                    const char *reason)
{
    struct jd_verdict v;

    jd_verdict_of(r, 5, &v);
    assert_int_equal(v.outcome, outcome);
    assert_int_equal(v.exit_code, code);
    assert_string_equal(v.reason, reason);
}

static void a_record_means_what_happened(void **state)
{
    struct ipc_exitrec ok = { .kind = IPC_EXIT_CODE, .value = 0 };
    struct ipc_exitrec three = { .kind = IPC_EXIT_CODE, .value = 3 };
    struct ipc_exitrec segv = { .kind = IPC_EXIT_SIGNAL, .value = 11 };
    struct ipc_exitrec oom = { .kind = IPC_EXIT_SIGNAL, .value = 9, .oom_kills = 1 };
    struct ipc_exitrec oom_init = { .kind = IPC_EXIT_CODE, .value = 137, .oom_kills = 2 };
    struct ipc_exitrec oom_child = { .kind = IPC_EXIT_CODE, .value = 0, .oom_kills = 1 };
    struct ipc_exitrec stop = { .kind = IPC_EXIT_SIGNAL, .value = 15, .stop_requested = true };
    struct ipc_exitrec late = {
        .kind = IPC_EXIT_SIGNAL, .value = 15, .stop_requested = true, .timed_out = true
    };
    struct ipc_exitrec no_dir = { .kind = IPC_EXIT_START_ERROR,
                                  .value = 1,
                                  .error = { .code = ENOTDIR,
                                             .text = "process.cwd: open directory '/work/f'" } };
    struct ipc_exitrec never = { .kind = IPC_EXIT_START_ERROR, .value = 127 };

    (void) state;
    snprintf(never.error.text, sizeof never.error.text, "no such command");
    verdict(&ok, JD_COMPLETED, 0, "");
    verdict(&three, JD_FAILED, 3, "exited with code 3");
    verdict(&segv, JD_FAILED, 139, "killed by signal 11 (SIGSEGV)");
    verdict(&oom, JD_FAILED, 137, "Job killed due to memory limit");
    verdict(&oom_init, JD_FAILED, 137, "Job killed due to memory limit");
    verdict(&oom_child, JD_COMPLETED, 0, "");
    verdict(&stop, JD_STOPPED, 143, "stopped");
    verdict(&late, JD_TIMEOUT, 124, "over its time limit of 5 s");
    verdict(&no_dir, JD_FAILED, 126,
            "cannot work in the directory that was asked for: Not a directory");
    verdict(&never, JD_FAILED, 127, "no such command");
}

UNIT_MAIN(cmocka_unit_test(a_job_goes_from_pending_to_its_end),
          cmocka_unit_test(a_time_that_has_come_makes_a_job_wait_for_a_slot),
          cmocka_unit_test(stop_means_what_the_state_allows),
          cmocka_unit_test(an_ended_state_never_changes),
          cmocka_unit_test(no_other_moves_than_the_documented_ones),
          cmocka_unit_test(names_are_read_back), cmocka_unit_test(a_record_means_what_happened))
