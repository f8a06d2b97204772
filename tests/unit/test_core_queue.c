/* Jobs that wait: queue.h. Their events go to a store that is not there, so only the order and the
 * room are looked at here; tests/e2e/queue.bats runs jobs. */
#include "unit.h"

#include <string.h>

#include "base/clock.h"
#include "daemon/core/core.h"
#include "daemon/core/queue.h"

#define JOBS 500

static struct jd_core core;
static struct jd_job jobs[JOBS];
static Joblet__RunJobRequest requests[JOBS];

static int set_up(void **state)
{
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    memset(&core, 0, sizeof core);
    memset(jobs, 0, sizeof jobs);
    core.loop = jl_loop_new();
    core.conf.cpu_capacity = 400;
    core.conf.memory_capacity = 1000;
    for (size_t i = 0; i < JOBS; i++) {
        requests[i] = (Joblet__RunJobRequest) JOBLET__RUN_JOB_REQUEST__INIT;
        jobs[i].core = &core;
        jobs[i].req = &requests[i];
        jobs[i].rec.sequence = (int64_t) i;
        jobs[i].rec.created_wall_ns = 1000 + i;
        jobs[i].state = JD_PENDING;
    }
    return !core.loop || jd_queue_init(&core, &e) < 0 || jd_queue_reserve(&core, JOBS, &e) < 0;
}

static int tear_down(void **state)
{
    (void) state;
    jd_queue_done(&core);
    jl_loop_free(core.loop);
    return 0;
}

static struct jd_job *take(struct jd_heap *h)
{
    struct jd_job *j = h->items[0];

    jd_queue_remove(j);
    return j;
}

static void priority_then_due_time_then_submission(void **state)
{
    static const size_t order[] = { 3, 0, 1, 4, 2 };

    (void) state;
    requests[3].priority = 5;
    requests[2].priority = -1;
    jobs[4].rec.scheduled_wall_ns = 1001; /* due with 1, submitted later */
    jobs[0].rec.scheduled_wall_ns = 900;
    for (size_t i = 0; i < 5; i++)
        jd_queue_add(&jobs[i]);
    for (size_t i = 0; i < 5; i++)
        assert_ptr_equal(take(&core.jobs.queue.ready), &jobs[order[i]]);
    assert_int_equal(core.jobs.queue.ready.n, 0);
}

static void those_with_a_time_are_in_its_order(void **state)
{
    uint64_t last = 0;

    (void) state;
    for (size_t i = 0; i < JOBS; i++) {
        jobs[i].state = JD_SCHEDULED;
        jobs[i].rec.scheduled_wall_ns = UINT64_C(4000000000000000000) + i * 7919 % 257;
        jd_queue_add(&jobs[i]);
    }
    for (size_t i = 0; i < JOBS; i += 3) /* from anywhere, as cancel does */
        jd_queue_remove(&jobs[i]);
    for (size_t n = core.jobs.queue.due.n; n > 0; n--) {
        struct jd_job *j = take(&core.jobs.queue.due);

        assert_true(j->rec.scheduled_wall_ns >= last);
        assert_int_not_equal(j->rec.sequence % 3, 0);
        last = j->rec.scheduled_wall_ns;
    }
    jd_queue_remove(&jobs[1]); /* once more: nothing happens */
}

static void room_is_what_active_jobs_leave(void **state)
{
    char why[128];

    (void) state;
    requests[0].max_cpu = 300;
    requests[0].max_memory = 600;
    jobs[0].state = JD_RUNNING;
    jd_queue_account(&jobs[0], 1);
    assert_true(jd_queue_is_free_for(&core, 100, 400));
    assert_false(jd_queue_is_free_for(&core, 101, 0));
    assert_false(jd_queue_is_free_for(&core, 0, 401));
    assert_true(jd_queue_is_free_for(&core, 0, 0)); /* asks nothing, takes nothing */
    requests[1].max_memory = 401;
    jd_queue_add(&jobs[1]);
    assert_string_equal(jd_queue_why(&jobs[1], why, sizeof why),
                        "waits for memory: 600 of 1000 MB are taken, it asks 401 MB");
    jd_queue_add(&jobs[2]);
    assert_string_equal(jd_queue_why(&jobs[2], why, sizeof why),
                        "waits behind jobs that come first");
    assert_false(jd_queue_is_free_for(&core, 0, 0)); /* nobody overtakes */
    jd_queue_account(&jobs[0], -1);
    assert_int_equal(core.jobs.queue.cpu_used, 0);
    assert_int_equal(core.jobs.queue.memory_used, 0);
}

static void a_job_larger_than_the_host_runs_alone(void **state)
{
    (void) state;
    assert_true(jd_queue_is_free_for(&core, 10000, 1 << 30));
    requests[0].max_cpu = 10000;
    jobs[0].state = JD_RUNNING;
    jd_queue_account(&jobs[0], 1);
    assert_false(jd_queue_is_free_for(&core, 1, 0));
    jd_queue_account(&jobs[0], -1);
    requests[1].max_cpu = 1;
    jobs[1].state = JD_RUNNING;
    jd_queue_account(&jobs[1], 1);
    assert_false(jd_queue_is_free_for(&core, 10000, 0));
}

static void slots_are_counted(void **state)
{
    char why[128];

    (void) state;
    core.conf.max_jobs = 2;
    core.jobs.n_active = 2;
    assert_false(jd_queue_is_free_for(&core, 0, 0));
    jd_queue_add(&jobs[0]);
    assert_string_equal(jd_queue_why(&jobs[0], why, sizeof why),
                        "waits for a slot: 2 of 2 jobs run");
    jd_queue_remove(&jobs[0]);
    core.jobs.n_active = 1;
    assert_true(jd_queue_is_free_for(&core, 0, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(priority_then_due_time_then_submission, set_up, tear_down),
        cmocka_unit_test_setup_teardown(those_with_a_time_are_in_its_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(room_is_what_active_jobs_leave, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_job_larger_than_the_host_runs_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(slots_are_counted, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
