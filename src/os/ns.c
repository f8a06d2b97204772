/* ns.c - see ns.h. */
#include "os/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/spawn.h"
#include "base/strv.h"

static const struct {
    const char *name, *proc;
    uint64_t flag;
} kinds[OS_NS_N] = {
    [OS_NS_USER] = { "user", "user", CLONE_NEWUSER },
    [OS_NS_MOUNT] = { "mount", "mnt", CLONE_NEWNS },
    [OS_NS_PID] = { "pid", "pid", CLONE_NEWPID },
    [OS_NS_NET] = { "network", "net", CLONE_NEWNET },
    [OS_NS_IPC] = { "ipc", "ipc", CLONE_NEWIPC },
    [OS_NS_UTS] = { "uts", "uts", CLONE_NEWUTS },
    [OS_NS_CGROUP] = { "cgroup", "cgroup", CLONE_NEWCGROUP },
    [OS_NS_TIME] = { "time", "time", CLONE_NEWTIME },
};

const char *os_ns_name(enum os_ns ns)
{
    return kinds[ns].name;
}

const char *os_ns_proc_name(enum os_ns ns)
{
    return kinds[ns].proc;
}

uint64_t os_ns_flag(enum os_ns ns)
{
    return kinds[ns].flag;
}

int os_ns_from_name(const char *name, enum os_ns *ret)
{
    for (int i = 0; i < OS_NS_N; i++)
        if (strcmp(kinds[i].name, name) == 0) {
            *ret = (enum os_ns) i;
            return 0;
        }
    return -EINVAL;
}

bool os_ns_supported(enum os_ns ns)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/self/ns/%s", kinds[ns].proc);
    return access(path, F_OK) == 0;
}

int os_ns_open(const char *path, enum os_ns ns, struct jl_err *e)
{
    _close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    int type;

    if (fd < 0)
        return jl_fail_sys(e, "open", path, "open the %s namespace", kinds[ns].name);
    type = ioctl(fd, NS_GET_NSTYPE);
    if (type < 0)
        return jl_refuse(e, EINVAL, "'%s' is not a namespace", path);
    if ((uint64_t) type != kinds[ns].flag)
        return jl_refuse(e, EINVAL, "'%s' is a namespace, but not a %s namespace", path,
                         kinds[ns].name);
    return jl_take_fd(&fd);
}

bool os_userns_is_initial(void)
{
    struct stat st;

    /* The constant is in the headers since 6.18, and in the kernel since 3.8. */
    return stat("/proc/self/ns/user", &st) == 0 && st.st_ino == 0xEFFFFFFDU;
}

int os_ns_same(int fd_a, int fd_b)
{
    struct stat a, b;

    if (fstat(fd_a, &a) < 0 || fstat(fd_b, &b) < 0)
        return -errno;
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

pid_t os_clone3(uint64_t flags, int cgroup_fd, int *ret_pidfd)
{
    int pidfd = -1;
    struct clone_args args = {
        .flags = flags | CLONE_PIDFD,
        .pidfd = (uint64_t) (uintptr_t) &pidfd,
        .exit_signal = SIGCHLD,
    };
    pid_t pid;

    if (flags & CLONE_PARENT)
        args.exit_signal = 0; /* it is the sibling's */
    if (cgroup_fd >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t) cgroup_fd;
    }
    pid = (pid_t) syscall(SYS_clone3, &args, sizeof args);
    if (pid < 0)
        return -errno;
    if (pid > 0)
        *ret_pidfd = pidfd;
    return pid;
}

bool os_idmap_equal(const struct os_idmap *a, size_t n_a, const struct os_idmap *b, size_t n_b)
{
    return n_a == n_b && (n_a == 0 || memcmp(a, b, n_a * sizeof *a) == 0);
}

static int write_map(pid_t pid, const char *file, const struct os_idmap *maps, size_t n)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(64 * 1024);
    char path[64];

    for (size_t i = 0; i < n; i++) {
        int r = jl_buf_printf(&text, "%u %u %u\n", maps[i].inside, maps[i].outside, maps[i].count);

        if (r < 0)
            return r;
    }
    snprintf(path, sizeof path, "/proc/%d/%s", (int) pid, file);
    return jl_write_kernel_file_at(AT_FDCWD, path, text.data ? text.data : "");
}

/* newuidmap PID inside outside count ... : setuid helpers that hold the caller to /etc/subuid. */
static int call_helper(const char *program, pid_t pid, const struct os_idmap *maps, size_t n,
                       struct jl_err *e)
{
    _strv_ struct jl_strv argv = JL_STRV_INIT;
    char *no_env[] = { NULL };
    struct jl_spawn s = JL_SPAWN_INIT;
    pid_t helper;
    int r;

