/*
 * joblet-front - the unprivileged half of the joblet service: TLS, gRPC, roles, requests, and the
 * streaming of logs. It owns nothing and decides nothing that core does not check again. joblet
 * (core) starts it with a link on descriptor 3, its configuration on 4 and the staging root on 5,
 * starts it again when it dies, and is the only one who can: it is no use alone.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/front/front.h"
#include "daemon/front/sandbox.h"
#include "rpc/server.h"

#define DOWN_GRACE_MS 2000
#define ANSWER_MS 500 /* for the last answers to leave */
#define BIND_TRIES 15
#define BIND_WAIT_NS (100 * JL_NS_PER_MS)
#define GONE_GRACE_MS 200 /* core is gone: only time for the answers to leave */

static void begin_end(struct jd_front *front, const char *why, unsigned grace_ms)
{
    if (front->ending)
        return;
    front->ending = true;
    for (struct jd_call *c = front->calls; c; c = c->next)
        if (front->link.src.added == false || jd_call_may_end(c))
            jd_call_finish(c, API_UNAVAILABLE, why, NULL, 0);
    /* what is left at the grace's end is answered below; core's own cancelling says nothing */
    rpc_server_shutdown(front->server, grace_ms + ANSWER_MS);
}

static int down_late(struct jl_timer *timer)
{
    return jl_loop_stop(JL_CONTAINER(timer, struct jd_front, down_timer)->loop, 0);
}

/* Requests that core still has: nobody knows how they end. */
static int grace_over(struct jl_timer *timer)
{
    struct jd_front *front = JL_CONTAINER(timer, struct jd_front, down_timer);

    for (struct jd_call *c = front->calls; c; c = c->next)
        jd_call_finish(c, API_UNAVAILABLE,
                       "the server is going down; whether this was done is not known", NULL, 0);
    jl_loop_arm(front->loop, timer, jl_now_ns() + 2 * ANSWER_MS * JL_NS_PER_MS, down_late);
    return 0;
}

static void end_with(struct jd_front *front, const char *why, unsigned grace_ms)
{
    begin_end(front, why, grace_ms);
    if (rpc_server_is_down(front->server))
        jl_loop_stop(front->loop, 0);
    else
        jl_loop_arm(front->loop, &front->down_timer, jl_now_ns() + grace_ms * JL_NS_PER_MS,
                    grace_over);
}

static int on_server(struct jl_source *src, uint32_t ready)
{
    struct jd_front *front = JL_CONTAINER(src, struct jd_front, server_src);

    (void) ready;
    rpc_server_dispatch(front->server);
    if (front->ending && rpc_server_is_down(front->server))
        return jl_loop_stop(front->loop, 0);
    return 0;
}

static int on_signal(struct jl_source *src, uint32_t ready)
{
    struct jd_front *front = JL_CONTAINER(src, struct jd_front, signal_src);
    struct signalfd_siginfo info;

    (void) ready;
    if (read(src->fd, &info, sizeof info) != (ssize_t) sizeof info)
        return 0;
    jl_log_info("front.stop", "signal=%u calls=%zu", info.ssi_signo, front->n_calls[JD_POOL_CALLS]);
    end_with(front, "the server is going down", DOWN_GRACE_MS);
    return 0;
}

static void on_event(struct jd_link *link, const struct ipc_frame *event)
{
    struct jd_front *front = JL_CONTAINER(link, struct jd_front, link);
    const char *job_id = event->text;

    if (strcmp(event->text, IPC_LINK_REVOKED) == 0) {
        jd_calls_revoked(front, event);
        return;
    }
    for (struct jd_call *c = front->calls; c; c = c->next)
        if (c->kind->on_event)
            c->kind->on_event(c, job_id);
}

static void on_link_down(struct jd_link *link, const struct jl_err *e)
{
    struct jd_front *front = JL_CONTAINER(link, struct jd_front, link);

    jl_log_warn("front.link", "%s calls=%zu", e->text, front->n_calls[JD_POOL_CALLS]);
    end_with(front, "joblet core went away", GONE_GRACE_MS);
}

