/* hostinfo.c - see hostinfo.h. */
#include "daemon/core/hostinfo.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/parse.h"
#include "os/mountfd.h"
#include "os/ns.h"

#ifndef MOUNT_ATTR_IDMAP
#define MOUNT_ATTR_IDMAP 0x00100000
#endif

#define CPUS_MAX 8193 /* one more than jl_parse_cpulist lets through */

/* Marks the cpus of a list that jl_parse_cpulist has accepted. */
static void mark(const char *list, bool *set)
{
    while (*list != '\0') {
        unsigned from = 0, to;

        for (; *list >= '0' && *list <= '9'; list++)
            from = from * 10 + (unsigned) (*list - '0');
        to = from;
        if (*list == '-')
            for (to = 0, list++; *list >= '0' && *list <= '9'; list++)
                to = to * 10 + (unsigned) (*list - '0');
        for (unsigned i = from; i <= to && i < CPUS_MAX; i++)
            set[i] = true;
        list += *list == ',' ? 1 : 0;
    }
}

int jd_cpus_within(const char *list, const char *online, struct jl_err *e)
{
    bool want[CPUS_MAX] = { false }, have[CPUS_MAX] = { false };
    unsigned highest;
    int r = jl_parse_cpulist(list, &highest);

    if (r < 0)
        return jl_refuse(e, -r, "cpu_cores '%.60s' is not a list such as 0-3,6", list);
    r = jl_parse_cpulist(online, &highest);
    if (r < 0)
        return jl_refuse(e, EIO, "the kernel's list of cpus '%.60s' makes no sense", online);
    mark(list, want);
    mark(online, have);
    for (unsigned i = 0; i < CPUS_MAX; i++)
        if (want[i] && !have[i])
            return jl_refuse(e, EINVAL, "cpu_cores '%.60s': this host has no cpu %u (it has %.60s)",
                             list, i, online);
    return 0;
}

/* One line of a kernel file, without its line break. */
static int read_line(const char *path, char *buf, size_t size)
{
    _close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    buf[0] = '\0';
    if (fd < 0)
        return -errno;
    n = read(fd, buf, size - 1);
    if (n < 0)
        return -errno;
    buf[n] = '\0';
    buf[strcspn(buf, "\n")] = '\0';
    return 0;
}

int jd_host_check_cpus(const char *list, struct jl_err *e)
{
    char online[JD_CPULIST_MAX];
    int r = read_line("/sys/devices/system/cpu/online", online, sizeof online);

    if (r < 0)
        return jl_fail(e, EIO, "read the host's cpus");
    return jd_cpus_within(list, online, e);
}

static bool overlap(const char *a, const char *b)
{
    bool in_a[CPUS_MAX] = { false }, in_b[CPUS_MAX] = { false };
    unsigned highest;

    if (jl_parse_cpulist(a, &highest) < 0 || jl_parse_cpulist(b, &highest) < 0)
        return false;
    mark(a, in_a);
    mark(b, in_b);
    for (unsigned i = 0; i < CPUS_MAX; i++)
        if (in_a[i] && in_b[i])
            return true;
    return false;
}

char *jd_host_mems_of(const char *cpus, char *buf, size_t size)
{
    _closedir_ DIR *dir = opendir("/sys/devices/system/node");
    size_t used = 0;
    struct dirent *d;

    buf[0] = '\0';
    while (dir && (d = readdir(dir))) {
        char path[320], list[JD_CPULIST_MAX];
        uint64_t node;

        if (strncmp(d->d_name, "node", 4) != 0 || jl_parse_u64(d->d_name + 4, 1023, &node) < 0)
            continue;
        snprintf(path, sizeof path, "/sys/devices/system/node/%s/cpulist", d->d_name);
        if (read_line(path, list, sizeof list) < 0 || !overlap(cpus, list))
            continue;
        if (used + 8 < size)
            used += (size_t) snprintf(buf + used, size - used, "%s%u", used ? "," : "",
                                      (unsigned) node);
    }
    if (used == 0)
        snprintf(buf, size, "0");
    return buf;
}

