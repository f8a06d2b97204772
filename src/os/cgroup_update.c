/*
 * cgroup_update.c - new limits for a group that is in use: all of them, or those that it had. What
 * may change is read before; when one is refused, the others are put back, and what could not be
 * put back is named.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "os/cgroup_internal.h"

#define SAVED_MAX 64
#define PASSES 3 /* files depend on each other: memory on memsw, a burst on its quota */

/* How a line of one device is taken back where there was none. */
#define TABLE_RATE "rbps=max wbps=max riops=max wiops=max"
#define TABLE_RDMA "hca_handle=max hca_object=max"
#define TABLE_ZERO "0"
#define TABLE_DEFAULT "default"

static const struct file {
    enum os_controller c;
    bool v2;
    const char *name;
    const char *reset; /* a table of devices; else NULL: one value */
} files[] = {
    { OS_CG_CPUSET, false, "cpuset.cpus", NULL },
    { OS_CG_CPUSET, false, "cpuset.mems", NULL },
    { OS_CG_CPUSET, true, "cpuset.cpus", NULL },
    { OS_CG_CPUSET, true, "cpuset.mems", NULL },
    { OS_CG_MEMORY, false, "memory.memsw.limit_in_bytes", NULL },
    { OS_CG_MEMORY, false, "memory.limit_in_bytes", NULL },
    { OS_CG_MEMORY, false, "memory.soft_limit_in_bytes", NULL },
    { OS_CG_MEMORY, false, "memory.swappiness", NULL },
    { OS_CG_MEMORY, false, "memory.kmem.limit_in_bytes", NULL },
    { OS_CG_MEMORY, false, "memory.kmem.tcp.limit_in_bytes", NULL },
    { OS_CG_MEMORY, true, "memory.swap.max", NULL },
    { OS_CG_MEMORY, true, "memory.max", NULL },
    { OS_CG_MEMORY, true, "memory.low", NULL },
    { OS_CG_MEMORY, true, "memory.high", NULL },
    { OS_CG_MEMORY, true, "memory.oom.group", NULL },
    { OS_CG_CPU, false, "cpu.shares", NULL },
    { OS_CG_CPU, false, "cpu.cfs_quota_us", NULL },
    { OS_CG_CPU, false, "cpu.cfs_period_us", NULL },
    { OS_CG_CPU, false, "cpu.cfs_burst_us", NULL },
    { OS_CG_CPU, false, "cpu.idle", NULL },
    { OS_CG_CPU, false, "cpu.rt_period_us", NULL },
    { OS_CG_CPU, false, "cpu.rt_runtime_us", NULL },
    { OS_CG_CPU, true, "cpu.weight", NULL },
    { OS_CG_CPU, true, "cpu.max", NULL },
    { OS_CG_CPU, true, "cpu.max.burst", NULL },
    { OS_CG_CPU, true, "cpu.idle", NULL },
    { OS_CG_PIDS, false, "pids.max", NULL },
    { OS_CG_PIDS, true, "pids.max", NULL },
    { OS_CG_IO, false, "blkio.weight", NULL },
    { OS_CG_IO, false, "blkio.bfq.weight", NULL },
    { OS_CG_IO, false, "blkio.weight_device", TABLE_ZERO },
    { OS_CG_IO, false, "blkio.bfq.weight_device", TABLE_ZERO },
    { OS_CG_IO, false, "blkio.throttle.read_bps_device", TABLE_ZERO },
    { OS_CG_IO, false, "blkio.throttle.write_bps_device", TABLE_ZERO },
    { OS_CG_IO, false, "blkio.throttle.read_iops_device", TABLE_ZERO },
    { OS_CG_IO, false, "blkio.throttle.write_iops_device", TABLE_ZERO },
    { OS_CG_IO, true, "io.bfq.weight", TABLE_DEFAULT },
    { OS_CG_IO, true, "io.weight", TABLE_DEFAULT },
    { OS_CG_IO, true, "io.max", TABLE_RATE },
    { OS_CG_RDMA, false, "rdma.max", TABLE_RDMA },
    { OS_CG_RDMA, true, "rdma.max", TABLE_RDMA },
    { OS_CG_NET_CLS, false, "net_cls.classid", NULL },
    { OS_CG_NET_PRIO, false, "net_prio.ifpriomap", TABLE_ZERO },
};

struct saved {
    int fd; /* borrowed: the group in its hierarchy */
    char name[80];
    const char *reset;
    char *old;
};

