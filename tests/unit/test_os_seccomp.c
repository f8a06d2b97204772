/*
 * The filter compiler against libseccomp: the same rules through both, and both programs run over
 * every system call number, arguments around every value that a rule names, and every architecture.
 * Where we differ on purpose (seccomp.h, docs/seccomp.md) a test of its own says so.
 */
#include "unit.h"

#include <errno.h>
#include <linux/audit.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "bpf.h"
#include "os/seccomp.h"
#include "os/seccomp_internal.h"

#define MAX_RULES 160

struct rule {
    const char *name;
    struct os_seccomp_action action;
    struct os_seccomp_arg args[3];
    size_t n_args;
};

struct profile {
    struct os_seccomp_action fallback;
    unsigned archs; /* bits of sc_archs */
    struct rule rules[MAX_RULES];
    size_t n;
};

static uint64_t seed;

static uint32_t roll(uint32_t sides) /* xorshift64: the same on every machine */
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t) (seed >> 32) % sides;
}

static uint32_t theirs_of(struct os_seccomp_action a)
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
    case OS_SC_NOTIFY:
        return SCMP_ACT_NOTIFY;
    case OS_SC_TRACE:
        return SCMP_ACT_TRACE(a.value);
    case OS_SC_LOG:
        return SCMP_ACT_LOG;
    case OS_SC_ALLOW:
        break;
    }
    return SCMP_ACT_ALLOW;
}

static struct os_seccomp_prog build_ours(const struct profile *p)
{
    struct jl_err e = JL_ERR_INIT;
    struct os_seccomp_prog prog = { 0 };
    struct os_seccomp *s;

    assert_int_equal(os_seccomp_new(p->fallback, &s, &e), 0);
    for (unsigned i = 0; i < sc_n_archs; i++)
        if (p->archs >> i & 1)
            assert_int_equal(os_seccomp_add_arch(s, sc_archs[i].word), 0);
    for (size_t i = 0; i < p->n; i++)
        assert_int_equal(os_seccomp_add_rule(s, p->rules[i].name, p->rules[i].action,
                                             p->rules[i].args, p->rules[i].n_args, &e),
                         0);
    assert_int_equal(os_seccomp_build(s, &prog, &e), 0);
    assert_true(bpf_is_valid(prog.insns, prog.len));
    os_seccomp_free(s);
    return prog;
}

static struct os_seccomp_prog build_theirs(const struct profile *p)
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
    scmp_filter_ctx ctx = seccomp_init(theirs_of(p->fallback));
    _close_ int fd = memfd_create("theirs", MFD_CLOEXEC);
    struct os_seccomp_prog prog = { 0 };
    struct stat st;

    assert_non_null(ctx);
    for (unsigned i = 1; i < sc_n_archs; i++)
        if (p->archs >> i & 1) {
            char word[16] = "";

            for (size_t k = 0; sc_archs[i].word[10 + k] && k < sizeof word - 1; k++)
                word[k] =
                    sc_archs[i].word[10 + k] |
                    ('A' <= sc_archs[i].word[10 + k] && sc_archs[i].word[10 + k] <= 'Z' ? 0x20 : 0);
            assert_int_equal(seccomp_arch_add(ctx, seccomp_arch_resolve_name(word)), 0);
        }
    for (size_t i = 0; i < p->n; i++) {
        const struct rule *r = &p->rules[i];
        struct scmp_arg_cmp cmp[3];
        int got;

        for (size_t k = 0; k < r->n_args; k++)
            cmp[k] = (struct scmp_arg_cmp){ r->args[k].index, ops[r->args[k].op], r->args[k].value,
                                            r->args[k].value2 };
        got =
            seccomp_rule_add_array(ctx, theirs_of(r->action), seccomp_syscall_resolve_name(r->name),
                                   (unsigned) r->n_args, cmp);
        if (got != 0 && got != -EEXIST)
            fail_msg("libseccomp refuses the rule for %s: %d", r->name, got);
    }
    assert_int_equal(seccomp_export_bpf(ctx, fd), 0);
    seccomp_release(ctx);
    assert_int_equal(fstat(fd, &st), 0);
    prog.insns = malloc((size_t) st.st_size);
    prog.len = (uint16_t) ((size_t) st.st_size / sizeof(struct sock_filter));
    assert_int_equal(pread(fd, prog.insns, (size_t) st.st_size, 0), st.st_size);
    return prog;
}

