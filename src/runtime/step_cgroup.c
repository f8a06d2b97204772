/*
 * step_cgroup.c - the container's control group: made in the file system or, as a unit, by
 * systemd; its limits; and its owner, when the container may manage groups of its own in it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "os/ns.h"
#include "runtime/launch.h"
#include "runtime/step.h"
#include "runtime/sync.h"

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

/*
 * From here on systemd knows it; the record had its name before. What v1 hierarchies need beside it
 * is made when the record has its path, and nobody inside counts as ours before all of it is: a
 * stranger may be in a group of that name that systemd does not know.
 */
int rt_step_unit_start(struct rt_launch *l, size_t i, struct jl_err *e)
{
    unsigned need = os_cgroup_limits_need(&l->spec->limits);
    struct jl_err ignored = JL_ERR_INIT;
    int r = rt_unit_start(&l->unit, l->spec, &l->helper, &l->state->cgroup, e);

    (void) i;
    if (r < 0)
        return r;
    l->opts.cgroup = l->state->cgroup;
    r = rt_state_add_cgroup(l->state, e);
    if (r == 0)
        r = os_cgroup_adopt(&l->host, l->opts.cgroup, need, &l->cg, e);
    if (r == 0)
        r = rt_state_set_cgroup_made(l->state, e);
    if (r == 0)
        return os_cgroup_open_join_fds(l->cg, false, l->join_fds, &l->n_join, e);
    rt_unit_stop(&l->unit, &ignored);
    return r;
}

/*
 * The child is put into the group, if it could not be born there: a user may not move a process to
 * it from his login session, but his manager asks the host's to. On v1 it goes there itself, and we
 * keep the place until it has, or systemd could find the unit empty.
 */
int rt_step_unit_attach(struct rt_launch *l, size_t i, struct jl_err *e)
{
    (void) i;
    if (l->unit.v1)
        return rt_launch_expect(l, RT_MSG_JOINED, e);
    return l->outside ? rt_unit_attach(&l->unit, &l->helper, l->pid, e) : 0;
}

/* The container's process is inside now. */
int rt_step_unit_release(struct rt_launch *l, size_t i, struct jl_err *e)
{
    (void) i;
    (void) e;
    rt_helper_close(&l->helper);
    return 0;
}

int rt_step_cgroup_limits(struct rt_launch *l, size_t i, struct jl_err *e)
{
    struct os_cgroup_limits limits = l->spec->limits;

    (void) i;
    if (rt_pids_come_late(l->spec, &l->opts))
        limits.has_pids = false;
    /* A user can load no device program, nor make a node: what he can open, its permissions say. */
    if (rt_unit_is_users())
        limits.devices = NULL;
    return os_cgroup_apply(l->cg, &limits, e);
}

int rt_step_pids_limit(struct rt_launch *l, size_t i, struct jl_err *e)
{
    struct os_cgroup_limits limits = { .has_pids = true, .pids = l->spec->limits.pids };

    (void) i;
    if (!l->opts.unit)
        return os_cgroup_apply(l->cg, &limits, e);
    if (rt_unit_set(&l->unit, &limits, e) < 0)
        return -e->code;
    /* with one property systemd writes all of them, some of which it rounds */
    limits = l->spec->limits;
    limits.devices = NULL;
    return os_cgroup_apply(l->cg, &limits, e);
}

/*
 * config-linux.md, "Cgroup ownership": the user that runs the program gets its directory and the
 * files that may be delegated. That user on the host is read from the map of the child, who may
 * have joined somebody else's user namespace.
 */
int rt_step_cgroup_owner(struct rt_launch *l, size_t i, struct jl_err *e)
{
    const struct oci_user *user = l->spec->oci->process ? l->spec->oci->process->user : NULL;
    uint32_t uid = user ? user->uid : 0, host_uid;
    int r;

    (void) i;
    if (l->host.mode != OS_CGROUP_V2) /* delegation is not safe with v1 */
        return 0;
    r = os_idmap_to_host(l->pid, uid, &host_uid);
    if (r == -ENOENT || host_uid == geteuid())
        return 0; /* nobody on the host; or ours as it is */
    if (r < 0)
        return jl_fail(e, -r, "read the id map of process %d", (int) l->pid);
    if (geteuid() != 0)
        return 0; /* only root can give away; "may" in the specification */
    return os_cgroup_give(l->cg, host_uid, e);
}
