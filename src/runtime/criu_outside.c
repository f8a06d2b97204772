/*
 * criu_outside.c - what of a container comes from outside, by the names that CRIU has for it: bind
 * mounts and masked files as mnt[], a joined network namespace as net[], and standard input, output
 * and error as pipe:[], file[] or tty[]. See criu.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/parse.h"
#include "os/openat2.h"
#include "runtime/criu.h"
#include "runtime/criu_text.h"
#include "runtime/spec.h"

#define STDIO_FILE "joblet-stdio"
#define STDIO_MAX 4096 /* bytes */
#define LOOKS 20
#define LOOK_PAUSE_NS (JL_NS_PER_MS / 2)
#define NET_KEY "extRootNetNS"
#define MOUNTINFO_MAX ((size_t) 16 << 20)

static int add_external(struct rt_criu *c, const char *at, const char *what, struct jl_err *e)
{
    _free_ char *value = NULL;

    if (asprintf(&value, "mnt[%s]:%s", at, what) < 0) {
        value = NULL;
        return jl_fail(e, ENOMEM, "call CRIU");
    }
    return rt_criu_external(c, value, e);
}

/* Where in the container `path` leads, its symlinks followed. 0, -ENOENT, or -errno. */
static int place_of(int root, const char *path, bool *ret_dir, char *ret, size_t size)
{
    _close_ int fd = os_open_in_root(root, path, O_PATH);
    char self[40];
    struct stat st;
    ssize_t n;

    if (fd < 0)
        return fd;
    if (fstat(fd, &st) < 0)
        return -errno;
    *ret_dir = S_ISDIR(st.st_mode);
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    n = readlink(self, ret, size - 1);
    if (n < 0)
        return -errno;
    ret[n] = '\0';
    return 0;
}

static int read_mountinfo(const char *path, struct jl_buf *ret, struct jl_err *e)
{
    _close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    int r;

    if (fd < 0)
        return jl_fail_sys(e, "open", path, "look at the mounts");
    r = jl_read_all(fd, ret);
    if (r == 0)
        r = jl_buf_putc(ret, '\0');
    return r < 0 ? jl_fail(e, -r, "read %s", path) : 0;
}

/* What follows `dir` in `path` when that is below it, with its slash; or NULL. */
static const char *below(const char *path, const char *dir)
{
    size_t n = strlen(dir);

    return strncmp(path, dir, n) == 0 && path[n] == '/' ? path + n : NULL;
}

/* Whether another mount of the configuration is nearer to it than that at `dir`. */
static bool has_nearer(char *const *places, size_t n, const char *path, const char *dir)
{
    for (size_t i = 0; i < n; i++)
        if (places[i] && strlen(places[i]) > strlen(dir) &&
            (strcmp(places[i], path) == 0 || below(path, places[i])))
            return true;
    return false;
}

/*
 * What came with a recursive bind. CRIU's name for such a mount is where the configuration has the
 * bind, and the rest of the path; a restore has the same names for what is there then.
 */
static int add_tree(struct rt_criu *c, const char *mounts, const char *dir, const char *name,
                    bool dump, char *const *places, size_t n_places, struct jl_err *e)
{
    char path[4096], full[4096];
    int r = 0;

    for (const char *line = mounts; line && *line && r == 0;) {
        const char *rest;

        line = rt_mounts_next(line, path, sizeof path);
        rest = below(path, dir);
        if (!rest || (dump && has_nearer(places, n_places, path, dir)))
            continue;
        if ((size_t) snprintf(full, sizeof full, "%s%s", name, rest) >= sizeof full)
            return jl_refuse(e, ENAMETOOLONG, "mount %s", path);
        r = dump ? add_external(c, path, full, e) : add_external(c, full, path, e);
    }
    return r;
}

static bool is_tree(const struct rt_mount *m)
{
    for (size_t i = 0; i < m->oci->n_options; i++)
        if (strcmp(m->oci->options[i], "rbind") == 0)
            return true;
    return false;
}

static void free_places(char **places, size_t n)
{
    for (size_t i = 0; places && i < n; i++)
        free(places[i]);
    free(places);
}

static int add_binds_of(struct rt_criu *c, const struct rt_spec *s, int root, const char *mounts,
                        char **places, struct jl_err *e)
{
    char path[4096];
    bool dir;
    int r = 0;

    for (size_t i = 0; i < s->n_mounts; i++) {
        if (place_of(root, s->mounts[i].oci->destination, &dir, path, sizeof path) < 0)
            continue; /* it is mounted no more */
        places[i] = strdup(path);
        if (!places[i])
            return jl_fail(e, ENOMEM, "call CRIU");
    }
    for (size_t i = 0; i < s->n_mounts && r == 0; i++) {
        if (!places[i] ||
            (s->mounts[i].kind != RT_MOUNT_BIND && s->mounts[i].kind != RT_MOUNT_CGROUP))
            continue;
        r = add_external(c, places[i], s->mounts[i].oci->destination, e);
        if (r == 0 && is_tree(&s->mounts[i]))
            r = add_tree(c, mounts, places[i], s->mounts[i].oci->destination, true, places,
                         s->n_mounts, e);
    }
    return r;
}

