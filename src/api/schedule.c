/* schedule.c - see schedule.h. */
#include "api/schedule.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define GRACE_NS (30 * JL_NS_PER_S)
#define MAX_S (365ull * 86400)

static uint64_t unit_seconds(const char *word, size_t len)
{
    static const struct {
        const char *word;
        unsigned seconds;
    } units[] = {
        { "s", 1 },        { "sec", 1 },      { "secs", 1 },    { "second", 1 },
        { "seconds", 1 },  { "m", 60 },       { "min", 60 },    { "mins", 60 },
        { "minute", 60 },  { "minutes", 60 }, { "h", 3600 },    { "hour", 3600 },
        { "hours", 3600 }, { "d", 86400 },    { "day", 86400 }, { "days", 86400 },
    };

    for (size_t i = 0; i < JL_COUNT(units); i++)
        if (strlen(units[i].word) == len && strncasecmp(units[i].word, word, len) == 0)
            return units[i].seconds;
    return 0;
}

static const char *skip_blanks(const char *s)
{
    return s + strspn(s, " \t");
}

/* Seconds of a relative form. 0, 1: not a relative form, or -EINVAL. */
static int relative(const char *spec, uint64_t *ret_s)
{
    const char *p = skip_blanks(spec);
    uint64_t sum = 0;

    if (*p == '\0')
        return 1;
    while (*p != '\0') {
        size_t digits = strspn(p, "0123456789"), letters;
        uint64_t n = 0, unit;

        if (digits == 0 || digits > 9)
            return 1;
        for (size_t i = 0; i < digits; i++)
            n = n * 10 + (uint64_t) (p[i] - '0');
        p = skip_blanks(p + digits);
        letters = strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
        unit = unit_seconds(p, letters);
        if (unit == 0)
            return 1;
        sum += n * unit; /* below 10^9 * 86400 a group */
        if (sum > MAX_S)
            return -ERANGE;
        p = skip_blanks(p + letters);
    }
    *ret_s = sum;
    return 0;
}

/* `n` digits at *p, which moves on. -1 when they are not there. */
static int digits(const char **p, int n)
{
    int v = 0;

    for (int i = 0; i < n; i++, (*p)++) {
        if (**p < '0' || **p > '9')
            return -1;
        v = v * 10 + (**p - '0');
    }
    return v;
}

static bool take(const char **p, char c)
{
    if (**p != c)
        return false;
    (*p)++;
    return true;
}

/* Z or +HH:MM at *p; minutes east of UTC. -EINVAL. */
static int zone(const char **p, int *ret_minutes)
{
    int sign = **p == '-' ? -1 : 1, h, m;

    if (take(p, 'Z') || take(p, 'z')) {
        *ret_minutes = 0;
        return 0;
    }
    if (!take(p, '+') && !take(p, '-'))
        return -EINVAL;
    h = digits(p, 2);
    if (h < 0 || h > 23 || !take(p, ':'))
        return -EINVAL;
    m = digits(p, 2);
    if (m < 0 || m > 59)
        return -EINVAL;
    *ret_minutes = sign * (h * 60 + m);
    return 0;
}

/* The digits behind the point, as nanoseconds; more than nine are cut. */
static int fraction(const char **p, uint64_t *ret_ns)
{
    uint64_t unit = JL_NS_PER_S;

    if (**p < '0' || **p > '9')
        return -EINVAL;
    for (; **p >= '0' && **p <= '9'; (*p)++) {
        unit /= 10;
        *ret_ns += unit * (uint64_t) (**p - '0');
    }
    return 0;
}

/* Date and time of day at *p; ret_ns: the part below a second. -EINVAL. */
static int date_time(const char **p, struct tm *tm, uint64_t *ret_ns)
{
    int year = digits(p, 4), month, day, hour, minute, second = 0;

    if (year < 1970 || !take(p, '-') || (month = digits(p, 2)) < 1 || month > 12 || !take(p, '-') ||
        (day = digits(p, 2)) < 1 || day > 31)
        return -EINVAL;
    if (!take(p, 'T') && !take(p, 't') && !take(p, ' '))
        return -EINVAL;
    if ((hour = digits(p, 2)) < 0 || hour > 23 || !take(p, ':') || (minute = digits(p, 2)) < 0 ||
        minute > 59)
        return -EINVAL;
    if (take(p, ':')) {
        second = digits(p, 2);
        if (second < 0 || second > 59)
            return -EINVAL;
        if (take(p, '.') && fraction(p, ret_ns) < 0)
            return -EINVAL;
    }
    memset(tm, 0, sizeof *tm);
    tm->tm_year = year - 1900;
    tm->tm_mon = month - 1;
    tm->tm_mday = day;
    tm->tm_hour = hour;
    tm->tm_min = minute;
    tm->tm_sec = second;
    return 0;
}

static int absolute(const char *spec, uint64_t *ret_ns)
{
    const char *p = skip_blanks(spec);
    struct tm tm;
    int minutes = 0, day, month;
    uint64_t ns = 0;
    time_t t;

    if (date_time(&p, &tm, &ns) < 0)
        return -EINVAL;
    day = tm.tm_mday;
    month = tm.tm_mon;
    if (*p == '\0') {
        tm.tm_isdst = -1;
        t = mktime(&tm);
    } else {
        if (zone(&p, &minutes) < 0 || *p != '\0')
            return -EINVAL;
        t = timegm(&tm);
    }
    if (t == (time_t) -1 || tm.tm_mday != day || tm.tm_mon != month) /* 30 February */
        return -EINVAL;
    t -= minutes * 60;
    if (t < 0)
        return -EINVAL;
    *ret_ns = (uint64_t) t * JL_NS_PER_S + ns;
    return 0;
}

int api_schedule(const char *spec, uint64_t now_ns, uint64_t *ret_ns, uint64_t *ret_delay_s,
                 struct jl_err *e)
{
    uint64_t seconds = 0, due = 0;
    char ago[32];
    int r = relative(spec, &seconds);

    if (r == -ERANGE || (r == 0 && seconds == 0))
        return jl_refuse(e, ERANGE, "schedule '%.60s' is outside 1 second to 365 days", spec);
    if (r == 0) {
        *ret_ns = now_ns + seconds * JL_NS_PER_S;
        *ret_delay_s = seconds;
        return 0;
    }
    if (absolute(spec, &due) < 0)
        return jl_refuse(e, EINVAL,
                         "schedule '%.60s' is no time; write for example 30min, 2h30m, 1day, "
                         "2025-12-25T08:00:00 or 2025-12-25T08:00:00Z",
                         spec);
    if (due + GRACE_NS < now_ns)
        return jl_refuse(e, ERANGE, "schedule '%.60s' is over since %s", spec,
                         jl_duration_text(now_ns - due, ago, sizeof ago));
    if (due > now_ns + MAX_S * JL_NS_PER_S)
        return jl_refuse(e, ERANGE, "schedule '%.60s' is more than 365 days away", spec);
    *ret_ns = due;
    *ret_delay_s = 0;
    return 0;
}
