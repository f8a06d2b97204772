/*
 * decode.h - the request of a plain call (one message, one answer): decoded, checked, and encoded
 * anew, so that core gets what was understood and not the client's bytes. Knows neither gRPC nor
 * core, so it is fuzzed by itself.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <protobuf-c/protobuf-c.h>

#include "base/err.h"
#include "ipc/corelink.h"

struct jd_decoded {
    char object[IPC_LINK_OBJECT_MAX]; /* what it is about, also when it is refused; maybe cut */
    uint8_t *body;                    /* own */
    size_t len;
    bool stops;        /* a StopJob: it may take longer by */
    uint64_t grace_ms; /* ... this; 0: the server's */
};

static inline void jd_decodedp(struct jd_decoded *d)
{
    free(d->body);
}
#define _decoded_ __attribute__((cleanup(jd_decodedp)))

/* method: "/joblet.JobService/StopJob". 0, or -errno with e filled: it is not one, not well
 * formed, larger than 1 MiB, or a field is wrong. */
int jd_decode(enum jd_op op, const char *method, const void *data, size_t len,
              struct jd_decoded *ret, struct jl_err *e);

/* Forgets what joblet.proto does not name, in msg and below: core gets what was understood alone.
 */
void jd_drop_unknown(ProtobufCMessage *msg);
