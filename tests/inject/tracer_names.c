/* tracer_names.c - names for the numbers of the system calls that joblet-run makes. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "tracer.h"

#define CALL(name)                                                                                 \
    {                                                                                              \
        SYS_##name, #name                                                                          \
    }

static const struct {
    long nr;
    const char *name;
} names[] = {
    CALL(accept4),
    CALL(bind),
    CALL(brk),
    CALL(capget),
    CALL(capset),
    CALL(chdir),
    CALL(clone3),
    CALL(close),
    CALL(close_range),
    CALL(connect),
    CALL(dup3),
    CALL(execve),
    CALL(execveat),
    CALL(exit_group),
    CALL(faccessat),
    CALL(faccessat2),
    CALL(fchdir),
    CALL(fchmod),
    CALL(fchmodat),
    CALL(fchown),
    CALL(fchownat),
    CALL(fcntl),
    CALL(flock),
    CALL(fsconfig),
    CALL(fsmount),
    CALL(fsopen),
    CALL(fstat),
    CALL(fstatfs),
    CALL(getcwd),
    CALL(getdents64),
    CALL(getpid),
    CALL(ioctl),
    CALL(keyctl),
    CALL(kill),
    CALL(linkat),
    CALL(listen),
    CALL(lseek),
    CALL(memfd_create),
    CALL(mkdirat),
    CALL(mknodat),
    CALL(mmap),
    CALL(mount),
    CALL(mount_setattr),
    CALL(move_mount),
    CALL(mprotect),
    CALL(newfstatat),
    CALL(open_tree),
    CALL(openat),
    CALL(openat2),
    CALL(pidfd_open),
    CALL(pidfd_send_signal),
    CALL(pivot_root),
    CALL(ppoll),
    CALL(prctl),
    CALL(pread64),
    CALL(prlimit64),
    CALL(read),
    CALL(readlinkat),
    CALL(recvmsg),
    CALL(renameat2),
    CALL(rt_sigaction),
    CALL(rt_sigprocmask),
    CALL(seccomp),
    CALL(sendfile),
    CALL(sendmsg),
    CALL(sendto),
    CALL(setgroups),
    CALL(sethostname),
    CALL(setns),
    CALL(setresgid),
    CALL(setresuid),
    CALL(setsid),
    CALL(signalfd4),
    CALL(socket),
    CALL(socketpair),
    CALL(statx),
    CALL(symlinkat),
    CALL(umask),
    CALL(umount2),
    CALL(unlinkat),
    CALL(unshare),
    CALL(wait4),
    CALL(waitid),
    CALL(write),
    CALL(writev),
    CALL(bpf),
    CALL(fsync),
    CALL(ftruncate),
    CALL(renameat),
#ifdef SYS_poll
    CALL(poll),
    CALL(mkdir),
    CALL(access),
    CALL(readlink),
    CALL(open),
    CALL(unlink),
    CALL(rename),
    CALL(fork),
    CALL(vfork),
    CALL(chmod),
    CALL(arch_prctl),
#endif
    CALL(clone),
    CALL(dup),
    CALL(getrandom),
    CALL(pidfd_getfd),
};

const char *tr_call_name(long nr)
{
    static char number[32];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].nr == nr)
            return names[i].name;
    snprintf(number, sizeof number, "call %ld", nr);
    return number;
}

long tr_call_number(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i].name) == len && strncmp(names[i].name, name, len) == 0)
            return names[i].nr;
    return -1;
}
