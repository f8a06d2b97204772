/* spec_seccomp.c - the checks of `linux.seccomp`, and its rules taken into a filter that the
 * parent builds later. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "os/seccomp.h"
#include "runtime/spec.h"

#define NAMES_TOLD 5 /* of the unknown ones */

/* The schema has refused other words. */
static enum os_seccomp_act act_of(const char *word)
{
    static const struct {
        const char *word;
        enum os_seccomp_act act;
    } table[] = {
        { "SCMP_ACT_KILL", OS_SC_KILL_THREAD },
        { "SCMP_ACT_KILL_THREAD", OS_SC_KILL_THREAD },
        { "SCMP_ACT_KILL_PROCESS", OS_SC_KILL_PROCESS },
        { "SCMP_ACT_TRAP", OS_SC_TRAP },
        { "SCMP_ACT_ERRNO", OS_SC_ERRNO },
        { "SCMP_ACT_NOTIFY", OS_SC_NOTIFY },
        { "SCMP_ACT_TRACE", OS_SC_TRACE },
        { "SCMP_ACT_ALLOW", OS_SC_ALLOW },
        { "SCMP_ACT_LOG", OS_SC_LOG },
    };

    for (size_t i = 0; i < JL_COUNT(table); i++)
        if (strcmp(table[i].word, word) == 0)
            return table[i].act;
    return OS_SC_KILL_PROCESS;
}

static enum os_seccomp_op op_of(const char *word)
{
    static const struct {
        const char *word;
        enum os_seccomp_op op;
    } table[] = {
        { "SCMP_CMP_NE", OS_SC_NE }, { "SCMP_CMP_LT", OS_SC_LT }, { "SCMP_CMP_LE", OS_SC_LE },
        { "SCMP_CMP_EQ", OS_SC_EQ }, { "SCMP_CMP_GE", OS_SC_GE }, { "SCMP_CMP_GT", OS_SC_GT },
    };

    for (size_t i = 0; i < JL_COUNT(table); i++)
        if (strcmp(table[i].word, word) == 0)
            return table[i].op;
    return OS_SC_MASKED_EQ;
}

/* `where` and `key` are the JSON path of the number. */
static int take_action(const char *word, bool has_errno, uint32_t number, const char *where,
                       const char *key, struct os_seccomp_action *ret, struct jl_err *e)
{
    uint32_t most;

    ret->act = act_of(word);
    ret->value = has_errno ? number : EPERM;
    if (!has_errno)
        return 0;
    if (ret->act != OS_SC_ERRNO && ret->act != OS_SC_TRACE)
        return jl_refuse(e, EINVAL,
                         "%s%s: %s returns no errno; only SCMP_ACT_ERRNO and SCMP_ACT_TRACE do",
                         where, key, word);
    most = ret->act == OS_SC_ERRNO ? OS_SC_ERRNO_MAX : OS_SC_TRACE_MAX;
    if (number > most)
        return jl_refuse(e, ERANGE, "%s%s: %u is too large for %s, at most %u", where, key, number,
                         word, most);
    return 0;
}

static int take_args(const struct oci_syscall *call, const char *where, struct os_seccomp_arg *args,
                     bool *ret_any, struct jl_err *e)
{
    unsigned seen = 0;

    *ret_any = false;
    for (size_t j = 0; j < call->n_args; j++) {
        const struct oci_syscall_arg *a = call->args[j];

        if (a->index >= OS_SC_ARGS)
            return jl_refuse(e, ERANGE, "%s.args[%zu].index: %u, allowed are 0 to 5", where, j,
                             a->index);
        *ret_any = *ret_any || seen >> a->index & 1;
        seen |= 1u << a->index;
        /* More than six can only be several on one argument: taken one by one. */
        if (j < OS_SC_ARGS)
            args[j] = (struct os_seccomp_arg){ a->index, op_of(a->op), a->value, a->value_two };
    }
    return 0;
}

/*
 * The specification does not say what several conditions on the same argument mean; runc makes a
 * rule of each, so that any of them is enough, and profiles (docker's for clone) count on that.
 */
static int add_any_of(struct os_seccomp *sc, const struct oci_syscall *call, const char *name,
                      struct os_seccomp_action action, struct jl_err *e)
{
    int r = 0;

    for (size_t j = 0; j < call->n_args && r == 0; j++) {
        const struct oci_syscall_arg *a = call->args[j];
        struct os_seccomp_arg arg = { a->index, op_of(a->op), a->value, a->value_two };

        r = os_seccomp_add_rule(sc, name, action, &arg, 1, e);
    }
    return r;
}

struct unknown {
    size_t n;
    const char *first[NAMES_TOLD];
};

static int take_call(struct os_seccomp *sc, const struct oci_syscall *call, const char *where,
                     struct unknown *unknown, struct jl_err *e)
{
    struct os_seccomp_action action;
    struct os_seccomp_arg args[OS_SC_ARGS];
    bool any = false;
    int r = take_action(call->action, call->has_errno_ret, call->errno_ret, where, ".errnoRet",
                        &action, e);

    if (r == 0 && call->n_names == 0)
        r = jl_refuse(e, EINVAL, "%s.names: is empty", where);
    if (r == 0)
        r = take_args(call, where, args, &any, e);
    for (size_t j = 0; j < call->n_names && r >= 0; j++) {
        r = any ? add_any_of(sc, call, call->names[j], action, e)
                : os_seccomp_add_rule(sc, call->names[j], action, args, call->n_args, e);
        if (r == 1) {
            if (unknown->n < NAMES_TOLD)
                unknown->first[unknown->n] = call->names[j];
            unknown->n++;
        }
    }
    return r < 0 ? r : 0;
}

