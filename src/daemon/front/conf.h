/*
 * conf.h - what core tells front at its start: one JSON object in a sealed memfd (descriptor 4).
 * Core has checked the values; front checks that they are there and of their kind.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/log.h"
#include "ipc/revoked.h"

#define JD_CONF_BYTES_MAX (4u << 20)

struct jd_conf {
    char *address, *server_cert, *server_key, *ca_cert; /* own; certificates are PEM text */
    char *node_id, *version;                            /* own; may be empty */
    uint16_t port;
    unsigned max_recv_bytes, max_send_bytes, max_header_bytes, max_streams;
    unsigned keepalive_ms, keepalive_timeout_ms, connection_timeout_ms;
    unsigned max_idle_ms, max_age_ms, max_age_grace_ms;
    unsigned timeout_ms;    /* one request */
    unsigned stop_grace_ms; /* StopJob's when the client names none; 0 when core does not tell */
    unsigned chunk_bytes;   /* largest piece of log sent at once */
    struct ipc_revoked revoked; /* certificates that are refused */
    enum jl_log_level log_level;
    bool log_json;
};

/* Reads the object from fd. 0, or -errno with e filled. */
int jd_conf_read(struct jd_conf *conf, int fd, struct jl_err *e);
/* Wipes the key, which nobody needs once the server has it. */
void jd_conf_forget_key(struct jd_conf *conf);
void jd_conf_done(struct jd_conf *conf);
