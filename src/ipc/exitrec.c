/*
 * exitrec.c - see exitrec.h.
 *
 * Writer and parser walk one table of the numbers, so that a key is written in one place. The
 * parser takes a line at a time, in order, and accepts only what the writer would have written.
 */
#include "ipc/exitrec.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/utf8.h"

#define FIRST_LINE "joblet-exit 1\n"

static const char *const kind_names[] = {
    [IPC_EXIT_CODE] = "code",
    [IPC_EXIT_SIGNAL] = "signal",
    [IPC_EXIT_START_ERROR] = "start-error",
};

enum field_type { FIELD_BOOL, FIELD_U64 };

struct field {
    const char *key;
    enum field_type type;
    size_t at;
};

#define FIELD(type, name)                                                                          \
    {                                                                                              \
#name, type, offsetof(struct ipc_exitrec, name)                                            \
    }

static const struct field fields[] = {
    FIELD(FIELD_BOOL, core_dumped),    FIELD(FIELD_U64, oom_kills),
    FIELD(FIELD_BOOL, stop_requested), FIELD(FIELD_BOOL, timed_out),
    FIELD(FIELD_U64, started_wall_ns), FIELD(FIELD_U64, ended_wall_ns),
    FIELD(FIELD_U64, log_bytes),       FIELD(FIELD_U64, log_dropped_bytes),
    FIELD(FIELD_U64, cpu_user_us),     FIELD(FIELD_U64, cpu_system_us),
    FIELD(FIELD_U64, memory_peak),     FIELD(FIELD_U64, io_read_bytes),
    FIELD(FIELD_U64, io_write_bytes),  FIELD(FIELD_U64, pids_peak),
    FIELD(FIELD_U64, psi_cpu_some_us), FIELD(FIELD_U64, psi_memory_some_us),
    FIELD(FIELD_U64, psi_io_some_us),
};

struct word {
    const char *key;
    size_t at;   /* in struct jl_err */
    size_t size; /* with the NUL */
};

#define WORD(name)                                                                                 \
    {                                                                                              \
        "error_" #name, offsetof(struct jl_err, name), sizeof((struct jl_err *) 0)->name           \
    }

static const struct word words[] = { WORD(phase), WORD(syscall), WORD(object), WORD(text),
                                     WORD(hint) };

int ipc_exitrec_shell_code(const struct ipc_exitrec *r)
{
    return r->kind == IPC_EXIT_SIGNAL ? 128 + r->value : r->value;
}

/* Writing: `at` keeps growing past size, as snprintf does, and is judged once at the end. */
struct out {
    char *buf;
    size_t size, at;
};

static void put(struct out *o, const char *key, const char *value)
{
    size_t room = o->at < o->size ? o->size - o->at : 0;
    int n = snprintf(room ? o->buf + o->at : NULL, room, "%s=%s\n", key, value);

    o->at += (size_t) n;
}

static void put_u64(struct out *o, const char *key, uint64_t v)
{
    char digits[24];

    snprintf(digits, sizeof digits, "%" PRIu64, v);
    put(o, key, digits);
}

/* A record stays one key a line whatever an error sentence holds. */
static void put_word(struct out *o, const char *key, const char *value, size_t size)
{
    char tame[JL_ERR_TEXT_MAX];
    size_t n = strnlen(value, size - 1);

    memcpy(tame, value, n);
    tame[n] = '\0';
    jl_utf8_tame(tame, n);
    put(o, key, tame);
}

int ipc_exitrec_write(const struct ipc_exitrec *r, char *buf, size_t size)
{
    struct out o = { buf, size, sizeof FIRST_LINE - 1 };

    if (size < sizeof FIRST_LINE)
        return -EMSGSIZE;
    memcpy(buf, FIRST_LINE, sizeof FIRST_LINE - 1);
    put(&o, "kind", kind_names[r->kind]);
    put_u64(&o, "value", (uint32_t) r->value);
    for (size_t i = 0; i < JL_COUNT(fields); i++) {
        const char *p = (const char *) r + fields[i].at;

        if (fields[i].type == FIELD_BOOL)
            put(&o, fields[i].key, *(const bool *) p ? "1" : "0");
        else
            put_u64(&o, fields[i].key, *(const uint64_t *) (const void *) p);
    }
    put_u64(&o, "error_code", (unsigned) r->error.code);
    for (size_t i = 0; i < JL_COUNT(words); i++)
        put_word(&o, words[i].key, (const char *) &r->error + words[i].at, words[i].size);
    return o.at < size ? (int) o.at : -EMSGSIZE;
}

struct in {
    const char *p, *end;
};

/* The value of the next line, which must be that of `key`. Sets n to its length. */
static const char *take(struct in *in, const char *key, size_t *n, struct jl_err *e)
{
    size_t key_len = strlen(key), left = (size_t) (in->end - in->p);
    const char *value, *nl;

    nl = memchr(in->p, '\n', left);
    if (!nl || (size_t) (nl - in->p) <= key_len || memcmp(in->p, key, key_len) != 0 ||
        in->p[key_len] != '=') {
        jl_refuse(e, EPROTO, "exit record: line '%s=' is missing or not in its place", key);
        return NULL;
    }
    value = in->p + key_len + 1;
    *n = (size_t) (nl - value);
    in->p = nl + 1;
    return value;
}

