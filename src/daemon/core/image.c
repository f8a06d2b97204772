/* image.c - see image.h. */
#include "daemon/core/image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/spawn.h"
#include "base/strv.h"
#include "daemon/core/bundle.h"
#include "os/loopdev.h"
#include "os/mountfd.h"

#define ATTRS (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define BLOCK 4096u
#define INODE 256u
#define GROUP (UINT64_C(128) << 20)
#define GROUP_OWN (32u << 10) /* of each, and rounding */
#define OWN_MAX (UINT64_C(16) << 20)
#define IMAGE_FD 3   /* in mkfs */
#define SAID_MAX 400 /* of mkfs's own words */

static const char *first_of(const char *const *paths, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (access(paths[i], X_OK) == 0)
            return paths[i];
    return NULL;
}

const char *jd_image_mkfs(void)
{
    static const char *const paths[] = { "/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4",
                                         "/usr/bin/mkfs.ext4" };

    return first_of(paths, JL_COUNT(paths));
}

/* Journal, inodes, bitmaps and descriptors; and what ext4 keeps from everybody for its own extents:
 * ext4_calculate_resv_clusters in fs/ext4/super.c. */
uint64_t jd_image_size(const struct jd_image_fs *fs, uint64_t free_bytes)
{
    uint64_t size = free_bytes + ((uint64_t) fs->journal_mib << 20) + fs->inodes * INODE +
                    (free_bytes / GROUP + 1) * GROUP_OWN;

    size += size / 49 < OWN_MAX ? size / 49 + BLOCK : OWN_MAX; /* a 50th of all */
    return size / BLOCK * BLOCK;
}

static int make_argv(const struct jd_image_fs *fs, struct jl_strv *argv, struct jl_err *e)
{
    static const char *const always[] = { "mkfs.ext4", "-q", "-F",        "-m0",
                                          "-b4096",    "-e", "remount-ro" };
    int bad = 0;

    for (size_t i = 0; i < JL_COUNT(always); i++)
        bad |= jl_strv_add(argv, always[i]);
    bad |= jl_strv_add(argv, "-E");
    bad |=
        jl_strv_addf(argv, "root_owner=%u:%u,lazy_itable_init=1,nodiscard", JD_JOB_UID, JD_JOB_UID);
    bad |=
        jl_strv_add(argv, fs->journal_mib > 0 ? "-O^resize_inode" : "-O^resize_inode,^has_journal");
    if (fs->journal_mib > 0)
        bad |= jl_strv_addf(argv, "-Jsize=%u", fs->journal_mib);
    bad |= jl_strv_addf(argv, "-N%" PRIu64, fs->inodes);
    bad |= jl_strv_addf(argv, "/proc/self/fd/%d", IMAGE_FD);
    return bad ? jl_fail(e, ENOMEM, "make a file system") : 0;
}

/* What it says goes into `said`, of SAID_MAX + 1 bytes: the first line. Its wait status. */
static int hear(pid_t pid, int in, char *said)
{
    char more[256];
    ssize_t n = read(in, said, SAID_MAX);

    said[n > 0 ? n : 0] = '\0';
    said[strcspn(said, "\n")] = '\0';
    while (n > 0) /* it must not be stopped by a full pipe */
        n = read(in, more, sizeof more);
    return jl_wait_status(pid);
}

/* Runs a program with these and its words (both streams, but mkfs is quiet) in `said`. Its wait
 * status, or -errno with e filled. */
static int run(const char *path, char **argv, const struct jl_spawn_fd *more, size_t n, char *said,
               struct jl_err *e)
{
    char *envp[] = { (char *) "PATH=/usr/sbin:/usr/bin:/sbin:/bin", (char *) "LC_ALL=C", NULL };
    struct jl_spawn sp = JL_SPAWN_INIT;
    struct jl_spawn_fd fds[4];
    _close_ int in = -1, out = -1;
    int pipe_fds[2];
    pid_t pid;

    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return jl_fail_sys(e, "pipe2", NULL, "run %s", path);
    in = pipe_fds[0];
    out = pipe_fds[1];
    fds[0] = (struct jl_spawn_fd){ out, STDOUT_FILENO };
    fds[1] = (struct jl_spawn_fd){ out, STDERR_FILENO };
    for (size_t i = 0; i < n; i++)
        fds[2 + i] = more[i];
    sp.path = path;
    sp.argv = argv;
    sp.envp = envp;
    sp.fds = fds;
    sp.n_fds = 2 + n;
    sp.parent_death_signal = SIGKILL;
    if (jl_spawn(&sp, &pid, NULL, e) < 0)
        return -e->code;
    out = jl_close(out);
    return hear(pid, in, said);
}

int jd_image_format(int image_fd, const struct jd_image_fs *fs, struct jl_err *e)
{
    _strv_ struct jl_strv argv = JL_STRV_INIT;
    const struct jl_spawn_fd fds[1] = { { image_fd, IMAGE_FD } };
    const char *path = jd_image_mkfs();
    char said[SAID_MAX + 1];
    int status;

    if (!path) {
        jl_refuse(e, ENOENT, "make a file system: mkfs.ext4 is not installed");
        return jl_hint(e, "install e2fsprogs");
    }
    if (make_argv(fs, &argv, e) < 0)
        return -e->code;
    status = run(path, argv.items, fds, JL_COUNT(fds), said, e);
    if (status <= 0)
        return status;
    return jl_refuse(e, EIO, "make a file system: %s ended with %d: %s", path, status, said);
}

int jd_image_check(const char *dev, struct jl_err *e)
{
    static const char *const paths[] = { "/usr/sbin/e2fsck", "/sbin/e2fsck", "/usr/bin/e2fsck" };
    const char *path = first_of(paths, JL_COUNT(paths));
    char *argv[] = { (char *) "e2fsck", (char *) "-p", (char *) (uintptr_t) dev, NULL };
    char said[SAID_MAX + 1];
    int status;

    if (!path) {
        jl_refuse(e, ENOENT, "check a file system: e2fsck is not installed");
        return jl_hint(e, "install e2fsprogs");
    }
    status = run(path, argv, NULL, 0, said, e);
    if (status < 0 || status == 0 || status == 1) /* 1: it was mended */
        return status;
    return jl_refuse(e, EIO, "check a file system: %s ended with %d: %s", path, status, said);
}

int jd_image_mount_dev(const char *dev, bool read_only, struct jl_err *e)
{
    const char *const ro[] = { "ro" };

    return os_mount_new("ext4", dev, ro, read_only, ATTRS, e);
}

int jd_image_mount(int image_fd, const char *label, struct jl_err *e)
{
    const char *const options[] = { "nobarrier" };
    char path[OS_LOOP_PATH_MAX];
    _close_ int dev = os_loop_attach(image_fd, label, path, e);

    return dev < 0 ? dev : os_mount_new("ext4", path, options, JL_COUNT(options), ATTRS, e);
}
