/*
 * walk.c - the fault walk: runs a verb of joblet-run again and again, and each time something
 * happens one system call later, until the verb gets through unharmed.
 *
 *   --kill            kill -9 once the call has returned; then `delete --force` must remove all
 *   --errno           the call fails (with EMFILE, ENOSPC, EPERM, ... as is usual for it)
 *   --children        to the processes that the verb makes, not to the verb itself
 *   --settle          with --kill: when the processes it has made wait for something
 *   --every N         only each Nth call
 *   --from N --to N   only these calls
 *   --runtime FILE --dir DIR --parent GROUP --id ID
 *   VERB [ARG...]     create, run, run-detached, start, exec, kill, delete, pause, resume, update,
 *                     gc (of one that has ended), gc-live (of one that runs), checkpoint, restore
 *                     (with a CRIU that fails); the arguments are for the verb
 *
 * Whatever happens, the verb never hangs and never dies of a signal by itself. When it fails it
 * says so, and what it would have made is not there; when it succeeds the container is as it
 * always is, which probe.c tells (WALK_SHOW=1 in the environment shows both). Output: a line for each
 * harm done, and one at the end. Exit 1 if there was any.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host.h"
#include "tracer.h"

#define ARGS_MAX 32
#define PROBE_EXIT 7
#define NEW_LIMIT "40" /* walk.bats: update --pids-limit */
#define HARM_MAX 10    /* then it is enough */

static struct walk {
    const char *runtime, *dir, *parent, *id, *verb;
    char *const *extra;
    int n_extra;
    enum tr_act act;
    int children, settle;
    unsigned every, from, to;
    char root[512], bundle[512], pid_file[512], out_path[512], err_path[512];
    int out, err;
    struct host host;
    char baseline[65536]; /* what the probe says when nothing happens */
    unsigned points, harm;
} w;

static void add(char **argv, int *n, const char *word)
{
    if (*n < ARGS_MAX - 1)
        argv[(*n)++] = (char *) (uintptr_t) word;
    argv[*n] = NULL;
}

static bool is(const char *verb, const char *name)
{
    return strcmp(verb, name) == 0;
}

static bool makes(const char *verb)
{
    return is(verb, "create") || strncmp(verb, "run", 3) == 0;
}

/* Before it there is no container. */
static bool begins(const char *verb)
{
    return makes(verb) || is(verb, "restore");
}

static bool calls_criu(const char *verb)
{
    return is(verb, "checkpoint") || is(verb, "restore");
}

/* What the verb makes says something. */
static bool speaks(const char *verb)
{
    return makes(verb) || is(verb, "start") || is(verb, "exec");
}

/* The verb's command line; argv has ARGS_MAX places. */
static void command(char **argv, const char *verb)
{
    bool detached = is(verb, "run-detached"), gc = strncmp(verb, "gc", 2) == 0;
    int n = 0;

    add(argv, &n, w.runtime);
    add(argv, &n, "--root");
    add(argv, &n, w.root);
    if (calls_criu(verb)) {
        add(argv, &n, "--criu");
        add(argv, &n, "/bin/false");
    }
    add(argv, &n, detached ? "run" : gc ? "gc" : verb);
    if (detached)
        add(argv, &n, "--detach");
    if (begins(verb)) {
        add(argv, &n, "--bundle");
        add(argv, &n, w.bundle);
        add(argv, &n, "--pid-file");
        add(argv, &n, w.pid_file);
    }
    for (int i = 0; i < w.n_extra && (is(verb, w.verb) || (makes(verb) && makes(w.verb))); i++)
        add(argv, &n, w.extra[i]);
    if (is(verb, "delete"))
        add(argv, &n, "--force");
    if (!gc)
        add(argv, &n, w.id);
    if (is(verb, "kill"))
        add(argv, &n, "KILL");
    if (is(verb, "exec"))
        add(argv, &n, "/probe");
}

static int simply(const char *verb)
{
    char *argv[ARGS_MAX];

    command(argv, verb);
    return tr_simply(argv, w.out, w.err);
}

static size_t read_file(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : pread(fd, text, size - 1, 0);

    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t) n : 0;
}

static void forget_output(void)
{
    if (ftruncate(w.out, 0) < 0 || ftruncate(w.err, 0) < 0)
        exit(2);
}

