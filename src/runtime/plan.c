/* plan.c - see plan.h. */
#include "runtime/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "runtime/child.h"
#include "runtime/unit.h"

static const struct {
    const char *name;
    enum rt_side side;
} ops[RT_OP_N] = {
    [RT_OP_RECORD] = { "record", RT_BEFORE },
    [RT_OP_NOTIFY_DIR] = { "notify-dir", RT_BEFORE },
    [RT_OP_CGROUP_MAKE] = { "cgroup-make", RT_BEFORE },
    [RT_OP_UNIT_START] = { "unit-start", RT_BEFORE },
    [RT_OP_CGROUP_LIMITS] = { "cgroup-limits", RT_BEFORE },
    [RT_OP_RDT_MAKE] = { "rdt-make", RT_BEFORE },
    [RT_OP_SECCOMP_BUILD] = { "seccomp-build", RT_BEFORE },
    [RT_OP_NS_OPEN] = { "ns-open", RT_BEFORE },
    [RT_OP_ROOTFS_OPEN] = { "rootfs-open", RT_BEFORE },
    [RT_OP_BIND_OPEN] = { "bind-open", RT_BEFORE },
    [RT_OP_CONSOLE_CONNECT] = { "console-connect", RT_BEFORE },
    [RT_OP_START_LISTEN] = { "start-listen", RT_BEFORE },
    [RT_OP_CLONE] = { "clone", RT_BEFORE },
    [RT_OP_IDMAP_WRITE] = { "idmap-write", RT_PARENT },
    [RT_OP_BIND_IDMAP] = { "bind-idmap", RT_PARENT },
    [RT_OP_NET_DEVICES] = { "net-devices", RT_PARENT },
    [RT_OP_OOM_SCORE] = { "oom-score", RT_PARENT },
    [RT_OP_PID_RECORD] = { "pid-record", RT_PARENT },
    [RT_OP_RDT_JOIN] = { "rdt-join", RT_PARENT },
    [RT_OP_MAPPED] = { "mapped", RT_PARENT },
    [RT_OP_HOOKS_RUNTIME] = { "hooks-runtime", RT_PARENT },
    [RT_OP_UNIT_ATTACH] = { "unit-attach", RT_PARENT },
    [RT_OP_CGROUP_OWNER] = { "cgroup-owner", RT_PARENT },
    [RT_OP_UNIT_RELEASE] = { "unit-release", RT_PARENT },
    [RT_OP_PIDS_LIMIT] = { "pids-limit", RT_PARENT },
    [RT_OP_GO] = { "go", RT_PARENT },
    [RT_OP_CGROUP_JOIN] = { "cgroup-join", RT_CHILD },
    [RT_OP_AFFINITY] = { "affinity", RT_CHILD },
    [RT_OP_NS_JOIN] = { "ns-join", RT_CHILD },
    [RT_OP_MAP_WAIT] = { "map-wait", RT_CHILD },
    [RT_OP_NS_UNSHARE] = { "ns-unshare", RT_CHILD },
    [RT_OP_LSM_OPEN] = { "lsm-open", RT_CHILD },
    [RT_OP_KEYRING] = { "keyring", RT_CHILD },
    [RT_OP_LOOPBACK] = { "loopback", RT_CHILD },
    [RT_OP_HOSTNAME] = { "hostname", RT_CHILD },
    [RT_OP_SYSCTL] = { "sysctl", RT_CHILD },
    [RT_OP_ROOTFS_OPEN_INSIDE] = { "rootfs-open", RT_CHILD },
    [RT_OP_BIND_OPEN_INSIDE] = { "bind-open", RT_CHILD },
    [RT_OP_ROOTFS_ATTACH] = { "rootfs-attach", RT_CHILD },
    [RT_OP_MOUNT] = { "mount", RT_CHILD },
    [RT_OP_NOTIFY_MOUNT] = { "notify-mount", RT_CHILD },
    [RT_OP_DEVICES] = { "devices", RT_CHILD },
    [RT_OP_DEVICE] = { "device", RT_CHILD },
    [RT_OP_DEV_LINKS] = { "dev-links", RT_CHILD },
    [RT_OP_HOOKS_ASK] = { "hooks-ask", RT_CHILD },
    [RT_OP_HOOKS_CONTAINER] = { "hooks-container", RT_CHILD },
    [RT_OP_MASK] = { "mask", RT_CHILD },
    [RT_OP_READONLY] = { "readonly", RT_CHILD },
    [RT_OP_CWD] = { "cwd", RT_CHILD },
    [RT_OP_ROOTFS_SEAL] = { "rootfs-seal", RT_CHILD },
    [RT_OP_PIVOT] = { "pivot", RT_CHILD },
    [RT_OP_TERMINAL] = { "terminal", RT_CHILD },
    [RT_OP_DOMAIN] = { "domain", RT_CHILD },
    [RT_OP_SCHED] = { "sched", RT_CHILD },
    [RT_OP_LANDLOCK] = { "landlock", RT_CHILD },
    [RT_OP_PROCESS] = { "process", RT_CHILD },
    [RT_OP_START_WAIT] = { "start-wait", RT_CHILD },
    [RT_OP_EXEC] = { "exec", RT_CHILD },
};

