/* tracer.c - see tracer.h. */
#include "tracer.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TR_SECONDS 60
#define FOLLOW (PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE)
#define OPTIONS (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC)

/* One run. */
struct run {
    const struct tr_plan *plan;
    struct tr_result *res;
    pid_t pids[TR_PROCS];
    bool gone[TR_PROCS];
    bool begun;   /* the command itself runs, not our copy any more */
    bool failing; /* the call at hand was replaced; its result comes at its return */
    bool over;    /* it is done: let everybody go */
};

static void die(const char *what)
{
    fprintf(stderr, "tracer: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void on_alarm(int sig)
{
    (void) sig; /* interrupts waitpid() */
}

/* SIGALRM every 50 ms from `TR_SECONDS` on, so that one that comes between two waits is no loss. */
static void set_alarm(bool on)
{
    struct sigaction sa = { .sa_handler = on_alarm };
    struct itimerval t = { { 0, 50000 }, { TR_SECONDS, 0 } };

    if (!on)
        t = (struct itimerval){ { 0, 0 }, { 0, 0 } };
    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &t, NULL);
}

/* ---- the machine's part ---- */

#if defined __x86_64__

static void skip_call(pid_t pid)
{
    ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, orig_rax), -1L);
}

static void set_result(pid_t pid, long value)
{
    ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, rax), value);
}

#elif defined __aarch64__

static void skip_call(pid_t pid)
{
    int nr = -1;
    struct iovec io = { &nr, sizeof nr };

    ptrace(PTRACE_SETREGSET, pid, NT_ARM_SYSCALL, &io);
}

static void set_result(pid_t pid, long value)
{
    struct user_regs_struct regs;
    struct iovec io = { &regs, sizeof regs };

    ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &io);
    regs.regs[0] = (unsigned long) value;
    ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &io);
}

#endif

/* What a full disk, a limit or a filter makes of it. */
static int usual_errno(long nr)
{
    switch (nr) {
    case SYS_openat:
    case SYS_openat2:
    case SYS_dup3:
    case SYS_fcntl:
    case SYS_pidfd_open:
    case SYS_memfd_create:
    case SYS_socket:
    case SYS_socketpair:
    case SYS_accept4:
    case SYS_signalfd4:
        return EMFILE;
    case SYS_write:
    case SYS_writev:
    case SYS_mkdirat:
    case SYS_sendfile:
    case SYS_ftruncate:
    case SYS_symlinkat:
    case SYS_mknodat:
    case SYS_bind:
        return ENOSPC;
    case SYS_clone3:
        return EAGAIN;
    case SYS_keyctl:
        return EDQUOT;
    case SYS_brk:
    case SYS_mmap:
        return ENOMEM;
    default:
        return EPERM;
    }
}

/* ---- one stop after the other ---- */

static int number_of(const struct run *r, pid_t pid)
{
    for (unsigned i = 0; i < r->res->n_procs; i++)
        if (r->pids[i] == pid)
            return (int) i;
    return -1;
}

/* Until nobody below the process runs any more; 100 ms at most. */
static void let_settle(pid_t pid)
{
    struct timespec pause = { 0, 200000 };
    int quiet = 0;

    for (int i = 0; i < 500 && quiet < 4; i++) {
        char path[64], list[256] = "", stat[512];
        FILE *f;
        bool busy = false;

        snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int) pid, (int) pid);
        f = fopen(path, "re");
        if (f) {
            if (!fgets(list, sizeof list, f))
                list[0] = '\0';
            fclose(f);
        }
        for (char *p = list; *p >= '0' && *p <= '9';) {
            snprintf(path, sizeof path, "/proc/%ld/stat", strtol(p, &p, 10));
            p += *p == ' ';
            f = fopen(path, "re");
            if (f && fgets(stat, sizeof stat, f) && strrchr(stat, ')'))
                busy = busy || strrchr(stat, ')')[2] == 'R' || strrchr(stat, ')')[2] == 'D';
            if (f)
                fclose(f);
        }
        quiet = busy ? 0 : quiet + 1;
        nanosleep(&pause, NULL);
    }
}

static void do_kill(struct run *r, pid_t pid, long nr)
{
    r->res->reached = r->over = true;
    r->res->nr = nr;
    if (r->plan->settle)
        let_settle(pid);
    kill(pid, SIGKILL);
}

/* The call is known at its entry; what it answers at its exit. */
static void on_call(struct run *r, int who, pid_t pid)
{
    struct __ptrace_syscall_info info = { 0 };
    const struct tr_plan *p = r->plan;
    unsigned *n = &r->res->n_calls[who];
    bool here;

    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) < 0)
        return;
    here = p->act != TR_COUNT && who == p->proc;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
        long nr = (long) info.entry.nr;

        if (*n < TR_CALLS)
            r->res->calls[who][*n] = (short) nr;
        if (nr == SYS_mprotect)
            r->res->main_at[who] = *n + 1;
        if (here && p->act == TR_ERRNO && p->call == *n + 1) {
            r->res->reached = r->failing = true;
            r->res->nr = nr;
            skip_call(pid);
        }
        return;
    }
    if (info.op != PTRACE_SYSCALL_INFO_EXIT)
        return;
    ++*n;
    if (here && r->failing) {
        set_result(pid, -(p->err ? p->err : usual_errno(r->res->nr)));
        r->failing = false;
        r->over = true;
    } else if (here && p->act == TR_KILL && p->call == *n) {
        do_kill(r, pid, *n <= TR_CALLS ? r->res->calls[who][*n - 1] : -1);
    }
}

