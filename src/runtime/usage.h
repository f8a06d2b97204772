/* usage.h - what a container uses, as one JSON object a line in the form of `runc events`. */
#pragma once

#include <stdint.h>

struct jl_buf;
struct jl_err;
struct os_cgroup;

/* Appends {"type":"stats","id":ID,"data":{...}} and a newline. Numbers that the host can't give are
 * left out; times are ns. 0, or -errno with e filled. */
int rt_usage_json(const struct os_cgroup *cg, const char *id, struct jl_buf *out,
                  struct jl_err *e);
