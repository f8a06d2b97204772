/* arena.c - see arena.h. */
#include "daemon/core/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct jd_arena_block {
    struct jd_arena_block *next;
    _Alignas(max_align_t) unsigned char data[];
};

void *jd_arena_get(struct jd_arena *a, size_t size)
{
    struct jd_arena_block *b;

    if (a->failed || size > SIZE_MAX / 2)
        return NULL;
    b = calloc(1, sizeof *b + size);
    if (!b) {
        a->failed = true;
        return NULL;
    }
    b->next = a->blocks;
    a->blocks = b;
    return b->data;
}

char *jd_arena_format(struct jd_arena *a, const char *fmt, ...)
{
    va_list ap, again;
    char *s = NULL;
    int n;

    va_start(ap, fmt);
    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, ap);
    if (n >= 0)
        s = jd_arena_get(a, (size_t) n + 1);
    if (s)
        vsnprintf(s, (size_t) n + 1, fmt, again);
    va_end(again);
    va_end(ap);
    return s;
}

bool jd_arena_failed(const struct jd_arena *a)
{
    return a->failed;
}

void jd_arena_free(struct jd_arena *a)
{
    while (a->blocks) {
        struct jd_arena_block *b = a->blocks;

        a->blocks = b->next;
        free(b);
    }
    a->failed = false;
}
