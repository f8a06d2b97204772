/* parse.c - see parse.h. */
#include "base/parse.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

int jl_parse_u64(const char *s, uint64_t hi, uint64_t *ret_value)
{
    uint64_t v = 0;

    if (*s == '\0')
        return -EINVAL;
    for (; *s != '\0'; s++) {
        unsigned digit;

        if (*s < '0' || *s > '9')
            return -EINVAL;
        digit = (unsigned) (*s - '0');
        if (v > (UINT64_MAX - digit) / 10)
            return -ERANGE;
        v = v * 10 + digit;
    }
    if (v > hi)
        return -ERANGE;
    *ret_value = v;
    return 0;
}

int jl_parse_i64(const char *s, int64_t lo, int64_t hi, int64_t *ret_value)
{
    bool negative = *s == '-';
    uint64_t magnitude;
    int64_t v;
    int r = jl_parse_u64(s + negative, (uint64_t) INT64_MAX + negative, &magnitude);

    if (r < 0)
        return r;
    v = (int64_t) (negative ? 0 - magnitude : magnitude); /* unsigned: INT64_MIN has no twin */
    if (v < lo || v > hi)
        return -ERANGE;
    *ret_value = v;
    return 0;
}

int jl_parse_size(const char *s, uint64_t *ret_bytes)
{
    static const char *const units[] = { "b", "k", "m", "g", "t" };
    char *end;
    double v;
    unsigned shift = 0;

    if (*s < '0' || *s > '9')
        return -EINVAL;
    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X'))
        return -EINVAL;
    errno = 0;
    v = strtod(s, &end);
    if (errno == ERANGE && v < 1) /* so small that it is 0 here */
        return -EINVAL;
    if (*end != '\0') {
        bool found = false;

        for (unsigned i = 0; i < JL_COUNT(units) && !found; i++) {
            if (strncasecmp(end, units[i], 1) != 0)
                continue;
            found = true;
            shift = 10 * i;
            end++;
            if (i > 0 && strcasecmp(end, "ib") == 0)
                end += 2;
            else if (i > 0 && strcasecmp(end, "b") == 0)
                end += 1;
        }
        if (!found || *end != '\0')
            return -EINVAL;
    }
    v = ldexp(v, (int) shift);
    if (v > 0 && v < 1) /* would be 0 bytes, which often means the contrary: no limit */
        return -EINVAL;
    if (!isfinite(v) || v >= 9.2e18)
        return -ERANGE;
    *ret_bytes = (uint64_t) v;
    return 0;
}

int jl_parse_duration(const char *s, uint64_t *ret_ns)
{
    static const struct {
        const char *unit;
        uint64_t ns;
    } table[] = {
        { "ms", UINT64_C(1000000) },       { "s", UINT64_C(1000000000) },
        { "m", UINT64_C(60000000000) },    { "h", UINT64_C(3600000000000) },
        { "d", UINT64_C(86400000000000) },
    };
    uint64_t sum = 0;

    if (strcmp(s, "0") == 0) {
        *ret_ns = 0;
        return 0;
    }
    if (*s == '\0')
        return -EINVAL;
    while (*s != '\0') {
        uint64_t v = 0;
        size_t n = strspn(s, "0123456789"), unit_len, i;

        if (n == 0 || n > 15)
            return n ? -ERANGE : -EINVAL;
        for (i = 0; i < n; i++)
            v = v * 10 + (uint64_t) (s[i] - '0');
        s += n;
        unit_len = strspn(s, "abcdefghijklmnopqrstuvwxyz");
        for (i = 0; i < JL_COUNT(table); i++)
            if (strlen(table[i].unit) == unit_len && strncmp(s, table[i].unit, unit_len) == 0)
                break;
        if (i == JL_COUNT(table))
            return -EINVAL;
        if (__builtin_mul_overflow(v, table[i].ns, &v) || __builtin_add_overflow(sum, v, &sum))
            return -ERANGE;
        s += unit_len;
    }
    *ret_ns = sum;
    return 0;
}

int jl_parse_bool(const char *s, bool *ret_value)
{
    static const char *const yes[] = { "true", "yes", "on" };
    static const char *const no[] = { "false", "no", "off" };

    for (size_t i = 0; i < JL_COUNT(yes); i++) {
        if (strcasecmp(s, yes[i]) == 0 || strcasecmp(s, no[i]) == 0) {
            *ret_value = strcasecmp(s, yes[i]) == 0;
            return 0;
        }
    }
    return -EINVAL;
}

static int take_number(const char **s, unsigned *ret)
{
    unsigned v = 0;
    size_t n = strspn(*s, "0123456789");

    if (n == 0)
        return -EINVAL;
    if (n > 5)
        return -ERANGE;
    for (size_t i = 0; i < n; i++)
        v = v * 10 + (unsigned) ((*s)[i] - '0');
    if (v >= JL_NUMSET_BITS)
        return -ERANGE;
    *s += n;
    *ret = v;
    return 0;
}

/* set may be NULL. */
static int parse_list(const char *s, unsigned *ret_highest, struct jl_numset *set)
{
    unsigned highest = 0;

    for (;;) {
        unsigned lo, hi;
        int r = take_number(&s, &lo);

        if (r < 0)
            return r;
        hi = lo;
        if (*s == '-') {
            s++;
            r = take_number(&s, &hi);
            if (r < 0)
                return r;
            if (hi < lo)
                return -EINVAL;
        }
        if (hi > highest)
            highest = hi;
        for (; set && lo <= hi; lo++)
            set->bits[lo / 64] |= UINT64_C(1) << (lo % 64);
        if (*s == '\0')
            break;
        if (*s++ != ',')
            return -EINVAL;
    }
    *ret_highest = highest;
    return 0;
}

int jl_parse_cpulist(const char *s, unsigned *ret_highest)
{
    return parse_list(s, ret_highest, NULL);
}

int jl_parse_numset(const char *s, struct jl_numset *ret)
{
    unsigned highest;

    *ret = (struct jl_numset){ 0 };
    return parse_list(s, &highest, ret);
}

bool jl_numset_equal(const struct jl_numset *a, const struct jl_numset *b)
{
    return memcmp(a->bits, b->bits, sizeof a->bits) == 0;
}

size_t jl_numset_count(const struct jl_numset *s)
{
    size_t n = 0;

    for (size_t i = 0; i < JL_COUNT(s->bits); i++)
        n += (size_t) __builtin_popcountll(s->bits[i]);
    return n;
}
