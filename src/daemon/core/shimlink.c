/* shimlink.c - see shimlink.h. */
#include "daemon/core/shimlink.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "daemon/core/core.h"
#include "daemon/core/shim_internal.h"
#include "ipc/exitrec.h"
#include "ipc/shimctl.h"

#define READ_AGAIN_NS JL_NS_PER_S
#define STOP_LEFT_MAX_MS 3600000 /* no grace is longer */

void jd_shim_release(struct jd_job *j)
{
    struct jd_shim *s = j->shim;

    if (!s)
        return;
    jl_loop_disarm(j->core->loop, &s->limit);
    jl_loop_disarm(j->core->loop, &s->stuck);
    jl_loop_del(j->core->loop, &s->pid_src);
    jl_loop_del(j->core->loop, &s->sync_src);
    jl_loop_del(j->core->loop, &s->control_src);
    jl_close(s->pidfd);
    jl_close(s->sync);
    jl_close(s->control);
    free(s);
    j->shim = NULL;
}

static void send_control(struct jd_shim *s, enum ipc_shim_type type, uint64_t arg)
{
    struct ipc_shim_msg m = { .type = type, .arg = arg };
    uint8_t packet[IPC_SHIM_PACKET_MAX];
    int n = ipc_shim_msg_write(&m, packet, sizeof packet);

    if (n > 0 && send(s->control, packet, (size_t) n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        jl_log_warn("shim.control", "job=%s: %s", s->job->rec.id, strerror(errno));
}

uint64_t jd_shim_grace_ms(const struct jd_job *j)
{
    return j->stop_grace_ms != UINT64_MAX ? j->stop_grace_ms
                                          : j->core->conf.stop_grace_ns / JL_NS_PER_MS;
}

static void event(struct jd_job *j, enum jd_event ev, enum jd_state outcome, const char *reason)
{
    struct jl_err e = JL_ERR_INIT;

    if (jd_job_event(j, ev, outcome, reason, &e) < 0)
        jl_log_fail(&e, "job.event", "job=%s", j->rec.id);
}

/* The job runs: what the shim says about itself, once. */
static void on_state(struct jd_shim *s, const struct ipc_shim_msg *m)
{
    struct jd_job *j = s->job;

    if (m->phase == IPC_SHIM_RUNNING)
        j->pid = m->pid;
    switch (m->phase) {
    case IPC_SHIM_STARTING:
        return;
    case IPC_SHIM_RUNNING:
        break;
    case IPC_SHIM_ENDING: /* its end is told by the exit record, when the shim is gone */
    case IPC_SHIM_DONE:
    case IPC_SHIM_FAILED:
        s->up = true;
        jl_loop_disarm(jd_shim_core(s)->loop, &s->limit);
        return;
    }
    if (s->up)
        return;
    s->up = true;
    jl_loop_disarm(jd_shim_core(s)->loop, &s->limit);
    if (j->rec.started_wall_ns == 0)
        j->rec.started_wall_ns = m->started_wall_ns;
    jl_log_info("job.running", "job=%s pid=%d", j->rec.id, (int) m->pid);
    jd_nets_begun(j);
    event(j, JD_EV_UP, JD_RUNNING, NULL);
}

void jd_shim_close_control(struct jd_shim *s)
{
    jl_loop_del(jd_shim_core(s)->loop, &s->control_src);
    s->control = jl_close(s->control);
}

/* The first STATE of a connection, of a job that is STOPPING. A stop that the core before us has asked
 * for goes on with the grace that it has left. */
static void say_stop(struct jd_shim *s, const struct ipc_shim_msg *m)
{
    struct jd_job *j = s->job;

    if (!s->stop_unsaid)
        return;
    s->stop_unsaid = false;
    if (m->arg > 0 && j->stop_grace_ms == UINT64_MAX)
        j->stop_grace_ms = m->arg < STOP_LEFT_MAX_MS ? m->arg : STOP_LEFT_MAX_MS;
    jd_shim_stop(j);
}

static int on_control(struct jl_source *src, uint32_t ready)
{
    struct jd_shim *s = JL_CONTAINER(src, struct jd_shim, control_src);
    uint8_t packet[IPC_SHIM_PACKET_MAX];
    struct jl_err e = JL_ERR_INIT;
    struct ipc_shim_msg m;
    ssize_t n = recv(src->fd, packet, sizeof packet, MSG_DONTWAIT);

    (void) ready;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0) {
        jd_shim_close_control(s); /* it is about to end; its pidfd tells when */
        return 0;
    }
    if (ipc_shim_msg_parse(packet, (size_t) n, &m, &e) < 0) {
        jl_log_fail(&e, "shim.control", "job=%s", s->job->rec.id);
        jd_shim_close_control(s);
        return 0;
    }
    if (m.type == IPC_SHIM_STATE) {
        say_stop(s, &m);
        on_state(s, &m);
    }
    return 0;
}

int jd_shim_connect(const struct jd_core *c, const char *id)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    _close_ int fd = -1, dirfd = -1;

    /* by descriptor: a state directory's path may be longer than sun_path */
    dirfd = openat(c->state_dirfd, id, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dirfd < 0)
        return -errno;
    snprintf(addr.sun_path, sizeof addr.sun_path, "/proc/self/fd/%d/%s", dirfd,
             IPC_SHIM_SOCKET_NAME);
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *) &addr, sizeof addr) < 0)
        return -errno;
    return jl_take_fd(&fd);
}

