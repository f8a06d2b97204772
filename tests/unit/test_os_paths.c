/* test_os_paths.c - lookups below a hostile root, names of capabilities, limits and namespaces,
 * and processes that cannot be mistaken. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "os/caps.h"
#include "os/exits.h"
#include "os/ns.h"
#include "os/openat2.h"
#include "os/pidfd.h"
#include "os/rlimit.h"
#include "os/selfexe.h"

static char dir[64];
static int root = -1;
static struct jl_err e;

static int start(void **state)
{
    (void) state;
    snprintf(dir, sizeof dir, "/tmp/test_os_paths.XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    jl_err_clear(&e);
    return root < 0;
}

static int finish(void **state)
{
    (void) state;
    root = jl_close(root);
    return jl_remove_tree_at(AT_FDCWD, dir, &e) < 0;
}

static ino_t inode_of(int fd)
{
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    jl_close(fd);
    return st.st_ino;
}

static ino_t inode_at(const char *path)
{
    struct stat st;

    assert_int_equal(fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW), 0);
    return st.st_ino;
}

static void directories_are_made_with_their_parents(void **state)
{
    int fd = os_mkdir_in_root(root, "/a//b/./c/", 0755, &e);

    (void) state;
    assert_true(fd >= 0);
    assert_int_equal(inode_of(fd), inode_at("a/b/c"));
    fd = os_mkdir_in_root(root, "a/b/c", 0755, &e);
    assert_true(fd >= 0);
    jl_close(fd);
}

static void symlinks_stay_inside(void **state)
{
    int fd;

    (void) state;
    assert_int_equal(mkdirat(root, "real", 0755), 0);
    assert_int_equal(symlinkat("/real", root, "abs"), 0);
    assert_int_equal(symlinkat("../../../../real", root, "up"), 0);
    fd = os_mkdir_in_root(root, "abs/x", 0755, &e);
    assert_true(fd >= 0);
    assert_int_equal(inode_of(fd), inode_at("real/x"));
    fd = os_mkdir_in_root(root, "up/y", 0755, &e);
    assert_true(fd >= 0);
    assert_int_equal(inode_of(fd), inode_at("real/y"));
    assert_int_equal(os_open_in_root_nolink(root, "abs", O_PATH), -ELOOP);
}

static void the_way_up_ends_at_the_root(void **state)
{
    int fd = os_mkdir_in_root(root, "../../../tmp/../inside", 0755, &e);

    (void) state;
    if (fd >= 0)
        assert_int_equal(inode_of(fd), inode_at("inside"));
    else
        assert_int_equal(fd, -ENOENT); /* "tmp" is not there below our root */
    assert_int_equal(access("/inside", F_OK), -1);
}

static void a_dangling_link_makes_nothing_outside(void **state)
{
    (void) state;
    assert_int_equal(symlinkat("/not/there", root, "link"), 0);
    assert_true(os_mkdir_in_root(root, "link", 0755, &e) < 0);
    assert_true(os_mkfile_in_root(root, "link", 0644, &e) < 0);
    assert_int_equal(access("/not", F_OK), -1);
}

static void magic_links_lead_nowhere(void **state)
{
    _close_ int slash = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    char path[64];

    (void) state;
    snprintf(path, sizeof path, "proc/self/fd/%d", root);
    assert_int_equal(os_open_in_root(slash, path, O_PATH), -ELOOP);
}

static void files_are_made_empty_and_kept(void **state)
{
    int fd = os_mkfile_in_root(root, "d/f", 0644, &e);

    (void) state;
    assert_true(fd >= 0);
    assert_int_equal(inode_of(fd), inode_at("d/f"));
    fd = os_mkfile_in_root(root, "/d/f", 0644, &e);
    assert_true(fd >= 0);
    jl_close(fd);
    assert_int_equal(os_mkfile_in_root(root, "d", 0644, &e), -EISDIR);
    assert_int_equal(os_mkdir_in_root(root, "d/f", 0755, &e), -ENOTDIR);
    assert_int_equal(os_mkfile_in_root(root, "d/f2/..", 0644, &e), -EINVAL);
}

static void capabilities_have_their_numbers(void **state)
{
    (void) state;
    assert_int_equal(os_cap_from_name("CAP_CHOWN"), 0);
    assert_int_equal(os_cap_from_name("cap_sys_admin"), 21);
    assert_int_equal(os_cap_from_name("CAP_CHECKPOINT_RESTORE"), 40);
    assert_int_equal(os_cap_from_name("KILL"), 5);
    assert_int_equal(os_cap_from_name("CAP_"), -EINVAL);
    assert_int_equal(os_cap_from_name("CAP_SYS_ADMINX"), -EINVAL);
    for (unsigned cap = 0; cap < OS_CAP_N; cap++)
        assert_int_equal(os_cap_from_name(os_cap_name(cap)), (int) cap);
    assert_null(os_cap_name(OS_CAP_N));
}

