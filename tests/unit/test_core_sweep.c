/* What is removed for its age, and when a clock is believed: sweep.h, purge.h. */
#include "unit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "daemon/core/core.h"
#include "daemon/core/sweep.h"
#include "fake_clock.h"

#define OLD "0f0f0f0f-0000-4000-8000-000000000001"
#define YOUNG "0f0f0f0f-0000-4000-8000-000000000002"
#define DAY_NS (86400 * JL_NS_PER_S)
#define HOUR_NS (3600 * JL_NS_PER_S)

static char dir[] = "/tmp/jl-sweep.XXXXXX";
static struct jd_core core;

static int below(const char *name)
{
    char path[64];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(mkdir(path, 0700), 0);
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void make_log(const char *id, uint64_t age_ns)
{
    struct timespec t = { .tv_sec = (time_t) ((fake_wall_ns - age_ns) / JL_NS_PER_S) };

    assert_int_equal(mkdirat(core.logs_dirfd, id, 0700), 0);
    assert_int_equal(utimensat(core.logs_dirfd, id, (struct timespec[]){ t, t }, 0), 0);
}

static bool is_there(const char *id)
{
    return faccessat(core.logs_dirfd, id, F_OK, 0) == 0;
}

static int set_up(void **state)
{
    static char run_dir[] = "/nonexistent", cgroup[] = "g";

    (void) state;
    memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    if (!mkdtemp(dir))
        return -1;
    memset(&core, 0, sizeof core);
    fake_now_ns = 1000 * JL_NS_PER_S;
    fake_wall_ns = 1790000000 * JL_NS_PER_S;
    core.loop = jl_loop_new();
    core.conf.run_dir = run_dir;
    core.conf.cgroup_path = cgroup;
    core.conf.logs_days = 7;
    core.state_dirfd = core.jobs_dirfd = core.metrics.dirfd = -1;
    core.logs_dirfd = below("logs");
    core.trash.dirfd = below("trash");
    make_log(OLD, 8 * DAY_NS);
    make_log(YOUNG, 6 * DAY_NS);
    return core.loop ? 0 : -1;
}

static int tear_down(void **state)
{
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    jl_close(core.logs_dirfd);
    jl_close(core.trash.dirfd);
    jl_loop_free(core.loop);
    return jl_remove_tree_at(AT_FDCWD, dir, &e);
}

static void what_is_old_goes_when_the_clock_was_steady_for_an_hour(void **state)
{
    (void) state;
    jd_sweep(&core);
    fake_pass(HOUR_NS - JL_NS_PER_S);
    jd_sweep(&core);
    assert_true(is_there(OLD));
    fake_pass(JL_NS_PER_S);
    jd_sweep(&core);
    assert_false(is_there(OLD));
    assert_true(is_there(YOUNG));
}

static void a_clock_that_is_set_is_believed_an_hour_later(void **state)
{
    (void) state;
    jd_sweep(&core);
    fake_pass(HOUR_NS);
    fake_set(2 * (int64_t) DAY_NS); /* what was young is old, says the clock */
    jd_sweep(&core);
    fake_pass(HOUR_NS / 2);
    jd_sweep(&core);
    fake_set(-2 * (int64_t) DAY_NS); /* and was wrong */
    jd_sweep(&core);
    fake_pass(HOUR_NS - JL_NS_PER_S);
    jd_sweep(&core);
    assert_true(is_there(OLD) && is_there(YOUNG));
    fake_pass(JL_NS_PER_S);
    jd_sweep(&core);
    assert_true(!is_there(OLD) && is_there(YOUNG));
}

static void a_clock_that_is_led_is_steady(void **state)
{
    (void) state;
    for (unsigned i = 0; i <= 12; i++) {
        jd_sweep(&core);
        fake_pass(HOUR_NS / 12);
        fake_set((int64_t) JL_NS_PER_S); /* adjtime(3) and NTP: less than 5 s from sweep to sweep */
    }
    assert_false(is_there(OLD));
}

static void a_short_age_waits_for_a_tenth_of_it(void **state)
{
    (void) state;
    jd_sweep(&core);
    fake_pass(6 * JL_NS_PER_S);
    assert_true(jd_purge_knows_time(&core, 60 * JL_NS_PER_S));
    assert_false(jd_purge_knows_time(&core, 61 * JL_NS_PER_S));
    assert_false(jd_purge_knows_time(&core, DAY_NS));
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

UNIT_MAIN(CASE(what_is_old_goes_when_the_clock_was_steady_for_an_hour),
          CASE(a_clock_that_is_set_is_believed_an_hour_later), CASE(a_clock_that_is_led_is_steady),
          CASE(a_short_age_waits_for_a_tenth_of_it))
