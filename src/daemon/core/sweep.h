/* sweep.h - what belongs to no job, or to one that has ended, is removed: at start and every five
 * minutes. Ended jobs over the retention limits go with it. */
#pragma once

struct jd_core;

void jd_sweep(struct jd_core *c);
