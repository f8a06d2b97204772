/* pidfile.c - --pid-file; see cmd.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "runtime/cmd.h"

/* A file without a name in the directory of `path`. fd or -errno. */
static int open_nameless(const char *path)
{
    const char *slash = strrchr(path, '/');
    _free_ char *dir = slash ? strndup(path, (size_t) (slash - path) + 1) : strdup(".");
    int fd = dir ? open(dir, O_WRONLY | O_TMPFILE | O_CLOEXEC, 0644) : -1;

    if (!dir)
        return -ENOMEM;
    return fd < 0 ? -errno : fd;
}

/* Gives it its name, instead of who has that now. 0 or -errno. */
static int give_name(int fd, const char *path)
{
    char self[32];

    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    if (linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0)
        return 0;
    if (errno != EEXIST || unlink(path) < 0)
        return -errno;
    return linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

int rt_pidfile_write(const char *path, int pid, struct jl_err *e)
{
    char text[16];
    int len = snprintf(text, sizeof text, "%d", pid), r;
    _close_ int fd = open_nameless(path);

    if (fd >= 0) {
        r = jl_write_all(fd, text, (size_t) len);
        if (r == 0)
            r = give_name(fd, path);
        if (r == 0)
            return 0;
    }
    /* a file system that has no nameless files; or the same failure once more, with its words */
    r = jl_publish_at(AT_FDCWD, path, text, (size_t) len, 0644, false, e);
    return r < 0 ? jl_wrap(e, "pid file '%s'", path) : 0;
}
