/* A job's samples when somebody sets the clock: jobmetrics.h, metricsfile.h. What they say of a
 * running job is tests/e2e/metrics.bats'. */
#include "unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "daemon/core/core.h"
#include "daemon/core/metricsfile.h"
#include "fake_clock.h"

#define HOUR_NS ((int64_t) (3600 * JL_NS_PER_S))

static char dir[] = "/tmp/jl-metrics.XXXXXX";
static struct jd_core core;
static struct jd_job job;

static int set_up(void **state)
{
    (void) state;
    memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    if (!mkdtemp(dir))
        return -1;
    memset(&core, 0, sizeof core);
    memset(&job, 0, sizeof job);
    fake_now_ns = 1000 * JL_NS_PER_S;
    fake_wall_ns = 1790000000 * JL_NS_PER_S;
    core.loop = jl_loop_new();
    core.conf.metrics_enabled = true;
    core.conf.metrics_rate_ns = JL_NS_PER_S;
    core.metrics.dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    job.core = &core;
    snprintf(job.rec.id, sizeof job.rec.id, "a-job");
    return core.loop && core.metrics.dirfd >= 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    jl_close(core.metrics.dirfd);
    jl_loop_free(core.loop);
    return jl_remove_tree_at(AT_FDCWD, dir, &e);
}

/* The last line of the job's first file. */
static void last_line(char *ret, int size)
{
    int fd = jd_metrics_open(core.metrics.dirfd, "a-job", 0);
    gzFile gz;

    assert_true(fd >= 0);
    gz = gzdopen(fd, "r");
    assert_non_null(gz);
    while (gzgets(gz, ret, size))
        ;
    gzclose(gz);
}

static double cpu_of_the_end(void)
{
    char line[1024] = "";
    const char *at;

    last_line(line, sizeof line);
    at = strstr(line, "\"cpuPercent\":");
    assert_non_null(at);
    return strtod(at + strlen("\"cpuPercent\":"), NULL);
}

/* It runs for two seconds and uses one; the clock is set meanwhile. */
static void run_with_the_clock_set(int64_t by_ns)
{
    job.rec.started_wall_ns = fake_wall_ns;
    fake_pass(3 * JL_NS_PER_MS); /* until core hears of it */
    jd_metrics_begin(&job, true);
    fake_pass(JL_NS_PER_S - 3 * JL_NS_PER_MS);
    fake_set(by_ns);
    fake_pass(JL_NS_PER_S);
    job.rec.ended_wall_ns = fake_wall_ns;
    job.rec.has_result = true;
    job.rec.result.cpu_user_us = 1000000;
    fake_pass(40 * JL_NS_PER_MS);
    jd_metrics_end(&job);
}

static void cpu_is_a_share_of_the_time_that_passed(void **state)
{
    (void) state;
    run_with_the_clock_set(0);
    assert_float_equal(cpu_of_the_end(), 50.0, 0.001);
}

static void cpu_is_the_same_when_the_clock_is_set_forward(void **state)
{
    (void) state;
    run_with_the_clock_set(HOUR_NS);
    assert_float_equal(cpu_of_the_end(), 50.0, 0.001);
}

static void cpu_is_the_same_when_the_clock_is_set_back(void **state)
{
    (void) state;
    run_with_the_clock_set(-HOUR_NS);
    assert_float_equal(cpu_of_the_end(), 50.0, 0.001);
}

static void write_file(uint64_t memory)
{
    struct jd_metrics_sample s = { .timestamp = fake_wall_ns, .memory_bytes = memory };
    struct jd_metrics_file f = { 0 };
    struct jl_err e = JL_ERR_INIT;

    if (jd_metrics_append(&f, core.metrics.dirfd, "a-job", &s, &e) < 0 ||
        jd_metrics_close(&f, core.metrics.dirfd, "a-job", &e) < 0)
        fail_msg("%s", e.text);
}

static void files_are_in_their_order_when_the_clock_is_set_back(void **state)
{
    (void) state;
    for (uint64_t i = 1; i <= 3; i++) {
        write_file(i);
        fake_set(-HOUR_NS);
    }
    for (unsigned i = 0; i < 3; i++) {
        int fd = jd_metrics_open(core.metrics.dirfd, "a-job", i);
        char line[1024] = "", expected[32];
        gzFile gz = fd < 0 ? NULL : gzdopen(fd, "r");

        assert_non_null(gz);
        assert_non_null(gzgets(gz, line, sizeof line));
        gzclose(gz);
        snprintf(expected, sizeof expected, "\"memoryBytes\":%u,", i + 1);
        assert_non_null(strstr(line, expected));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(cpu_is_a_share_of_the_time_that_passed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cpu_is_the_same_when_the_clock_is_set_forward, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(cpu_is_the_same_when_the_clock_is_set_back, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(files_are_in_their_order_when_the_clock_is_set_back, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
