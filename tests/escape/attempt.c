/* attempt.c - see attempt.h. attempt HOST-PID ABSTRACT-SOCKET HOST-PATH */
#include "attempt.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The child tells by its exit code: 0 is "got", else the errno, which is below 256 for all of
 * these. */
static void try_one(const struct attempt *a, const struct target *t)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        alarm(10);
        _exit(-a->try(t));
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        printf("%s: not tried: %s\n", a->name, strerror(errno));
    else if (WIFSIGNALED(status))
        printf("%s: SIG%s\n", a->name, sigabbrev_np(WTERMSIG(status)));
    else if (WEXITSTATUS(status) == 0)
        printf("%s: got\n", a->name);
    else
        printf("%s: %s\n", a->name, strerrorname_np(WEXITSTATUS(status)));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    const struct attempt *const all[] = { attempts_calls, attempts_files, attempts_processes };
    struct target t;

    if (argc != 4) {
        fprintf(stderr, "usage: attempt HOST-PID ABSTRACT-SOCKET HOST-PATH\n");
        return 2;
    }
    t = (struct target){ .pid = (int) strtol(argv[1], NULL, 10),
                         .socket = argv[2],
                         .path = argv[3] };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (const struct attempt *a = all[i]; a->name; a++)
            try_one(a, &t);
    return report_walks();
}
