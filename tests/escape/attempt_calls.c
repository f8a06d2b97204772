/* attempt_calls.c - system calls that no job should get, made without a C library between. */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attempt.h"

#ifndef AF_VSOCK
#define AF_VSOCK 40
#endif

static int sys(long r)
{
    return r < 0 ? -errno : 0;
}

#define CALL(name, ...)                                                                            \
    static int try_##name(const struct target *t)                                                  \
    {                                                                                              \
        (void) t;                                                                                  \
        return sys(syscall(__VA_ARGS__));                                                          \
    }

CALL(mount, SYS_mount, "none", "/tmp", "tmpfs", 0, NULL)
CALL(remount, SYS_mount, NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL)
CALL(umount, SYS_umount2, "/proc/sys", MNT_DETACH)
CALL(pivot_root, SYS_pivot_root, "/tmp", "/nonexistent")
CALL(chroot, SYS_chroot, "/")
CALL(open_tree, SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */)
CALL(fsopen, SYS_fsopen, "tmpfs", 0)
CALL(move_mount, SYS_move_mount, AT_FDCWD, "/tmp", AT_FDCWD, "/work", 0)
CALL(mount_setattr, SYS_mount_setattr, AT_FDCWD, "/proc", 0, (uint64_t[4]){ 0, 1 }, 32)
CALL(unshare_user, SYS_unshare, CLONE_NEWUSER)
CALL(unshare_mount, SYS_unshare, CLONE_NEWNS)
CALL(unshare_net, SYS_unshare, CLONE_NEWNET)
CALL(clone3, SYS_clone3, (uint64_t[8]){ 0 }, 0)
CALL(bpf, SYS_bpf, BPF_MAP_CREATE,
     &((union bpf_attr){
         .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1 }),
     sizeof(union bpf_attr))
CALL(perf_event, SYS_perf_event_open,
     &((struct perf_event_attr){
         .type = PERF_TYPE_SOFTWARE, .size = sizeof(struct perf_event_attr), .config = 0 }),
     0, -1, -1, 0)
CALL(userfaultfd, SYS_userfaultfd, 0)
CALL(aio, SYS_io_setup, 1, &(aio_context_t){ 0 })
CALL(io_uring, SYS_io_uring_setup, 1, &((struct io_uring_params){ 0 }))
CALL(keyring_session, SYS_keyctl, 1 /* JOIN_SESSION_KEYRING */, NULL)
CALL(keyring_user, SYS_keyctl, 0 /* GET_KEYRING_ID */, -4 /* of the user */, 1)
CALL(add_key, SYS_add_key, "user", "escape", "x", 1, -2 /* of the process */)
CALL(request_key, SYS_request_key, "user", "escape", NULL, 0)
CALL(init_module, SYS_init_module, "", 0, "")
CALL(kexec_load, SYS_kexec_load, 0, 0, NULL, 0)
CALL(settimeofday, SYS_settimeofday, NULL, NULL)
CALL(sethostname, SYS_sethostname, "escape", 6)
CALL(syslog, SYS_syslog, 10 /* size of the kernel's log */, NULL, 0)
CALL(acct, SYS_acct, NULL)
CALL(swapoff, SYS_swapoff, "/nonexistent")
CALL(quotactl, SYS_quotactl, 0x800001 << 8, NULL, 0, NULL)
CALL(vhangup, SYS_vhangup)
CALL(fanotify, SYS_fanotify_init, 0, 0)
CALL(kcmp, SYS_kcmp, getpid(), getpid(), 0, 0, 0)
CALL(pidfd_getfd, SYS_pidfd_getfd, -1, 0, 0)
CALL(move_pages, SYS_move_pages, 0, 0, NULL, NULL, NULL, 0)
CALL(personality, SYS_personality, 0x0040000 /* ADDR_NO_RANDOMIZE */)
#ifdef SYS_iopl
CALL(iopl, SYS_iopl, 3)
CALL(modify_ldt, SYS_modify_ldt, 0, NULL, 0)
#endif

/* Shocker: a file by its handle instead of its name. 2 is the root of most file systems. */
static int try_file_handle(const struct target *t)
{
    struct {
        struct file_handle h;
        unsigned char bytes[8];
    } handle = { .h = { .handle_bytes = 8, .handle_type = 1 }, .bytes = { 2 } };
    int fd = open("/", O_RDONLY | O_DIRECTORY);

    (void) t;
    return fd < 0 ? -errno : sys(syscall(SYS_open_by_handle_at, fd, &handle, O_RDONLY));
}

