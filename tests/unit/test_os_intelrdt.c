/* test_os_intelrdt.c - groups of resctrl, in a directory that looks like one: the files that the
 * kernel makes in a new group are made by hand. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "os/intelrdt.h"

static char dir[64];
static int root = -1;
static struct jl_err e;

static void put(const char *path, const char *text)
{
    int fd = openat(root, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(jl_write_all(fd, text, strlen(text)), 0);
    jl_close(fd);
}

static void expect(const char *path, const char *text)
{
    _buf_ struct jl_buf got = JL_BUF_INIT(4096);

    assert_int_equal(jl_read_file_at(root, path, &got, &e), 0);
    assert_string_equal(got.data ? got.data : "", text);
}

static int start(void **state)
{
    (void) state;
    snprintf(dir, sizeof dir, "/tmp/test_os_intelrdt.XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    jl_err_clear(&e);
    mkdirat(root, "info", 0700);
    mkdirat(root, "mon_groups", 0700);
    put("tasks", "");
    put("schemata", "    MB:0=100;1=100\n    L3:0=7ff;1=7ff\n");
    return root < 0;
}

static int finish(void **state)
{
    (void) state;
    root = jl_close(root);
    return jl_remove_tree_at(AT_FDCWD, dir, &e) < 0;
}

static void a_group_is_named_by_one_part_of_a_path(void **state)
{
    static const char *const bad[] = { "",     ".",          "..",       "a/b", "/",
                                       "info", "mon_groups", "mon_data", "a\nb" };

    (void) state;
    for (size_t i = 0; i < JL_COUNT(bad); i++)
        assert_false(os_rdt_name_is_good(bad[i]));
    assert_true(os_rdt_name_is_good("guaranteed_group"));
    assert_true(os_rdt_name_is_good("..."));
}

static void a_group_is_made_once_and_removed(void **state)
{
    (void) state;
    assert_false(os_rdt_exists(root, "a"));
    assert_true(os_rdt_exists(root, ""));
    assert_int_equal(os_rdt_make(root, "a", NULL, &e), 0);
    assert_true(os_rdt_exists(root, "a"));
    assert_int_equal(os_rdt_make(root, "a", NULL, &e), -EEXIST);
    assert_int_equal(os_rdt_make(root, "a", "m", &e), -ENOENT); /* no mon_groups */
    assert_non_null(strstr(e.hint, "monitoring"));
    mkdirat(root, "a/mon_groups", 0700);
    assert_int_equal(os_rdt_make(root, "a", "m", &e), 0);
    assert_int_equal(faccessat(root, "a/mon_groups/m", F_OK, 0), 0);
    assert_int_equal(os_rdt_make(root, "", "m", &e), 0);
    assert_int_equal(faccessat(root, "mon_groups/m", F_OK, 0), 0);
    assert_int_equal(os_rdt_remove(root, "a", "m", &e), 0);
    assert_int_equal(faccessat(root, "a/mon_groups/m", F_OK, 0), -1);
    assert_int_equal(os_rdt_remove(root, "a", "m", &e), 0);           /* again */
    assert_int_equal(os_rdt_remove(root, "a", NULL, &e), -ENOTEMPTY); /* which resctrl's is not */
    unlinkat(root, "a/mon_groups", AT_REMOVEDIR);
    assert_int_equal(os_rdt_remove(root, "a", NULL, &e), 0);
    assert_false(os_rdt_exists(root, "a"));
}

static void lines_end_in_a_newline_and_a_failure_has_the_kernels_reason(void **state)
{
    (void) state;
    mkdirat(root, "a", 0700);
    put("a/schemata", "");
    assert_int_equal(os_rdt_set(root, "a", "L3:0=f;1=f", &e), 0);
    expect("a/schemata", "L3:0=f;1=f\n");
    assert_int_equal(os_rdt_set(root, "a", "MB:0=20\nL3:0=f\n", &e), 0);
    expect("a/schemata", "MB:0=20\nL3:0=f\n");
    put("info/last_cmd_status", "Mask out of range\n");
    assert_int_equal(os_rdt_set(root, "b", "L3:0=f", &e), -ENOENT);
    assert_non_null(strstr(e.text, "b/schemata"));
    assert_non_null(strstr(e.hint, "Mask out of range"));
}

static void lines_in_force_are_compared_by_value(void **state)
{
    static const char *const same[] = { "L3:0=7f0;1=1f",     "L3:1=01F", "MB:0=20",
                                        "MB:1=70\nL3:0=7f0", "",         " L3: 0 = 7f0 ; 1=1f" };
    static const char *const other[] = {
        "L3:0=7ff", "L3:2=1f", "L2:0=f",  "MB:0=0x14", "MB:0=21",       "L3",
        "L3:0",     "L3:0=",   "L3:0=zz", "0=1f",      "L3:0=7f0 1=1f", "MB:0=20\nL3:0=1"
    };

    (void) state;
    mkdirat(root, "a", 0700);
    put("a/schemata", "    MB:0= 20;1= 70\n    L3:0=7f0;1=01f\n");
    for (size_t i = 0; i < JL_COUNT(same); i++)
        assert_int_equal(os_rdt_compare(root, "a", same[i], &e), 0);
    for (size_t i = 0; i < JL_COUNT(other); i++)
        assert_int_equal(os_rdt_compare(root, "a", other[i], &e), -EINVAL);
    assert_int_equal(os_rdt_compare(root, "b", "L3:0=7f0", &e), -ENOENT);
}

static void a_process_joins_the_class_and_then_its_monitoring_group(void **state)
{
    (void) state;
    mkdirat(root, "a", 0700);
    mkdirat(root, "a/mon_groups", 0700);
    mkdirat(root, "a/mon_groups/m", 0700);
    put("a/tasks", "");
    assert_true(os_rdt_is_empty(root, "a", NULL));
    assert_int_equal(os_rdt_join(root, "a", "m", 4711, &e), -ENOENT); /* no tasks in m */
    expect("a/tasks", "4711\n");
    put("a/mon_groups/m/tasks", "");
    assert_int_equal(os_rdt_join(root, "a", "m", 4711, &e), 0);
    expect("a/mon_groups/m/tasks", "4711\n");
    assert_false(os_rdt_is_empty(root, "a", NULL));
    assert_false(os_rdt_is_empty(root, "a", "m"));
    assert_int_equal(os_rdt_join(root, "", NULL, 42, &e), 0);
    expect("tasks", "42\n");
}

static void what_is_measured_is_asked_for(void **state)
{
    (void) state;
    assert_false(os_rdt_monitors(root, "llc_occupancy"));
    mkdirat(root, "info/L3_MON", 0700);
    put("info/L3_MON/mon_features", "llc_occupancy\nmbm_total_bytes\n");
    assert_true(os_rdt_monitors(root, "llc_occupancy"));
    assert_true(os_rdt_monitors(root, "mbm_"));
    assert_false(os_rdt_monitors(root, "mbm_local"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_group_is_named_by_one_part_of_a_path, start, finish),
        cmocka_unit_test_setup_teardown(a_group_is_made_once_and_removed, start, finish),
        cmocka_unit_test_setup_teardown(lines_end_in_a_newline_and_a_failure_has_the_kernels_reason,
                                        start, finish),
        cmocka_unit_test_setup_teardown(lines_in_force_are_compared_by_value, start, finish),
        cmocka_unit_test_setup_teardown(a_process_joins_the_class_and_then_its_monitoring_group,
                                        start, finish),
        cmocka_unit_test_setup_teardown(what_is_measured_is_asked_for, start, finish),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
