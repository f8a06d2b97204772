/* space_work.c - see space_work.h. */
#include "daemon/core/space_work.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/copytree.h"
#include "base/err.h"
#include "base/io.h"
#include "daemon/core/bundle.h"
#include "daemon/core/image.h"
#include "os/mountfd.h"

#define IMAGE "work.img"
#define PLACE "workfs"
#define DATA "data"
#define RESERVE "reserve"
#define BLOCK 4096u
#define INODE 256u
#define NAME_ROOM 528u     /* the longest name in blocks of a directory that are half full */
#define SLACK (16 * BLOCK) /* for directories and extents of the job's own files */
#define SPARE (UINT64_C(64) << 20) /* for what the file system needs itself; the reserve takes it */
#define DEPTH_MAX 256              /* uploads have JD_STAGE_DEPTH_MAX */

bool jd_space_mounted(int job_dirfd)
{
    struct stat above, st;

    return fstat(job_dirfd, &above) == 0 &&
           fstatat(job_dirfd, PLACE, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev != above.st_dev;
}

int jd_space_unmount(int job_dirfd, struct jl_err *e)
{
    char path[48];

    snprintf(path, sizeof path, "/proc/self/fd/%d/" PLACE, job_dirfd);
    while (jd_space_mounted(job_dirfd))
        if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
            return jl_fail_sys(e, "umount2", PLACE, "unmount the workspace");
    return 0;
}

/* What a tree has. */
struct tally {
    uint64_t names;
    uint64_t bytes; /* each name in whole blocks, one at least */
};

static int count_tree(int dirfd, unsigned depth, struct tally *t);

static int count_entry(int dirfd, const char *name, unsigned depth, struct tally *t)
{
    _close_ int below = -1;
    uint64_t bytes;
    struct stat st;

    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    t->names++;
    if (!S_ISDIR(st.st_mode)) {
        bytes = ((uint64_t) st.st_size + BLOCK - 1) / BLOCK * BLOCK;
        t->bytes += bytes > 0 ? bytes : BLOCK;
        return 0;
    }
    t->bytes += BLOCK;
    below = jl_open_dir_at(dirfd, name);
    return below < 0 ? -errno : count_tree(below, depth + 1, t);
}

static int count_tree(int dirfd, unsigned depth, struct tally *t)
{
    _closedir_ DIR *dir = depth < DEPTH_MAX ? jl_opendir_at(dirfd, ".") : NULL;
    struct dirent *d;
    int r = 0;

    if (!dir)
        return depth < DEPTH_MAX ? -errno : -ELOOP;
    while (r == 0 && (d = readdir(dir)))
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
            r = count_entry(dirfd, d->d_name, depth, t);
    return r;
}

/* `work`, wherever an earlier try has left it, is `up/data`; a job without uploads has an empty one.
 * A descriptor of `up`. */
static int gather(int job, bool has_uploads, struct jl_err *e)
{
    _close_ int up = -1;
    struct stat st;

    if (mkdirat(job, JD_SPACE_UPLOADS, 0700) < 0 && errno != EEXIST)
        return jl_fail_sys(e, "mkdir", JD_SPACE_UPLOADS, "make the workspace");
    up = jl_open_dir_at(job, JD_SPACE_UPLOADS);
    if (up < 0)
        return jl_fail_sys(e, "open", JD_SPACE_UPLOADS, "make the workspace");
    if (renameat(job, "work", up, DATA) == 0)
        return jl_take_fd(&up);
    if (errno != ENOENT)
        return jl_fail_sys(e, "rename", "work", "make the workspace");
    if (has_uploads && fstatat(up, DATA, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return jl_refuse(e, EIO, "make the workspace: the job's uploads are gone");
    if (mkdirat(up, DATA, 0700) == 0 &&
        fchownat(up, DATA, JD_JOB_UID, JD_JOB_UID, AT_SYMLINK_NOFOLLOW) < 0)
        return jl_fail_sys(e, "fchown", DATA, "make the workspace");
    return jl_take_fd(&up);
}

/* An empty image with room for everything and `may` bytes more. Always a new file: mkfs of a worker
 * that was killed may still be writing to the old one, and its loop device may not be gone yet. */
static int make_image(int job, const struct tally *t, uint64_t may, struct jl_err *e)
{
    _close_ int image = -1;
    struct jd_image_fs fs = { .inodes = t->names + 16 + jd_tmpfs_inodes(may) };
    uint64_t bytes = t->bytes + may;

    bytes += bytes / 16 + fs.inodes * INODE + t->names * NAME_ROOM + SPARE;
    if (unlinkat(job, IMAGE, 0) < 0 && errno != ENOENT)
        return jl_fail_sys(e, "unlink", IMAGE, "make the workspace");
    image = openat(job, IMAGE, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (image < 0 || ftruncate(image, (off_t) (bytes / BLOCK * BLOCK)) < 0)
        return jl_fail_sys(e, "ftruncate", IMAGE, "make the workspace");
    if (jd_image_format(image, &fs, e) < 0)
        return jl_wrap(e, "make the workspace");
    return jl_take_fd(&image);
}

static int mount_it(int job, int image, const char *id, struct jl_err *e)
{
    _close_ int place = -1, fd = -1;
    char label[64];
    int r;

    if (mkdirat(job, PLACE, 0700) < 0 && errno != EEXIST)
        return jl_fail_sys(e, "mkdir", PLACE, "make the workspace");
    place = jl_open_dir_at(job, PLACE);
    if (place < 0)
        return jl_fail_sys(e, "open", PLACE, "make the workspace");
    snprintf(label, sizeof label, "joblet-work/%.40s", id);
    fd = jd_image_mount(image, label, e);
    if (fd < 0)
        return jl_wrap(e, "make the workspace");
    r = os_mount_attach(fd, place);
    return r < 0 ? jl_fail(e, -r, "mount the workspace") : 0;
}

/* The uploads in the place of the mount. Its blocks are found and written before the job begins: when the
 * disk is full, it is this that fails. */
static int fill(int up, int top, struct jl_err *e)
{
    if (jl_copy_tree(up, top, e) < 0)
        return jl_wrap(e, "make the workspace");
    unlinkat(top, "lost+found", AT_REMOVEDIR);
    return syncfs(top) < 0 ? jl_fail_sys(e, "syncfs", PLACE, "make the workspace") : 0;
}

/* Leaves `may` bytes free. */
static int reserve(int top, uint64_t may, struct jl_err *e)
{
    _close_ int fd = -1;
    struct statfs fs;
    uint64_t avail;

    fd = openat(top, RESERVE, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || fstatfs(top, &fs) < 0)
        return jl_fail_sys(e, "open", RESERVE, "make the workspace");
    avail = (uint64_t) fs.f_bavail * (uint64_t) fs.f_bsize;
    may += SLACK;
    if (avail < may)
        return jl_refuse(e, EFBIG, "make the workspace: its file system has %llu bytes too few",
                         (unsigned long long) (may - avail));
    if (avail > may && fallocate(fd, 0, 0, (off_t) (avail - may)) < 0)
        return jl_fail_sys(e, "fallocate", RESERVE, "make the workspace");
    return 0;
}

static int make(int job, const struct jd_space_job *s, struct jl_err *e)
{
    int r = jd_space_unmount(job, e); /* of a start that was interrupted */
    _close_ int up = r < 0 ? -1 : gather(job, s->has_uploads, e), image = -1, top = -1;
    struct tally t = { 0 };
    uint64_t may = s->free;

    if (up < 0)
        return -e->code;
    r = count_tree(up, 0, &t);
    if (r < 0)
        return jl_fail(e, -r, "look through the uploads");
    if (s->total > 0)
        may = s->total > t.bytes ? s->total - t.bytes : 0;
    image = make_image(job, &t, may, e);
    if (image < 0 || mount_it(job, image, s->id, e) < 0)
        return -e->code;
    top = jl_open_dir_at(job, PLACE);
    if (top < 0)
        return jl_fail_sys(e, "open", PLACE, "make the workspace");
    r = fill(up, top, e);
    return r < 0 ? r : reserve(top, may, e);
}

#define WORK(fn, does)                                                                             \
    static int fn(const void *in, size_t len, const int *fds, size_t n_fds, struct jl_buf *out,    \
                  int *ret_fd, struct jl_err *e)                                                   \
    {                                                                                              \
        struct jd_space_job s;                                                                     \
                                                                                                   \
        (void) out;                                                                                \
        (void) ret_fd;                                                                             \
        if (len != sizeof s || n_fds != 1)                                                         \
            return jl_refuse(e, EINVAL, "a workspace's request of %zu bytes", len);                \
        memcpy(&s, in, sizeof s);                                                                  \
        s.id[sizeof s.id - 1] = '\0';                                                              \
        return does(fds[0], &s, e);                                                                \
    }

static int unmake(int job, const struct jd_space_job *s, struct jl_err *e)
{
    (void) s;
    return jd_space_unmount(job, e);
}

WORK(work_make, make)
WORK(work_unmake, unmake)

const jd_work_fn jd_space_work[JD_SPACE_WORK_N] = {
    [JD_SPACE_MAKE] = work_make,
    [JD_SPACE_UNMAKE] = work_unmake,
};
