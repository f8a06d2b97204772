/*
 * log.h - one log a process: a line has a time, a level, an event name ("job.start") and
 * key=value text. Only program-level code logs, and each failure once; library code returns
 * errors instead. The log never allocates, never fails its caller, and does not wait for a reader: lines
 * that a pipe does not take are counted, and the number is told when it takes some again.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>

struct jl_err;

enum jl_log_level { JL_LOG_DEBUG, JL_LOG_INFO, JL_LOG_WARN, JL_LOG_ERROR };

struct jl_log {
    int fd;                  /* borrowed; -1 logs nowhere */
    enum jl_log_level level; /* lines below it are dropped */
    bool json;               /* one JSON object a line instead of text */
    const char *program;     /* borrowed; stands in each line */
    unsigned long lost;      /* lines since the last one that was taken */
};

/* The process's log: standard error, INFO, text, until changed in main(). */
extern struct jl_log jl_log;

/* "DEBUG", "INFO", "WARN", "ERROR" in any case. 0 or -EINVAL. */
int jl_log_parse_level(const char *s, enum jl_log_level *ret);

void jl_log_line(enum jl_log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define jl_log_debug(...) jl_log_line(JL_LOG_DEBUG, __VA_ARGS__)
#define jl_log_info(...) jl_log_line(JL_LOG_INFO, __VA_ARGS__)
#define jl_log_warn(...) jl_log_line(JL_LOG_WARN, __VA_ARGS__)

/* Logs a failure with its sentence and hint at ERROR. Returns -e->code, so that a caller can log
 * and return in one line. */
int jl_log_fail(const struct jl_err *e, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
