/* clock.c - see clock.h. */
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static uint64_t read_clock(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (uint64_t) ts.tv_sec * JL_NS_PER_S + (uint64_t) ts.tv_nsec;
}

uint64_t jl_now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t jl_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

uint64_t jl_boot_ns(void)
{
#ifdef CLOCK_BOOTTIME
    return read_clock(CLOCK_BOOTTIME);
#else
    return read_clock(CLOCK_MONOTONIC); /* which goes on during sleep, where it stands alone */
#endif
}

void jl_sleep_ns(uint64_t ns)
{
    struct timespec ts = { .tv_sec = (time_t) (ns / JL_NS_PER_S),
                           .tv_nsec = (long) (ns % JL_NS_PER_S) };

    while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
        ;
}

char *jl_rfc3339(uint64_t wall_ns, unsigned digits, char *buf)
{
    time_t secs = (time_t) (wall_ns / JL_NS_PER_S);
    struct tm tm;
    char day[24], frac[16] = "";

    gmtime_r(&secs, &tm);
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
    if (digits > 9)
        digits = 9;
    if (digits > 0) {
        snprintf(frac, sizeof frac, ".%09u", (unsigned) (wall_ns % JL_NS_PER_S));
        frac[1 + digits] = '\0';
    }
    snprintf(buf, JL_RFC3339_MAX, "%s%sZ", day, frac);
    return buf;
}

static int take_digits(const char **s, unsigned n, int *ret)
{
    int v = 0;

    for (unsigned i = 0; i < n; i++) {
        if ((*s)[i] < '0' || (*s)[i] > '9')
            return -EINVAL;
        v = v * 10 + ((*s)[i] - '0');
    }
    *s += n;
    *ret = v;
    return 0;
}

static int take_char(const char **s, const char *set)
{
    if (**s == '\0' || !strchr(set, **s))
        return -EINVAL;
    (*s)++;
    return 0;
}

static int take_zone(const char **s, long *ret_offset_s)
{
    int hours, minutes, sign;

    if (**s == 'Z' || **s == 'z') {
        (*s)++;
        *ret_offset_s = 0;
        return 0;
    }
    sign = **s == '-' ? -1 : 1;
    if (take_char(s, "+-") < 0 || take_digits(s, 2, &hours) < 0 || take_char(s, ":") < 0 ||
        take_digits(s, 2, &minutes) < 0 || hours > 23 || minutes > 59)
        return -EINVAL;
    *ret_offset_s = sign * (hours * 3600L + minutes * 60L);
    return 0;
}

int jl_parse_rfc3339(const char *s, uint64_t *ret_wall_ns)
{
    struct tm tm = { 0 }, back;
    uint64_t frac = 0, scale = JL_NS_PER_S / 10;
    long offset;
    time_t t;

    if (take_digits(&s, 4, &tm.tm_year) < 0 || take_char(&s, "-") < 0 ||
        take_digits(&s, 2, &tm.tm_mon) < 0 || take_char(&s, "-") < 0 ||
        take_digits(&s, 2, &tm.tm_mday) < 0 || take_char(&s, "Tt ") < 0 ||
        take_digits(&s, 2, &tm.tm_hour) < 0 || take_char(&s, ":") < 0 ||
        take_digits(&s, 2, &tm.tm_min) < 0 || take_char(&s, ":") < 0 ||
        take_digits(&s, 2, &tm.tm_sec) < 0)
        return -EINVAL;
    if (*s == '.') {
        s++;
        if (*s < '0' || *s > '9')
            return -EINVAL;
        for (; *s >= '0' && *s <= '9'; s++, scale /= 10)
            frac += (uint64_t) (*s - '0') * scale;
    }
    if (take_zone(&s, &offset) < 0 || *s != '\0')
        return -EINVAL;
    if (tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
        return -ERANGE;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    back = tm;
    t = timegm(&back);
    if (back.tm_mon != tm.tm_mon || (back.tm_mday != tm.tm_mday && tm.tm_sec != 60))
        return -ERANGE; /* such as February 30 */
    if (t - offset < 0 || (uint64_t) (t - offset) >= UINT64_MAX / JL_NS_PER_S)
        return -ERANGE; /* nanoseconds in 64 bits end in 2554 */
    *ret_wall_ns = (uint64_t) (t - offset) * JL_NS_PER_S + frac;
    return 0;
}

char *jl_duration_text(uint64_t ns, char *buf, size_t size)
{
    uint64_t s = ns / JL_NS_PER_S, m = s / 60, h = m / 60, d = h / 24;

    if (m == 0)
        snprintf(buf, size, "%.1fs", (double) (ns / (JL_NS_PER_S / 10)) / 10);
    else if (h == 0)
        snprintf(buf, size, "%.1fm", (double) (s / 6) / 10);
    else if (d == 0 && m % 60 == 0)
        snprintf(buf, size, "%uh", (unsigned) h);
    else if (d == 0)
        snprintf(buf, size, "%uh%um", (unsigned) h, (unsigned) (m % 60));
    else if (h % 24 == 0)
        snprintf(buf, size, "%llud", (unsigned long long) d);
    else
        snprintf(buf, size, "%llud%uh", (unsigned long long) d, (unsigned) (h % 24));
    return buf;
}
