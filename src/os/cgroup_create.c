/*
 * cgroup_create.c - making a group in every hierarchy: its parents, what v2 wants of them
 * (controllers switched on in subtree_control) and what v1's cpuset wants (cpus and mems filled
 * in before anybody can join). What was made before a failure is removed again.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "os/cgroup_internal.h"

#define RACES_MAX 8 /* times that another's rmdir of a parent may get between */

/* One hierarchy's way from its mount down to the group. */
struct descent {
    const struct os_cgroup_host *host;
    unsigned hierarchy;
    const char *mount;
    const char *path;
    unsigned need; /* controllers that must be on in the unified tree */
    unsigned want; /* and those that are worth a try, for their statistics */
    unsigned n_made;
    bool adopt; /* systemd made it, and a process that holds the place may be inside */
};

static const char *words(unsigned bits, char *buf, size_t size)
{
    size_t n = 0;

    buf[0] = '\0';
    for (unsigned c = 0; c < OS_CG_N; c++)
        if (bits & OS_CG_BIT(c))
            n += (size_t) snprintf(buf + n, size - n, "%s+%s", n ? " " : "",
                                   cg_v2_name((enum os_controller) c));
    return buf;
}

static int blame_process(const struct descent *d, const char *who, unsigned bits, size_t at,
                         struct jl_err *e)
{
    char list[128];

    jl_refuse(e, EBUSY,
              "switch on controllers '%s' below %s/%.*s: process %s sits in that group itself, and "
              "cgroup v2 lets only a group without processes hand controllers on",
              words(bits, list, sizeof list), d->mount, (int) at, d->path, who);
    return jl_hint(e,
                   "move it into a group of its own below, choose another cgroup path, or under "
                   "systemd use a unit with Delegate=yes that keeps its processes in a subgroup");
}

static int blame_parent(const struct descent *d, unsigned bits, size_t at, struct jl_err *e)
{
    char list[128];

    words(bits, list, sizeof list);
    jl_refuse(e, ENOENT,
              "controllers '%s' are not available in %s/%.*s: the group above it does not "
              "hand them on",
              list, d->mount, (int) at, d->path);
    return jl_hint(e,
                   "write '%s' to the cgroup.subtree_control of the group above, or give its "
                   "systemd unit Delegate=yes",
                   list);
}

static int blame_write(const struct descent *d, unsigned bits, int code, size_t at,
                       struct jl_err *e)
{
    char list[128];

    jl_fail(e, code, "switch on controllers '%s' below %s/%.*s: write to cgroup.subtree_control",
            words(bits, list, sizeof list), d->mount, (int) at, d->path);
    if (code == EACCES || code == EPERM || code == EROFS)
        return jl_hint(e, "run as root, or in a subtree that was handed to this user with these "
                          "controllers (systemd: Delegate=yes); is the mount read-only?");
    if (code == EOPNOTSUPP)
        return jl_hint(e, "the group is threaded (cgroup.type); only domain groups hold jobs");
    return -code;
}

/*
 * Whether the group holds processes that forbid it to hand controllers on. The kernel's root may
 * hold any (it alone has no cgroup.type). Elsewhere the kernel refuses memory and io (EBUSY), but
 * takes cpu and pids, and makes the group threaded and those below it useless: so we look
 * ourselves.
 */
static bool holds_processes(int fd, char *who, size_t size)
{
    return cg_has_file(fd, "cgroup.type") && cg_some_process(fd, false, who, size)[0] != '\0';
}

static int switch_on(int fd, unsigned bits)
{
    char list[128];

    if (bits == 0)
        return 0;
    return jl_write_kernel_file_at(fd, "cgroup.subtree_control", words(bits, list, sizeof list));
}

/* Switches on, for the groups below fd, what of need and want is not on yet. `at`: how much of the
 * path this group is, for messages. */
