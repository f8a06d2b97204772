/* A job's processes and open files: jobprocs.h. The group is made up here, of this process several
 * times; and stat(2) is that of a Linux before 6.2 where a case wants it so. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/core/jobprocs.h"

#define FILES 100

static size_t times;
static bool before_6_2;
static int files[FILES];

int __wrap_os_cgroup_pids(const struct os_cgroup *cg, pid_t **ret_pids, size_t *ret_n,
                          struct jl_err *e);
int __wrap_stat(const char *path, struct stat *st);
int __real_stat(const char *path, struct stat *st);

int __wrap_os_cgroup_pids(const struct os_cgroup *cg, pid_t **ret_pids, size_t *ret_n,
                          struct jl_err *e)
{
    (void) cg, (void) e;
    *ret_pids = calloc(times + 1, sizeof **ret_pids);
    for (size_t i = 0; *ret_pids && i < times; i++)
        (*ret_pids)[i] = getpid();
    *ret_n = times;
    return *ret_pids ? 0 : -ENOMEM;
}

int __wrap_stat(const char *path, struct stat *st)
{
    int r = __real_stat(path, st);

    if (before_6_2)
        st->st_size = 0;
    return r;
}

static struct jd_procs look(size_t n, bool old)
{
    struct jd_procs p;

    times = n;
    before_6_2 = old;
    jd_procs_read(NULL, n, &p);
    return p;
}

static void open_files(void)
{
    for (size_t i = 0; i < FILES; i++)
        assert_true((files[i] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0);
}

static void close_files(void)
{
    for (size_t i = 0; i < FILES; i++)
        close(files[i]);
}

static void check_that_files_are_counted(bool old)
{
    struct jd_procs before = look(2, old), after;

    open_files();
    after = look(2, old);
    close_files();
    assert_int_equal(before.processes, 2);
    assert_int_equal(after.processes, 2);
    assert_int_equal(after.open_files, before.open_files + (uint64_t) 2 * FILES);
}

static void files_are_counted(void **state)
{
    (void) state;
    check_that_files_are_counted(false);
}

static void files_are_counted_one_by_one(void **state)
{
    (void) state;
    check_that_files_are_counted(true);
}

static void more_than_may_be_counted_are_not_known(void **state)
{
    struct jd_procs p;

    (void) state;
    open_files();
    p = look(1 + JD_PROCS_FILES_MAX / FILES, true);
    close_files();
    assert_int_equal(p.processes, 1 + JD_PROCS_FILES_MAX / FILES);
    assert_int_equal(p.open_files, 0);
    p = look(JD_PROCS_MAX + 1, false);
    assert_int_equal(p.processes, 0);
    assert_int_equal(p.open_files, 0);
}

UNIT_MAIN(cmocka_unit_test(files_are_counted), cmocka_unit_test(files_are_counted_one_by_one),
          cmocka_unit_test(more_than_may_be_counted_are_not_known))
