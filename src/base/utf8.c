/* utf8.c - see utf8.h. */
#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

/* Bytes of the sequence at s, or 0. The second byte's range is what keeps overlong forms,
 * surrogates and numbers above U+10FFFF out (RFC 3629, section 4). */
static size_t sequence(const unsigned char *s, size_t left)
{
    unsigned char lo = 0x80, hi = 0xbf;
    size_t n;

    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        n = 2;
    else if (s[0] >= 0xe0 && s[0] <= 0xef)
        n = 3;
    else if (s[0] >= 0xf0 && s[0] <= 0xf4)
        n = 4;
    else
        return 0;
    if (left < n)
        return 0;
    if (s[0] == 0xe0)
        lo = 0xa0;
    else if (s[0] == 0xed)
        hi = 0x9f;
    else if (s[0] == 0xf0)
        lo = 0x90;
    else if (s[0] == 0xf4)
        hi = 0x8f;
    if (s[1] < lo || s[1] > hi)
        return 0;
    for (size_t i = 2; i < n; i++)
        if (s[i] < 0x80 || s[i] > 0xbf)
            return 0;
    return n;
}

bool jl_utf8_valid(const char *s, size_t len, size_t *ret_bad)
{
    const unsigned char *u = (const unsigned char *) s;
    size_t i = 0;

    while (i < len) {
        uint64_t eight;
        size_t n;

        if (len - i >= sizeof eight) { /* most text is ASCII: eight bytes a step */
            memcpy(&eight, u + i, sizeof eight);
            if ((eight & UINT64_C(0x8080808080808080)) == 0) {
                i += sizeof eight;
                continue;
            }
        }
        n = sequence(u + i, len - i);
        if (n == 0) {
            if (ret_bad)
                *ret_bad = i;
            return false;
        }
        i += n;
    }
    return true;
}

void jl_utf8_tame(char *s, size_t len)
{
    size_t bad;

    for (size_t i = 0; i < len; i++)
        if ((unsigned char) s[i] < 0x20 || s[i] == 0x7f)
            s[i] = '?';
    for (size_t from = 0; !jl_utf8_valid(s + from, len - from, &bad); from += bad)
        s[from + bad] = '?';
}