static int hand_on(const struct descent *d, int fd, size_t at, struct jl_err *e)
{
    char text[256], who[96];
    unsigned missing, offered, needed;
    ssize_t n = cg_read(fd, "cgroup.subtree_control", text, sizeof text);
    int r;

    if (n < 0)
        return jl_fail(e, (int) -n, "read cgroup.subtree_control of %s/%.*s", d->mount, (int) at,
                       d->path);
    missing = (d->need | d->want) & ~cg_controller_bits(text);
    needed = missing & d->need;
    if (missing == 0)
        return 0;
    n = cg_read(fd, "cgroup.controllers", text, sizeof text);
    offered = n < 0 ? 0 : cg_controller_bits(text);
    if (needed & ~offered)
        return blame_parent(d, needed & ~offered, at, e);
    if ((missing & offered) == 0)
        return 0;
    if (holds_processes(fd, who, sizeof who))
        return needed ? blame_process(d, who, needed, at, e) : 0;
    r = switch_on(fd, missing & offered);
    if (r < 0) /* a mere wish may have spoilt it */
        r = switch_on(fd, needed);
    return r < 0 ? blame_write(d, needed, -r, at, e) : 0;
}

/*
 * A v1 cpuset group is born with no cpus and no memory nodes, and nobody can join it then
 * (ENOSPC). Takes over the parent's. Documentation/admin-guide/cgroup-v1/cpusets.rst, 1.4.
 */
static int inherit_cpuset(const struct descent *d, int parent, int fd, struct jl_err *e)
{
    static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };

    for (size_t i = 0; i < JL_COUNT(files); i++) {
        char text[4096];
        ssize_t n = cg_read(fd, files[i], text, sizeof text);
        int r;

        if (n > 0)
            continue;
        if (n == 0)
            n = cg_read(parent, files[i], text, sizeof text);
        if (n < 0)
            return jl_fail(e, (int) -n, "cgroup %s/%s: read %s", d->mount, d->path, files[i]);
        r = jl_write_kernel_file_at(fd, files[i], text);
        if (r < 0)
            return jl_fail(e, -r, "cgroup %s/%s: take over '%s' as %s from the parent group",
                           d->mount, d->path, text, files[i]);
    }
    return 0;
}

static int fail_make(const struct descent *d, const char *syscall, const char *part,
                     struct jl_err *e)
{
    int code = errno;

    jl_fail_sys(e, syscall, part, "make cgroup %s/%s", d->mount, d->path);
    if (code == EROFS)
        jl_hint(e, "the cgroup tree is mounted read-only here (a container?); mount it writable");
    else if (code == EACCES || code == EPERM)
        jl_hint(e, "run as root, or below a group that belongs to this user (systemd: "
                   "Delegate=yes)");
    else if (code == EAGAIN)
        jl_hint(e, "a group above limits the number of groups: cgroup.max.descendants, "
                   "cgroup.max.depth");
    else if (code == ENOTDIR || code == ELOOP)
        jl_hint(e, "'%s' is a file of the group above; choose another name", part);
    return -code;
}

/* Opens the part below fd, making it if it isn't there. fd, -ENOENT when fd itself has been removed
 * meanwhile, or -errno. */
static int enter(struct descent *d, int fd, const char *part, struct jl_err *e)
{
    for (int i = 0; i < RACES_MAX; i++) {
        int next = jl_open_dir_at(fd, part);

        if (next >= 0)
            return next;
        if (errno != ENOENT)
            return fail_make(d, "openat", part, e);
        if (mkdirat(fd, part, 0755) == 0)
            d->n_made++;
        else if (errno != EEXIST)
            return fail_make(d, "mkdirat", part, e);
    }
    errno = EBUSY; /* it comes and goes */
    return fail_make(d, "mkdirat", part, e);
}

