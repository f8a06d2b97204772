#include "daemon/front/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

#define MODE_MASK 0777
#define LOOK_BYTES ((uint64_t) 16 << 20) /* written between two looks at the disk */
#define LOOK_NAMES 1024                  /* made between them */

void jd_stage_init(struct jd_stage *s, int own_dirfd, const struct jd_uploads *what)
{
    *s = (struct jd_stage){
        .dirfd = own_dirfd, .what = what, .file_fd = -1, .parent_fd = -1, .modes_left = what->n
    };
}

void jd_stage_done(struct jd_stage *s)
{
    s->file_fd = jl_close(s->file_fd);
    s->parent_fd = jl_close(s->parent_fd);
    s->dirfd = jl_close(s->dirfd);
    free(jl_take_ptr(s->parent));
    free(jl_take_ptr(s->open_path));
    for (size_t i = 0; i < s->n_dirs; i++)
        free(s->dirs[i].path);
    free(jl_take_ptr(s->dirs));
    s->n_dirs = 0;
}

/* Front may not use src/os; this is the one place where it opens anything. */
static int open_beneath(int dirfd, const char *path, uint64_t flags, mode_t mode)
{
    struct open_how how = {
        .flags = flags | O_CLOEXEC | O_NOFOLLOW,
        .mode = flags & O_CREAT ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
    };
    long fd;

    do
        fd = syscall(SYS_openat2, dirfd, path, &how, sizeof how);
    while (fd < 0 && (errno == EINTR || errno == EAGAIN));
    return (int) fd;
}

/* The code becomes the client's status, so it says whose fault it is, not which call refused. */
static int failed(const struct jd_upload *up, const char *what, int code, struct jl_err *e)
{
    switch (code) {
    case EEXIST:
        return jl_refuse(e, EINVAL, "upload '%s': this path comes twice", up->path);
    case ENOTDIR:
        return jl_refuse(e, EINVAL, "upload '%s': a part of its path is uploaded as a file",
                         up->path);
    case ELOOP:
    case EXDEV:
        return jl_refuse(e, EINVAL, "upload '%s': the path leads out of the work directory",
                         up->path);
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case ENAMETOOLONG:
        return jl_fail(e, code, "upload '%s': %s", up->path, what);
    default:
        jl_fail(e, code, "upload '%s': %s", up->path, what);
        e->code = EIO;
        return -EIO;
    }
}

/* The directory `path` (len bytes) below the staging directory, made where it is missing. */
static int open_dir(struct jd_stage *s, const char *path, size_t len)
{
    _close_ int dirfd = open_beneath(s->dirfd, ".", O_RDONLY | O_DIRECTORY, 0);
    const char *at = path, *end = path + len;

    while (dirfd >= 0 && at < end) {
        const char *slash = memchr(at, '/', (size_t) (end - at));
        size_t n = slash ? (size_t) (slash - at) : (size_t) (end - at);
        _free_ char *part = strndup(at, n);
        int fd;

        if (!part)
            return -1;
        if (n > 0 && strcmp(part, ".") != 0) {
            if (mkdirat(dirfd, part, 0755) == 0)
                s->names++;
            else if (errno != EEXIST)
                return -1;
            fd = open_beneath(dirfd, part, O_RDONLY | O_DIRECTORY, 0);
            close(dirfd);
            dirfd = fd;
        }
        at += n + (slash ? 1 : 0);
    }
    return jl_take_fd(&dirfd);
}

/* Many files lie in the same directory: the last one stays open. */
static int parent_of(struct jd_stage *s, const char *path, const char **ret_name)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t) (slash - path) : 0;

    *ret_name = slash ? slash + 1 : path;
    if (s->parent && strlen(s->parent) == len && memcmp(s->parent, path, len) == 0)
        return s->parent_fd;
    free(jl_take_ptr(s->parent));
    jl_close(s->parent_fd);
    s->parent_fd = open_dir(s, path, len);
    if (s->parent_fd >= 0)
        s->parent = strndup(path, len);
    return s->parent_fd;
}

