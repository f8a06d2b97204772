/*
 * metricsread.h - reads one file of a job's samples, plain and perhaps still growing, or packed
 * (docs/formats/job-metrics.md). Knows neither gRPC nor core. A line that can't be a sample is
 * passed over: a core that was killed leaves half a line.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/joblet.pb-c.h"
#include "base/buf.h"
#include "base/err.h"

#define JD_METRICS_TEXT_MAX (2u << 20) /* of one file, unpacked */

struct jd_metricsread {
    int fd; /* own; -1: none is open */
    bool packed;
    uint64_t offset;    /* of the file, read so far */
    struct jl_buf text; /* read and not handed out yet, from `at` on */
    size_t at;
};

#define JD_METRICSREAD_INIT                                                                        \
    {                                                                                              \
        .fd = -1, .text = JL_BUF_INIT(JD_METRICS_TEXT_MAX)                                         \
    }

/* Takes the descriptor, and reads a packed file whole. 0, or -errno with e filled. */
int jd_metricsread_open(struct jd_metricsread *r, int own_fd, struct jl_err *e);
void jd_metricsread_close(struct jd_metricsread *r);

/* The next sample, without the job's id. 1 there is one, 0 none (yet), -errno with e filled. */
int jd_metricsread_next(struct jd_metricsread *r, Joblet__JobMetricsEvent *ret, struct jl_err *e);

/* No line will be added to this file. */
bool jd_metricsread_is_over(const struct jd_metricsread *r);

/* One line. 0 or -EINVAL. */
int jd_metrics_parse(const char *line, size_t len, Joblet__JobMetricsEvent *ret);
