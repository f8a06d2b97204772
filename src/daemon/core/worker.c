/* worker.c - see worker.h. */
#include "daemon/core/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/spawn.h"

#define WORK_FD 3 /* the socket, in the worker */
#define TRIES 2   /* the second worker that dies of a request has shown whose fault it is */

/* Both ways; the bytes follow, aligned for whatever they are the bytes of. */
struct work_head {
    alignas(max_align_t) unsigned what;
    int result;
    struct jl_err err; /* answers with a negative result */
};

#define PACKET_MAX (sizeof(struct work_head) + JD_WORK_BYTES_MAX)

_Static_assert(sizeof(struct work_head) % alignof(max_align_t) == 0, "what follows is aligned");

struct work {
    struct work *next;
    jd_work_done done;
    void *user;
    int fds[JD_WORK_FDS_MAX];
    size_t n_fds, packet_len;
    unsigned tries;
    char packet[]; /* head and bytes */
};

/* One request is with the worker at a time, so the socket never is full. */
struct jd_worker {
    struct jl_loop *loop;
    const char *name;
    const jd_work_fn *table;
    size_t n;
    struct jl_source src, end;
    int sock, pidfd;
    pid_t pid;
    bool busy;   /* the first of the queue is with the worker */
    bool ending; /* killed: another one is made when it is gone */
    bool killed; /* ... as somebody wanted it */
    struct work *first, **last;
    char *packet; /* PACKET_MAX bytes for answers */
};

static void work_free(struct work *k)
{
    for (size_t i = 0; i < k->n_fds; i++)
        jl_close(k->fds[i]);
    free(k);
}

static void answer(const struct work_head *asked, int r, const struct jl_buf *out, int fd,
                   const struct jl_err *e, char *packet)
{
    struct work_head *head = (struct work_head *) packet;
    size_t len = out->len;

    *head = (struct work_head){ .what = asked->what, .result = r, .err = *e };
    if (len > 0)
        memcpy(packet + sizeof *head, out->data, len);
    if (jl_send_fds(WORK_FD, packet, sizeof *head + len, &fd, fd >= 0) < 0)
        _exit(1); /* core is gone */
}

static void do_one(const struct jd_worker *w, char *packet, size_t len, const int *fds,
                   size_t n_fds)
{
    struct work_head head;
    _buf_ struct jl_buf out = JL_BUF_INIT(JD_WORK_BYTES_MAX);
    struct jl_err e = JL_ERR_INIT;
    _close_ int fd = -1;
    int r;

    if (len < sizeof head)
        _exit(1);
    memcpy(&head, packet, sizeof head);
    if (head.what < w->n)
        r = w->table[head.what](packet + sizeof head, len - sizeof head, fds, n_fds, &out, &fd, &e);
    else
        r = jl_refuse(&e, EINVAL, "%s: no such work (%u)", w->name, head.what);
    answer(&head, r, &out, fd, &e, packet);
}

_Noreturn static void worker_main(const struct jd_worker *w, int sock, pid_t core)
{
    char *packet = malloc(PACKET_MAX);
    char name[16];

    if (!packet || dup2(sock, WORK_FD) < 0)
        _exit(1);
    close_range(WORK_FD + 1, ~0U, 0);
    fcntl(WORK_FD, F_SETFD, FD_CLOEXEC);
    jl_log.fd = STDERR_FILENO; /* what logging.output names is core's alone */
    jl_signals_reset();
    signal(SIGPIPE, SIG_IGN);
    snprintf(name, sizeof name, "joblet-%.8s", w->name);
    prctl(PR_SET_NAME, name, 0, 0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != core)
        _exit(0); /* it died before we asked to be told */
    for (;;) {
        int fds[JD_WORK_FDS_MAX];
        size_t n_fds = JL_COUNT(fds);
        ssize_t len = jl_recv_fds(WORK_FD, packet, PACKET_MAX, fds, &n_fds);

        if (len == -EINTR)
            continue;
        if (len <= 0)
            _exit(0);
        do_one(w, packet, (size_t) len, fds, n_fds);
        for (size_t i = 0; i < n_fds; i++)
            jl_close(fds[i]);
    }
}