struct snapshot {
    struct saved items[SAVED_MAX];
    size_t n;
};

static void clear_snapshot(struct snapshot *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->items[i].old);
}

/* NULL when it can't be read: such a file does not change either. */
static char *read_text(int fd, const char *name)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(CG_FILE_MAX);
    struct jl_err ignored = JL_ERR_INIT;

    if (jl_read_file_at(fd, name, &text, &ignored) < 0)
        return NULL;
    while (text.len > 0 && text.data[text.len - 1] == '\n')
        text.data[--text.len] = '\0';
    return text.data ? jl_buf_take(&text) : strdup("");
}

static int save(struct snapshot *s, int fd, const char *name, const char *reset, struct jl_err *e)
{
    struct saved *one = &s->items[s->n];

    if (fd < 0 || !cg_has_file(fd, name))
        return 0;
    if (s->n == SAVED_MAX || strlen(name) >= sizeof one->name)
        return jl_refuse(e, E2BIG, "more than %d limits at once", SAVED_MAX);
    one->old = read_text(fd, name);
    if (!one->old)
        return 0;
    one->fd = fd;
    one->reset = reset;
    snprintf(one->name, sizeof one->name, "%s", name);
    s->n++;
    return 0;
}

static int save_hugepages(struct snapshot *s, const struct cg_place *p,
                          const struct os_cgroup_limits *l, struct jl_err *e)
{
    const char *suffix = p->v2 ? "max" : "limit_in_bytes";
    char name[80];
    int r = 0;

    for (size_t i = 0; i < l->n_hugepages && r == 0; i++) {
        snprintf(name, sizeof name, "hugetlb.%.16s.%s", l->hugepages[i].size, suffix);
        r = save(s, p->fd, name, NULL, e);
        snprintf(name, sizeof name, "hugetlb.%.16s.rsvd.%s", l->hugepages[i].size, suffix);
        if (r == 0)
            r = save(s, p->fd, name, NULL, e);
    }
    return r;
}

/* Every controller must be here before the first value is written. */
static int take_snapshot(struct os_cgroup *cg, const struct os_cgroup_limits *l, struct snapshot *s,
                         struct jl_err *e)
{
    struct os_cgroup_limits cooked = *l;
    unsigned need;
    int r = 0;

    cooked.n_unified = 0; /* raw files name theirs themselves */
    need = os_cgroup_limits_need(&cooked);

    for (unsigned c = 0; c < OS_CG_N && r == 0; c++) {
        struct cg_place p;

        if (!(need & OS_CG_BIT(c)) || c == OS_CG_DEVICES) /* v2 has no controller for these */
            continue;
        r = cg_place(cg, (enum os_controller) c, os_controller_name((enum os_controller) c), &p, e);
        for (size_t i = 0; i < JL_COUNT(files) && r == 0; i++)
            if (files[i].c == (enum os_controller) c && files[i].v2 == p.v2)
                r = save(s, p.fd, files[i].name, files[i].reset, e);
        if (r == 0 && c == OS_CG_HUGETLB)
            r = save_hugepages(s, &p, l, e);
    }
    for (size_t i = 0; i < l->n_unified && r == 0; i++)
        if (!strchr(l->unified[i].file, '/'))
            r = save(s, cg->fd[CG_UNIFIED], l->unified[i].file, NULL, e);
    return r;
}

/* ---- putting back ---- */

/* Whether the table has a line of this device ("8:16 ..."). */
static bool has_device(const char *table, const char *line, size_t key)
{
    for (const char *p = table; *p; p += strspn(p, "\n")) {
        if (strncmp(p, line, key) == 0 && p[key] == ' ')
            return true;
        p += strcspn(p, "\n");
    }
    return false;
}

static void put_line(const struct saved *f, const char *line, size_t len, const char *more)
{
    char text[256];

    if (len + strlen(more) >= sizeof text)
        return;
    memcpy(text, line, len);
    snprintf(text + len, sizeof text - len, "%s", more);
    jl_write_kernel_file_at(f->fd, f->name, text);
}

static void put_table(const struct saved *f, const char *now)
{
    for (const char *p = now; *p; p += strspn(p, "\n")) {
        size_t key = strcspn(p, " \n");

        if (!has_device(f->old, p, key)) {
            put_line(f, p, key, " ");
            put_line(f, p, key + 1, f->reset);
        }
        p += strcspn(p, "\n");
    }
    for (const char *p = f->old; *p; p += strspn(p, "\n")) {
        put_line(f, p, strcspn(p, "\n"), "");
        p += strcspn(p, "\n");
    }
}

