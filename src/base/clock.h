/*
 * clock.h - time. `_ns` is CLOCK_MONOTONIC unless the name says wall. Nothing blocks but
 * jl_sleep_ns.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define JL_NS_PER_MS UINT64_C(1000000)
#define JL_NS_PER_S UINT64_C(1000000000)

uint64_t jl_now_ns(void);      /* CLOCK_MONOTONIC */
uint64_t jl_wall_ns(void);     /* CLOCK_REALTIME, since 1970 */
uint64_t jl_boot_ns(void);     /* CLOCK_BOOTTIME: goes on while the machine sleeps, is never set */
void jl_sleep_ns(uint64_t ns); /* blocks; restarts on EINTR */

#define JL_RFC3339_MAX 40

/* wall_ns as RFC 3339 in UTC, with `digits` (0 to 9) of the fraction. buf holds JL_RFC3339_MAX.
 * Returns buf. */
char *jl_rfc3339(uint64_t wall_ns, unsigned digits, char *buf);

/* A duration for people: 12.3s, 4.5m, 2h, 2h30m, 3d, 3d4h. Returns buf. */
char *jl_duration_text(uint64_t ns, char *buf, size_t size);

/* Parses RFC 3339 (zone required). 0, -EINVAL or -ERANGE. */
int jl_parse_rfc3339(const char *s, uint64_t *ret_wall_ns);
