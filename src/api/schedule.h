/*
 * schedule.h - when a job is to start, as people write it: "1hour", "2h 30min", "2025-12-25T08:00",
 * "2025-12-25 08:00:00+01:00". rnx reads what the user typed, and core what came in a request.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"

/*
 * The moment that spec means, wall clock in ns. now_ns: the present, wall clock. A time without a
 * zone is that of the process's own time zone. Up to 30 s ago is now (clocks differ); relative
 * forms are 1 second to 365 days. ret_delay_s: of a relative form, the seconds from now; else 0.
 * 0, or -EINVAL/-ERANGE with e filled.
 */
int api_schedule(const char *spec, uint64_t now_ns, uint64_t *ret_ns, uint64_t *ret_delay_s,
                 struct jl_err *e);
