/*
 * fake_clock.h - the clocks of a test that sets them. Its program is linked with $(FAKE_CLOCK), so
 * that what it tests reads these.
 */
#pragma once

#include <stdint.h>

static uint64_t fake_now_ns, fake_wall_ns; /* CLOCK_BOOTTIME is as CLOCK_MONOTONIC: no sleep */

uint64_t __wrap_jl_now_ns(void);
uint64_t __wrap_jl_wall_ns(void);
uint64_t __wrap_jl_boot_ns(void);

uint64_t __wrap_jl_now_ns(void)
{
    return fake_now_ns;
}

uint64_t __wrap_jl_wall_ns(void)
{
    return fake_wall_ns;
}

uint64_t __wrap_jl_boot_ns(void)
{
    return fake_now_ns;
}

/* Time passes; and somebody sets the clock. */
static inline void fake_pass(uint64_t ns)
{
    fake_now_ns += ns;
    fake_wall_ns += ns;
}

static inline void fake_set(int64_t by_ns)
{
    fake_wall_ns += (uint64_t) by_ns;
}
