/* plan_print.c - a plan as text, for the verb `plan`; see plan.h. */
#include "base/buf.h"
#include "runtime/plan.h"
#include "runtime/unit.h"

static void print_namespaces(struct jl_buf *out, uint64_t flags)
{
    for (int ns = 0; ns < OS_NS_N; ns++)
        if (flags & os_ns_flag((enum os_ns) ns))
            jl_buf_printf(out, " %s", os_ns_name((enum os_ns) ns));
}

static void print_mount(struct jl_buf *out, const struct rt_mount *m)
{
    static const char *const kinds[] = { [RT_MOUNT_FS] = "new",
                                         [RT_MOUNT_BIND] = "bind",
                                         [RT_MOUNT_CGROUP] = "cgroup",
                                         [RT_MOUNT_REMOUNT] = "remount" };

    jl_buf_printf(out, " %s on %s", kinds[m->kind], m->oci->destination);
    if (m->oci->type)
        jl_buf_printf(out, " type=%s", m->oci->type);
    if (m->opt.set | m->opt.clear)
        jl_buf_printf(out, " set=%#llx clear=%#llx", (unsigned long long) m->opt.set,
                      (unsigned long long) m->opt.clear);
    if (m->opt.tree_set | m->opt.tree_clear)
        jl_buf_printf(out, " tree-set=%#llx tree-clear=%#llx", (unsigned long long) m->opt.tree_set,
                      (unsigned long long) m->opt.tree_clear);
    for (size_t i = 0; i < m->opt.data.len; i++)
        jl_buf_printf(out, "%s%s", i == 0 ? " data=" : ",", m->opt.data.items[i]);
}

static void print_details(struct jl_buf *out, const struct rt_step *st, const struct rt_spec *s,
                          const struct rt_plan_opts *o)
{
    const struct oci_linux *l = s->oci->linux;

    switch ((int) st->op) { /* an int: most steps have no details */
    case RT_OP_CGROUP_MAKE:
        jl_buf_printf(out, " %s", o->cgroup);
        break;
    case RT_OP_UNIT_START:
        jl_buf_printf(out, " %s in %s of the %s manager", o->unit->name, o->unit->slice,
                      o->unit->user ? "user's" : "system's");
        break;
    case RT_OP_NS_OPEN:
    case RT_OP_NS_JOIN:
        jl_buf_printf(out, " %s %s", os_ns_name((enum os_ns) st->i), s->ns_path[st->i]);
        break;
    case RT_OP_ROOTFS_OPEN:
    case RT_OP_ROOTFS_OPEN_INSIDE:
        jl_buf_printf(out, " %s", s->rootfs);
        break;
    case RT_OP_BIND_OPEN:
    case RT_OP_BIND_OPEN_INSIDE:
        jl_buf_printf(out, " %s", s->mounts[st->i].oci->source ? s->mounts[st->i].oci->source : "");
        break;
    case RT_OP_BIND_IDMAP:
        jl_buf_printf(out, " %s", st->i < s->n_mounts ? s->mounts[st->i].oci->destination : "/");
        break;
    case RT_OP_CLONE:
        print_namespaces(out, s->ns_new & ~(os_ns_flag(OS_NS_TIME) | os_ns_flag(OS_NS_CGROUP)));
        break;
    case RT_OP_NS_UNSHARE:
        print_namespaces(out, s->ns_new & (os_ns_flag(OS_NS_TIME) | os_ns_flag(OS_NS_CGROUP)));
        break;
    case RT_OP_NET_DEVICES:
        for (size_t i = 0; i < l->n_net_devices; i++)
            jl_buf_printf(out, " %s", l->net_devices[i].key);
        break;
    case RT_OP_MOUNT:
        print_mount(out, &s->mounts[st->i]);
        break;
    case RT_OP_DEVICE:
        jl_buf_printf(out, " %s", l->devices[st->i]->path);
        break;
    case RT_OP_MASK:
        jl_buf_printf(out, " %s", l->masked_paths[st->i]);
        break;
    case RT_OP_READONLY:
        jl_buf_printf(out, " %s", l->readonly_paths[st->i]);
        break;
    case RT_OP_HOSTNAME:
        jl_buf_printf(out, " %s", s->oci->hostname ? s->oci->hostname : "");
        break;
    case RT_OP_EXEC:
        if (s->has_process)
            jl_buf_printf(out, " %s", s->oci->process->args[0]);
        break;
    default:
        break;
    }
}

int rt_plan_print(const struct rt_plan *p, const struct rt_spec *s, const struct rt_plan_opts *opts,
                  struct jl_buf *out)
{
    static const char *const sides[] = {
        [RT_BEFORE] = "before", [RT_PARENT] = "parent", [RT_CHILD] = "child"
    };

    for (size_t i = 0; i < p->n; i++) {
        int r = jl_buf_printf(out, "%-6s %s", sides[rt_op_side(p->steps[i].op)],
                              rt_op_name(p->steps[i].op));

        if (r < 0)
            return r;
        print_details(out, &p->steps[i], s, opts);
        r = jl_buf_putc(out, '\n');
        if (r < 0)
            return r;
    }
    return 0;
}
