/* err.c - see err.h. */
#include "base/err.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Bytes that could move a terminal's cursor or break a log line are shown as '?'. */
static void tame(char *s)
{
    for (; *s != '\0'; s++)
        if ((unsigned char) *s < 0x20 || *s == 0x7f)
            *s = '?';
}

static void put_word(char *dst, size_t size, const char *src)
{
    snprintf(dst, size, "%s", src ? src : "");
    tame(dst);
}

static void set_text(struct jl_err *e, int code, const char *fmt, va_list ap)
{
    jl_err_clear(e);
    e->code = code > 0 ? code : EIO;
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    tame(e->text);
}

static void append(char *text, size_t size, const char *a, const char *b)
{
    size_t len = strlen(text);

    if (len < size - 1)
        snprintf(text + len, size - len, "%s%s", a, b);
}

int jl_fail(struct jl_err *e, int code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set_text(e, code, fmt, ap);
    va_end(ap);
    append(e->text, sizeof e->text, ": ", strerror(e->code));
    return -e->code;
}

int jl_refuse(struct jl_err *e, int code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    set_text(e, code, fmt, ap);
    va_end(ap);
    return -e->code;
}

int jl_fail_sys(struct jl_err *e, const char *syscall, const char *object, const char *fmt, ...)
{
    int code = errno;
    va_list ap;

    va_start(ap, fmt);
    set_text(e, code, fmt, ap);
    va_end(ap);
    put_word(e->syscall, sizeof e->syscall, syscall);
    put_word(e->object, sizeof e->object, object);
    append(e->text, sizeof e->text, ": ", e->syscall);
    if (e->object[0] != '\0') {
        append(e->text, sizeof e->text, " '", e->object);
        append(e->text, sizeof e->text, "'", "");
    }
    append(e->text, sizeof e->text, ": ", strerror(e->code));
    return -e->code;
}

int jl_wrap(struct jl_err *e, const char *fmt, ...)
{
    char old[JL_ERR_TEXT_MAX];
    va_list ap;

    assert(e->code > 0);
    memcpy(old, e->text, sizeof old);
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    tame(e->text);
    append(e->text, sizeof e->text, ": ", old);
    return -e->code;
}

int jl_phase(struct jl_err *e, const char *phase)
{
    assert(e->code > 0);
    if (e->phase[0] == '\0')
        put_word(e->phase, sizeof e->phase, phase);
    return -e->code;
}

int jl_hint(struct jl_err *e, const char *fmt, ...)
{
    va_list ap;

    assert(e->code > 0);
    va_start(ap, fmt);
    vsnprintf(e->hint, sizeof e->hint, fmt, ap);
    va_end(ap);
    tame(e->hint);
    return -e->code;
}

void jl_err_clear(struct jl_err *e)
{
    memset(e, 0, sizeof *e);
}
