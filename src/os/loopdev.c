/* loopdev.c - see loopdev.h. */
#include "os/loopdev.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "base/err.h"

#define LOOP_MAJOR_NUMBER 7 /* Documentation/admin-guide/devices.txt */
#define TRIES 64            /* another may be quicker to take the free device */

/* The node, made where nobody else does it (a /dev of files). */
static int open_device(int number, char *path)
{
    int fd;

    snprintf(path, OS_LOOP_PATH_MAX, "/dev/loop%d", number);
    fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 || errno != ENOENT)
        return fd < 0 ? -errno : fd;
    if (mknod(path, S_IFBLK | 0600, makedev(LOOP_MAJOR_NUMBER, (unsigned) number)) < 0 &&
        errno != EEXIST)
        return -errno;
    fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

static int if_of(int number, const struct stat *image, char *path)
{
    struct loop_info64 info;
    _close_ int fd = open_device(number, path);

    if (fd < 0 || ioctl(fd, LOOP_GET_STATUS64, &info) < 0 || info.lo_device != image->st_dev ||
        info.lo_inode != image->st_ino)
        return -1;
    return jl_take_fd(&fd);
}

/* The device that has this image already, or -1. */
static int find(const struct stat *image, char *path)
{
    _closedir_ DIR *dir = opendir("/sys/block");
    struct dirent *d;

    while (dir && (d = readdir(dir))) {
        char backing[64], *end;
        long number;
        int fd;

        if (strncmp(d->d_name, "loop", 4) != 0)
            continue;
        number = strtol(d->d_name + 4, &end, 10);
        snprintf(backing, sizeof backing, "%.20s/loop/backing_file", d->d_name);
        if (*end != '\0' || faccessat(dirfd(dir), backing, F_OK, 0) < 0)
            continue;
        fd = if_of((int) number, image, path);
        if (fd >= 0)
            return fd;
    }
    return -1;
}

/* LOOP_CONFIGURE is one step; kernels before 5.8 need two, between which the device is not yet
 * told to go by itself. 0 or -errno. */
static int configure(int fd, int image_fd, const char *name)
{
    struct loop_config c = { .fd = (unsigned) image_fd };
    int r;

    c.info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO;
    snprintf((char *) c.info.lo_file_name, sizeof c.info.lo_file_name, "%s", name);
    if (ioctl(fd, LOOP_CONFIGURE, &c) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOTTY)
        return -errno;
    if (ioctl(fd, LOOP_SET_FD, image_fd) < 0)
        return -errno;
    c.info.lo_flags = LO_FLAGS_AUTOCLEAR;
    r = ioctl(fd, LOOP_SET_STATUS64, &c.info) < 0 ? -errno : 0;
    if (r < 0)
        ioctl(fd, LOOP_CLR_FD, 0);
    return r;
}

int os_loop_attach(int image_fd, const char *name, char *path, struct jl_err *e)
{
    _close_ int control = -1;
    struct stat st;
    int fd;

    if (fstat(image_fd, &st) < 0)
        return jl_fail_sys(e, "fstat", name, "attach a loop device");
    fd = find(&st, path);
    if (fd >= 0)
        return fd;
    control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0) {
        jl_fail_sys(e, "open", "/dev/loop-control", "attach a loop device");
        return jl_hint(e, "modprobe loop");
    }
    for (int i = 0; i < TRIES; i++) {
        _close_ int dev = -1;
        int number = ioctl(control, LOOP_CTL_GET_FREE), r;

        if (number < 0)
            return jl_fail_sys(e, "ioctl", "LOOP_CTL_GET_FREE", "attach a loop device");
        dev = open_device(number, path);
        if (dev < 0)
            return jl_fail(e, -dev, "open '%s'", path);
        r = configure(dev, image_fd, name);
        if (r == 0)
            return jl_take_fd(&dev);
        if (r != -EBUSY)
            return jl_fail(e, -r, "attach '%s' to '%s'", path, name);
    }
    return jl_refuse(e, EBUSY, "no free loop device in %d tries", TRIES);
}
