/* front.c - see front.h. */
#include "daemon/core/front.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/spawn.h"
#include "daemon/core/core.h"
#include "daemon/core/notify.h"
#include "daemon/core/request.h"
#include "os/pidfd.h"

#define CONF_BYTES_MAX (4u << 20)
#define SOCKET_BYTES (1 << 20)
#define STABLE_NS (10 * JL_NS_PER_S) /* alive that long: the next death is a first one again */
#define BACKOFF_MAX_NS (30 * JL_NS_PER_S)
#define BACKOFF_FIRST_NS (100 * JL_NS_PER_MS)
#define END_WAIT_NS (3 * JL_NS_PER_S)
#define OLD_FRONT_NS                                                                               \
    (5 * JL_NS_PER_S) /* the front of a killed core may hold the port for a moment */
#define TURN 64       /* requests read before others get their turn */

struct jd_queued {
    struct jd_queued *next;
    struct ipc_frame frame; /* body behind the struct, descriptors its own */
    uint8_t body[];
};

static uint64_t ms(uint64_t ns)
{
    return ns / JL_NS_PER_MS;
}

int jd_front_conf_json(const struct jd_conf *conf, const struct ipc_revoked *revoked,
                       struct jl_buf *out)
{
    _buf_ struct jl_buf list = JL_BUF_INIT(IPC_REVOKED_BYTES_MAX);
    struct jl_json_out w = JL_JSON_OUT_INIT(out, 0);
    int r = ipc_revoked_write(revoked, &list);

    if (r < 0)
        return r;
    jl_json_put_object(&w, NULL);
    jl_json_put_str(&w, "address", conf->server_address);
    jl_json_put_i64(&w, "port", conf->server_port);
    jl_json_put_str(&w, "server_cert", conf->server_cert);
    jl_json_put_str(&w, "server_key", conf->server_key);
    jl_json_put_str(&w, "ca_cert", conf->ca_cert);
    jl_json_put_object(&w, "grpc");
    jl_json_put_i64(&w, "max_recv", conf->grpc_max_recv);
    jl_json_put_i64(&w, "max_send", conf->grpc_max_send);
    jl_json_put_i64(&w, "max_header_list", conf->grpc_max_header);
    jl_json_put_u64(&w, "keepalive_time_ms", ms(conf->grpc_keepalive_ns));
    jl_json_put_u64(&w, "keepalive_timeout_ms", ms(conf->grpc_keepalive_timeout_ns));
    jl_json_put_i64(&w, "max_streams", conf->grpc_max_streams);
    jl_json_put_u64(&w, "connection_timeout_ms", ms(conf->grpc_connection_timeout_ns));
    jl_json_put_u64(&w, "max_idle_ms", ms(conf->grpc_max_idle_ns));
    jl_json_put_u64(&w, "max_age_ms", ms(conf->grpc_max_age_ns));
    jl_json_put_u64(&w, "max_age_grace_ms", ms(conf->grpc_max_age_grace_ns));
    jl_json_end(&w);
    jl_json_put_u64(&w, "timeout_ms", ms(conf->server_timeout_ns));
    jl_json_put_u64(&w, "stop_grace_ms", ms(conf->stop_grace_ns));
    jl_json_put_i64(&w, "chunk", conf->chunk_size);
    jl_json_put_str(&w, "log_level", conf->log_level);
    jl_json_put_str(&w, "log_format", conf->log_format);
    jl_json_put_str(&w, "node_id", conf->node_id);
    jl_json_put_str(&w, "version", PACKAGE_VERSION);
    jl_json_put_str(&w, "revoked", list.data ? list.data : "");
    jl_json_end(&w);
    return jl_json_finish(&w);
}

static void drop_first(struct jd_front *f)
{
    struct jd_queued *q = f->queue;

    f->queue = q->next;
    if (!f->queue)
        f->queue_end = &f->queue;
    for (size_t i = 0; i < q->frame.n_fds; i++)
        jl_close(q->frame.fds[i]);
    free(q);
}

