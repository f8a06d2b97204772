/*
 * seccomp.h - system call filters: built with libseccomp by whoever prepares a process, loaded
 * with one system call by the process itself. Source: seccomp(2), seccomp_init(3).
 *
 * In an archive of its own (libosseccomp.a), because it needs libseccomp.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct jl_err;

enum os_seccomp_op { OS_SC_NE, OS_SC_LT, OS_SC_LE, OS_SC_EQ, OS_SC_GE, OS_SC_GT, OS_SC_MASKED_EQ };

enum os_seccomp_act {
    OS_SC_KILL_THREAD,
    OS_SC_KILL_PROCESS,
    OS_SC_TRAP,
    OS_SC_ERRNO,
    OS_SC_TRACE,
    OS_SC_ALLOW,
    OS_SC_LOG,
};

struct os_seccomp_action {
    enum os_seccomp_act act;
    uint32_t value; /* errno for ERRNO, message for TRACE */
};

struct os_seccomp_arg {
    uint32_t index; /* 0 to 5 */
    enum os_seccomp_op op;
    uint64_t value, value2; /* MASKED_EQ: arg & value == value2 */
};

/* A finished filter: BPF instructions as seccomp(2) takes them. */
struct os_seccomp_prog {
    void *insns; /* struct sock_filter [len] */
    uint16_t len;
    uint32_t flags; /* SECCOMP_FILTER_FLAG_* */
};

struct os_seccomp; /* under construction */

int os_seccomp_new(struct os_seccomp_action fallback, struct os_seccomp **ret, struct jl_err *e);
void os_seccomp_free(struct os_seccomp *s); /* NULL is fine */

/* "SCMP_ARCH_X86". 0, or -EINVAL with e filled. */
int os_seccomp_add_arch(struct os_seccomp *s, const char *arch, struct jl_err *e);

/* "SECCOMP_FILTER_FLAG_LOG". 0, or -EINVAL with e filled. */
int os_seccomp_add_flag(struct os_seccomp *s, const char *flag, struct jl_err *e);

/* One rule; a call that this libseccomp does not know by name is passed over and counted (0 or 1
 * is returned: 1 unknown). All args must hold. <0: -errno with e filled. */
int os_seccomp_add_rule(struct os_seccomp *s, const char *syscall, struct os_seccomp_action action,
                        const struct os_seccomp_arg *args, size_t n_args, struct jl_err *e);

/* The filter; insns is the caller's to free. 0, or -errno with e filled. */
int os_seccomp_build(struct os_seccomp *s, struct os_seccomp_prog *ret, struct jl_err *e);

/* Loads it into this process. Needs no_new_privs or CAP_SYS_ADMIN. 0, or -errno with e. */
int os_seccomp_load(const struct os_seccomp_prog *prog, struct jl_err *e);