/* A name is looked up here: behind the sandbox there is no /etc/hosts. */
static int numeric_address(struct jd_conf *conf, struct jl_err *e)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    char text[INET6_ADDRSTRLEN];
    unsigned char binary[16];
    int r;

    if (inet_pton(AF_INET, conf->address, binary) == 1 ||
        inet_pton(AF_INET6, conf->address, binary) == 1)
        return 0;
    r = getaddrinfo(conf->address, NULL, &hints, &found);
    if (r == 0)
        r = getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, NULL, 0,
                        NI_NUMERICHOST);
    if (found)
        freeaddrinfo(found);
    if (r != 0)
        return jl_refuse(e, EADDRNOTAVAIL, "listen on '%s': %s", conf->address, gai_strerror(r));
    free(conf->address);
    conf->address = strdup(text);
    return conf->address ? 0 : jl_fail(e, ENOMEM, "listen on '%s'", text);
}

/* Each stream holds descriptors, so their number follows from what we may open. */
static void raise_limits(struct jd_front *front)
{
    struct rlimit files = { 1024, 1024 };
    rlim_t room;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files); /* the old one holds if this is refused */
        getrlimit(RLIMIT_NOFILE, &files);
    }
    room = files.rlim_cur > 2 * JD_FRONT_FDS_OTHER ? files.rlim_cur - JD_FRONT_FDS_OTHER
                                                   : files.rlim_cur / 2;
    front->max_calls[JD_POOL_CALLS] = JD_FRONT_CALLS_MAX;
    front->max_calls[JD_POOL_UPLOADS] = JD_FRONT_UPLOADS_MAX;
    front->max_calls[JD_POOL_STREAMS] = room / JD_FRONT_FDS_STREAM < JD_FRONT_STREAMS_MAX
                                            ? (size_t) room / JD_FRONT_FDS_STREAM
                                            : JD_FRONT_STREAMS_MAX;
    room -= front->max_calls[JD_POOL_STREAMS] * JD_FRONT_FDS_STREAM;
    front->conns_max = room / 2 > JD_FRONT_CONNS_MAX   ? JD_FRONT_CONNS_MAX
                       : room / 2 > JD_FRONT_CONNS_LOW ? (unsigned) room / 2
                                                       : JD_FRONT_CONNS_LOW;
}

static int staging_root(void)
{
    struct stat st;

    return fstat(IPC_LINK_STAGING_FD, &st) == 0 && S_ISDIR(st.st_mode) ? IPC_LINK_STAGING_FD : -1;
}

static int serve(struct jd_front *front, struct jl_err *e)
{
    static const struct rpc_handlers handlers = { .on_head = jd_calls_on_head,
                                                  .on_call = jd_calls_on_call,
                                                  .on_message = jd_calls_on_message,
                                                  .on_writable = jd_calls_on_writable,
                                                  .on_gone = jd_calls_on_gone,
                                                  .on_refused = jd_calls_on_refused };
    const struct jd_conf *c = &front->conf;
    const struct rpc_server_opts opts = {
        .address = c->address,
        .port = c->port,
        .tls = { c->server_cert, c->server_key, c->ca_cert },
        .max_recv_bytes = c->max_recv_bytes,
        .max_send_bytes = c->max_send_bytes,
        .max_header_bytes = c->max_header_bytes,
        .max_streams = c->max_streams,
        .keepalive_ms = c->keepalive_ms,
        .keepalive_timeout_ms = c->keepalive_timeout_ms,
        .handshake_timeout_ms = c->connection_timeout_ms,
        .idle_ms = c->max_idle_ms,
        .age_ms = c->max_age_ms,
        .max_conns = front->conns_max,
        .max_conns_host = JD_FRONT_SHARE(front->conns_max),
        .max_conns_client = JD_FRONT_SHARE(front->conns_max),
        .max_strangers_host = JD_FRONT_STRANGERS_HOST,
        .max_intake = JD_FRONT_INTAKE_MAX,
        .max_outgo = JD_FRONT_OUTGO_MAX,
        .reply_timeout_ms = JD_FRONT_PATIENCE * c->timeout_ms,
        /* age_grace_ms stays 0, never: a long log stream must not be cut (api.md, transport) */
    };
    int r;

    /* A front whose core was killed gives the port back when it notices; that may be just now. */
    for (int tries = 0;; tries++) {
        r = rpc_server_new(&opts, &handlers, front, &front->server, e);
        if (r != -EADDRINUSE || tries == BIND_TRIES)
            break;
        jl_err_clear(e);
        jl_sleep_ns(BIND_WAIT_NS);
    }
    if (r < 0)
        return r;
    jd_conf_forget_key(&front->conf);
    r = jd_sandbox_calls(e);
    if (r < 0)
        return r;
    r = jl_loop_add(front->loop, &front->server_src, rpc_server_fd(front->server), EPOLLIN,
                    on_server);
    return r < 0 ? jl_fail(e, -r, "watch the server") : 0;
}

