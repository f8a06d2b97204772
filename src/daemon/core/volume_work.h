/*
 * volume_work.h - volumes on disk: what the worker does for volume.h. A volume is the directory
 * `name` (0700) below volumes.base_path with `data`, where its file system is mounted (nosuid,
 * nodev, its root 0755 and the job user's), and, of type filesystem, `volume.img`, a sparse file with
 * ext4 of which the volume's size is free.
 *
 * Each may be done again after it was interrupted anywhere. All block; all need root.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/worker.h"

/* A request; the descriptor of base_path comes with it. */
struct jd_volume_job {
    char name[64];
    uint64_t bytes;
    bool memory;
    bool idmap; /* jobs have ids of their own: the mount must take that */
};

/* JD_VOLUME_MOUNT: one that is mounted and damaged is unmounted, mended, and mounted again. */
enum { JD_VOLUME_MAKE, JD_VOLUME_MOUNT, JD_VOLUME_UNMAKE, JD_VOLUME_WORK_N };
extern const jd_work_fn jd_volume_work[JD_VOLUME_WORK_N];

/* The size of the image of a volume of so many bytes. */
uint64_t jd_volume_image_size(uint64_t bytes);

/* What the image of a volume of so many bytes may still take of its disk, also before it is made and
 * meanwhile. By descriptor of base_path. */
uint64_t jd_volume_may_take(int base_fd, const char *name, uint64_t bytes);

/* Whether something is mounted on `data` of this volume. By descriptor of base_path. */
bool jd_volume_is_mounted(int base_fd, const char *name);

/* Whether what is mounted there has become read-only, as ext4 does when it meets an error (the disk
 * below it was full, or broken). */
bool jd_volume_is_damaged(int base_fd, const char *name);