enum rt_side rt_op_side(enum rt_op op)
{
    return ops[op].side;
}

const char *rt_op_name(enum rt_op op)
{
    return ops[op].name;
}

/* Sticky: the first failure stays, so that building reads as a list. */
struct builder {
    struct rt_plan *p;
    bool failed;
};

static void put(struct builder *b, enum rt_op op, size_t i)
{
    struct rt_plan *p = b->p;

    if (p->n == p->size) {
        size_t size = p->size ? p->size * 2 : 64;
        struct rt_step *steps = realloc(p->steps, size * sizeof *steps);

        if (!steps) {
            b->failed = true;
            return;
        }
        p->steps = steps;
        p->size = size;
    }
    p->steps[p->n++] = (struct rt_step){ op, i };
}

static bool has_runtime_hooks(const struct oci_hooks *h)
{
    return h && h->n_prestart + h->n_create_runtime > 0;
}

/* "/dev", however it is written: "dev", "//dev/.", "/x/../dev/". */
static bool is_dev(const char *path)
{
    bool dev = false; /* the first part of what is left of the path */
    size_t depth = 0;

    while (*path) {
        size_t len = strcspn(path, "/");

        if (len == 2 && strncmp(path, "..", 2) == 0) {
            depth -= depth > 0;
        } else if (len > 0 && !(len == 1 && *path == '.')) {
            if (depth == 0)
                dev = len == 3 && strncmp(path, "dev", 3) == 0;
            depth++;
        }
        path += len + strspn(path + len, "/");
    }
    return depth == 1 && dev;
}

/* Engines that bring their own /dev (a bind of the host's, say) want nothing put into it. */
static bool owns_dev(const struct rt_spec *s)
{
    for (size_t i = 0; i < s->n_mounts; i++) {
        if (s->mounts[i].kind == RT_MOUNT_BIND && is_dev(s->mounts[i].oci->destination))
            return false;
    }
    return true;
}

static bool needs_map(const struct rt_spec *s)
{
    return s->ns_new & os_ns_flag(OS_NS_USER);
}

/* Whether the child has to wait for what its parent does right after the clone. */
static bool needs_parent(const struct rt_spec *s)
{
    return needs_map(s) || s->oci->linux->n_net_devices > 0;
}

static bool has_group(const struct rt_plan_opts *o)
{
    return o->cgroup || o->unit;
}

bool rt_pids_come_late(const struct rt_spec *s, const struct rt_plan_opts *o)
{
    return s->limits.has_pids && (s->limits.pids == 0 || (o->unit && s->limits.pids == 1));
}

/* config-linux.md, "Cgroup ownership": a cgroup namespace of its own, and its file system writable
 * at its usual place. What is no group of v2's alone is never given away (step_cgroup.c). */
