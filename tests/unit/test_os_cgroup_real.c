/*
 * test_os_cgroup_real.c - control groups that the kernel makes: on this host, whatever it has.
 * Needs root and a writable hierarchy; skips with the reason otherwise. Everything happens below
 * joblet-test-cgroup.<pid>, which is removed at the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "unit.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "os/cgroup_internal.h"

static struct os_cgroup_host host;
static char top[64];

static uint64_t within_s(unsigned s)
{
    return jl_now_ns() + s * JL_NS_PER_S;
}

#define OK(call)                                                                                   \
    do {                                                                                           \
        struct jl_err err_ = JL_ERR_INIT, *e = &err_;                                              \
        int r_ = (call);                                                                           \
        if (r_ != 0)                                                                               \
            fail_msg("%s: %d: %s (%s)", #call, r_, e->text, e->hint);                              \
    } while (0)

#define FAILS(code_, call)                                                                         \
    do {                                                                                           \
        struct jl_err err_ = JL_ERR_INIT, *e = &err_;                                              \
        int r_ = (call);                                                                           \
        if (r_ != -(code_))                                                                        \
            fail_msg("%s: %d, not %d: %s", #call, r_, -(code_), e->text);                          \
        assert_true(e->text[0] != '\0');                                                           \
    } while (0)

static const char *path_of(const char *name)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/%s", top, name);
    return path;
}

static struct os_cgroup *make(const char *name, unsigned need)
{
    struct os_cgroup *cg = NULL;

    OK(os_cgroup_create(&host, path_of(name), need, &cg, e));
    return cg;
}

static void unmake(struct os_cgroup *cg)
{
    struct jl_err ignored = JL_ERR_INIT;
    char path[CG_PATH_MAX];

    os_cgroup_kill_all(cg, &ignored);
    os_cgroup_wait_empty(cg, within_s(100), &ignored);
    snprintf(path, sizeof path, "%s", cg->path);
    os_cgroup_free(cg);
    OK(os_cgroup_remove(&host, path, 5000, e));
}

/* A child that has joined the group when this returns; it runs fn and exits with its answer. */
static pid_t run_inside(struct os_cgroup *cg, int (*fn)(void *), void *arg)
{
    int fds[CG_HIERARCHIES], joined[2];
    size_t n = 0;
    pid_t pid;
    char word;

    OK(os_cgroup_open_join_fds(cg, true, fds, &n, e));
    assert_int_equal(pipe2(joined, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct jl_err e = JL_ERR_INIT;

        if (os_cgroup_join_self(fds, n, &e) < 0) {
            fprintf(stderr, "join: %s\n", e.text);
            _exit(99);
        }
        close(joined[0]);
        if (write(joined[1], "j", 1) != 1)
            _exit(97);
        close(joined[1]);
        _exit(fn(arg));
    }
    close(joined[1]);
    assert_int_equal(read(joined[0], &word, 1), 1);
    close(joined[0]);
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
    return pid;
}

static int status_of(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void wait_inside(struct os_cgroup *cg, size_t want)
{
    uint64_t deadline = within_s(100);
    size_t n = 0;

    do {
        OK(os_cgroup_pids(cg, NULL, &n, e));
        if (n >= want)
            return;
        jl_sleep_ns(JL_NS_PER_MS);
    } while (jl_now_ns() < deadline);
    fail_msg("%zu processes inside, not %zu", n, want);
}

static int sleeper(void *arg)
{
    (void) arg;
    for (;;)
        pause();
    return 0;
}

static int nothing(void *arg)
{
    (void) arg;
    return 0;
}

static bool have(enum os_controller c)
{
    return os_cgroup_host_has(&host, c);
}

#define NEEDS(c)                                                                                   \
    do {                                                                                           \
        if (!have(c)) {                                                                            \
            print_message("no %s controller here\n", os_controller_name(c));                       \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

static const char *held(const struct os_cgroup *cg, enum os_controller c, const char *v1,
                        const char *v2)
{
    static char text[8192];
    bool is_v1 = host.v1[c][0] != '\0';

    if (cg_read(cg->fd[is_v1 ? c : CG_UNIFIED], is_v1 ? v1 : v2, text, sizeof text) < 0)
        return "(unreadable)";
    return text;
}

/* ---- life of a group ---- */

static void a_group_is_made_joined_killed_and_removed(void **state)
{
    struct os_cgroup *cg = make("a/b/c", 0), *again = NULL;
    pid_t pid = run_inside(cg, sleeper, NULL);
    char line[4096], *at;
    size_t n = 0;

    (void) state;
    wait_inside(cg, 1);
    OK(os_cgroup_pids(cg, NULL, &n, e));
    assert_int_equal(n, 1);
    snprintf(line, sizeof line, "/proc/%d/cgroup", (int) pid);
    {
        char text[4096];

        assert_true(cg_read(AT_FDCWD, line, text, sizeof text) > 0);
        for (unsigned h = 0; h < CG_HIERARCHIES; h++)
            if (cg_mount(&host, h) && h != CG_UNIFIED) {
                snprintf(line, sizeof line, "%s:/%s/a/b/c",
                         h == OS_CG_IO ? "blkio" : os_controller_name((enum os_controller) h), top);
                at = strstr(text, line);
                if (!at && !strchr(strrchr(cg_mount(&host, h), '/'), ','))
                    fail_msg("not in '%s': %s", line, text);
            }
        if (host.unified[0]) {
            snprintf(line, sizeof line, "0::/%s/a/b/c", top);
            assert_non_null(strstr(text, line));
        }
    }
    FAILS(EBUSY, os_cgroup_create(&host, path_of("a/b/c"), 0, &again, e));
    FAILS(EBUSY, os_cgroup_create(&host, path_of("a"), 0, &again, e));
    FAILS(EBUSY, os_cgroup_remove(&host, path_of("a"), 0, e));
    {
        struct jl_err e = JL_ERR_INIT;

        assert_int_equal(os_cgroup_wait_empty(cg, 0, &e), 1);
    }
    OK(os_cgroup_kill_all(cg, e));
    assert_int_equal(status_of(pid), 128 + SIGKILL);
    OK(os_cgroup_wait_empty(cg, within_s(100), e));
    os_cgroup_free(cg);
    OK(os_cgroup_remove(&host, path_of("a"), 5000, e));
    OK(os_cgroup_remove(&host, path_of("a"), 0, e));
    FAILS(ENOENT, os_cgroup_open(&host, path_of("a"), &again, e));
}

static void a_failed_create_leaves_nothing(void **state)
{
    unsigned last = CG_UNIFIED, n = 0;
    struct os_cgroup *again = NULL;
    char path[512], parent[400];
    pid_t pid;
    int fd;

    (void) state;
    /* the group exists, and is in use, in the last hierarchy alone: so all others have been made
     * when the create fails */
    for (;; last--) { /* those of the network are joined only if asked for */
        if (!cg_mount(&host, last))
            continue;
        snprintf(path, sizeof path, "%s/%s", cg_mount(&host, last), top);
        if (access(path, F_OK) == 0)
            break;
    }
    snprintf(parent, sizeof parent, "%s/%s/busy", cg_mount(&host, last), top);
    snprintf(path, sizeof path, "%s/in", parent);
    assert_int_equal(mkdir(parent, 0755), 0);
    assert_int_equal(mkdir(path, 0755), 0);
    pid = fork();
    if (pid == 0)
        sleeper(NULL);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    snprintf(path, sizeof path, "%d", (int) pid);
    assert_int_equal(jl_write_kernel_file_at(fd, "cgroup.procs", path), 0);
    close(fd);
    FAILS(EBUSY, os_cgroup_create(&host, path_of("busy/in"), 0, &again, e));
    for (unsigned h = 0; h < last; h++) {
        struct stat st;

        if (!cg_mount(&host, h))
            continue;
        n++;
        snprintf(path, sizeof path, "%s/%s/busy", cg_mount(&host, h), top);
        assert_true(stat(path, &st) < 0);
    }
    print_message("%u other hierarchies are clean\n", n);
    kill(pid, SIGKILL);
    status_of(pid);
    OK(os_cgroup_remove(&host, path_of("busy"), 5000, e));
}

/* As systemd does, in the tree by which it knows its units. */
static void make_as_systemd(const char *path)
{
    char dir[512];
    const char *mount = host.unified[0] ? host.unified : host.v1[OS_CG_NAMED];

    snprintf(dir, sizeof dir, "%s/%s", mount, top);
    if (mkdir(dir, 0755) < 0)
        assert_int_equal(errno, EEXIST);
    snprintf(dir, sizeof dir, "%s/%s", mount, path);
    assert_int_equal(mkdir(dir, 0755), 0);
}

static void a_group_of_systemds_is_adopted_and_made_where_it_makes_none(void **state)
{
    struct os_cgroup *cg = NULL;
    const char *path = path_of("adopted");
    char tasks[512];
    pid_t pid;

    (void) state;
    if (!host.unified[0] && !host.v1[OS_CG_NAMED][0])
        skip();
    FAILS(ENOENT, os_cgroup_adopt(&host, path, 0, &cg, e));
    assert_null(cg);
    FAILS(ENOENT, os_cgroup_open(&host, path, &cg, e)); /* nothing was made */
    make_as_systemd(path);
    OK(os_cgroup_adopt(&host, path, 0, &cg, e));
    for (unsigned c = 0; c < OS_CG_N; c++)
        if (cg_mount(&host, c) && !(CG_OPTIONAL & OS_CG_BIT(c)))
            assert_true(os_cgroup_is_in(cg, (enum os_controller) c));
    unmake(cg);
    if (!host.v1[OS_CG_FREEZER][0])
        return;
    /* somebody is in a group of that name that systemd does not make */
    make_as_systemd(path);
    snprintf(tasks, sizeof tasks, "%s/%s", host.v1[OS_CG_FREEZER], path);
    assert_int_equal(mkdir(tasks, 0755), 0);
    snprintf(tasks, sizeof tasks, "%s/%s/tasks", host.v1[OS_CG_FREEZER], path);
    pid = fork();
    if (pid == 0)
        _exit(jl_write_kernel_file_at(AT_FDCWD, tasks, "0") < 0 ? 99 : sleeper(NULL));
    OK(os_cgroup_open(&host, path, &cg, e));
    wait_inside(cg, 1);
    os_cgroup_free(cg);
    FAILS(EBUSY, os_cgroup_adopt(&host, path, 0, &cg, e));
    kill(pid, SIGKILL);
    assert_int_equal(status_of(pid), 128 + SIGKILL);
    OK(os_cgroup_remove(&host, path, 5000, e));
}

static void bad_paths_are_refused(void **state)
{
    struct os_cgroup *cg = NULL;

    (void) state;
    FAILS(EINVAL, os_cgroup_create(&host, "x/../y", 0, &cg, e));
    FAILS(EINVAL, os_cgroup_create(&host, "/", 0, &cg, e));
    FAILS(EINVAL, os_cgroup_create(&host, "", 0, &cg, e));
    FAILS(EINVAL, os_cgroup_create(&host, "a\nb", 0, &cg, e));
    FAILS(EINVAL, os_cgroup_open(&host, "..", &cg, e));
    FAILS(EINVAL, os_cgroup_remove(&host, "..", 0, e));
}

static void attach_moves_another_process(void **state)
{
    struct os_cgroup *cg = make("attach", 0);
    pid_t pid = fork();
    size_t n = 0;

    (void) state;
    if (pid == 0)
        sleeper(NULL);
    OK(os_cgroup_attach(cg, pid, e));
    OK(os_cgroup_pids(cg, NULL, &n, e));
    assert_int_equal(n, 1);
    kill(pid, SIGKILL);
    status_of(pid);
    FAILS(ESRCH, os_cgroup_attach(cg, pid, e));
    unmake(cg);
}

/* v2: a group with processes can't hand controllers on; the error must say who sits there. */
static void a_process_in_the_parent_is_named(void **state)
{
    struct jl_err why = JL_ERR_INIT;
    struct os_cgroup *cg, *inner = NULL;
    char pid_text[32];
    pid_t pid;

    (void) state;
    if (!(host.v2_controllers & OS_CG_BIT(OS_CG_PIDS))) {
        print_message("pids is not on v2 here\n");
        skip();
    }
    cg = make("parent", 0);
    pid = run_inside(cg, sleeper, NULL);
    snprintf(pid_text, sizeof pid_text, "process %d (", (int) pid);
    assert_int_equal(
        os_cgroup_create(&host, path_of("parent/inner"), OS_CG_BIT(OS_CG_PIDS), &inner, &why),
        -EBUSY);
    assert_non_null(strstr(why.text, pid_text));
    assert_non_null(strstr(why.text, "+pids"));
    assert_true(why.hint[0] != '\0');
    assert_int_equal(os_cgroup_open(&host, path_of("parent/inner"), &inner, &why), -ENOENT);
    /* who needs no controller gets the group */
    OK(os_cgroup_create(&host, path_of("parent/inner"), 0, &inner, e));
    assert_int_equal(status_of(run_inside(inner, nothing, NULL)), 0);
    os_cgroup_free(inner);
    /* and where somebody has made it useless, that is said */
    assert_int_equal(jl_write_kernel_file_at(cg->fd[CG_UNIFIED], "cgroup.subtree_control", "+pids"),
                     0);
    assert_int_equal(os_cgroup_create(&host, path_of("parent/inner"), 0, &inner, &why),
                     -EOPNOTSUPP);
    os_cgroup_kill_all(cg, &why);
    status_of(pid);
    unmake(cg);
}

static pid_t clone_into(int cgroup_fd)
{
    struct clone_args args = { .flags = CLONE_INTO_CGROUP,
                               .exit_signal = SIGCHLD,
                               .cgroup = (uint64_t) cgroup_fd };

    return (pid_t) syscall(SYS_clone3, &args, sizeof args);
}

static void a_child_is_born_into_the_unified_group(void **state)
{
    struct os_cgroup_limits none = { .has_pids = true, .pids = 0 };
    struct os_cgroup *cg;
    pid_t pid;

    (void) state;
    if (!host.unified[0]) {
        print_message("no unified tree here\n");
        skip();
    }
    cg = make("born", OS_CG_BIT(OS_CG_PIDS));
    pid = clone_into(os_cgroup_unified_fd(cg));
    assert_true(pid >= 0);
    if (pid == 0)
        sleeper(NULL);
    wait_inside(cg, 1);
    OK(os_cgroup_kill_all(cg, e));
    assert_int_equal(status_of(pid), 128 + SIGKILL);
    if (host.v2_controllers & OS_CG_BIT(OS_CG_PIDS)) { /* what the header warns of */
        OK(os_cgroup_apply(cg, &none, e));
        pid = clone_into(os_cgroup_unified_fd(cg));
        if (pid == 0)
            _exit(0);
        assert_int_equal(pid, -1);
        assert_int_equal(errno, EAGAIN);
    }
    unmake(cg);
}

/* ---- limits ---- */

static int eat(void *arg)
{
    size_t bytes = *(size_t *) arg;
    char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    for (size_t i = 0; p != MAP_FAILED && i < bytes; i += 4096)
        p[i] = 1;
    return 7;
}

static void memory_limit_holds_and_the_oom_kill_is_counted(void **state)
{
    struct os_cgroup_limits l = {
        .has_memory = true, .memory = 16 << 20, .has_memory_swap = true, .memory_swap = 16 << 20
    };
    size_t little = 1 << 20, much = 64 << 20;
    struct os_cgroup_stat stat;
    struct os_cgroup *cg;
    uint64_t kills = 9;

    (void) state;
    NEEDS(OS_CG_MEMORY);
    cg = make("oom", os_cgroup_limits_need(&l));
    OK(os_cgroup_apply(cg, &l, e));
    assert_string_equal(held(cg, OS_CG_MEMORY, "memory.limit_in_bytes", "memory.max"), "16777216");
    assert_int_equal(status_of(run_inside(cg, eat, &little)), 7);
    OK(os_cgroup_oom_kills(cg, &kills));
    assert_int_equal(kills, 0);
    assert_int_equal(status_of(run_inside(cg, eat, &much)), 128 + SIGKILL);
    OK(os_cgroup_oom_kills(cg, &kills));
    assert_true(kills >= 1);
    OK(os_cgroup_stat_read(cg, &stat));
    assert_true(stat.memory_peak > (8 << 20) && stat.memory_peak <= (16 << 20));
    unmake(cg);
}

/* v1 counts memory and swap together, v2 swap alone. */
static void check_swap_of(const struct os_cgroup *cg, int64_t memory, int64_t swap)
{
    bool v1 = host.v1[OS_CG_MEMORY][0] != '\0';
    const char *found = held(cg, OS_CG_MEMORY, "memory.memsw.limit_in_bytes", "memory.swap.max");

    if (strcmp(found, "(unreadable)") == 0) /* the kernel does not count swap */
        return;
    if (!cg_same_number(found, swap == -1 || v1 ? swap : swap - memory, 1))
        fail_msg("memory %lld swap %lld: the kernel holds %s", (long long) memory, (long long) swap,
                 found);
}

static void memory_limits_go_up_and_down_in_any_order(void **state)
{
    static const int64_t steps[][2] = { { 32 << 20, 64 << 20 }, { 128 << 20, 128 << 20 },
                                        { 8 << 20, 8 << 20 },   { 8 << 20, -1 },
                                        { 64 << 20, 64 << 20 }, { -1, -1 },
                                        { 4 << 20, 4 << 20 } };
    struct os_cgroup *cg;

    (void) state;
    NEEDS(OS_CG_MEMORY);
    cg = make("memory", OS_CG_BIT(OS_CG_MEMORY));
    for (size_t i = 0; i < JL_COUNT(steps); i++) {
        struct os_cgroup_limits l = { .has_memory = true,
                                      .memory = steps[i][0],
                                      .has_memory_swap = true,
                                      .memory_swap = steps[i][1] };

        OK(os_cgroup_apply(cg, &l, e));
        check_swap_of(cg, steps[i][0], steps[i][1]);
    }
    {
        struct os_cgroup_limits l = { .has_memory = true, .memory = -1 };

        OK(os_cgroup_apply(cg, &l, e)); /* takes the limit of swap off, too */
    }
    {
        struct os_cgroup_limits l = {
            .has_memory = true, .memory = 8 << 20, .has_memory_swap = true, .memory_swap = 4 << 20
        };

        FAILS(EINVAL, os_cgroup_apply(cg, &l, e));
        l.memory = -1;
        FAILS(EINVAL, os_cgroup_apply(cg, &l, e));
        l.memory_swap = -5;
        FAILS(EINVAL, os_cgroup_apply(cg, &l, e));
    }
    {
        struct os_cgroup_limits l = { .has_memory_reservation = true,
                                      .memory_reservation = (4 << 20) + 17 };

        OK(os_cgroup_apply(cg, &l, e)); /* rounded to pages */
    }
    unmake(cg);
}

static void what_is_of_the_other_version_is_refused(void **state)
{
    bool v1 = host.v1[OS_CG_MEMORY][0] != '\0';
    struct os_cgroup_limits high = { .has_memory_high = true, .memory_high = 1 << 20 };
    struct os_cgroup_limits swappiness = { .has_swappiness = true, .swappiness = 10 };
    struct os_cgroup_limits no_oom = { .has_oom_disable = true, .oom_disable = true };
    struct os_cgroup_limits group = { .oom_group = true };
    struct os_cgroup *cg;

    (void) state;
    NEEDS(OS_CG_MEMORY);
    cg = make("version", OS_CG_BIT(OS_CG_MEMORY));
    if (v1) {
        FAILS(ENOTSUP, os_cgroup_apply(cg, &high, e));
        FAILS(ENOTSUP, os_cgroup_apply(cg, &group, e));
        OK(os_cgroup_apply(cg, &swappiness, e));
        OK(os_cgroup_apply(cg, &no_oom, e));
    } else {
        FAILS(ENOTSUP, os_cgroup_apply(cg, &swappiness, e));
        FAILS(ENOTSUP, os_cgroup_apply(cg, &no_oom, e));
        OK(os_cgroup_apply(cg, &high, e));
        OK(os_cgroup_apply(cg, &group, e));
    }
    no_oom.oom_disable = false;
    OK(os_cgroup_apply(cg, &no_oom, e));
    unmake(cg);
}

static void a_network_class_is_v1s_and_joined_only_if_asked_for(void **state)
{
    struct os_cgroup_net_prio prio = { "lo", 5 };
    struct os_cgroup_limits l = {
        .has_net_class = true, .net_class = 0x100001, .net_prio = &prio, .n_net_prio = 1
    };
    struct os_cgroup_net_prio nobody = { "no-such-if", 5 };
    struct os_cgroup_limits bad = { .net_prio = &nobody, .n_net_prio = 1 };
    struct os_cgroup *cg = make("class", 0);

    (void) state;
    if (host.v1[OS_CG_NET_CLS][0] == '\0') {
        FAILS(ENOTSUP, os_cgroup_apply(cg, &l, e));
        unmake(cg);
        return;
    }
    assert_false(os_cgroup_is_in(cg, OS_CG_NET_CLS));
    FAILS(ENOENT, os_cgroup_apply(cg, &l, e));
    unmake(cg);
    cg = make("class", os_cgroup_limits_need(&l));
    OK(os_cgroup_apply(cg, &l, e));
    FAILS(ENODEV, os_cgroup_apply(cg, &bad, e));
    unmake(cg);
}

static void rdma_is_limited_or_refused(void **state)
{
    struct os_cgroup_rdma device = { "no_such_hca", true, true, 3, 100 };
    struct os_cgroup_limits l = { .rdma = &device, .n_rdma = 1 };
    bool has = os_cgroup_host_has(&host, OS_CG_RDMA);
    struct os_cgroup *cg = make("rdma", os_cgroup_limits_need(&l));

    (void) state;
    FAILS(has ? ENODEV : ENOTSUP, os_cgroup_apply(cg, &l, e));
    unmake(cg);
}

static void realtime_is_divided_or_refused(void **state)
{
    struct os_cgroup_limits l = { .has_rt_period = true, .rt_period = 500000 };
    struct os_cgroup *cg = make("realtime", os_cgroup_limits_need(&l));
    bool can = host.v1[OS_CG_CPU][0] && cg_has_file(cg->fd[OS_CG_CPU], "cpu.rt_runtime_us");

    (void) state;
    if (can)
        OK(os_cgroup_apply(cg, &l, e));
    else
        FAILS(ENOTSUP, os_cgroup_apply(cg, &l, e));
    unmake(cg);
}

static void kernel_memory_is_limited_or_refused(void **state)
{
    struct os_cgroup_limits l = { .has_kernel_tcp = true, .kernel_tcp = 1 << 20 };
    struct os_cgroup *cg;

    (void) state;
    NEEDS(OS_CG_MEMORY);
    cg = make("kmem", os_cgroup_limits_need(&l));
    if (host.v1[OS_CG_MEMORY][0])
        OK(os_cgroup_apply(cg, &l, e));
    else
        FAILS(ENOTSUP, os_cgroup_apply(cg, &l, e));
    unmake(cg);
}

static void cpu_limits_are_there(void **state)
{
    struct os_cgroup_limits l = { .has_cpu_shares = true,
                                  .cpu_shares = 1024,
                                  .has_cpu_quota = true,
                                  .cpu_quota = 50000,
                                  .has_cpu_period = true,
                                  .cpu_period = 100000 };
    struct os_cgroup_limits quota = { .has_cpu_quota = true, .cpu_quota = -1 };
    struct os_cgroup_limits period = { .has_cpu_period = true, .cpu_period = 50000 };
    struct os_cgroup_limits bad = { .has_cpu_quota = true, .cpu_quota = 10 };
    struct os_cgroup *cg;
    int64_t in_force;
    uint64_t of;

    (void) state;
    NEEDS(OS_CG_CPU);
    cg = make("cpu", OS_CG_BIT(OS_CG_CPU));
    OK(os_cgroup_apply(cg, &l, e));
    assert_string_equal(held(cg, OS_CG_CPU, "cpu.shares", "cpu.weight"),
                        host.v1[OS_CG_CPU][0] ? "1024" : "100");
    assert_string_equal(held(cg, OS_CG_CPU, "cpu.cfs_quota_us", "cpu.max"),
                        host.v1[OS_CG_CPU][0] ? "50000" : "50000 100000");
    OK(os_cgroup_apply(cg, &period, e));
    assert_string_equal(held(cg, OS_CG_CPU, "cpu.cfs_period_us", "cpu.max"),
                        host.v1[OS_CG_CPU][0] ? "50000" : "50000 50000");
    OK(os_cgroup_bandwidth(cg, &in_force, &of, e));
    assert_true(in_force == 50000 && of == 50000);
    OK(os_cgroup_apply(cg, &quota, e));
    assert_string_equal(held(cg, OS_CG_CPU, "cpu.cfs_quota_us", "cpu.max"),
                        host.v1[OS_CG_CPU][0] ? "-1" : "max 50000");
    OK(os_cgroup_bandwidth(cg, &in_force, &of, e));
    assert_true(in_force == -1 && of == 50000);
    FAILS(EINVAL, os_cgroup_apply(cg, &bad, e));
    unmake(cg);
}

static void cpu_burst_and_idle_are_there(void **state)
{
    struct os_cgroup_limits burst = {
        .has_cpu_quota = true, .cpu_quota = 20000, .has_cpu_burst = true, .cpu_burst = 10000
    };
    struct os_cgroup_limits idle = {
        .has_cpu_shares = true, .cpu_shares = 512, .has_cpu_idle = true, .cpu_idle = 1
    };
    struct os_cgroup *cg;

    (void) state;
    NEEDS(OS_CG_CPU);
    cg = make("burst", OS_CG_BIT(OS_CG_CPU));
    if (!cg_has_file(cg->fd[host.v1[OS_CG_CPU][0] ? (int) OS_CG_CPU : CG_UNIFIED], "cpu.idle")) {
        unmake(cg);
        print_message("this kernel has no cpu.idle\n");
        skip();
    }
    OK(os_cgroup_apply(cg, &burst, e));
    assert_string_equal(held(cg, OS_CG_CPU, "cpu.cfs_burst_us", "cpu.max.burst"), "10000");
    burst.cpu_quota = 5000;
    burst.cpu_burst = 5000;
    OK(os_cgroup_apply(cg, &burst, e)); /* below the burst that was there */
    OK(os_cgroup_apply(cg, &idle, e));
    assert_string_equal(held(cg, OS_CG_CPU, "cpu.idle", "cpu.idle"), "1");
    idle.cpu_idle = 0;
    OK(os_cgroup_apply(cg, &idle, e));
    unmake(cg);
}

static int affinity(void *arg)
{
    cpu_set_t set;

    (void) arg;
    return sched_getaffinity(0, sizeof set, &set) < 0 ? 98 : CPU_COUNT(&set);
}

static void cpuset_is_inherited_and_narrowed(void **state)
{
    struct os_cgroup_limits l = { .cpuset_cpus = "0", .cpuset_mems = "0" };
    struct os_cgroup_limits bad = { .cpuset_cpus = "0,4000" };
    struct os_cgroup_limits ugly = { .cpuset_cpus = "0-" };
    struct os_cgroup *cg;

    (void) state;
    NEEDS(OS_CG_CPUSET);
    cg = make("set/deep", OS_CG_BIT(OS_CG_CPUSET));
    assert_int_equal(status_of(run_inside(cg, affinity, NULL)), sysconf(_SC_NPROCESSORS_ONLN));
    OK(os_cgroup_apply(cg, &l, e));
    assert_int_equal(status_of(run_inside(cg, affinity, NULL)), 1);
    FAILS(EINVAL, os_cgroup_apply(cg, &ugly, e));
    {
        struct jl_err e = JL_ERR_INIT;

        assert_true(os_cgroup_apply(cg, &bad, &e) < 0);
    }
    unmake(cg);
}

static int fork_once(void *arg)
{
    pid_t pid = fork();

    (void) arg;
    if (pid == 0)
        _exit(0);
    return pid < 0 ? errno : 0;
}

static void pids_limit_is_exact_also_at_zero(void **state)
{
    struct os_cgroup_limits l = { .has_pids = true, .pids = 2 };
    struct os_cgroup *cg;

    (void) state;
    NEEDS(OS_CG_PIDS);
    cg = make("pids", OS_CG_BIT(OS_CG_PIDS));
    OK(os_cgroup_apply(cg, &l, e));
    assert_int_equal(status_of(run_inside(cg, fork_once, NULL)), 0);
    l.pids = 1;
    OK(os_cgroup_apply(cg, &l, e));
    assert_int_equal(status_of(run_inside(cg, fork_once, NULL)), EAGAIN);
    l.pids = 0;
    OK(os_cgroup_apply(cg, &l, e));
    assert_string_equal(held(cg, OS_CG_PIDS, "pids.max", "pids.max"), "0");
    assert_int_equal(status_of(run_inside(cg, fork_once, NULL)), EAGAIN);
    l.pids = -1;
    OK(os_cgroup_apply(cg, &l, e));
    assert_int_equal(status_of(run_inside(cg, fork_once, NULL)), 0);
    l.pids = -2;
    FAILS(EINVAL, os_cgroup_apply(cg, &l, e));
    unmake(cg);
}

/* A whole disk of this host, for the throttle; false when there is none. */
static bool some_disk(unsigned *major, unsigned *minor)
{
    static const char *const names[] = { "vda", "sda", "nvme0n1", "loop0", "ram0" };
    char path[64], text[32];

    for (size_t i = 0; i < JL_COUNT(names); i++) {
        snprintf(path, sizeof path, "/sys/block/%s/dev", names[i]);
        if (cg_read(AT_FDCWD, path, text, sizeof text) > 0 &&
            sscanf(text, "%u:%u", major, minor) == 2)
            return true;
    }
    return false;
}

static void io_limits_are_there(void **state)
{
    struct os_cgroup_device_rate rate = { .rate = 1 << 20 };
    struct os_cgroup_limits l = { .io_rbps = &rate,
                                  .n_io_rbps = 1,
                                  .io_wbps = &rate,
                                  .n_io_wbps = 1,
                                  .io_riops = &rate,
                                  .n_io_riops = 1,
                                  .io_wiops = &rate,
                                  .n_io_wiops = 1 };
    struct os_cgroup_device_rate nowhere = { .major = 4000, .minor = 1, .rate = 5 };
    struct os_cgroup_limits bad = { .io_rbps = &nowhere, .n_io_rbps = 1 };
    struct os_cgroup *cg;

    (void) state;
    NEEDS(OS_CG_IO);
    cg = make("io", OS_CG_BIT(OS_CG_IO));
    if (some_disk(&rate.major, &rate.minor)) {
        OK(os_cgroup_apply(cg, &l, e));
        rate.rate = 0;
        OK(os_cgroup_apply(cg, &l, e));
    } else {
        print_message("no disk to limit\n");
    }
    FAILS(ENODEV, os_cgroup_apply(cg, &bad, e));
    unmake(cg);
}

static void io_weight_is_there_or_refused(void **state)
{
    struct os_cgroup_limits l = { .has_io_weight = true, .io_weight = 300 };
    struct os_cgroup_device_weight dw = { .weight = 200 };
    struct os_cgroup_limits device = { .io_weight_device = &dw, .n_io_weight_device = 1 };
    struct jl_err e = JL_ERR_INIT;
    struct os_cgroup *cg;
    int r;

    (void) state;
    NEEDS(OS_CG_IO);
    cg = make("weight", OS_CG_BIT(OS_CG_IO));
    r = os_cgroup_apply(cg, &l, &e);
    if (r < 0) {
        assert_int_equal(r, -ENOTSUP);
        print_message("refused: %s\n", e.text);
    }
    if (r == 0 && some_disk(&dw.major, &dw.minor)) {
        /* taken when the disk's scheduler weighs at all */
        r = os_cgroup_apply(cg, &device, &e);
        if (r < 0)
            print_message("one disk's weight: %s\n", e.text);
        dw.major = 4000;
        assert_true(os_cgroup_apply(cg, &device, &e) < 0);
    }
    l.io_weight = 5;
    assert_int_equal(os_cgroup_apply(cg, &l, &e), -EINVAL);
    unmake(cg);
}

static void huge_pages_are_limited_or_refused(void **state)
{
    struct os_cgroup_hugepage two = { "2MB", 5 << 20 };
    struct os_cgroup_limits l = { .hugepages = &two, .n_hugepages = 1 };
    struct os_cgroup *cg;

    (void) state;
    cg = make("huge", have(OS_CG_HUGETLB) ? OS_CG_BIT(OS_CG_HUGETLB) : 0);
    if (have(OS_CG_HUGETLB)) {
        OK(os_cgroup_apply(cg, &l, e));
        assert_string_equal(
            held(cg, OS_CG_HUGETLB, "hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max"), "4194304");
        two.size = "3MB";
        FAILS(ENOTSUP, os_cgroup_apply(cg, &l, e));
        two.size = "../x";
        FAILS(EINVAL, os_cgroup_apply(cg, &l, e));
    } else {
        FAILS(ENOTSUP, os_cgroup_apply(cg, &l, e));
    }
    unmake(cg);
}

static void raw_files_are_written_or_refused(void **state)
{
    struct os_cgroup_raw raw = { "memory.high", "8388608" };
    struct os_cgroup_limits l = { .unified = &raw, .n_unified = 1 };
    bool v2 = (host.v2_controllers & OS_CG_BIT(OS_CG_MEMORY)) != 0;
    struct os_cgroup *cg;

    (void) state;
    cg = make("raw", os_cgroup_limits_need(&l));
    if (v2) {
        OK(os_cgroup_apply(cg, &l, e));
        assert_string_equal(held(cg, OS_CG_MEMORY, "", "memory.high"), "8388608");
    } else {
        FAILS(ENOTSUP, os_cgroup_apply(cg, &l, e));
    }
    raw.file = "../memory.high";
    FAILS(EINVAL, os_cgroup_apply(cg, &l, e));
    raw.file = "cgroup.procs";
    FAILS(EINVAL, os_cgroup_apply(cg, &l, e));
    raw.file = "memory.no-such-file";
    FAILS(ENOTSUP, os_cgroup_apply(cg, &l, e));
    unmake(cg);
}

/* Bits: 1 /dev/null opens for writing, 2 /dev/zero opens for reading, 4 also for writing, 8 mknod
 * of null works. */
static int open_devices(void *arg)
{
    int got = 0, fd;

    (void) arg;
    fd = open("/dev/null", O_RDWR);
    got |= fd >= 0 ? 1 : 0;
    fd = open("/dev/zero", O_RDONLY);
    got |= fd >= 0 ? 2 : 0;
    fd = open("/dev/zero", O_RDWR);
    got |= fd >= 0 ? 4 : 0;
    unlink("/dev/joblet-test-null");
    if (mknod("/dev/joblet-test-null", S_IFCHR | 0600, makedev(1, 3)) == 0)
        got |= 8;
    unlink("/dev/joblet-test-null");
    return got;
}

static void device_rules_hold(void **state)
{
    struct os_cgroup_device_rule rules[] = { { false, 'a', -1, -1, 7 },
                                             { true, 'c', 1, 3, 3 },
                                             { true, 'c', 1, 5, 1 } };
    struct os_cgroup_device_rule all[] = { { true, 'a', -1, -1, 7 }, { false, 'c', 1, 5, 2 } };
    struct os_cgroup_limits l = { .devices = rules, .n_devices = JL_COUNT(rules) };
    struct os_cgroup *cg;

    (void) state;
    NEEDS(OS_CG_DEVICES);
    cg = make("devices", OS_CG_BIT(OS_CG_DEVICES));
    assert_int_equal(status_of(run_inside(cg, open_devices, NULL)), 15);
    OK(os_cgroup_apply(cg, &l, e));
    assert_int_equal(status_of(run_inside(cg, open_devices, NULL)), 3);
    rules[2].access = 7;
    OK(os_cgroup_apply(cg, &l, e)); /* a second list takes the first one's place */
    assert_int_equal(status_of(run_inside(cg, open_devices, NULL)), 7);
    l.devices = all;
    l.n_devices = JL_COUNT(all);
    OK(os_cgroup_apply(cg, &l, e));
    assert_int_equal(status_of(run_inside(cg, open_devices, NULL)), 11);
    unmake(cg);
}

static void no_device_rules_mean_none_and_an_empty_list_denies(void **state)
{
    struct os_cgroup_device_rule none[1] = { { 0 } };
    struct os_cgroup_limits l = { .devices = none, .n_devices = 0 };
    struct os_cgroup *cg;

    (void) state;
    NEEDS(OS_CG_DEVICES);
    cg = make("nodevices", OS_CG_BIT(OS_CG_DEVICES));
    OK(os_cgroup_apply(cg, &l, e));
    assert_int_equal(status_of(run_inside(cg, open_devices, NULL)), 0);
    unmake(cg);
}

/* ---- processes ---- */

static void a_group_freezes_and_thaws(void **state)
{
    struct os_cgroup *cg = make("freeze", 0), *again = NULL;
    pid_t pid;

    (void) state;
    NEEDS(OS_CG_FREEZER);
    pid = run_inside(cg, sleeper, NULL);
    wait_inside(cg, 1);
    assert_int_equal(os_cgroup_is_frozen(cg), 0);
    OK(os_cgroup_freeze(cg, true, e));
    assert_int_equal(os_cgroup_is_frozen(cg), 1);
    OK(os_cgroup_freeze(cg, false, e));
    assert_int_equal(os_cgroup_is_frozen(cg), 0);
    OK(os_cgroup_freeze(cg, true, e));
    OK(os_cgroup_kill_all(cg, e)); /* frozen or not */
    assert_int_equal(status_of(pid), 128 + SIGKILL);
    OK(os_cgroup_wait_empty(cg, within_s(100), e));
    OK(os_cgroup_freeze(cg, true, e));
    FAILS(EBUSY, os_cgroup_create(&host, path_of("freeze"), 0, &again, e));
    OK(os_cgroup_freeze(cg, false, e));
    unmake(cg);
}

static int storm(void *arg)
{
    (void) arg;
    for (;;) {
        if (fork() == 0)
            setsid();
    }
    return 0;
}

static void kill_all_ends_a_fork_storm(void **state)
{
    struct os_cgroup_limits l = { .has_pids = have(OS_CG_PIDS), .pids = 100 };
    struct os_cgroup *cg;
    size_t n = 1;
    pid_t pid;

    (void) state;
    NEEDS(OS_CG_PIDS);
    cg = make("storm", os_cgroup_limits_need(&l));
    OK(os_cgroup_apply(cg, &l, e));
    pid = run_inside(cg, storm, NULL);
    wait_inside(cg, 90);
    OK(os_cgroup_kill_all(cg, e));
    assert_int_equal(status_of(pid), 128 + SIGKILL);
    OK(os_cgroup_wait_empty(cg, within_s(100), e));
    OK(os_cgroup_pids(cg, NULL, &n, e));
    assert_int_equal(n, 0);
    unmake(cg);
}

/* What a host without cgroup.kill does: the same storm, through the freezer of v1 alone. */
static void kill_all_ends_a_fork_storm_without_cgroup_kill(void **state)
{
    struct os_cgroup_limits l = { .has_pids = true, .pids = 100 };
    struct os_cgroup *cg;
    int unified;
    pid_t pid;

    (void) state;
    NEEDS(OS_CG_PIDS);
    if (host.v1[OS_CG_FREEZER][0] == '\0') {
        print_message("no v1 freezer here\n");
        skip();
    }
    cg = make("storm1", os_cgroup_limits_need(&l));
    OK(os_cgroup_apply(cg, &l, e));
    pid = run_inside(cg, storm, NULL);
    wait_inside(cg, 90);
    unified = cg->fd[CG_UNIFIED];
    cg->fd[CG_UNIFIED] = -1;
    OK(os_cgroup_kill_all(cg, e));
    OK(os_cgroup_wait_empty(cg, within_s(100), e));
    cg->fd[CG_UNIFIED] = unified;
    assert_int_equal(status_of(pid), 128 + SIGKILL);
    unmake(cg);
}

static void signal_all_reaches_everybody(void **state)
{
    struct os_cgroup *cg = make("signal", 0);
    pid_t a, b;

    (void) state;
    a = run_inside(cg, sleeper, NULL);
    b = run_inside(cg, sleeper, NULL);
    wait_inside(cg, 2);
    OK(os_cgroup_signal_all(cg, SIGTERM, e));
    assert_int_equal(status_of(a), 128 + SIGTERM);
    assert_int_equal(status_of(b), 128 + SIGTERM);
    unmake(cg);
}

static int burn(void *arg)
{
    (void) arg;
    while (clock() < CLOCKS_PER_SEC / 20) /* of the processor's time, however long it takes */
        ;
    return 0;
}

static void statistics_count(void **state)
{
    struct os_cgroup *cg = make("stat", 0);
    struct os_cgroup_stat s;

    (void) state;
    assert_int_equal(status_of(run_inside(cg, burn, NULL)), 0);
    OK(os_cgroup_stat_read(cg, &s));
    if (have(OS_CG_CPUACCT))
        assert_in_range(s.cpu_user_us + s.cpu_system_us, 5000, 5000000);
    if (have(OS_CG_MEMORY))
        assert_true(s.memory_current > 0 || s.memory_peak > 0);
    assert_int_equal(s.pids_current, 0);
    unmake(cg);
}

static void groups_a_job_made_are_removed_however_deep(void **state)
{
    struct os_cgroup *cg = make("deep", 0);
    _close_ int fd = -1;
    unsigned h = CG_UNIFIED;

    (void) state;
    while (cg_hierarchy_fd(cg, h) < 0)
        h--;
    fd = dup(cg_hierarchy_fd(cg, h));
    for (int i = 0; i < 300 && fd >= 0; i++) {
        int next;

        assert_int_equal(mkdirat(fd, "x", 0755), 0);
        mkdirat(fd, "y", 0755);
        next = openat(fd, "x", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        close(fd);
        fd = next;
    }
    unmake(cg);
}

static int set_up(void **state)
{
    struct jl_err e = JL_ERR_INIT;
    struct os_cgroup *cg;

    (void) state;
    snprintf(top, sizeof top, "joblet-test-cgroup.%d", (int) getpid());
    if (geteuid() != 0) {
        print_message("SKIP: needs root\n");
        exit(77);
    }
    if (os_cgroup_host_read(&host, &e) < 0 || host.mode == OS_CGROUP_NONE) {
        print_message("SKIP: no cgroup hierarchy: %s\n", e.text);
        exit(77);
    }
    print_message("cgroup mode %s, unified controllers 0x%x\n", os_cgroup_mode_name(host.mode),
                  host.v2_controllers);
    if (os_cgroup_create(&host, top, 0, &cg, &e) < 0) {
        print_message("SKIP: can't make a group here: %s (%s)\n", e.text, e.hint);
        exit(77);
    }
    os_cgroup_free(cg);
    return 0;
}

static int tear_down(void **state)
{
    struct jl_err e = JL_ERR_INIT;
    struct os_cgroup *cg = NULL;

    (void) state;
    if (os_cgroup_open(&host, top, &cg, &e) == 0) { /* a failed test may have left something */
        os_cgroup_kill_all(cg, &e);
        os_cgroup_wait_empty(cg, within_s(100), &e);
        os_cgroup_free(cg);
    }
    if (os_cgroup_remove(&host, top, 5000, &e) < 0) {
        print_message("left behind: %s\n", e.text);
        return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_is_made_joined_killed_and_removed),
        cmocka_unit_test(a_failed_create_leaves_nothing),
        cmocka_unit_test(a_group_of_systemds_is_adopted_and_made_where_it_makes_none),
        cmocka_unit_test(bad_paths_are_refused),
        cmocka_unit_test(attach_moves_another_process),
        cmocka_unit_test(a_process_in_the_parent_is_named),
        cmocka_unit_test(a_child_is_born_into_the_unified_group),
        cmocka_unit_test(memory_limit_holds_and_the_oom_kill_is_counted),
        cmocka_unit_test(memory_limits_go_up_and_down_in_any_order),
        cmocka_unit_test(what_is_of_the_other_version_is_refused),
        cmocka_unit_test(a_network_class_is_v1s_and_joined_only_if_asked_for),
        cmocka_unit_test(rdma_is_limited_or_refused),
        cmocka_unit_test(realtime_is_divided_or_refused),
        cmocka_unit_test(kernel_memory_is_limited_or_refused),
        cmocka_unit_test(cpu_limits_are_there),
        cmocka_unit_test(cpu_burst_and_idle_are_there),
        cmocka_unit_test(cpuset_is_inherited_and_narrowed),
        cmocka_unit_test(pids_limit_is_exact_also_at_zero),
        cmocka_unit_test(io_limits_are_there),
        cmocka_unit_test(io_weight_is_there_or_refused),
        cmocka_unit_test(huge_pages_are_limited_or_refused),
        cmocka_unit_test(raw_files_are_written_or_refused),
        cmocka_unit_test(device_rules_hold),
        cmocka_unit_test(no_device_rules_mean_none_and_an_empty_list_denies),
        cmocka_unit_test(a_group_freezes_and_thaws),
        cmocka_unit_test(kill_all_ends_a_fork_storm),
        cmocka_unit_test(kill_all_ends_a_fork_storm_without_cgroup_kill),
        cmocka_unit_test(signal_all_reaches_everybody),
        cmocka_unit_test(statistics_count),
        cmocka_unit_test(groups_a_job_made_are_removed_however_deep),
    };
    char filter[128];

    if (argc > 1) {
        snprintf(filter, sizeof filter, "*%s*", argv[1]);
        cmocka_set_test_filter(filter);
    }
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
