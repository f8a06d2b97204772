/*
 * loopdev.h - files as block devices. A device that is attached here goes away by itself when the
 * last that uses it (a mount, a descriptor) has gone.
 *
 * Source: loop(4), <linux/loop.h>. Privilege: CAP_SYS_ADMIN and the devices in /dev. Blocks for the
 * file system that the file is on.
 */
#pragma once

#include <stddef.h>

struct jl_err;

#define OS_LOOP_PATH_MAX 24 /* "/dev/loop1048575" */

/*
 * The device of an image file: the one that it has already (two devices on one image would each
 * cache it for themselves), else a free one. name: what losetup(8) shows. path, of
 * OS_LOOP_PATH_MAX bytes, gets the device's. An open descriptor of it, which keeps it until
 * something else does; or -errno with e filled.
 */
int os_loop_attach(int image_fd, const char *name, char *path, struct jl_err *e);
