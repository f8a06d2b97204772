/* cgroup_host.c - which hierarchies this host has; see cgroup.h. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "os/cgroup_internal.h"

#define MOUNTINFO_MAX (16u << 20) /* a host with ten thousand containers has a few MiB */

static const struct {
    const char *v1; /* word among the super options of a v1 mount */
    const char *v2; /* word in cgroup.controllers; NULL: no controller there */
} controllers[OS_CG_N] = {
    [OS_CG_CPU] = { "cpu", "cpu" },
    [OS_CG_CPUACCT] = { "cpuacct", NULL },
    [OS_CG_CPUSET] = { "cpuset", "cpuset" },
    [OS_CG_MEMORY] = { "memory", "memory" },
    [OS_CG_PIDS] = { "pids", "pids" },
    [OS_CG_IO] = { "blkio", "io" },
    [OS_CG_DEVICES] = { "devices", NULL },
    [OS_CG_FREEZER] = { "freezer", NULL },
    [OS_CG_HUGETLB] = { "hugetlb", "hugetlb" },
    [OS_CG_NAMED] = { "name=systemd", NULL },
    [OS_CG_RDMA] = { "rdma", "rdma" },
    [OS_CG_MISC] = { "misc", "misc" },
    [OS_CG_DMEM] = { "dmem", "dmem" },
    [OS_CG_NET_CLS] = { "net_cls", NULL },
    [OS_CG_NET_PRIO] = { "net_prio", NULL },
};

const char *os_cgroup_mode_name(enum os_cgroup_mode mode)
{
    switch (mode) {
    case OS_CGROUP_V2:
        return "v2";
    case OS_CGROUP_V1:
        return "v1";
    case OS_CGROUP_HYBRID:
        return "hybrid";
    case OS_CGROUP_NONE:
        break;
    }
    return "none";
}

const char *os_controller_name(enum os_controller c)
{
    if ((unsigned) c >= OS_CG_N)
        return "?";
    return controllers[c].v2 ? controllers[c].v2 : controllers[c].v1;
}

const char *cg_v2_name(enum os_controller c)
{
    return controllers[c].v2;
}

unsigned cg_controller_bits(const char *words)
{
    unsigned bits = 0;

    while (*words != '\0') {
        size_t len = strcspn(words, " \n");

        for (unsigned c = 0; c < OS_CG_N; c++)
            if (controllers[c].v2 && strlen(controllers[c].v2) == len &&
                strncmp(words, controllers[c].v2, len) == 0)
                bits |= OS_CG_BIT(c);
        words += len;
        words += strspn(words, " \n");
    }
    return bits;
}

enum os_controller cg_v1_owner(const struct os_cgroup_host *host, enum os_controller c)
{
    for (unsigned i = 0; i < (unsigned) c; i++)
        if (strcmp(host->v1[i], host->v1[c]) == 0)
            return (enum os_controller) i;
    return c;
}

/* One line of mountinfo, cut into the fields we need; all borrowed, none ends in a NUL. */
struct mount_line {
    const char *root, *point, *fstype, *super;
    size_t root_len, point_len, fstype_len, super_len;
};

static const char *next_field(const char **p, size_t *len)
{
    const char *start = *p;

    *len = strcspn(start, " \n");
    *p = start + *len;
    *p += strspn(*p, " ");
    return start;
}

/*
 * "36 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory": the
 * optional fields before the lone "-" are any number. Format: proc(5), /proc/[pid]/mountinfo.
 */
static bool split_line(const char *line, struct mount_line *m)
{
    const char *p = line, *field;
    size_t len;

    for (int i = 0; i < 3; i++)
        next_field(&p, &len);
    m->root = next_field(&p, &m->root_len);
    m->point = next_field(&p, &m->point_len);
    do {
        field = next_field(&p, &len);
        if (len == 0)
            return false;
    } while (len != 1 || *field != '-');
    m->fstype = next_field(&p, &m->fstype_len);
    next_field(&p, &len);
    m->super = next_field(&p, &m->super_len);
    return m->super_len > 0;
}

static bool has_option(const struct mount_line *m, const char *word)
{
    const char *p = m->super, *end = m->super + m->super_len;
    size_t len = strlen(word);

    while (p < end) {
        const char *comma = memchr(p, ',', (size_t) (end - p));
        const char *stop = comma ? comma : end;

        if ((size_t) (stop - p) == len && strncmp(p, word, len) == 0)
            return true;
        p = stop + 1;
    }
    return false;
}