static int take_u64(struct in *in, const char *key, uint64_t max, uint64_t *ret, struct jl_err *e)
{
    size_t n;
    const char *s = take(in, key, &n, e);
    uint64_t v = 0;

    if (!s)
        return -e->code;
    if (n == 0 || (n > 1 && s[0] == '0'))
        return jl_refuse(e, EPROTO, "exit record: '%s' is not a plain number", key);
    for (size_t i = 0; i < n; i++) {
        unsigned digit = (unsigned) (unsigned char) s[i] - '0';

        if (digit > 9)
            return jl_refuse(e, EPROTO, "exit record: '%s' is not a plain number", key);
        if (v > max / 10 || (v == max / 10 && digit > max % 10))
            return jl_refuse(e, EPROTO, "exit record: '%s' is over %" PRIu64, key, max);
        v = v * 10 + digit;
    }
    *ret = v;
    return 0;
}

static int take_word(struct in *in, const struct word *w, struct jl_err *into, struct jl_err *e)
{
    size_t n;
    const char *s = take(in, w->key, &n, e);
    char *dst = (char *) into + w->at;

    if (!s)
        return -e->code;
    if (n >= w->size)
        return jl_refuse(e, EPROTO, "exit record: '%s' has %zu bytes, limit is %zu", w->key, n,
                         w->size - 1);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char) s[i] < 0x20 || s[i] == 0x7f)
            return jl_refuse(e, EPROTO, "exit record: '%s' holds a control character", w->key);
    if (!jl_utf8_valid(s, n, NULL))
        return jl_refuse(e, EPROTO, "exit record: '%s' is not UTF-8", w->key);
    memcpy(dst, s, n);
    dst[n] = '\0';
    return 0;
}

static int take_kind(struct in *in, struct ipc_exitrec *r, struct jl_err *e)
{
    size_t n;
    const char *s = take(in, "kind", &n, e);

    if (!s)
        return -e->code;
    for (size_t i = 0; i < JL_COUNT(kind_names); i++)
        if (strlen(kind_names[i]) == n && memcmp(kind_names[i], s, n) == 0) {
            r->kind = (enum ipc_exit_kind) i;
            return 0;
        }
    return jl_refuse(e, EPROTO, "exit record: unknown kind");
}

static int check_value(const struct ipc_exitrec *r, struct jl_err *e)
{
    bool good = false;

    switch (r->kind) {
    case IPC_EXIT_CODE:
        good = r->value <= 255;
        break;
    case IPC_EXIT_SIGNAL:
        good = r->value >= 1 && r->value <= 64;
        break;
    case IPC_EXIT_START_ERROR:
        good = r->value == 1 || r->value == 126 || r->value == 127;
        break;
    }
    if (!good)
        return jl_refuse(e, EPROTO, "exit record: value %d is impossible for its kind", r->value);
    if ((r->kind == IPC_EXIT_START_ERROR) != (r->error.code != 0))
        return jl_refuse(e, EPROTO,
                         "exit record: an error belongs to a start error, and only there");
    for (size_t i = 0; i < JL_COUNT(words); i++)
        if (r->error.code == 0 && ((const char *) &r->error)[words[i].at] != '\0')
            return jl_refuse(e, EPROTO, "exit record: '%s' without an error", words[i].key);
    return 0;
}

static int parse(struct in *in, struct ipc_exitrec *r, struct jl_err *e)
{
    uint64_t v;
    int ret = take_kind(in, r, e);

    if (ret < 0)
        return ret;
    ret = take_u64(in, "value", 255, &v, e);
    if (ret < 0)
        return ret;
    r->value = (int32_t) v;
    for (size_t i = 0; i < JL_COUNT(fields); i++) {
        char *p = (char *) r + fields[i].at;

        ret = take_u64(in, fields[i].key, fields[i].type == FIELD_BOOL ? 1 : UINT64_MAX, &v, e);
        if (ret < 0)
            return ret;
        if (fields[i].type == FIELD_BOOL)
            *(bool *) p = v != 0;
        else
            *(uint64_t *) (void *) p = v;
    }
    ret = take_u64(in, "error_code", INT32_MAX, &v, e);
    if (ret < 0)
        return ret;
    r->error.code = (int) v;
    for (size_t i = 0; i < JL_COUNT(words); i++) {
        ret = take_word(in, &words[i], &r->error, e);
        if (ret < 0)
            return ret;
    }
    if (in->p != in->end)
        return jl_refuse(e, EPROTO, "exit record: something follows its last line");
    return check_value(r, e);
}

int ipc_exitrec_parse(const char *text, size_t len, struct ipc_exitrec *ret, struct jl_err *e)
{
    struct in in = { text + sizeof FIRST_LINE - 1, text + len };
    struct ipc_exitrec r = { 0 };
    int result;

    if (len < sizeof FIRST_LINE - 1 || memcmp(text, FIRST_LINE, sizeof FIRST_LINE - 1) != 0)
        return jl_refuse(e, EPROTO, "exit record: does not begin with 'joblet-exit 1'");
    result = parse(&in, &r, e);
    if (result < 0)
        return result;
    *ret = r;
    return 0;
}
