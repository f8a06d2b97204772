/* upload.c - see upload.h. The files are the user's own; they are read as he sees them. */
#include "rnx/upload.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "api/validate.h"
#include "base/cleanup.h"
#include "base/utf8.h"
#include "rnx/cmd.h"

#define DEPTH_MAX 64

static int add_item(struct rnx_uploads *u, const char *local, const char *path,
                    const struct stat *st, struct jl_err *e)
{
    struct rnx_upload f = { .mode = st->st_mode & 0777, .is_directory = S_ISDIR(st->st_mode) };

    if (u->n >= RNX_UPLOAD_NAMES_MAX)
        return jl_refuse(e, E2BIG, "more than %d files and directories to upload",
                         RNX_UPLOAD_NAMES_MAX);
    if (u->n == u->room) {
        size_t room = u->room ? 2 * u->room : 16;
        struct rnx_upload *items = realloc(u->items, room * sizeof *items);

        if (!items)
            return jl_fail(e, ENOMEM, "uploads");
        u->items = items;
        u->room = room;
    }
    f.path = strdup(path);
    f.local = f.is_directory ? NULL : strdup(local);
    if (!f.path || (!f.local && !f.is_directory)) {
        free(f.path);
        free(f.local);
        return jl_fail(e, ENOMEM, "uploads");
    }
    f.size = f.is_directory ? 0 : (uint64_t) st->st_size;
    u->items[u->n++] = f;
    u->n_files += !f.is_directory;
    u->bytes += f.size;
    u->path_bytes += strlen(path);
    return 0;
}

/* A descriptor of a regular file; a pipe or a device is not waited for. */
static int open_regular(const char *local, struct stat *st, struct jl_err *e)
{
    _close_ int fd = open(local, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0 || fstat(fd, st) < 0)
        return jl_fail(e, errno, "upload '%s'", local);
    if (!S_ISREG(st->st_mode))
        return jl_refuse(e, EINVAL, "upload '%s': not a regular file", local);
    return jl_take_fd(&fd);
}

static int add_file(struct rnx_uploads *u, const char *local, const char *path, struct jl_err *e)
{
    struct stat st;
    _close_ int fd = open_regular(local, &st, e);

    return fd < 0 ? fd : add_item(u, local, path, &st, e);
}

static int changed(const struct rnx_upload *f, const char *how, struct jl_err *e)
{
    jl_refuse(e, ESTALE, "upload '%s': %s while it was read", f->local, how);
    return jl_hint(e, "Nothing was submitted. Upload a copy that nobody writes to.");
}

int rnx_upload_open(const struct rnx_upload *f, struct jl_err *e)
{
    struct stat st;
    _close_ int fd = open_regular(f->local, &st, e);

    if (fd >= 0 && (uint64_t) st.st_size != f->size)
        return changed(f, (uint64_t) st.st_size > f->size ? "it grew" : "it shrank", e);
    return jl_take_fd(&fd);
}

int64_t rnx_upload_read(const struct rnx_upload *f, int fd, uint64_t *at, void *buf, size_t size,
                        struct jl_err *e)
{
    uint64_t left = f->size - *at;
    size_t want = left < size ? (size_t) left : size, have = 0;
    char more;
    ssize_t n;