/* Whether it is as it was; tried once when not. */
static bool put_back(const struct saved *f)
{
    _free_ char *now = read_text(f->fd, f->name);
    _free_ char *then = NULL;

    if (!now || strcmp(now, f->old) == 0)
        return now != NULL;
    if (f->reset)
        put_table(f, now);
    else
        jl_write_kernel_file_at(f->fd, f->name, *f->old ? f->old : "\n");
    then = read_text(f->fd, f->name);
    return then && strcmp(then, f->old) == 0;
}

/* Fills left with the names of what has another value still. */
static void restore(const struct snapshot *s, char *left, size_t size)
{
    for (int pass = 0; pass < PASSES; pass++) {
        size_t len = 0;

        left[0] = '\0';
        for (size_t i = 0; i < s->n; i++)
            if (!put_back(&s->items[i]) && len < size)
                len += (size_t) snprintf(left + len, size - len, "%s%s", len ? ", " : "",
                                         s->items[i].name);
        if (len == 0)
            return;
    }
}

/* ---- what can be known before ---- */

/* The limit of memory must not be above that of both together; the kernel says EINVAL only. */
static int check_memsw(const struct cg_place *p, const struct os_cgroup_limits *l, struct jl_err *e)
{
    uint64_t memsw;

    if (p->v2 || !l->has_memory || l->memory < 0 || l->has_memory_swap ||
        cg_read_u64(p->fd, "memory.memsw.limit_in_bytes", &memsw) < 0 ||
        (uint64_t) l->memory <= memsw)
        return 0;
    jl_refuse(e, EINVAL,
              "memory limit %lld is above the limit of memory and swap together, which is %llu",
              (long long) l->memory, (unsigned long long) memsw);
    return jl_hint(e, "give the limit of both as well (memory.swap, --memory-swap)");
}

static int check_memory(struct os_cgroup *cg, const struct os_cgroup_limits *l, bool check_usage,
                        struct jl_err *e)
{
    struct cg_place p;
    uint64_t used = 0;
    int r;

    if (!l->has_memory && !l->has_memory_swap)
        return 0;
    r = cg_place(cg, OS_CG_MEMORY, "a limit of memory", &p, e);
    if (r == 0)
        r = check_memsw(&p, l, e);
    if (r < 0 || !check_usage || !l->has_memory || l->memory < 0)
        return r;
    r = cg_read_u64(p.fd, p.v2 ? "memory.current" : "memory.usage_in_bytes", &used);
    if (r < 0)
        return jl_fail(e, -r, "read how much memory cgroup %s uses", cg->path);
    if (used <= (uint64_t) l->memory)
        return 0;
    return jl_refuse(e, EBUSY,
                     "memory limit %lld is below what is used now, %llu bytes (checkBeforeUpdate)",
                     (long long) l->memory, (unsigned long long) used);
}

int os_cgroup_memory_limit(const struct os_cgroup *cg, int64_t *ret, struct jl_err *e)
{
    struct cg_place p;
    uint64_t limit;
    int r = cg_place(cg, OS_CG_MEMORY, "a limit of memory", &p, e);

    if (r < 0)
        return r;
    r = cg_read_u64(p.fd, p.v2 ? "memory.max" : "memory.limit_in_bytes", &limit);
    if (r < 0)
        return jl_fail(e, -r, "read the memory limit of cgroup %s", cg->path);
    *ret = limit >= (uint64_t) INT64_MAX - (1u << 24) ? -1 : (int64_t) limit;
    return 0;
}

int os_cgroup_update(struct os_cgroup *cg, const struct os_cgroup_limits *l, bool check_usage,
                     struct jl_err *e)
{
    struct snapshot s = { .n = 0 };
    char left[256] = "";
    int r = check_memory(cg, l, check_usage, e);

    if (r == 0)
        r = take_snapshot(cg, l, &s, e);
    if (r < 0) {
        clear_snapshot(&s);
        return jl_wrap(e, "nothing was changed");
    }
    r = os_cgroup_apply(cg, l, e);
    if (r < 0) {
        restore(&s, left, sizeof left);
        if (left[0])
            jl_wrap(e, "changed in part (%s could not be put back)", left);
        else
            jl_wrap(e, "nothing was changed");
    }
    clear_snapshot(&s);
    return r;
}
