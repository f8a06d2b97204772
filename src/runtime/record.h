/*
 * record.h - the file `record` of a container's state: its text, and reading it back. For state.c;
 * docs/formats/runtime-state.md has the format. What is added to it later is in state.h.
 */
#pragma once

#include <stddef.h>

#include "runtime/state.h"

struct jl_buf;
struct jl_err;

#define RT_RECORD_MAX ((size_t) 16 << 20) /* some lines, and a config.json of 8 MiB at most */

/* The first line, the intent. 0, or -errno with e filled. */
int rt_record_text(const struct rt_state *s, struct jl_buf *out, struct jl_err *e);

/* Makes the file in s->dirfd: this line and s->config. It stays open and locked in s->record. 0, or
 * -errno with e filled. */
int rt_record_write(struct rt_state *s, const struct jl_buf *head, struct jl_err *e);

/* Reads what is in s->dirfd; none is no error. 0, or -errno with e filled. */
int rt_record_read(struct rt_state *s, struct jl_err *e);
