/*
 * many.h - commands that take several job ids and ask the server the same about each: all are tried;
 * with --json the answers come as one document, or as an array of them when there were several ids.
 */
#pragma once

#include "api/joblet.pb-c.h"
#include "base/err.h"
#include "base/json.h"
#include "rnx/cmd.h"

/* What is asked about one job, and how the answer is shown. */
struct rnx_ask {
    const char *method;
    const ProtobufCMessage *request;
    char **id; /* the request's field for it */
    const ProtobufCMessageDescriptor *reply;
    uint64_t timeout_ns; /* 0: the usual one */
    void (*put_json)(struct jl_json_out *w, const ProtobufCMessage *reply);
    void (*print_text)(const struct rnx *x, const ProtobufCMessage *reply);
};

/* A whole command: parses argv, asks about each id. Exit status: 0, 1 when one of several failed
 * (told on standard error); or -errno with e filled. */
int rnx_ask_each(struct rnx *x, int argc, char **argv, const struct rnx_ask *ask, struct jl_err *e);
