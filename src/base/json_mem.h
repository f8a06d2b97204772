/*
 * json_mem.h - memory for yajl, which takes for granted that there is some: an allocation that
 * fails leaves the parser by longjmp, and everything it had is freed. For json.c alone.
 */
#pragma once

#include <setjmp.h>

#include <yajl/yajl_parse.h>

struct jl_json_block;

struct jl_json_mem {
    jmp_buf out; /* set by the caller before yajl is called; longjmp gives 1 */
    struct jl_json_block *blocks;
    yajl_alloc_funcs funcs; /* for yajl_alloc; ctx is this struct, which must not move */
};

void jl_json_mem_init(struct jl_json_mem *m);
/* Frees all that yajl has not freed itself. */
void jl_json_mem_done(struct jl_json_mem *m);
