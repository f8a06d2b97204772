/* seccomp_internal.h - between the parts of the filter compiler: the rules as they were given
 * (seccomp.c), the numbers of the calls (seccomp_table.c), the program (seccomp_bpf.c). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/seccomp.h"

#define SC_NUMBERS 1000u       /* without base; all are below */
#define SC_PRIVATE_NUMBERS 16u /* from private_nr up */
#define SC_X32_BIT 0x40000000u /* __X32_SYSCALL_BIT, asm/unistd.h */

/* An architecture whose programs this machine can run; the first of the table is its own. */
struct sc_arch {
    const char *word;    /* "SCMP_ARCH_X86_64" */
    uint32_t audit;      /* AUDIT_ARCH_*, seccomp_data.arch */
    uint32_t base;       /* of its numbers: SC_X32_BIT, or 0 */
    bool is_32bit;       /* arguments are 32 bits wide */
    bool has_muxes;      /* socketcall(2) and ipc(2) */
    uint32_t private_nr; /* numbers from here up are the architecture's own; or UINT32_MAX */
};

extern const struct sc_arch sc_archs[];
extern const unsigned sc_n_archs;

/* Index of a call's row, or -1. */
int sc_find(const char *name);

/* Its number without base; -1: not on this architecture. */
int32_t sc_number(int row, unsigned arch);

/* The call's way through socketcall or ipc: the row of that, and the first argument. false: none. */
bool sc_mux(int row, int *ret_row, uint32_t *ret_call);

/* Whether libseccomp knows this word, other machines' included. */
bool sc_is_arch_word(const char *word);

struct sc_rule {
    int row;
    uint32_t ret; /* SECCOMP_RET_*, with its data */
    uint32_t first_arg;
    uint32_t n_args;
};

struct os_seccomp {
    uint32_t fallback; /* SECCOMP_RET_* */
    uint32_t flags;
    unsigned archs; /* a bit for each of sc_archs */
    bool notifies;
    struct sc_rule *rules;
    size_t n_rules, rules_size;
    struct os_seccomp_arg *args; /* of all rules */
    size_t n_args, args_size;
};

/* The order of seccomp(2): less is stricter. */
static inline int32_t sc_strictness(uint32_t ret)
{
    return (int32_t) (ret & 0xffff0000u); /* SECCOMP_RET_ACTION_FULL */
}