    r = jl_strv_add(&argv, program);
    if (r == 0)
        r = jl_strv_addf(&argv, "%d", (int) pid);
    for (size_t i = 0; i < n && r == 0; i++) {
        r = jl_strv_addf(&argv, "%u", maps[i].inside);
        if (r == 0)
            r = jl_strv_addf(&argv, "%u", maps[i].outside);
        if (r == 0)
            r = jl_strv_addf(&argv, "%u", maps[i].count);
    }
    if (r < 0)
        return jl_fail(e, -r, "call %s", program);
    struct jl_spawn_fd err = { .fd = 2, .target = 2 };
    s.path = program;
    s.argv = argv.items;
    s.envp = no_env;
    s.fds = &err;
    s.n_fds = 1;
    r = jl_spawn(&s, &helper, NULL, e);
    if (r < 0)
        return jl_hint(e, "an ordinary user needs newuidmap and newgidmap (package uidmap) to map "
                          "ids other than his own");
    r = jl_wait_status(helper);
    if (r != 0) {
        jl_refuse(e, EPERM, "%s refused the id map (exit status %d)", program, r);
        return jl_hint(e, "look at /etc/subuid and /etc/subgid");
    }
    return 0;
}

static bool is_own_id(const struct os_idmap *maps, size_t n, uint32_t own)
{
    return n == 1 && maps[0].count == 1 && maps[0].outside == own;
}

int os_idmap_write(pid_t pid, const struct os_idmap *uids, size_t n_uids,
                   const struct os_idmap *gids, size_t n_gids, struct jl_err *e)
{
    uid_t uid = geteuid();
    char path[64];
    int r;

    if (n_gids > 0) {
        r = write_map(pid, "gid_map", gids, n_gids);
        if (r == -EPERM && is_own_id(gids, n_gids, getegid())) {
            /* user_namespaces(7): without CAP_SETGID only after setgroups was given up */
            snprintf(path, sizeof path, "/proc/%d/setgroups", (int) pid);
            r = jl_write_kernel_file_at(AT_FDCWD, path, "deny");
            if (r == 0)
                r = write_map(pid, "gid_map", gids, n_gids);
        }
        if (r == -EPERM && uid != 0)
            r = call_helper("/usr/bin/newgidmap", pid, gids, n_gids, e);
        else if (r < 0)
            r = jl_fail(e, -r, "write the gid map of the user namespace");
        if (r < 0)
            return r;
    }
    if (n_uids > 0) {
        r = write_map(pid, "uid_map", uids, n_uids);
        if (r == -EPERM && uid != 0)
            r = call_helper("/usr/bin/newuidmap", pid, uids, n_uids, e);
        else if (r < 0)
            r = jl_fail(e, -r, "write the uid map of the user namespace");
        if (r < 0)
            return r;
    }
    return 0;
}

int os_userns_new(const struct os_idmap *uids, size_t n_uids, const struct os_idmap *gids,
                  size_t n_gids, struct jl_err *e)
{
    _close_ int pidfd = -1;
    char path[64];
    int fd = -1, r;
    pid_t pid = os_clone3(CLONE_NEWUSER, -1, &pidfd);

    if (pid < 0)
        return jl_fail(e, -pid, "make a user namespace");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        for (;;)
            pause(); /* our parent kills us as soon as it holds the namespace */
    }
    r = os_idmap_write(pid, uids, n_uids, gids, n_gids, e);
    if (r == 0) {
        snprintf(path, sizeof path, "/proc/%d/ns/user", (int) pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            r = jl_fail_sys(e, "open", path, "open the new user namespace");
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return r < 0 ? r : fd;
}

int os_idmap_to_host(pid_t pid, uint32_t uid, uint32_t *ret_host)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(65536); /* 340 lines at most */
    struct jl_err ignored = JL_ERR_INIT;
    char path[64];
    int r;

    snprintf(path, sizeof path, "/proc/%d/uid_map", (int) pid);
    r = jl_read_file_at(AT_FDCWD, path, &text, &ignored);
    for (char *p = text.data; r == 0 && p && *p != '\0'; p += strspn(p, " \n")) {
        unsigned long inside = strtoul(p, &p, 10), outside = strtoul(p, &p, 10);
        unsigned long size = strtoul(p, &p, 10);

        if (uid >= inside && uid - inside < size) {
            *ret_host = (uint32_t) (outside + (uid - inside));
            return 0;
        }
        if (size == 0)
            break;
    }
    return r < 0 ? r : -ENOENT;
}
