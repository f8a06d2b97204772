/*
 * step_prepare.c - the parent before there is a child: the record, the control group with its
 * limits, and everything that is opened outside of the container.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "runtime/child.h"
#include "runtime/launch.h"
#include "runtime/step.h"

int rt_step_record(struct rt_launch *l, size_t i, struct jl_err *e)
{
    (void) i;
    return rt_state_create(l->state_root_fd, l->state, e);
}

int rt_step_cgroup_make(struct rt_launch *l, size_t i, struct jl_err *e)
{
    unsigned need = os_cgroup_limits_need(&l->spec->limits);
    int r;

    (void) i;
    r = os_cgroup_create(&l->host, l->opts.cgroup, need, &l->cg, e);
    if (r == 0)
        r = rt_state_set_cgroup_made(l->state, e);
    if (r < 0)
        return r;
    return os_cgroup_open_join_fds(l->cg, false, l->join_fds, &l->n_join, e);
}

int rt_step_cgroup_limits(struct rt_launch *l, size_t i, struct jl_err *e)
{
    struct os_cgroup_limits limits = l->spec->limits;

    (void) i;
    if (limits.pids == 0) /* comes later: rt_step_pids_limit */
        limits.has_pids = false;
    return os_cgroup_apply(l->cg, &limits, e);
}

int rt_step_pids_limit(struct rt_launch *l, size_t i, struct jl_err *e)
{
    struct os_cgroup_limits limits = { .has_pids = true, .pids = 0 };

    (void) i;
    return os_cgroup_apply(l->cg, &limits, e);
}

static int action_from_name(const char *name, bool has_errno, uint32_t errno_ret,
                            struct os_seccomp_action *ret)
{
    static const struct {
        const char *name;
        enum os_seccomp_act act;
    } table[] = {
        { "SCMP_ACT_KILL", OS_SC_KILL_THREAD },
        { "SCMP_ACT_KILL_THREAD", OS_SC_KILL_THREAD },
        { "SCMP_ACT_KILL_PROCESS", OS_SC_KILL_PROCESS },
        { "SCMP_ACT_TRAP", OS_SC_TRAP },
        { "SCMP_ACT_ERRNO", OS_SC_ERRNO },
        { "SCMP_ACT_TRACE", OS_SC_TRACE },
        { "SCMP_ACT_ALLOW", OS_SC_ALLOW },
        { "SCMP_ACT_LOG", OS_SC_LOG },
    };

    for (size_t i = 0; i < JL_COUNT(table); i++)
        if (strcmp(table[i].name, name) == 0) {
            *ret = (struct os_seccomp_action){ table[i].act, has_errno ? errno_ret : EPERM };
            return 0;
        }
    return -EINVAL;
}

static struct os_seccomp_arg arg_of(const struct oci_syscall_arg *a)
{
    static const struct {
        const char *name;
        enum os_seccomp_op op;
    } table[] = {
        { "SCMP_CMP_NE", OS_SC_NE },
        { "SCMP_CMP_LT", OS_SC_LT },
        { "SCMP_CMP_LE", OS_SC_LE },
        { "SCMP_CMP_EQ", OS_SC_EQ },
        { "SCMP_CMP_GE", OS_SC_GE },
        { "SCMP_CMP_GT", OS_SC_GT },
        { "SCMP_CMP_MASKED_EQ", OS_SC_MASKED_EQ },
    };
    struct os_seccomp_arg arg = { .index = a->index, .value = a->value, .value2 = a->value_two };

    for (size_t i = 0; i < JL_COUNT(table); i++)
        if (strcmp(table[i].name, a->op) == 0)
            arg.op = table[i].op;
    return arg;
}

/*
 * libseccomp takes one condition an argument. The specification does not say what several on the
 * same one mean; runc makes a rule of each, so that any of them is enough, and profiles (docker's
 * for clone) count on that.
 */
static int add_rules(struct os_seccomp *sc, const struct oci_syscall *call, const char *name,
                     struct os_seccomp_action action, struct jl_err *e)
{
    struct os_seccomp_arg args[6];
    unsigned seen = 0;
    bool twice = call->n_args > 6;
    int r;

    for (size_t j = 0; j < call->n_args; j++) {
        twice = twice || seen >> call->args[j]->index & 1;
        seen |= 1u << call->args[j]->index;
    }
    if (twice) {
        for (size_t j = 0; j < call->n_args; j++) {
            args[0] = arg_of(call->args[j]);
            r = os_seccomp_add_rule(sc, name, action, args, 1, e);
            if (r < 0)
                return r;
        }
        return 0;
    }
    for (size_t j = 0; j < call->n_args; j++)
        args[j] = arg_of(call->args[j]);
    return os_seccomp_add_rule(sc, name, action, args, call->n_args, e);
}

static int fill_filter(struct os_seccomp *sc, const struct oci_seccomp *c, struct jl_err *e)
{
    struct os_seccomp_action action;
    int r = 0;

    for (size_t i = 0; i < c->n_architectures && r == 0; i++)
        r = os_seccomp_add_arch(sc, c->architectures[i], e);
    for (size_t i = 0; i < c->n_flags && r == 0; i++)
        r = os_seccomp_add_flag(sc, c->flags[i], e);
    for (size_t i = 0; i < c->n_syscalls && r == 0; i++) {
        const struct oci_syscall *call = c->syscalls[i];

        if (action_from_name(call->action, call->has_errno_ret, call->errno_ret, &action) < 0)
            return jl_refuse(e, EINVAL, "linux.seccomp.syscalls[%zu].action: '%s' is unknown", i,
                             call->action);
        for (size_t j = 0; j < call->n_names && r >= 0; j++)
            r = add_rules(sc, call, call->names[j], action, e);
        if (r < 0)
            return jl_wrap(e, "linux.seccomp.syscalls[%zu]", i);
        r = 0;
    }
    return r;
}

