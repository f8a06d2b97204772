/* seccomp_table.c - names and numbers of system calls and architectures. See syscalls.tbl. */
#include <linux/audit.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "os/seccomp_internal.h"
#include "os/syscalls_data.h"

#define NO_PRIVATE UINT32_MAX
#define ARM_PRIVATE 0xf0000u /* __ARM_NR_BASE, asm/unistd.h of arm */

/* In the order of the families in syscalls.py. */
const struct sc_arch sc_archs[] = {
#if defined(__x86_64__) && !defined(__ILP32__)
    { "SCMP_ARCH_X86_64", AUDIT_ARCH_X86_64, 0, false, false, NO_PRIVATE },
    { "SCMP_ARCH_X86", AUDIT_ARCH_I386, 0, true, true, NO_PRIVATE },
    { "SCMP_ARCH_X32", AUDIT_ARCH_X86_64, SC_X32_BIT, true, false, NO_PRIVATE },
#elif defined(__i386__)
    { "SCMP_ARCH_X86", AUDIT_ARCH_I386, 0, true, true, NO_PRIVATE },
#elif defined(__aarch64__)
    { "SCMP_ARCH_AARCH64", AUDIT_ARCH_AARCH64, 0, false, false, NO_PRIVATE },
    { "SCMP_ARCH_ARM", AUDIT_ARCH_ARM, 0, true, false, ARM_PRIVATE },
#elif defined(__arm__)
    { "SCMP_ARCH_ARM", AUDIT_ARCH_ARM, 0, true, false, ARM_PRIVATE },
#elif defined(__riscv)
    { "SCMP_ARCH_RISCV64", AUDIT_ARCH_RISCV64, 0, false, false, NO_PRIVATE },
#elif defined(__powerpc64__)
    { "SCMP_ARCH_PPC64LE", AUDIT_ARCH_PPC64LE, 0, false, true, NO_PRIVATE },
#elif defined(__s390x__)
    { "SCMP_ARCH_S390X", AUDIT_ARCH_S390X, 0, false, true, NO_PRIVATE },
    { "SCMP_ARCH_S390", AUDIT_ARCH_S390, 0, true, true, NO_PRIVATE },
#endif
};
const unsigned sc_n_archs = JL_COUNT(sc_archs);

int sc_find(const char *name)
{
    for (uint32_t slot = jl_hash(name) % SC_SLOTS; slots[slot] != 0; slot = (slot + 1) % SC_SLOTS)
        if (strcmp(pool + name_at[slots[slot] - 1], name) == 0)
            return slots[slot] - 1;
    return -1;
}

int32_t sc_number(int row, unsigned arch)
{
    uint16_t n = nr_of[(size_t) row * JL_COUNT(sc_archs) + arch];

    if (n == 0xffff)
        return -1;
    return n >= 0xf000 ? (int32_t) (ARM_PRIVATE + (n - 0xf000u)) : n;
}

bool sc_mux(int row, int *ret_row, uint32_t *ret_call)
{
    if (mux_of[row] == 0)
        return false;
    *ret_row = sc_find(mux_of[row] & 0x80 ? "ipc" : "socketcall");
    *ret_call = mux_of[row] & 0x7f;
    return true;
}

bool sc_is_arch_word(const char *word)
{
    static const char *const words[] = { "X86",     "X86_64",   "X32",         "ARM",
                                         "AARCH64", "MIPS",     "MIPS64",      "MIPS64N32",
                                         "MIPSEL",  "MIPSEL64", "MIPSEL64N32", "PPC",
                                         "PPC64",   "PPC64LE",  "S390",        "S390X",
                                         "PARISC",  "PARISC64", "RISCV64",     "LOONGARCH64",
                                         "M68K",    "SH",       "SHEB" };

    if (strncmp(word, "SCMP_ARCH_", 10) != 0)
        return false;
    for (size_t i = 0; i < JL_COUNT(words); i++)
        if (strcmp(word + 10, words[i]) == 0)
            return true;
    return false;
}
