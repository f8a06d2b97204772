/*
 * cgroup_limits.c - limits in general: which controllers they need, where each is set, setting and
 * reading back, and those that are one file: pids, huge pages, raw v2 files.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/parse.h"
#include "os/cgroup_internal.h"

#define HAS_NO_LIMIT ((uint64_t) INT64_MAX - (1u << 24)) /* v1: no limit, rounded to pages */

/* The controller that a v2 file belongs to ("memory.high"); 0 for core files and those of
 * controllers that we do not know. */
static unsigned raw_need(const char *file)
{
    char word[32];
    size_t len = strcspn(file, ".");

    if (len >= sizeof word)
        return 0;
    memcpy(word, file, len);
    word[len] = '\0';
    return cg_controller_bits(word);
}

unsigned os_cgroup_limits_need(const struct os_cgroup_limits *l)
{
    unsigned need = 0;

    if (l->has_memory || l->has_memory_swap || l->has_memory_reservation || l->has_swappiness ||
        l->has_memory_high || (l->has_oom_disable && l->oom_disable) || l->oom_group)
        need |= OS_CG_BIT(OS_CG_MEMORY);
    if (l->has_cpu_shares || l->has_cpu_quota || l->has_cpu_period || l->has_cpu_burst ||
        l->has_cpu_idle)
        need |= OS_CG_BIT(OS_CG_CPU);
    if (l->cpuset_cpus || l->cpuset_mems)
        need |= OS_CG_BIT(OS_CG_CPUSET);
    if (l->has_pids)
        need |= OS_CG_BIT(OS_CG_PIDS);
    if (l->has_io_weight || l->n_io_weight_device || l->n_io_rbps || l->n_io_wbps ||
        l->n_io_riops || l->n_io_wiops)
        need |= OS_CG_BIT(OS_CG_IO);
    if (l->devices)
        need |= OS_CG_BIT(OS_CG_DEVICES);
    if (l->n_hugepages)
        need |= OS_CG_BIT(OS_CG_HUGETLB);
    if (l->has_rt_runtime || l->has_rt_period)
        need |= OS_CG_BIT(OS_CG_CPU);
    if (l->has_kernel_memory || l->has_kernel_tcp)
        need |= OS_CG_BIT(OS_CG_MEMORY);
    if (l->n_rdma)
        need |= OS_CG_BIT(OS_CG_RDMA);
    if (l->has_net_class)
        need |= OS_CG_BIT(OS_CG_NET_CLS);
    if (l->n_net_prio)
        need |= OS_CG_BIT(OS_CG_NET_PRIO);
    for (size_t i = 0; i < l->n_unified; i++)
        need |= raw_need(l->unified[i].file);
    return need;
}

