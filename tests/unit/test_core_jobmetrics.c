/* A job's samples when somebody sets the clock, when it rests and when it is over at once:
 * jobmetrics.h, metricsfile.h. What they say of a running job is tests/e2e/metrics.bats'. */
#include "unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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
static Joblet__RunJobRequest request;

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
    joblet__run_job_request__init(&request);
    request.network = (char *) (uintptr_t) "none";
    job.req = &request;
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

/* Closes fd. */
static void first_line(int fd, char *ret, int size)
{
    gzFile gz = fd < 0 ? NULL : gzdopen(fd, "r");

    assert_non_null(gz);
    assert_non_null(gzgets(gz, ret, size));
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

/* ---- a group that the test writes */

static void group(const char *file, const char *text)
{
    char path[256];
    FILE *f;

    snprintf(path, sizeof path, "%s/g/job-a-job/%s", dir, file);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void make_group(void)
{
    static char path[] = "g";
    char sub[256];

    snprintf(core.cg_host.unified, sizeof core.cg_host.unified, "%s", dir);
    core.conf.cgroup_path = path;
    snprintf(sub, sizeof sub, "%s/g", dir);
    assert_int_equal(mkdir(sub, 0700), 0);
    snprintf(sub, sizeof sub, "%s/g/job-a-job", dir);
    assert_int_equal(mkdir(sub, 0700), 0);
    group("cpu.stat", "usage_usec 1000\nuser_usec 600\nsystem_usec 400\n");
    group("memory.current", "4096\n");
    group("memory.stat", "anon 4096\nfile 0\nfile_dirty 0\nfile_writeback 0\n");
    group("pids.current", "1\n");
    group("cpu.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=9\n");
}

static int stop(struct jl_timer *t)
{
    (void) t;
    return jl_loop_stop(core.loop, 0);
}

/* The next sample is due and taken. */
static void next_sample(void)
{
    struct jl_timer end = { 0 };

    fake_pass(JL_NS_PER_S + JL_NS_PER_MS);
    jl_loop_arm(core.loop, &end, fake_now_ns, stop);
    assert_int_equal(jl_loop_run(core.loop), 0);
}

static void begin_and_rest(void)
{
    make_group();
    job.rec.started_wall_ns = fake_wall_ns;
    jd_metrics_begin(&job, true);
    for (unsigned i = 0; i < 4; i++) /* 3 s without CPU time */
        next_sample();
}

static void last_says(const char *text)
{
    char line[1024] = "";

    last_line(line, sizeof line);
    if (!strstr(line, text))
        fail_msg("no %s in %s", text, line);
}

static void a_job_at_rest_is_not_read_for_a_while(void **state)
{
    (void) state;
    begin_and_rest();
    group("pids.current", "2\n");       /* as nobody sees it without reading it */
    for (unsigned i = 0; i < 59; i++) { /* a second each */
        next_sample();
        last_says("\"pidsCurrent\":1,");
    }
    next_sample();
    last_says("\"pidsCurrent\":2,");
    jd_metrics_free(&job);
}

static void pressure_that_decays_is_told(void **state)
{
    (void) state;
    begin_and_rest();
    group("cpu.stat", "usage_usec 2000\n");
    group("cpu.pressure", "some avg10=12.50 avg60=0.00 avg300=0.00 total=9\n");
    next_sample();
    last_says("\"psiCpuSome10\":12.5,");
    group("cpu.pressure", "some avg10=6.25 avg60=0.00 avg300=0.00 total=9\n");
    next_sample();
    last_says("\"psiCpuSome10\":6.25,");
    group("cpu.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=9\n");
    next_sample();
    last_says("\"psiCpuSome10\":0,");
    jd_metrics_free(&job);
}

/* The kernel counts a wait of the last two seconds later, and then the job uses no CPU time. */
static void pressure_of_a_wait_that_just_began_is_told(void **state)
{
    (void) state;
    begin_and_rest();
    group("cpu.stat", "usage_usec 2000\n");
    next_sample();
    next_sample();
    group("io.pressure", "some avg10=33.00 avg60=0.00 avg300=0.00 total=9\n");
    next_sample();
    last_says("\"psiIoSome10\":33");
    jd_metrics_free(&job);
}

static void memory_that_the_host_takes_back_is_told(void **state)
{
    (void) state;
    begin_and_rest();
    group("memory.current", "1024\n");
    group("memory.stat", "anon 512\nfile 512\n");
    next_sample();
    last_says("\"memoryBytes\":1024,");
    last_says("\"memoryFile\":512,");
    jd_metrics_free(&job);
}

static void what_is_written_later_is_told(void **state)
{
    (void) state;
    begin_and_rest();
    group("cpu.stat", "usage_usec 2000\n");
    group("memory.stat", "anon 4096\nfile 8192\nfile_dirty 8192\nfile_writeback 0\n");
    next_sample();
    next_sample();
    group("io.stat", "254:0 rbytes=0 wbytes=8192 rios=0 wios=2 dbytes=0 dios=0\n");
    next_sample();
    last_says("\"diskWriteBytes\":8192,");
    last_says("\"ioWriteOps\":2,");
    jd_metrics_free(&job);
}

static void a_job_that_was_over_at_once_has_its_limits(void **state)
{
    char line[1024] = "";
    int fd;

    (void) state;
    request.max_memory = 32;
    core.conf.default_pids = 4096;
    job.rec.started_wall_ns = fake_wall_ns;
    jd_metrics_begin(&job, true);
    fake_pass(40 * JL_NS_PER_MS);
    job.rec.ended_wall_ns = fake_wall_ns;
    job.rec.has_result = true;
    job.rec.result.io_read_bytes = 2000000;
    jd_metrics_end(&job);
    last_says("\"memoryLimit\":33554432,");
    last_says("\"pidsMax\":4096,");
    last_says("\"diskReadBytes\":2000000,");
    last_says("\"ioWriteOps\":0,");
    last_line(line, sizeof line);
    assert_null(strstr(line, "ioReadOps")); /* nobody knows of how many */
    fd = jd_metrics_open(core.metrics.dirfd, "a-job", 0);
    first_line(fd, line, sizeof line);
    assert_non_null(strstr(line, "\"memoryLimit\":33554432,"));
    assert_non_null(strstr(line, "\"pidsMax\":4096,"));
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

/* It runs for so long, and what made it has used 4 ms before. */
static double cpu_of_a_short_job(uint64_t ns)
{
    job.rec.started_wall_ns = fake_wall_ns;
    jd_metrics_begin(&job, true);
    fake_pass(ns);
    job.rec.ended_wall_ns = fake_wall_ns;
    job.rec.has_result = true;
    job.rec.result.cpu_user_us = 4000 + 1000000;
    jd_metrics_end(&job);
    return cpu_of_the_end();
}

static void a_share_of_no_time_is_none(void **state)
{
    (void) state;
    assert_float_equal(cpu_of_a_short_job(300000), 0, 0.001);
}

static void no_share_is_more_than_all_processors(void **state)
{
    double most = 100.0 * (double) sysconf(_SC_NPROCESSORS_ONLN);

    (void) state;
    assert_float_equal(cpu_of_a_short_job(10 * JL_NS_PER_MS), most < 10040 ? most : 10040, 0.001);
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

        first_line(fd, line, sizeof line);
        snprintf(expected, sizeof expected, "\"memoryBytes\":%u,", i + 1);
        assert_non_null(strstr(line, expected));
    }
}

/* A full file that can't be packed stays, and costs no sample. */
static void a_file_that_cannot_be_packed_is_followed_by_another(void **state)
{
    struct jd_metrics_sample s = { .timestamp = fake_wall_ns, .memory_bytes = 1 };
    struct jd_metrics_file f = { 0 };
    struct jl_err e = JL_ERR_INIT;
    char path[256], line[1024] = "";

    (void) state;
    while (f.bytes <= JD_METRICS_FULL)
        assert_int_equal(jd_metrics_append(&f, core.metrics.dirfd, "a-job", &s, &e), 0);
    snprintf(path, sizeof path, "%s/a-job/%s.gz", dir, f.name);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_true(jd_metrics_close(&f, core.metrics.dirfd, "a-job", &e) < 0);
    assert_int_equal(rmdir(path), 0);
    s.memory_bytes = 2;
    assert_int_equal(jd_metrics_append(&f, core.metrics.dirfd, "a-job", &s, &e), 0);
    first_line(jd_metrics_open(core.metrics.dirfd, "a-job", 0), line, sizeof line);
    assert_non_null(strstr(line, "\"memoryBytes\":1,"));
    first_line(jd_metrics_open(core.metrics.dirfd, "a-job", 1), line, sizeof line);
    assert_non_null(strstr(line, "\"memoryBytes\":2,"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(cpu_is_a_share_of_the_time_that_passed),
        CASE(cpu_is_the_same_when_the_clock_is_set_forward),
        CASE(cpu_is_the_same_when_the_clock_is_set_back),
        CASE(a_share_of_no_time_is_none),
        CASE(no_share_is_more_than_all_processors),
        CASE(files_are_in_their_order_when_the_clock_is_set_back),
        CASE(a_file_that_cannot_be_packed_is_followed_by_another),
        CASE(a_job_at_rest_is_not_read_for_a_while),
        CASE(pressure_that_decays_is_told),
        CASE(pressure_of_a_wait_that_just_began_is_told),
        CASE(memory_that_the_host_takes_back_is_told),
        CASE(what_is_written_later_is_told),
        CASE(a_job_that_was_over_at_once_has_its_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
