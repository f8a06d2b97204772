/*
 * run_check.h - a RunJobRequest as core takes it: parsed, the server's defaults filled in, checked
 * once more, and refused where a part that it needs is not built yet. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "api/joblet.pb-c.h"
#include "base/err.h"

struct jd_conf;

/* 0 and the request, the caller's for protobuf_c_message_free_unpacked; else -errno with e filled:
 * a code that api_status_of makes INVALID_ARGUMENT, or -ENOSYS for what is not built. */
int jd_run_read(const void *body, size_t len, const struct jd_conf *conf,
                Joblet__RunJobRequest **ret, struct jl_err *e);

/* Whether a directory of the job is its workspace, or in it. */
bool jd_run_in_workspace(const struct jd_conf *conf, const char *dir);