/* Directories are masked by an empty file system, which CRIU makes again; files by /dev/null. */
static int add_masked_of(struct rt_criu *c, const struct rt_spec *s, int root, struct jl_err *e)
{
    const struct oci_linux *l = s->oci->linux;
    char path[4096];
    bool dir;
    int r = 0;

    for (size_t i = 0; i < l->n_masked_paths && r == 0; i++)
        if (place_of(root, l->masked_paths[i], &dir, path, sizeof path) == 0 && !dir)
            r = add_external(c, path, l->masked_paths[i], e);
    return r;
}

static int add_mounts_of(struct rt_criu *c, const struct rt_spec *s, pid_t pid, struct jl_err *e)
{
    _buf_ struct jl_buf mounts = JL_BUF_INIT(MOUNTINFO_MAX);
    char path[64], **places;
    _close_ int root = -1;
    int r;

    snprintf(path, sizeof path, "/proc/%d/mountinfo", (int) pid);
    r = read_mountinfo(path, &mounts, e);
    if (r < 0)
        return r;
    snprintf(path, sizeof path, "/proc/%d/root", (int) pid);
    root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return jl_fail_sys(e, "open", path, "look at the container's mounts");
    places = calloc(s->n_mounts + 1, sizeof *places);
    if (!places)
        return jl_fail(e, ENOMEM, "call CRIU");
    r = add_binds_of(c, s, root, mounts.data, places, e);
    if (r == 0)
        r = add_masked_of(c, s, root, e);
    free_places(places, s->n_mounts);
    return r;
}

/* mnt_id of /proc/PID/fdinfo/N. 0 or -errno. */
static int read_mount_id(pid_t pid, int fd, unsigned *ret)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(65536);
    char path[64];
    const char *p;
    _close_ int info = -1;

    snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", (int) pid, fd);
    info = open(path, O_RDONLY | O_CLOEXEC);
    if (info < 0 || jl_read_all(info, &text) < 0 || jl_buf_putc(&text, '\0') < 0)
        return -EIO;
    p = strstr(text.data, "mnt_id:");
    if (!p)
        return -EIO;
    *ret = (unsigned) strtoul(p + 7, NULL, 10);
    return 0;
}

/*
 * CRIU's name for what the descriptor leads to outside; "-" when that is the container's own or
 * closed. A file is outside when its mount is none of the container's.
 */
static int name_stdio(pid_t pid, int fd, const char *mounts, char ret[RT_CRIU_NAME_SIZE],
                      bool *ret_external)
{
    char path[64], link[RT_CRIU_NAME_SIZE];
    struct stat st;
    unsigned mount;
    ssize_t n;

    snprintf(ret, RT_CRIU_NAME_SIZE, "-");
    *ret_external = false;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int) pid, fd);
    n = readlink(path, link, sizeof link - 1);
    if (n < 0)
        return errno == ENOENT ? 0 : -errno;
    link[n] = '\0';
    if (strncmp(link, "pipe:[", 6) == 0 || strncmp(link, "socket:[", 8) == 0) {
        snprintf(ret, RT_CRIU_NAME_SIZE, "%s", link);
        return 0;
    }
    if (stat(path, &st) < 0 || read_mount_id(pid, fd, &mount) < 0)
        return -EIO;
    if (rt_mounts_have(mounts, mount))
        return 0;
    *ret_external = true;
    if (S_ISCHR(st.st_mode) && major(st.st_rdev) >= 136 && major(st.st_rdev) <= 143)
        snprintf(ret, RT_CRIU_NAME_SIZE, "tty[%llx:%llx]", (unsigned long long) st.st_rdev,
                 (unsigned long long) st.st_dev);
    else
        snprintf(ret, RT_CRIU_NAME_SIZE, "file[%x:%llx]", mount, (unsigned long long) st.st_ino);
    return 0;
}

/*
 * A shell moves its standard output away for the moment of one "echo >file": what leads inside is
 * looked at again until it is likely to stay so. (CRIU knows the descriptor by its name wherever it
 * is when the processes stand still.)
 */
static int name_settled(pid_t pid, int fd, const char *mounts, char ret[RT_CRIU_NAME_SIZE],
                        bool *ret_external)
{
    int r = name_stdio(pid, fd, mounts, ret, ret_external);

    for (int i = 0; i < LOOKS && r == 0 && strcmp(ret, "-") == 0; i++) {
        jl_sleep_ns(LOOK_PAUSE_NS);
        r = name_stdio(pid, fd, mounts, ret, ret_external);
    }
    return r;
}

