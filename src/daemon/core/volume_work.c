/* volume_work.c - see volume_work.h. */
#include "daemon/core/volume_work.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "daemon/core/bundle.h"
#include "daemon/core/hostinfo.h"
#include "daemon/core/image.h"
#include "os/mountfd.h"

#define IMAGE "volume.img"
#define IMAGE_NEW "volume.img.new"
#define DATA "data"
#define ATTRS (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

bool jd_volume_is_mounted(int base_fd, const char *name)
{
    _close_ int dir = jl_open_dir_at(base_fd, name);
    struct stat above, st;

    return dir >= 0 && fstat(dir, &above) == 0 &&
           fstatat(dir, DATA, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev != above.st_dev;
}

uint64_t jd_volume_allocated(int base_fd, const char *name)
{
    static const char *const images[] = { IMAGE, IMAGE_NEW };
    _close_ int dir = jl_open_dir_at(base_fd, name);
    struct stat st;

    for (size_t i = 0; dir >= 0 && i < JL_COUNT(images); i++)
        if (fstatat(dir, images[i], &st, AT_SYMLINK_NOFOLLOW) == 0)
            return (uint64_t) st.st_blocks * 512;
    return 0;
}

/* The image appears under its name when it is whole. */
static int make_image(int dir, const struct jd_volume_job *v, struct jl_err *e)
{
    _close_ int image =
        openat(dir, IMAGE_NEW, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    int r;

    if (image < 0)
        return jl_fail_sys(e, "open", IMAGE_NEW, "make volume %s", v->name);
    if (ftruncate(image, (off_t) v->bytes) < 0)
        return jl_fail_sys(e, "ftruncate", IMAGE_NEW, "make volume %s", v->name);
    r = jd_image_format(image, &(struct jd_image_fs){ .from = -1, .journal = true }, e);
    if (r < 0)
        return r;
    if (fsync(image) < 0 || renameat(dir, IMAGE_NEW, dir, IMAGE) < 0 || fsync(dir) < 0)
        return jl_fail_sys(e, "fsync", IMAGE, "make volume %s", v->name);
    return 0;
}

static int mount_image(int dir, const struct jd_volume_job *v, struct jl_err *e)
{
    _close_ int image = openat(dir, IMAGE, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    char label[80];

    if (image < 0)
        return jl_fail_sys(e, "open", IMAGE, "mount volume %s", v->name);
    snprintf(label, sizeof label, "joblet-volume/%s", v->name);
    return jd_image_mount(image, label, e);
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
    int r;

    if (dir < 0)
        return jl_fail_sys(e, "open", v->name, "mount volume %s", v->name);
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