static bool wants_own_group(const struct rt_spec *s)
{
    if (!(s->ns_new & os_ns_flag(OS_NS_CGROUP)))
        return false;
    for (size_t i = 0; i < s->n_mounts; i++) {
        const struct oci_mount *m = s->mounts[i].oci;
        bool ro = false;

        if (!m->source || strcmp(m->source, "cgroup") != 0 ||
            strcmp(m->destination, "/sys/fs/cgroup") != 0)
            continue;
        for (size_t k = 0; k < m->n_options; k++)
            ro = ro || strcmp(m->options[k], "ro") == 0;
        return !ro;
    }
    return false;
}

static void put_sources(struct builder *b, const struct rt_spec *s, enum rt_op rootfs,
                        enum rt_op bind)
{
    put(b, rootfs, 0);
    for (size_t i = 0; i < s->n_mounts; i++)
        if (s->mounts[i].kind == RT_MOUNT_BIND || s->mounts[i].opt.idmap != RT_IDMAP_NONE)
            put(b, bind, i);
}

static void put_before(struct builder *b, const struct rt_spec *s, const struct rt_plan_opts *o)
{
    put(b, RT_OP_RECORD, 0);
    if (o->notify)
        put(b, RT_OP_NOTIFY_DIR, 0);
    if (has_group(o)) {
        put(b, o->unit ? RT_OP_UNIT_START : RT_OP_CGROUP_MAKE, 0);
        put(b, RT_OP_CGROUP_LIMITS, 0);
    }
    if (s->oci->linux->intel_rdt)
        put(b, RT_OP_RDT_MAKE, 0);
    if (s->oci->linux->seccomp)
        put(b, RT_OP_SECCOMP_BUILD, 0);
    for (int ns = 0; ns < OS_NS_N; ns++)
        if (s->ns_path[ns])
            put(b, RT_OP_NS_OPEN, (size_t) ns);
    if (!o->open_inside)
        put_sources(b, s, RT_OP_ROOTFS_OPEN, RT_OP_BIND_OPEN);
    if (o->has_console_socket)
        put(b, RT_OP_CONSOLE_CONNECT, 0);
    if (o->wait_for_start)
        put(b, RT_OP_START_LISTEN, 0);
    put(b, RT_OP_CLONE, 0);
}

static void put_parent(struct builder *b, const struct rt_spec *s, const struct rt_plan_opts *o)
{
    if (needs_map(s))
        put(b, RT_OP_IDMAP_WRITE, 0);
    for (size_t i = 0; i < s->n_mounts; i++)
        if (needs_map(s) && s->mounts[i].opt.idmap != RT_IDMAP_NONE && s->mounts[i].n_uids == 0)
            put(b, RT_OP_BIND_IDMAP, i);
    if (s->idmap_rootfs)
        put(b, RT_OP_BIND_IDMAP, s->n_mounts); /* one past the mounts: the rootfs */
    if (s->has_process && s->oci->process->has_oom_score_adj)
        put(b, RT_OP_OOM_SCORE, 0);
    put(b, RT_OP_PID_RECORD, 0);
    if (s->oci->linux->intel_rdt)
        put(b, RT_OP_RDT_JOIN, 0);
    if (s->oci->linux->n_net_devices > 0)
        put(b, RT_OP_NET_DEVICES, 0);
    if (o->unit && (o->unit->v1 || (o->unit->user && needs_parent(s))))
        put(b, RT_OP_UNIT_ATTACH, 0);
    if (has_group(o) && wants_own_group(s))
        put(b, RT_OP_CGROUP_OWNER, 0);
    if (needs_parent(s))
        put(b, RT_OP_MAPPED, 0);
    if (has_runtime_hooks(s->oci->hooks))
        put(b, RT_OP_HOOKS_RUNTIME, 0);
    if (o->unit)
        put(b, RT_OP_UNIT_RELEASE, 0);
    if (has_group(o) && rt_pids_come_late(s, o))
        put(b, RT_OP_PIDS_LIMIT, 0);
    put(b, RT_OP_GO, 0);
}

