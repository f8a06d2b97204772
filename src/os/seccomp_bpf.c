/*
 * seccomp_bpf.c - rules into a BPF program.
 *
 * The program asks for the architecture first, the machine's own before the others, then searches
 * the number by halving: all numbers are a list of ranges, each with one answer or with tests of
 * its arguments. An architecture that was not asked for ends the process.
 *
 * Only instructions that the kernel's seccomp_check_filter takes are used, and, where arguments do
 * not matter, only such that it can work out ahead (seccomp_is_const_allow): a call that is
 * always allowed is answered without running the program at all.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "os/seccomp_internal.h"

#define FAIL 255u /* a jump to where the rule does not hold; resolved at its end */
#define FAR 255u  /* the longest conditional jump */

/* A rule as it applies to one number of one architecture. */
struct entry {
    uint32_t nr; /* with base */
    uint32_t ret;
    uint32_t order;    /* of the rule in the profile */
    uint32_t mux_call; /* 0, or the call through socketcall or ipc: its only condition */
};

/* From this number up to the next range: one answer, or what the entries say. */
struct range {
    uint32_t from;
    uint32_t ret;
    const struct entry *entries;
    uint32_t n;
    bool is_32bit;
};

struct block { /* all of one AUDIT_ARCH */
    struct entry *entries;
    size_t n_entries;
    struct range *ranges;
    size_t n_ranges;
    bool is_32bit; /* the architecture that is added */
};

struct program {
    const struct os_seccomp *s;
    struct sock_filter *insns; /* [BPF_MAXINSNS + 1] */
    size_t len;
    bool full;
};

static void put(struct program *p, uint16_t op, uint32_t k, uint8_t jt, uint8_t jf)
{
    if (p->len >= BPF_MAXINSNS) {
        p->full = true;
        return;
    }
    p->insns[p->len++] = (struct sock_filter){ .code = op, .jt = jt, .jf = jf, .k = k };
}

static void put_load(struct program *p, size_t offset)
{
    put(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t) offset, 0, 0);
}

static void put_jump(struct program *p, uint16_t cmp, uint32_t k, unsigned jt, unsigned jf)
{
    put(p, BPF_JMP | BPF_K | cmp, k, (uint8_t) jt, (uint8_t) jf);
}

static void put_ret(struct program *p, uint32_t ret)
{
    put(p, BPF_RET | BPF_K, ret, 0, 0);
}

static size_t low_of(uint32_t arg)
{
    size_t at = offsetof(struct seccomp_data, args) + arg * sizeof(uint64_t);

    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? at : at + 4;
}

static size_t high_of(uint32_t arg)
{
    size_t at = offsetof(struct seccomp_data, args) + arg * sizeof(uint64_t);

    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? at + 4 : at;
}

/* The accumulator against k: falls through when it holds, else goes to FAIL. */
static void put_compare(struct program *p, enum os_seccomp_op op, uint32_t k)
{
    switch (op) {
    case OS_SC_EQ:
    case OS_SC_MASKED_EQ:
        put_jump(p, BPF_JEQ, k, 0, FAIL);
        break;
    case OS_SC_NE:
        put_jump(p, BPF_JEQ, k, FAIL, 0);
        break;
    case OS_SC_GT:
        put_jump(p, BPF_JGT, k, 0, FAIL);
        break;
    case OS_SC_GE:
        put_jump(p, BPF_JGE, k, 0, FAIL);
        break;
    case OS_SC_LT:
        put_jump(p, BPF_JGE, k, FAIL, 0);
        break;
    case OS_SC_LE:
        put_jump(p, BPF_JGT, k, FAIL, 0);
        break;
    }
}

static void put_half(struct program *p, size_t offset, uint32_t mask, uint32_t value)
{
    if (mask == 0 && value == 0)
        return;
    put_load(p, offset);
    if (mask != UINT32_MAX)
        put(p, BPF_ALU | BPF_AND | BPF_K, mask, 0, 0);
    put_jump(p, BPF_JEQ, value, 0, FAIL);
}

/* A 32-bit program's argument is below 2^32. A value above that, in a profile written for 64 bits,
 * is a negative number extended, or a bound that every or no argument meets. */
