/*
 * measure.c - runs a program and prints its wall time (ns), peak resident set (KiB) and wait
 * status. A small static program, because the kernel counts the memory of whoever starts a
 * process into its peak until the exec. Used by tests/bench/bench.py.
 *
 * Usage: measure PROGRAM ARGUMENT...
 */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

int main(int argc, char **argv)
{
    struct rusage usage;
    long long begin;
    int status, null;
    pid_t pid;

    if (argc < 2) {
        fprintf(stderr, "usage: measure PROGRAM ARGUMENT...\n");
        return 2;
    }
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    begin = now_ns();
    pid = vfork();
    if (pid == 0) {
        dup2(null, 0);
        dup2(null, 1);
        dup2(null, 2);
        execv(argv[1], argv + 1);
        _exit(127);
    }
    if (pid < 0 || wait4(pid, &status, 0, &usage) < 0) {
        perror("measure");
        return 2;
    }
    printf("%lld %ld %d\n", now_ns() - begin, usage.ru_maxrss, status);
    return 0;
}