int jd_shim_connect_control(struct jd_shim *s)
{
    _close_ int fd = -1;
    int r;

    if (s->control >= 0)
        return 0;
    fd = jd_shim_connect(jd_shim_core(s), s->job->rec.id);
    if (fd < 0)
        return fd;
    r = jl_loop_add(jd_shim_core(s)->loop, &s->control_src, fd, EPOLLIN, on_control);
    if (r < 0)
        return r;
    s->control = jl_take_fd(&fd);
    send_control(s, IPC_SHIM_GET_STATE, 0);
    s->stop_unsaid = s->job->state == JD_STOPPING;
    return 0;
}

void jd_shim_stop(struct jd_job *j)
{
    struct jd_shim *s = j->shim;
    int r;

    if (!s) {
        jd_space_stop(j);
        return;
    }
    jd_shim_expect_end(s);
    if (s->control >= 0) {
        send_control(s, IPC_SHIM_STOP, jd_shim_grace_ms(j));
        return;
    }
    r = jd_shim_connect_control(s); /* it is said then, as the job is STOPPING */
    if (r < 0 && s->up)
        jl_log_warn("shim.control", "job=%s: not reached: %s", j->rec.id, strerror(-r));
}

/* What a shim says that ends before it has run anything: "28 prepare the exit record: ...". */
static void take_early(struct jd_shim *s, char *text)
{
    char *sentence;
    long code = strtol(text, &sentence, 10);

    text[strcspn(text, "\n")] = '\0';
    if (code > 0 && code < 4096 && sentence[0] == ' ')
        jl_refuse(&s->early, (int) code, "the supervisor could not start: %s", sentence + 1);
}

/* Its one message, if it came. */
static bool read_sync(struct jd_shim *s, struct ipc_shim_msg *ret)
{
    uint8_t packet[IPC_SHIM_PACKET_MAX + 1];
    struct jl_err e = JL_ERR_INIT;
    ssize_t n = s->sync < 0 ? 0 : read(s->sync, packet, sizeof packet - 1);

    jl_loop_del(jd_shim_core(s)->loop, &s->sync_src);
    s->sync = jl_close(s->sync);
    if (n <= 0)
        return false;
    if (ipc_shim_msg_parse(packet, (size_t) n, ret, &e) == 0)
        return true;
    packet[n] = '\0';
    take_early(s, (char *) packet);
    return false;
}

static int on_sync(struct jl_source *src, uint32_t ready)
{
    struct jd_shim *s = JL_CONTAINER(src, struct jd_shim, sync_src);
    struct ipc_shim_msg m;
    bool begun = read_sync(s, &m);

    (void) ready;
    jd_shim_connect_control(s);
    if (begun)
        on_state(s, &m);
    return 0;
}

static void take_result(struct jd_job *j, const struct ipc_exitrec *r)
{
    struct jd_result *x = &j->rec.result;

    j->rec.has_result = true;
    x->signal = r->kind == IPC_EXIT_SIGNAL ? r->value : 0;
    x->oom = r->oom_kills > 0;
    x->timeout = r->timed_out;
    x->cpu_user_us = r->cpu_user_us;
    x->cpu_system_us = r->cpu_system_us;
    x->memory_peak = r->memory_peak;
    x->io_read_bytes = r->io_read_bytes;
    x->io_write_bytes = r->io_write_bytes;
    x->pids_peak = r->pids_peak;
    x->psi_cpu_some_us = r->psi_cpu_some_us;
    x->psi_memory_some_us = r->psi_memory_some_us;
    x->psi_io_some_us = r->psi_io_some_us;
    x->log_dropped_bytes = r->log_dropped_bytes;
    if (r->kind == IPC_EXIT_START_ERROR)
        jd_record_set(&x->start_error, r->error.text);
    if (r->started_wall_ns != 0)
        j->rec.started_wall_ns = r->started_wall_ns;
    j->rec.ended_wall_ns = r->ended_wall_ns;
}

/* 1 it is there, 0 there is none, -EPROTO it is damaged, or another -errno; e filled. */
static int read_record_in(int dirfd, const char *id, struct ipc_exitrec *ret, struct jl_err *e)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(IPC_EXITREC_MAX);
    char path[128];
    int r;

    snprintf(path, sizeof path, "%s/%s", id, IPC_EXITREC_NAME);
    r = jl_read_file_at(dirfd, path, &text, e);
    if (r == 0)
        r = ipc_exitrec_parse(text.data ? text.data : "", text.len, ret, e);
    if (r == -EMSGSIZE || r == -ELOOP) /* none of ours is so large, or a link */
        return -EPROTO;
    return r == 0 ? 1 : r == -ENOENT ? 0 : r;
}