static void put_condition_32(struct program *p, const struct os_seccomp_arg *a)
{
    uint32_t high = (uint32_t) (a->value >> 32), low = (uint32_t) a->value;
    bool is_bound =
        a->op == OS_SC_LT || a->op == OS_SC_LE || a->op == OS_SC_GT || a->op == OS_SC_GE;

    if (a->op == OS_SC_MASKED_EQ) {
        put_half(p, low_of(a->index), low, (uint32_t) a->value2);
        return;
    }
    put_load(p, low_of(a->index));
    if (is_bound && high != 0 && high != UINT32_MAX) {
        if (a->op == OS_SC_GT || a->op == OS_SC_GE)
            put_jump(p, BPF_JGE, 0, FAIL, FAIL);
        return;
    }
    put_compare(p, a->op, low);
}

/* The upper halves decide unless they are equal. */
static void put_condition_64(struct program *p, const struct os_seccomp_arg *a)
{
    uint32_t high = (uint32_t) (a->value >> 32), low = (uint32_t) a->value;

    if (a->op == OS_SC_MASKED_EQ) {
        put_half(p, high_of(a->index), high, (uint32_t) (a->value2 >> 32));
        put_half(p, low_of(a->index), low, (uint32_t) a->value2);
        return;
    }
    put_load(p, high_of(a->index));
    switch (a->op) {
    case OS_SC_EQ:
    case OS_SC_MASKED_EQ:
        put_jump(p, BPF_JEQ, high, 0, FAIL);
        break;
    case OS_SC_NE:
        put_jump(p, BPF_JEQ, high, 0, 2);
        break;
    case OS_SC_GT:
    case OS_SC_GE:
        put_jump(p, BPF_JGT, high, 3, 0);
        put_jump(p, BPF_JEQ, high, 0, FAIL);
        break;
    case OS_SC_LT:
    case OS_SC_LE:
        put_jump(p, BPF_JGT, high, FAIL, 0);
        put_jump(p, BPF_JEQ, high, 0, 2);
        break;
    }
    put_load(p, low_of(a->index));
    put_compare(p, a->op, low);
}

static size_t count_of(const struct os_seccomp *s, const struct entry *r)
{
    return r->mux_call != 0 ? 1 : s->rules[r->order].n_args;
}

static void put_rule(struct program *p, const struct entry *r, bool is_32bit)
{
    const struct os_seccomp_arg call = { .index = 0, .op = OS_SC_EQ, .value = r->mux_call };
    size_t from = p->len, n = count_of(p->s, r);

    for (size_t i = 0; i < n; i++) {
        const struct os_seccomp_arg *arg =
            r->mux_call != 0 ? &call : &p->s->args[p->s->rules[r->order].first_arg + i];

        if (is_32bit)
            put_condition_32(p, arg);
        else
            put_condition_64(p, arg);
    }
    put_ret(p, r->ret);
    for (size_t i = from; i < p->len; i++) {
        struct sock_filter *insn = &p->insns[i];
        uint8_t distance = (uint8_t) (p->len - i - 1); /* a rule has at most 37 instructions */

        if (BPF_CLASS(insn->code) != BPF_JMP)
            continue;
        insn->jt = insn->jt == FAIL ? distance : insn->jt;
        insn->jf = insn->jf == FAIL ? distance : insn->jf;
    }
}

static void put_range(struct program *p, const struct range *r)
{
    for (size_t i = 0; i < r->n; i++)
        if (count_of(p->s, &r->entries[i]) > 0)
            put_rule(p, &r->entries[i], r->is_32bit);
    put_ret(p, r->ret);
}

/* The accumulator holds the number. */
static void put_search(struct program *p, const struct range *ranges, size_t n)
{
    size_t half = n / 2, at = p->len, left;

    if (n == 1) {
        put_range(p, ranges);
        return;
    }
    put_jump(p, BPF_JGE, ranges[half].from, 0, 0);
    put_search(p, ranges, half);
    left = p->len - at - 1;
    if (left > FAR) {
        put_ret(p, 0); /* makes room, or finds that there is none */
        if (p->full)
            return;
        memmove(&p->insns[at + 2], &p->insns[at + 1], left * sizeof *p->insns);
        p->insns[at + 1] = (struct sock_filter){ .code = BPF_JMP | BPF_JA, .k = (uint32_t) left };
        p->insns[at].jf = 1;
    } else if (!p->full) {
        p->insns[at].jt = (uint8_t) left;
    }
    put_search(p, ranges + half, n - half);
}