static bool is_foreign(const struct profile *p, const struct seccomp_data *d)
{
    bool is_x32 = d->arch == AUDIT_ARCH_X86_64 && (uint32_t) d->nr >= SC_X32_BIT;

    for (unsigned i = 0; i < sc_n_archs; i++)
        if (p->archs >> i & 1 && sc_archs[i].audit == d->arch && is_x32 == (sc_archs[i].base != 0))
            return false;
    return true;
}

/* Ours kills the whole process where an architecture is wrong; libseccomp's kills the thread. A
 * call newer than the profile is ENOSYS with us alone. */
static void same(const struct os_seccomp_prog *ours, const struct os_seccomp_prog *theirs,
                 const struct profile *p, const struct seccomp_data *d, const char *what)
{
    uint32_t a = bpf_run(ours->insns, ours->len, d, NULL);
    uint32_t b = bpf_run(theirs->insns, theirs->len, d, NULL);

    if (is_foreign(p, d) ? a == SECCOMP_RET_KILL_PROCESS && b == SECCOMP_RET_KILL_THREAD : a == b)
        return;
    if (a == (SECCOMP_RET_ERRNO | ENOSYS) && b == theirs_of(p->fallback) &&
        p->fallback.act == OS_SC_ERRNO)
        return; /* where that may be is tested apart */
    for (size_t i = 0; i < p->n; i++) {
        print_error("rule %s act %d/%u:", p->rules[i].name, p->rules[i].action.act,
                    p->rules[i].action.value);
        for (size_t k = 0; k < p->rules[i].n_args; k++)
            print_error(" arg%u op%d %#llx %#llx", p->rules[i].args[k].index,
                        p->rules[i].args[k].op, (unsigned long long) p->rules[i].args[k].value,
                        (unsigned long long) p->rules[i].args[k].value2);
        print_error("\n");
    }
    fail_msg("%s: nr %d arch %#x args %#llx %#llx %#llx: ours %#x, libseccomp's %#x", what, d->nr,
             d->arch, (unsigned long long) d->args[0], (unsigned long long) d->args[1],
             (unsigned long long) d->args[2], a, b);
}

/* Arguments around the value that a condition names, halves swapped and cut. */
static void same_around(const struct os_seccomp_prog *ours, const struct os_seccomp_prog *theirs,
                        const struct profile *p, struct seccomp_data d, const struct rule *r)
{
    for (unsigned round = 0; round < 40; round++) {
        for (size_t k = 0; k < r->n_args; k++) {
            uint64_t v = roll(4) == 0 ? r->args[k].value2 : r->args[k].value;

            switch (roll(9)) {
            case 0:
                v++;
                break;
            case 1:
                v--;
                break;
            case 2:
                v = v << 32 | v >> 32;
                break;
            case 3:
                v = (uint32_t) v;
                break;
            case 4:
                v ^= UINT64_C(1) << roll(64);
                break;
            case 5:
                v = roll(3) == 0 ? UINT64_MAX : 0;
                break;
            default:
                break;
            }
            /* a 32-bit program's registers hold no more */
            d.args[r->args[k].index] = d.arch == AUDIT_ARCH_X86_64 ? v : (uint32_t) v;
        }
        same(ours, theirs, p, &d, "arguments");
    }
}

