/*
 * seccomp_default.c - see seccomp_default.h.
 *
 * What is not named here does not exist for a job: ENOSYS, so that a libc that tries something
 * newer takes its older way. What exists everywhere and a job must not have says EPERM. Names that
 * an architecture lacks are passed over by the runtimes.
 */
#include "daemon/core/seccomp_default.h"

#include <errno.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "daemon/core/arena.h"
#include "ocispec.h"

static const char *const allowed[] = {
    /* files, by name and by descriptor */
    "access",
    "chdir",
    "chmod",
    "chown",
    "close",
    "close_range",
    "copy_file_range",
    "creat",
    "dup",
    "dup2",
    "dup3",
    "faccessat",
    "faccessat2",
    "fadvise64",
    "fallocate",
    "fchdir",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "fchown",
    "fchownat",
    "fcntl",
    "fdatasync",
    "fgetxattr",
    "flistxattr",
    "flock",
    "fremovexattr",
    "fsetxattr",
    "fstat",
    "fstatfs",
    "fsync",
    "ftruncate",
    "futimesat",
    "getcwd",
    "getdents",
    "getdents64",
    "getxattr",
    "getxattrat",
    "ioctl",
    "lchown",
    "lgetxattr",
    "link",
    "linkat",
    "listxattr",
    "listxattrat",
    "llistxattr",
    "lremovexattr",
    "lseek",
    "lsetxattr",
    "lstat",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "pipe",
    "pipe2",
    "pread64",
    "preadv",
    "preadv2",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "read",
    "readahead",
    "readlink",
    "readlinkat",
    "readv",
    "removexattr",
    "removexattrat",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "sendfile",
    "setxattr",
    "setxattrat",
    "splice",
    "stat",
    "statfs",
    "statx",
    "symlink",
    "symlinkat",
    "sync",
    "sync_file_range",
    "syncfs",
    "tee",
    "truncate",
    "umask",
    "unlink",
    "unlinkat",
    "utime",
    "utimensat",
    "utimes",
    "vmsplice",
    "write",
    "writev",
    "cachestat",
    /* waiting */
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "eventfd",
    "eventfd2",
    "inotify_add_watch",
    "inotify_init",
    "inotify_init1",
    "inotify_rm_watch",
    "poll",
    "ppoll",
    "pselect6",
    "select",
    "signalfd",
    "signalfd4",
    "timerfd_create",
    "timerfd_gettime",
    "timerfd_settime",
    /* memory */
    "brk",
    "madvise",
    "membarrier",
    "memfd_create",
    "mincore",
    "mlock",
    "mlock2",
    "mlockall",
    "mmap",
    "mprotect",
    "mremap",
    "mseal",
    "msync",
    "munlock",
    "munlockall",
    "munmap",
    "pkey_alloc",
    "pkey_free",
    "pkey_mprotect",
    "process_madvise",
    "process_mrelease",
    "map_shadow_stack",
    "get_mempolicy",
    "mbind",
    "set_mempolicy",
    "set_mempolicy_home_node",
    /* processes, threads, signals */
    "arch_prctl",
    "capget",
    "capset",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "fork",
    "vfork",
    "futex",
    "futex_requeue",
    "futex_wait",
    "futex_waitv",
    "futex_wake",
    "get_robust_list",
    "get_thread_area",
    "getcpu",
    "getegid",
    "geteuid",
    "getgid",
    "getgroups",
    "getpgid",
    "getpgrp",
    "getpid",
    "getppid",
    "getpriority",
    "getresgid",
    "getresuid",
    "getrlimit",
    "getrusage",
    "getsid",
    "gettid",
    "getuid",
    "ioprio_get",
    "ioprio_set",
    "kill",
    "pause",
    "pidfd_open",
    "pidfd_send_signal",
    "prctl",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigpending",
    "rt_sigprocmask",
    "rt_sigqueueinfo",
    "rt_sigreturn",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "rt_tgsigqueueinfo",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_getaffinity",
    "sched_getattr",
    "sched_getparam",
    "sched_getscheduler",
    "sched_rr_get_interval",
    "sched_setaffinity",
    "sched_setattr",
    "sched_setparam",
    "sched_setscheduler",
    "sched_yield",
    "seccomp",
    "set_robust_list",
    "set_thread_area",
    "set_tid_address",
    "setfsgid",
    "setfsuid",
    "setgid",
    "setgroups",
    "setitimer",
    "getitimer",
    "setpgid",
    "setpriority",
    "setregid",
    "setresgid",
    "setresuid",
    "setreuid",
    "setsid",
    "setuid",
    "sigaltstack",
    "tgkill",
    "times",
    "tkill",
    "uretprobe",
    "wait4",
    "waitid",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "landlock_add_rule",
    "landlock_create_ruleset",
    "landlock_restrict_self",
    "riscv_flush_icache",
    /* sockets; `socket` itself is below */
    "accept",
    "accept4",
    "bind",
    "connect",
    "getpeername",
    "getsockname",
    "getsockopt",
    "listen",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "setsockopt",
    "shutdown",
    /* System V and POSIX IPC of the job's own namespace */
    "mq_getsetattr",
    "mq_notify",
    "mq_open",
    "mq_timedreceive",
    "mq_timedsend",
    "mq_unlink",
    "msgctl",
    "msgget",
    "msgrcv",
    "msgsnd",
    "semctl",
    "semget",
    "semop",
    "semtimedop",
    "shmat",
    "shmctl",
    "shmdt",
    "shmget",
    /* time and the machine */
    "alarm",
    "clock_getres",
    "clock_gettime",
    "clock_nanosleep",
    "getrandom",
    "gettimeofday",
    "nanosleep",
    "sysinfo",
    "time",
    "timer_create",
    "timer_delete",
    "timer_getoverrun",
    "timer_gettime",
    "timer_settime",
    "uname",
    "name_to_handle_at",
};