int rt_seccomp_build(const struct oci_seccomp *c, struct os_seccomp_prog *ret, struct jl_err *e)
{
    struct os_seccomp_action fallback;
    struct os_seccomp *sc = NULL;
    int r;

    if (action_from_name(c->default_action, c->has_default_errno_ret, c->default_errno_ret,
                         &fallback) < 0)
        return jl_refuse(e, EINVAL, "linux.seccomp.defaultAction: '%s' is unknown",
                         c->default_action);
    r = os_seccomp_new(fallback, &sc, e);
    if (r == 0)
        r = fill_filter(sc, c, e);
    if (r == 0)
        r = os_seccomp_build(sc, ret, e);
    os_seccomp_free(sc);
    return r;
}

int rt_step_seccomp_build(struct rt_launch *l, size_t i, struct jl_err *e)
{
    (void) i;
    return rt_seccomp_build(l->spec->oci->linux->seccomp, &l->seccomp, e);
}

/* Whether the path leads to the namespace that we are in ourselves. */
static bool is_ours(int fd, enum os_ns ns)
{
    char path[64];
    _close_ int own = -1;

    snprintf(path, sizeof path, "/proc/self/ns/%s", os_ns_proc_name(ns));
    own = open(path, O_RDONLY | O_CLOEXEC);
    return own >= 0 && os_ns_same(fd, own) == 1;
}

/* A namespace by path may be the host's: what sets something in it would change the host. */
static int refuse_changes(const struct rt_spec *s, enum os_ns ns, struct jl_err *e)
{
    const struct oci_linux *cfg = s->oci->linux;
    const char *what = NULL;

    if (ns == OS_NS_UTS && s->oci->hostname && *s->oci->hostname)
        what = "hostname";
    else if (ns == OS_NS_UTS && s->oci->domainname && *s->oci->domainname)
        what = "domainname";
    else if (ns == OS_NS_NET && cfg->n_net_devices > 0)
        return jl_refuse(e, EINVAL,
                         "linux.netDevices: '%s' is the network namespace that they are in already",
                         s->ns_path[ns]);
    for (size_t k = 0; k < cfg->n_sysctl && !what; k++) {
        char path[512];
        enum os_ns needs;

        if (rt_sysctl_path(cfg->sysctl[k].key, path, sizeof path) == 0 &&
            rt_sysctl_ns(path, &needs) == 0 && needs == ns)
            what = cfg->sysctl[k].key;
    }
    if (!what)
        return 0;
    jl_refuse(e, EINVAL, "%s%s: would change the host: '%s' is the namespace that joblet-run is in",
              cfg->n_sysctl > 0 && ns != OS_NS_UTS ? "linux.sysctl." : "", what, s->ns_path[ns]);
    return jl_hint(e, "give the container a %s namespace of its own", os_ns_name(ns));
}

int rt_step_ns_open(struct rt_launch *l, size_t i, struct jl_err *e)
{
    int fd = os_ns_open(l->spec->ns_path[i], (enum os_ns) i, e);

    if (fd < 0)
        return jl_wrap(e, "linux.namespaces");
    l->ns_fds[i] = fd;
    return is_ours(fd, (enum os_ns) i) ? refuse_changes(l->spec, (enum os_ns) i, e) : 0;
}

/* sun_path holds 108 bytes; engines' temporary directories can be deeper, so the directory is
 * opened and the name used below it. */
int rt_unix_connect(const char *path, int *ret_fd, struct jl_err *e)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    _close_ int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    _close_ int dir = -1;
    const char *slash = strrchr(path, '/');
    int len;

    if (sock < 0)
        return jl_fail_sys(e, "socket", NULL, "connect to the console socket");
    if (strlen(path) < sizeof addr.sun_path) {
        len = snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path);
    } else {
        _free_ char *parent = slash ? strndup(path, (size_t) (slash - path) + 1) : NULL;

        if (!parent)
            return jl_fail(e, ENAMETOOLONG, "console socket '%.64s...'", path);
        dir = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0)
            return jl_fail_sys(e, "open", parent, "connect to the console socket");
        len = snprintf(addr.sun_path, sizeof addr.sun_path, "/proc/self/fd/%d/%s", dir, slash + 1);
    }
    if (len < 0 || (size_t) len >= sizeof addr.sun_path)
        return jl_fail(e, ENAMETOOLONG, "console socket '%.64s...'", path);
    if (connect(sock, (struct sockaddr *) &addr, sizeof addr) < 0)
        return jl_fail_sys(e, "connect", path, "connect to the console socket");
    *ret_fd = jl_take_fd(&sock);
    return 0;
}

int rt_step_console_connect(struct rt_launch *l, size_t i, struct jl_err *e)
{
    (void) i;
    return rt_unix_connect(l->console_socket, &l->console_fd, e);
}

int rt_step_start_listen(struct rt_launch *l, size_t i, struct jl_err *e)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    _close_ int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    (void) i;
    snprintf(addr.sun_path, sizeof addr.sun_path, "/proc/self/fd/%d/start", l->state->dirfd);
    if (sock < 0 || bind(sock, (struct sockaddr *) &addr, sizeof addr) < 0 || listen(sock, 64) < 0)
        return jl_fail_sys(e, "bind", "start", "make the start socket");
    l->start_fd = jl_take_fd(&sock);
    return 0;
}
