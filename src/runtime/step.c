/* step.c - see step.h: the table from a plan's operations to functions. */
#include "runtime/step.h"

#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "runtime/launch.h"

static const rt_step_fn fns[RT_OP_N] = {
    [RT_OP_RECORD] = rt_step_record,
    [RT_OP_NOTIFY_DIR] = rt_step_notify_dir,
    [RT_OP_CGROUP_MAKE] = rt_step_cgroup_make,
    [RT_OP_CGROUP_LIMITS] = rt_step_cgroup_limits,
    [RT_OP_RDT_MAKE] = rt_step_rdt_make,
    [RT_OP_CGROUP_OWNER] = rt_step_cgroup_owner,
    [RT_OP_UNIT_START] = rt_step_unit_start,
    [RT_OP_UNIT_ATTACH] = rt_step_unit_attach,
    [RT_OP_UNIT_RELEASE] = rt_step_unit_release,
    [RT_OP_SECCOMP_BUILD] = rt_step_seccomp_build,
    [RT_OP_NS_OPEN] = rt_step_ns_open,
    [RT_OP_ROOTFS_OPEN] = rt_step_rootfs_open,
    [RT_OP_BIND_OPEN] = rt_step_bind_open,
    [RT_OP_CONSOLE_CONNECT] = rt_step_console_connect,
    [RT_OP_START_LISTEN] = rt_step_start_listen,
    [RT_OP_CLONE] = rt_step_clone,
    [RT_OP_IDMAP_WRITE] = rt_step_idmap_write,
    [RT_OP_BIND_IDMAP] = rt_step_bind_idmap,
    [RT_OP_NET_DEVICES] = rt_step_net_devices,
    [RT_OP_OOM_SCORE] = rt_step_oom_score,
    [RT_OP_PID_RECORD] = rt_step_pid_record,
    [RT_OP_RDT_JOIN] = rt_step_rdt_join,
    [RT_OP_MAPPED] = rt_step_mapped,
    [RT_OP_HOOKS_RUNTIME] = rt_step_hooks_runtime,
    [RT_OP_PIDS_LIMIT] = rt_step_pids_limit,
    [RT_OP_GO] = rt_step_go,
    [RT_OP_CGROUP_JOIN] = rt_step_cgroup_join,
    [RT_OP_AFFINITY] = rt_step_affinity,
    [RT_OP_NS_JOIN] = rt_step_ns_join,
    [RT_OP_MAP_WAIT] = rt_step_map_wait,
    [RT_OP_NS_UNSHARE] = rt_step_ns_unshare,
    [RT_OP_LSM_OPEN] = rt_step_lsm_open,
    [RT_OP_KEYRING] = rt_step_keyring,
    [RT_OP_LOOPBACK] = rt_step_loopback,
    [RT_OP_HOSTNAME] = rt_step_hostname,
    [RT_OP_SYSCTL] = rt_step_sysctl,
    [RT_OP_ROOTFS_OPEN_INSIDE] = rt_step_rootfs_open,
    [RT_OP_BIND_OPEN_INSIDE] = rt_step_bind_open,
    [RT_OP_ROOTFS_ATTACH] = rt_step_rootfs_attach,
    [RT_OP_MOUNT] = rt_step_mount,
    [RT_OP_NOTIFY_MOUNT] = rt_step_notify_mount,
    [RT_OP_DEVICES] = rt_step_devices,
    [RT_OP_DEVICE] = rt_step_device,
    [RT_OP_DEV_LINKS] = rt_step_dev_links,
    [RT_OP_HOOKS_ASK] = rt_step_hooks_ask,
    [RT_OP_HOOKS_CONTAINER] = rt_step_hooks_container,
    [RT_OP_MASK] = rt_step_mask,
    [RT_OP_READONLY] = rt_step_readonly,
    [RT_OP_CWD] = rt_step_cwd,
    [RT_OP_ROOTFS_SEAL] = rt_step_rootfs_seal,
    [RT_OP_PIVOT] = rt_step_pivot,
    [RT_OP_TERMINAL] = rt_step_terminal,
    [RT_OP_DOMAIN] = rt_step_domain,
    [RT_OP_SCHED] = rt_step_sched,
    [RT_OP_LANDLOCK] = rt_step_landlock,
    [RT_OP_PROCESS] = rt_step_process,
    [RT_OP_START_WAIT] = rt_step_start_wait,
    [RT_OP_EXEC] = rt_step_exec,
};

/* What the parent's time is counted as. */
static enum rt_phase phase_of(enum rt_op op)
{
    if (op == RT_OP_CGROUP_MAKE || op == RT_OP_CGROUP_LIMITS)
        return RT_PHASE_CGROUP;
    if (op == RT_OP_SECCOMP_BUILD)
        return RT_PHASE_SECCOMP;
    if (op == RT_OP_CLONE)
        return RT_PHASE_CLONE;
    return op < RT_OP_CLONE ? RT_PHASE_PREPARE : RT_PHASE_SETUP;
}

int rt_steps_run(struct rt_launch *l, int side, struct jl_err *e)
{
    for (size_t i = 0; i < l->plan.n; i++) {
        const struct rt_step *st = &l->plan.steps[i];
        uint64_t from = l->trace ? jl_now_ns() : 0;
        int r;

        if ((int) rt_op_side(st->op) != side)
            continue;
        r = fns[st->op](l, st->i, e);
        if (r < 0)
            return jl_phase(e, rt_op_name(st->op));
        if (side != RT_CHILD)
            rt_launch_mark(l, phase_of(st->op));
        if (l->trace)
            dprintf(STDERR_FILENO, "joblet-run: trace: %-6s %s[%zu] %llu us\n",
                    side == RT_CHILD ? "child" : "parent", rt_op_name(st->op), st->i,
                    (unsigned long long) (jl_now_ns() - from) / 1000);
    }
    return 0;
}
