/* upload.c - see upload.h. The files are the user's own; they are read as he sees them. */
#include "rnx/upload.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "api/validate.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "rnx/cmd.h"
#include "rnx/out.h"

#define DEPTH_MAX 64

static int add_item(struct rnx_uploads *u, const char *path, mode_t mode, bool is_directory,
                    Joblet__FileUpload **ret, struct jl_err *e)
{
    Joblet__FileUpload *f;

    if (u->n >= API_UPLOADS_MAX)
        return jl_refuse(e, E2BIG, "more than %d files and directories to upload", API_UPLOADS_MAX);
    if (u->n == u->room) {
        size_t room = u->room ? 2 * u->room : 16;
        Joblet__FileUpload **items = realloc(u->items, room * sizeof(Joblet__FileUpload *));

        if (!items)
            return jl_fail(e, ENOMEM, "uploads");
        u->items = items;
        u->room = room;
    }
    f = malloc(sizeof *f);
    if (!f)
        return jl_fail(e, ENOMEM, "uploads");
    joblet__file_upload__init(f);
    f->path = strdup(path);
    if (!f->path) {
        free(f);
        return jl_fail(e, ENOMEM, "uploads");
    }
    f->mode = mode & 0777;
    f->is_directory = is_directory;
    u->items[u->n++] = f;
    u->n_files += !is_directory;
    *ret = f;
    return 0;
}

static int refuse_total(uint64_t bytes, struct jl_err *e)
{
    char text[32];

    jl_refuse(e, EFBIG, "the uploads are %s or more; up to 128 MB can be sent with a job",
              rnx_size_text(bytes, text, sizeof text));
    return jl_hint(e, "Leave out what the job does not need, or compress it.");
}

/* Reads a regular file whole; it may change while we read, so its size is what was read. */
static int add_file(struct rnx_uploads *u, const char *local, const char *path, struct jl_err *e)
{
    _buf_ struct jl_buf b = JL_BUF_INIT(RNX_UPLOAD_MAX_BYTES + 1);
    _close_ int fd = open(local, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    Joblet__FileUpload *f = NULL;
    struct stat st;
    int r;

    if (fd < 0 || fstat(fd, &st) < 0)
        return jl_fail(e, errno, "upload '%s'", local);
    if (!S_ISREG(st.st_mode))
        return jl_refuse(e, EINVAL, "upload '%s': not a regular file", local);
    if ((uint64_t) st.st_size + u->bytes > RNX_UPLOAD_MAX_BYTES)
        return refuse_total((uint64_t) st.st_size + u->bytes, e);
    r = jl_buf_reserve(&b, (size_t) st.st_size + 1);
    if (r == 0)
        r = jl_read_all(fd, &b);
    if (r < 0 && r != -EMSGSIZE) /* that: it has grown since */
        return jl_fail(e, -r, "read '%s'", local);
    if (r < 0 || b.len + u->bytes > RNX_UPLOAD_MAX_BYTES)
        return refuse_total(b.len + u->bytes, e);
    r = add_item(u, path, st.st_mode, false, &f, e);
    if (r < 0)
        return r;
    u->bytes += b.len;
    f->content.len = b.len;
    f->content.data = (uint8_t *) jl_buf_take(&b);
    return 0;
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
    Joblet__FileUpload *f = NULL;
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
    r = add_item(w->u, path, st.st_mode, true, &f, w->e);
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
    return strcmp((*(Joblet__FileUpload *const *) a)->path,
                  (*(Joblet__FileUpload *const *) b)->path);
}

static void free_item(Joblet__FileUpload *f)
{
    free(f->path);
    free(f->content.data);
    free(f);
}

int rnx_upload_check(struct rnx_uploads *u, struct jl_err *e)
{
    size_t kept = 0;

    if (u->n > 1)
        qsort(u->items, u->n, sizeof(Joblet__FileUpload *), by_path);
    for (size_t i = 0; i < u->n; i++) {
        Joblet__FileUpload *f = u->items[i], *before = kept ? u->items[kept - 1] : NULL;

        if (before && strcmp(before->path, f->path) == 0) {
            if (!before->is_directory || !f->is_directory)
                return jl_refuse(e, EEXIST, "two uploads would be '%s' in the work directory",
                                 f->path);
            free_item(f); /* the same directory below two --upload-dir */
            u->items[i] = NULL;
            continue;
        }
        u->items[i] = NULL;
        u->items[kept++] = f;
    }
    u->n = kept;
    return 0;
}

const Joblet__FileUpload *rnx_upload_find(const struct rnx_uploads *u, const char *path)
{
    for (size_t i = 0; i < u->n; i++)
        if (strcmp(u->items[i]->path, path) == 0)
            return u->items[i];
    return NULL;
}

void rnx_uploads_done(struct rnx_uploads *u)
{
    for (size_t i = 0; i < u->n; i++)
        if (u->items[i])
            free_item(u->items[i]);
    free(u->items);
    memset(u, 0, sizeof *u);
}
