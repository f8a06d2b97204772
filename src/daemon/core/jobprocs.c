/* jobprocs.c - see jobprocs.h. */
#include "daemon/core/jobprocs.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"

/* False when there are more than may be counted. */
static bool add_files(pid_t pid, struct jd_procs *p)
{
    char path[32];
    struct stat st;
    bool whole = true;
    DIR *dir;

    snprintf(path, sizeof path, "/proc/%d/fd", (int) pid);
    if (stat(path, &st) < 0)
        return true;
    if (st.st_size > 0) { /* since Linux 6.2 it is their number */
        p->open_files += (uint64_t) st.st_size;
        return true;
    }
    dir = opendir(path);
    for (const struct dirent *d; dir && whole && (d = readdir(dir));) {
        p->open_files += d->d_name[0] != '.';
        whole = p->open_files <= JD_PROCS_FILES_MAX;
    }
    if (dir)
        closedir(dir);
    return whole;
}

void jd_procs_read(const struct os_cgroup *cg, uint64_t tasks, struct jd_procs *ret)
{
    struct jl_err ignored = JL_ERR_INIT;
    _free_ pid_t *pids = NULL;
    size_t n;

    *ret = (struct jd_procs){ 0 };
    if (tasks > JD_PROCS_MAX || os_cgroup_pids(cg, &pids, &n, &ignored) < 0 || n > JD_PROCS_MAX)
        return;
    ret->processes = n;
    for (size_t i = 0; i < n; i++)
        if (!add_files(pids[i], ret)) {
            ret->open_files = 0;
            return;
        }
}