static int read_record(const struct jd_job *j, struct ipc_exitrec *ret, struct jl_err *e)
{
    struct jl_err of_copy = JL_ERR_INIT;
    int r = read_record_in(j->core->state_dirfd, j->rec.id, ret, e), copy;

    if (r != 0 && r != -EPROTO)
        return r;
    copy = read_record_in(j->core->logs_dirfd, j->rec.id, ret, &of_copy); /* outlives /run */
    if (copy < 0)
        *e = of_copy;
    return copy != 0 ? copy : r;
}

static void told_by(struct jd_job *j, const struct ipc_exitrec *rec, bool start_late)
{
    struct jd_verdict v;

    take_result(j, rec);
    jd_verdict_of(rec, (uint64_t) j->req->timeout_seconds, &v);
    if (start_late && v.outcome == JD_STOPPED && j->state != JD_STOPPING) {
        v.outcome = JD_FAILED;
        snprintf(v.reason, sizeof v.reason, "the job did not start within %d s",
                 (int) (JD_SHIM_START_NS / JL_NS_PER_S));
    }
    j->rec.exit_code = v.exit_code;
    event(j, JD_EV_DONE, v.outcome, v.reason);
}

void jd_shim_lost(struct jd_job *j, const char *reason)
{
    j->rec.exit_code = -1;
    event(j, JD_EV_LOST, JD_FAILED, reason);
}

static int on_read_again(struct jl_timer *t)
{
    struct jd_shim *s = JL_CONTAINER(t, struct jd_shim, limit);

    jd_shim_conclude(s, s->without);
    return 0;
}

void jd_shim_conclude(struct jd_shim *s, const char *without)
{
    struct jd_job *j = s->job;
    struct jl_err e = JL_ERR_INIT;
    struct ipc_exitrec rec;
    bool late = s->start_late;
    int r = read_record(j, &rec, &e);

    if (r < 0 && (r == -EPROTO || !s->without))
        jl_log_fail(&e, "job.record", "job=%s%s", j->rec.id, r == -EPROTO ? "" : ": read later");
    if (r < 0 && r != -EPROTO) {
        s->without = without;
        jl_loop_del(j->core->loop, &s->pid_src); /* it would tell all the time */
        jl_loop_arm(j->core->loop, &s->limit, jl_now_ns() + READ_AGAIN_NS, on_read_again);
        return;
    }
    e = r == 0 ? s->early : e;
    jd_shim_release(j);
    if (r > 0)
        told_by(j, &rec, late);
    else if (r == 0 && e.code > 0)
        jd_job_start_failed(j, &e);
    else
        jd_shim_lost(j, r < 0 ? "lost: its exit record can't be read" : without);
}

static int on_end(struct jl_source *src, uint32_t ready)
{
    struct jd_shim *s = JL_CONTAINER(src, struct jd_shim, pid_src);
    struct ipc_shim_msg m;

    (void) ready;
    if (s->pid > 0)
        waitpid(s->pid, NULL, WNOHANG);
    read_sync(s, &m); /* that it ran is in its record; why it could not is nowhere else */
    jd_shim_conclude(s, JD_LOST_SHIM);
    return 0;
}

static int on_limit(struct jl_timer *t)
{
    struct jd_shim *s = JL_CONTAINER(t, struct jd_shim, limit);

    jl_log_warn("job.start", "job=%s has not begun after %d s: ended", s->job->rec.id,
                (int) (JD_SHIM_START_NS / JL_NS_PER_S));
    s->start_late = true;
    if (jd_shim_connect_control(s) == 0)
        send_control(s, IPC_SHIM_STOP, 0);
    else
        syscall(SYS_pidfd_send_signal, s->pidfd, SIGKILL, NULL, 0);
    return 0;
}

void jd_shim_limit(struct jd_shim *s)
{
    jl_loop_arm(jd_shim_core(s)->loop, &s->limit, jl_now_ns() + JD_SHIM_START_NS, on_limit);
}

int jd_shim_watch(struct jd_shim *s, struct jl_err *e)
{
    struct jl_loop *loop = jd_shim_core(s)->loop;
    int r = jl_loop_add(loop, &s->pid_src, s->pidfd, EPOLLIN, on_end);

    if (r == 0 && s->sync >= 0)
        r = jl_loop_add(loop, &s->sync_src, s->sync, EPOLLIN, on_sync);
    return r < 0 ? jl_fail(e, -r, "watch the shim") : 0;
}

struct jd_shim *jd_shim_new(struct jd_job *j, struct jl_err *e)
{
    struct jd_shim *s = calloc(1, sizeof *s);

    if (!s) {
        jl_fail(e, ENOMEM, "start the shim");
        return NULL;
    }
    s->job = j;
    s->pidfd = s->sync = s->control = -1;
    j->shim = s;
    return s;
}
