/*
 * main.c - joblet-shim: one job's supervisor. See shim.h.
 *
 * It is started by joblet and outlives it: a session of its own, no descriptor but those it was
 * given on purpose, its standard streams on /dev/null.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "shim/shim.h"

static int by_number(const void *a, const void *b)
{
    return *(const int *) a - *(const int *) b;
}

/* Closes what the caller left open by mistake, and keeps the rest from the job. */
static void keep_only(int keep[], size_t n)
{
    unsigned from = 3;

    qsort(keep, n, sizeof *keep, by_number);
    for (size_t i = 0; i < n; i++) {
        if (keep[i] < (int) from) /* none, or named twice */
            continue;
        fcntl(keep[i], F_SETFD, FD_CLOEXEC);
        if (keep[i] > (int) from)
            syscall(SYS_close_range, from, (unsigned) keep[i] - 1, 0u);
        from = (unsigned) keep[i] + 1;
    }
    syscall(SYS_close_range, from, ~0u, 0u);
}

static void leave_caller(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    setsid();   /* refused for one that leads a session already, which is as good */
    umask(022); /* the runtime's files and the job's own begin with it */
    for (int fd = 0; fd < 3 && null >= 0; fd++)
        dup2(null, fd);
    if (null > 2)
        close(null);
}

static int complain(const struct jl_err *e)
{
    dprintf(STDERR_FILENO, "joblet-shim: %s\n", e->text);
    return 2;
}

int main(int argc, char **argv)
{
    static struct sh_shim sh; /* zero pages cost nothing until they are used */
    struct sh_options opt;
    const char *text;
    struct jl_err e;
    int r = sh_options_parse(argc, argv, &opt, &text, &e);

    jl_log.fd = -1;
    jl_log.program = "joblet-shim";
    if (r < 0)
        return complain(&e);
    if (r == 1)
        return dprintf(STDOUT_FILENO, "%s", text) < 0;
    keep_only((int[]){ opt.sync_fd, opt.runtime_fd, opt.lock_fd }, 3);
    if (sh_shim_init(&sh, &opt, &e) < 0) {
        complain(&e);
        return sh_end_early(&sh, &e);
    }
    leave_caller();
    return sh_shim_run(&sh);
}