static void close_link(struct jd_front *f)
{
    jl_loop_del(f->core->loop, &f->link_src);
    f->link = jl_close(f->link);
    while (f->queue)
        drop_first(f);
}

static void watch_link(struct jd_front *f)
{
    if (f->link_src.added)
        jl_loop_change(f->core->loop, &f->link_src, f->queue ? EPOLLOUT : EPOLLIN);
}

static void enqueue(struct jd_front *f, const struct ipc_frame *frame)
{
    struct jd_queued *q = malloc(sizeof *q + frame->body_len);

    if (!q) {
        jl_log_warn("front.reply", "request=%" PRIu64 " dropped: out of memory", frame->id);
        return;
    }
    q->next = NULL;
    q->frame = *frame;
    if (frame->body_len > 0)
        memcpy(q->body, frame->body, frame->body_len);
    q->frame.body = q->body;
    for (size_t i = 0; i < frame->n_fds; i++)
        q->frame.fds[i] = fcntl(frame->fds[i], F_DUPFD_CLOEXEC, 3);
    *f->queue_end = q;
    f->queue_end = &q->next;
    watch_link(f);
}

void jd_front_send(struct jd_core *c, unsigned generation, const struct ipc_frame *frame)
{
    struct jd_front *f = &c->front;
    struct jl_err e = JL_ERR_INIT;
    int r;

    if (f->link < 0 || generation != f->generation)
        return;
    if (!f->queue) {
        r = ipc_link_send(f->link, frame, &e);
        if (r == 0)
            return;
        if (r != -EAGAIN) {
            jl_log_fail(&e, "front.reply", "request=%" PRIu64, frame->id);
            return; /* a link that is broken is seen by the loop */
        }
    }
    enqueue(f, frame);
}

void jd_front_event(struct jd_core *c, const char *job_id)
{
    struct ipc_frame frame = { .type = IPC_LINK_EVENT };
    struct jl_err e = JL_ERR_INIT;

    if (c->front.link < 0 || c->front.queue)
        return;
    snprintf(frame.text, sizeof frame.text, "%s", job_id);
    if (ipc_link_send(c->front.link, &frame, &e) < 0)
        return; /* front asks again by itself after a second */
}

void jd_front_revoked(struct jd_core *c)
{
    _buf_ struct jl_buf list = JL_BUF_INIT(IPC_REVOKED_BYTES_MAX);
    struct ipc_frame frame = { .type = IPC_LINK_EVENT, .text = IPC_LINK_REVOKED };

    if (ipc_revoked_write(&c->revoked.list, &list) < 0) {
        jl_log_warn("revoked.front", "out of memory: joblet-front is started anew to learn it");
        os_pidfd_signal(c->front.pidfd, SIGKILL);
        return;
    }
    frame.body = (const uint8_t *) list.data;
    frame.body_len = list.len;
    jd_front_send(c, c->front.generation, &frame);
}

static void on_listening(struct jd_front *f, const char *text)
{
    f->listening = true;
    jl_log_info("front.listening", "%s pid=%d", text + strlen("listening "), (int) f->pid);
    if (!f->announced)
        jd_notify("READY=1");
    f->announced = true;
}

static void deliver(struct jd_front *f, struct ipc_received *got)
{
    switch (got->frame.type) {
    case IPC_LINK_REQUEST:
        jd_request(f->core, f->generation, got);
        break;
    case IPC_LINK_EVENT:
        if (strncmp(got->frame.text, "listening ", 10) == 0)
            on_listening(f, got->frame.text);
        break;
    case IPC_LINK_REPLY: /* core asks nothing of front */
        break;
    }
}

/* 0, or -errno of a broken link. */
static int flush(struct jd_front *f, struct jl_err *e)
{
    while (f->queue) {
        int r = ipc_link_send(f->link, &f->queue->frame, e);

        if (r == -EAGAIN)
            return 0;
        if (r < 0)
            return r;
        drop_first(f);
    }
    watch_link(f);
    return 0;
}

