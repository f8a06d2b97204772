/* Jobs that wait: queue.h. Their events go to a store that is not there, so only the order and the
 * room are looked at here; tests/e2e/queue.bats runs jobs. */
#include "unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/io.h"
#include "daemon/core/core.h"
#include "daemon/core/queue.h"
#include "fake_clock.h"

#define JOBS 500
#define HOUR_NS ((int64_t) (3600 * JL_NS_PER_S))
#define THIS_BOOT "3b2d0d5c-2d53-4d55-8ad6-54c85a4b4c5f"

static struct jd_core core;
static struct jd_job jobs[JOBS];
static Joblet__RunJobRequest requests[JOBS];

static int set_up(void **state)
{
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    memset(&core, 0, sizeof core);
    memset(jobs, 0, sizeof jobs);
    fake_now_ns = 1000 * JL_NS_PER_S;
    fake_wall_ns = 1790000000 * JL_NS_PER_S;
    snprintf(core.boot_id, sizeof core.boot_id, THIS_BOOT);
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

static void a_pause_doubles_until_a_job_has_begun(void **state)
{
    static const uint64_t seconds[] = { 1, 2, 4, 8, 16, 30, 30 };
    char why[128];

    (void) state;
    jd_queue_add(&jobs[0]);
    jd_queue_add(&jobs[1]);
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
        jd_queue_pause(&core, "no disk");
        jd_queue_pause(&core, "no disk for the next one either"); /* of the same pause */
        assert_string_equal(jd_queue_why(&jobs[0], why, sizeof why), "waits: no disk");
        assert_string_equal(jd_queue_why(&jobs[1], why, sizeof why),
                            "waits behind jobs that come first");
        jd_queue_kick(&core);
        assert_true(core.jobs.queue.kick.armed);
        assert_true(core.jobs.queue.kick.due_ns == fake_now_ns + seconds[i] * JL_NS_PER_S);
        jd_queue_run(&core); /* starts nothing */
        assert_int_equal(core.jobs.queue.ready.n, 2);
        fake_now_ns += seconds[i] * JL_NS_PER_S;
        assert_string_equal(jd_queue_why(&jobs[0], why, sizeof why), "");
    }
    jd_queue_works(&core);
    jd_queue_remove(&jobs[0]);
    jd_queue_remove(&jobs[1]);
    assert_true(jd_queue_is_free_for(&core, 0, 0));
    jd_queue_pause(&core, "no disk");
    assert_false(jd_queue_is_free_for(&core, 0, 0));
    fake_now_ns += JL_NS_PER_S;
    assert_true(jd_queue_is_free_for(&core, 0, 0));
}

static void one_that_was_put_off_lets_the_others_go_first(void **state)
{
    (void) state;
    jobs[0].put_offs = 1;
    jd_queue_add(&jobs[0]);
    jd_queue_add(&jobs[1]);
    assert_ptr_equal(core.jobs.queue.ready.items[0], &jobs[1]);
    jd_queue_remove(&jobs[0]);
    jd_queue_remove(&jobs[1]);
}

/* As RunJob makes one: in so many minutes, by the seconds or by the wall clock. */
static void add_scheduled(struct jd_job *j, uint64_t minutes, const char *boot_id)
{
    struct jl_err e = JL_ERR_INIT;
    struct jd_record *rec = &j->rec;

    assert_int_equal(jd_record_init(rec), 0);
    snprintf(rec->id, sizeof rec->id, "job %u", (unsigned) (j - jobs));
    rec->scheduled_wall_ns = fake_wall_ns + minutes * 60 * JL_NS_PER_S;
    rec->due_boot_ns = boot_id ? fake_now_ns + minutes * 60 * JL_NS_PER_S : 0;
    assert_int_equal(jd_record_set(&rec->due_boot_id, boot_id), 0);
    assert_int_equal(jd_record_set(&rec->status, "SCHEDULED"), 0);
    assert_int_equal(jd_store_add(core.store, (struct jd_record *[]){ rec }, 1, &e), 0);
    j->state = JD_SCHEDULED;
    jd_queue_add(j);
}

static int check_stored(void *arg, struct jd_record *own_r)
{
    const struct jd_record *rec = &jobs[own_r->sequence - 1].rec;

    assert_true(own_r->scheduled_wall_ns == rec->scheduled_wall_ns);
    ++*(unsigned *) arg;
    jd_record_done(own_r);
    return 0;
}