static void compare(const struct profile *p)
{
    static const uint32_t archs[] = { AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64,
                                      AUDIT_ARCH_ARM, 0 };
    struct os_seccomp_prog ours = build_ours(p), theirs = build_theirs(p);

    for (size_t a = 0; a < JL_COUNT(archs); a++)
        for (uint32_t nr = 0; nr < 600; nr++)
            for (unsigned x32 = 0; x32 < 2; x32++) {
                struct seccomp_data d = { .nr = (int) (x32 ? nr | SC_X32_BIT : nr),
                                          .arch = archs[a] };

                same(&ours, &theirs, p, &d, "no arguments");
            }
    for (size_t i = 0; i < p->n; i++)
        for (unsigned a = 0; a < sc_n_archs; a++) {
            int32_t nr = sc_number(sc_find(p->rules[i].name), a);
            struct seccomp_data d = { .nr = (int) ((uint32_t) nr + sc_archs[a].base),
                                      .arch = sc_archs[a].audit };

            if (nr >= 0)
                same_around(&ours, &theirs, p, d, &p->rules[i]);
        }
    free(ours.insns);
    free(theirs.insns);
}

#define NATIVE_CALLS 451

/* What libseccomp calls it, or NULL; asked for once, as each answer has to be freed. */
static const char *native_name(unsigned nr)
{
    static char *names[NATIVE_CALLS];

    if (!names[nr])
        names[nr] = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, (int) nr);
    return names[nr];
}

/* A name that libseccomp knows too, not one of those that go through socketcall as well. */
static const char *some_call(void)
{
    for (;;) {
        const char *name = native_name(roll(NATIVE_CALLS));
        int row = name ? sc_find(name) : -1, mux;
        uint32_t call;

        if (row >= 0 && !sc_mux(row, &mux, &call))
            return sc_number(row, 0) >= 0 ? name : "read";
    }
}

static struct os_seccomp_action some_action(void)
{
    struct os_seccomp_action a = { (enum os_seccomp_act) roll(8), 0 };

    if (a.act == OS_SC_ERRNO || a.act == OS_SC_TRACE)
        a.value = roll(200);
    return a;
}

static bool is_same_action(struct os_seccomp_action a, struct os_seccomp_action b)
{
    return a.act == b.act && a.value == b.value;
}

static uint64_t some_value(void)
{
    static const uint64_t values[] = {
        0, 1, 5, 0x7e020000, 0xffffffff, 0x100000000, 0x123456789abcdef0, UINT64_MAX
    };

    return roll(2) ? values[roll(JL_COUNT(values))] : roll(100);
}

/* One rule a call, or several with conditions on the same argument and one action: there
 * libseccomp's meaning is clear. */
static void random_profile(struct profile *p)
{
    *p = (struct profile){ .archs = 1 | roll(1u << sc_n_archs), .fallback = some_action() };
    if (p->fallback.act == OS_SC_NOTIFY)
        p->fallback.act = OS_SC_ERRNO;
    for (size_t want = 1 + roll(MAX_RULES - 1); p->n < want;) {
        struct rule r = { .name = some_call(), .action = some_action() };
        bool taken = is_same_action(r.action, p->fallback);
        size_t n = roll(3) == 0 ? 1 + roll(3) : 0;

        for (size_t i = 0; i < p->n; i++)
            taken = taken || strcmp(p->rules[i].name, r.name) == 0;
        for (size_t k = 0; k < n; k++) {
            r.args[k] = (struct os_seccomp_arg){ .index = (uint32_t) (2 * k) + roll(2),
                                                 .op = (enum os_seccomp_op) roll(7),
                                                 .value = some_value() };
            /* libseccomp cuts bounds above 2^32 for 32-bit programs: bounds_of_32_bits */
            if (p->archs > 1 && r.args[k].op != OS_SC_EQ)
                r.args[k].value = (uint32_t) r.args[k].value;
            r.args[k].value2 = r.args[k].value & some_value();
        }
        r.n_args = n;
        if (!taken)
            p->rules[p->n++] = r;
        else if (p->n == 0)
            p->fallback = some_action();
    }
}