/* Copies a mount point, undoing the kernel's \ooo escapes of blank, tab, newline and backslash. */
static int put_point(const struct mount_line *m, char *dst, size_t size, struct jl_err *e)
{
    size_t n = 0;

    for (size_t i = 0; i < m->point_len; i++) {
        char c = m->point[i];

        if (c == '\\' && i + 3 < m->point_len) {
            const char *o = m->point + i + 1;

            c = (char) ((o[0] - '0') * 64 + (o[1] - '0') * 8 + (o[2] - '0'));
            i += 3;
        }
        if (n + 1 >= size)
            return jl_refuse(e, ENAMETOOLONG, "cgroup mount point '%.*s' is too long",
                             (int) m->point_len, m->point);
        dst[n++] = c;
    }
    dst[n] = '\0';
    return 0;
}

/*
 * A hierarchy can be mounted several times (in the root of a container, say). The whole tree
 * ("/" as its root) wins over a part of it, an earlier mount over a later one.
 */
static int take_mount(const struct mount_line *m, char *dst, size_t size, bool *whole,
                      struct jl_err *e)
{
    bool is_whole = m->root_len == 1;

    if (dst[0] != '\0' && (*whole || !is_whole))
        return 0;
    *whole = is_whole;
    return put_point(m, dst, size, e);
}

int cg_host_parse(const char *mountinfo, struct os_cgroup_host *ret_host, struct jl_err *e)
{
    bool whole[OS_CG_N + 1] = { false };
    bool any_v1 = false;
    int r = 0;

    memset(ret_host, 0, sizeof *ret_host);
    for (const char *line = mountinfo; *line != '\0'; line += strspn(line, "\n")) {
        struct mount_line m;

        if (split_line(line, &m)) {
            if (m.fstype_len == 7 && strncmp(m.fstype, "cgroup2", 7) == 0)
                r = take_mount(&m, ret_host->unified, sizeof ret_host->unified, &whole[OS_CG_N], e);
            for (unsigned c = 0; c < OS_CG_N && r == 0; c++) {
                if (m.fstype_len != 6 || strncmp(m.fstype, "cgroup", 6) != 0 ||
                    !has_option(&m, controllers[c].v1))
                    continue;
                any_v1 = true;
                r = take_mount(&m, ret_host->v1[c], sizeof ret_host->v1[c], &whole[c], e);
            }
            if (r < 0)
                return r;
        }
        line += strcspn(line, "\n");
    }
    if (any_v1)
        ret_host->mode = ret_host->unified[0] ? OS_CGROUP_HYBRID : OS_CGROUP_V1;
    else if (ret_host->unified[0])
        ret_host->mode = OS_CGROUP_V2;
    return 0;
}

int os_cgroup_host_read(struct os_cgroup_host *ret_host, struct jl_err *e)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(MOUNTINFO_MAX);
    int r = jl_read_file_at(AT_FDCWD, "/proc/self/mountinfo", &text, e);

    if (r == 0)
        r = cg_host_parse(text.data ? text.data : "", ret_host, e);
    if (r < 0)
        return jl_phase(e, "cgroup");
    if (ret_host->unified[0]) {
        _close_ int fd = open(ret_host->unified, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0) {
            jl_fail_sys(e, "open", ret_host->unified, "look at the cgroup2 tree");
            return jl_phase(e, "cgroup");
        }
        jl_buf_clear(&text);
        r = jl_read_file_at(fd, "cgroup.controllers", &text, e);
        if (r < 0)
            return jl_phase(e, "cgroup");
        ret_host->v2_controllers = cg_controller_bits(text.data ? text.data : "");
    }
    return 0;
}

bool os_cgroup_host_has(const struct os_cgroup_host *host, enum os_controller c)
{
    if (host->v1[c][0] != '\0')
        return true;
    switch (c) {
    case OS_CG_CPUACCT: /* cpu.stat and cgroup.freeze are in every group of the unified tree, */
    case OS_CG_FREEZER: /* and device rules are programs attached to its directory */
    case OS_CG_DEVICES:
        return host->unified[0] != '\0';
    case OS_CG_CPU:
    case OS_CG_CPUSET:
    case OS_CG_MEMORY:
    case OS_CG_PIDS:
    case OS_CG_IO:
    case OS_CG_HUGETLB:
    case OS_CG_RDMA:
    case OS_CG_MISC:
    case OS_CG_DMEM:
        return (host->v2_controllers & OS_CG_BIT(c)) != 0;
    case OS_CG_NAMED:
    case OS_CG_NET_CLS:
    case OS_CG_NET_PRIO:
    case OS_CG_N:
        break;
    }
    return false;
}
