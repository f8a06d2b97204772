/* log.c - see log.h. */
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"

#define LINE_MAX_BYTES 4096

struct jl_log jl_log = { .fd = STDERR_FILENO, .level = JL_LOG_INFO, .program = "joblet" };

static const char *const level_names[] = { "DEBUG", "INFO", "WARN", "ERROR" };

int jl_log_parse_level(const char *s, enum jl_log_level *ret)
{
    for (int i = JL_LOG_DEBUG; i <= JL_LOG_ERROR; i++)
        if (strcasecmp(s, level_names[i]) == 0) {
            *ret = (enum jl_log_level) i;
            return 0;
        }
    return -EINVAL;
}

/* Escapes as JSON does; also right for text, where it keeps a line a line. */
static size_t escape(char *dst, size_t size, const char *src, bool quotes)
{
    size_t n = 0;

    for (; *src != '\0' && n + 7 < size; src++) {
        unsigned char c = (unsigned char) *src;

        if (c < 0x20 || c == 0x7f)
            n += (size_t) snprintf(dst + n, size - n, "\\u%04x", c);
        else if (quotes && (c == '"' || c == '\\'))
            n += (size_t) snprintf(dst + n, size - n, "\\%c", c);
        else
            dst[n++] = (char) c;
    }
    dst[n] = '\0';
    return n;
}

/* A log that is gone, or whose reader has stopped, must not stop us: a line is at most PIPE_BUF bytes,
 * which a pipe that takes anything takes at once. */
static bool put(const char *line, size_t len)
{
    struct pollfd p = { .fd = jl_log.fd, .events = POLLOUT };

    return poll(&p, 1, 0) != 0 && write(jl_log.fd, line, len) == (ssize_t) len;
}

static void emit(enum jl_log_level level, const char *event, const char *text)
{
    char line[LINE_MAX_BYTES], safe[LINE_MAX_BYTES - 256], when[JL_RFC3339_MAX];
    int n;

    jl_rfc3339(jl_wall_ns(), 3, when);
    escape(safe, sizeof safe, text, jl_log.json);
    if (jl_log.json)
        n = snprintf(line, sizeof line,
                     "{\"time\":\"%s\",\"level\":\"%s\",\"program\":\"%s\",\"event\":\"%s\","
                     "\"msg\":\"%s\"}\n",
                     when, level_names[level], jl_log.program, event, safe);
    else
        n = snprintf(line, sizeof line, "%s %-5s %s %s %s\n", when, level_names[level],
                     jl_log.program, event, safe);
    if (n > 0 && (size_t) n < sizeof line && !put(line, (size_t) n))
        jl_log.lost++;
}

/* What was lost is told before the next line that is not. */
static void emit_all(enum jl_log_level level, const char *event, const char *text)
{
    unsigned long lost = jl_log.lost;
    int saved = errno;
    char told[64];

    if (lost > 0) {
        jl_log.lost = 0;
        snprintf(told, sizeof told, "%lu lines: nobody took them", lost);
        emit(JL_LOG_WARN, "log.lost", told);
        if (jl_log.lost > 0)
            jl_log.lost = lost;
    }
    if (jl_log.lost > 0)
        jl_log.lost++;
    else
        emit(level, event, text);
    errno = saved;
}

void jl_log_line(enum jl_log_level level, const char *event, const char *fmt, ...)
{
    char text[LINE_MAX_BYTES - 256];
    va_list ap;

    if (jl_log.fd < 0 || level < jl_log.level)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    emit_all(level, event, text);
}

int jl_log_fail(const struct jl_err *e, const char *event, const char *fmt, ...)
{
    char text[LINE_MAX_BYTES - 256];
    size_t n;
    va_list ap;

    assert(e->code > 0 && e->text[0] != '\0');
    if (jl_log.fd < 0)
        return -e->code;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    n = strlen(text);
    snprintf(text + n, sizeof text - n, "%serror=\"%s\"%s%s", n ? " " : "", e->text,
             e->hint[0] ? " hint=" : "", e->hint);
    emit_all(JL_LOG_ERROR, event, text);
    return -e->code;
}