static void random_profiles_do_what_libseccomp_does(void **state)
{
    struct profile p;

    (void) state;
    seed = 0x6a6f626c65743031;
    for (unsigned i = 0; i < 120; i++) {
        random_profile(&p);
        if (p.fallback.act != OS_SC_NOTIFY)
            compare(&p);
    }
}

/* Nearly everything allowed, some with conditions: the shape of docker's and podman's. */
static void fill_docker_like(struct profile *p)
{
    *p = (struct profile){ .archs = 7, .fallback = { OS_SC_ERRNO, EPERM } };
    for (unsigned nr = 0; nr < NATIVE_CALLS && p->n < MAX_RULES - 8; nr++) {
        const char *name = native_name(nr);
        int mux;
        uint32_t call;

        if (!name)
            continue;
        if (nr % 3 != 0 && strcmp(name, "clone") != 0 && strcmp(name, "personality") != 0 &&
            sc_find(name) >= 0 && !sc_mux(sc_find(name), &mux, &call))
            p->rules[p->n++] = (struct rule){ .name = name, .action = { OS_SC_ALLOW, 0 } };
    }
    p->rules[p->n++] = (struct rule){ .name = "clone3", .action = { OS_SC_ERRNO, ENOSYS } };
    p->rules[p->n++] = (struct rule){ .name = "clone",
                                      .action = { OS_SC_ALLOW, 0 },
                                      .args = { { 0, OS_SC_MASKED_EQ, 0x7e020000, 0 } },
                                      .n_args = 1 };
    for (uint64_t v = 0; v < 3; v++)
        p->rules[p->n++] = (struct rule){ .name = "personality",
                                          .action = { OS_SC_ALLOW, 0 },
                                          .args = { { 0, OS_SC_EQ, v << 3, 0 } },
                                          .n_args = 1 };
}

static void a_profile_like_dockers_does_what_libseccomp_does(void **state)
{
    struct profile p;

    (void) state;
    fill_docker_like(&p);
    for (p.archs = 1; p.archs < 1u << sc_n_archs; p.archs += 2)
        compare(&p);
}

/* Long programs: jumps over more than 255 instructions. */
static void far_jumps_arrive(void **state)
{
    struct profile p = { .archs = 7, .fallback = { OS_SC_ERRNO, EPERM } };

    (void) state;
    seed = 99;
    while (p.n < 75) {
        struct rule r = { .name = some_call(), .action = { OS_SC_ALLOW, 0 }, .n_args = 3 };
        bool taken = false;

        for (size_t i = 0; i < p.n; i++)
            taken = taken || strcmp(p.rules[i].name, r.name) == 0;
        for (uint32_t k = 0; k < 3; k++)
            r.args[k] = (struct os_seccomp_arg){ k, OS_SC_GT, 7 + roll(90), 0 };
        if (!taken)
            p.rules[p.n++] = r;
    }
    compare(&p);
}

static uint32_t ask(const struct profile *p, uint32_t nr, uint32_t arch, uint64_t arg0,
                    uint64_t arg1)
{
    struct os_seccomp_prog prog = build_ours(p);
    struct seccomp_data d = { .nr = (int) nr, .arch = arch, .args = { arg0, arg1 } };
    uint32_t ret = bpf_run(prog.insns, prog.len, &d, NULL);

    free(prog.insns);
    return ret;
}

static uint32_t nr_of(const char *name)
{
    return (uint32_t) sc_number(sc_find(name), 0);
}

#define ERRNO(n) (SECCOMP_RET_ERRNO | (n))

