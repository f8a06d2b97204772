/* copytree.c - see copytree.h. */
#include "base/copytree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"

#define DEPTH_MAX 200

static int set_owner(int dir, const char *name, const struct stat *st, struct jl_err *e)
{
    struct timespec times[2] = { st->st_atim, st->st_mtim };

    /* EINVAL: an owner that the user namespace does not map stays root's */
    if (fchownat(dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0 && errno != EINVAL &&
        errno != EPERM)
        return jl_fail_sys(e, "fchownat", name, "copy the owner");
    if (!S_ISLNK(st->st_mode) && fchmodat(dir, name, st->st_mode & 07777, 0) < 0)
        return jl_fail_sys(e, "fchmodat", name, "copy the mode");
    utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW);
    return 0;
}

static int copy_file(int from_dir, int to_dir, const char *name, const struct stat *st,
                     struct jl_err *e)
{
    _close_ int from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    _close_ int to =
        openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    off_t done = 0;

    if (from < 0 || to < 0)
        return jl_fail_sys(e, "openat", name, "copy a file");
    while (done < st->st_size) {
        ssize_t n = sendfile(to, from, &done, (size_t) (st->st_size - done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return jl_fail_sys(e, "sendfile", name, "copy a file");
        if (n == 0)
            break; /* became shorter */
    }
    return 0;
}

static int copy_link(int from_dir, int to_dir, const char *name, struct jl_err *e)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(from_dir, name, target, sizeof target - 1);

    if (n < 0)
        return jl_fail_sys(e, "readlinkat", name, "copy a symlink");
    target[n] = '\0';
    if (symlinkat(target, to_dir, name) < 0)
        return jl_fail_sys(e, "symlinkat", name, "copy a symlink");
    return 0;
}

static int copy_tree(int from_fd, int to_fd, int depth, struct jl_err *e);

static int copy_dir(int from_dir, int to_dir, const char *name, int depth, struct jl_err *e)
{
    _close_ int from = openat(from_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    _close_ int to = -1;

    if (from < 0)
        return jl_fail_sys(e, "openat", name, "copy a directory");
    if (mkdirat(to_dir, name, 0700) < 0)
        return jl_fail_sys(e, "mkdirat", name, "copy a directory");
    to = openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (to < 0)
        return jl_fail_sys(e, "openat", name, "copy a directory");
    return copy_tree(from, to, depth + 1, e);
}

static int copy_entry(int from_dir, int to_dir, const char *name, int depth, struct jl_err *e)
{
    struct stat st;
    int r;

    if (fstatat(from_dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return jl_fail_sys(e, "fstatat", name, "copy");
    if (S_ISDIR(st.st_mode))
        r = copy_dir(from_dir, to_dir, name, depth, e);
    else if (S_ISREG(st.st_mode))
        r = copy_file(from_dir, to_dir, name, &st, e);
    else if (S_ISLNK(st.st_mode))
        r = copy_link(from_dir, to_dir, name, e);
    else
        return jl_refuse(e, ENOTSUP, "'%s' is neither file, directory nor symlink", name);
    return r < 0 ? r : set_owner(to_dir, name, &st, e);
}

static int copy_tree(int from_fd, int to_fd, int depth, struct jl_err *e)
{
    _closedir_ DIR *dir = jl_opendir_at(from_fd, ".");
    struct dirent *d;

    if (!dir)
        return jl_fail_sys(e, "openat", NULL, "read a directory");
    if (depth > DEPTH_MAX)
        return jl_refuse(e, ELOOP, "the tree is deeper than %d directories", DEPTH_MAX);
    while ((d = readdir(dir)) != NULL) {
        int r;

        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        r = copy_entry(from_fd, to_fd, d->d_name, depth, e);
        if (r < 0)
            return r;
    }
    return 0;
}

int jl_copy_tree(int from_fd, int to_fd, struct jl_err *e)
{
    return copy_tree(from_fd, to_fd, 0, e);
}
