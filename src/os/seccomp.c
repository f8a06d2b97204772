/* seccomp.c - see seccomp.h. */
#include "os/seccomp.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5) /* Linux 5.19 */
#endif

struct os_seccomp {
    scmp_filter_ctx ctx;
    uint32_t fallback; /* as libseccomp has it */
    uint32_t flags;
};

static uint32_t action_of(struct os_seccomp_action a)
{
    switch (a.act) {
    case OS_SC_KILL_THREAD:
        return SCMP_ACT_KILL_THREAD;
    case OS_SC_KILL_PROCESS:
        return SCMP_ACT_KILL_PROCESS;
    case OS_SC_TRAP:
        return SCMP_ACT_TRAP;
    case OS_SC_ERRNO:
        return SCMP_ACT_ERRNO(a.value);
    case OS_SC_TRACE:
        return SCMP_ACT_TRACE(a.value);
    case OS_SC_ALLOW:
        return SCMP_ACT_ALLOW;
    case OS_SC_LOG:
        return SCMP_ACT_LOG;
    }
    return SCMP_ACT_KILL_PROCESS;
}

static enum scmp_compare op_of(enum os_seccomp_op op)
{
    static const enum scmp_compare ops[] = {
        [OS_SC_NE] = SCMP_CMP_NE,
        [OS_SC_LT] = SCMP_CMP_LT,
        [OS_SC_LE] = SCMP_CMP_LE,
        [OS_SC_EQ] = SCMP_CMP_EQ,
        [OS_SC_GE] = SCMP_CMP_GE,
        [OS_SC_GT] = SCMP_CMP_GT,
        [OS_SC_MASKED_EQ] = SCMP_CMP_MASKED_EQ,
    };

    return ops[op];
}

int os_seccomp_new(struct os_seccomp_action fallback, struct os_seccomp **ret, struct jl_err *e)
{
    struct os_seccomp *s = calloc(1, sizeof *s);

    if (!s)
        return jl_fail(e, ENOMEM, "make a seccomp filter");
    s->fallback = action_of(fallback);
    s->ctx = seccomp_init(s->fallback);
    if (!s->ctx) {
        free(s);
        return jl_refuse(e, EINVAL, "libseccomp does not take the default action");
    }
    /* libseccomp would otherwise set no_new_privs on load; we never load through it, but the
     * attribute also goes into what is exported for other tools. */
    seccomp_attr_set(s->ctx, SCMP_FLTATR_CTL_NNP, 0);
    /* A tree instead of a chain: rules near the end of a profile cost as little as the first. */
    seccomp_attr_set(s->ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    *ret = s;
    return 0;
}

void os_seccomp_free(struct os_seccomp *s)
{
    if (!s)
        return;
    seccomp_release(s->ctx);
    free(s);
}

int os_seccomp_add_arch(struct os_seccomp *s, const char *arch, struct jl_err *e)
{
    char name[32];
    uint32_t token;
    size_t i;
    int r;

    if (strncmp(arch, "SCMP_ARCH_", 10) != 0)
        return jl_refuse(e, EINVAL, "'%s' is not a seccomp architecture (SCMP_ARCH_...)", arch);
    for (i = 0; arch[10 + i] != '\0' && i < sizeof name - 1; i++) {
        char c = arch[10 + i];

        name[i] = (char) (c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    name[i] = '\0';
    token = seccomp_arch_resolve_name(name);
    if (token == 0)
        return jl_refuse(e, EINVAL, "libseccomp does not know the architecture '%s'", arch);
    r = seccomp_arch_add(s->ctx, token);
    if (r < 0 && r != -EEXIST)
        return jl_fail(e, -r, "add the architecture '%s' to the seccomp filter", arch);
    return 0;
}

int os_seccomp_add_flag(struct os_seccomp *s, const char *flag, struct jl_err *e)
{
    static const struct {
        const char *name;
        uint32_t flag;
    } table[] = {
        { "SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC },
        { "SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG },
        { "SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW },
        { "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV },
    };

    for (size_t i = 0; i < JL_COUNT(table); i++)
        if (strcmp(table[i].name, flag) == 0) {
            s->flags |= table[i].flag;
            return 0;
        }
    return jl_refuse(e, EINVAL, "'%s' is not a seccomp filter flag", flag);
}

int os_seccomp_add_rule(struct os_seccomp *s, const char *syscall, struct os_seccomp_action action,
                        const struct os_seccomp_arg *args, size_t n_args, struct jl_err *e)
{
    struct scmp_arg_cmp cmp[6];
    int nr = seccomp_syscall_resolve_name(syscall);
    uint32_t act = action_of(action);
    int r;

    if (nr == __NR_SCMP_ERROR)
        return 1;
    if (act == s->fallback)
        return 0; /* libseccomp refuses such rules; they change nothing */
    if (n_args > JL_COUNT(cmp))
        return jl_refuse(e, EINVAL, "rule for '%s' has %zu conditions, at most 6 are possible",
                         syscall, n_args);
    for (size_t i = 0; i < n_args; i++) {
        if (args[i].index > 5)
            return jl_refuse(e, EINVAL, "rule for '%s': argument %u, allowed are 0 to 5", syscall,
                             args[i].index);
        cmp[i] = (struct scmp_arg_cmp){ .arg = args[i].index,
                                        .op = op_of(args[i].op),
                                        .datum_a = args[i].value,
                                        .datum_b = args[i].value2 };
    }
    r = seccomp_rule_add_array(s->ctx, act, nr, (unsigned) n_args, cmp);
    if (r < 0 && r != -EEXIST)
        return jl_fail(e, -r, "add the seccomp rule for '%s'", syscall);
    return 0;
}

int os_seccomp_build(struct os_seccomp *s, struct os_seccomp_prog *ret, struct jl_err *e)
{
    _close_ int fd = memfd_create("seccomp", MFD_CLOEXEC);
    _free_ struct sock_filter *insns = NULL;
    struct stat st;
    int r;

    if (fd < 0)
        return jl_fail_sys(e, "memfd_create", NULL, "build the seccomp filter");
    r = seccomp_export_bpf(s->ctx, fd);
    if (r < 0)
        return jl_fail(e, -r, "build the seccomp filter");
    if (fstat(fd, &st) < 0)
        return jl_fail_sys(e, "fstat", NULL, "build the seccomp filter");
    if (st.st_size / (off_t) sizeof *insns > BPF_MAXINSNS)
        return jl_refuse(e, E2BIG, "the seccomp filter has %lld instructions, the kernel takes %d",
                         (long long) (st.st_size / (off_t) sizeof *insns), BPF_MAXINSNS);
    insns = malloc((size_t) st.st_size);
    if (!insns)
        return jl_fail(e, ENOMEM, "build the seccomp filter");
    if (pread(fd, insns, (size_t) st.st_size, 0) != st.st_size)
        return jl_fail_sys(e, "pread", NULL, "build the seccomp filter");
    ret->len = (uint16_t) ((size_t) st.st_size / sizeof *insns);
    ret->flags = s->flags;
    ret->insns = jl_take_ptr(insns);
    return 0;
}

int os_seccomp_load(const struct os_seccomp_prog *prog, struct jl_err *e)
{
    struct sock_fprog fprog = { .len = prog->len, .filter = prog->insns };

    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, prog->flags, &fprog) != 0)
        return jl_fail_sys(e, "seccomp", NULL, "load the seccomp filter");
    return 0;
}
