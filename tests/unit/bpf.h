/*
 * bpf.h - for tests of filters: runs a classic BPF program over a struct seccomp_data, and checks a
 * program by the rules of the kernel (net/core/filter.c bpf_check_classic, kernel/seccomp.c
 * seccomp_check_filter).
 */
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* What the program answers; *ret_steps (may be NULL) counts instructions. 1: it went wrong, which
 * no SECCOMP_RET_* is. */
static inline uint32_t bpf_run(const struct sock_filter *p, size_t len,
                               const struct seccomp_data *data, unsigned *ret_steps)
{
    uint32_t a = 0;
    unsigned steps = 0;

    for (size_t pc = 0; pc < len; pc++) {
        const struct sock_filter *i = &p[pc];

        steps++;
        switch (i->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            if (i->k > sizeof *data - 4 || i->k % 4 != 0)
                return 1;
            memcpy(&a, (const char *) data + i->k, 4);
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= i->k;
            break;
        case BPF_JMP | BPF_JA:
            pc += i->k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            pc += a == i->k ? i->jt : i->jf;
            break;
        case BPF_JMP | BPF_JGT | BPF_K:
            pc += a > i->k ? i->jt : i->jf;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            pc += a >= i->k ? i->jt : i->jf;
            break;
        case BPF_RET | BPF_K:
            if (ret_steps)
                *ret_steps = steps;
            return i->k;
        default:
            return 1;
        }
    }
    return 1;
}

/* Whether the kernel would take it. */
static inline bool bpf_is_valid(const struct sock_filter *p, size_t len)
{
    if (len == 0 || len > BPF_MAXINSNS)
        return false;
    for (size_t pc = 0; pc < len; pc++) {
        const struct sock_filter *i = &p[pc];

        switch (i->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            if (i->k >= sizeof(struct seccomp_data) || i->k % 4 != 0)
                return false;
            break;
        case BPF_ALU | BPF_AND | BPF_K:
        case BPF_RET | BPF_K:
            break;
        case BPF_JMP | BPF_JA:
            if (i->k >= len - pc - 1)
                return false;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
        case BPF_JMP | BPF_JGT | BPF_K:
        case BPF_JMP | BPF_JGE | BPF_K:
            if (pc + i->jt + 1 >= len || pc + i->jf + 1 >= len)
                return false;
            break;
        default:
            return false;
        }
    }
    return p[len - 1].code == (BPF_RET | BPF_K);
}
