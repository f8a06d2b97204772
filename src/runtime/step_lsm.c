/* step_lsm.c - labels of AppArmor and SELinux, and Landlock rules: what holds from the execution of
 * the program on. For the first process and for exec alike. */
#include <errno.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "os/lsm.h"
#include "os/mountfd.h"
#include "runtime/child.h"
#include "runtime/landlock.h"
#include "runtime/launch.h"
#include "runtime/step.h"

static bool wants(const char *label)
{
    return label && *label;
}

bool rt_lsm_needed(const struct rt_spec *s, const struct oci_process *p)
{
    return wants(s->oci->linux->mount_label) ||
           (p && (wants(p->apparmor_profile) || wants(p->selinux_label)));
}

int rt_lsm_open(const struct rt_spec *s, const struct oci_process *p, bool own, int *ret_proc,
                struct jl_err *e)
{
    _close_ int proc = own ? os_proc_private() : -1;
    bool confined, selinux = os_selinux_enabled();

    if (proc < 0) /* in a user namespace without a pid namespace of its own it is refused */
        proc = os_proc_trusted(e);
    if (proc < 0)
        return proc;
    if (p && wants(p->apparmor_profile) && os_apparmor_check(proc, &confined, e) < 0)
        return jl_wrap(e, "process.apparmorProfile '%s'", p->apparmor_profile);
    if (p && wants(p->selinux_label) && !selinux)
        return jl_refuse(e, ENOTSUP,
                         "process.selinuxLabel '%s': this kernel has no SELinux, or it is not "
                         "enabled",
                         p->selinux_label);
    if (wants(s->oci->linux->mount_label) && !selinux)
        return jl_refuse(e, ENOTSUP,
                         "linux.mountLabel '%s': this kernel has no SELinux, or it is not enabled",
                         s->oci->linux->mount_label);
    *ret_proc = jl_take_fd(&proc);
    return 0;
}

/* It stays open until `start`: so not the host's, which would be a way out of the container. */
int rt_step_lsm_open(struct rt_launch *l, size_t i, struct jl_err *e)
{
    (void) i;
    return rt_lsm_open(l->spec, l->spec->oci->process, true, &l->proc_fd, e);
}

int rt_lsm_on_exec(int proc, const struct oci_process *p, struct jl_err *e)
{
    if (wants(p->apparmor_profile) && os_apparmor_on_exec(proc, p->apparmor_profile, e) < 0)
        return jl_wrap(e, "process.apparmorProfile");
    if (wants(p->selinux_label) && os_selinux_on_exec(proc, p->selinux_label, e) < 0)
        return jl_wrap(e, "process.selinuxLabel");
    return 0;
}

int rt_lsm_on_keys(int proc, const struct oci_process *p, bool begin, struct jl_err *e)
{
    if (!p || !wants(p->selinux_label))
        return 0;
    return os_selinux_on_keys(proc, begin ? p->selinux_label : "", e);
}

int rt_step_landlock(struct rt_launch *l, size_t i, struct jl_err *e)
{
    (void) i;
    l->landlock_fd = rt_landlock_ruleset(l->spec->landlock, e);
    return l->landlock_fd < 0 ? -e->code : 0;
}
