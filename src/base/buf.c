/* buf.c - see buf.h. */
#include "base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void jl_buf_clear(struct jl_buf *b)
{
    free(b->data);
    b->data = NULL;
    b->len = b->size = 0;
}

int jl_buf_reserve(struct jl_buf *b, size_t more)
{
    size_t want, size;
    char *p;

    if (more > b->max || b->len > b->max - more)
        return -EMSGSIZE;
    want = b->len + more + 1;
    if (want <= b->size)
        return 0;
    size = b->size ? b->size : 64;
    while (size < want)
        size *= 2;
    p = realloc(b->data, size);
    if (!p)
        return -ENOMEM;
    b->data = p;
    b->size = size;
    b->data[b->len] = '\0';
    return 0;
}

int jl_buf_add(struct jl_buf *b, const void *data, size_t len)
{
    int r = jl_buf_reserve(b, len);

    if (r < 0)
        return r;
    if (len > 0)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
    return 0;
}

int jl_buf_puts(struct jl_buf *b, const char *s)
{
    return jl_buf_add(b, s, strlen(s));
}

int jl_buf_putc(struct jl_buf *b, char c)
{
    return jl_buf_add(b, &c, 1);
}

int jl_buf_vprintf(struct jl_buf *b, const char *fmt, va_list ap)
{
    va_list again;
    int n, r;

    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (n < 0)
        return -EINVAL;
    r = jl_buf_reserve(b, (size_t) n);
    if (r < 0)
        return r;
    vsnprintf(b->data + b->len, (size_t) n + 1, fmt, ap);
    b->len += (size_t) n;
    return 0;
}

int jl_buf_printf(struct jl_buf *b, const char *fmt, ...)
{
    va_list ap;
    int r;

    va_start(ap, fmt);
    r = jl_buf_vprintf(b, fmt, ap);
    va_end(ap);
    return r;
}

char *jl_buf_take(struct jl_buf *b)
{
    char *p = b->data;

    b->data = NULL;
    b->len = b->size = 0;
    return p;
}
