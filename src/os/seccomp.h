/*
 * seccomp.h - system call filters: a list of rules made into a BPF program by whoever prepares a
 * process, loaded with one system call by the process itself. The program is our own and not
 * libseccomp's: docs/adr/0010. Source: seccomp(2), linux/seccomp.h, linux/filter.h.
 *
 * What several rules of one call mean: of those without conditions the first counts; a rule with
 * conditions decides where they all hold and it is stricter than that one, or there is none; of
 * several that hold the strictest (kill, trap, errno, notify, trace, log, allow), then the first.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct jl_err;

enum os_seccomp_op { OS_SC_NE, OS_SC_LT, OS_SC_LE, OS_SC_EQ, OS_SC_GE, OS_SC_GT, OS_SC_MASKED_EQ };

enum os_seccomp_act {
    OS_SC_KILL_THREAD,
    OS_SC_KILL_PROCESS,
    OS_SC_TRAP,
    OS_SC_ERRNO,
    OS_SC_NOTIFY,
    OS_SC_TRACE,
    OS_SC_ALLOW,
    OS_SC_LOG,
};

#define OS_SC_ERRNO_MAX 4095u  /* the kernel makes a larger one this */
#define OS_SC_TRACE_MAX 65535u /* SECCOMP_RET_DATA */
#define OS_SC_ARGS 6

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
    void *insns; /* struct sock_filter [len]; NULL: no filter */
    uint16_t len;
    bool notifies;  /* loading makes a listener */
    uint32_t flags; /* SECCOMP_FILTER_FLAG_* */
};

struct os_seccomp; /* under construction */

/* The machine's own architecture is in it. -ENOMEM with e filled. */
int os_seccomp_new(struct os_seccomp_action fallback, struct os_seccomp **ret, struct jl_err *e);
void os_seccomp_free(struct os_seccomp *s); /* NULL is fine */

/* "SCMP_ARCH_X86". 0; 1: known, but no program of it can run on this machine; -EINVAL: unknown. */
int os_seccomp_add_arch(struct os_seccomp *s, const char *arch);

/* "SECCOMP_FILTER_FLAG_LOG". 0, or -EINVAL: unknown. */
int os_seccomp_add_flag(struct os_seccomp *s, const char *flag);

/* One rule; all of at most OS_SC_ARGS conditions must hold. 0; 1: no such system call anywhere,
 * passed over; -ENOMEM with e filled. */
int os_seccomp_add_rule(struct os_seccomp *s, const char *syscall, struct os_seccomp_action action,
                        const struct os_seccomp_arg *args, size_t n_args, struct jl_err *e);

/* Whether this call of the machine's own architecture is let through whatever its arguments. */
bool os_seccomp_lets_through(const struct os_seccomp *s, const char *syscall);

/*
 * The filter; insns is the caller's to free. When the fallback is an error, a call with a number
 * above the highest that any rule names gets ENOSYS instead, as from a kernel that does not have
 * it: C libraries then use an older call. 0, or -errno with e filled (-E2BIG: more instructions
 * than the kernel takes).
 */
int os_seccomp_build(struct os_seccomp *s, struct os_seccomp_prog *ret, struct jl_err *e);

/*
 * Loads it into this process. *ret_listener is the descriptor for seccomp_unotify(2), close-on-exec,
 * or -1 when nothing notifies. Needs no_new_privs or CAP_SYS_ADMIN. 0, or -errno with e.
 */
int os_seccomp_load(const struct os_seccomp_prog *prog, int *ret_listener, struct jl_err *e);

/* What `features` prints: words that add_arch answers with 0, and that add_flag takes; NULL after
 * the last. os_seccomp_kernel_has_flag asks the kernel. */
const char *os_seccomp_arch_word(unsigned i);
const char *os_seccomp_flag_word(unsigned i);
bool os_seccomp_kernel_has_flag(unsigned i);