bool cg_has_file(int dirfd, const char *file)
{
    struct stat st;

    return fstatat(dirfd, file, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int refuse_missing(const struct os_cgroup *cg, enum os_controller c, const char *what,
                          struct jl_err *e)
{
    const char *name = os_controller_name(c);

    jl_refuse(e, ENOTSUP, "%s was asked for, but this host (cgroup %s) has no '%s' controller",
              what, os_cgroup_mode_name(cg->host.mode), name);
    if (c == OS_CG_MEMORY)
        jl_hint(e, "boot with cgroup_enable=memory, or don't ask for %s", what);
    else
        jl_hint(e, "see /proc/cgroups: the kernel lacks it, it is switched off, or (v1) its "
                   "hierarchy is not mounted");
    return -ENOTSUP;
}

int cg_place(const struct os_cgroup *cg, enum os_controller c, const char *what,
             struct cg_place *ret, struct jl_err *e)
{
    bool v1 = cg->host.v1[c][0] != '\0';

    if (!os_cgroup_host_has(&cg->host, c))
        return refuse_missing(cg, c, what, e);
    *ret = (struct cg_place){ .fd = v1 ? cg->fd[c] : cg->fd[CG_UNIFIED],
                              .v2 = !v1,
                              .controller = os_controller_name(c),
                              .path = cg->path,
                              .cg = cg };
    if (ret->fd < 0)
        return jl_refuse(e, ENOENT, "%s: the group %s is not there in the hierarchy of '%s'", what,
                         cg->path, ret->controller);
    return 0;
}

int cg_refuse_version(const struct cg_place *p, const char *what, struct jl_err *e)
{
    jl_refuse(e, ENOTSUP, "%s exists with cgroup v%d only, and '%s' is on v%d here", what,
              p->v2 ? 1 : 2, p->controller, p->v2 ? 2 : 1);
    return jl_hint(e,
                   "remove it from the job's configuration, or run the job on a host with "
                   "cgroup v%d",
                   p->v2 ? 1 : 2);
}

int cg_put(const struct cg_place *p, const char *file, const char *value, struct jl_err *e)
{
    int r = jl_write_kernel_file_at(p->fd, file, value);

    if (r == 0)
        return 0;
    errno = -r;
    jl_fail_sys(e, "write", file, "set '%s' in cgroup %s (%s)", value, p->path, p->controller);
    if (r == -ENOENT && p->v2)
        jl_hint(e, "the controller is not on in this group (cgroup.subtree_control of its "
                   "parents), or this kernel is older than the file");
    else if (r == -ENOENT)
        jl_hint(e, "this kernel was built without it, or is older than the file");
    else if (r == -EINVAL || r == -ERANGE)
        jl_hint(e, "the value is outside of what the kernel or a group above allows");
    else if (r == -EACCES || r == -EPERM)
        jl_hint(e, "the group belongs to another user, or a group above does not allow that much");
    return r;
}

int cg_fail_readback(const struct cg_place *p, const char *file, const char *asked,
                     const char *found, struct jl_err *e)
{
    jl_refuse(e, EINVAL, "cgroup %s (%s): asked for '%s' in %s, but the kernel holds '%s'", p->path,
              p->controller, asked, file, found);
    return jl_hint(e, "the kernel took another value than asked for: use one that it can hold");
}

bool cg_same_number(const char *found, int64_t asked, uint64_t unit)
{
    uint64_t n;

    if (asked == -1 && (strcmp(found, "max") == 0 || strcmp(found, "-1") == 0))
        return true;
    if (strcmp(found, "max") == 0) /* more than the kernel can count is no limit to it either */
        return asked >= 0 && (uint64_t) asked >= HAS_NO_LIMIT;
    if (jl_parse_u64(found, UINT64_MAX, &n) < 0)
        return false;
    if (asked == -1)
        return n >= HAS_NO_LIMIT;
    return n <= (uint64_t) asked && (uint64_t) asked - n < unit;
}

int cg_put_number(const struct cg_place *p, const char *file, int64_t value, const char *unlimited,
                  uint64_t unit, struct jl_err *e)
{
    char text[32], found[64];
    ssize_t n;
    int r;

    if (value == -1)
        snprintf(text, sizeof text, "%s", unlimited);
    else
        snprintf(text, sizeof text, "%lld", (long long) value);
    if (value < -1)
        return jl_refuse(e, EINVAL,
                         "set '%s' in cgroup %s: '%s' is negative; only -1 is, for no "
                         "limit",
                         file, p->path, text);
    r = cg_put(p, file, text, e);
    if (r < 0)
        return r;
    n = cg_read(p->fd, file, found, sizeof found);
    if (n < 0)
        return jl_fail(e, (int) -n, "read back %s of cgroup %s", file, p->path);
    return cg_same_number(found, value, unit) ? 0 : cg_fail_readback(p, file, text, found, e);
}

static int apply_pids(struct os_cgroup *cg, const struct os_cgroup_limits *l, struct jl_err *e)
{
    struct cg_place p;
    int r;

    if (!l->has_pids)
        return 0;
    r = cg_place(cg, OS_CG_PIDS, "a limit of processes", &p, e);
    return r < 0 ? r : cg_put_number(&p, "pids.max", l->pids, "max", 1, e);
}

/* "2MB", "1GB", "64KB": as the kernel writes it in its file names. 0 or -EINVAL; bytes. */
static int page_size(const char *size, uint64_t *ret)
{
    size_t digits = strspn(size, "0123456789");

    if (digits == 0 || digits > 6 || strlen(size + digits) != 2 || !strchr("KMG", size[digits]) ||
        size[digits + 1] != 'B')
        return -EINVAL;
    return jl_parse_size(size, ret);
}

static int apply_hugepage(const struct cg_place *p, const struct os_cgroup_hugepage *h,
                          struct jl_err *e)
{
    const char *suffix = p->v2 ? "max" : "limit_in_bytes";
    int64_t limit = h->limit > INT64_MAX ? -1 : (int64_t) h->limit;
    char file[64];
    uint64_t unit;
    int r;

    if (page_size(h->size, &unit) < 0)
        return jl_refuse(e, EINVAL, "huge page size '%s': expected a number and KB, MB or GB",
                         h->size);
    snprintf(file, sizeof file, "hugetlb.%s.%s", h->size, suffix);
    if (!cg_has_file(p->fd, file)) {
        jl_refuse(e, ENOTSUP, "huge page limit: this host has no pages of %s", h->size);
        return jl_hint(e, "/sys/kernel/mm/hugepages lists its sizes");
    }
    r = cg_put_number(p, file, limit, p->v2 ? "max" : "-1", unit, e);
    if (r < 0)
        return r;
    /* Reserved pages fail a mapping cleanly where the other limit kills with SIGBUS; Linux 5.7. */
    snprintf(file, sizeof file, "hugetlb.%s.rsvd.%s", h->size, suffix);
    return cg_has_file(p->fd, file) ? cg_put_number(p, file, limit, p->v2 ? "max" : "-1", unit, e)
                                    : 0;
}

static int apply_hugepages(struct os_cgroup *cg, const struct os_cgroup_limits *l, struct jl_err *e)
{
    struct cg_place p;
    int r = 0;

    if (l->n_hugepages == 0)
        return 0;
    r = cg_place(cg, OS_CG_HUGETLB, "a limit of huge pages", &p, e);
    for (size_t i = 0; i < l->n_hugepages && r == 0; i++)
        r = apply_hugepage(&p, &l->hugepages[i], e);
    return r;
}

/* One line of a value in a write of its own: io.max and its like take one device at a time. */
static int put_lines(const struct cg_place *p, const struct os_cgroup_raw *raw, struct jl_err *e)
{
    const char *line = raw->value;

    do {
        _free_ char *one = strndup(line, strcspn(line, "\n"));
        int r = one ? cg_put(p, raw->file, one, e) : jl_fail(e, ENOMEM, "set %s", raw->file);

        if (r < 0)
            return r;
        line += strcspn(line, "\n");
        line += strspn(line, "\n");
    } while (*line != '\0');
    return 0;
}

/* A file that holds one number is compared; one with keys has a form of its own, and there the
 * kernel's answer to the write has to do. */
static int check_raw(const struct cg_place *p, const struct os_cgroup_raw *raw, struct jl_err *e)
{
    char found[64];
    uint64_t asked;

    if (strcmp(raw->value, "max") != 0 && jl_parse_u64(raw->value, INT64_MAX, &asked) < 0)
        return 0;
    if (cg_read(p->fd, raw->file, found, sizeof found) < 0 ||
        strspn(found, "0123456789max") != strlen(found))
        return 0;
    if (strcmp(raw->value, "max") == 0)
        return cg_same_number(found, -1, 1) ? 0 : cg_fail_readback(p, raw->file, "max", found, e);
    if (cg_same_number(found, (int64_t) asked, (uint64_t) sysconf(_SC_PAGESIZE)))
        return 0;
    return cg_fail_readback(p, raw->file, raw->value, found, e);
}

static int apply_raw(struct os_cgroup *cg, const struct os_cgroup_raw *raw, struct jl_err *e)
{
    struct cg_place p = {
        .fd = cg->fd[CG_UNIFIED], .v2 = true, .controller = "unified", .path = cg->path, .cg = cg
    };
    int r;

    if (raw->file[0] == '\0' || strchr(raw->file, '/') || strchr(raw->file, '\n') ||
        !strchr(raw->file, '.') || raw->file[0] == '.')
        return jl_refuse(e, EINVAL, "unified: '%s' is not the name of a cgroup v2 file", raw->file);
    if (strcmp(raw->file, "cgroup.procs") == 0 || strcmp(raw->file, "cgroup.threads") == 0)
        return jl_refuse(e, EINVAL, "unified: '%s' moves processes; it is no limit", raw->file);
    if (p.fd < 0 || !cg_has_file(p.fd, raw->file)) {
        jl_refuse(e, ENOTSUP,
                  "unified: this host has no cgroup v2 file '%s' for the group %s (mode "
                  "%s)",
                  raw->file, cg->path, os_cgroup_mode_name(cg->host.mode));
        return jl_hint(e,
                       "its controller is on cgroup v1 here, not on in this group, or unknown to "
                       "this kernel");
    }
    r = put_lines(&p, raw, e);
    return r < 0 ? r : check_raw(&p, raw, e);
}

static int apply_unified(struct os_cgroup *cg, const struct os_cgroup_limits *l, struct jl_err *e)
{
    int r = 0;

    for (size_t i = 0; i < l->n_unified && r == 0; i++)
        r = apply_raw(cg, &l->unified[i], e);
    return r;
}

int os_cgroup_apply(struct os_cgroup *cg, const struct os_cgroup_limits *l, struct jl_err *e)
{
    static int (*const family[])(struct os_cgroup *, const struct os_cgroup_limits *,
                                 struct jl_err *) = {
        cg_apply_cpuset,   cg_apply_memory, cg_apply_cpu,     apply_pids,
        cg_apply_io,       apply_hugepages, cg_apply_rdma,    cg_apply_network,
        cg_apply_realtime, apply_unified,   cg_apply_devices,
    };

    for (size_t i = 0; i < JL_COUNT(family); i++)
        if (family[i](cg, l, e) < 0)
            return jl_phase(e, "limits");
    return 0;
}
