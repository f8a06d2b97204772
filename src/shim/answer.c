/* answer.c - see answer.h. */
#include "shim/answer.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

/* A line that is being read; `p` never passes `end`. */
struct cursor {
    const char *p, *end;
};

static void blanks(struct cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\r'))
        c->p++;
}

static bool eat(struct cursor *c, char want)
{
    blanks(c);
    if (c->p == c->end || *c->p != want)
        return false;
    c->p++;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The four digits behind \u as UTF-8; a half of a surrogate pair becomes '?'. */
static int unicode(struct cursor *c, char out[4])
{
    unsigned v = 0;

    if (c->end - c->p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(*c->p++);

        if (digit < 0)
            return -1;
        v = v << 4 | (unsigned) digit;
    }
    if (v >= 0xd800 && v < 0xe000)
        v = '?';
    if (v < 0x80) {
        out[0] = (char) v;
        return 1;
    }
    if (v < 0x800) {
        out[0] = (char) (0xc0 | v >> 6);
        out[1] = (char) (0x80 | (v & 0x3f));
        return 2;
    }
    out[0] = (char) (0xe0 | v >> 12);
    out[1] = (char) (0x80 | (v >> 6 & 0x3f));
    out[2] = (char) (0x80 | (v & 0x3f));
    return 3;
}

/* One character behind a backslash. Bytes in out, or -1. */
static int escaped(struct cursor *c, char out[4])
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *at;

    if (c->p == c->end)
        return -1;
    if (*c->p == 'u') {
        c->p++;
        return unicode(c, out);
    }
    at = *c->p != '\0' ? strchr(from, *c->p) : NULL;
    if (!at)
        return -1;
    c->p++;
    out[0] = to[at - from];
    return 1;
}

/* A JSON string into buf, cut to its size; what could break a line becomes a blank. */
static bool string(struct cursor *c, char *buf, size_t size)
{
    size_t n = 0;

    if (!eat(c, '"'))
        return false;
    while (c->p < c->end && *c->p != '"') {
        char bytes[4];
        int count = 1;

        bytes[0] = *c->p++;
        if (bytes[0] == '\\')
            count = escaped(c, bytes);
        if (count < 0)
            return false;
        for (int i = 0; i < count; i++) {
            unsigned char b = (unsigned char) bytes[i];

            if (n + 1 < size)
                buf[n++] = b < 0x20 || b == 0x7f ? ' ' : (char) b;
        }
    }
    buf[n] = '\0';
    return eat(c, '"');
}

/* A number, true, false or null; objects and lists are not expected and end the line. */
static bool scalar(struct cursor *c, char *buf, size_t size)
{
    size_t n = 0;

    blanks(c);
    while (c->p < c->end && (strchr("+-.", *c->p) || (*c->p >= '0' && *c->p <= '9') ||
                             (*c->p >= 'a' && *c->p <= 'z') || *c->p == 'E')) {
        if (*c->p == '\0')
            break;
        if (n + 1 < size)
            buf[n++] = *c->p;
        c->p++;
    }
    buf[n] = '\0';
    return n > 0;
}

static void copy(char *dst, size_t size, const char *src)
{
    size_t n = strnlen(src, size - 1);

    memcpy(dst, src, n);
    dst[n] = '\0';
}

static void take_pair(const char *key, const char *value, struct jl_err *e, bool *is_error)
{
    if (strcmp(key, "level") == 0)
        *is_error = strcmp(value, "error") == 0 || strcmp(value, "fatal") == 0 ||
                    strcmp(value, "panic") == 0;
    else if (strcmp(key, "msg") == 0)
        copy(e->text, sizeof e->text, value);
    else if (strcmp(key, "phase") == 0)
        copy(e->phase, sizeof e->phase, value);
    else if (strcmp(key, "syscall") == 0)
        copy(e->syscall, sizeof e->syscall, value);
    else if (strcmp(key, "object") == 0)
        copy(e->object, sizeof e->object, value);
    else if (strcmp(key, "hint") == 0)
        copy(e->hint, sizeof e->hint, value);
    else if (strcmp(key, "errno") == 0 && strlen(value) < 5 && strspn(value, "0123456789") > 0)
        e->code = (int) strtol(value, NULL, 10);
}

static bool parse_line(struct cursor c, struct jl_err *e)
{
    char key[16], value[JL_ERR_TEXT_MAX];
    bool is_error = false;

    jl_err_clear(e);
    if (!eat(&c, '{'))
        return false;
    do {
        if (!string(&c, key, sizeof key) || !eat(&c, ':'))
            return false;
        blanks(&c);
        if (c.p < c.end && *c.p == '"' ? !string(&c, value, sizeof value)
                                       : !scalar(&c, value, sizeof value))
            return false;
        take_pair(key, value, e, &is_error);
    } while (eat(&c, ','));
    if (!eat(&c, '}') || !is_error || e->text[0] == '\0')
        return false;
    if (e->code <= 0)
        e->code = EIO;
    return true;
}

int sh_answer_parse(const char *text, size_t len, struct jl_err *e)
{
    struct jl_err found;
    size_t end = len;

    while (end > 0) { /* backwards: the last error is the one that ended the runtime */
        size_t start;

        if (text[end - 1] == '\n') {
            end--;
            continue;
        }
        start = end;
        while (start > 0 && text[start - 1] != '\n')
            start--;
        if (parse_line((struct cursor){ text + start, text + end }, &found)) {
            *e = found;
            return 1;
        }
        end = start;
    }
    return 0;
}

int sh_answer_code(const struct jl_err *e, int status)
{
    bool is_exec = strstr(e->text, "exec") != NULL; /* "exec: ", "executable file", "execve" */

    if (status == 126 || status == 127)
        return status;
    if (is_exec && (strstr(e->text, "not found") || strstr(e->text, "o such file or directory")))
        return 127;
    if (is_exec && (strstr(e->text, "ermission denied") || strstr(e->text, "xec format error")))
        return 126;
    return 1;
}
