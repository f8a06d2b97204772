/* linux.seccomp of any kind: what is refused has a sentence with its path; what is accepted makes a
 * program that the kernel would take and that answers as the rules, read one by one, say. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "bpf.h"
#include "os/seccomp.h"
#include "os/seccomp_internal.h"
#include "runtime/spec.h"

static bool holds(const struct os_seccomp_arg *a, uint64_t v)
{
    switch (a->op) {
    case OS_SC_NE:
        return v != a->value;
    case OS_SC_LT:
        return v < a->value;
    case OS_SC_LE:
        return v <= a->value;
    case OS_SC_EQ:
        return v == a->value;
    case OS_SC_GE:
        return v >= a->value;
    case OS_SC_GT:
        return v > a->value;
    case OS_SC_MASKED_EQ:
        break;
    }
    return (v & a->value) == a->value2;
}

static bool all_hold(const struct os_seccomp *s, const struct sc_rule *r,
                     const struct seccomp_data *d)
{
    for (uint32_t i = 0; i < r->n_args; i++)
        if (!holds(&s->args[r->first_arg + i], d->args[s->args[r->first_arg + i].index]))
            return false;
    return true;
}

/* The machine's own architecture, no ENOSYS for what is newer: seccomp.h as it is written there. */
static uint32_t expected(const struct os_seccomp *s, int row, const struct seccomp_data *d)
{
    const struct sc_rule *plain = NULL, *best = NULL;

    for (size_t i = 0; i < s->n_rules && !plain; i++)
        if (s->rules[i].row == row && s->rules[i].n_args == 0)
            plain = &s->rules[i];
    for (size_t i = 0; i < s->n_rules; i++) {
        const struct sc_rule *r = &s->rules[i];

        if (r->row != row || r->n_args == 0 || !all_hold(s, r, d))
            continue;
        if (plain && sc_strictness(r->ret) >= sc_strictness(plain->ret))
            continue;
        if (!best || sc_strictness(r->ret) < sc_strictness(best->ret))
            best = r;
    }
    if (best)
        return best->ret;
    return plain ? plain->ret : s->fallback;
}

static void check_answers(const struct os_seccomp *s, const struct os_seccomp_prog *p)
{
    for (size_t i = 0; i < s->n_rules; i++) {
        int32_t nr = sc_number(s->rules[i].row, 0);
        struct seccomp_data d = { .nr = nr, .arch = sc_archs[0].audit };

        if (nr < 0)
            continue;
        for (int round = 0; round < 4; round++) {
            for (size_t k = 0; k < s->rules[i].n_args; k++) {
                const struct os_seccomp_arg *a = &s->args[s->rules[i].first_arg + k];

                d.args[a->index] = (round & 2 ? a->value2 : a->value) + (round & 1);
            }
            assert(bpf_run(p->insns, p->len, &d, NULL) == expected(s, s->rules[i].row, &d));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char before[] = "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"r\"},\"linux\":{"
                                 "\"namespaces\":[{\"type\":\"mount\"}],\"seccomp\":";
    _buf_ struct jl_buf text = JL_BUF_INIT((size_t) 1 << 20);
    struct os_seccomp_prog prog = { 0 };
    struct jl_err e = JL_ERR_INIT;
    struct rt_spec *s = NULL;
    int r;

    if (jl_buf_add(&text, before, sizeof before - 1) < 0 || jl_buf_add(&text, data, len) < 0 ||
        jl_buf_add(&text, "}}", 2) < 0)
        return 0;
    r = rt_spec_from_text("/bundle", text.data, text.len, &s, &e);
    if (r < 0) {
        assert(e.code == -r && strstr(e.text, "config.json") == e.text);
        return 0;
    }
    if (!s->seccomp) {
        rt_spec_free(s);
        return 0;
    }
    r = os_seccomp_build(s->seccomp, &prog, &e);
    assert(r == 0 || (r == -E2BIG && !prog.insns && *e.text));
    if (r == 0) {
        assert(bpf_is_valid(prog.insns, prog.len));
        if (s->seccomp->n_rules < 200 && !sc_archs[0].has_muxes)
            check_answers(s->seccomp, &prog);
    }
    free(prog.insns);
    rt_spec_free(s);
    return 0;
}
