/*
 * link.h - front's end of the link to core: requests go out in order, replies are brought to
 * whoever asked, events to one listener. Never blocks: what the socket does not take waits in a
 * queue with a ceiling.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/loop.h"
#include "ipc/corelink.h"

#define JD_LINK_QUEUE_BYTES (64u << 20) /* bodies that wait for the socket, all together */
#define JD_LINK_QUEUE_FRAMES 4096
#define JD_LINK_BUCKETS 256
#define JD_LINK_TURN 64 /* frames read before others get their turn */

struct jd_link;
struct jd_link_req;

/* The reply; the callee may take descriptors out of r->frame.fds (set them to -1). The request is
 * over before this is called, so the callee may send another one or free its owner. */
typedef void (*jd_link_reply_fn)(struct jd_link_req *req, struct ipc_received *r);

/* A request on its way. Sits inside its owner; id 0: none. */
struct jd_link_req {
    uint64_t id;
    jd_link_reply_fn fn;
    struct jd_link_req *next;
};

struct jd_link_queued;

struct jd_link {
    struct jl_loop *loop;
    int sock;
    struct jl_source src;
    uint64_t last_id;
    struct jd_link_req *waiting[JD_LINK_BUCKETS];
    size_t n_waiting;
    struct jd_link_queued *queue, **queue_end;
    size_t queue_bytes, queue_frames;
    uint8_t *packet;
    void (*on_event)(struct jd_link *link, const struct ipc_frame *event);
    void (*on_down)(struct jd_link *link, const struct jl_err *e); /* once: core is gone */
};

/* sock is borrowed and made non-blocking. 0 or -errno with e filled. */
int jd_link_init(struct jd_link *link, struct jl_loop *loop, int sock, struct jl_err *e);

/* Sends f (type and id are set here) and remembers req until its reply; req NULL: the reply is not
 * wanted. Borrows f. 0; -EAGAIN when too much is waiting already, or another -errno: e filled, req
 * is idle and on_down follows if the link is broken. */
int jd_link_ask(struct jd_link *link, struct ipc_frame *f, struct jd_link_req *req,
                jd_link_reply_fn fn, struct jl_err *e);

/* The reply is no longer wanted; it is dropped when it comes. Idle requests are fine. */
void jd_link_forget(struct jd_link *link, struct jd_link_req *req);

/* A word of front's own to core. */
int jd_link_tell(struct jd_link *link, const char *text, struct jl_err *e);
