/*
 * init.c - joblet-init: PID 1 of a job. Starts the job's command as its child, passes signals on
 * to it, reaps orphans, and ends with the command: the kernel then kills what is left.
 *
 * The kernel drops signals that PID 1 has no handler for, so that a command which is PID 1 itself
 * would not end on SIGTERM; and most commands do not reap what they did not start.
 *
 * It is mounted into images of every kind, so it is static and needs nothing of them. The child
 * says itself why it could not be started. PID 1 cannot kill itself by a signal, so the end of
 * the command by signal n is code 128 + n, as in a shell. What a code can't say goes to the shim
 * by a pipe (ipc/initreport.h), if there is one: the bundle runs without as well.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/initreport.h"

#define NOT_FOUND 127
#define NOT_EXECUTABLE 126
#define USAGE 125
#define PATH_BYTES 4096
#define HEAD_BYTES 256 /* of a script's first line, as the kernel (BINPRM_BUF_SIZE) */
#define VOLUMES "/volumes"
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static int report_fd = -1;

/* Strings in one write; no stdio, which would cost pages. */
static void put(int fd, const char *const *parts, size_t n)
{
    struct iovec iov[6];

    for (size_t i = 0; i < n; i++)
        iov[i] = (struct iovec){ (void *) (uintptr_t) parts[i], strlen(parts[i]) };
    if (writev(fd, iov, (int) n) < 0)
        return; /* nobody to tell */
}

/* The command can't be run: says it to whoever reads the job's output, and to the shim. */
_Noreturn static void fail(int code, const char *a, const char *b, const char *c, const char *d)
{
    signal(SIGPIPE, SIG_IGN); /* a shim that was killed */
    put(STDERR_FILENO, (const char *[]){ "joblet: ", a, b, c, d, "\n" }, 6);
    if (report_fd >= 0)
        put(report_fd, (const char *[]){ IPC_INIT_FAILED, a, b, c, d }, 5);
    _exit(code);
}

/* Takes the pipe, where we were told of it and it is there. */
static void open_report(void)
{
    struct stat st;

    if (fstat(IPC_INIT_REPORT_FD, &st) == 0 && S_ISFIFO(st.st_mode) &&
        fcntl(IPC_INIT_REPORT_FD, F_SETFD, FD_CLOEXEC) == 0)
        report_fd = IPC_INIT_REPORT_FD;
}

static void report_signal(int sig)
{
    char text[] = IPC_INIT_SIGNAL "00";

    text[sizeof text - 3] = (char) ('0' + sig / 10);
    text[sizeof text - 2] = (char) ('0' + sig % 10);
    if (report_fd >= 0)
        put(report_fd, (const char *[]){ text }, 1);
}

/* The first bytes of a file, as a string. False when it can't be read. */
static bool read_head(const char *path, char head[HEAD_BYTES])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t n = fd < 0 ? -1 : read(fd, head, HEAD_BYTES - 1);

    if (fd >= 0)
        close(fd);
    head[n > 0 ? n : 0] = '\0';
    return n >= 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Splits "#! interpreter argument" as the kernel does: the argument is all of the rest. Returns
 * the interpreter, or NULL when there is none; *arg may become NULL. */
static char *interpreter(char *head, char **arg)
{
    char *p = head + 2, *end = head + strcspn(head, "\n"), *name;

    *arg = NULL;
    if (head[0] != '#' || head[1] != '!')
        return NULL;
    while (end > p && is_blank(end[-1]))
        end--;
    *end = '\0';
    while (is_blank(*p))
        p++;
    name = p;
    while (*p != '\0' && !is_blank(*p))
        p++;
    if (*p != '\0') {
        *p++ = '\0';
        while (is_blank(*p))
            p++;
        *arg = p;
    }
    return *name != '\0' ? name : NULL;
}

/* A script that lost its x bit, as uploads do: run what its first line names. Returns only when
 * that is impossible. argv has two free places in front (see main). */
