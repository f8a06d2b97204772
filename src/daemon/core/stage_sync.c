/* stage_sync.c - see stage_sync.h. */
#include "daemon/core/stage_sync.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

/* Has the file written, or waits until it is on disk. */
static int write_out(int fd, bool wait)
{
    if (wait)
        return fsync(fd) < 0 ? -errno : 0;
    sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* where it can't, fsync does it all */
    return 0;
}

/* Depth first, as deep as uploads may be nested. */
static int walk(int own_fd, bool wait)
{
    _closedir_ DIR *dir = fdopendir(own_fd);
    struct dirent *d;
    int r = 0;

    if (!dir) {
        close(own_fd);
        return -ENOMEM;
    }
    while (r == 0 && (d = readdir(dir))) {
        _close_ int fd = -1;
        struct stat st;

        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        fd = openat(dirfd(dir), d->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
            return -errno;
        r = S_ISDIR(st.st_mode) ? walk(jl_take_fd(&fd), wait) : write_out(fd, wait);
    }
    return r == 0 && wait ? write_out(dirfd(dir), true) : r;
}

/* Everything is set going first: so that thousands of small files wait for the disk about once. */
static int sync_job(const void *in, size_t len, const int *fds, size_t n_fds, struct jl_buf *out,
                    int *ret_fd, struct jl_err *e)
{
    int r = n_fds == 2 ? 0 : -EINVAL;

    (void) in;
    (void) len;
    (void) out;
    (void) ret_fd;
    for (int wait = 0; wait <= 1 && r == 0; wait++) {
        int fd = openat(fds[0], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        r = fd < 0 ? -errno : walk(fd, wait);
    }
    if (r == 0 && fsync(fds[1]) < 0)
        r = -errno;
    return r < 0 ? jl_fail(e, -r, "put the uploads on disk") : 0;
}

const jd_work_fn jd_sync_work[JD_SYNC_N] = { [JD_SYNC_JOB] = sync_job };
