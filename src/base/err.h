/*
 * err.h - the one way a failure travels through joblet.
 *
 * A function that can fail for reasons a user must read takes `struct jl_err *e` last, fills it
 * and returns -errno. The struct has a fixed size and no heap, so it works after fork and out of
 * memory, and crosses processes unchanged (child to runtime, runtime to shim, shim to daemon).
 *
 * Text is a sentence: what we tried, on what, why it failed. The parts {phase, syscall, object,
 * hint} repeat it for machines and for the line that tells the user what to do.
 *
 * Nothing here logs, allocates or blocks. No privilege is needed.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#define JL_ERR_TEXT_MAX 512
#define JL_ERR_WORD_MAX 32
#define JL_ERR_OBJECT_MAX 192

struct jl_err {
    int code;                       /* errno value, > 0 once set; 0 means no failure */
    char phase[JL_ERR_WORD_MAX];    /* part of the work, "mounts"; may be empty */
    char syscall[JL_ERR_WORD_MAX];  /* system call that refused, "move_mount"; may be empty */
    char object[JL_ERR_OBJECT_MAX]; /* file, key or id it was about; may be empty */
    char text[JL_ERR_TEXT_MAX];     /* the sentence */
    char hint[JL_ERR_OBJECT_MAX];   /* what the user can do; may be empty */
};

/* clang-format off */
#define JL_ERR_INIT { 0 }
/* clang-format on */

/*
 * Sets the sentence to the formatted text, then ": " and the system's words for `code`.
 * code is an errno value (> 0). Clears the other parts. Returns -code.
 */
int jl_fail(struct jl_err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The same without the system's words: for input we refuse, where they would only confuse. */
int jl_refuse(struct jl_err *e, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * For a system call that just failed: code is errno. Sets syscall and object, and the sentence
 * to "<fmt...>: <syscall> '<object>': <strerror>". object may be NULL. Returns -errno.
 */
int jl_fail_sys(struct jl_err *e, const char *syscall, const char *object, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts a clause ("job 7f3a: start") in front of the sentence. Returns -e->code. */
int jl_wrap(struct jl_err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Names the part of the work, unless one is named already. Returns -e->code. */
int jl_phase(struct jl_err *e, const char *phase);

/* Says what the user can do. Returns -e->code. */
int jl_hint(struct jl_err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Forgets the failure. */
void jl_err_clear(struct jl_err *e);