static int descend_once(struct descent *d, struct jl_err *e)
{
    _close_ int fd = open(d->mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool cpuset = d->hierarchy != CG_UNIFIED && d->host->v1[OS_CG_CPUSET][0] != '\0' &&
                  strcmp(d->mount, d->host->v1[OS_CG_CPUSET]) == 0;
    size_t at = 0, len = strlen(d->path);

    d->n_made = 0;
    if (fd < 0)
        return jl_fail_sys(e, "open", d->mount, "cgroup hierarchy");
    while (at < len) {
        char part[256];
        size_t n = strcspn(d->path + at, "/");
        int next, r = 0;

        memcpy(part, d->path + at, n);
        part[n] = '\0';
        if (d->hierarchy == CG_UNIFIED)
            r = hand_on(d, fd, at, e);
        if (r < 0)
            return r;
        next = enter(d, fd, part, e);
        if (next < 0)
            return next;
        if (cpuset)
            r = inherit_cpuset(d, fd, next, e);
        jl_close(fd);
        fd = next;
        if (r < 0)
            return r;
        at += n + 1;
    }
    return jl_take_fd(&fd);
}

static int descend(struct descent *d, struct jl_err *e)
{
    int r = -ENOENT;

    for (int i = 0; i < RACES_MAX && (r == -ENOENT || r == -ENODEV); i++)
        r = descend_once(d, e); /* again when a parent was removed under our feet */
    return r;
}

/* Removes the last n parts of the path, which we made. Others' groups below them stay, and so do
 * they then. */
static void take_back(const struct descent *d)
{
    size_t len = strlen(d->path);

    for (unsigned i = 0; i < d->n_made && len > 0; i++) {
        size_t cut = len;
        char part[256];
        int parent;

        while (cut > 0 && d->path[cut - 1] != '/')
            cut--;
        memcpy(part, d->path + cut, len - cut);
        part[len - cut] = '\0';
        len = cut ? cut - 1 : 0;
        parent = cg_open_below(d->mount, d->path, len);
        if (parent < 0)
            return;
        if (unlinkat(parent, part, AT_REMOVEDIR) < 0) {
            jl_close(parent);
            return;
        }
        jl_close(parent);
    }
}

/* A group that was there before may be used when nobody is inside and nothing is frozen: else its
 * processes would get our limits, and our kill. */
static int check_free(const struct descent *d, int fd, struct jl_err *e)
{
    char who[96], state[32];
    uint64_t frozen = 0;

    if (cg_some_process(fd, true, who, sizeof who)[0] != '\0') {
        jl_refuse(e, EBUSY, "cgroup %s/%s exists already, and process %s is inside", d->mount,
                  d->path, who);
        return jl_hint(e, "choose another cgroup path, or end what runs there");
    }
    if (d->hierarchy == CG_UNIFIED)
        cg_read_u64(fd, "cgroup.freeze", &frozen);
    else if (cg_read(fd, "freezer.state", state, sizeof state) > 0)
        frozen = strcmp(state, "THAWED") != 0;
    if (frozen) {
        jl_refuse(e, EBUSY, "cgroup %s/%s exists already and is frozen", d->mount, d->path);
        return jl_hint(e, "thaw it (%s), or choose another cgroup path",
                       d->hierarchy == CG_UNIFIED ? "write 0 to cgroup.freeze"
                                                  : "write THAWED to freezer.state");
    }
    return 0;
}

/* A group below a threaded one takes no processes, until somebody makes it threaded too. */
static int check_type(const struct descent *d, int fd, struct jl_err *e)
{
    char type[32];
    bool known = cg_read(fd, "cgroup.type", type, sizeof type) >= 0; /* since Linux 4.14 */

    if (!known || strcmp(type, "domain") == 0 || strcmp(type, "domain threaded") == 0)
        return 0;
    jl_refuse(e, EOPNOTSUPP, "cgroup %s/%s can't hold a job: its type is '%s'", d->mount, d->path,
              type);
    return jl_hint(e, "a group above it is threaded, or holds processes and hands cpu or pids on; "
                      "choose another cgroup path");
}

static int create_in(struct descent *d, struct os_cgroup *cg, struct jl_err *e)
{
    int fd = descend(d, e), r = 0;

    if (fd < 0)
        return fd;
    cg->fd[d->hierarchy] = fd;
    if (d->hierarchy == CG_UNIFIED)
        r = check_type(d, fd, e);
    if (r == 0 && d->n_made == 0 && !d->adopt)
        r = check_free(d, fd, e);
    return r;
}

/* Where systemd makes the groups of its units: cgroup_context_apply() and cg_attach_everywhere() of
 * its sources, CGROUP_MASK_V1. A joint mount goes by its first controller, and systemd mounts none of
 * these together with another. */
#define SYSTEMDS                                                                                   \
    (OS_CG_BIT(OS_CG_CPU) | OS_CG_BIT(OS_CG_CPUACCT) | OS_CG_BIT(OS_CG_IO) |                       \
     OS_CG_BIT(OS_CG_MEMORY) | OS_CG_BIT(OS_CG_DEVICES) | OS_CG_BIT(OS_CG_PIDS) |                  \
     OS_CG_BIT(OS_CG_NAMED) | OS_CG_BIT(CG_UNIFIED))

static int check_adopted(const struct os_cgroup *cg, struct jl_err *e)
{
    static const unsigned trees[] = { CG_UNIFIED, OS_CG_NAMED };

    for (size_t i = 0; i < JL_COUNT(trees); i++) {
        const char *mount = cg_mount(&cg->host, trees[i]);
        _close_ int fd = mount ? cg_open_below(mount, cg->path, strlen(cg->path)) : -ENOENT;

        if (fd >= 0)
            return 0;
    }
    jl_refuse(e, ENOENT, "cgroup %s, which systemd was to make, is not there", cg->path);
    return jl_hint(e, "does systemd run this host's control groups? Version 258 and later have no "
                      "cgroup v1");
}

/* What is worth having on even if no limit needs it: it counts what a job used. */
#define STATISTICS                                                                                 \
    (OS_CG_BIT(OS_CG_CPU) | OS_CG_BIT(OS_CG_MEMORY) | OS_CG_BIT(OS_CG_PIDS) | OS_CG_BIT(OS_CG_IO))

/* A v1 hierarchy in which no limit is asked for, nor ever wanted otherwise. Joint mounts go by all
 * of their controllers. */
static bool is_needless(const struct os_cgroup_host *host, unsigned h, unsigned need)
{
    if (h == CG_UNIFIED)
        return false;
    for (unsigned c = h; c < OS_CG_N; c++)
        if (strcmp(host->v1[c], host->v1[h]) == 0 &&
            (!(CG_OPTIONAL & OS_CG_BIT(c)) || need & OS_CG_BIT(c)))
            return false;
    return true;
}

static int create(const struct os_cgroup_host *host, const char *path, unsigned need, bool adopt,
                  struct os_cgroup **ret, struct jl_err *e)
{
    struct descent done[CG_HIERARCHIES];
    struct os_cgroup *cg;
    size_t n = 0;
    int r;

    if (host->mode == OS_CGROUP_NONE) {
        jl_refuse(e, ENOTSUP, "no cgroup hierarchy is mounted on this host");
        jl_hint(e, "mount -t cgroup2 none /sys/fs/cgroup");
        return jl_phase(e, "cgroup");
    }
    cg = cg_new(host, path, e);
    if (!cg)
        return jl_phase(e, "cgroup");
    if (adopt && check_adopted(cg, e) < 0) {
        os_cgroup_free(cg);
        return jl_phase(e, "cgroup");
    }
    for (unsigned h = 0; h < CG_HIERARCHIES; h++) {
        if (!cg_mount(host, h) || is_needless(host, h, need))
            continue;
        done[n] = (struct descent){ .host = host,
                                    .hierarchy = h,
                                    .mount = cg_mount(host, h),
                                    .path = cg->path,
                                    .need = need & host->v2_controllers,
                                    .want = adopt ? 0 : STATISTICS & host->v2_controllers,
                                    .adopt = adopt && SYSTEMDS & OS_CG_BIT(h) };
        r = create_in(&done[n], cg, e);
        n++;
        if (r < 0) {
            while (n > 0)
                take_back(&done[--n]);
            os_cgroup_free(cg);
            return jl_phase(e, "cgroup");
        }
    }
    cg_share_joint(cg);
    *ret = cg;
    return 0;
}

int os_cgroup_create(const struct os_cgroup_host *host, const char *path, unsigned need,
                     struct os_cgroup **ret, struct jl_err *e)
{
    return create(host, path, need, false, ret, e);
}

int os_cgroup_adopt(const struct os_cgroup_host *host, const char *path, unsigned need,
                    struct os_cgroup **ret, struct jl_err *e)
{
    return create(host, path, need, true, ret, e);
}