/* A partition's disk; the device itself otherwise. */
static void whole_device(dev_t dev, struct jd_device *ret)
{
    char path[128], line[64];
    unsigned ma, mi;

    *ret = (struct jd_device){ .major = major(dev), .minor = minor(dev) };
    snprintf(path, sizeof path, "/sys/dev/block/%u:%u/partition", ret->major, ret->minor);
    if (access(path, F_OK) < 0)
        return;
    snprintf(path, sizeof path, "/sys/dev/block/%u:%u/../dev", ret->major, ret->minor);
    if (read_line(path, line, sizeof line) == 0 && sscanf(line, "%u:%u", &ma, &mi) == 2)
        *ret = (struct jd_device){ .major = ma, .minor = mi };
}

int jd_host_block_devices(const char *const *paths, size_t n, struct jd_device *ret, size_t room,
                          size_t *ret_n, struct jl_err *e)
{
    *ret_n = 0;
    for (size_t i = 0; i < n; i++) {
        struct jd_device d;
        struct stat st;
        char path[64];
        bool known = false;

        if (stat(paths[i], &st) < 0)
            continue; /* a mount that this host has not */
        whole_device(st.st_dev, &d);
        snprintf(path, sizeof path, "/sys/dev/block/%u:%u", d.major, d.minor);
        if (major(st.st_dev) == 0 || access(path, F_OK) < 0)
            return jl_refuse(e, ENOTSUP,
                             "an I/O limit can't be enforced here: '%s' lies on no block device",
                             paths[i]);
        for (size_t k = 0; k < *ret_n; k++)
            known = known || (ret[k].major == d.major && ret[k].minor == d.minor);
        if (known)
            continue;
        if (*ret_n == room)
            return jl_refuse(e, ENOTSUP, "an I/O limit can't be enforced on more than %zu disks",
                             room);
        ret[(*ret_n)++] = d;
    }
    return 0;
}

int jd_host_can_idmap(const char *path, struct jl_err *e)
{
    struct os_idmap map = { .inside = 0, .outside = 1879048192u, .count = 65536 };
    struct os_mount_change change = { .set = MOUNT_ATTR_IDMAP };
    _close_ int tree = os_mount_clone(AT_FDCWD, path, false, false);
    _close_ int userns = -1;
    int r;

    if (tree < 0)
        return jl_fail(e, -tree, "clone the mount of '%s'", path);
    userns = os_userns_new(&map, 1, &map, 1, e);
    if (userns < 0)
        return userns;
    change.userns_fd = userns;
    r = os_mount_change(tree, false, &change);
    if (r < 0)
        return jl_fail(e, -r, "idmap a mount of '%s'", path);
    return 0;
}

void jd_host_boot_id(char *buf, size_t size)
{
    read_line("/proc/sys/kernel/random/boot_id", buf, size);
}

char *jd_host_program(const char *name, struct jl_err *e)
{
    char self[4096], path[4400];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    static const char *const places[] = { "", "../libexec/joblet/" };
    char *slash;

    self[n > 0 ? n : 0] = '\0';
    slash = strrchr(self, '/');
    if (slash)
        slash[1] = '\0';
    for (size_t i = 0; slash && i < JL_COUNT(places); i++) {
        snprintf(path, sizeof path, "%s%s%s", self, places[i], name);
        if (access(path, X_OK) == 0)
            return realpath(path, NULL);
    }
    snprintf(path, sizeof path, "%s/%s", JOBLET_LIBEXECDIR, name);
    if (access(path, X_OK) == 0)
        return strdup(path);
    jl_refuse(e, ENOENT, "program '%s' is neither beside joblet ('%s') nor in '%s'", name, self,
              JOBLET_LIBEXECDIR);
    jl_hint(e, "install joblet again; its programs belong together");
    return NULL;
}
