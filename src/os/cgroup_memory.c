/*
 * cgroup_memory.c - memory and swap. OCI has v1's meaning: "swap" is memory and swap together. v2
 * limits swap alone, so it gets the difference.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "os/cgroup_internal.h"

#define LIMIT "memory.limit_in_bytes"
#define MEMSW "memory.memsw.limit_in_bytes"

static uint64_t page(void)
{
    return (uint64_t) sysconf(_SC_PAGESIZE);
}

/* /proc/swaps has a heading, then a line for each swap device or file. */
static bool host_swaps(void)
{
    char text[4096];
    ssize_t n = cg_read(AT_FDCWD, "/proc/swaps", text, sizeof text);

    if (n == -ENOENT) /* a kernel without swap */
        return false;
    return n < 0 || strchr(text, '\n') != NULL;
}

/*
 * The kernel does not count swap here (swapaccount=0, or built without). As long as the host has
 * none, memory and swap together are memory alone, and any limit of both that is not below the
 * memory limit holds. With swap there would be no way to hold it.
 */
static int without_accounting(const struct os_cgroup_limits *l, struct jl_err *e)
{
    if (l->memory_swap == -1 || !host_swaps())
        return 0;
    jl_refuse(e, ENOTSUP,
              "a limit of swap was asked for, but this kernel does not count swap by "
              "group, and the host has swap");
    return jl_hint(e, "boot with swapaccount=1, switch swap off, or ask for unlimited swap (-1)");
}

static int check_swap(const struct os_cgroup_limits *l, struct jl_err *e)
{
    if (!l->has_memory_swap || l->memory_swap == -1)
        return 0;
    if (l->memory_swap < 0)
        return jl_refuse(e, EINVAL, "memory swap limit %lld is negative; only -1 is, for no limit",
                         (long long) l->memory_swap);
    if (l->has_memory && l->memory == -1)
        return jl_refuse(e, EINVAL,
                         "memory swap is limited to %lld bytes but memory is not limited;"
                         " swap counts both together",
                         (long long) l->memory_swap);
    if (l->has_memory && l->memory_swap < l->memory)
        return jl_refuse(e, EINVAL,
                         "memory swap limit (%lld) is below the memory limit (%lld); it "
                         "counts both together",
                         (long long) l->memory_swap, (long long) l->memory);
    return 0;
}

/* A group that already uses more is why the kernel says EBUSY. */
static int put_limit(const struct cg_place *p, const char *file, const char *usage, int64_t value,
                     const char *unlimited, struct jl_err *e)
{
    int r = cg_put_number(p, file, value, unlimited, page(), e);
    uint64_t used;

    if (r == -EBUSY && cg_read_u64(p->fd, usage, &used) == 0)
        jl_hint(e, "the group uses %llu bytes now, and they can't be reclaimed",
                (unsigned long long) used);
    return r;
}

/*
 * memory.limit_in_bytes may never exceed memory.memsw.limit_in_bytes: so on the way up memsw goes
 * first, on the way down last. cgroup-v1/memory.rst, 2.4.
 */
static int put_v1_limits(const struct cg_place *p, const struct os_cgroup_limits *l,
                         struct jl_err *e)
{
    bool memsw = cg_has_file(p->fd, MEMSW), has_swap = l->has_memory_swap;
    int64_t swap = l->memory_swap;
    uint64_t now = 0;
    bool swap_first;
    int r = 0;

    if (has_swap && !memsw) {
        r = without_accounting(l, e);
        if (r < 0)
            return r;
        has_swap = false;
    }
    if (!has_swap && memsw && l->has_memory && l->memory == -1) {
        has_swap = true; /* unlimited memory below a limit of both would not be unlimited */
        swap = -1;
    }
    if (has_swap)
        r = cg_read_u64(p->fd, MEMSW, &now);
    if (r < 0)
        return jl_fail(e, -r, "read %s of cgroup %s", MEMSW, p->path);
    swap_first = has_swap && (swap == -1 || (uint64_t) swap > now);
    if (swap_first)
        r = put_limit(p, MEMSW, "memory.memsw.usage_in_bytes", swap, "-1", e);
    if (r == 0 && l->has_memory)
        r = put_limit(p, LIMIT, "memory.usage_in_bytes", l->memory, "-1", e);
    if (r == 0 && has_swap && !swap_first)
        r = put_limit(p, MEMSW, "memory.memsw.usage_in_bytes", swap, "-1", e);
    return r;
}

/* memory.oom_control reads "oom_kill_disable 0" and more lines. */
static int put_oom_disable(const struct cg_place *p, bool disable, struct jl_err *e)
{
    uint64_t found;
    int r = cg_put(p, "memory.oom_control", disable ? "1" : "0", e);

    if (r < 0)
        return r;
    r = cg_read_key(p->fd, "memory.oom_control", "oom_kill_disable", &found);
    if (r < 0)
        return jl_fail(e, -r, "read back memory.oom_control of cgroup %s", p->path);
    return found == disable ? 0
                            : cg_fail_readback(p, "memory.oom_control", disable ? "1" : "0",
                                               found ? "1" : "0", e);
}