static int warn_unknown(struct rt_spec *s, const struct unknown *u, struct jl_err *e)
{
    char names[160] = "";
    size_t len = 0;

    for (size_t i = 0; i < u->n && i < NAMES_TOLD; i++) /* %.24s: a name may be any text */
        len += (size_t) snprintf(names + len, sizeof names - len, "%s'%.24s'", i > 0 ? ", " : "",
                                 u->first[i]);
    if (u->n > 0 && jl_strv_addf(&s->warnings,
                                 "linux.seccomp.syscalls: %zu names are no system calls that are "
                                 "known here and are left out: %s%s",
                                 u->n, names, u->n > NAMES_TOLD ? ", ..." : "") < 0)
        return jl_fail(e, ENOMEM, "keep a warning");
    return 0;
}

/*
 * The child hands the listener over, and waits for the answer, when the filter is loaded already.
 * Nobody could answer a notification of these calls, and the filter may not refuse them.
 */
static int check_notify(const struct oci_seccomp *c, const struct os_seccomp *sc, struct jl_err *e)
{
    static const char *const needed[] = { "sendmsg", "recvmsg" };

    if (!c->listener_path || !*c->listener_path)
        return jl_refuse(e, EINVAL, "linux.seccomp.listenerPath: SCMP_ACT_NOTIFY needs it");
    if (c->listener_path[0] != '/')
        return jl_refuse(e, EINVAL, "linux.seccomp.listenerPath: '%s' is not absolute",
                         c->listener_path);
    for (size_t i = 0; i < JL_COUNT(needed); i++)
        if (!os_seccomp_lets_through(sc, needed[i])) {
            jl_refuse(e, EINVAL,
                      "linux.seccomp: '%s' must be allowed where SCMP_ACT_NOTIFY is used",
                      needed[i]);
            return jl_hint(e, "the process sends its listener with sendmsg and waits with recvmsg; "
                              "give both SCMP_ACT_ALLOW or SCMP_ACT_LOG without args");
        }
    return 0;
}

static int take_words(const struct oci_seccomp *c, struct os_seccomp *sc, struct jl_err *e)
{
    for (size_t i = 0; i < c->n_architectures; i++)
        if (os_seccomp_add_arch(sc, c->architectures[i]) < 0)
            return jl_refuse(e, EINVAL,
                             "linux.seccomp.architectures[%zu]: '%s' is no architecture "
                             "(SCMP_ARCH_...)",
                             i, c->architectures[i]);
    for (size_t i = 0; i < c->n_flags; i++)
        if (os_seccomp_add_flag(sc, c->flags[i]) < 0)
            return jl_refuse(e, EINVAL,
                             "linux.seccomp.flags[%zu]: '%s' is no flag of a filter, allowed are "
                             "SECCOMP_FILTER_FLAG_TSYNC, _LOG, _SPEC_ALLOW, _WAIT_KILLABLE_RECV",
                             i, c->flags[i]);
    return 0;
}

static bool has_notify(const struct oci_seccomp *c)
{
    for (size_t i = 0; i < c->n_syscalls; i++)
        if (act_of(c->syscalls[i]->action) == OS_SC_NOTIFY)
            return true;
    return false;
}

static int check_rest(struct rt_spec *s, const struct oci_seccomp *c, struct jl_err *e)
{
    if (c->listener_metadata && *c->listener_metadata && !(c->listener_path && *c->listener_path))
        return jl_refuse(e, EINVAL,
                         "linux.seccomp.listenerMetadata: must not be set without listenerPath");
    if (has_notify(c))
        return check_notify(c, s->seccomp, e);
    for (size_t i = 0; i < c->n_flags; i++)
        if (strcmp(c->flags[i], "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV") == 0 &&
            jl_strv_addf(&s->warnings,
                         "linux.seccomp.flags[%zu]: %s does nothing without "
                         "SCMP_ACT_NOTIFY",
                         i, c->flags[i]) < 0)
            return jl_fail(e, ENOMEM, "keep a warning");
    return 0;
}

int rt_spec_check_seccomp(struct rt_spec *s, struct jl_err *e)
{
    const struct oci_seccomp *c = s->oci->linux->seccomp;
    struct os_seccomp_action fallback;
    struct unknown unknown = { 0 };
    char where[64];
    int r;

    if (!c)
        return 0;
    r = take_action(c->default_action, c->has_default_errno_ret, c->default_errno_ret,
                    "linux.seccomp", ".defaultErrnoRet", &fallback, e);
    if (r == 0 && fallback.act == OS_SC_NOTIFY)
        r = jl_refuse(e, EINVAL,
                      "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY is not possible: "
                      "nobody could answer the calls that start the process");
    if (r == 0)
        r = os_seccomp_new(fallback, &s->seccomp, e);
    if (r == 0)
        r = take_words(c, s->seccomp, e);
    for (size_t i = 0; i < c->n_syscalls && r == 0; i++) {
        snprintf(where, sizeof where, "linux.seccomp.syscalls[%zu]", i);
        r = take_call(s->seccomp, c->syscalls[i], where, &unknown, e);
    }
    if (r == 0)
        r = warn_unknown(s, &unknown, e);
    return r == 0 ? check_rest(s, c, e) : r;
}
