/*
 * init.c - joblet-init: PID 1 of a job. Starts the job's command as its child, passes signals on
 * to it, reaps orphans, and ends with the command: the kernel then kills what is left.
 *
 * The kernel drops signals that PID 1 has no handler for, so that a command which is PID 1 itself
 * would not end on SIGTERM; and most commands do not reap what they did not start.
 *
 * It is mounted into images of every kind, so it is static and needs nothing of them. The child
 * says itself why it could not be started. PID 1 cannot kill itself by a signal, so the end of
 * the command by signal n is code 128 + n, as in a shell; an OOM kill is told apart by the
 * counter of the cgroup, which the shim reads.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOT_FOUND 127
#define NOT_EXECUTABLE 126
#define USAGE 125
#define PATH_BYTES 4096
#define HEAD_BYTES 256 /* of a script's first line, as the kernel (BINPRM_BUF_SIZE) */
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Up to five strings to standard error in one write; no stdio, which would cost pages. */
static void say(const char *a, const char *b, const char *c, const char *d)
{
    const char *parts[] = { "joblet: ", a, b, c, d, "\n" };
    struct iovec iov[6];

    for (size_t i = 0; i < 6; i++)
        iov[i] = (struct iovec){ (void *) (uintptr_t) parts[i], strlen(parts[i]) };
    if (writev(STDERR_FILENO, iov, 6) < 0)
        return; /* nobody to tell */
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
            say("cannot run '", path, "': its interpreter cannot be executed: ", name);
            _exit(errno == ENOENT ? NOT_FOUND : NOT_EXECUTABLE);
        }
    }
    errno = saved;
}

/* The file is there but exec says that something is not: its interpreter or its loader. */
static void explain_missing(const char *path)
{
    char head[HEAD_BYTES], *arg, *name = NULL;

    if (read_head(path, head))
        name = interpreter(head, &arg);
    if (name)
        say("cannot run '", path, "': its interpreter is not there: ", name);
    else
        say("cannot run '", path, "': the dynamic loader that it was linked for is not there", "");
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
        _exit(NOT_FOUND);
    }
    if (errno == EACCES && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        errno = EISDIR;
    say("cannot run '", path, "': ", reason(errno));
    _exit(NOT_EXECUTABLE);
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

/* A bare name: the first program on PATH, then a file of that name in the current directory. */
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
    say("command not found: ", argv[0], "", "");
    _exit(NOT_FOUND);
}

/* Takes all who have ended; when the command is among them, ends with it. */
static void reap(pid_t command)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != command)
            continue;
        _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
    }
}

int main(int argc, char **argv, char **envp)
{
    sigset_t all;
    pid_t command;

    if (argc < 3 || strcmp(argv[1], "--") != 0) {
        say("usage: joblet-init -- COMMAND [ARGUMENT]...", "", "", "");
        return USAGE;
    }
    /* The command has our uid: without this it could trace us, or write our memory, and so end
     * with a code of its choice or never. Its exec makes it dumpable again, itself alone. */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    if (getpid() != 1) /* a job without a pid namespace: orphans come here all the same */
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    command = fork();
    if (command < 0) {
        say("cannot start '", argv[2], "': the process limit of the job is reached, or memory is",
            "");
        return NOT_EXECUTABLE;
    }
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