static int on_answer(struct jl_source *src, uint32_t ready);
static int on_end(struct jl_source *src, uint32_t ready);

/* Waits for it: what it does in the kernel has no end that we know. */
static void reap(struct jd_worker *w)
{
    jl_loop_del(w->loop, &w->src);
    jl_loop_del(w->loop, &w->end);
    w->sock = jl_close(w->sock);
    w->pidfd = jl_close(w->pidfd);
    if (w->pid > 0) {
        kill(w->pid, SIGKILL); /* ours, not waited for: the pid is no other's */
        waitpid(w->pid, NULL, 0);
    }
    w->pid = 0;
}

/* Its end is looked at when it is to be: an answer may still be on its way. */
static int watch(struct jd_worker *w, int sock)
{
    int r;

    w->pidfd = (int) syscall(SYS_pidfd_open, w->pid, 0);
    r = w->pidfd < 0 ? -errno : jl_loop_add(w->loop, &w->end, w->pidfd, 0, on_end);
    return r < 0 ? r : jl_loop_add(w->loop, &w->src, sock, EPOLLIN, on_answer);
}

static int start(struct jd_worker *w, struct jl_err *e)
{
    _close_ int ours = -1, theirs = -1;
    pid_t core = getpid();
    int pair[2], r;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return jl_fail_sys(e, "socketpair", NULL, "start the %s worker", w->name);
    ours = pair[0];
    theirs = pair[1];
    w->pid = fork();
    if (w->pid < 0)
        return jl_fail_sys(e, "fork", NULL, "start the %s worker", w->name);
    if (w->pid == 0)
        worker_main(w, theirs, core);
    r = watch(w, ours);
    if (r < 0) {
        reap(w);
        return jl_fail(e, -r, "start the %s worker", w->name);
    }
    w->sock = jl_take_fd(&ours);
    return 0;
}

/* It is killed; on_end follows when it is gone. */
static void give_up(struct jd_worker *w)
{
    kill(w->pid, SIGKILL);
    jl_loop_del(w->loop, &w->src);
    w->sock = jl_close(w->sock);
    jl_loop_change(w->loop, &w->end, EPOLLIN);
    w->ending = true;
}

static void finish_first(struct jd_worker *w, int r, const void *out, size_t len, int fd,
                         const struct jl_err *e)
{
    struct work *k = w->first;

    w->first = k->next;
    if (!w->first)
        w->last = &w->first;
    w->busy = false;
    k->done(k->user, r, out, len, fd, e);
    work_free(k);
}

/* Sends the first request that waits, on a worker made for it if there is none. */
static int send_next(struct jd_worker *w, struct jl_err *e)
{
    bool old;
    int r;

    if (w->busy || w->ending || !w->first)
        return 0;
    old = w->sock >= 0;
    r = old ? 0 : start(w, e);
    if (r < 0)
        return r;
    r = jl_send_fds(w->sock, w->first->packet, w->first->packet_len, w->first->fds,
                    w->first->n_fds);
    if (old && (r == -EPIPE || r == -ECONNRESET)) { /* it died while it had nothing to do */
        give_up(w);
        return 0; /* on_end goes on */
    }
    if (r < 0) {
        give_up(w);
        return jl_fail(e, -r, "ask the %s worker", w->name);
    }
    w->busy = true;
    w->first->tries++;
    return 0;
}

/* Those that can't be asked are told so, until one can. */
static void go_on(struct jd_worker *w)
{
    struct jl_err e = JL_ERR_INIT;

    while (w->first && !w->busy && send_next(w, &e) < 0)
        finish_first(w, -e.code, NULL, 0, -1, &e);
}

