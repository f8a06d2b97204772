/* attempt_files.c - files, devices and descriptors of the host, and a walk over what is writable. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/fs.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "attempt.h"

static int opened(const char *path, int flags)
{
    int fd = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    return fd < 0 ? -errno : 0;
}

/* 0 when the file can be read and has something to say. */
static int readable(const char *path)
{
    char c;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, &c, 1);

    return n < 0 ? -errno : n == 0 ? -ENODATA : 0;
}

#define WRITE(name, path)                                                                          \
    static int try_##name(const struct target *t)                                                  \
    {                                                                                              \
        (void) t;                                                                                  \
        return opened(path, O_WRONLY);                                                             \
    }
#define READ(name, path)                                                                           \
    static int try_##name(const struct target *t)                                                  \
    {                                                                                              \
        (void) t;                                                                                  \
        return readable(path);                                                                     \
    }

WRITE(sysrq, "/proc/sysrq-trigger")
WRITE(core_pattern, "/proc/sys/kernel/core_pattern")
WRITE(modprobe, "/proc/sys/kernel/modprobe")
WRITE(drop_caches, "/proc/sys/vm/drop_caches")
WRITE(irq_affinity, "/proc/irq/default_smp_affinity")
WRITE(uevent_helper, "/sys/kernel/uevent_helper")
WRITE(hugepages, "/sys/kernel/mm/transparent_hugepage/enabled")
WRITE(init_mem, "/proc/1/mem")
WRITE(init_exe, "/proc/1/exe")
WRITE(self_exe, "/run/joblet-init")
WRITE(etc_passwd, "/etc/passwd")
WRITE(usr_bin_env, "/usr/bin/env")
READ(kcore, "/proc/kcore")
READ(kmsg, "/proc/kmsg")
READ(keys, "/proc/keys")
READ(timer_list, "/proc/timer_list")
READ(interrupts, "/proc/interrupts")
READ(slabinfo, "/proc/slabinfo")
READ(firmware, "/sys/firmware/acpi/tables/DSDT")
READ(dev_kmsg, "/dev/kmsg")
READ(shadow, "/etc/shadow")

/* The host's directories, by the names that they have there. */
static int try_host_path(const struct target *t)
{
    return opened(t->path, O_RDONLY);
}

static int try_host_root(const struct target *t)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/root", t->pid);
    return opened(path, O_RDONLY | O_DIRECTORY);
}

static int try_abstract_socket(const struct target *t)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    size_t n = strlen(t->socket);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    if (fd < 0 || n + 1 > sizeof a.sun_path)
        return -errno;
    memcpy(a.sun_path + 1, t->socket, n);
    n += offsetof(struct sockaddr_un, sun_path) + 1;
    return connect(fd, (struct sockaddr *) &a, (socklen_t) n) < 0 ? -errno : 0;
}

static int made(mode_t type, unsigned major, unsigned minor)
{
    char path[] = "/tmp/escape-node";
    int r = mknod(path, type | 0600, makedev(major, minor)) < 0 ? -errno : 0;

    unlink(path);
    return r;
}

static int try_mknod_mem(const struct target *t)
{
    (void) t;
    return made(S_IFCHR, 1, 1);
}

static int try_mknod_disk(const struct target *t)
{
    (void) t;
    return made(S_IFBLK, 8, 0);
}

/* Overlay's whiteout, the one node that anybody may make in a user namespace; it can't be opened. */
static int try_open_whiteout(const struct target *t)
{
    char path[] = "/tmp/escape-whiteout";
    int r = mknod(path, S_IFCHR | 0600, makedev(0, 0)) < 0 ? -errno : opened(path, O_RDONLY);

    (void) t;
    unlink(path);
    return r;
}

/* A node that is there already, if any, is not one of the machine's. */
static int try_device_nodes(const struct target *t)
{
    static const unsigned fine[][2] = { { 1, 3 }, { 1, 5 }, { 1, 7 }, { 1, 8 },
                                        { 1, 9 }, { 5, 0 }, { 5, 2 } };
    DIR *dir = opendir("/dev");
    struct dirent *d;

    (void) t;
    while (dir && (d = readdir(dir))) {
        struct stat st;
        size_t i = 0;

        if (fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            !(S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)))
            continue;
        while (i < sizeof fine / sizeof *fine &&
               (S_ISBLK(st.st_mode) || major(st.st_rdev) != fine[i][0] ||
                minor(st.st_rdev) != fine[i][1]))
            i++;
        if (i == sizeof fine / sizeof *fine)
            return 0;
    }
    return -ENODEV;
}