static void calls_newer_than_the_profile_are_enosys(void **state)
{
    const uint32_t native = sc_archs[0].audit;
    struct profile p = { .archs = 1,
                         .fallback = { OS_SC_ERRNO, EPERM },
                         .rules = { { .name = "read", .action = { OS_SC_ALLOW, 0 } },
                                    { .name = "openat2", .action = { OS_SC_ALLOW, 0 } } },
                         .n = 2 };

    (void) state;
    assert_int_equal(ask(&p, 437, native, 0, 0), SECCOMP_RET_ALLOW);
    assert_int_equal(ask(&p, 435, native, 0, 0), ERRNO(EPERM));  /* clone3: known, not named */
    assert_int_equal(ask(&p, 439, native, 0, 0), ERRNO(ENOSYS)); /* faccessat2 */
    assert_int_equal(ask(&p, 9999, native, 0, 0), ERRNO(ENOSYS));
    p.fallback = (struct os_seccomp_action){ OS_SC_KILL_PROCESS, 0 };
    assert_int_equal(ask(&p, 439, native, 0, 0), SECCOMP_RET_KILL_PROCESS);
    p.fallback = (struct os_seccomp_action){ OS_SC_ALLOW, 0 };
    assert_int_equal(ask(&p, 439, native, 0, 0), SECCOMP_RET_ALLOW);
    p.fallback = (struct os_seccomp_action){ OS_SC_ERRNO, EPERM };
    p.n = 0; /* names nothing: nothing is newer */
    assert_int_equal(ask(&p, 439, native, 0, 0), ERRNO(EPERM));
}

static void of_several_rules_the_strictest_decides(void **state)
{
    const uint32_t native = sc_archs[0].audit, nr = nr_of("ioctl");
    struct profile p = {
        .archs = 1,
        .fallback = { OS_SC_ERRNO, ENOTTY },
        .rules = { { .name = "ioctl", .action = { OS_SC_ALLOW, 0 } },
                   { .name = "ioctl",
                     .action = { OS_SC_ERRNO, EACCES },
                     .args = { { 1, OS_SC_EQ, 7, 0 } },
                     .n_args = 1 },
                   { .name = "ioctl",
                     .action = { OS_SC_KILL_PROCESS, 0 },
                     .args = { { 0, OS_SC_EQ, 9, 0 } },
                     .n_args = 1 },
                   { .name = "ioctl", .action = { OS_SC_ERRNO, EIO } } },
        .n = 4,
    };
    struct rule first = p.rules[0];

    (void) state;
    assert_int_equal(ask(&p, nr, native, 0, 0),
                     SECCOMP_RET_ALLOW); /* the first without conditions */
    assert_int_equal(ask(&p, nr, native, 0, 7), ERRNO(EACCES));
    assert_int_equal(ask(&p, nr, native, 9, 7), SECCOMP_RET_KILL_PROCESS);
    p.rules[0] = p.rules[3];
    p.rules[3] = first;
    assert_int_equal(ask(&p, nr, native, 0, 0), ERRNO(EIO));
    assert_int_equal(ask(&p, nr, native, 0, 7), ERRNO(EIO)); /* not stricter: does not count */
    assert_int_equal(ask(&p, nr, native, 9, 0), SECCOMP_RET_KILL_PROCESS);
}

#if defined(__x86_64__)
static void calls_through_socketcall(void **state)
{
    struct profile p = { .archs = 3,
                         .fallback = { OS_SC_ERRNO, EPERM },
                         .rules = { { .name = "connect", .action = { OS_SC_ALLOW, 0 } },
                                    { .name = "socket",
                                      .action = { OS_SC_ALLOW, 0 },
                                      .args = { { 0, OS_SC_EQ, 1, 0 } },
                                      .n_args = 1 } },
                         .n = 2 };

    (void) state;
    assert_int_equal(ask(&p, 102, AUDIT_ARCH_I386, 3, 0), SECCOMP_RET_ALLOW);
    assert_int_equal(ask(&p, 102, AUDIT_ARCH_I386, 2, 0), ERRNO(EPERM));
    /* nobody can see the family: what allows with conditions does not count, what refuses does */
    assert_int_equal(ask(&p, 102, AUDIT_ARCH_I386, 1, 0), ERRNO(EPERM));
    assert_int_equal(ask(&p, 359, AUDIT_ARCH_I386, 1, 0), SECCOMP_RET_ALLOW);
    p.fallback = (struct os_seccomp_action){ OS_SC_ALLOW, 0 };
    p.rules[1].action = (struct os_seccomp_action){ OS_SC_ERRNO, EACCES };
    assert_int_equal(ask(&p, 102, AUDIT_ARCH_I386, 1, 0), ERRNO(EACCES));
    assert_int_equal(ask(&p, 41, AUDIT_ARCH_X86_64, 2, 0), SECCOMP_RET_ALLOW);
}

