/*
 * parse.h - numbers, sizes, durations and lists from text, strictly: the whole string, in
 * range, or a refusal. No locale, no leading blanks, no silent overflow.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A decimal integer with lo <= value <= hi. 0, -EINVAL (not a number) or -ERANGE. */
int jl_parse_i64(const char *s, int64_t lo, int64_t hi, int64_t *ret_value);

/* An unsigned decimal integer of at most hi. Same answers. */
int jl_parse_u64(const char *s, uint64_t hi, uint64_t *ret_value);

/*
 * A size: number (a fraction is allowed) and an optional unit B, KB, MB, GB, TB (also K, KiB, ...;
 * any case), all 1024-based. Bytes; what is more than 0 and less than one is no size. 0, -EINVAL or
 * -ERANGE.
 */
int jl_parse_size(const char *s, uint64_t *ret_bytes);

/*
 * A duration: groups of integer and unit (ms, s, m, h, d), as "10s", "1h30m", "100ms"; "0" alone
 * is 0. Nanoseconds. 0, -EINVAL or -ERANGE.
 */
int jl_parse_duration(const char *s, uint64_t *ret_ns);

/* "true" or "false" (also yes/no, on/off), any case. 0 or -EINVAL. */
int jl_parse_bool(const char *s, bool *ret_value);

/*
 * A list of cpus or memory nodes as the kernel writes it, "0-3,6": checks the form and finds the
 * highest number. At most 8192. 0, -EINVAL or -ERANGE. Source: cpuset(7), "List format".
 */
int jl_parse_cpulist(const char *s, unsigned *ret_highest);

/* Numbers 0 to 8191 as bits, in the layout of the kernel's masks on a 64-bit machine. */
#define JL_NUMSET_BITS 8192
struct jl_numset {
    uint64_t bits[JL_NUMSET_BITS / 64];
};

/* The same list as a set. 0, -EINVAL or -ERANGE; *ret is complete only with 0. */
int jl_parse_numset(const char *s, struct jl_numset *ret);
bool jl_numset_equal(const struct jl_numset *a, const struct jl_numset *b);
size_t jl_numset_count(const struct jl_numset *s);
