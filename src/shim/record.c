/* record.c - see record.h. */
#include "shim/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

#define NEW_NAME IPC_EXITREC_NEW_NAME

int sh_record_prepare(struct sh_record *r, int state_dirfd, struct jl_err *e)
{
    int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(state_dirfd, NEW_NAME, flags, 0640);

    if (fd < 0)
        return jl_fail_sys(e, "openat", NEW_NAME, "prepare the exit record");
    /* Where a file system cannot promise space, the write at the end has to try its luck. */
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, IPC_EXITREC_MAX) < 0 &&
        (errno == ENOSPC || errno == EDQUOT)) {
        jl_fail_sys(e, "fallocate", NEW_NAME, "prepare the exit record");
        jl_close(fd);
        unlinkat(state_dirfd, NEW_NAME, 0);
        return -e->code;
    }
    *r = (struct sh_record){ state_dirfd, fd };
    return 0;
}

int sh_record_publish(struct sh_record *r, const struct ipc_exitrec *rec, struct jl_err *e)
{
    char text[IPC_EXITREC_MAX];
    int len = ipc_exitrec_write(rec, text, sizeof text);

    if (len < 0)
        return jl_refuse(e, -len, "exit record: larger than its limit");
    if (pwrite(r->fd, text, (size_t) len, 0) != len)
        return jl_fail_sys(e, "pwrite", NEW_NAME, "write the exit record");
    if (ftruncate(r->fd, len) < 0)
        return jl_fail_sys(e, "ftruncate", NEW_NAME, "write the exit record");
    if (fsync(r->fd) < 0)
        return jl_fail_sys(e, "fsync", NEW_NAME, "write the exit record");
    if (renameat(r->dirfd, NEW_NAME, r->dirfd, IPC_EXITREC_NAME) < 0)
        return jl_fail_sys(e, "renameat", IPC_EXITREC_NAME, "publish the exit record");
    if (fsync(r->dirfd) < 0)
        return jl_fail_sys(e, "fsync", "state directory", "publish the exit record");
    return 0;
}
