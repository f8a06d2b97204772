/*
 * logs.h - a job's log on standard output, as `job log` and `run --wait` show it. When the server
 * goes away in the middle it is called again, and the log goes on at the next record: every byte is
 * printed once and in order.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct rnx;

struct rnx_log_opts {
    bool follow;
    bool timestamps;  /* each line begins with the time it was written */
    int64_t tail;     /* the last N lines only; 0: everything */
    bool established; /* the server was there a moment ago: a refused connection is worth waiting */
};

/* Streams until the log ends. 0 the end; 1 a signal came; -errno with e filled (-EPIPE: nobody
 * reads our output any more). Call rnx_catch_signals first. */
int rnx_log_stream(struct rnx *x, const char *id, const struct rnx_log_opts *o, struct jl_err *e);
