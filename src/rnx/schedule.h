/*
 * schedule.h - --schedule: "1hour", "2h 30min", "2025-12-25T08:00", "2025-12-25 08:00:00+01:00".
 */
#pragma once

#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"

/*
 * The moment that spec means, as RFC 3339 in UTC. now_ns: the present, wall clock. A time without a
 * zone is the user's local time. Up to 30 s ago is now (clocks differ); relative forms are 1 second
 * to 365 days. 0, or -EINVAL/-ERANGE with e filled.
 */
int rnx_schedule(const char *spec, uint64_t now_ns, char out[JL_RFC3339_MAX], struct jl_err *e);