/* A front that breaks the protocol or has closed its end is as good as dead: it is killed and
 * started again. (One that is about to end keeps its own exit status.) */
static void broken(struct jd_front *f, int r, const struct jl_err *e)
{
    if (r < 0)
        jl_log_fail(e, "front.link", "pid=%d", (int) f->pid);
    close_link(f);
    if (f->pid > 0 && !f->ending)
        os_pidfd_signal(f->pidfd, SIGKILL);
}

static int on_link(struct jl_source *src, uint32_t ready)
{
    struct jd_front *f = JL_CONTAINER(src, struct jd_front, link_src);
    struct jl_err e = JL_ERR_INIT;

    if (f->queue && (ready & (EPOLLOUT | EPOLLHUP | EPOLLERR))) {
        int r = flush(f, &e);

        if (r < 0)
            broken(f, r, &e);
    }
    for (int n = 0; n < TURN && f->link >= 0 && !f->queue; n++) {
        struct ipc_received got;
        int r = ipc_link_recv(f->link, f->packet, &got, &e);

        if (r == -EAGAIN)
            return 0;
        if (r <= 0) {
            broken(f, r, &e);
            return 0;
        }
        deliver(f, &got);
        ipc_link_done(&got);
    }
    return 0;
}

int jd_front_conf_fd(const struct jd_conf *conf, const struct ipc_revoked *revoked,
                     struct jl_err *e)
{
    _buf_ struct jl_buf json = JL_BUF_INIT(CONF_BYTES_MAX);
    int r = jd_front_conf_json(conf, revoked, &json);

    if (r == 0)
        r = jl_sealed_memfd("joblet-front.conf", json.data, json.len);
    if (json.data)
        explicit_bzero(json.data, json.len);
    return r < 0 ? jl_fail(e, -r, "write joblet-front's configuration") : r;
}

int jd_front_spawn(struct jl_spawn *s, pid_t *ret_pid, int *ret_pidfd, struct jl_err *e)
{
    char *envp[] = { (char *) "PATH=/usr/bin:/bin", (char *) "LANG=C.UTF-8", NULL };
    /* By descriptor: the directories above it may be closed to front's user (a tree below /root). */
    _close_ int exec_fd = open(s->path, O_PATH | O_CLOEXEC);
    int r;

    if (exec_fd < 0)
        return jl_fail_sys(e, "open", s->path, "start joblet-front");
    s->exec_fd = exec_fd;
    s->envp = envp;
    s->new_session = true; /* a terminal's ^C is for core alone */
    r = jl_spawn(s, ret_pid, ret_pidfd, e);
    if (r != -ENOENT)
        return r;
    s->exec_fd = -1; /* a script: its interpreter needs a name */
    jl_err_clear(e);
    return jl_spawn(s, ret_pid, ret_pidfd, e);
}

static int on_end(struct jl_source *src, uint32_t ready);

static int spawn(struct jd_front *f, int link, int conf, struct jl_err *e)
{
    char *argv[] = { (char *) "joblet-front", NULL };
    struct jl_spawn_fd fds[] = { { jl_log.fd, STDERR_FILENO },
                                 { link, IPC_LINK_FD },
                                 { conf, IPC_LINK_CONF_FD },
                                 { f->core->stages.dirfd, IPC_LINK_STAGING_FD } };
    struct jl_spawn s = JL_SPAWN_INIT;

    s.path = f->core->front_path;
    s.argv = argv;
    s.fds = fds;
    s.n_fds = JL_COUNT(fds);
    s.uid = f->uid;
    s.gid = f->gid;
    s.drop = geteuid() == 0;
    return jd_front_spawn(&s, &f->pid, &f->pidfd, e);
}