static int by_strictness(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (sc_strictness(x->ret) != sc_strictness(y->ret))
        return sc_strictness(x->ret) < sc_strictness(y->ret) ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

/* syscalls.py holds the table to this: a place for each number below 1000, and the last ones for the
 * architecture's own. */
static uint32_t place_of(const struct sc_arch *a, uint32_t nr)
{
    return nr < a->private_nr ? nr - a->base : SC_NUMBERS + (nr - a->private_nr);
}

/* By number, those of one number by strictness. Counted, not compared: profiles name hundreds of calls
 * once, and this was half of the work. */
static void sort_entries(const struct sc_arch *a, const struct entry *from, size_t n,
                         struct entry *to)
{
    uint32_t end[SC_NUMBERS + SC_PRIVATE_NUMBERS] = { 0 }; /* where the numbers before end */

    for (size_t i = 0; i < n; i++)
        end[place_of(a, from[i].nr)]++;
    for (uint32_t place = 0, sum = 0; place < JL_COUNT(end); place++) {
        uint32_t count = end[place];

        end[place] = sum;
        sum += count;
    }
    for (size_t i = 0; i < n; i++)
        to[end[place_of(a, from[i].nr)]++] = from[i];
    for (size_t i = 0, next; i < n; i = next) {
        for (next = i + 1; next < n && to[next].nr == to[i].nr; next++)
            ;
        if (next - i > 1)
            qsort(to + i, next - i, sizeof *to, by_strictness);
    }
}

/* A call through socketcall or ipc has its arguments in memory, where a filter can't look: a rule
 * with conditions that allows does not count there, one that refuses counts always. */
static void add_mux(const struct os_seccomp *s, unsigned arch, size_t order, struct block *b)
{
    const struct sc_rule *r = &s->rules[order];
    uint32_t call;
    int row;

    if (!sc_archs[arch].has_muxes || !sc_mux(r->row, &row, &call))
        return;
    if (r->n_args > 0 && sc_strictness(r->ret) >= sc_strictness(s->fallback))
        return;
    b->entries[b->n_entries++] = (struct entry){
        .nr = sc_archs[arch].base + (uint32_t) sc_number(row, arch),
        .ret = r->ret,
        .order = (uint32_t) order,
        .mux_call = call,
    };
}

/* Adds the rules as they are on this architecture. */
static void add_arch(const struct os_seccomp *s, unsigned arch, struct block *b)
{
    const struct sc_arch *a = &sc_archs[arch];

    for (size_t i = 0; i < s->n_rules; i++) {
        const struct sc_rule *r = &s->rules[i];
        int32_t nr = sc_number(r->row, arch);

        add_mux(s, arch, i, b);
        if (nr >= 0)
            b->entries[b->n_entries++] = (struct entry){
                .nr = a->base + (uint32_t) nr,
                .ret = r->ret,
                .order = (uint32_t) i,
            };
    }
}

static void add_range(struct block *b, uint32_t from, uint32_t ret, const struct entry *entries,
                      size_t n)
{
    struct range *last = b->n_ranges > 0 ? &b->ranges[b->n_ranges - 1] : NULL;

    if (last && last->from == from) { /* nothing lies between: replaced */
        b->n_ranges--;
        last = b->n_ranges > 0 ? last - 1 : NULL;
    }
    if (last && last->n == 0 && n == 0 && last->ret == ret)
        return;
    b->ranges[b->n_ranges++] = (struct range){ from, ret, entries, (uint32_t) n, b->is_32bit };
}

/* The rules of one number, strictest first: n of them. */
static void add_number(const struct os_seccomp *s, struct block *b, const struct entry *entries,
                       size_t n)
{
    const struct entry *plain = NULL;
    size_t stricter = 0;

    for (size_t i = 0; i < n; i++)
        if (count_of(s, &entries[i]) == 0 && (!plain || entries[i].order < plain->order))
            plain = &entries[i];
    for (size_t i = 0; i < n; i++)
        if (!plain || sc_strictness(entries[i].ret) < sc_strictness(plain->ret))
            stricter = i + 1;
    while (stricter > 0 && count_of(s, &entries[stricter - 1]) == 0)
        stricter--;
    add_range(b, entries[0].nr, plain ? plain->ret : s->fallback, entries, stricter);
}

/* What numbers without a rule get. From `newer` up to `own` they are calls that came after the
 * profile; beyond are the architecture's own ones, which are old. */
struct gaps {
    uint32_t fallback, ret_newer;
    uint32_t newer, own;
};

static struct gaps gaps_of(const struct os_seccomp *s, const struct sc_arch *a,
                           const struct entry *entries, size_t n)
{
    struct gaps g = { s->fallback, s->fallback, UINT32_MAX, a->private_nr };

    if (sc_strictness(s->fallback) == sc_strictness(SECCOMP_RET_ERRNO))
        for (size_t i = 0; i < n && entries[i].nr < g.own; i++) {
            g.ret_newer = SECCOMP_RET_ERRNO | ENOSYS;
            g.newer = entries[i].nr + 1;
        }
    return g;
}

static void add_gap(struct block *b, const struct gaps *g, uint32_t from)
{
    add_range(b, from, from >= g->newer && from < g->own ? g->ret_newer : g->fallback, NULL, 0);
}

/* Ranges of an architecture's entries, which are sorted. */
static void add_ranges(const struct os_seccomp *s, const struct sc_arch *a,
                       const struct entry *entries, size_t n, struct block *b)
{
    struct gaps g = gaps_of(s, a, entries, n);
    bool in_own = g.own == UINT32_MAX; /* has none */

    add_gap(b, &g, a->base);
    for (size_t i = 0, next; i < n; i = next) {
        uint32_t nr = entries[i].nr;

        for (next = i + 1; next < n && entries[next].nr == nr; next++)
            ;
        if (!in_own && nr >= g.own) {
            add_gap(b, &g, g.own);
            in_own = true;
        }
        add_number(s, b, entries + i, next - i);
        add_gap(b, &g, nr + 1);
    }
    if (!in_own)
        add_gap(b, &g, g.own);
}

static int put_block(const struct os_seccomp *s, uint32_t audit, struct program *p,
                     struct jl_err *e)
{
    size_t most = 2 * s->n_rules; /* of one architecture: a rule may be two calls */
    _free_ struct entry *unsorted = malloc((most + 1) * sizeof *unsorted);
    _free_ struct entry *sorted = malloc((2 * most + 1) * sizeof *sorted); /* two share a block */
    _free_ struct range *ranges = malloc((4 * most + 8) * sizeof *ranges);
    struct block b = { .entries = unsorted, .ranges = ranges };
    struct entry *next = sorted;

    if (!unsorted || !sorted || !ranges)
        return jl_fail(e, ENOMEM, "build the seccomp filter");
    for (unsigned i = 0; i < sc_n_archs; i++) {
        if (sc_archs[i].audit != audit)
            continue;
        if (!(s->archs >> i & 1)) { /* x32, to which nobody agreed */
            add_range(&b, sc_archs[i].base, SECCOMP_RET_KILL_PROCESS, NULL, 0);
            continue;
        }
        b.n_entries = 0;
        b.is_32bit = sc_archs[i].is_32bit;
        add_arch(s, i, &b);
        sort_entries(&sc_archs[i], unsorted, b.n_entries, next);
        add_ranges(s, &sc_archs[i], next, b.n_entries, &b);
        next += b.n_entries;
    }
    put_load(p, offsetof(struct seccomp_data, nr));
    put_search(p, b.ranges, b.n_ranges);
    return 0;
}

static int put_blocks(const struct os_seccomp *s, struct program *p, struct jl_err *e)
{
    put_load(p, offsetof(struct seccomp_data, arch));
    for (unsigned i = 0; i < sc_n_archs; i++) {
        size_t at = p->len;
        int r;

        if (!(s->archs >> i & 1) || sc_archs[i].base != 0) /* x32 is in x86_64's block */
            continue;
        put_jump(p, BPF_JEQ, sc_archs[i].audit, 1, 0);
        put(p, BPF_JMP | BPF_JA, 0, 0, 0);
        r = put_block(s, sc_archs[i].audit, p, e);
        if (r < 0)
            return r;
        if (!p->full)
            p->insns[at + 1].k = (uint32_t) (p->len - at - 2);
    }
    put_ret(p, SECCOMP_RET_KILL_PROCESS);
    return 0;
}

int os_seccomp_build(struct os_seccomp *s, struct os_seccomp_prog *ret, struct jl_err *e)
{
    _free_ struct sock_filter *insns = malloc(BPF_MAXINSNS * sizeof *insns);
    struct program p = { .s = s, .insns = insns };
    int r;

    if (!insns)
        return jl_fail(e, ENOMEM, "build the seccomp filter");
    r = put_blocks(s, &p, e);
    if (r < 0)
        return r;
    if (p.full)
        return jl_refuse(e, E2BIG,
                         "the seccomp filter needs more instructions than the %d that "
                         "the kernel takes",
                         BPF_MAXINSNS);
    ret->len = (uint16_t) p.len;
    ret->flags = s->flags;
    ret->notifies = s->notifies;
    ret->insns = jl_take_ptr(insns);
    return 0;
}
