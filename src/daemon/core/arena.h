/*
 * arena.h - memory that is freed all at once: what a spec is built from. A failed allocation
 * sticks: later calls give NULL, and jd_arena_failed tells, so that builders check once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct jd_arena_block;

struct jd_arena {
    struct jd_arena_block *blocks;
    bool failed;
};

#define JD_ARENA_INIT                                                                              \
    {                                                                                              \
        0                                                                                          \
    }

void *jd_arena_get(struct jd_arena *a, size_t size); /* zeroed and aligned, or NULL */
char *jd_arena_format(struct jd_arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
bool jd_arena_failed(const struct jd_arena *a);
void jd_arena_free(struct jd_arena *a);

#define _arena_ __attribute__((cleanup(jd_arena_free)))
