/* json_out.c - the writer of json.h. */
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/utf8.h"

static void fail(struct jl_json_out *w, int r)
{
    if (w->failed == 0 && r < 0)
        w->failed = r;
}

static void raw(struct jl_json_out *w, const char *s, size_t len)
{
    if (w->failed == 0)
        fail(w, jl_buf_add(w->buf, s, len));
}

static bool in_array(const struct jl_json_out *w)
{
    return w->depth > 0 && (w->arrays >> (w->depth - 1) & 1);
}

static void newline(struct jl_json_out *w)
{
    static const char spaces[] = "                                ";
    size_t left = (size_t) w->indent * w->depth;

    if (w->indent == 0)
        return;
    raw(w, "\n", 1);
    for (size_t n; left > 0; left -= n) {
        n = left < sizeof spaces - 1 ? left : sizeof spaces - 1;
        raw(w, spaces, n);
    }
}

static void escape(struct jl_json_out *w, unsigned char c)
{
    static const char letters[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
    const char *p = c ? strchr(letters, c) : NULL;
    char out[8];

    if (p)
        snprintf(out, sizeof out, "\\%c", names[p - letters]);
    else
        snprintf(out, sizeof out, "\\u%04x", c);
    raw(w, out, strlen(out));
}

/* Plain runs are copied whole; what must not stand in a string, and DEL, which a terminal might
 * act on, is escaped. */
static void string(struct jl_json_out *w, const char *s, size_t len)
{
    size_t start = 0, bad = len;
    bool valid = jl_utf8_valid(s, len, &bad);

    if (!valid && !w->replace)
        fail(w, -EILSEQ);
    raw(w, "\"", 1);
    for (size_t i = 0; i < len && w->failed == 0; i++) {
        unsigned char c = (unsigned char) s[i];

        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f && (valid || i != bad))
            continue;
        raw(w, s + start, i - start);
        start = i + 1;
        if (!valid && i == bad) {
            raw(w, "\xef\xbf\xbd", 3);
            valid = jl_utf8_valid(s + start, len - start, &bad);
            bad += start;
        } else {
            escape(w, c);
        }
    }
    raw(w, s + start, len - start);
    raw(w, "\"", 1);
}

/* What stands before a value: comma, line break, key. */
static void lead(struct jl_json_out *w, const char *key)
{
    if ((w->depth > 0 && !in_array(w)) != (key != NULL) || (w->depth == 0 && w->comma))
        fail(w, -EINVAL); /* a key where none belongs, or none where one does; a second root */
    if (w->comma)
        raw(w, ",", 1);
    if (w->depth > 0)
        newline(w);
    if (key) {
        string(w, key, strlen(key));
        raw(w, ": ", w->indent ? 2 : 1);
    }
    w->comma = true;
}

static void put_open(struct jl_json_out *w, const char *key, bool array)
{
    lead(w, key);
    if (w->depth >= JL_JSON_MAX_DEPTH)
        fail(w, -EMSGSIZE);
    if (w->failed)
        return;
    raw(w, array ? "[" : "{", 1);
    w->arrays &= ~(UINT64_C(1) << w->depth);
    w->arrays |= (uint64_t) array << w->depth;
    w->depth++;
    w->comma = false;
}

void jl_json_put_object(struct jl_json_out *w, const char *key)
{
    put_open(w, key, false);
}

void jl_json_put_array(struct jl_json_out *w, const char *key)
{
    put_open(w, key, true);
}

void jl_json_end(struct jl_json_out *w)
{
    bool array = in_array(w);

    if (w->depth == 0)
        fail(w, -EINVAL);
    if (w->failed)
        return;
    w->depth--;
    if (w->comma)
        newline(w);
    raw(w, array ? "]" : "}", 1);
    w->comma = true;
}

void jl_json_put_strn(struct jl_json_out *w, const char *key, const char *s, size_t len)
{
    lead(w, key);
    string(w, s, len);
}

void jl_json_put_str(struct jl_json_out *w, const char *key, const char *s)
{
    if (s)
        jl_json_put_strn(w, key, s, strlen(s));
    else
        jl_json_put_null(w, key);
}

static void word(struct jl_json_out *w, const char *key, const char *s)
{
    lead(w, key);
    raw(w, s, strlen(s));
}

void jl_json_put_i64(struct jl_json_out *w, const char *key, int64_t v)
{
    char s[32];

    snprintf(s, sizeof s, "%" PRId64, v);
    word(w, key, s);
}

void jl_json_put_u64(struct jl_json_out *w, const char *key, uint64_t v)
{
    char s[32];

    snprintf(s, sizeof s, "%" PRIu64, v);
    word(w, key, s);
}

void jl_json_put_double(struct jl_json_out *w, const char *key, double v)
{
    char s[40], *point;

    if (!isfinite(v)) {
        fail(w, -EINVAL);
        return;
    }
    snprintf(s, sizeof s, "%.15g", v);
    if (strtod(s, NULL) != v) /* 15 digits read better, 17 always suffice */
        snprintf(s, sizeof s, "%.17g", v);
    point = strchr(s, ',');
    if (point) /* a locale's decimal comma */
        *point = '.';
    word(w, key, s);
}

void jl_json_put_bool(struct jl_json_out *w, const char *key, bool v)
{
    word(w, key, v ? "true" : "false");
}

void jl_json_put_null(struct jl_json_out *w, const char *key)
{
    word(w, key, "null");
}

/* Recursion is as deep as a parsed document: JL_JSON_MAX_DEPTH at most. */
void jl_json_put_tree(struct jl_json_out *w, const char *key, const struct jl_json *v)
{
    switch (v->kind) {
    case JL_JSON_NULL:
        jl_json_put_null(w, key);
        break;
    case JL_JSON_BOOL:
    case JL_JSON_NUMBER:
        word(w, key, v->text);
        break;
    case JL_JSON_STRING:
        jl_json_put_strn(w, key, v->text, v->len);
        break;
    case JL_JSON_ARRAY:
    case JL_JSON_OBJECT:
        put_open(w, key, v->kind == JL_JSON_ARRAY);
        if (w->failed)
            return;
        JL_JSON_FOREACH(m, v)
        jl_json_put_tree(w, m->key, m);
        jl_json_end(w);
        break;
    }
}

int jl_json_finish(struct jl_json_out *w)
{
    if (w->depth > 0 || !w->comma)
        fail(w, -EINVAL);
    return w->failed;
}