static void check_due(const size_t *order, const int64_t *in_minutes, size_t n)
{
    struct jl_err e = JL_ERR_INIT;
    unsigned stored = 0;

    for (size_t i = 0; i < n; i++) {
        struct jd_job *j = take(&core.jobs.queue.due);
        int64_t due = (int64_t) (j->rec.scheduled_wall_ns - fake_wall_ns);

        assert_ptr_equal(j, &jobs[order[i]]);
        assert_true(due == in_minutes[i] * 60 * (int64_t) JL_NS_PER_S);
    }
    assert_int_equal(core.jobs.queue.due.n, 0);
    assert_int_equal(jd_store_each(core.store, check_stored, &stored, &e), 0);
    assert_int_equal(stored, n);
}

/* 0 and 1 by the seconds, 2 by the wall clock, 3 once by the seconds of a machine that was started
 * again since: by the wall clock too. */
static void schedule_four(void)
{
    add_scheduled(&jobs[0], 90, THIS_BOOT);
    add_scheduled(&jobs[1], 20, THIS_BOOT);
    add_scheduled(&jobs[2], 100, NULL);
    add_scheduled(&jobs[3], 70, "11111111-2222-4333-8444-555555555555");
    fake_pass((uint64_t) 10 * 60 * JL_NS_PER_S);
}

static void relative_times_stay_when_the_clock_is_set_forward(void **state)
{
    (void) state;
    schedule_four();
    fake_set(HOUR_NS);
    jd_queue_follow_clock(&core);
    check_due((size_t[]){ 3, 1, 2, 0 }, (int64_t[]){ 0, 10, 30, 80 }, 4);
}

static void relative_times_stay_when_the_clock_is_set_back(void **state)
{
    (void) state;
    schedule_four();
    fake_set(-HOUR_NS);
    jd_queue_follow_clock(&core);
    check_due((size_t[]){ 1, 0, 3, 2 }, (int64_t[]){ 10, 80, 120, 150 }, 4);
}

/* The kernel may let the timer expire before it says that the clock was set. */
static void a_timer_that_expires_by_a_set_clock_starts_no_relative_time(void **state)
{
    struct jl_source *timer = &core.jobs.queue.src;

    (void) state;
    add_scheduled(&jobs[0], 20, THIS_BOOT);
    fake_set(HOUR_NS);
    assert_int_equal(timer->fn(timer, 0), 0);
    assert_int_equal(jobs[0].state, JD_SCHEDULED);
    check_due((size_t[]){ 0 }, (int64_t[]){ 20 }, 1);
}

/* Two clocks are not read in one moment; times that are shown must not tremble for it. */
static void relative_times_do_not_tremble(void **state)
{
    (void) state;
    add_scheduled(&jobs[0], 90, THIS_BOOT);
    fake_set(JL_NS_PER_MS);
    jd_queue_follow_clock(&core);
    fake_set(-(int64_t) JL_NS_PER_MS);
    check_due((size_t[]){ 0 }, (int64_t[]){ 90 }, 1);
}

static char dir[] = "/tmp/jl-queue.XXXXXX";

static int set_up_stored(void **state)
{
    struct jl_err e = JL_ERR_INIT;

    memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    return set_up(state) || !mkdtemp(dir) || jd_store_open(dir, &core.store, &e) < 0;
}

static int tear_down_stored(void **state)
{
    struct jl_err e = JL_ERR_INIT;

    for (size_t i = 0; i < JOBS; i++)
        if (jobs[i].rec.status)
            jd_record_done(&jobs[i].rec);
    jd_store_close(core.store);
    return tear_down(state) || jl_remove_tree_at(AT_FDCWD, dir, &e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(priority_then_due_time_then_submission, set_up, tear_down),
        cmocka_unit_test_setup_teardown(those_with_a_time_are_in_its_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(room_is_what_active_jobs_leave, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_job_larger_than_the_host_runs_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(slots_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_pause_doubles_until_a_job_has_begun, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_was_put_off_lets_the_others_go_first, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(relative_times_stay_when_the_clock_is_set_forward,
                                        set_up_stored, tear_down_stored),
        cmocka_unit_test_setup_teardown(relative_times_stay_when_the_clock_is_set_back,
                                        set_up_stored, tear_down_stored),
        cmocka_unit_test_setup_teardown(a_timer_that_expires_by_a_set_clock_starts_no_relative_time,
                                        set_up_stored, tear_down_stored),
        cmocka_unit_test_setup_teardown(relative_times_do_not_tremble, set_up_stored,
                                        tear_down_stored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