/* A stop of somebody we trace: look, and let it go on. */
static void on_stop(struct run *r, pid_t pid, int status)
{
    int sig = WSTOPSIG(status), who = r ? number_of(r, pid) : -1;
    bool event = status >> 16 != 0;

    if (r && who < 0 && !r->over && r->res->n_procs < TR_PROCS) {
        who = (int) r->res->n_procs++;
        r->pids[who] = pid;
    }
    if (who == 0 && status >> 16 == PTRACE_EVENT_EXEC && !r->begun) {
        r->begun = true;
        r->res->calls[0][0] = SYS_execve;
    } else if (who >= 0 && status >> 16 == PTRACE_EVENT_EXEC && r->res->exec_at[who] == 0) {
        r->res->exec_at[who] = r->res->n_calls[who] + 1;
    }
    if (who >= 0 && sig == (SIGTRAP | 0x80) && r->begun)
        on_call(r, who, pid);
    if (event || sig == (SIGTRAP | 0x80) || sig == SIGTRAP)
        sig = 0;
    if (!r || who < 0 || r->over) {
        ptrace(PTRACE_DETACH, pid, 0, sig);
        if (who >= 0)
            r->gone[who] = true;
    } else
        ptrace(PTRACE_SYSCALL, pid, 0, sig);
}

/* Takes whatever happens until `pid` has ended. -1: it did not in time. */
static int pump(struct run *r, pid_t pid)
{
    int status;
    time_t begin = time(NULL);

    set_alarm(true);
    for (;;) {
        pid_t got = waitpid(-1, &status, __WALL);

        if (got < 0 && errno == EINTR) {
            if (time(NULL) - begin < TR_SECONDS)
                continue;
            kill(pid, SIGKILL);
            if (r)
                r->over = r->res->hung = true;
            begin = time(NULL);
            continue;
        }
        if (got < 0)
            die("waitpid");
        if (WIFSTOPPED(status)) {
            on_stop(r, got, status);
            continue;
        }
        if (r && number_of(r, got) >= 0)
            r->gone[number_of(r, got)] = true;
        if (got == pid) {
            set_alarm(false);
            return status;
        }
    }
}

/* Lets go of whom the command has left. */
static void release(struct run *r)
{
    int status;

    r->over = true;
    for (unsigned i = 0; i < r->res->n_procs; i++) {
        if (r->gone[i])
            continue;
        ptrace(PTRACE_INTERRUPT, r->pids[i], 0, 0);
        if (waitpid(r->pids[i], &status, __WALL) == r->pids[i] && WIFSTOPPED(status))
            on_stop(r, r->pids[i], status);
    }
}

/* wait: a pipe; the command is executed once our end of it is closed. NULL: at once. */
static pid_t spawn(char *const argv[], int out, int err_fd, const int wait[2])
{
    pid_t pid = fork();
    char byte;

    if (pid < 0)
        die("fork");
    if (pid > 0)
        return pid;
    dup2(out, 1);
    dup2(err_fd, 2);
    if (wait) {
        close(wait[1]);
        while (read(wait[0], &byte, 1) < 0)
            continue;
    }
    execv(argv[0], argv);
    _exit(127);
}

void tr_run(char *const argv[], const struct tr_plan *p, struct tr_result *ret)
{
    struct run r = { .plan = p, .res = ret };
    bool follow = p->act == TR_COUNT || p->proc > 0;
    int gate[2];
    pid_t pid;

    memset(ret, 0, offsetof(struct tr_result, calls));
    if (pipe2(gate, O_CLOEXEC) < 0)
        die("pipe");
    pid = spawn(argv, p->out, p->err_fd, gate);
    ret->n_procs = 1;
    r.pids[0] = pid;
    if (ptrace(PTRACE_SEIZE, pid, 0, OPTIONS | (follow && !p->also ? FOLLOW : 0)) < 0 ||
        ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0)
        die("ptrace");
    close(gate[0]);
    close(gate[1]);
    if (p->also) {
        ret->n_procs = 2;
        r.pids[1] = p->also;
        if (ptrace(PTRACE_SEIZE, p->also, 0, OPTIONS) < 0 ||
            ptrace(PTRACE_INTERRUPT, p->also, 0, 0) < 0)
            die("trace the container's process");
    }
    ret->status = pump(&r, pid);
    release(&r);
}

int tr_simply(char *const argv[], int out, int err_fd)
{
    struct tr_result res = { 0 };
    struct run r = { .res = &res, .over = true };
    int status = pump(&r, spawn(argv, out, err_fd, NULL));

    return res.hung ? -1 : status;
}

static void name_of(pid_t pid, char *text, size_t size)
{
    char path[64];
    FILE *f;
    size_t n = 0;

    snprintf(path, sizeof path, "/proc/%d/cmdline", (int) pid);
    f = fopen(path, "re");
    if (f) {
        n = fread(text, 1, size - 1, f);
        fclose(f);
    }
    for (size_t i = 0; i < n; i++)
        if (text[i] == '\0')
            text[i] = ' ';
    text[n] = '\0';
}

int tr_reap_all(void)
{
    struct timespec pause = { 0, 500000 };
    char text[200];
    int left = 0, status;

    for (int i = 0; i < 120000; i++) {
        pid_t pid = waitpid(-1, &status, __WALL | WNOHANG);

        if (pid < 0)
            return left;
        if (pid > 0 && WIFSTOPPED(status))
            on_stop(NULL, pid, status);
        if (pid > 0)
            continue;
        if (i % 2000 == 1999) { /* one second without an end */
            FILE *f = fopen("/proc/thread-self/children", "re");
            int child;

            while (f && fscanf(f, "%d", &child) == 1) {
                name_of(child, text, sizeof text);
                printf("    process left: %d %s\n", child, text);
                kill(child, SIGKILL);
                left++;
            }
            if (f)
                fclose(f);
        }
        nanosleep(&pause, NULL);
    }
    return left + 1;
}