static void limits_and_namespaces_have_their_names(void **state)
{
    enum os_ns ns;

    (void) state;
    assert_int_equal(os_rlimit_from_name("RLIMIT_NOFILE"), RLIMIT_NOFILE);
    assert_string_equal(os_rlimit_name(RLIMIT_AS), "RLIMIT_AS");
    assert_int_equal(os_rlimit_from_name("NOFILE"), -EINVAL);
    assert_int_equal(os_ns_from_name("network", &ns), 0);
    assert_int_equal(ns, OS_NS_NET);
    assert_int_equal(os_ns_flag(OS_NS_NET), CLONE_NEWNET);
    assert_int_equal(os_ns_from_name("net", &ns), -EINVAL);
}

static void a_namespace_of_another_kind_is_refused(void **state)
{
    int fd = os_ns_open("/proc/self/ns/uts", OS_NS_UTS, &e);

    (void) state;
    assert_true(fd >= 0);
    jl_close(fd);
    assert_int_equal(os_ns_open("/proc/self/ns/uts", OS_NS_NET, &e), -EINVAL);
    assert_int_equal(os_ns_open("/etc/passwd", OS_NS_NET, &e), -EINVAL);
    assert_int_equal(os_ns_open("/no/such", OS_NS_NET, &e), -ENOENT);
}

static void a_pid_is_held_to_its_start_time(void **state)
{
    uint64_t ticks;
    pid_t pid = fork();
    int fd;

    (void) state;
    if (pid == 0)
        for (;;)
            pause();
    assert_int_equal(os_pid_start_ticks(pid, &ticks), 0);
    assert_int_equal(os_pidfd_open_checked(pid, ticks + 1), -ESRCH);
    fd = os_pidfd_open_checked(pid, ticks);
    assert_true(fd >= 0);
    assert_int_equal(os_pidfd_pid(fd), pid);
    assert_int_equal(os_pidfd_wait_end(fd, 0), 0);
    assert_int_equal(os_pidfd_signal(fd, SIGKILL), 0);
    assert_int_equal(os_pidfd_wait_end(fd, 10000), 1);
    waitpid(pid, NULL, 0);
    assert_int_equal(os_pidfd_signal(fd, 0), -ESRCH);
    assert_int_equal(os_pid_start_ticks(pid, &ticks), -ESRCH);
    jl_close(fd);
}

/* A process that is not our child has its zombie taken away by its parent. Only in the guest is it
 * certain that the kernel tells (root of the first namespaces, CONFIG_PROC_EVENTS). */
static void an_exit_is_heard_of_though_the_zombie_is_gone(void **state)
{
    pid_t other = fork(), pid = other == 0 ? 0 : fork();
    struct pollfd p = { .events = POLLIN };
    int status = 0;

    (void) state;
    if (pid == 0) {
        pause();
        _exit(5);
    }
    p.fd = os_exits_open(pid);
    kill(other, SIGTERM); /* nobody's business */
    waitpid(other, NULL, 0);
    if (p.fd >= 0)
        assert_int_equal(os_exits_read(p.fd, &status), -EAGAIN);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    if (p.fd < 0 || poll(&p, 1, getenv("JOBLET_VM") ? 60000 : 300) != 1) {
        os_exits_close(p.fd);
        assert_null(getenv("JOBLET_VM"));
        print_message("the process connector tells nothing here\n");
        skip();
    }
    assert_int_equal(os_exits_read(p.fd, &status), 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(os_exits_read(p.fd, &status), -EAGAIN);
    os_exits_close(p.fd);
}

static void the_sealed_copy_cannot_be_changed(void **state)
{
    int fd = os_selfexe_seal(&e);

    (void) state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(fd, 0), -1);
    jl_close(fd);
    assert_false(os_selfexe_is_sealed()); /* the test itself runs from a file */
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, start, finish)
UNIT_MAIN(CASE(directories_are_made_with_their_parents), CASE(symlinks_stay_inside),
          CASE(the_way_up_ends_at_the_root), CASE(a_dangling_link_makes_nothing_outside),
          CASE(magic_links_lead_nowhere), CASE(files_are_made_empty_and_kept),
          cmocka_unit_test(capabilities_have_their_numbers),
          cmocka_unit_test(limits_and_namespaces_have_their_names),
          cmocka_unit_test(a_namespace_of_another_kind_is_refused),
          cmocka_unit_test(a_pid_is_held_to_its_start_time),
          cmocka_unit_test(an_exit_is_heard_of_though_the_zombie_is_gone),
          cmocka_unit_test(the_sealed_copy_cannot_be_changed))
