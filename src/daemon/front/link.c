#include "daemon/front/link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/cleanup.h"

struct jd_link_queued {
    struct jd_link_queued *next;
    struct ipc_frame frame; /* body points behind the struct; requests carry no descriptors */
    uint8_t body[];
};

static struct jd_link_req **bucket(struct jd_link *link, uint64_t id)
{
    return &link->waiting[id % JD_LINK_BUCKETS];
}

/* Takes the request with this id out of the table. */
static struct jd_link_req *take_waiting(struct jd_link *link, uint64_t id)
{
    for (struct jd_link_req **at = bucket(link, id); *at; at = &(*at)->next)
        if ((*at)->id == id) {
            struct jd_link_req *req = *at;

            *at = req->next;
            req->next = NULL;
            req->id = 0;
            link->n_waiting--;
            return req;
        }
    return NULL;
}

void jd_link_forget(struct jd_link *link, struct jd_link_req *req)
{
    if (req->id != 0)
        take_waiting(link, req->id);
}

static void broken(struct jd_link *link, const struct jl_err *e)
{
    if (!link->src.added)
        return; /* told already */
    jl_loop_del(link->loop, &link->src);
    link->on_down(link, e);
}

static void drop_first(struct jd_link *link)
{
    struct jd_link_queued *q = link->queue;

    link->queue = q->next;
    if (!link->queue)
        link->queue_end = &link->queue;
    link->queue_bytes -= q->frame.body_len;
    link->queue_frames--;
    free(q);
}

/* 0, or -errno of a broken link. */
static int flush(struct jd_link *link, struct jl_err *e)
{
    while (link->queue) {
        int r = ipc_link_send(link->sock, &link->queue->frame, e);

        if (r == -EAGAIN)
            return 0;
        if (r < 0)
            return r;
        drop_first(link);
    }
    jl_loop_change(link->loop, &link->src, EPOLLIN);
    return 0;
}

static int enqueue(struct jd_link *link, const struct ipc_frame *f, struct jl_err *e)
{
    struct jd_link_queued *q;

    if (link->queue_frames >= JD_LINK_QUEUE_FRAMES ||
        link->queue_bytes + f->body_len > JD_LINK_QUEUE_BYTES)
        return jl_refuse(e, EAGAIN, "the server is busy: %zu requests wait for joblet core",
                         link->queue_frames);
    q = malloc(sizeof *q + f->body_len);
    if (!q)
        return jl_fail(e, ENOMEM, "queue a request");
    q->next = NULL;
    q->frame = *f;
    if (f->body_len > 0)
        memcpy(q->body, f->body, f->body_len);
    q->frame.body = q->body;
    *link->queue_end = q;
    link->queue_end = &q->next;
    link->queue_bytes += f->body_len;
    link->queue_frames++;
    jl_loop_change(link->loop, &link->src, EPOLLIN | EPOLLOUT);
    return 0;
}

static int send_frame(struct jd_link *link, const struct ipc_frame *f, struct jl_err *e)
{
    int r;

    if (!link->src.added)
        return jl_refuse(e, EPIPE, "joblet core went away");
    if (link->queue)
        return enqueue(link, f, e); /* keeps the order */
    r = ipc_link_send(link->sock, f, e);
    if (r == -EAGAIN) {
        jl_err_clear(e);
        return enqueue(link, f, e);
    }
    return r; /* a broken link is noticed by the loop: it is readable then */
}

int jd_link_ask(struct jd_link *link, struct ipc_frame *f, struct jd_link_req *req,
                jd_link_reply_fn fn, struct jl_err *e)
{
    int r;

    f->type = IPC_LINK_REQUEST;
    f->id = ++link->last_id;
    r = send_frame(link, f, e);
    if (r < 0 || !req)
        return r;
    req->id = f->id;
    req->fn = fn;
    req->next = *bucket(link, f->id);
    *bucket(link, f->id) = req;
    link->n_waiting++;
    return 0;
}

int jd_link_tell(struct jd_link *link, const char *text, struct jl_err *e)
{
    struct ipc_frame f = { .type = IPC_LINK_EVENT };

    snprintf(f.text, sizeof f.text, "%s", text);
    return send_frame(link, &f, e);
}

static void deliver(struct jd_link *link, struct ipc_received *got)
{
    struct jd_link_req *req;

    switch (got->frame.type) {
    case IPC_LINK_EVENT:
        link->on_event(link, &got->frame);
        break;
    case IPC_LINK_REPLY:
        req = take_waiting(link, got->frame.id);
        if (req)
            req->fn(req, got);
        break;
    case IPC_LINK_REQUEST: /* core asks nothing of front */
        break;
    }
}

static int on_ready(struct jl_source *src, uint32_t ready)
{
    struct jd_link *link = JL_CONTAINER(src, struct jd_link, src);
    struct jl_err e = JL_ERR_INIT;

    if (ready & EPOLLOUT && flush(link, &e) < 0) {
        broken(link, &e);
        return 0;
    }
    for (int n = 0; n < JD_LINK_TURN && link->src.added; n++) {
        struct ipc_received got;
        int r = ipc_link_recv(link->sock, link->packet, &got, &e);

        if (r == -EAGAIN)
            return 0;
        if (r <= 0) {
            if (r == 0)
                jl_refuse(&e, EPIPE, "joblet core closed the link");
            broken(link, &e);
            return 0;
        }
        deliver(link, &got);
        ipc_link_done(&got);
    }
    return 0;
}

int jd_link_init(struct jd_link *link, struct jl_loop *loop, int sock, struct jl_err *e)
{
    int flags = fcntl(sock, F_GETFL), r;

    if (flags < 0 || fcntl(sock, F_SETFL, flags | O_NONBLOCK) < 0)
        return jl_fail(e, errno, "descriptor %d is not the link to joblet core", sock);
    link->packet = malloc(IPC_LINK_PACKET_MAX);
    if (!link->packet)
        return jl_fail(e, ENOMEM, "open the link to core");
    link->loop = loop;
    link->sock = sock;
    link->queue_end = &link->queue;
    r = jl_loop_add(loop, &link->src, sock, EPOLLIN, on_ready);
    if (r < 0) {
        free(jl_take_ptr(link->packet));
        return jl_fail(e, -r, "watch the link to core");
    }
    return 0;
}
