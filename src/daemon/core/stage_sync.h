/*
 * stage_sync.h - uploads on disk. A job that waits has its record on disk before its submission is
 * answered, and must find its uploads there after a loss of power too. Writing them out may take
 * seconds, so that a worker does it (worker.h); a job that starts at once needs none of it: it does
 * not outlive the machine.
 */
#pragma once

#include "daemon/core/worker.h"

/* JD_SYNC_JOB: descriptors of the job's directory, which holds nothing but its uploads, and of the
 * directory above; no bytes. All of it is on disk, names included, when it is done. */
enum { JD_SYNC_JOB, JD_SYNC_N };
extern const jd_work_fn jd_sync_work[JD_SYNC_N];
