/*
 * buf.h - growable bytes; each buffer is born with its ceiling, so that input cannot eat memory.
 * The contents always end in a NUL that is not counted, so `data` can be read as a string.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>

struct jl_buf {
    char *data;  /* NULL until something is added */
    size_t len;  /* bytes, without the NUL */
    size_t size; /* bytes allocated */
    size_t max;  /* ceiling for len, bytes */
};

/* clang-format off */
#define JL_BUF_INIT(ceiling) { .max = (ceiling) }
/* clang-format on */

/* Frees the contents; the buffer can be used again. */
void jl_buf_clear(struct jl_buf *b);

/* Makes room for `more` further bytes. 0, -ENOMEM, or -EMSGSIZE when the ceiling would break. */
int jl_buf_reserve(struct jl_buf *b, size_t more);

/* Appends bytes, a string, one byte, formatted text. 0, -ENOMEM or -EMSGSIZE; unchanged then. */
int jl_buf_add(struct jl_buf *b, const void *data, size_t len);
int jl_buf_puts(struct jl_buf *b, const char *s);
int jl_buf_putc(struct jl_buf *b, char c);
int jl_buf_printf(struct jl_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int jl_buf_vprintf(struct jl_buf *b, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

/* Hands the contents to the caller, who frees them. NULL when empty and nothing was allocated. */
char *jl_buf_take(struct jl_buf *b);

#define _buf_ __attribute__((cleanup(jl_buf_clear)))
