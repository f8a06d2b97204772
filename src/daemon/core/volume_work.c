/* volume_work.c - see volume_work.h. */
#include "daemon/core/volume_work.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "daemon/core/bundle.h"
#include "daemon/core/hostinfo.h"
#include "daemon/core/image.h"
#include "os/loopdev.h"
#include "os/mountfd.h"

#define IMAGE "volume.img"
#define IMAGE_NEW "volume.img.new"
#define DATA "data"
#define IDLE_TRIES 20
#define IDLE_NS 50000000
#define ATTRS (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

bool jd_volume_is_mounted(int base_fd, const char *name)
{
    _close_ int dir = jl_open_dir_at(base_fd, name);
    struct stat above, st;

    return dir >= 0 && fstat(dir, &above) == 0 &&
           fstatat(dir, DATA, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev != above.st_dev;
}

/* ext4 counts the errors it has met until e2fsck has run; whether it became read-only by one, kernels
 * from 6.15 on do not tell statvfs(3). */
static bool has_met_errors(dev_t dev)
{
    char path[64], target[512], count[16] = "";
    const char *name;
    _close_ int fd = -1;
    ssize_t n;

    snprintf(path, sizeof path, "/sys/dev/block/%u:%u", major(dev), minor(dev));
    n = readlink(path, target, sizeof target - 1);
    target[n > 0 ? n : 0] = '\0';
    name = strrchr(target, '/');
    if (!name)
        return false;
    snprintf(path, sizeof path, "/sys/fs/ext4/%.20s/errors_count", name + 1);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && read(fd, count, sizeof count - 1) > 0 && strtoul(count, NULL, 10) > 0;
}

bool jd_volume_is_damaged(int base_fd, const char *name)
{
    _close_ int dir = jl_open_dir_at(base_fd, name);
    struct statvfs fs;
    struct stat st;
    _close_ int data = dir < 0 ? -1 : jl_open_dir_at(dir, DATA);

    return data >= 0 && jd_volume_is_mounted(base_fd, name) && fstat(data, &st) == 0 &&
           ((fstatvfs(data, &fs) == 0 && (fs.f_flag & ST_RDONLY)) || has_met_errors(st.st_dev));
}

/* As many inodes as mkfs would make; a journal where it would make one, but none that takes half. */
static struct jd_image_fs layout(uint64_t bytes)
{
    uint64_t mib = bytes >> 20;

    return (struct jd_image_fs){
        .inodes = bytes / (mib < 512 ? 4096 : 16384),
        .journal_mib = mib < 8       ? 0
                       : mib < 128   ? 4
                       : mib < 1024  ? 16
                       : mib < 16384 ? 64
                                     : 128,
    };
}

uint64_t jd_volume_image_size(uint64_t bytes)
{
    struct jd_image_fs fs = layout(bytes);

    return jd_image_size(&fs, bytes);
}

uint64_t jd_volume_may_take(int base_fd, const char *name, uint64_t bytes)
{
    static const char *const images[] = { IMAGE, IMAGE_NEW };
    _close_ int dir = jl_open_dir_at(base_fd, name);
    struct stat st;

    for (size_t i = 0; dir >= 0 && i < JL_COUNT(images); i++)
        if (fstatat(dir, images[i], &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > 0)
            return st.st_size / 512 > st.st_blocks ? (uint64_t) (st.st_size - st.st_blocks * 512)
                                                   : 0;
    return jd_volume_image_size(bytes);
}

/* The image appears under its name when it is whole. */
static int make_image(int dir, const struct jd_volume_job *v, struct jl_err *e)
{
    _close_ int image =
        openat(dir, IMAGE_NEW, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    struct jd_image_fs fs = layout(v->bytes);
    int r;

    if (image < 0)
        return jl_fail_sys(e, "open", IMAGE_NEW, "make volume %s", v->name);
    if (ftruncate(image, (off_t) jd_image_size(&fs, v->bytes)) < 0)
        return jl_fail_sys(e, "ftruncate", IMAGE_NEW, "make volume %s", v->name);
    r = jd_image_format(image, &fs, e);
    if (r < 0)
        return r;
    if (fsync(image) < 0 || renameat(dir, IMAGE_NEW, dir, IMAGE) < 0 || fsync(dir) < 0)
        return jl_fail_sys(e, "fsync", IMAGE, "make volume %s", v->name);
    return 0;
}

/* Nobody has it mounted, in whatever namespace. Who just ended may take a moment to let go. */
static bool is_unused(const char *dev)
{
    for (unsigned i = 0; i < IDLE_TRIES; i++) {
        _close_ int fd = open(dev, O_RDONLY | O_EXCL | O_CLOEXEC);

        if (fd >= 0 || errno != EBUSY)
            return fd >= 0;
        nanosleep(&(struct timespec){ .tv_nsec = IDLE_NS }, NULL);
    }
    return false;
}

/* What e2fsck does not mend is mounted for reading. So is what somebody uses who sees it read-only. */
static int mount_image(int dir, const struct jd_volume_job *v, struct jl_err *e)
{
    _close_ int image = openat(dir, IMAGE, O_RDWR | O_NOFOLLOW | O_CLOEXEC), dev = -1;
    char label[80], path[OS_LOOP_PATH_MAX];
    struct jl_err why = JL_ERR_INIT;
    int fd, r;

    if (image < 0)
        return jl_fail_sys(e, "open", IMAGE, "mount volume %s", v->name);
    snprintf(label, sizeof label, "joblet-volume/%s", v->name);
    dev = os_loop_attach(image, label, path, e);
    if (dev < 0)
        return dev;
    r = is_unused(path) ? jd_image_check(path, &why) : 0;
    if (r > 0)
        jl_log_warn("volume.check", "volume=%s: its file system was mended", v->name);
    if (r < 0)
        jl_log_fail(&why, "volume.check", "volume=%s: its file system can't be mended", v->name);
    fd = r < 0 ? -1 : jd_image_mount_dev(path, false, e);
    if (fd >= 0)
        return fd;
    jl_err_clear(e);
    return jd_image_mount_dev(path, true, e);
}

static int mount_memory(const struct jd_volume_job *v, struct jl_err *e)
{
    char size[40], inodes[40], uid[24], gid[24];
    const char *options[] = { size, inodes, "mode=0755", uid, gid };

    snprintf(size, sizeof size, "size=%" PRIu64, v->bytes);
    snprintf(inodes, sizeof inodes, "nr_inodes=%" PRIu64, jd_tmpfs_inodes(v->bytes));
    snprintf(uid, sizeof uid, "uid=%u", JD_JOB_UID);
    snprintf(gid, sizeof gid, "gid=%u", JD_JOB_UID);
    return os_mount_new("tmpfs", "joblet-volume", options, JL_COUNT(options), ATTRS, e);
}

/* Whether jobs with ids of their own can have it. */
static int check_idmap(int dir, struct jl_err *e)
{
    char path[48];

    snprintf(path, sizeof path, "/proc/self/fd/%d/" DATA, dir);
    if (jd_host_can_idmap(path, e) == 0)
        return 0;
    jl_wrap(e, "jobs have host ids of their own (isolation.userns)");
    return jl_hint(e, "memory volumes then need Linux 6.3: take type filesystem, or set "
                      "isolation.userns: false");
}

static int do_mount(int base, const struct jd_volume_job *v, struct jl_err *e)
{
    _close_ int dir = jl_open_dir_at(base, v->name), data = -1, fd = -1;
    char path[48];
    int r;

    if (dir < 0)
        return jl_fail_sys(e, "open", v->name, "mount volume %s", v->name);
    if (!v->memory && jd_volume_is_damaged(base, v->name)) {
        snprintf(path, sizeof path, "/proc/self/fd/%d/" DATA, dir);
        if (umount2(path, UMOUNT_NOFOLLOW) < 0)
            return jl_fail_sys(e, "umount2", DATA, "mend volume %s", v->name);
    }
    if (jd_volume_is_mounted(base, v->name))
        return 0;
    data = jl_open_dir_at(dir, DATA);
    if (data < 0)
        return jl_fail_sys(e, "open", DATA, "mount volume %s", v->name);
    fd = v->memory ? mount_memory(v, e) : mount_image(dir, v, e);
    if (fd < 0)
        return jl_wrap(e, "mount volume %s", v->name);
    r = os_mount_attach(fd, data);
    if (r < 0)
        return jl_fail(e, -r, "mount volume %s", v->name);
    return v->idmap ? check_idmap(dir, e) : 0;
}

/* mkfs left it 0755 and the job user's; lost+found is fsck's, which makes it when it needs it. */
static int tidy(int base, const struct jd_volume_job *v, struct jl_err *e)
{
    _close_ int dir = jl_open_dir_at(base, v->name);
    _close_ int data = dir < 0 ? -1 : jl_open_dir_at(dir, DATA);

    if (data < 0)
        return jl_fail_sys(e, "open", DATA, "make volume %s", v->name);
    unlinkat(data, "lost+found", AT_REMOVEDIR);
    if (fchown(data, JD_JOB_UID, JD_JOB_UID) < 0 || fchmod(data, 0755) < 0 || syncfs(data) < 0)
        return jl_fail_sys(e, "fchown", DATA, "make volume %s", v->name);
    return 0;
}

static int unmake(int base, const struct jd_volume_job *v, struct jl_err *e)
{
    _close_ int dir = jl_open_dir_at(base, v->name);
    char path[48];

    if (dir < 0)
        return errno == ENOENT ? 0 : jl_fail_sys(e, "open", v->name, "remove volume %s", v->name);
    snprintf(path, sizeof path, "/proc/self/fd/%d/" DATA, dir);
    while (jd_volume_is_mounted(base, v->name))
        if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
            return jl_fail_sys(e, "umount2", DATA, "remove volume %s", v->name);
    return jl_remove_tree_at(base, v->name, e);
}

static int make(int base, const struct jd_volume_job *v, struct jl_err *e)
{
    _close_ int dir = -1;
    int r;

    r = unmake(base, v, e); /* of a worker that died: the name was free before */
    if (r < 0)
        return r;
    if (mkdirat(base, v->name, 0700) < 0)
        return jl_fail_sys(e, "mkdir", v->name, "make volume %s", v->name);
    dir = jl_open_dir_at(base, v->name);
    if (dir < 0 || mkdirat(dir, DATA, 0700) < 0)
        return jl_fail_sys(e, "mkdir", DATA, "make volume %s", v->name);
    r = v->memory ? 0 : make_image(dir, v, e);
    if (r == 0)
        r = do_mount(base, v, e);
    return r < 0 || v->memory ? r : tidy(base, v, e);
}

/* A request as it comes over the worker's socket. */
static int unwrap(const void *in, size_t len, size_t n_fds, struct jd_volume_job *ret,
                  struct jl_err *e)
{
    if (len != sizeof *ret || n_fds != 1)
        return jl_refuse(e, EINVAL, "a volume's request of %zu bytes", len);
    memcpy(ret, in, sizeof *ret);
    ret->name[sizeof ret->name - 1] = '\0';
    return 0;
}

#define WORK(fn, does)                                                                             \
    static int fn(const void *in, size_t len, const int *fds, size_t n_fds, struct jl_buf *out,    \
                  int *ret_fd, struct jl_err *e)                                                   \
    {                                                                                              \
        struct jd_volume_job v;                                                                    \
        int r = unwrap(in, len, n_fds, &v, e);                                                     \
                                                                                                   \
        (void) out;                                                                                \
        (void) ret_fd;                                                                             \
        return r < 0 ? r : does(fds[0], &v, e);                                                    \
    }

WORK(work_make, make)
WORK(work_mount, do_mount)
WORK(work_unmake, unmake)

const jd_work_fn jd_volume_work[JD_VOLUME_WORK_N] = {
    [JD_VOLUME_MAKE] = work_make,
    [JD_VOLUME_MOUNT] = work_mount,
    [JD_VOLUME_UNMAKE] = work_unmake,
};
