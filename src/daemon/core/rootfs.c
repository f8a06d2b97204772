/*
 * rootfs.c - see rootfs.h.
 */
#include "daemon/core/rootfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "daemon/core/bundle.h"
#include "daemon/core/core.h"
#include "os/openat2.h"

#define LOOK_MAX (16u << 20)

/* ---- what the host has */

/* Two strings each: the kind with the path, and of a link where it leads. */
static int look_at(struct jl_buf *look, const char *path, struct jl_err *e)
{
    char target[4096] = "";
    struct stat st;
    char kind = '-';
    ssize_t n;

    if (lstat(path, &st) < 0)
        return 0; /* said once, at the daemon's start */
    if (S_ISDIR(st.st_mode))
        kind = 'd';
    else if (S_ISREG(st.st_mode))
        kind = 'f';
    else if (S_ISLNK(st.st_mode))
        kind = 'l';
    if (kind == 'l' && (n = readlink(path, target, sizeof target - 1)) < 0)
        return jl_fail_sys(e, "readlink", path, "filesystem.allowedMounts");
    if (kind == '-')
        return 0;
    if (jl_buf_putc(look, kind) < 0 || jl_buf_add(look, path, strlen(path) + 1) < 0 ||
        jl_buf_add(look, target, strlen(target) + 1) < 0)
        return jl_fail(e, ENOMEM, "look at filesystem.allowedMounts");
    return 0;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(*(char *const *) a, *(char *const *) b);
}

static int look_at_host(struct jd_core *c, struct jl_buf *look, struct jl_err *e)
{
    struct jl_strv *list = &c->conf.allowed_mounts;
    int r = 0;

    if (list->len > 1) /* parents before what lies below them */
        qsort(list->items, list->len, sizeof *list->items, by_path);
    for (size_t i = 0; i < list->len && r == 0; i++)
        if (i == 0 || strcmp(list->items[i], list->items[i - 1]) != 0)
            r = look_at(look, list->items[i], e);
    return r;
}

/* ---- the tree */

/* The directory of `path`, and its last part. Only what lies deeper than the top can go through a
 * link and has to be looked up inside. *own_fd is to be closed. fd or -errno with e filled. */
static int parent_of(int root, const char *path, const char **ret_name, int *own_fd,
                     struct jl_err *e)
{
    if (strrchr(path, '/') == path) {
        *ret_name = path + 1;
        return root;
    }
    *own_fd = os_parent_in_root(root, path, ret_name, e);
    return *own_fd;
}

/* Parents are 0755; the last part gets its mode whatever the umask is. */
static int make_dir(int root, const char *path, mode_t mode, struct jl_err *e)
{
    _close_ int fd = os_mkdir_in_root(root, path, 0755, e), own = -1;
    const char *name;
    int parent;

    if (fd < 0 || mode == 0755)
        return fd < 0 ? fd : 0;
    parent = parent_of(root, path, &name, &own, e);
    if (parent < 0)
        return parent;
    return fchmodat(parent, name, mode, 0) < 0 ? jl_fail_sys(e, "fchmodat", path, "make the rootfs")
                                               : 0;
}

static int make_file(int root, const char *path, mode_t mode, struct jl_err *e)
{
    _close_ int fd = os_mkfile_in_root(root, path, mode, e);

    return fd < 0 ? fd : 0;
}

static int make_link(int root, const char *path, const char *target, struct jl_err *e)
{
    _close_ int own = -1;
    const char *name;
    int parent = parent_of(root, path, &name, &own, e);

    if (parent < 0)
        return parent;
    return symlinkat(target, parent, name) < 0 && errno != EEXIST
               ? jl_fail_sys(e, "symlink", path, "make the rootfs")
               : 0;
}

static int make_text(int root, const char *path, const char *text, struct jl_err *e)
{
    _close_ int own = -1, fd = -1;
    const char *name;
    int parent = parent_of(root, path, &name, &own, e), r;

    if (parent < 0)
        return parent;
    fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return jl_fail_sys(e, "open", path, "make the rootfs");
    r = jl_write_all(fd, text, strlen(text));
    return r < 0 ? jl_fail(e, -r, "write '%s'", path) : 0;
}

/* The places of what look_at saw; those that something is mounted on are added to binds. */
static int make_places(int root, const struct jl_buf *look, struct jl_strv *binds, struct jl_err *e)
{
    const char *target;
    int r = 0;

    for (size_t at = 0; r == 0 && at < look->len; at += strlen(target) + 1) {
        char kind = look->data[at];
        const char *path = look->data + at + 1;

        at += strlen(path) + 2;
        target = look->data + at;
        if (kind == 'l') /* "/bin" to "usr/bin" is the same inside */
            r = make_link(root, path, target, e);
        else
            r = kind == 'd' ? make_dir(root, path, 0755, e) : make_file(root, path, 0644, e);
        if (r == 0 && kind != 'l' && jl_strv_add(binds, path) < 0)
            r = jl_fail(e, ENOMEM, "make the rootfs");
    }
    return r;
}

static int make_etc(int root, struct jl_err *e)
{
    int r = make_text(root, "/etc/passwd",
                      "root:x:0:0:root:/root:/usr/sbin/nologin\n"
                      "nobody:x:65534:65534:nobody:/work:/bin/sh\n",
                      e);

    if (r == 0)
        r = make_text(root, "/etc/group", "root:x:0:\nnogroup:x:65534:\n", e);
    if (r == 0)
        r = make_text(root, "/etc/nsswitch.conf",
                      "passwd: files\ngroup: files\nhosts: files dns\n"
                      "services: files\nprotocols: files\n",
                      e);
    if (r == 0)
        r = make_link(root, "/etc/hosts", ".." JD_ETC_INSIDE "/hosts", e);
    if (r == 0)
        r = make_link(root, "/etc/resolv.conf", ".." JD_ETC_INSIDE "/resolv.conf", e);
    return r < 0 ? r : make_link(root, "/etc/hostname", "/proc/sys/kernel/hostname", e);
}