static int listen_on_signals(struct jd_front *front, struct jl_err *e)
{
    sigset_t set;
    int fd;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    fd = jl_signalfd(&set); /* before the threads: they inherit the mask */
    if (fd < 0)
        return jl_fail(e, -fd, "wait for signals");
    fd = jl_loop_add(front->loop, &front->signal_src, fd, EPOLLIN, on_signal);
    return fd < 0 ? jl_fail(e, -fd, "wait for signals") : 0;
}

static int announce(struct jd_front *front, int landlock, struct jl_err *e)
{
    const struct jd_conf *c = &front->conf;
    bool six = strchr(c->address, ':') != NULL;
    char text[IPC_LINK_TEXT_MAX];

    snprintf(text, sizeof text, "listening %s%s%s:%u", six ? "[" : "", c->address, six ? "]" : "",
             rpc_server_port(front->server));
    jl_log_info("front.listen", "address=%s landlock=%d version=%s", text + strlen("listening "),
                landlock, c->version);
    return jd_link_tell(&front->link, text, e);
}

static int start(struct jd_front *front, struct jl_err *e)
{
    int landlock = 0, r;

    if (getuid() == 0 || geteuid() == 0)
        return jl_refuse(e, EPERM,
                         "joblet-front does not run as root; joblet starts it as "
                         "server.frontUser");
    umask(0022);
    raise_limits(front);
    r = jd_conf_read(&front->conf, IPC_LINK_CONF_FD, e);
    if (r < 0)
        return jl_hint(e, "joblet starts joblet-front; it is no use alone");
    jl_close(IPC_LINK_CONF_FD);
    jl_log.level = front->conf.log_level;
    jl_log.json = front->conf.log_json;
    front->loop = jl_loop_new();
    if (!front->loop)
        return jl_fail(e, errno, "make the event loop");
    r = numeric_address(&front->conf, e);
    if (r == 0)
        r = listen_on_signals(front, e);
    front->link.on_event = on_event;
    front->link.on_down = on_link_down;
    if (r == 0)
        r = jd_link_init(&front->link, front->loop, IPC_LINK_FD, e);
    if (r == 0)
        r = jd_sandbox_files(staging_root(), front->conf.port, &landlock, e);
    if (r == 0)
        r = serve(front, e);
    if (r < 0)
        return r;
    if (staging_root() < 0)
        jl_log_warn("front.sandbox",
                    "core passed no staging root (descriptor %d): uploads will fail",
                    IPC_LINK_STAGING_FD);
    if (landlock == 0)
        jl_log_warn("front.sandbox", "this kernel has no Landlock; seccomp and the unprivileged "
                                     "user alone keep joblet-front from files");
    return announce(front, landlock, e);
}

/* For core, which asks before it changes certificates: the reason, in a line, or nothing. */
static int check(void)
{
    struct jl_err e = JL_ERR_INIT;
    struct jd_conf conf;
    int r = jd_conf_read(&conf, IPC_LINK_CONF_FD, &e);

    if (r == 0) {
        r = rpc_tls_check(&(struct rpc_tls){ conf.server_cert, conf.server_key, conf.ca_cert },
                          "server", &e);
        jd_conf_done(&conf);
    }
    if (r < 0)
        printf("%s\n", e.text);
    return r < 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
    static struct jd_front front;
    struct jl_err e = JL_ERR_INIT;
    int r;

    jl_log.program = "joblet-front";
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("joblet-front version %s\ncommit: %s\n", PACKAGE_VERSION, JOBLET_COMMIT);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--check") == 0)
        return check();
    if (argc > 1) {
        fprintf(stderr, "joblet-front: it takes no arguments; joblet starts it (see joblet(8))\n");
        return 1;
    }
    r = start(&front, &e);
    if (r == 0)
        r = jl_loop_run(front.loop);
    else
        jl_log_fail(&e, "front.start", "%s", "");
    rpc_server_free(front.server);
    return r < 0 ? 1 : 0;
}