static int clone_with(long flags)
{
    long pid = syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, 0);

    if (pid == 0)
        _exit(0);
    if (pid > 0)
        waitpid((pid_t) pid, NULL, 0);
    return sys(pid);
}

static int try_clone_user(const struct target *t)
{
    (void) t;
    return clone_with(CLONE_NEWUSER);
}

/* The kernel passes over the upper half of the flags. */
static int try_clone_user_high(const struct target *t)
{
    (void) t;
    return clone_with(CLONE_NEWUSER | (1L << 40));
}

static int try_setns(const struct target *t)
{
    int fd = open("/proc/1/ns/mnt", O_RDONLY);

    (void) t;
    return fd < 0 ? -errno : sys(syscall(SYS_setns, fd, 0));
}

/* socket(2) takes 32 bits of its first argument; a filter that compares 64 sees another number. */
#define HIGH(n) ((n) | (1L << 32))
CALL(socket_alg, SYS_socket, 38L, SOCK_SEQPACKET, 0)
CALL(socket_alg_high, SYS_socket, HIGH(38), SOCK_SEQPACKET, 0)
CALL(socket_vsock, SYS_socket, (long) AF_VSOCK, SOCK_STREAM, 0)
CALL(socket_vsock_high, SYS_socket, HIGH(AF_VSOCK), SOCK_STREAM, 0)
CALL(socket_packet, SYS_socket, (long) AF_PACKET, SOCK_RAW, 0)
CALL(socket_raw, SYS_socket, (long) AF_INET, SOCK_RAW, 1)
CALL(socket_tipc, SYS_socket, 30L, SOCK_SEQPACKET, 0)
CALL(socket_xdp, SYS_socket, 44L, SOCK_RAW, 0)
CALL(socketpair_tipc, SYS_socketpair, 30L, SOCK_SEQPACKET, 0, (int[2]){ 0 })

#ifdef __x86_64__
/* The tables of 32-bit programs and of x32 are not the one that the filter reads. */
static int try_call_i386(const struct target *t)
{
    long r;

    (void) t;
    __asm__ volatile("int $0x80" : "=a"(r) : "a"(20 /* getpid */) : "memory");
    return r < 0 ? (int) r : 0;
}
CALL(call_x32, 0x40000000L + 39 /* getpid */)
#endif

#define ROW(n)                                                                                     \
    {                                                                                              \
#n, try_##n                                                                                \
    }
const struct attempt attempts_calls[] = {
    ROW(mount),
    ROW(remount),
    ROW(umount),
    ROW(pivot_root),
    ROW(chroot),
    ROW(open_tree),
    ROW(fsopen),
    ROW(move_mount),
    ROW(mount_setattr),
    ROW(unshare_user),
    ROW(unshare_mount),
    ROW(unshare_net),
    ROW(setns),
    ROW(clone_user),
    ROW(clone_user_high),
    ROW(clone3),
    ROW(bpf),
    ROW(perf_event),
    ROW(userfaultfd),
    ROW(aio),
    ROW(io_uring),
    ROW(keyring_session),
    ROW(keyring_user),
    ROW(add_key),
    ROW(request_key),
    ROW(init_module),
    ROW(kexec_load),
    ROW(settimeofday),
    ROW(sethostname),
    ROW(syslog),
    ROW(acct),
    ROW(swapoff),
    ROW(quotactl),
    ROW(vhangup),
    ROW(fanotify),
    ROW(kcmp),
    ROW(pidfd_getfd),
    ROW(move_pages),
    ROW(personality),
    ROW(file_handle),
    ROW(socket_alg),
    ROW(socket_alg_high),
    ROW(socket_vsock),
    ROW(socket_vsock_high),
    ROW(socket_packet),
    ROW(socket_raw),
    ROW(socket_tipc),
    ROW(socket_xdp),
    ROW(socketpair_tipc),
#ifdef SYS_iopl
    ROW(iopl),
    ROW(modify_ldt),
#endif
#ifdef __x86_64__
    ROW(call_i386),
    ROW(call_x32),
#endif
    { NULL, NULL },
};