static int launch(struct jd_front *f, struct jl_err *e)
{
    _close_ int conf = jd_front_conf_fd(&f->core->conf, &f->core->revoked.list, e), theirs = -1;
    int pair[2], size = SOCKET_BYTES, r;

    if (conf < 0)
        return conf;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return jl_fail_sys(e, "socketpair", NULL, "start joblet-front");
    f->link = pair[0];
    theirs = pair[1];
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    if (fcntl(f->link, F_SETFL, O_NONBLOCK) < 0)
        return jl_fail_sys(e, "fcntl", NULL, "start joblet-front");
    r = spawn(f, theirs, conf, e);
    if (r < 0)
        return r;
    f->generation++;
    f->started_ns = jl_now_ns();
    f->listening = false;
    r = jl_loop_add(f->core->loop, &f->link_src, f->link, EPOLLIN, on_link);
    if (r == 0)
        r = jl_loop_add(f->core->loop, &f->pid_src, f->pidfd, EPOLLIN, on_end);
    return r < 0 ? jl_fail(e, -r, "watch joblet-front") : 0;
}

static int on_restart(struct jl_timer *t)
{
    struct jd_front *f = JL_CONTAINER(t, struct jd_front, restart);
    struct jl_err e = JL_ERR_INIT;
    uint64_t wait = BACKOFF_FIRST_NS << (f->failures < 9 ? f->failures : 9);

    if (f->ending)
        return 0;
    if (launch(f, &e) == 0)
        return 0;
    jl_log_fail(&e, "front.start", "attempt=%u", f->failures + 1);
    close_link(f);
    f->failures++;
    jl_loop_arm(f->core->loop, t, jl_now_ns() + (wait < BACKOFF_MAX_NS ? wait : BACKOFF_MAX_NS),
                on_restart);
    return 0;
}

/* It said on standard error, which is ours, why. */
static int died_at_boot(struct jd_front *f, int status)
{
    struct jl_err e = JL_ERR_INIT;

    jl_refuse(&e, EIO, "joblet-front ended with %s %d before it listened",
              WIFSIGNALED(status) ? "signal" : "status",
              WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    jl_hint(&e, "its own message is in the lines above");
    jl_log_fail(&e, "joblet.start", "address=%s port=%" PRId64, f->core->conf.server_address,
                f->core->conf.server_port);
    f->ending = true;
    return jl_loop_stop(f->core->loop, 1);
}

static int on_end(struct jl_source *src, uint32_t ready)
{
    struct jd_front *f = JL_CONTAINER(src, struct jd_front, pid_src);
    uint64_t now = jl_now_ns(), wait;
    int status = 0;
    pid_t pid = f->pid;

    (void) ready;
    waitpid(pid, &status, 0);
    jl_loop_del(f->core->loop, &f->pid_src);
    f->pidfd = jl_close(f->pidfd);
    f->pid = 0;
    close_link(f);
    if (f->ending)
        return jl_loop_stop(f->core->loop, 0);
    if (!f->announced && f->core->after_crash && now < f->first_ns + OLD_FRONT_NS) {
        jl_loop_arm(f->core->loop, &f->restart, now + BACKOFF_FIRST_NS, on_restart);
        return 0;
    }
    if (!f->announced)
        return died_at_boot(f, status);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) { /* told to, for new certificates */
        jl_log_info("front.ended", "pid=%d", (int) pid);
        jl_loop_arm(f->core->loop, &f->restart, now, on_restart);
        return 0;
    }
    f->failures = now - f->started_ns > STABLE_NS ? 0 : f->failures + 1;
    wait = f->failures == 0 ? 0 : BACKOFF_FIRST_NS << (f->failures < 9 ? f->failures - 1 : 9);
    if (wait > BACKOFF_MAX_NS)
        wait = BACKOFF_MAX_NS;
    jl_log_warn("front.died", "pid=%d %s=%d restart_ms=%" PRIu64, (int) pid,
                WIFSIGNALED(status) ? "signal" : "status",
                WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), ms(wait));
    jl_loop_arm(f->core->loop, &f->restart, now + wait, on_restart);
    return 0;
}