static int fill(const struct jd_core *c, int root, const struct jl_buf *look, struct jl_strv *binds,
                struct jl_err *e)
{
    /* modes as the mounts there ask for them: runc gives a tmpfs that of its mount point */
    const struct {
        const char *path;
        mode_t mode;
    } dirs[] = {
        { "/dev", 0755 },        { "/proc", 0755 },           { "/run", 0755 },
        { "/sys", 0755 },        { "/tmp", 01777 },           { "/var/tmp", 01777 },
        { "/root", 0755 },       { "/home", 0755 },           { "/etc", 0755 },
        { JD_ETC_INSIDE, 0755 }, { JD_VOLUMES_INSIDE, 0755 }, { c->conf.workspace, 0700 },
    };
    int r = make_places(root, look, binds, e);

    for (size_t i = 0; r == 0 && i < JL_COUNT(dirs); i++)
        r = make_dir(root, dirs[i].path, dirs[i].mode, e);
    if (r == 0)
        r = make_etc(root, e);
    return r < 0 || !c->init_path ? r : make_file(root, JD_INIT_INSIDE, 0755, e);
}

/* Tree N + 1, for what was seen; the one in use stays the one in use until it is whole. */
static int make_tree(struct jd_core *c, struct jl_buf *look, struct jl_err *e)
{
    struct jd_rootfs *f = &c->rootfs;
    _strv_ struct jl_strv binds = JL_STRV_INIT;
    _free_ char *path = NULL;
    _close_ int root = -1;
    char name[16];
    int r;

    snprintf(name, sizeof name, "%u", f->n + 1);
    if (asprintf(&path, "%s/.rootfs/%s", c->conf.jobs_dir, name) < 0)
        return jl_fail(e, ENOMEM, "make the rootfs");
    r = jl_remove_tree_at(f->dirfd, name, e); /* of a time before, that was not whole */
    if (r < 0)
        return r;
    if (mkdirat(f->dirfd, name, 0755) < 0)
        return jl_fail_sys(e, "mkdir", path, "make the rootfs");
    root = openat(f->dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (root < 0)
        return jl_fail_sys(e, "open", path, "make the rootfs");
    r = fill(c, root, look, &binds, e);
    if (r < 0)
        return jl_wrap(e, "make '%s'", path);
    free(f->path);
    f->path = jl_take_ptr(path);
    jl_strv_clear(&f->binds);
    f->binds = binds;
    binds = (struct jl_strv) JL_STRV_INIT;
    jl_buf_clear(&f->look);
    f->look = *look;
    *look = (struct jl_buf) JL_BUF_INIT(LOOK_MAX);
    f->n++;
    return 0;
}

/* Makes a tree where there is none, or another one is needed. */
static int follow_host(struct jd_core *c, struct jl_err *e)
{
    const struct jd_rootfs *f = &c->rootfs;
    _buf_ struct jl_buf look = JL_BUF_INIT(LOOK_MAX);
    int r = look_at_host(c, &look, e);

    if (r < 0 || (f->path && look.len == f->look.len &&
                  (look.len == 0 || memcmp(look.data, f->look.data, look.len) == 0)))
        return r;
    return make_tree(c, &look, e);
}

int jd_rootfs_use(struct jd_core *c, struct jd_bundle_in *in, struct jl_err *e)
{
    const struct jd_rootfs *f = &c->rootfs;
    int r = follow_host(c, e);

    if (r < 0)
        return r;
    in->rootfs = f->path;
    in->binds = (const char *const *) f->binds.items;
    in->n_binds = f->binds.len;
    return 0;
}

/* Those of earlier cores. The highest number is not given out again as long as its tree is there. */
static void remove_old(struct jd_core *c)
{
    _closedir_ DIR *dir = jl_opendir_at(c->rootfs.dirfd, ".");
    struct jl_err e = JL_ERR_INIT;
    struct dirent *d;

    while (dir && (d = readdir(dir))) {
        unsigned n = (unsigned) strtoul(d->d_name, NULL, 10);

        if (n == 0)
            continue;
        if (c->jobs.n_active > 0) {
            if (n > c->rootfs.n)
                c->rootfs.n = n;
        } else if (jd_trash_put(c, c->rootfs.dirfd, d->d_name, &e) < 0) {
            jl_log_fail(&e, "rootfs.remove", "%s", d->d_name);
        }
    }
}

int jd_rootfs_init(struct jd_core *c, struct jl_err *e)
{
    struct jl_err why = JL_ERR_INIT;

    c->rootfs.look = (struct jl_buf) JL_BUF_INIT(LOOK_MAX);
    if (mkdirat(c->jobs_dirfd, ".rootfs", 0755) < 0 && errno != EEXIST)
        return jl_fail_sys(e, "mkdir", ".rootfs", "directory for the jobs' root");
    c->rootfs.dirfd =
        openat(c->jobs_dirfd, ".rootfs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (c->rootfs.dirfd < 0)
        return jl_fail_sys(e, "open", ".rootfs", "directory for the jobs' root");
    remove_old(c);
    if (follow_host(c, &why) < 0) /* a full disk, say: the jobs that run need us all the same */
        jl_log_fail(&why, "rootfs.make", "tried again at the next start of a job");
    return 0;
}

void jd_rootfs_done(struct jd_core *c)
{
    jl_close(c->rootfs.dirfd);
    free(c->rootfs.path);
    jl_strv_clear(&c->rootfs.binds);
    jl_buf_clear(&c->rootfs.look);
}
