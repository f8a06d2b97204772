/* sweep.h - what belongs to no job, or to one that has ended, is removed: at start and every five
 * minutes. Ended jobs over the retention limits go with it. */
#pragma once

struct jd_core;
struct jl_err;

/* Whether a start without records may go on: not if there are jobs, which a sweep would end. 0, or
 * -EEXIST with e filled. */
int jd_sweep_check_new(const struct jd_core *c, struct jl_err *e);

void jd_sweep(struct jd_core *c);