/* Known to every libc, and never a job's: a clear "not permitted" instead of "no such call". */
static const char *const refused[] = {
    "acct",
    "add_key",
    "adjtimex",
    "bpf",
    "chroot",
    "clock_adjtime",
    "clock_settime",
    "delete_module",
    "fanotify_init",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "init_module",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "mount",
    "mount_setattr",
    "move_mount",
    "move_pages",
    "migrate_pages",
    "nfsservctl",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pidfd_getfd",
    "pivot_root",
    "quotactl",
    "quotactl_fd",
    "reboot",
    "request_key",
    "setdomainname",
    "sethostname",
    "setns",
    "settimeofday",
    "swapoff",
    "swapon",
    "syslog",
    "umount",
    "umount2",
    "unshare",
    "userfaultfd",
    "vhangup",
};

/* CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET: no namespaces of the job's
 * own, which is where most of the kernel's privilege bugs were. (NEWTIME is no flag of clone.)
 * clone3 is in no list: its flags are in memory, where no filter sees them, and ENOSYS sends libc
 * to clone. */
#define NEW_NAMESPACES UINT64_C(0x7e020000)
#ifdef __s390__
#define CLONE_FLAGS_ARG 1 /* CONFIG_CLONE_BACKWARDS2: the stack comes first */
#else
#define CLONE_FLAGS_ARG 0
#endif

/*
 * A filter compares 64 bits of an argument, but the kernel takes an int's lower 32 and passes over
 * the rest. So nothing here is allowed by "not equal" or "greater": 40 with a bit set above is not
 * 40, and yet AF_VSOCK. What is allowed is equal to a value, or lies under a mask, in all its bits.
 */
struct condition {
    const char *name;
    uint32_t arg;
    uint64_t mask; /* 0: all of it */
    uint64_t value;
};

static const struct condition conditions[] = {
    { "clone", CLONE_FLAGS_ARG, NEW_NAMESPACES, 0 },
    /* the plain ones alone, no ADDR_NO_RANDOMIZE and friends; all ones only asks */
    { "personality", 0, 0, 0x0 },
    { "personality", 0, 0, 0x8 },
    { "personality", 0, 0, 0x20000 },
    { "personality", 0, 0, 0x20008 },
    { "personality", 0, 0, 0xffffffff },
    /* AF_UNIX, AF_INET, AF_INET6 and AF_NETLINK. The others would load modules that hardly anybody
     * uses (TIPC, RDS, X.25, SMC), or are the kernel's crypto (ALG) or a virtual machine's host
     * (VSOCK). */
    { "socket", 0, 0, 1 },
    { "socket", 0, 0, 2 },
    { "socket", 0, 0, 10 },
    { "socket", 0, 0, 16 },
    { "socketpair", 0, 0, 1 },
    /* Every limit but that of core dumps, which is 1 (bundle_spec.c) and must stay so. */
    { "setrlimit", 0, ~UINT64_C(3), 0 }, /* 0 to 3 */
    { "setrlimit", 0, 0, 5 },
    { "setrlimit", 0, ~UINT64_C(1), 6 }, /* 6 and 7 */
    { "setrlimit", 0, ~UINT64_C(7), 8 }, /* 8 to 15 */
    { "prlimit64", 1, ~UINT64_C(3), 0 },
    { "prlimit64", 1, 0, 5 },
    { "prlimit64", 1, ~UINT64_C(1), 6 },
    { "prlimit64", 1, ~UINT64_C(7), 8 },
    { "prlimit64", 2, 0, 0 }, /* only asks */
};