static void bounds_of_32_bits(void **state)
{
    struct profile p = { .archs = 3,
                         .fallback = { OS_SC_ERRNO, EPERM },
                         .rules = { { .name = "dup",
                                      .action = { OS_SC_ALLOW, 0 },
                                      .args = { { 0, OS_SC_LT, 0x100000005, 0 } },
                                      .n_args = 1 } },
                         .n = 1 };

    (void) state;
    assert_int_equal(ask(&p, 41, AUDIT_ARCH_I386, 0xffffffff, 0), SECCOMP_RET_ALLOW);
    p.rules[0].args[0].op = OS_SC_GT;
    assert_int_equal(ask(&p, 41, AUDIT_ARCH_I386, 0xffffffff, 0), ERRNO(EPERM));
    p.rules[0].args[0] = (struct os_seccomp_arg){ 0, OS_SC_EQ, UINT64_MAX, 0 }; /* -1 */
    assert_int_equal(ask(&p, 41, AUDIT_ARCH_I386, 0xffffffff, 0), SECCOMP_RET_ALLOW);
}

static void foreign_programs_are_killed(void **state)
{
    struct profile p = { .archs = 1, .fallback = { OS_SC_ALLOW, 0 } };

    (void) state;
    assert_int_equal(ask(&p, 1, AUDIT_ARCH_X86_64, 0, 0), SECCOMP_RET_ALLOW);
    assert_int_equal(ask(&p, 1, AUDIT_ARCH_I386, 0, 0), SECCOMP_RET_KILL_PROCESS);
    assert_int_equal(ask(&p, 1 | SC_X32_BIT, AUDIT_ARCH_X86_64, 0, 0), SECCOMP_RET_KILL_PROCESS);
    p.archs = 5;
    assert_int_equal(ask(&p, 1 | SC_X32_BIT, AUDIT_ARCH_X86_64, 0, 0), SECCOMP_RET_ALLOW);
}
#endif

/* The numbers of all names on all of this machine's architectures. */
static void the_table_agrees_with_libseccomp(void **state)
{
    unsigned checked = 0;

    (void) state;
    for (unsigned a = 0; a < sc_n_archs; a++) {
        uint32_t token =
            strcmp(sc_archs[a].word, "SCMP_ARCH_X32") == 0 ? SCMP_ARCH_X32 : sc_archs[a].audit;

        for (int nr = 0; nr < 0xf0010; nr = nr == 700 ? 0xf0000 : nr + 1) {
            char *name =
                seccomp_syscall_resolve_num_arch(token, (int) ((uint32_t) nr + sc_archs[a].base));

            if (!name)
                continue;
            if (sc_find(name) < 0)
                fail_msg("%s of %s is not in syscalls.tbl", name, sc_archs[a].word);
            assert_int_equal(sc_number(sc_find(name), a), nr);
            checked++;
            free(name);
        }
    }
    assert_true(checked > 250);
    assert_int_equal(sc_number(sc_find("file_setattr"), 0), 469);
    assert_int_equal(sc_find("no_such_call"), -1);
    assert_int_equal(sc_find(""), -1);
}

