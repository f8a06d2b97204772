/* json_mem.c - see json_mem.h. */
#include "base/json_mem.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/cleanup.h"

struct jl_json_block {
    struct jl_json_block *next, **at; /* at: what points to us */
    max_align_t bytes[];
};

static struct jl_json_block *block_of(void *bytes)
{
    return JL_CONTAINER(bytes, struct jl_json_block, bytes);
}

static void *hold(struct jl_json_mem *m, struct jl_json_block *b)
{
    b->next = m->blocks;
    b->at = &m->blocks;
    if (b->next)
        b->next->at = &b->next;
    m->blocks = b;
    return b->bytes;
}

static void let_go(struct jl_json_block *b)
{
    *b->at = b->next;
    if (b->next)
        b->next->at = b->at;
}

static void *take(void *ctx, size_t size)
{
    struct jl_json_mem *m = ctx;
    struct jl_json_block *b = malloc(sizeof *b + size);

    if (!b)
        longjmp(m->out, 1);
    return hold(m, b);
}

static void *resize(void *ctx, void *bytes, size_t size)
{
    struct jl_json_mem *m = ctx;
    struct jl_json_block *b = bytes ? block_of(bytes) : NULL, *moved;

    if (!b)
        return take(ctx, size);
    let_go(b);
    moved = realloc(b, sizeof *b + size);
    if (!moved) {
        hold(m, b);
        longjmp(m->out, 1);
    }
    return hold(m, moved);
}

static void release(void *ctx, void *bytes)
{
    (void) ctx;
    if (!bytes)
        return;
    let_go(block_of(bytes));
    free(block_of(bytes));
}

void jl_json_mem_init(struct jl_json_mem *m)
{
    m->blocks = NULL;
    m->funcs = (yajl_alloc_funcs){ .malloc = take, .realloc = resize, .free = release, .ctx = m };
}

void jl_json_mem_done(struct jl_json_mem *m)
{
    while (m->blocks)
        release(m, m->blocks->bytes);
}
