/* runtime_call.c - see runtime_call.h. */
#include "shim/runtime_call.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "base/spawn.h"
#include "ipc/initreport.h"
#include "shim/answer.h"
#include "shim/options.h"

#define LOG_TAIL_BYTES 8192

/* A path in the state directory, whole, as the runtime changes its own directory. */
static int state_path(const struct sh_options *o, const char *name, char *buf, size_t size,
                      struct jl_err *e)
{
    int n = snprintf(buf, size, "%s/%s", o->state_dir, name);

    if (n < 0 || (size_t) n >= size)
        return jl_refuse(e, ENAMETOOLONG, "state directory '%s': name is too long", o->state_dir);
    return 0;
}

/* death_signal: what the runtime gets when the shim is killed. */
static int spawn(const struct sh_options *o, const char *const *argv, const struct jl_spawn_fd *fds,
                 size_t n_fds, int death_signal, pid_t *ret_pid, struct jl_err *e)
{
    struct jl_spawn s = JL_SPAWN_INIT;

    s.path = o->runtime;
    s.exec_fd = o->runtime_fd;
    s.argv = (char *const *) (uintptr_t) argv; /* exec's old prototype; nobody writes there */
    s.envp = environ;
    s.fds = fds;
    s.n_fds = n_fds;
    s.parent_death_signal = death_signal;
    return jl_spawn(&s, ret_pid, NULL, e);
}

static const char *program(const struct sh_options *o)
{
    return o->runtime ? o->runtime : "joblet-run";
}

int sh_runtime_run(const struct sh_options *o, const int child[SH_STREAMS], int report_fd,
                   pid_t *ret_pid, struct jl_err *e)
{
    const struct jl_spawn_fd fds[] = { { child[0], 1 },
                                       { child[1], 2 },
                                       { report_fd, IPC_INIT_REPORT_FD } };
    char log[PATH_MAX], pid_file[PATH_MAX], console[PATH_MAX];
    const char *argv[22];
    size_t n = 0;

    if (state_path(o, SH_RUNTIME_LOG, log, sizeof log, e) < 0 ||
        state_path(o, SH_PID_NAME, pid_file, sizeof pid_file, e) < 0 ||
        state_path(o, SH_CONSOLE_NAME, console, sizeof console, e) < 0)
        return -e->code;
    argv[n++] = program(o);
    argv[n++] = "--root";
    argv[n++] = o->runtime_root;
    argv[n++] = "--log";
    argv[n++] = log;
    argv[n++] = "--log-format";
    argv[n++] = "json";
    argv[n++] = "run";
    argv[n++] = "--detach";
    argv[n++] = "--bundle";
    argv[n++] = o->bundle;
    argv[n++] = "--pid-file";
    argv[n++] = pid_file;
    if (o->terminal) {
        argv[n++] = "--console-socket";
        argv[n++] = console;
    }
    if (report_fd >= 0) {
        argv[n++] = "--preserve-fds";
        argv[n++] = "1";
    }
    argv[n++] = o->id;
    argv[n] = NULL;
    /* A runtime that went on alone could make a job that nobody supervises, after the daemon had
     * cleared this one away. */
    return spawn(o, argv, fds, SH_STREAMS + (report_fd >= 0), SIGKILL, ret_pid, e);
}

int sh_runtime_delete(const struct sh_options *o, pid_t *ret_pid, struct jl_err *e)
{
    char log[PATH_MAX];
    const char *argv[12] = { program(o),     "--root", o->runtime_root, "--log",   log,
                             "--log-format", "json",   "delete",        "--force", o->id };

    if (state_path(o, SH_RUNTIME_LOG, log, sizeof log, e) < 0)
        return -e->code;
    return spawn(o, argv, NULL, 0, 0, ret_pid, e); /* let it finish, whatever becomes of us */
}

int sh_runtime_pid(int state_dirfd, pid_t *ret_pid, struct jl_err *e)
{
    _close_ int fd = openat(state_dirfd, SH_PID_NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    char text[24];
    int64_t pid;
    ssize_t n;

    if (fd < 0)
        return jl_fail_sys(e, "openat", SH_PID_NAME, "read the pid file of the runtime");
    n = read(fd, text, sizeof text - 1);
    if (n < 0)
        return jl_fail_sys(e, "read", SH_PID_NAME, "read the pid file of the runtime");
    while (n > 0 && text[n - 1] == '\n')
        n--;
    text[n] = '\0';
    if (jl_parse_i64(text, 2, INT_MAX, &pid) < 0)
        return jl_refuse(e, EPROTO, "pid file of the runtime holds '%s', which is no pid", text);
    *ret_pid = (pid_t) pid;
    return 0;
}

static int read_log(int state_dirfd, struct jl_err *e)
{
    _close_ int fd = openat(state_dirfd, SH_RUNTIME_LOG, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    char text[LOG_TAIL_BYTES];
    off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    ssize_t n;

    if (size <= 0)
        return 0;
    n = pread(fd, text, sizeof text, size > LOG_TAIL_BYTES ? size - LOG_TAIL_BYTES : 0);
    return n <= 0 ? 0 : sh_answer_parse(text, (size_t) n, e);
}

int sh_runtime_reason(int state_dirfd, const siginfo_t *si, const char *tail, struct jl_err *e)
{
    const char *colon = tail[0] != '\0' ? ": " : "";
    bool exited = si->si_code == CLD_EXITED;

    if (read_log(state_dirfd, e) == 0)
        jl_refuse(e, EIO, "the runtime %s %d%s%s",
                  exited ? "ended with code" : "was killed by signal", si->si_status, colon, tail);
    jl_phase(e, "runtime");
    return sh_answer_code(e, exited ? si->si_status : 0);
}