static int add_stdio_of(struct rt_criu *c, pid_t pid, const char *images, struct jl_err *e)
{
    _buf_ struct jl_buf mounts = JL_BUF_INIT(MOUNTINFO_MAX);
    _buf_ struct jl_buf text = JL_BUF_INIT(STDIO_MAX);
    char path[64], name[RT_CRIU_NAME_SIZE];
    _close_ int dir = -1;
    bool external;
    int r;

    snprintf(path, sizeof path, "/proc/%d/mountinfo", (int) pid);
    r = read_mountinfo(path, &mounts, e);
    for (int fd = 0; fd < 3 && r == 0; fd++) {
        r = name_settled(pid, fd, mounts.data, name, &external);
        if (r < 0)
            return jl_fail(e, -r, "look at descriptor %d of the container", fd);
        r = jl_buf_printf(&text, "%s\n", name);
        if (r < 0)
            return jl_fail(e, -r, "checkpoint");
        if (external)
            r = rt_criu_external(c, name, e);
    }
    if (r < 0)
        return r;
    dir = open(images, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return jl_fail_sys(e, "open", images, "--image-path");
    return jl_publish_at(dir, STDIO_FILE, text.data, text.len, 0600, false, e);
}

int rt_criu_outside_of(struct rt_criu *c, const struct rt_spec *s, pid_t pid, const char *images,
                       struct jl_err *e)
{
    char path[64], value[96];
    struct stat st;
    int r = add_mounts_of(c, s, pid, e);

    if (r == 0)
        r = add_stdio_of(c, pid, images, e);
    if (r < 0 || !s->ns_path[OS_NS_NET])
        return r;
    snprintf(path, sizeof path, "/proc/%d/ns/net", (int) pid);
    if (stat(path, &st) < 0)
        return jl_fail_sys(e, "stat", path, "look at the network namespace");
    snprintf(value, sizeof value, "net[%llu]:" NET_KEY, (unsigned long long) st.st_ino);
    return rt_criu_external(c, value, e);
}

static int add_mounts_from(struct rt_criu *c, const struct rt_spec *s, const char *group,
                           struct jl_err *e)
{
    _buf_ struct jl_buf mounts = JL_BUF_INIT(MOUNTINFO_MAX);
    const struct oci_linux *l = s->oci->linux;
    int r = read_mountinfo("/proc/self/mountinfo", &mounts, e);

    for (size_t i = 0; i < s->n_mounts && r == 0; i++) {
        const struct rt_mount *m = &s->mounts[i];
        _free_ char *source = NULL, *joined = NULL;

        if (m->kind == RT_MOUNT_CGROUP && !group)
            return jl_refuse(e, ENOTSUP,
                             "restore: mounts[%zu]: control groups can be mounted again only on a "
                             "host with cgroup v2 alone",
                             i);
        if (m->kind == RT_MOUNT_CGROUP)
            r = add_external(c, m->oci->destination, group, e);
        if (m->kind != RT_MOUNT_BIND || !m->oci->source)
            continue;
        if (*m->oci->source != '/' && asprintf(&joined, "%s/%s", s->bundle, m->oci->source) < 0)
            return jl_fail(e, ENOMEM, "call CRIU");
        source = realpath(joined ? joined : m->oci->source, NULL);
        if (!source)
            return jl_fail_sys(e, "realpath", m->oci->source, "mounts[%zu].source", i);
        r = add_external(c, m->oci->destination, source, e);
        if (r == 0 && is_tree(m))
            r = add_tree(c, mounts.data, source, m->oci->destination, false, NULL, 0, e);
    }
    for (size_t i = 0; i < l->n_masked_paths && r == 0; i++)
        r = add_external(c, l->masked_paths[i], "/dev/null", e);
    return r;
}

/* Images that somebody else has made have no such file: CRIU says what is missing then. */
static int add_stdio_from(struct rt_criu *c, const char *images, struct jl_err *e)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(STDIO_MAX);
    struct jl_err ignored = JL_ERR_INIT;
    _close_ int dir = open(images, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const char *names[3];
    int r = dir < 0 ? -errno : jl_read_file_at(dir, STDIO_FILE, &text, &ignored);

    if (r == -ENOENT)
        return 0;
    if (r == 0)
        r = jl_buf_putc(&text, '\0');
    if (r < 0)
        return jl_fail(e, -r, "read %s/" STDIO_FILE, images);
    r = rt_criu_stdio_names(text.data, names);
    if (r < 0)
        return jl_refuse(e, EBADMSG, "%s/" STDIO_FILE ": a line is too long", images);
    for (int fd = 0; fd < 3 && r == 0; fd++)
        if (names[fd])
            r = rt_criu_inherit(c, fd, names[fd], e);
    return r;
}

int rt_criu_outside_from(struct rt_criu *c, const struct rt_spec *s, const char *images,
                         const char *group, struct jl_err *e)
{
    int r = add_mounts_from(c, s, group, e);

    if (r == 0)
        r = add_stdio_from(c, images, e);
    if (r < 0 || !s->ns_path[OS_NS_NET])
        return r;
    r = os_ns_open(s->ns_path[OS_NS_NET], OS_NS_NET, e);
    if (r < 0)
        return r;
    c->fds[c->n_fds++] = r;
    return rt_criu_inherit(c, r, NET_KEY, e);
}