/* Deprecated, and taken out of newer kernels: memory.kmem in 6.2 after it had refused since 5.16. */
static int put_kernel(const struct cg_place *p, const char *file, int64_t value, struct jl_err *e)
{
    int r = cg_put_number(p, file, value, "-1", page(), e);

    if (r == -ENOENT || r == -EOPNOTSUPP)
        jl_hint(e, "this kernel has no such limit any more: memory.limit counts that memory too");
    return r;
}

static int apply_v1(const struct cg_place *p, const struct os_cgroup_limits *l, struct jl_err *e)
{
    int r;

    if (l->has_memory_high)
        return cg_refuse_version(p, "memory.high", e);
    if (l->oom_group)
        return cg_refuse_version(p, "memory.oom.group", e);
    r = put_v1_limits(p, l, e);
    if (r == 0 && l->has_kernel_memory)
        r = put_kernel(p, "memory.kmem.limit_in_bytes", l->kernel_memory, e);
    if (r == 0 && l->has_kernel_tcp)
        r = put_kernel(p, "memory.kmem.tcp.limit_in_bytes", l->kernel_tcp, e);
    if (r == 0 && l->has_memory_reservation)
        r = cg_put_number(p, "memory.soft_limit_in_bytes", l->memory_reservation, "-1", page(), e);
    if (r == 0 && l->has_swappiness && l->swappiness > 100)
        r = jl_refuse(e, EINVAL, "memory swappiness %llu: 0 to 100 are allowed",
                      (unsigned long long) l->swappiness);
    if (r == 0 && l->has_swappiness)
        r = cg_put_number(p, "memory.swappiness", (int64_t) l->swappiness, "-1", 1, e);
    if (r == 0 && l->has_oom_disable)
        r = put_oom_disable(p, l->oom_disable, e);
    return r;
}

/*
 * Swap alone = both together - memory; the kernel's own memory.max serves when only swap changes.
 * Unlimited memory takes the limit of swap off too, as v1 does.
 */
static int put_v2_swap(const struct cg_place *p, const struct os_cgroup_limits *l, struct jl_err *e)
{
    int64_t swap = -1;
    uint64_t memory = (uint64_t) l->memory;
    int r;

    if (!l->has_memory_swap && !(l->has_memory && l->memory == -1))
        return 0;
    if (l->has_memory_swap && l->memory_swap != -1) {
        if (!l->has_memory) {
            r = cg_read_u64(p->fd, "memory.max", &memory);
            if (r < 0)
                return jl_fail(e, -r, "read memory.max of cgroup %s", p->path);
        }
        if (memory > (uint64_t) l->memory_swap) /* also when it has no limit */
            return jl_refuse(e, EINVAL,
                             "memory swap limit (%lld) without a memory limit that is "
                             "not above it: it counts both together",
                             (long long) l->memory_swap);
        swap = l->memory_swap - (int64_t) memory;
    }
    if (!cg_has_file(p->fd, "memory.swap.max"))
        return l->has_memory_swap ? without_accounting(l, e) : 0;
    return cg_put_number(p, "memory.swap.max", swap, "max", page(), e);
}

static int apply_v2(const struct cg_place *p, const struct os_cgroup_limits *l, struct jl_err *e)
{
    int r = 0;

    if (l->has_swappiness)
        return cg_refuse_version(p, "memory swappiness", e);
    if (l->has_oom_disable && l->oom_disable)
        return cg_refuse_version(p, "switching the OOM killer off", e);
    if (l->has_kernel_memory || l->has_kernel_tcp)
        return cg_refuse_version(p, "a limit of kernel memory", e);
    r = put_v2_swap(p, l, e);
    if (r == 0 && l->has_memory)
        r = put_limit(p, "memory.max", "memory.current", l->memory, "max", e);
    if (r == 0 && l->has_memory_reservation)
        r = cg_put_number(p, "memory.low", l->memory_reservation, "max", page(), e);
    if (r == 0 && l->has_memory_high)
        r = cg_put_number(p, "memory.high", l->memory_high, "max", page(), e);
    if (r == 0 && l->oom_group)
        r = cg_put_number(p, "memory.oom.group", 1, "max", 1, e);
    return r;
}

int cg_apply_memory(struct os_cgroup *cg, const struct os_cgroup_limits *l, struct jl_err *e)
{
    struct cg_place p;
    int r;

    if (!(os_cgroup_limits_need(l) & OS_CG_BIT(OS_CG_MEMORY)) && !l->has_oom_disable)
        return 0;
    if (l->has_oom_disable && !l->oom_disable && !os_cgroup_host_has(&cg->host, OS_CG_MEMORY) &&
        !(os_cgroup_limits_need(l) & OS_CG_BIT(OS_CG_MEMORY)))
        return 0; /* an OOM killer that stays on needs no controller */
    r = check_swap(l, e);
    if (r == 0)
        r = cg_place(cg, OS_CG_MEMORY, "a limit of memory", &p, e);
    if (r < 0)
        return r;
    return p.v2 ? apply_v2(&p, l, e) : apply_v1(&p, l, e);
}