/* A terminal that is not the job's: input typed into it would run in somebody's shell. */
static int try_tiocsti(const struct target *t)
{
    (void) t;
    for (int fd = 0; fd < 3; fd++)
        if (ioctl(fd, TIOCSTI, "#") == 0)
            return 0;
    return -errno;
}

static int try_dev_tty(const struct target *t)
{
    (void) t;
    return opened("/dev/tty", O_RDWR);
}

static int try_immutable(const struct target *t)
{
    int flags = FS_IMMUTABLE_FL, fd = open("/work/escape-file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int r = fd < 0 || ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0 ? -errno : 0;

    (void) t;
    flags = 0;
    if (r == 0)
        ioctl(fd, FS_IOC_SETFLAGS, &flags);
    unlink("/work/escape-file");
    return r;
}

/* Anything open beside standard input, output and error, and this directory. */
static int try_descriptors(const struct target *t)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *d;

    (void) t;
    if (!dir)
        return -errno;
    while ((d = readdir(dir)))
        if (d->d_name[0] != '.' && strtol(d->d_name, NULL, 10) > 2 &&
            strtol(d->d_name, NULL, 10) != dirfd(dir))
            return 0;
    return -EBADF;
}

static int try_cgroup_mkdir(const struct target *t)
{
    static const char *const places[] = { "/sys/fs/cgroup/escape", "/sys/fs/cgroup/pids/escape",
                                          "/sys/fs/cgroup/unified/escape",
                                          "/sys/fs/cgroup/memory/escape" };
    int r = 0;

    (void) t;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (mkdir(places[i], 0755) == 0)
            return rmdir(places[i]);
        if (i == 0 || errno != ENOENT)
            r = -errno;
    }
    return r;
}

#define ROW(n)                                                                                     \
    {                                                                                              \
#n, try_##n                                                                                \
    }
const struct attempt attempts_files[] = {
    ROW(sysrq),        ROW(core_pattern),  ROW(modprobe),      ROW(drop_caches),
    ROW(irq_affinity), ROW(uevent_helper), ROW(hugepages),     ROW(init_mem),
    ROW(init_exe),     ROW(self_exe),      ROW(etc_passwd),    ROW(usr_bin_env),
    ROW(kcore),        ROW(kmsg),          ROW(keys),          ROW(timer_list),
    ROW(interrupts),   ROW(slabinfo),      ROW(firmware),      ROW(dev_kmsg),
    ROW(shadow),       ROW(host_path),     ROW(host_root),     ROW(abstract_socket),
    ROW(mknod_mem),    ROW(mknod_disk),    ROW(open_whiteout), ROW(device_nodes),
    ROW(tiocsti),      ROW(dev_tty),       ROW(immutable),     ROW(descriptors),
    ROW(cgroup_mkdir), { NULL, NULL },
};

static const char *first_writable;

static int stop_at_writable(const char *path, const struct stat *st, int type, struct FTW *f)
{
    (void) f;
    if (type == FTW_F && (st->st_mode & 0222) && opened(path, O_WRONLY) == 0) {
        first_writable = strdup(path);
        return 1;
    }
    return 0;
}

/* Mounts that are not read-only, as mountinfo tells them, and those that honour setuid bits. */
static int report_mounts(void)
{
    char line[4096], where[4096], options[4096];
    FILE *f = fopen("/proc/self/mountinfo", "re");

    while (f && fgets(line, sizeof line, f)) {
        struct stat st;

        if (sscanf(line, "%*s %*s %*s %*s %4095s %4095s", where, options) != 2 ||
            stat(where, &st) < 0 || !S_ISDIR(st.st_mode)) /* nodes in /dev, masked files */
            continue;
        if (strncmp(options, "rw", 2) == 0)
            printf("writable mount: %s\n", where);
        if (!strstr(options, "nosuid"))
            printf("setuid mount: %s\n", where);
    }
    return f ? fclose(f) : 1;
}

int report_walks(void)
{
    static const char *const trees[] = { "/proc/sys", "/sys", "/etc", "/run", "/usr/local" };

    for (size_t i = 0; i < sizeof trees / sizeof *trees; i++) {
        first_writable = NULL;
        nftw(trees[i], stop_at_writable, 64, FTW_PHYS);
        printf("write below %s: %s\n", trees[i], first_writable ? first_writable : "nothing");
    }
    return report_mounts();
}