static void exec_script(const char *path, char **argv, char **envp)
{
    char head[HEAD_BYTES], *name, *arg;
    struct stat st;
    int saved = errno;

    if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && read_head(path, head)) {
        name = interpreter(head, &arg);
        if (name) {
            char **v = argv - (arg ? 2 : 1);
            char *first = argv[0];

            v[0] = name;
            if (arg)
                v[1] = arg;
            argv[0] = (char *) (uintptr_t) path;
            execve(name, v, envp);
            argv[0] = first;
            fail(errno == ENOENT ? NOT_FOUND : NOT_EXECUTABLE, "cannot run '", path,
                 "': its interpreter cannot be executed: ", name);
        }
    }
    errno = saved;
}

/* The file is there but exec says that something is not: its interpreter or its loader. */
_Noreturn static void explain_missing(const char *path)
{
    char head[HEAD_BYTES], *arg, *name = NULL;

    if (read_head(path, head))
        name = interpreter(head, &arg);
    if (name)
        fail(NOT_FOUND, "cannot run '", path, "': its interpreter is not there: ", name);
    fail(NOT_FOUND, "cannot run '", path,
         "': the dynamic loader that it was linked for is not there", "");
}

static const char *reason(int error)
{
    switch (error) {
    case EACCES:
        return "permission denied (not executable, or on a file system mounted noexec)";
    case ENOEXEC:
        return "not a program for this machine, and no script that begins with #!";
    case EISDIR:
        return "is a directory";
    case ENOMEM:
        return "not enough memory";
    case E2BIG:
        return "arguments and environment are too large";
    case ETXTBSY:
        return "is being written by another process";
    case ELOOP:
        return "too many symbolic links";
    case ENAMETOOLONG:
        return "the name is too long";
    case EPERM:
        return "operation not permitted";
    default:
        return "the kernel refuses it";
    }
}

/* Runs the file at path. Returns when there is no such file; ends the process on all else. */
static void exec_path(const char *path, char **argv, char **envp)
{
    struct stat st;

    execve(path, argv, envp);
    if (errno == EACCES)
        exec_script(path, argv, envp);
    if (errno == ENOTDIR)
        return;
    if (errno == ENOENT) {
        if (stat(path, &st) < 0)
            return;
        explain_missing(path);
    }
    if (errno == EACCES && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        errno = EISDIR;
    fail(NOT_EXECUTABLE, "cannot run '", path, "': ", reason(errno));
}

static const char *variable(char **envp, const char *name)
{
    size_t len = strlen(name);

    for (; *envp; envp++)
        if (strncmp(*envp, name, len) == 0 && (*envp)[len] == '=')
            return *envp + len + 1;
    return NULL;
}

/* dir/name into buf; false when that is too long. An empty dir is the current directory. */
static bool join(char buf[PATH_BYTES], const char *dir, size_t dir_len, const char *name)
{
    size_t name_len = strlen(name);

    if (dir_len == 0) {
        dir = ".";
        dir_len = 1;
    }
    if (dir_len + name_len + 2 > PATH_BYTES)
        return false;
    memcpy(buf, dir, dir_len);
    buf[dir_len] = '/';
    memcpy(buf + dir_len + 1, name, name_len + 1);
    return true;
}

static bool is_program(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* Puts the name that follows `after` in dir in its place. False: none does. */
static bool next_name(DIR *dir, char after[NAME_MAX + 1])
{
    char next[NAME_MAX + 1] = "";
    struct dirent *d;

    rewinddir(dir);
    while ((d = readdir(dir)))
        if (d->d_name[0] != '.' && strcmp(d->d_name, after) > 0 &&
            (next[0] == '\0' || strcmp(d->d_name, next) < 0))
            memcpy(next, d->d_name, strlen(d->d_name) + 1);
    memcpy(after, next, sizeof next);
    return next[0] != '\0';
}

static void exec_in_volumes(char **argv, char **envp)
{
    char name[NAME_MAX + 1] = "", volume[PATH_BYTES], path[PATH_BYTES];
    DIR *dir = opendir(VOLUMES);

    while (dir && next_name(dir, name))
        if (join(volume, VOLUMES, strlen(VOLUMES), name) &&
            join(path, volume, strlen(volume), argv[0]))
            exec_path(path, argv, envp);
    if (dir)
        closedir(dir);
}

/* A bare name: the first program on PATH, then a file of that name in the current directory, then
 * at the top of a volume. */
static void exec_name(char **argv, char **envp)
{
    const char *name = argv[0], *p = variable(envp, "PATH");
    char path[PATH_BYTES];

    if (!p || *p == '\0')
        p = DEFAULT_PATH;
    for (;;) {
        size_t len = strcspn(p, ":");

        if (join(path, p, len, name) && is_program(path))
            exec_path(path, argv, envp);
        if (p[len] == '\0')
            break;
        p += len + 1;
    }
    if (join(path, ".", 1, name))
        exec_path(path, argv, envp);
    exec_in_volumes(argv, envp);
}

/* The job's own right decides what can be made: nothing outside of what is the job's. */
static void enter_dir(char *path)
{
    struct stat st;

    for (char *p = path; *p; p++) {
        if (*p != '/' || p == path)
            continue;
        *p = '\0';
        mkdir(path, 0777);
        *p = '/';
    }
    mkdir(path, 0777);
    if (chdir(path) == 0)
        return;
    fail(NOT_EXECUTABLE, "cannot work in '", path,
         stat(path, &st) < 0
             ? "': it is not there; a job can make directories in /work, /tmp and its volumes"
             : "': it is no directory that the job can enter",
         "");
}

_Noreturn static void run_command(char **argv, char **envp)
{
    struct sigaction dfl = { .sa_handler = SIG_DFL };
    sigset_t none;

    setpgid(0, 0);
    if (isatty(STDIN_FILENO)) /* SIGTTOU is blocked still, so this does not stop us */
        tcsetpgrp(STDIN_FILENO, getpid());
    for (int sig = 1; sig < NSIG; sig++)
        sigaction(sig, &dfl, NULL); /* SIGKILL and SIGSTOP say no */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (argv[0][0] != '\0') {
        if (strchr(argv[0], '/'))
            exec_path(argv[0], argv, envp);
        else
            exec_name(argv, envp);
    }
    fail(NOT_FOUND, "command not found: ", argv[0], "", "");
}

/* Takes all who have ended; when the command is among them, ends with it. */
static void reap(pid_t command)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != command)
            continue;
        if (!WIFSIGNALED(status))
            _exit(WEXITSTATUS(status));
        report_signal(WTERMSIG(status));
        _exit(128 + WTERMSIG(status));
    }
}

