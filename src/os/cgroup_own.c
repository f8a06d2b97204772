/*
 * cgroup_own.c - whose a group is: the one that was delegated to the caller, and handing a group
 * to somebody else. cgroup-v2.rst, "Delegation"; systemd's CGROUP_DELEGATION.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "os/cgroup_internal.h"

/* Our own group in the unified tree, from the line "0::/a/b" of /proc/self/cgroup; false when there
 * is none that we see. */
static bool own_path(char *ret, size_t size)
{
    char text[8192];
    ssize_t n = cg_read(AT_FDCWD, "/proc/self/cgroup", text, sizeof text);
    const char *line = n < 0 ? NULL : strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    size_t len;

    if (!line)
        return false;
    line += strspn(line, "\n") + 3;
    len = strcspn(line, "\n");
    if (*line != '/' || len > size || strncmp(line, "/..", 3) == 0)
        return false;
    memcpy(ret, line + 1, len - 1);
    ret[len - 1] = '\0';
    return true;
}

/* Whether we may make groups there, move processes and hand controllers on. */
static bool is_ours(int fd)
{
    static const char *const files[] = { "cgroup.procs", "cgroup.subtree_control" };

    if (fd < 0 || faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
        return false;
    for (size_t i = 0; i < JL_COUNT(files); i++)
        if (faccessat(fd, files[i], W_OK, AT_EACCESS) < 0)
            return false;
    return true;
}

/* The group of a unit of systemd's, which it marks if it is delegated (from version 251 on, if the
 * kernel lets it): what is above it is systemd's, not ours. */
static bool is_boundary(int fd, const char *path)
{
    static const char *const kinds[] = { ".scope", ".service" };
    size_t len = strlen(path);
    char value[8];

    for (size_t i = 0; i < JL_COUNT(kinds); i++)
        if (len > strlen(kinds[i]) && strcmp(path + len - strlen(kinds[i]), kinds[i]) == 0)
            return true;
    return fgetxattr(fd, "user.delegate", value, sizeof value) == 1 && value[0] == '1';
}

bool os_cgroup_delegated(const struct os_cgroup_host *host, char *ret, size_t size)
{
    _close_ int own = -1;
    _close_ int above = -1;
    char who[96], *slash;

    if (host->mode != OS_CGROUP_V2 || !own_path(ret, size))
        return false;
    own = cg_open_below(host->unified, ret, strlen(ret));
    if (!is_ours(own))
        return false;
    if (ret[0] == '\0' || is_boundary(own, ret))
        return true;
    /* We are inside ourselves, so it can't hand controllers on; one above may that is empty. */
    slash = strrchr(ret, '/');
    above = cg_open_below(host->unified, ret, slash ? (size_t) (slash - ret) : 0);
    if (is_ours(above) && cg_some_process(above, false, who, sizeof who)[0] == '\0')
        *(slash ? slash : ret) = '\0';
    return true;
}

int os_cgroup_give(const struct os_cgroup *cg, uid_t uid, struct jl_err *e)
{
    _buf_ struct jl_buf list = JL_BUF_INIT(65536);
    struct jl_err ignored = JL_ERR_INIT;
    const char *p = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n";
    int dir = cg->fd[CG_UNIFIED];

    if (jl_read_file_at(AT_FDCWD, "/sys/kernel/cgroup/delegate", &list, &ignored) == 0 && list.data)
        p = list.data;
    if (fchown(dir, uid, (gid_t) -1) < 0) {
        jl_fail_sys(e, "fchown", cg->path, "hand the group to user %u", (unsigned) uid);
        return jl_phase(e, "cgroup");
    }
    for (; *p != '\0'; p += strspn(p, "\n")) {
        char file[256];
        size_t len = strcspn(p, "\n");

        if (len > 0 && len < sizeof file && !memchr(p, '/', len)) {
            memcpy(file, p, len);
            file[len] = '\0';
            /* not every group has every file of the list */
            if (fchownat(dir, file, uid, (gid_t) -1, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT) {
                jl_fail_sys(e, "fchownat", file, "hand cgroup %s to user %u", cg->path,
                            (unsigned) uid);
                return jl_phase(e, "cgroup");
            }
        }
        p += len;
    }
    return 0;
}
