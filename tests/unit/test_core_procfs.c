/* The texts of /proc, as kernels write them and as a hostile process would like to. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "daemon/core/procfs.h"
#include "daemon/core/sysmon.h"
#include "unit.h"

static int pid_of(const char *text, struct jd_proc_pid *ret)
{
    return jd_proc_pid(text, strlen(text), ret);
}

static void test_a_process_is_read(void **state)
{
    struct jd_proc_pid p;

    (void) state;
    assert_int_equal(pid_of("77 (sleep) S 1 77 77 0 -1 4194304 100 0 2 0 31 12 0 0 20 0 3 0 4711 "
                            "5000000 250 18446744073709551615 1 1 0\n",
                            &p),
                     0);
    assert_int_equal(p.pid, 77);
    assert_int_equal(p.ppid, 1);
    assert_string_equal(p.name, "sleep");
    assert_int_equal(p.state, 'S');
    assert_int_equal(p.ticks, 43);
    assert_int_equal(p.threads, 3);
    assert_int_equal(p.start_ticks, 4711);
    assert_int_equal(p.rss_pages, 250);
}

static void test_a_name_that_looks_like_the_rest_of_the_line(void **state)
{
    struct jd_proc_pid p;

    (void) state;
    assert_int_equal(
        pid_of("5 (x) R 0\n) Z 9) S 2 5 5 0 -1 0 0 0 0 0 1 2 0 0 20 0 1 0 3 4 6 0\n", &p), 0);
    assert_string_equal(p.name, "x) R 0\n) Z 9");
    assert_int_equal(p.state, 'S');
    assert_int_equal(p.ppid, 2);
    assert_int_equal(p.ticks, 3);
}

static void test_what_is_no_process_is_refused(void **state)
{
    static const char *const bad[] = { "",
                                       "1",
                                       "1 (a",
                                       "1 a) S 1",
                                       "1 (a)",
                                       "1 (a) ",
                                       "1 (a) S",
                                       "1 (a) S 1 2 3\n",
                                       "1 (a) S x 1 1 0 0 0 0 0 0 0 0 0 0 0" };
    struct jd_proc_pid p;

    (void) state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(pid_of(bad[i], &p), -EINVAL);
}

static void test_cpus(void **state)
{
    static struct jd_proc_stat s;

    (void) state;
    jd_proc_stat(
        "cpu  10 1 5 100 7 2 3 4 0 0\ncpu0 4 0 2 50 3 1 1 2 0 0\ncpu1 6 1 3 50 4 1 2 2 0 0\n"
        "intr 5 6\nctxt 9\nbtime 1700000000\nprocesses 7\n",
        &s);
    assert_int_equal(s.n_cores, 2);
    assert_int_equal(s.all.user, 11);
    assert_int_equal(s.all.kernel, 10);
    assert_int_equal(s.all.idle, 100);
    assert_int_equal(s.all.iowait, 7);
    assert_int_equal(s.all.steal, 4);
    assert_int_equal(s.cores[1].user, 7);
    assert_int_equal(s.boot_s, 1700000000);
}

static void test_memory(void **state)
{
    struct jd_proc_memory m;

    (void) state;
    jd_proc_memory(
        "MemTotal:  100 kB\nMemFree: 40 kB\nMemAvailable: 60 kB\nBuffers: 3 kB\nCached: 5 kB\n"
        "SwapCached: 99 kB\nSwapTotal: 7 kB\nSwapFree: 6 kB\n",
        &m);
    assert_int_equal(m.total, 102400);
    assert_int_equal(m.available, 61440);
    assert_int_equal(m.cached, 5120);
    assert_int_equal(m.swap_free, 6144);
}

static void test_interfaces(void **state)
{
    struct jd_proc_net n[2];

    (void) state;
    assert_int_equal(
        jd_proc_net("Inter-|   Receive                                                |  Transmit\n"
                    " face |bytes    packets errs drop fifo frame compressed multicast|bytes\n"
                    "    lo: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0\n  eth0:11 12 13 14 0 0 0 0 15 16 17 "
                    "18 0 0 0 0\n"
                    "  eth1:21 22 23 24 0 0 0 0 25 26 27 28 0 0 0 0\n",
                    n, 2),
        2);
    assert_string_equal(n[1].name, "eth0");
    assert_int_equal(n[1].rx_bytes, 11);
    assert_int_equal(n[1].tx_bytes, 15);
    assert_int_equal(n[1].tx_drops, 18);
}

static void test_disks(void **state)
{
    struct jd_proc_disk d[4];

    (void) state;
    assert_int_equal(
        jd_proc_disks("   8       0 sda 10 0 20 30 40 0 50 60 0 70 80 0 0 0 0 0 0\n"
                      "   8       1 sda1 1 2 3\n 259 0 nvme0n1 1 0 2 3 4 0 5 6 0 7 8\n",
                      d, 4),
        2);
    assert_string_equal(d[0].name, "sda");
    assert_int_equal(d[0].read_bytes, 20 * 512);
    assert_int_equal(d[0].write_bytes, 50 * 512);
    assert_int_equal(d[0].busy_ms, 70);
    assert_string_equal(d[1].name, "nvme0n1");
    assert_int_equal(d[1].major, 259);
    assert_int_equal(d[1].minor, 0);
}

static void test_models_and_frequencies(void **state)
{
    struct jd_proc_cpuinfo x;

    (void) state;
    jd_proc_cpuinfo("processor\t: 0\nmodel\t\t: 85\nmodel name\t: A (R) B @ 2.60GHz\ncpu MHz\t\t: "
                    "2600.500\n\nprocessor\t: 1\nmodel name\t: other\ncpu MHz\t\t: 1400.000\n",
                    &x);
    assert_string_equal(x.model, "A (R) B @ 2.60GHz");
    assert_float_equal(x.mhz, 2000.25, 0.001);
    jd_proc_cpuinfo("processor\t: 0\nBogoMIPS\t: 50.00\ncpu MHz : nan\ncpu MHz : -7\nmodel name",
                    &x);
    assert_string_equal(x.model, "");
    assert_float_equal(x.mhz, 0, 0);
}

static void put(const char *dir, const char *name, const char *text)
{
    struct jl_err e = JL_ERR_INIT;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(jl_publish_at(fd, name, text, strlen(text), 0600, false, &e), 0);
    close(fd);
}

static void test_the_hottest_package(void **state)
{
    static const char *const sensors[][2] = { { "acpitz\n", "99000\n" },
                                              { "coretemp\n", "41500\n" },
                                              { "coretemp\n", "43000\n" },
                                              { "k10temp\n", "rubbish" } };
    char dir[] = "/tmp/jl-hwmon.XXXXXX", sub[64];
    _arena_ struct jd_arena a = JD_ARENA_INIT;
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    assert_non_null(mkdtemp(dir));
    assert_float_equal(jd_sysmon_temperature(&a, dir), 0, 0);
    for (size_t i = 0; i < JL_COUNT(sensors); i++) {
        snprintf(sub, sizeof sub, "%s/hwmon%zu", dir, i);
        assert_int_equal(mkdir(sub, 0700), 0);
        put(sub, "name", sensors[i][0]);
        put(sub, "temp1_input", sensors[i][1]);
    }
    assert_float_equal(jd_sysmon_temperature(&a, dir), 43, 0.001);
    assert_int_equal(jl_remove_tree_at(AT_FDCWD, dir, &e), 0);
}

static void test_mounts(void **state)
{
    const char *text = "22 1 8:1 / / rw,relatime shared:1 master:2 - ext4 /dev/sda1 rw\nrubbish\n"
                       "30 22 0:25 /sub /a\\040b rw - tmpfs none rw\n31 22 0:26 / /cut rw\n";
    struct jd_proc_mount m;

    (void) state;
    assert_true(jd_proc_mount(&text, &m));
    assert_string_equal(m.point, "/");
    assert_string_equal(m.type, "ext4");
    assert_string_equal(m.source, "/dev/sda1");
    assert_true(jd_proc_mount(&text, &m));
    assert_string_equal(m.root, "/sub");
    assert_string_equal(m.point, "/a b");
    assert_int_equal(m.minor, 25);
    assert_false(jd_proc_mount(&text, &m));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_process_is_read),
        cmocka_unit_test(test_a_name_that_looks_like_the_rest_of_the_line),
        cmocka_unit_test(test_what_is_no_process_is_refused),
        cmocka_unit_test(test_cpus),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_interfaces),
        cmocka_unit_test(test_disks),
        cmocka_unit_test(test_models_and_frequencies),
        cmocka_unit_test(test_the_hottest_package),
        cmocka_unit_test(test_mounts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