static char *borrow(const char *s)
{
    return (char *) (uintptr_t) s;
}

static struct oci_syscall *new_rule(struct jd_arena *a, const char *const *names, size_t n,
                                    const char *action, int err)
{
    struct oci_syscall *s = jd_arena_get(a, sizeof *s);

    if (!s)
        return NULL;
    s->names = jd_arena_get(a, (n + 1) * sizeof *s->names);
    for (size_t i = 0; s->names && i < n; i++)
        s->names[i] = borrow(names[i]);
    s->n_names = n;
    s->action = borrow(action);
    s->has_errno_ret = err != 0;
    s->errno_ret = (uint32_t) err;
    return s;
}

static void add_arg(struct jd_arena *a, struct oci_syscall *s, uint32_t index, const char *op,
                    uint64_t value, uint64_t value_two)
{
    struct oci_syscall_arg *arg = jd_arena_get(a, sizeof *arg);

    if (!s || !s->args || !arg)
        return;
    *arg = (struct oci_syscall_arg){ .index = index,
                                     .value = value,
                                     .has_value_two = op[sizeof "SCMP_CMP_" - 1] == 'M',
                                     .value_two = value_two,
                                     .op = borrow(op) };
    s->args[s->n_args++] = arg;
}

static struct oci_syscall *new_conditional(struct jd_arena *a, const char *name, const char *action)
{
    struct oci_syscall *s = new_rule(a, &name, 1, action, 0);

    if (s)
        s->args = jd_arena_get(a, 3 * sizeof *s->args);
    return s;
}

static void add_conditions(struct jd_arena *a, struct oci_seccomp *p)
{
    for (size_t i = 0; i < JL_COUNT(conditions); i++) {
        const struct condition *c = &conditions[i];
        struct oci_syscall *s = new_conditional(a, c->name, "SCMP_ACT_ALLOW");

        if (c->mask)
            add_arg(a, s, c->arg, "SCMP_CMP_MASKED_EQ", c->mask, c->value);
        else
            add_arg(a, s, c->arg, "SCMP_CMP_EQ", c->value, 0);
        p->syscalls[p->n_syscalls++] = s;
    }
}

/* A program that turns its core dumps off, as those with secrets do, is told that it has: it
 * would end otherwise, and there are none. */
static void add_core_limit(struct jd_arena *a, struct oci_seccomp *p)
{
    static const char *const names[] = { "setrlimit", "prlimit64" };

    for (size_t i = 0; i < JL_COUNT(names); i++) {
        struct oci_syscall *s = new_conditional(a, names[i], "SCMP_ACT_ERRNO");

        if (s)
            s->has_errno_ret = true; /* 0 */
        add_arg(a, s, (uint32_t) i, "SCMP_CMP_MASKED_EQ", UINT32_MAX, 4);
        if (i == 1)
            add_arg(a, s, 2, "SCMP_CMP_NE", 0, 0);
        p->syscalls[p->n_syscalls++] = s;
    }
}

struct oci_seccomp *jd_seccomp_default(struct jd_arena *a)
{
#if defined(__x86_64__)
    static const char architecture[] = "SCMP_ARCH_X86_64";
#elif defined(__aarch64__)
    static const char architecture[] = "SCMP_ARCH_AARCH64";
#elif defined(__riscv)
    static const char architecture[] = "SCMP_ARCH_RISCV64";
#elif defined(__powerpc64__)
    static const char architecture[] = "SCMP_ARCH_PPC64LE";
#elif defined(__s390x__)
    static const char architecture[] = "SCMP_ARCH_S390X";
#else
#error "name this architecture for libseccomp here"
#endif
    struct oci_seccomp *p = jd_arena_get(a, sizeof *p);

    if (!p)
        return NULL;
    p->default_action = borrow("SCMP_ACT_ERRNO");
    p->has_default_errno_ret = true;
    p->default_errno_ret = ENOSYS;
    p->architectures = jd_arena_get(a, 2 * sizeof *p->architectures);
    p->syscalls = jd_arena_get(a, (JL_COUNT(conditions) + 5) * sizeof(struct oci_syscall *));
    if (!p->architectures || !p->syscalls)
        return NULL;
    p->architectures[0] = borrow(architecture);
    p->n_architectures = 1;
    p->syscalls[p->n_syscalls++] = new_rule(a, allowed, JL_COUNT(allowed), "SCMP_ACT_ALLOW", 0);
    p->syscalls[p->n_syscalls++] = new_rule(a, refused, JL_COUNT(refused), "SCMP_ACT_ERRNO", EPERM);
    add_conditions(a, p);
    add_core_limit(a, p);
    return jd_arena_failed(a) ? NULL : p;
}