    while (have < want) {
        n = read(fd, (char *) buf + have, want - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return jl_fail(e, errno, "read '%s'", f->local);
        if (n == 0)
            return changed(f, "it shrank", e);
        have += (size_t) n;
    }
    *at += have;
    if (*at < f->size)
        return (int64_t) have;
    do
        n = read(fd, &more, 1);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return jl_fail(e, errno, "read '%s'", f->local);
    return n > 0 ? changed(f, "it grew", e) : (int64_t) have;
}

int rnx_upload_file(struct rnx_uploads *u, const char *file, struct jl_err *e)
{
    const char *base = strrchr(file, '/');
    struct stat st;

    if (stat(file, &st) < 0)
        return jl_fail(e, errno, "upload '%s'", file);
    if (S_ISDIR(st.st_mode)) {
        jl_refuse(e, EISDIR, "--upload=%s: '%s' is a directory", file, file);
        return jl_hint(e, "--upload-dir=%s uploads what is in it.", file);
    }
    if (!S_ISREG(st.st_mode))
        return jl_refuse(e, EINVAL, "upload '%s': not a regular file", file);
    base = base ? base + 1 : file;
    if (base[0] == '\0')
        return jl_refuse(e, EINVAL, "--upload=%s names no file", file);
    return add_file(u, file, base, e);
}

/* One level of the walk; the chain leads up to DIR and is how a circle of links is seen. */
struct level {
    const struct level *up;
    dev_t dev;
    ino_t ino;
    unsigned depth;
};

struct walk {
    struct rnx_uploads *u;
    const char *root; /* real path of DIR */
    struct jl_err *e;
};

static int walk_dir(struct walk *w, const char *local, const char *path, const struct level *at);

/* Does this link end inside DIR? Says so when it does not. */
static bool link_stays_inside(const struct walk *w, const char *local)
{
    _free_ char *real = realpath(local, NULL);
    size_t len = strlen(w->root);

    if (real && strncmp(real, w->root, len) == 0 &&
        (real[len] == '\0' || real[len] == '/' || len == 1))
        return true;
    rnx_warn("%s: skipped, a link that %s", local, real ? "leaves the directory" : "leads nowhere");
    return false;
}

static bool in_chain(const struct level *at, const struct stat *st)
{
    for (; at; at = at->up)
        if (at->dev == st->st_dev && at->ino == st->st_ino)
            return true;
    return false;
}

static int walk_entry(struct walk *w, const char *local, const char *path, const struct level *at)
{
    struct stat st;
    int r;

    if (lstat(local, &st) < 0)
        return jl_fail(w->e, errno, "upload '%s'", local);
    if (S_ISLNK(st.st_mode)) {
        if (!link_stays_inside(w, local))
            return 0;
        if (stat(local, &st) < 0)
            return jl_fail(w->e, errno, "upload '%s'", local);
    }
    if (S_ISREG(st.st_mode))
        return add_file(w->u, local, path, w->e);
    if (!S_ISDIR(st.st_mode)) {
        rnx_warn("%s: skipped, neither file nor directory", local);
        return 0;
    }
    if (in_chain(at, &st)) {
        rnx_warn("%s: skipped, a link to a directory that it is in", local);
        return 0;
    }
    if (at->depth >= DEPTH_MAX)
        return jl_refuse(w->e, ELOOP, "upload '%s': more than %d directories deep", local,
                         DEPTH_MAX);
    r = add_item(w->u, local, path, &st, w->e);
    if (r < 0)
        return r;
    return walk_dir(w, local, path, &(struct level){ at, st.st_dev, st.st_ino, at->depth + 1 });
}

static int walk_dir(struct walk *w, const char *local, const char *path, const struct level *at)
{
    _closedir_ DIR *d = opendir(local);
    char *next_local = NULL, *next_path = NULL;
    struct dirent *ent;
    int r = 0;

    if (!d)
        return jl_fail(w->e, errno, "upload '%s'", local);
    while (r == 0 && (errno = 0, ent = readdir(d))) {
        size_t n = strlen(local) + strlen(ent->d_name) + 2;
        size_t m = strlen(path) + strlen(ent->d_name) + 2;

        if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0)
            continue;
        next_local = malloc(n);
        next_path = malloc(m);
        if (next_local && next_path) {
            snprintf(next_local, n, "%s/%s", local, ent->d_name);
            snprintf(next_path, m, "%s%s%s", path, path[0] ? "/" : "", ent->d_name);
            r = walk_entry(w, next_local, next_path, at);
        } else {
            r = jl_fail(w->e, ENOMEM, "upload '%s'", local);
        }
        free(next_local);
        free(next_path);
    }
    if (r == 0 && errno != 0)
        r = jl_fail(w->e, errno, "read directory '%s'", local);
    return r;
}

int rnx_upload_dir(struct rnx_uploads *u, const char *dir, struct jl_err *e)
{
    _free_ char *root = realpath(dir, NULL);
    struct walk w = { u, root, e };
    struct stat st;

    if (!root || stat(root, &st) < 0)
        return jl_fail(e, errno, "upload directory '%s'", dir);
    if (!S_ISDIR(st.st_mode)) {
        jl_refuse(e, ENOTDIR, "--upload-dir=%s: '%s' is not a directory", dir, dir);
        return jl_hint(e, "--upload=%s uploads a file.", dir);
    }
    return walk_dir(&w, dir, "", &(struct level){ NULL, st.st_dev, st.st_ino, 0 });
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct rnx_upload *) a)->path, ((const struct rnx_upload *) b)->path);
}

static void free_item(struct rnx_upload *f)
{
    free(f->path);
    free(f->local);
}

int rnx_upload_check(struct rnx_uploads *u, struct jl_err *e)
{
    size_t kept = 0;

    if (u->n > 1)
        qsort(u->items, u->n, sizeof *u->items, by_path);
    for (size_t i = 0; i < u->n; i++) {
        struct rnx_upload *f = &u->items[i], *before = kept ? &u->items[kept - 1] : NULL;

        if (before && strcmp(before->path, f->path) == 0) {
            if (!before->is_directory || !f->is_directory)
                return jl_refuse(e, EEXIST, "two uploads would be '%s' in the work directory",
                                 f->path);
            free_item(f); /* the same directory below two --upload-dir */
            *f = (struct rnx_upload){ 0 };
            continue;
        }
        if (api_validate_upload_path("upload", f->path, e) < 0)
            return -e->code;
        if (!jl_utf8_valid(f->path, strlen(f->path), NULL))
            return jl_refuse(e, EILSEQ, "upload '%s': its name is not UTF-8", f->path);
        if (i != kept) {
            u->items[kept] = *f;
            *f = (struct rnx_upload){ 0 };
        }
        kept++;
    }
    u->n = kept;
    return 0;
}

const struct rnx_upload *rnx_upload_find(const struct rnx_uploads *u, const char *path)
{
    for (size_t i = 0; i < u->n; i++)
        if (strcmp(u->items[i].path, path) == 0)
            return &u->items[i];
    return NULL;
}

void rnx_uploads_done(struct rnx_uploads *u)
{
    for (size_t i = 0; i < u->n; i++)
        free_item(&u->items[i]);
    free(u->items);
    memset(u, 0, sizeof *u);
}
