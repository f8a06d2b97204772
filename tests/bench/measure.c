/*
 * measure.c - runs a program, once or many times, some at once, and prints what it took: wall time
 * of all (ns), the largest resident set of one (KiB), how many did not exit with 0, and the last
 * such wait status. A small static program, because the kernel counts the memory of whoever starts
 * a process into its peak until the exec. Used by tests/bench/bench.py.
 *
 * Usage: measure [-j AT-ONCE] [-n RUNS] [-u UID] PROGRAM ARGUMENT...
 *
 * A '%' in an argument becomes the number of the run. With -u all runs are that user's.
 */
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARGS_MAX 64
#define ARG_MAX_LEN 512

static long long now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

/* argv for run i, in static memory: it is valid until the next call. */
static char **numbered(char **argv, int i)
{
    static char texts[ARGS_MAX][ARG_MAX_LEN];
    static char *ret[ARGS_MAX + 1];
    int n;

    for (n = 0; argv[n] && n < ARGS_MAX; n++) {
        const char *mark = strchr(argv[n], '%');

        if (mark)
            snprintf(texts[n], ARG_MAX_LEN, "%.*s%d%s", (int) (mark - argv[n]), argv[n], i,
                     mark + 1);
        ret[n] = mark ? texts[n] : argv[n];
    }
    ret[n] = NULL;
    return ret;
}

static void start(char **argv, int i, int null)
{
    char **args = numbered(argv, i);
    pid_t pid = vfork();

    if (pid == 0) {
        dup2(null, 0);
        dup2(null, 1);
        dup2(null, 2);
        execv(args[0], args);
        _exit(127);
    }
    if (pid < 0) {
        perror("measure: vfork");
        exit(2);
    }
}

static void become(unsigned uid)
{
    if (setgroups(0, NULL) < 0 || setgid(uid) < 0 || setuid(uid) < 0) {
        perror("measure: setuid");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    int runs = 1, at_once = 1, started = 0, ended = 0, failed = 0, last = 0, option;
    long peak = 0;
    long long begin;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    while ((option = getopt(argc, argv, "+j:n:u:")) != -1) {
        if (option == 'j')
            at_once = (int) strtol(optarg, NULL, 10);
        else if (option == 'n')
            runs = (int) strtol(optarg, NULL, 10);
        else if (option == 'u')
            become((unsigned) strtoul(optarg, NULL, 10));
        else
            return 2;
    }
    if (optind >= argc || at_once < 1) {
        fprintf(stderr, "usage: measure [-j AT-ONCE] [-n RUNS] [-u UID] PROGRAM ARGUMENT...\n");
        return 2;
    }
    begin = now_ns();
    while (ended < runs) {
        struct rusage usage;
        int status;

        while (started < runs && started - ended < at_once)
            start(argv + optind, started++, null);
        if (wait4(-1, &status, 0, &usage) < 0) {
            perror("measure: wait4");
            return 2;
        }
        ended++;
        if (usage.ru_maxrss > peak)
            peak = usage.ru_maxrss;
        if (status != 0) {
            failed++;
            last = status;
        }
    }
    printf("%lld %ld %d %d\n", now_ns() - begin, peak, failed, last);
    return 0;
}
