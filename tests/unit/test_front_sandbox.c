/* What a process in front's sandbox can still do, asked of the kernel: each case in a child. */
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "daemon/front/sandbox.h"

struct place {
    char path[64];
    int staging; /* the directory that uploads go below */
    int landlock;
};

/* Runs fn in a sandboxed child; its return value, or 256 + the signal that ended it. */
static int inside(int (*fn)(const struct place *p), bool with_staging)
{
    struct place p = { .staging = -1 };
    struct jl_err e = JL_ERR_INIT;
    int status;
    pid_t pid;

    snprintf(p.path, sizeof p.path, "/tmp/jl-sandbox-XXXXXX");
    assert_non_null(mkdtemp(p.path));
    assert_int_equal(chmod(p.path, 0777), 0);
    p.staging = open(p.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    pid = fork();
    if (pid == 0) {
        if (jd_sandbox_files(with_staging ? p.staging : -1, 1, &p.landlock, &e) < 0 ||
            jd_sandbox_calls(&e) < 0)
            _exit(99);
        _exit(fn(&p));
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(p.staging);
    assert_int_equal(jl_remove_tree_at(AT_FDCWD, p.path, &e), 0);
    return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int openat2_errno(int dirfd, const char *path, uint64_t flags)
{
    uint64_t how[3] = { flags, flags & O_CREAT ? 0600 : 0, 0 };
    long fd = syscall(SYS_openat2, dirfd, path, how, sizeof how);

    if (fd >= 0)
        close((int) fd);
    return fd < 0 ? errno : 0;
}

static int reads_host_files(const struct place *p)
{
    if (open("/etc/passwd", O_RDONLY) >= 0 || errno != EPERM)
        return 1;
    if (p->landlock > 0 && openat2_errno(AT_FDCWD, "/etc/passwd", O_RDONLY) != EACCES)
        return 2;
    if (p->landlock > 0 && openat2_errno(AT_FDCWD, "/dev/null", O_RDWR) != EACCES)
        return 3;
    if (p->landlock > 0 && openat2_errno(AT_FDCWD, "/tmp", O_RDONLY | O_DIRECTORY) != EACCES)
        return 4;
    return 0;
}

static int writes_outside(const struct place *p)
{
    if (p->landlock == 0)
        return 0;
    if (openat2_errno(AT_FDCWD, "/tmp/jl-sandbox-outside", O_WRONLY | O_CREAT) != EACCES)
        return 1;
    return mkdirat(p->staging, "../jl-sandbox-outside", 0700) == 0 || errno != EACCES ? 2 : 0;
}

static int writes_staging(const struct place *p)
{
    if (openat2_errno(p->staging, "file", O_WRONLY | O_CREAT | O_EXCL) != 0)
        return 1;
    if (mkdirat(p->staging, "dir", 0755) < 0)
        return 2;
    if (openat2_errno(p->staging, "dir/file", O_WRONLY | O_CREAT | O_EXCL) != 0)
        return 3;
    /* but what is there is not for reading, removing or linking */
    if (p->landlock > 0 && openat2_errno(p->staging, "file", O_RDONLY) != EACCES)
        return 4;
    if (unlinkat(p->staging, "file", 0) == 0 || linkat(p->staging, "file", p->staging, "x", 0) == 0)
        return 5;
    return symlinkat("/etc", p->staging, "link") == 0 ? 6 : 0;
}

static int talks(const struct place *p)
{
    (void) p;
    if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != EPERM)
        return 1;
    return socket(AF_UNIX, SOCK_STREAM, 0) >= 0 || errno != EPERM ? 2 : 0;
}

static int changes_itself(const struct place *p)
{
    (void) p;
    if (setuid(0) == 0 || kill(getppid(), 0) == 0)
        return 1;
    return chmod("/tmp", 01777) == 0 || chdir("/") == 0 ? 2 : 0;
}

static int execs(const struct place *p)
{
    char *argv[] = { (char *) (uintptr_t) "true", NULL };

    (void) p;
    execve("/bin/true", argv, argv + 1);
    return 1;
}

static int traces(const struct place *p)
{
    (void) p;
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    return 1;
}

static int forks(const struct place *p)
{
    (void) p;
    return fork() >= 0 || errno != EPERM;
}

static void *nothing(void *arg)
{
    return arg;
}

static int makes_threads(const struct place *p)
{
    pthread_t t;

    (void) p;
    return pthread_create(&t, NULL, nothing, NULL) != 0 || pthread_join(t, NULL) != 0;
}

static int has_memory(const struct place *p)
{
    size_t size = (size_t) 64 << 20;
    char *block = malloc(size);
    int fd;

    (void) p;
    if (!block)
        return 1;
    memset(block, 1, size);
    free(block);
    fd = jl_sealed_memfd("test", "x", 1);
    return fd < 0;
}

static void host_files_cannot_be_opened(void **state)
{
    (void) state;
    assert_int_equal(inside(reads_host_files, true), 0);
    assert_int_equal(inside(reads_host_files, false), 0);
}

static void uploads_are_written_below_the_staging_root_alone(void **state)
{
    (void) state;
    assert_int_equal(inside(writes_staging, true), 0);
    assert_int_equal(inside(writes_outside, true), 0);
}

static void it_makes_no_sockets(void **state)
{
    (void) state;
    assert_int_equal(inside(talks, true), 0);
}

static void it_changes_nothing_about_itself(void **state)
{
    (void) state;
    assert_int_equal(inside(changes_itself, true), 0);
}

static void exec_and_ptrace_are_deadly(void **state)
{
    (void) state;
    assert_int_equal(inside(execs, true), 256 + SIGSYS);
    assert_int_equal(inside(traces, true), 256 + SIGSYS);
}

static void there_are_threads_but_no_processes(void **state)
{
    (void) state;
    assert_int_equal(inside(forks, true), 0);
    assert_int_equal(inside(makes_threads, true), 0);
    assert_int_equal(inside(has_memory, true), 0);
}

UNIT_MAIN(cmocka_unit_test(host_files_cannot_be_opened),
          cmocka_unit_test(uploads_are_written_below_the_staging_root_alone),
          cmocka_unit_test(it_makes_no_sockets), cmocka_unit_test(it_changes_nothing_about_itself),
          cmocka_unit_test(exec_and_ptrace_are_deadly),
          cmocka_unit_test(there_are_threads_but_no_processes))