static int begin(struct jd_stage *s, const struct jd_upload *up, struct jl_err *e)
{
    const char *name;
    int dirfd;

    if (up->is_directory) {
        _close_ int fd = open_dir(s, up->path, strlen(up->path));

        return fd < 0 ? failed(up, "make the directory", errno, e) : 0;
    }
    dirfd = parent_of(s, up->path, &name);
    if (dirfd < 0)
        return failed(up, "make its directory", errno, e);
    s->file_fd = open_beneath(dirfd, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (s->file_fd < 0)
        return failed(up, "make the file", errno, e);
    s->names++;
    return 0;
}

/* One client may not take what the host needs: the disk's last part is left alone. */
static int look(struct jd_stage *s, struct jl_err *e)
{
    const char *scarce;

    if (s->names > JD_STAGE_NAMES_MAX)
        return jl_refuse(e, EMSGSIZE, "more than %d files and directories are uploaded",
                         JD_STAGE_NAMES_MAX);
    if (s->bytes - s->looked_bytes < LOOK_BYTES && s->names - s->looked_names < LOOK_NAMES)
        return 0;
    s->looked_bytes = s->bytes;
    s->looked_names = s->names;
    scarce = jl_fs_lacks(s->dirfd);
    if (scarce)
        return jl_refuse(e, ENOSPC, "the server's disk for jobs has less than 5 %% of its %s left",
                         scarce);
    return 0;
}

static int finish_file(struct jd_stage *s, const struct jd_upload *up, struct jl_err *e)
{
    mode_t mode = up->mode & MODE_MASK;

    if (fchmod(s->file_fd, mode ? mode : 0644) < 0)
        return failed(up, "set its mode", errno, e);
    if (close(jl_take_fd(&s->file_fd)) < 0) /* a quota may show only now */
        return failed(up, "write the file", errno, e);
    return 0;
}

static int set_dir_mode(struct jd_stage *s, const struct jd_upload *up, struct jl_err *e)
{
    _close_ int fd = -1;

    if (!up->is_directory)
        return 0;
    fd = open_beneath(s->dirfd, up->path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return failed(up, "open the directory", errno, e);
    if (fchmod(fd, up->mode & MODE_MASK ? up->mode & MODE_MASK : 0755) < 0)
        return failed(up, "set its mode", errno, e);
    return 0;
}

static int write_some(struct jd_stage *s, const struct jd_upload *up, size_t *bytes,
                      struct jl_err *e)
{
    while (s->written<up->len && * bytes> 0) {
        size_t want = up->len - s->written;
        ssize_t n = write(s->file_fd, up->content + s->written, want < *bytes ? want : *bytes);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failed(up, "write the file", errno, e);
        s->written += (size_t) n;
        s->bytes += (size_t) n;
        *bytes -= (size_t) n;
    }
    return 0;
}

static int step_upload(struct jd_stage *s, size_t *bytes, struct jl_err *e)
{
    const struct jd_upload *up = &s->what->items[s->at];
    int r;

    if (s->file_fd < 0) {
        r = begin(s, up, e);
        if (r == 0)
            r = look(s, e);
        if (r < 0)
            return r;
    }
    if (!up->is_directory) {
        r = write_some(s, up, bytes, e);
        if (r == 0)
            r = look(s, e);
        if (r < 0 || s->written < up->len)
            return r;
        r = finish_file(s, up, e);
        if (r < 0)
            return r;
    }
    s->at++;
    s->written = 0;
    return 0;
}

int jd_stage_step(struct jd_stage *s, size_t bytes, struct jl_err *e)
{
    int r = 0;

    for (int names = 0; names < JD_STAGE_NAMES && r == 0; names++) {
        if (s->at < s->what->n) {
            if (bytes == 0)
                return 1;
            r = step_upload(s, &bytes, e);
        } else if (s->modes_left > 0) {
            r = set_dir_mode(s, &s->what->items[--s->modes_left], e);
        } else {
            return 0;
        }
    }
    return r < 0 ? r : 1;
}

static int keep_dir(struct jd_stage *s, const struct jd_upload *up, struct jl_err *e)
{
    s->dirs_bytes += strlen(up->path) + sizeof *up;
    if (s->dirs_bytes > JD_STAGE_DIRS_BYTES)
        return jl_refuse(e, EMSGSIZE, "too many directories are uploaded");
    if (s->n_dirs == s->room_dirs) {
        size_t room = s->room_dirs ? 2 * s->room_dirs : 16;
        struct jd_upload *dirs = reallocarray(s->dirs, room, sizeof *dirs);

        if (!dirs)
            return jl_fail(e, ENOMEM, "keep a directory's mode");
        s->dirs = dirs;
        s->room_dirs = room;
    }
    s->dirs[s->n_dirs] = (struct jd_upload){ .mode = up->mode, .is_directory = true };
    s->dirs[s->n_dirs].path = strdup(up->path);
    if (!s->dirs[s->n_dirs].path)
        return jl_fail(e, ENOMEM, "keep a directory's mode");
    s->n_dirs++;
    return 0;
}

/* The file that the piece belongs to is open after this. */
static int begin_or_go_on(struct jd_stage *s, const struct jd_upload *up, struct jl_err *e)
{
    if (s->file_fd >= 0 && strcmp(s->open_path, up->path) == 0)
        return 0;
    if (s->file_fd >= 0)
        return jl_refuse(e, EINVAL, "upload '%s' begins before '%s' has ended", up->path,
                         s->open_path);
    free(s->open_path);
    s->open_path = strdup(up->path);
    if (!s->open_path)
        return jl_fail(e, ENOMEM, "begin an upload");
    s->open_mode = up->mode;
    return begin(s, up, e);
}

int jd_stage_chunk(struct jd_stage *s, const struct jd_chunk *c, struct jl_err *e)
{
    struct jd_upload up = c->up;
    size_t bytes = up.len;
    int r = up.is_directory && s->file_fd < 0 ? begin(s, &up, e) : begin_or_go_on(s, &up, e);

    if (r == 0)
        r = look(s, e);
    if (r < 0 || up.is_directory)
        return r < 0 ? r : keep_dir(s, &up, e);
    s->written = 0;
    r = write_some(s, &up, &bytes, e);
    if (r < 0 || !c->eof)
        return r;
    up.mode = s->open_mode;
    return finish_file(s, &up, e);
}

int jd_stage_finish(struct jd_stage *s, struct jl_err *e)
{
    int r = 0;

    if (s->file_fd >= 0)
        return jl_refuse(e, EINVAL, "upload '%s' has no end", s->open_path);
    while (r == 0 && s->n_dirs > 0) {
        r = set_dir_mode(s, &s->dirs[s->n_dirs - 1], e);
        free(s->dirs[--s->n_dirs].path);
    }
    return r;
}