/* 0, or -errno with e filled. */
static int user_of_name(const char *name, uid_t *ret_uid, gid_t *ret_gid, bool *ret_own,
                        struct jl_err *e)
{
    const struct passwd *pw = getpwnam(name);

    if (pw) {
        *ret_uid = pw->pw_uid;
        *ret_gid = pw->pw_gid;
        return 0;
    }
    /* Never nobody: that one may run other programs of this host, and jobs without user namespace. */
    *ret_own = strcmp(name, JD_FRONT_USER) == 0 && !getpwuid(JD_FRONT_OWN_ID) &&
               !getgrgid(JD_FRONT_OWN_ID);
    if (*ret_own) {
        *ret_uid = JD_FRONT_OWN_ID;
        *ret_gid = JD_FRONT_OWN_ID;
        return 0;
    }
    jl_refuse(e, ENOENT, "server.frontUser: there is no user '%s'", name);
    return jl_hint(e, "useradd --system --no-create-home --shell /usr/sbin/nologin %s", name);
}

int jd_front_user(const char *name, uid_t *ret_uid, gid_t *ret_gid, bool *ret_own, struct jl_err *e)
{
    uint64_t id;
    int r;

    *ret_own = false;
    if (jl_parse_u64(name, UINT32_MAX - 1, &id) == 0) {
        *ret_uid = (uid_t) id;
        *ret_gid = (gid_t) id;
    } else {
        r = user_of_name(name, ret_uid, ret_gid, ret_own, e);
        if (r < 0)
            return r;
    }
    if (*ret_uid == 0 || *ret_gid == 0)
        return jl_refuse(e, EINVAL,
                         "server.frontUser '%s' is root: joblet-front talks to the "
                         "network and must not be",
                         name);
    return 0;
}

static int find_user(struct jd_front *f, struct jl_err *e)
{
    bool own;
    int r = jd_front_user(f->core->conf.front_user, &f->uid, &f->gid, &own, e);

    if (r == 0 && own)
        jl_log_info("front.user",
                    "there is no user '" JD_FRONT_USER "': joblet-front has the id %d",
                    JD_FRONT_OWN_ID);
    return r;
}

int jd_front_start(struct jd_core *c, struct jl_err *e)
{
    struct jd_front *f = &c->front;
    int r;

    *f = (struct jd_front){ .core = c, .pidfd = -1, .link = -1 };
    f->queue_end = &f->queue;
    f->first_ns = jl_now_ns();
    f->packet = malloc(IPC_LINK_PACKET_MAX);
    if (!f->packet)
        return jl_fail(e, ENOMEM, "start joblet-front");
    r = find_user(f, e);
    return r < 0 ? r : launch(f, e);
}

static int on_late(struct jl_timer *t)
{
    struct jd_front *f = JL_CONTAINER(t, struct jd_front, restart);

    if (f->pid > 0)
        os_pidfd_signal(f->pidfd, SIGKILL);
    return 0;
}

void jd_front_stop(struct jd_core *c, int status)
{
    struct jd_front *f = &c->front;

    f->ending = true;
    jl_loop_disarm(c->loop, &f->restart);
    if (f->pid <= 0) {
        jl_loop_stop(c->loop, status);
        return;
    }
    os_pidfd_signal(f->pidfd, SIGTERM);
    jl_loop_arm(c->loop, &f->restart, jl_now_ns() + END_WAIT_NS, on_late);
}

void jd_front_done(struct jd_core *c)
{
    struct jd_front *f = &c->front;

    if (!f->core)
        return;
    jl_loop_disarm(c->loop, &f->restart);
    close_link(f);
    if (f->pid > 0) {
        os_pidfd_signal(f->pidfd, SIGKILL);
        waitpid(f->pid, NULL, 0);
        jl_loop_del(c->loop, &f->pid_src);
        f->pidfd = jl_close(f->pidfd);
    }
    free(f->packet);
    f->packet = NULL;
    f->core = NULL;
}
