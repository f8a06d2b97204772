/* Trees that are removed: trash.h. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "daemon/core/trash.h"

static char dir[] = "/tmp/jl-trash.XXXXXX";
static int top_fd;

static int set_up(void **state)
{
    (void) state;
    memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    if (!mkdtemp(dir))
        return -1;
    top_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return top_fd < 0;
}

static int tear_down(void **state)
{
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    close(top_fd);
    return jl_remove_tree_at(AT_FDCWD, dir, &e);
}

static void files_that_nobody_may_read_go(void **state)
{
    char name[64];

    (void) state;
    assert_int_equal(mkdirat(top_fd, "a", 0700), 0);
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "a/%d", i);
        assert_int_equal(mkdirat(top_fd, name, 0), 0); /* no right to read them */
    }
    assert_int_equal(jd_trash_empty(top_fd), 0);
    assert_int_equal(faccessat(top_fd, "a", F_OK, 0), -1);
}

static void links_are_removed_and_not_followed(void **state)
{
    char outside[] = "/tmp/jl-trash-out.XXXXXX";
    int fd = mkstemp(outside);

    (void) state;
    close(fd);
    assert_int_equal(symlinkat(outside, top_fd, "link"), 0);
    assert_int_equal(symlinkat("/tmp", top_fd, "dir"), 0);
    assert_int_equal(jd_trash_empty(top_fd), 0);
    assert_int_equal(access(outside, F_OK), 0);
    unlink(outside);
}

/* Deeper than any number of descriptors, and than any path. */
static void a_deep_tree_goes_too(void **state)
{
    int at = dup(top_fd);

    (void) state;
    for (int i = 0; i < 3000; i++) {
        int below;

        assert_int_equal(mkdirat(at, "d", 0700), 0);
        below = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        close(at);
        at = below;
    }
    close(at);
    assert_int_equal(jd_trash_empty(top_fd), 0);
    assert_int_equal(faccessat(top_fd, "d", F_OK, 0), -1);
}

static void what_cannot_be_removed_is_told_and_the_rest_goes(void **state)
{
    bool root = geteuid() == 0;
    char name[64];
    int r;

    (void) state;
    assert_int_equal(mkdirat(top_fd, "a", 0755), 0);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "a/%d", i);
        assert_int_equal(mkdirat(top_fd, name, 0700), 0);
    }
    assert_int_equal(mkdirat(top_fd, "b", 0755), 0);
    assert_int_equal(fchmod(top_fd, 0777), 0);
    assert_int_equal(fchmodat(top_fd, "a", 0555, 0), 0);
    assert_int_equal(root ? seteuid(65534) : 0, 0);
    r = jd_trash_empty(top_fd);
    assert_int_equal(root ? seteuid(0) : 0, 0);
    assert_int_equal(fchmodat(top_fd, "a", 0755, 0), 0);
    assert_int_equal(r, -EACCES);
    assert_int_equal(faccessat(top_fd, "b", F_OK, 0), -1);
    assert_int_equal(jd_trash_empty(top_fd), 0);
    assert_int_equal(faccessat(top_fd, "a", F_OK, 0), -1);
}

UNIT_MAIN(cmocka_unit_test_setup_teardown(files_that_nobody_may_read_go, set_up, tear_down),
          cmocka_unit_test_setup_teardown(links_are_removed_and_not_followed, set_up, tear_down),
          cmocka_unit_test_setup_teardown(a_deep_tree_goes_too, set_up, tear_down),
          cmocka_unit_test_setup_teardown(what_cannot_be_removed_is_told_and_the_rest_goes, set_up, tear_down))
