/* rlimit.c - see rlimit.h. */
#include "os/rlimit.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "base/err.h"

static const struct {
    const char *name;
    int resource;
} table[] = {
    { "RLIMIT_AS", RLIMIT_AS },
    { "RLIMIT_CORE", RLIMIT_CORE },
    { "RLIMIT_CPU", RLIMIT_CPU },
    { "RLIMIT_DATA", RLIMIT_DATA },
    { "RLIMIT_FSIZE", RLIMIT_FSIZE },
    { "RLIMIT_LOCKS", RLIMIT_LOCKS },
    { "RLIMIT_MEMLOCK", RLIMIT_MEMLOCK },
    { "RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE },
    { "RLIMIT_NICE", RLIMIT_NICE },
    { "RLIMIT_NOFILE", RLIMIT_NOFILE },
    { "RLIMIT_NPROC", RLIMIT_NPROC },
    { "RLIMIT_RSS", RLIMIT_RSS },
    { "RLIMIT_RTPRIO", RLIMIT_RTPRIO },
    { "RLIMIT_RTTIME", RLIMIT_RTTIME },
    { "RLIMIT_SIGPENDING", RLIMIT_SIGPENDING },
    { "RLIMIT_STACK", RLIMIT_STACK },
};

int os_rlimit_from_name(const char *name)
{
    for (size_t i = 0; i < JL_COUNT(table); i++)
        if (strcmp(table[i].name, name) == 0)
            return table[i].resource;
    return -EINVAL;
}

const char *os_rlimit_name(int resource)
{
    for (size_t i = 0; i < JL_COUNT(table); i++)
        if (table[i].resource == resource)
            return table[i].name;
    return NULL;
}

uint64_t os_nofile_raise(uint64_t n)
{
    struct rlimit now, want;

    if (getrlimit(RLIMIT_NOFILE, &now) < 0 || now.rlim_cur >= n || now.rlim_cur >= now.rlim_max)
        return 0;
    want = (struct rlimit){ .rlim_cur = n < now.rlim_max ? n : now.rlim_max,
                            .rlim_max = now.rlim_max };
    return setrlimit(RLIMIT_NOFILE, &want) == 0 ? now.rlim_cur : 0;
}

void os_nofile_set(uint64_t soft)
{
    struct rlimit now;

    if (getrlimit(RLIMIT_NOFILE, &now) < 0)
        return;
    now.rlim_cur = soft;
    setrlimit(RLIMIT_NOFILE, &now);
}

int os_rlimit_set(int resource, uint64_t soft, uint64_t hard, struct jl_err *e)
{
    struct rlimit want = { .rlim_cur = soft, .rlim_max = hard };
    struct rlimit now;
    int r;

    if (setrlimit((__rlimit_resource_t) resource, &want) == 0)
        return 0;
    r = jl_fail_sys(e, "setrlimit", os_rlimit_name(resource), "set to soft %llu, hard %llu",
                    (unsigned long long) soft, (unsigned long long) hard);
    if (r == -EPERM && getrlimit((__rlimit_resource_t) resource, &now) == 0)
        jl_hint(e, "the hard limit here is %llu; raising it needs CAP_SYS_RESOURCE",
                (unsigned long long) now.rlim_max);
    return r;
}