/* The probe's words, once it has said all; false when that does not happen within a minute. */
static bool wait_output(char *text, size_t size)
{
    struct timespec pause = { 0, 500000 };

    for (int i = 0; i < 120000; i++) {
        read_file(w.out_path, text, size);
        if (strstr(text, "end\n"))
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

static void bad(const char *what, const struct tr_result *r, int proc, unsigned call)
{
    char err[400];

    read_file(w.err_path, err, sizeof err);
    err[strcspn(err, "\n")] = '\0';
    printf("%s: process %d, call %u (%s): %s; status %#x; it said: %s\n", w.verb, proc, call,
           tr_call_name(r->nr), what, (unsigned) r->status, err);
    w.harm++;
}

/* What a verb that failed may leave nevertheless: run could not remove what it no longer needs, nor
 * restore what it has made, CRIU having failed before. */
static bool may_leave(const struct tr_result *r)
{
    return (is(w.verb, "run") && r->nr == SYS_unlinkat) || is(w.verb, "restore");
}

/* Calls that have no way to fail. */
static bool cannot_fail(long nr)
{
    return nr == SYS_rt_sigprocmask || nr == SYS_rt_sigaction || nr == SYS_umask ||
#ifdef SYS_arch_prctl
           nr == SYS_arch_prctl || /* the C library's start: nothing of ours runs without it */
#endif
           nr == SYS_geteuid;
}

static pid_t container_pid(void)
{
    char text[32];

    read_file(w.pid_file, text, sizeof text);
    return (pid_t) strtol(text, NULL, 10);
}

/* What must be there before the verb. */
static void set_up(void)
{
    int r = 0;

    forget_output();
    if (is(w.verb, "start"))
        r = simply("create");
    else if (!begins(w.verb))
        r = simply("run-detached");
    if (r == 0 && !begins(w.verb) && !is(w.verb, "start")) {
        static char text[sizeof w.baseline];

        r = wait_output(text, sizeof text) ? 0 : -1;
    }
    if (r == 0 && is(w.verb, "resume"))
        r = simply("pause");
    if (r == 0 && is(w.verb, "gc") && (kill(container_pid(), SIGKILL) < 0 || tr_reap_all() != 0))
        r = -1;
    if (r != 0) {
        char err[400];

        read_file(w.err_path, err, sizeof err);
        fprintf(stderr, "walk: the container could not be made for %s: %s\n", w.verb, err);
        exit(2);
    }
    forget_output();
}

static void remove_container(const struct tr_result *r, int proc, unsigned call)
{
    int status;

    forget_output();
    status = simply("delete");
    if (status != 0) {
        struct tr_result of_delete = { .nr = r->nr, .status = status };

        bad("delete --force failed", &of_delete, proc, call);
    }
    if (host_check(&w.host) > 0)
        bad("something is left after delete --force", r, proc, call);
}

/* Whether `state` says so. */
static bool has_status(const char *status)
{
    char text[4096], word[64];

    forget_output();
    snprintf(word, sizeof word, "\"status\": \"%s\"", status);
    return simply("state") == 0 && read_file(w.out_path, text, sizeof text) > 0 &&
           strstr(text, word) != NULL;
}

static bool has_limit(void)
{
    char text[64];

    return host_group_file(w.parent, w.id, "pids.max", text, sizeof text) && is(text, NEW_LIMIT);
}

/* The same for the verbs after which a container is another, or just the same. */
static const char *false_change(void)
{
    if (is(w.verb, "kill"))
        return kill(container_pid(), 0) < 0 || tr_reap_all() == 0 ? NULL
                                                                  : "killed, but it is alive";
    if (is(w.verb, "pause"))
        return has_status("paused") ? NULL : "success, but it is not paused";
    if (is(w.verb, "resume") || is(w.verb, "gc-live"))
        return has_status("running") ? NULL : "success, but it does not run";
    if (is(w.verb, "update"))
        return has_limit() ? NULL : "success, but the limit is the old one";
    if (is(w.verb, "gc"))
        return host_check(&w.host) == 0 ? NULL : "success, but something is left";
    if (calls_criu(w.verb))
        return "success, though CRIU failed";
    return NULL; /* delete: remove_container looks */
}

/* Whether the success that the verb reports is one. */
static const char *false_success(const struct tr_result *r, int proc)
{
    static char text[sizeof w.baseline];
    bool ends = is(w.verb, "run") || is(w.verb, "exec");

    if (w.act == TR_KILL && proc > 0)
        return NULL; /* it may have died the moment after */
    if (ends && WEXITSTATUS(r->status) != PROBE_EXIT)
        return "success without the program's exit status";
    if (is(w.verb, "create") && simply("start") != 0)
        /* what fails while it waits already, `start` has to tell */
        return proc > 0 && r->nr == SYS_accept4 && read_file(w.err_path, text, sizeof text) > 0
                   ? NULL
                   : "created, but it does not start";
    if (!speaks(w.verb))
        return false_change();
    if (!wait_output(text, sizeof text))
        return "success, but the program did not run";
    return strcmp(text, w.baseline) == 0 ? NULL : "success, but the container is another";
}

static void judge(const struct tr_result *r, int proc, unsigned call)
{
    bool killed_child = w.act == TR_KILL && proc > 0;
    bool own_end = WIFEXITED(r->status) &&
                   (WEXITSTATUS(r->status) == 0 || WEXITSTATUS(r->status) == PROBE_EXIT);
    char err[400];

    if (r->hung) {
        bad("hangs", r, proc, call);
    } else if (w.act == TR_KILL && proc == 0 && r->reached) {
        /* dead as it should be */
    } else if (w.act == TR_ERRNO && cannot_fail(r->nr)) {
        /* not the call that was meant: a process does not always make the same ones */
    } else if (WIFSIGNALED(r->status)) {
        bad("crashed", r, proc, call);
    } else if (own_end) {
        const char *wrong = false_success(r, proc);

        if (wrong)
            bad(wrong, r, proc, call);
        if (wrong && getenv("WALK_SHOW")) {
            static char text[sizeof w.baseline];

            read_file(w.out_path, text, sizeof text);
            printf("--- expected\n%s--- got\n%s---\n", w.baseline, text);
        }
    } else {
        if (read_file(w.err_path, err, sizeof err) == 0 && !killed_child &&
            !(calls_criu(w.verb) && r->nr == SYS_write)) /* the words themselves */
            bad("failed without a word", r, proc, call);
        if (begins(w.verb) && !may_leave(r) && host_check(&w.host) > 0)
            bad("failed and left something", r, proc, call);
        if ((is(w.verb, "checkpoint") || is(w.verb, "gc-live") || is(w.verb, "pause")) &&
            !has_status("running"))
            bad("failed, and the container does not run on", r, proc, call);
    }
    remove_container(r, proc, call);
}

/* One run of the verb with something happening; returns whether it came to that. */
static bool step(int proc, unsigned call, struct tr_result *r)
{
    struct tr_plan plan = {
        .act = w.act, .proc = proc, .call = call, .settle = w.settle, .out = w.out, .err_fd = w.err
    };
    char *argv[ARGS_MAX];

    set_up();
    if (is(w.verb, "start") && proc > 0)
        plan.also = container_pid();
    command(argv, w.verb);
    tr_run(argv, &plan, r);
    judge(r, proc, call);
    w.points += r->reached;
    return r->reached;
}

/* Without anything happening: what calls there are, and what the probe says. */
static void record(struct tr_result *r)
{
    struct tr_plan plan = { .act = TR_COUNT, .out = w.out, .err_fd = w.err };
    char *argv[ARGS_MAX];

    set_up();
    if (is(w.verb, "start"))
        plan.also = container_pid();
    command(argv, w.verb);
    tr_run(argv, &plan, r);
    if (!WIFEXITED(r->status) || (WEXITSTATUS(r->status) != (calls_criu(w.verb) ? 1 : 0) &&
                                  WEXITSTATUS(r->status) != PROBE_EXIT)) {
        bad("does not work even undisturbed", r, 0, 0);
        exit(1);
    }
    if (is(w.verb, "create") && simply("start") != 0)
        exit(2);
    if (speaks(w.verb) && !wait_output(w.baseline, sizeof w.baseline)) {
        fprintf(stderr, "walk: the probe does not say anything\n");
        exit(2);
    }
    if (simply("delete") != 0)
        exit(2);
    tr_reap_all();
}

/* The C library's own start is not ours; some calls have no way to fail, or none that matters. */
static bool is_worth(const struct tr_result *seen, int proc, unsigned call)
{
    long nr;

    if (w.act != TR_ERRNO)
        return true;
    if (proc == 0 && call > seen->exec_at[0] && call <= seen->main_at[0])
        return false;
    nr = call <= TR_CALLS && call > 0 ? seen->calls[proc][call - 1] : -1;
    if (cannot_fail(nr))
        return false;
    return nr != SYS_close && nr != SYS_munmap && nr != SYS_exit_group && nr != SYS_exit &&
           nr != SYS_rt_sigreturn && call > 1;
}

static unsigned last_call(const struct tr_result *seen, int proc)
{
    if (proc == 0)
        return seen->n_calls[0] + 200; /* until it gets through */
    return seen->exec_at[proc] ? seen->exec_at[proc] - 1 : seen->n_calls[proc];
}

static void walk(void)
{
    static struct tr_result seen, now;
    int proc, end;

    /* Twice: the first makes mount points in the rootfs, which stay. */
    if (is(w.verb, "run") ? WEXITSTATUS(simply("run")) != PROBE_EXIT
                          : simply("run-detached") != 0) {
        char err[400];

        read_file(w.err_path, err, sizeof err);
        fprintf(stderr, "walk: the bundle does not run: %s\n", err);
        exit(2);
    }
    simply("delete");
    tr_reap_all();
    forget_output();
    host_take(&w.host);
    record(&seen);
    proc = w.children ? 1 : 0;
    end = w.children ? (int) seen.n_procs : 1;
    for (; proc < end; proc++) {
        unsigned last = last_call(&seen, proc);

        for (unsigned call = w.from; call <= last && call <= w.to; call += w.every) {
            if (!is_worth(&seen, proc, call))
                continue;
            if (!step(proc, call, &now) && call > seen.n_calls[proc])
                break;
            if (w.harm >= HARM_MAX)
                return;
        }
    }
}

static unsigned number(const char *text)
{
    return (unsigned) strtoul(text, NULL, 10);
}

static void options(int argc, char **argv)
{
    enum { KILL = 256, ERRNO, CHILDREN, SETTLE, EVERY, FROM, TO, RUNTIME, DIR_, PARENT, ID };
    static const struct option opts[] = {
        { "kill", 0, 0, KILL },     { "errno", 0, 0, ERRNO },     { "children", 0, 0, CHILDREN },
        { "settle", 0, 0, SETTLE }, { "every", 1, 0, EVERY },     { "from", 1, 0, FROM },
        { "to", 1, 0, TO },         { "runtime", 1, 0, RUNTIME }, { "dir", 1, 0, DIR_ },
        { "parent", 1, 0, PARENT }, { "id", 1, 0, ID },           { 0 },
    };
    int c;

    w.every = w.from = 1;
    w.to = ~0u;
    while ((c = getopt_long(argc, argv, "+", opts, NULL)) >= 0) {
        switch (c) {
        case KILL:
            w.act = TR_KILL;
            break;
        case ERRNO:
            w.act = TR_ERRNO;
            break;
        case CHILDREN:
            w.children = 1;
            break;
        case SETTLE:
            w.settle = 1;
            break;
        case EVERY:
            w.every = number(optarg);
            break;
        case FROM:
            w.from = number(optarg);
            break;
        case TO:
            w.to = number(optarg);
            break;
        case RUNTIME:
            w.runtime = optarg;
            break;
        case DIR_:
            w.dir = optarg;
            break;
        case PARENT:
            w.parent = optarg;
            break;
        case ID:
            w.id = optarg;
            break;
        default:
            exit(2);
        }
    }
    if (w.act == TR_COUNT || !w.runtime || !w.dir || !w.parent || !w.id || optind >= argc ||
        w.every == 0) {
        fprintf(stderr, "usage: see the top of walk.c\n");
        exit(2);
    }
    w.verb = argv[optind];
    w.extra = argv + optind + 1;
    w.n_extra = argc - optind - 1;
}

int main(int argc, char **argv)
{
    options(argc, argv);
    setvbuf(stdout, NULL, _IOLBF, 0);
    snprintf(w.root, sizeof w.root, "%s/state", w.dir);
    snprintf(w.bundle, sizeof w.bundle, "%s/bundle", w.dir);
    snprintf(w.pid_file, sizeof w.pid_file, "%s/pid", w.dir);
    snprintf(w.out_path, sizeof w.out_path, "%s/out", w.dir);
    snprintf(w.err_path, sizeof w.err_path, "%s/err", w.dir);
    w.out = open(w.out_path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    w.err = open(w.err_path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (w.out < 0 || w.err < 0) {
        perror(w.dir);
        return 2;
    }
    w.host =
        (struct host){ .dir = w.dir, .except = w.pid_file, .root = w.root, .parent = w.parent };
    host_enter(w.parent);
    walk();
    w.harm += (unsigned) host_keyrings(w.id);
    host_leave(w.parent);
    printf("%s: %u points, %u harmed\n", w.verb, w.points, w.harm);
    return w.harm > 0;
}