static void never(int sig)
{
    (void) sig;
}

int main(int argc, char **argv, char **envp)
{
    struct sigaction told = { .sa_handler = never };
    char *dir = NULL;
    sigset_t all;
    pid_t command;

    for (; argc > 2 && strcmp(argv[1], "--") != 0; argv++, argc--) {
        if (strcmp(argv[1], "--report") == 0) {
            open_report();
        } else if (strcmp(argv[1], "--chdir") == 0) {
            dir = argv[2];
            argv++, argc--;
        } else {
            break;
        }
    }
    if (argc < 3 || strcmp(argv[1], "--") != 0)
        fail(USAGE, "usage: joblet-init [--report] [--chdir DIR] -- COMMAND [ARGUMENT]...", "", "",
             "");
    /* The command has our uid: without this it could trace us, or write our memory, and so end
     * with a code of its choice or never. Its exec makes it dumpable again, itself alone. */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    /* Never run, for it is blocked: by it joblet-shim sees that we take a SIGTERM from now on. The
     * mask would not tell: the kernel lifts it while we wait. */
    sigaction(SIGTERM, &told, NULL);
    if (getpid() != 1) /* a job without a pid namespace: orphans come here all the same */
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    command = fork();
    if (command < 0)
        fail(NOT_EXECUTABLE, "cannot start '", argv[2],
             "': the process limit of the job is reached, or memory is", "");
    if (command == 0 && dir)
        enter_dir(dir);
    if (command == 0)
        run_command(argv + 2, envp); /* the two places in front are free now */
    setpgid(command, command);       /* whoever of us two comes first */
    for (;;) {
        int sig = sigwaitinfo(&all, NULL);

        if (sig == SIGCHLD)
            reap(command);
        else if (sig > 0 && kill(-command, sig) < 0)
            kill(command, sig);
    }
}
