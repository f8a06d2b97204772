/*
 * bundle_dir.c - jd_bundle_write of bundle.h: the rootfs skeleton and config.json on disk. Only
 * root writes here, and before the job exists, so nothing in the tree is hostile yet.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "daemon/core/arena.h"
#include "daemon/core/bundle.h"
#include "daemon/core/conf.h"
#include "ocispec.h"
#include "os/openat2.h"

#define CONFIG_BYTES_MAX (8u << 20)

/* Parents before what lies below them. */
static int by_path(const void *a, const void *b)
{
    return strcmp(*(char *const *) a, *(char *const *) b);
}

/* Parents are 0755; the last part gets its mode whatever the umask is. */
static int make_dir(int rootfs, const char *path, mode_t mode, struct jl_err *e)
{
    _close_ int parent = -1;
    const char *name;
    int fd = os_mkdir_in_root(rootfs, path, 0755, e);

    if (fd < 0)
        return fd;
    close(fd);
    if (mode == 0755)
        return 0;
    parent = os_parent_in_root(rootfs, path, &name, e);
    if (parent < 0)
        return parent;
    if (fchmodat(parent, name, mode, 0) < 0)
        return jl_fail_sys(e, "fchmodat", path, "make the rootfs");
    return 0;
}

/* A host path that is a link ("/bin" to "usr/bin") is the same link inside. */
static int make_link(int rootfs, const char *path, struct jl_err *e)
{
    char target[4096];
    _close_ int parent = -1;
    const char *name;
    ssize_t n = readlink(path, target, sizeof target - 1);

    if (n < 0)
        return jl_fail_sys(e, "readlink", path, "filesystem.allowedMounts");
    target[n] = '\0';
    parent = os_parent_in_root(rootfs, path, &name, e);
    if (parent < 0)
        return parent;
    if (symlinkat(target, parent, name) < 0 && errno != EEXIST)
        return jl_fail_sys(e, "symlink", path, "make the rootfs");
    return 0;
}

/* Makes the place for one allowed mount. 1: it is to be mounted; 0: it is not. */
static int make_place(int rootfs, const char *path, struct jl_err *e)
{
    struct stat st;
    int fd;

    if (lstat(path, &st) < 0)
        return 0; /* said once, at the daemon's start */
    if (S_ISLNK(st.st_mode))
        return make_link(rootfs, path, e);
    if (S_ISDIR(st.st_mode)) {
        int r = make_dir(rootfs, path, 0755, e);

        return r < 0 ? r : 1;
    }
    if (!S_ISREG(st.st_mode))
        return 0;
    fd = os_mkfile_in_root(rootfs, path, 0644, e);
    if (fd < 0)
        return fd;
    close(fd);
    return 1;
}

static int make_places(int rootfs, struct jd_bundle_in *in, struct jd_arena *a, struct jl_err *e)
{
    const struct jl_strv *list = &in->conf->allowed_mounts;
    char **sorted = jd_arena_get(a, (list->len + 1) * sizeof *sorted);
    const char **binds = jd_arena_get(a, (list->len + 1) * sizeof *binds);

    if (!sorted || !binds)
        return jl_fail(e, ENOMEM, "make the rootfs");
    memcpy(sorted, list->items, list->len * sizeof *sorted);
    qsort(sorted, list->len, sizeof *sorted, by_path);
    in->n_binds = 0;
    for (size_t i = 0; i < list->len; i++) {
        int r =
            i > 0 && strcmp(sorted[i], sorted[i - 1]) == 0 ? 0 : make_place(rootfs, sorted[i], e);

        if (r < 0)
            return r;
        if (r > 0)
            binds[in->n_binds++] = sorted[i];
    }
    in->binds = binds;
    return 0;
}

static int put_file(int etc, const char *name, const char *text, struct jl_err *e)
{
    return jl_publish_at(etc, name, text, strlen(text), 0644, false, e);
}

