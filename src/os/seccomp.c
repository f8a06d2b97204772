/* seccomp.c - see seccomp.h: the rules of a filter while it is made, and its loading. */
#include "os/seccomp.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "os/seccomp_internal.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5) /* Linux 5.19 */
#endif

static const struct {
    const char *word;
    uint32_t flag;
} flag_table[] = {
    { "SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC },
    { "SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG },
    { "SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW },
    { "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV },
};

static uint32_t ret_of(struct os_seccomp_action a)
{
    switch (a.act) {
    case OS_SC_KILL_THREAD:
        return SECCOMP_RET_KILL_THREAD;
    case OS_SC_KILL_PROCESS:
        return SECCOMP_RET_KILL_PROCESS;
    case OS_SC_TRAP:
        return SECCOMP_RET_TRAP;
    case OS_SC_ERRNO:
        return SECCOMP_RET_ERRNO | (a.value & SECCOMP_RET_DATA);
    case OS_SC_NOTIFY:
        return SECCOMP_RET_USER_NOTIF;
    case OS_SC_TRACE:
        return SECCOMP_RET_TRACE | (a.value & SECCOMP_RET_DATA);
    case OS_SC_ALLOW:
        return SECCOMP_RET_ALLOW;
    case OS_SC_LOG:
        return SECCOMP_RET_LOG;
    }
    return SECCOMP_RET_KILL_PROCESS;
}

int os_seccomp_new(struct os_seccomp_action fallback, struct os_seccomp **ret, struct jl_err *e)
{
    struct os_seccomp *s = calloc(1, sizeof *s);

    if (!s)
        return jl_fail(e, ENOMEM, "make a seccomp filter");
    s->fallback = ret_of(fallback);
    s->notifies = fallback.act == OS_SC_NOTIFY;
    s->archs = 1;
    *ret = s;
    return 0;
}

void os_seccomp_free(struct os_seccomp *s)
{
    if (!s)
        return;
    free(s->rules);
    free(s->args);
    free(s);
}

int os_seccomp_add_arch(struct os_seccomp *s, const char *arch)
{
    for (unsigned i = 0; i < sc_n_archs; i++)
        if (strcmp(sc_archs[i].word, arch) == 0) {
            s->archs |= 1u << i;
            return 0;
        }
    return sc_is_arch_word(arch) ? 1 : -EINVAL;
}

int os_seccomp_add_flag(struct os_seccomp *s, const char *flag)
{
    for (size_t i = 0; i < JL_COUNT(flag_table); i++)
        if (strcmp(flag_table[i].word, flag) == 0) {
            s->flags |= flag_table[i].flag;
            return 0;
        }
    return -EINVAL;
}

/* Room for `more` items of `width` bytes. */
static bool reserve(void **items, size_t n, size_t more, size_t *size, size_t width)
{
    size_t want = *size ? *size : 64;
    void *bigger;

    if (n + more <= *size)
        return true;
    while (want < n + more)
        want *= 2;
    bigger = reallocarray(*items, want, width);
    if (!bigger)
        return false;
    *items = bigger;
    *size = want;
    return true;
}

int os_seccomp_add_rule(struct os_seccomp *s, const char *syscall, struct os_seccomp_action action,
                        const struct os_seccomp_arg *args, size_t n_args, struct jl_err *e)
{
    int row = sc_find(syscall);

    if (row < 0)
        return 1;
    if (!reserve((void **) &s->rules, s->n_rules, 1, &s->rules_size, sizeof *s->rules) ||
        !reserve((void **) &s->args, s->n_args, n_args, &s->args_size, sizeof *s->args))
        return jl_fail(e, ENOMEM, "add the seccomp rule for '%s'", syscall);
    s->rules[s->n_rules++] = (struct sc_rule){
        .row = row,
        .ret = ret_of(action),
        .first_arg = (uint32_t) s->n_args,
        .n_args = (uint32_t) n_args,
    };
    if (n_args > 0)
        memcpy(s->args + s->n_args, args, n_args * sizeof *args);
    s->n_args += n_args;
    s->notifies = s->notifies || action.act == OS_SC_NOTIFY;
    return 0;
}

bool os_seccomp_lets_through(const struct os_seccomp *s, const char *syscall)
{
    int row = sc_find(syscall);
    bool through = sc_strictness(s->fallback) >= sc_strictness(SECCOMP_RET_LOG);

    for (size_t i = 0; i < s->n_rules; i++) {
        if (s->rules[i].row != row)
            continue;
        if (sc_strictness(s->rules[i].ret) < sc_strictness(SECCOMP_RET_LOG))
            return false;
        through = through || s->rules[i].n_args == 0;
    }
    return through;
}

int os_seccomp_load(const struct os_seccomp_prog *prog, int *ret_listener, struct jl_err *e)
{
    struct sock_fprog fprog = { .len = prog->len, .filter = prog->insns };
    uint32_t flags = prog->flags;
    long r;

    *ret_listener = -1;
    if (prog->notifies) {
        flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
        /* With a listener as result the other thread's id can't be one, says seccomp(2). */
        if (flags & SECCOMP_FILTER_FLAG_TSYNC)
            flags |= SECCOMP_FILTER_FLAG_TSYNC_ESRCH;
    } else {
        flags &= ~SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV; /* EINVAL without a listener */
    }
    r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &fprog);
    if (r < 0) {
        int code = errno;

        jl_fail_sys(e, "seccomp", NULL, "load the seccomp filter");
        if (code == EINVAL && flags != 0)
            jl_hint(e, "this kernel may lack one of linux.seccomp.flags or SCMP_ACT_NOTIFY");
        if (code == EBUSY)
            jl_hint(e, "a filter with a listener is loaded already; a process can have one");
        return -code;
    }
    if (prog->notifies)
        *ret_listener = (int) r;
    return 0;
}

const char *os_seccomp_arch_word(unsigned i)
{
    return i < sc_n_archs ? sc_archs[i].word : NULL;
}

const char *os_seccomp_flag_word(unsigned i)
{
    return i < JL_COUNT(flag_table) ? flag_table[i].word : NULL;
}

/* A known flag comes as far as the missing program (EFAULT), an unknown one does not (EINVAL). */
bool os_seccomp_kernel_has_flag(unsigned i)
{
    uint32_t flags = flag_table[i].flag;

    if (flags == SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
        flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, NULL) < 0 && errno == EFAULT;
}