static void words(void **state)
{
    struct jl_err e = JL_ERR_INIT;
    struct os_seccomp *s;

    (void) state;
    assert_int_equal(os_seccomp_new((struct os_seccomp_action){ OS_SC_ERRNO, 1 }, &s, &e), 0);
    assert_int_equal(os_seccomp_add_arch(s, sc_archs[0].word), 0);
    assert_int_equal(os_seccomp_add_arch(s, "SCMP_ARCH_PARISC64"), 1);
    assert_int_equal(os_seccomp_add_arch(s, "SCMP_ARCH_VAX"), -EINVAL);
    assert_int_equal(os_seccomp_add_arch(s, "x86"), -EINVAL);
    assert_int_equal(os_seccomp_add_flag(s, "SECCOMP_FILTER_FLAG_LOG"), 0);
    assert_int_equal(os_seccomp_add_flag(s, "SECCOMP_FILTER_FLAG_NEW_LISTENER"), -EINVAL);
    assert_int_equal(
        os_seccomp_add_rule(s, "frob", (struct os_seccomp_action){ OS_SC_ALLOW, 0 }, NULL, 0, &e),
        1);
    assert_false(os_seccomp_lets_through(s, "sendmsg"));
    os_seccomp_add_rule(s, "sendmsg", (struct os_seccomp_action){ OS_SC_ALLOW, 0 }, NULL, 0, &e);
    assert_true(os_seccomp_lets_through(s, "sendmsg"));
    os_seccomp_add_rule(s, "sendmsg", (struct os_seccomp_action){ OS_SC_NOTIFY, 0 }, NULL, 0, &e);
    assert_false(os_seccomp_lets_through(s, "sendmsg"));
    os_seccomp_free(s);
}

/* More than the kernel takes is refused, not cut. */
static void too_long_is_refused(void **state)
{
    struct jl_err e = JL_ERR_INIT;
    struct os_seccomp_prog prog = { 0 };
    struct os_seccomp *s;

    (void) state;
    assert_int_equal(os_seccomp_new((struct os_seccomp_action){ OS_SC_ERRNO, 1 }, &s, &e), 0);
    for (unsigned i = 0; i < 2000; i++) {
        struct os_seccomp_arg arg = { 0, OS_SC_EQ, i, 0 };

        os_seccomp_add_rule(s, "read", (struct os_seccomp_action){ OS_SC_ALLOW, 0 }, &arg, 1, &e);
    }
    assert_int_equal(os_seccomp_build(s, &prog, &e), -E2BIG);
    assert_null(prog.insns);
    os_seccomp_free(s);
}

/* The kernel takes the program and does as it says. */
static void the_kernel_enforces_it(void **state)
{
    struct profile p = { .archs = 7,
                         .fallback = { OS_SC_ALLOW, 0 },
                         .rules = { { .name = "getppid",
                                      .action = { OS_SC_ERRNO, 99 },
                                      .args = { { 0, OS_SC_GE, 0x500000000, 0 } },
                                      .n_args = 1 } },
                         .n = 1 };
    struct os_seccomp_prog prog = build_ours(&p);
    pid_t pid;
    int status;

    (void) state;
    pid = fork();
    if (pid == 0) {
        struct jl_err e = JL_ERR_INIT;
        int listener;

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || os_seccomp_load(&prog, &listener, &e) < 0)
            _exit(10);
        if (listener != -1 || syscall(SYS_getppid, 0x4ffffffffUL) < 0)
            _exit(11);
        _exit(syscall(SYS_getppid, 0x500000000UL) == -1 && errno == 99 ? 0 : 12);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    free(prog.insns);
}

UNIT_MAIN(cmocka_unit_test(the_table_agrees_with_libseccomp), cmocka_unit_test(words),
#if defined(__x86_64__)
          cmocka_unit_test(random_profiles_do_what_libseccomp_does),
          cmocka_unit_test(a_profile_like_dockers_does_what_libseccomp_does),
          cmocka_unit_test(far_jumps_arrive), cmocka_unit_test(calls_through_socketcall),
          cmocka_unit_test(bounds_of_32_bits), cmocka_unit_test(foreign_programs_are_killed),
#endif
          cmocka_unit_test(calls_newer_than_the_profile_are_enosys),
          cmocka_unit_test(of_several_rules_the_strictest_decides),
          cmocka_unit_test(too_long_is_refused), cmocka_unit_test(the_kernel_enforces_it))