static int make_etc(int rootfs, const struct jd_bundle_in *in, struct jl_err *e)
{
    char hostname[64], hosts[512];
    const char *name = in->req->name;
    _close_ int etc = -1;
    int r = make_dir(rootfs, "/etc", 0755, e);

    if (r < 0)
        return r;
    etc = openat(rootfs, "etc", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (etc < 0)
        return jl_fail_sys(e, "open", "etc", "make the rootfs");
    snprintf(hostname, sizeof hostname, "job_%.8s\n", in->id);
    snprintf(hosts, sizeof hosts, "127.0.0.1 localhost job_%s job_%.8s%s%s\n::1 localhost\n",
             in->id, in->id, name[0] ? " " : "", name);
    r = put_file(etc, "passwd",
                 "root:x:0:0:root:/root:/usr/sbin/nologin\n"
                 "nobody:x:65534:65534:nobody:/work:/bin/sh\n",
                 e);
    if (r == 0)
        r = put_file(etc, "group", "root:x:0:\nnogroup:x:65534:\n", e);
    if (r == 0)
        r = put_file(etc, "hostname", hostname, e);
    if (r == 0)
        r = put_file(etc, "hosts", hosts, e);
    if (r == 0)
        r = put_file(etc, "resolv.conf", "# this job has no network\n", e);
    if (r == 0)
        r = put_file(etc, "nsswitch.conf",
                     "passwd: files\ngroup: files\nhosts: files dns\n"
                     "services: files\nprotocols: files\n",
                     e);
    return r;
}

static int make_skeleton(int rootfs, struct jd_bundle_in *in, struct jd_arena *a, struct jl_err *e)
{
    /* modes as the mounts there ask for them: runc gives a tmpfs that of its mount point */
    const struct {
        const char *path;
        mode_t mode;
    } dirs[] = {
        { "/dev", 0755 },  { "/proc", 0755 },
        { "/run", 0755 },  { "/sys", 0755 },
        { "/tmp", 01777 }, { "/var/tmp", 01777 },
        { "/root", 0755 }, { "/home", 0755 },
        { "/etc", 0755 },  { in->conf->workspace, 0700 },
    };
    int r = make_places(rootfs, in, a, e), fd;

    for (size_t i = 0; r == 0 && i < JL_COUNT(dirs); i++)
        r = make_dir(rootfs, dirs[i].path, dirs[i].mode, e);
    for (size_t i = 0; r == 0 && i < in->n_volumes; i++)
        r = make_dir(rootfs, in->volumes[i].dest, 0755, e);
    if (r == 0)
        r = make_etc(rootfs, in, e);
    if (r < 0 || !in->init_source)
        return r;
    fd = os_mkfile_in_root(rootfs, JD_INIT_INSIDE, 0755, e);
    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

/* The skeleton belongs to the job's root, so that nothing in it looks foreign inside. */
static int give_tree(int dirfd, uint32_t id, unsigned depth, struct jl_err *e)
{
    _closedir_ DIR *dir = NULL;
    struct dirent *d;
    int copy = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;

    if (copy >= 0)
        dir = fdopendir(copy);
    if (!dir || depth > 16) {
        jl_close(dir ? -1 : copy);
        return jl_fail(e, dir ? ELOOP : errno, "give the rootfs to the job");
    }
    if (fchown(copy, id, id) < 0)
        return jl_fail_sys(e, "fchown", NULL, "give the rootfs to the job");
    while (r == 0 && (d = readdir(dir))) {
        _close_ int below = -1;

        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        below = openat(copy, d->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below >= 0)
            r = give_tree(below, id, depth + 1, e);
        else if (fchownat(copy, d->d_name, id, id, AT_SYMLINK_NOFOLLOW) < 0)
            r = jl_fail_sys(e, "fchownat", d->d_name, "give the rootfs to the job");
    }
    return r;
}

/* The disks that a limit has to name: those under what the job can reach. */
static int find_disks(struct jd_bundle_in *in, struct jd_arena *a, struct jl_err *e)
{
    const char **paths = jd_arena_get(a, (in->n_binds + in->n_volumes + 2) * sizeof *paths);
    size_t n = in->n_binds;

    if (in->req->max_io_bps <= 0)
        return 0;
    if (!paths)
        return jl_fail(e, ENOMEM, "find the disks of an I/O limit");
    memcpy(paths, in->binds, in->n_binds * sizeof *paths);
    paths[n++] = in->work_source ? in->work_source : in->conf->jobs_dir;
    for (size_t i = 0; i < in->n_volumes; i++)
        if (in->volumes[i].on_disk)
            paths[n++] = in->volumes[i].source;
    return jd_host_block_devices(paths, n, in->io, JD_DEVICES_MAX, &in->n_io, e);
}

static int write_config(int bundle_dirfd, const struct jd_bundle_in *in, struct jd_arena *a,
                        struct jl_err *e)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(CONFIG_BYTES_MAX);
    struct oci_spec *spec;
    int r = jd_bundle_spec(in, a, &spec, e);

    if (r == 0)
        r = oci_spec_write(spec, &text, e);
    if (r == 0) /* 0600: the secrets stand in it */
        r = jl_publish_at(bundle_dirfd, "config.json", text.data, text.len, 0600, false, e);
    if (text.data)
        explicit_bzero(text.data, text.len);
    return r;
}

int jd_bundle_write(int bundle_dirfd, struct jd_bundle_in *in, struct jl_err *e)
{
    _arena_ struct jd_arena a = JD_ARENA_INIT;
    char mems[JD_CPULIST_MAX];
    _close_ int rootfs = -1;
    int r = jl_remove_tree_at(bundle_dirfd, "rootfs", e);

    if (r < 0)
        return r;
    if (mkdirat(bundle_dirfd, "rootfs", 0755) < 0)
        return jl_fail_sys(e, "mkdir", "rootfs", "make the bundle");
    rootfs = openat(bundle_dirfd, "rootfs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (rootfs < 0)
        return jl_fail_sys(e, "open", "rootfs", "make the bundle");
    r = make_skeleton(rootfs, in, &a, e);
    if (r == 0 && in->host_id_base != 0)
        r = give_tree(rootfs, in->host_id_base, 0, e);
    if (r == 0)
        r = find_disks(in, &a, e);
    if (r == 0 && in->req->cpu_cores[0])
        in->mems = jd_host_mems_of(in->req->cpu_cores, mems, sizeof mems);
    if (r == 0)
        r = write_config(bundle_dirfd, in, &a, e);
    in->binds = NULL; /* were the arena's */
    in->n_binds = 0;
    in->mems = NULL;
    return r < 0 ? jl_wrap(e, "make the bundle") : 0;
}
