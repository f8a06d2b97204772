/* check.h - `joblet --check`: this host against this configuration. */
#pragma once

struct jd_conf;

/* Prints a line an item, with the fix where something is missing. 0 all is well, 1 a job would
 * not run. Changes nothing on the host. */
int jd_check(const struct jd_conf *conf);
