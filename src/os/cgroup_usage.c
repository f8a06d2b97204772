/*
 * cgroup_usage.c - all that a group's files say of what was used, one number by one, for whoever
 * shows them. cgroup_stat.c has the sums for a job's result.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "os/cgroup_internal.h"
#include "os/cgroup_usage.h"

static int fd_of(const struct os_cgroup *cg, enum os_controller c, bool *ret_v2)
{
    *ret_v2 = cg->host.v1[c][0] == '\0';
    return *ret_v2 ? cg->fd[CG_UNIFIED] : cg->fd[c];
}

int os_cgroup_read_number(const struct os_cgroup *cg, enum os_controller c, const char *v1_file,
                          const char *v2_file, uint64_t *ret)
{
    bool v2;
    int fd = fd_of(cg, c, &v2);
    const char *file = v2 ? v2_file : v1_file;

    if (fd < 0 || !file)
        return -ENOENT;
    return cg_read_u64(fd, file, ret);
}

int os_cgroup_read_text(const struct os_cgroup *cg, enum os_controller c, const char *v1_file,
                        const char *v2_file, struct jl_buf *ret)
{
    struct jl_err ignored = JL_ERR_INIT;
    bool v2;
    int fd = fd_of(cg, c, &v2), r;
    const char *file = v2 ? v2_file : v1_file;

    if (fd < 0 || !file)
        return -ENOENT;
    r = jl_read_file_at(fd, file, ret, &ignored);
    return r < 0 ? r : ret->data ? 0 : -ENODATA;
}
