/* step_enter.c - the child gets into its control groups and namespaces, and sets what belongs to
 * them. It still sees the host's file tree. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "os/link.h"
#include "os/mountfd.h"
#include "runtime/child.h"
#include "runtime/launch.h"
#include "runtime/step.h"
#include "runtime/sync.h"

#define KEYCTL_JOIN_SESSION_KEYRING 1 /* linux/keyctl.h */

int rt_step_cgroup_join(struct rt_launch *l, size_t i, struct jl_err *e)
{
    int r = os_cgroup_join_self(l->join_fds, l->n_join, e);

    (void) i;
    for (size_t k = 0; k < l->n_join; k++)
        jl_close(l->join_fds[k]);
    l->n_join = 0;
    if (r == 0 && l->opts.unit && l->unit.v1 && rt_sync_send(l->sync, RT_MSG_JOINED, -1) < 0)
        _exit(RT_EXIT_SETUP); /* our parent is gone */
    return r;
}

int rt_step_ns_join(struct rt_launch *l, size_t i, struct jl_err *e)
{
    /* closed: the process before us has joined it, and we are born there */
    if (l->ns_fds[i] >= 0 && setns(l->ns_fds[i], (int) os_ns_flag((enum os_ns) i)) < 0)
        return jl_fail_sys(e, "setns", l->spec->ns_path[i], "join the %s namespace",
                           os_ns_name((enum os_ns) i));
    l->ns_fds[i] = jl_close(l->ns_fds[i]);
    /* Others are in a mount namespace that is joined, the host's own perhaps: what we mount and
     * pivot is done in a copy of it. */
    if (i == OS_NS_MOUNT && unshare(CLONE_NEWNS) < 0)
        return jl_fail_sys(e, "unshare", l->spec->ns_path[i], "copy the mount namespace");
    return 0;
}

/* The first id of the map, 0 if it has one: as nobody's id the mounts would be made by nobody. */
static uint32_t root_of(const struct os_idmap *maps, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (maps[i].inside == 0)
            return 0;
    return n > 0 ? maps[0].inside : 0;
}

int rt_step_map_wait(struct rt_launch *l, size_t i, struct jl_err *e)
{
    uid_t uid = root_of(l->spec->uids, l->spec->n_uids);
    gid_t gid = root_of(l->spec->gids, l->spec->n_gids);
    struct jl_err none;
    int r = rt_sync_recv(l->sync, NULL, &none);

    (void) i;
    if (r != RT_MSG_MAPPED)
        _exit(RT_EXIT_SETUP); /* the parent failed or died; nobody is left to be told */
    if (!(l->spec->ns_new & os_ns_flag(OS_NS_USER)))
        return 0; /* waited for network devices alone */
    /* While we still are who we were: the container's root may not walk to root.path. */
    if (l->spec->oci->hooks && l->spec->oci->hooks->n_create_container > 0 &&
        rt_place_open(l, e) < 0)
        return -e->code;
    if (setgroups(0, NULL) < 0 && errno != EPERM) /* EPERM: denied, as an ordinary user must */
        return jl_fail_sys(e, "setgroups", NULL, "become root of the user namespace");
    if (setresgid(gid, gid, gid) < 0)
        return jl_fail_sys(e, "setresgid", NULL, "become root of the user namespace");
    if (setresuid(uid, uid, uid) < 0)
        return jl_fail_sys(e, "setresuid", NULL, "become root of the user namespace");
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    return 0;
}

/* The offsets can be written only while nobody is inside, so we unshare, write, and then join. */
static int enter_time(const struct oci_linux *cfg, struct jl_err *e)
{
    _close_ int proc = -1;
    _close_ int ns = -1;
    char text[128];
    int r;

    proc = os_proc_private();
    if (proc < 0)
        proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < cfg->n_time_offsets; i++) {
        const struct oci_time_offset *o = cfg->time_offsets[i].value;

        snprintf(text, sizeof text, "%s %lld %u\n", cfg->time_offsets[i].key,
                 o ? (long long) o->secs : 0, o ? o->nanosecs : 0);
        r = jl_write_kernel_file_at(proc, "self/timens_offsets", text);
        if (r < 0)
            return jl_fail(e, -r, "linux.timeOffsets.%s: write the offset",
                           cfg->time_offsets[i].key);
    }
    ns = openat(proc, "self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
    if (ns < 0 || setns(ns, CLONE_NEWTIME) < 0)
        return jl_fail_sys(e, "setns", "time", "enter the time namespace");
    return 0;
}

int rt_step_ns_unshare(struct rt_launch *l, size_t i, struct jl_err *e)
{
    uint64_t flags = l->spec->ns_new & (os_ns_flag(OS_NS_TIME) | os_ns_flag(OS_NS_CGROUP));

    bool own_userns = l->spec->ns_new & os_ns_flag(OS_NS_USER);
    int r = 0;

    (void) i;
    if (unshare((int) flags) < 0)
        return jl_fail_sys(e, "unshare", NULL, "make the cgroup or time namespace");
    if (flags & os_ns_flag(OS_NS_TIME)) {
        /* The file belongs to the host's root while we are not dumpable. In a user namespace that
         * is as new as we are, nobody is there to look at us meanwhile. */
        if (own_userns)
            prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
        r = enter_time(l->spec->oci->linux, e);
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    }
    return r;
}

int rt_step_keyring(struct rt_launch *l, size_t i, struct jl_err *e)
{
    const struct oci_process *p = l->spec->oci->process;
    char name[16 + RT_ID_MAX];

    (void) i;
    if (rt_lsm_on_keys(l->proc_fd, p, true, e) < 0)
        return jl_wrap(e, "process.selinuxLabel: label the session keyring");
    snprintf(name, sizeof name, "_ses.%s", l->state->id);
    /* ENOSYS: a kernel without keys; EPERM: an outer container's filter. Neither has a keyring of
     * the caller's to be kept from. */
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name) < 0 && errno != ENOSYS &&
        errno != EPERM)
        return jl_fail_sys(e, "keyctl", NULL, "make a session keyring");
    return rt_lsm_on_keys(l->proc_fd, p, false, e);
}

int rt_step_loopback(struct rt_launch *l, size_t i, struct jl_err *e)
{
    (void) l;
    (void) i;
    return os_link_loopback_up(e);
}

int rt_step_hostname(struct rt_launch *l, size_t i, struct jl_err *e)
{
    const char *host = l->spec->oci->hostname, *domain = l->spec->oci->domainname;

    (void) i;
    if (host && *host && sethostname(host, strlen(host)) < 0)
        return jl_fail_sys(e, "sethostname", host, "hostname");
    if (domain && *domain && setdomainname(domain, strlen(domain)) < 0)
        return jl_fail_sys(e, "setdomainname", domain, "domainname");
    return 0;
}

int rt_step_sysctl(struct rt_launch *l, size_t i, struct jl_err *e)
{
    const struct oci_linux *cfg = l->spec->oci->linux;
    _close_ int proc = os_proc_private();
    char path[600] = "sys/";
    int r;

    (void) i;
    if (proc < 0) /* a masked /proc around us forbids it; the host's own is as good */
        proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (size_t k = 0; k < cfg->n_sysctl; k++) {
        rt_sysctl_path(cfg->sysctl[k].key, path + 4, sizeof path - 4);
        r = jl_write_kernel_file_at(proc, path, cfg->sysctl[k].value);
        if (r < 0)
            return jl_fail(e, -r, "linux.sysctl.%s: set it to '%s'", cfg->sysctl[k].key,
                           cfg->sysctl[k].value);
    }
    return 0;
}
