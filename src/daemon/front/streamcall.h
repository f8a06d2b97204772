/*
 * streamcall.h - a stream that asks core again and again and sends what it hears, one message at a time:
 * what the streams of metrics have in common.
 */
#pragma once

#include "daemon/front/front.h"

struct jd_streamcall;
typedef void (*jd_streamcall_reply_fn)(struct jd_streamcall *s, struct ipc_frame *reply);

struct jd_streamcall {
    struct jd_call call;
    struct jd_link_req req;
    struct jl_timer timer; /* jd_streamcall_wait; while core is asked: the end of patience */
    jd_streamcall_reply_fn on_reply;
    bool in_flight; /* the client has not taken the last message */
};

/* The client's request of this type, to be freed by the caller; the message itself is dropped. 0, or
 * -errno with e filled. */
int jd_streamcall_read(struct jd_streamcall *s, const ProtobufCMessageDescriptor *type,
                       ProtobufCMessage **ret, struct jl_err *e);

/* Asks core; on_reply gets the answer. A core that is late, or can't be asked, ends the call. */
void jd_streamcall_ask(struct jd_streamcall *s, struct ipc_frame *f);
void jd_streamcall_wait(struct jd_streamcall *s, uint64_t due_ns, jl_timer_fn fn);
void jd_streamcall_send(struct jd_streamcall *s, const void *data, size_t len);

void jd_streamcall_finish(struct jd_streamcall *s);
void jd_streamcall_fail(struct jd_streamcall *s, const struct jl_err *e);
/* Ends what is under way, before the owner is freed. */
void jd_streamcall_end(struct jd_streamcall *s);