static void put_child_mounts(struct builder *b, const struct rt_spec *s,
                             const struct rt_plan_opts *o)
{
    const struct oci_linux *l = s->oci->linux;

    put(b, RT_OP_ROOTFS_ATTACH, 0);
    for (size_t i = 0; i < s->n_mounts; i++)
        put(b, RT_OP_MOUNT, i);
    if (o->notify)
        put(b, RT_OP_NOTIFY_MOUNT, 0);
    if (owns_dev(s))
        put(b, RT_OP_DEVICES, 0);
    for (size_t i = 0; i < l->n_devices; i++)
        put(b, RT_OP_DEVICE, i);
    if (owns_dev(s))
        put(b, RT_OP_DEV_LINKS, 0);
    if (has_runtime_hooks(s->oci->hooks))
        put(b, RT_OP_HOOKS_ASK, 0);
    if (s->oci->hooks && s->oci->hooks->n_create_container > 0)
        put(b, RT_OP_HOOKS_CONTAINER, 0);
    if (s->has_process)
        put(b, RT_OP_CWD, 0);
    for (size_t i = 0; i < l->n_readonly_paths; i++)
        put(b, RT_OP_READONLY, i);
    for (size_t i = 0; i < l->n_masked_paths; i++)
        put(b, RT_OP_MASK, i);
}

static void put_child(struct builder *b, const struct rt_spec *s, const struct rt_plan_opts *o)
{
    const struct oci_spec *oci = s->oci;

    if (o->cgroup || (o->unit && o->unit->v1))
        put(b, RT_OP_CGROUP_JOIN, 0);
    put(b, RT_OP_AFFINITY, 0);
    for (int ns = 0; ns < OS_NS_N; ns++)
        /* the parent has to join pid and user namespaces before it makes the child */
        if (s->ns_path[ns] && ns != OS_NS_PID && ns != OS_NS_USER)
            put(b, RT_OP_NS_JOIN, (size_t) ns);
    if (needs_parent(s))
        put(b, RT_OP_MAP_WAIT, 0);
    if (s->ns_new & (os_ns_flag(OS_NS_TIME) | os_ns_flag(OS_NS_CGROUP)))
        put(b, RT_OP_NS_UNSHARE, 0);
    if (rt_lsm_needed(s, oci->process))
        put(b, RT_OP_LSM_OPEN, 0);
    if (!o->no_new_keyring)
        put(b, RT_OP_KEYRING, 0);
    if (s->ns_new & os_ns_flag(OS_NS_NET))
        put(b, RT_OP_LOOPBACK, 0);
    if ((oci->hostname && *oci->hostname) || (oci->domainname && *oci->domainname))
        put(b, RT_OP_HOSTNAME, 0);
    if (oci->linux->n_sysctl > 0)
        put(b, RT_OP_SYSCTL, 0);
    if (o->open_inside)
        put_sources(b, s, RT_OP_ROOTFS_OPEN_INSIDE, RT_OP_BIND_OPEN_INSIDE);
    put_child_mounts(b, s, o);
    put(b, RT_OP_PIVOT, 0);
    if (rt_spec_has_terminal(s))
        put(b, RT_OP_TERMINAL, 0);
    if ((oci->root->has_readonly && oci->root->readonly) || s->propagation != 0)
        put(b, RT_OP_ROOTFS_SEAL, 0);
    if (s->has_mempolicy || s->has_personality)
        put(b, RT_OP_DOMAIN, 0);
    if (s->process.has_sched || s->process.has_ioprio)
        put(b, RT_OP_SCHED, 0);
    if (s->landlock)
        put(b, RT_OP_LANDLOCK, 0);
    put(b, RT_OP_PROCESS, 0);
    put(b, RT_OP_START_WAIT, 0);
    put(b, RT_OP_EXEC, 0);
}

int rt_plan_build(const struct rt_spec *s, const struct rt_plan_opts *opts, struct rt_plan *p,
                  struct jl_err *e)
{
    struct builder b = { .p = p };

    *p = (struct rt_plan){ 0 };
    put_before(&b, s, opts);
    put_parent(&b, s, opts);
    put_child(&b, s, opts);
    if (b.failed) {
        rt_plan_clear(p);
        return jl_fail(e, ENOMEM, "make the plan");
    }
    return 0;
}

void rt_plan_clear(struct rt_plan *p)
{
    free(p->steps);
    *p = (struct rt_plan){ 0 };
}