static int on_end(struct jl_source *src, uint32_t ready)
{
    struct jd_worker *w = JL_CONTAINER(src, struct jd_worker, end);
    bool asked = w->busy, killed = w->killed;
    struct jl_err e = JL_ERR_INIT;
    int status = 0;

    (void) ready;
    waitpid(w->pid, &status, WNOHANG);
    jl_loop_del(w->loop, &w->end);
    w->pidfd = jl_close(w->pidfd);
    w->pid = 0;
    w->busy = w->ending = w->killed = false;
    if (WIFSIGNALED(status))
        jl_refuse(&e, EIO, "the %s worker was ended by signal %d", w->name, WTERMSIG(status));
    else
        jl_refuse(&e, EIO, "the %s worker ended with status %d", w->name, WEXITSTATUS(status));
    if (!killed)
        jl_log_fail(&e, "worker.died", "worker=%s", w->name);
    if (asked && (killed || w->first->tries >= TRIES))
        finish_first(w, -EIO, NULL, 0, -1, &e);
    go_on(w);
    return 0;
}

static int on_answer(struct jl_source *src, uint32_t ready)
{
    struct jd_worker *w = JL_CONTAINER(src, struct jd_worker, src);
    const struct work_head *head = (const struct work_head *) w->packet;
    int fd = -1;
    size_t n = 1;
    ssize_t len = jl_recv_fds(w->sock, w->packet, PACKET_MAX, &fd, &n);

    (void) ready;
    if (len == -EINTR || len == -EAGAIN)
        return 0;
    if (n == 0)
        fd = -1;
    if (len < (ssize_t) sizeof *head || !w->busy) {
        give_up(w);
        return 0;
    }
    finish_first(w, head->result, w->packet + sizeof *head, (size_t) len - sizeof *head, fd,
                 &head->err);
    go_on(w);
    return 0;
}

struct jd_worker *jd_worker_new(struct jl_loop *loop, const char *name, const jd_work_fn *table,
                                size_t n)
{
    struct jd_worker *w = calloc(1, sizeof *w);

    if (!w)
        return NULL;
    *w = (struct jd_worker){
        .loop = loop, .name = name, .table = table, .n = n, .sock = -1, .pidfd = -1
    };
    w->last = &w->first;
    w->packet = malloc(PACKET_MAX);
    if (!w->packet) {
        free(w);
        return NULL;
    }
    return w;
}

void jd_worker_kill(struct jd_worker *w)
{
    if (!w->busy || w->ending)
        return;
    w->killed = true;
    give_up(w);
}

void jd_worker_free(struct jd_worker *w)
{
    if (!w)
        return;
    reap(w);
    while (w->first) {
        struct work *k = w->first;

        w->first = k->next;
        work_free(k);
    }
    free(w->packet);
    free(w);
}

static int copy_fds(struct work *k, const int *fds, size_t n, struct jl_err *e)
{
    for (size_t i = 0; i < n; i++) {
        int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);

        if (fd < 0)
            return jl_fail_sys(e, "fcntl", "F_DUPFD_CLOEXEC", "hand a descriptor over");
        k->fds[k->n_fds++] = fd;
    }
    return 0;
}

int jd_worker_call(struct jd_worker *w, unsigned what, const void *in, size_t len, const int *fds,
                   size_t n_fds, jd_work_done done, void *user, struct jl_err *e)
{
    struct work_head head = { .what = what };
    struct work *k;
    int r;

    if (len > JD_WORK_BYTES_MAX || n_fds > JD_WORK_FDS_MAX)
        return jl_refuse(e, EMSGSIZE, "%s: a request of %zu bytes, %zu descriptors", w->name, len,
                         n_fds);
    k = calloc(1, sizeof *k + sizeof head + len);
    if (!k)
        return jl_fail(e, ENOMEM, "ask the %s worker", w->name);
    k->done = done;
    k->user = user;
    k->packet_len = sizeof head + len;
    memcpy(k->packet, &head, sizeof head);
    if (len > 0)
        memcpy(k->packet + sizeof head, in, len);
    r = copy_fds(k, fds, n_fds, e);
    if (r < 0) {
        work_free(k);
        return r;
    }
    *w->last = k;
    w->last = &k->next;
    if (w->first != k)
        return 0; /* its turn comes */
    r = send_next(w, e);
    if (r < 0) { /* the only one there is */
        w->first = NULL;
        w->last = &w->first;
        work_free(k);
    }
    return r;
}
