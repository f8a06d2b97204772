/*
 * bundle_dir.c - jd_bundle_write of bundle.h: the rootfs skeleton and config.json on disk. Only
 * root writes here, and before the job exists, so nothing in the tree is hostile yet.
 */
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

/* The skeleton belongs to the job's root, so that nothing in it looks foreign inside; each part is
 * given away as it is made. */
static int give(int dirfd, const char *name, const struct jd_bundle_in *in, struct jl_err *e)
{
    if (in->host_id_base != 0 && fchownat(dirfd, name, in->host_id_base, in->host_id_base,
                                          AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
        return jl_fail_sys(e, "fchownat", name, "give the rootfs to the job");
    return 0;
}

/* The directory of `path`, and its last part. Only what lies deeper than the top can go through a
 * link and has to be looked up inside. *own_fd is to be closed. fd or -errno with e filled. */
static int parent_of(int rootfs, const char *path, const char **ret_name, int *own_fd,
                     struct jl_err *e)
{
    if (strrchr(path, '/') == path) {
        *ret_name = path + 1;
        return rootfs;
    }
    *own_fd = os_parent_in_root(rootfs, path, ret_name, e);
    return *own_fd;
}

/* One directory whose parents are there. */
static int make_one(int rootfs, const char *path, mode_t mode, const struct jd_bundle_in *in,
                    struct jl_err *e)
{
    _close_ int own = -1;
    const char *name;
    int parent = parent_of(rootfs, path, &name, &own, e), r = 0;

    if (parent < 0)
        return parent;
    if (mkdirat(parent, name, 0755) == 0)
        r = give(parent, name, in, e);
    else if (errno != EEXIST)
        return jl_fail_sys(e, "mkdir", path, "make the rootfs");
    if (r == 0 && mode != 0755 && fchmodat(parent, name, mode, 0) < 0)
        return jl_fail_sys(e, "fchmodat", path, "make the rootfs");
    return r;
}

/* The directories above path. */
static int make_parents(int rootfs, const char *path, const struct jd_bundle_in *in,
                        struct jl_err *e)
{
    int r = 0;

    for (const char *end = strchr(path + 1, '/'); end && r == 0; end = strchr(end + 1, '/')) {
        char part[4096];

        snprintf(part, sizeof part, "%.*s", (int) (end - path), path);
        r = make_one(rootfs, part, 0755, in, e);
    }
    return r;
}

/* Parents are 0755; the last part gets its mode whatever the umask is. */
static int make_dir(int rootfs, const char *path, mode_t mode, const struct jd_bundle_in *in,
                    struct jl_err *e)
{
    int r = make_parents(rootfs, path, in, e);

    return r < 0 ? r : make_one(rootfs, path, mode, in, e);
}

static int make_file(int rootfs, const char *path, mode_t mode, const struct jd_bundle_in *in,
                     struct jl_err *e)
{
    _close_ int fd = -1;
    int r = make_parents(rootfs, path, in, e);

    if (r < 0)
        return r;
    fd = os_mkfile_in_root(rootfs, path, mode, e);
    return fd < 0 ? fd : give(fd, "", in, e);
}

/* A host path that is a link ("/bin" to "usr/bin") is the same link inside. */
static int make_link(int rootfs, const char *path, const struct jd_bundle_in *in, struct jl_err *e)
{
    char target[4096];
    _close_ int own = -1;
    const char *name;
    ssize_t n = readlink(path, target, sizeof target - 1);
    int parent, r;

    if (n < 0)
        return jl_fail_sys(e, "readlink", path, "filesystem.allowedMounts");
    target[n] = '\0';
    r = make_parents(rootfs, path, in, e);
    if (r < 0)
        return r;
    parent = parent_of(rootfs, path, &name, &own, e);
    if (parent < 0)
        return parent;
    if (symlinkat(target, parent, name) == 0)
        return give(parent, name, in, e);
    return errno == EEXIST ? 0 : jl_fail_sys(e, "symlink", path, "make the rootfs");
}

/* Makes the place for one allowed mount. 1: it is to be mounted; 0: it is not. */
static int make_place(int rootfs, const char *path, const struct jd_bundle_in *in, struct jl_err *e)
{
    struct stat st;
    int r;

    if (lstat(path, &st) < 0)
        return 0; /* said once, at the daemon's start */
    if (S_ISLNK(st.st_mode))
        return make_link(rootfs, path, in, e);
    if (S_ISDIR(st.st_mode))
        r = make_dir(rootfs, path, 0755, in, e);
    else if (S_ISREG(st.st_mode))
        r = make_file(rootfs, path, 0644, in, e);
    else
        return 0;
    return r < 0 ? r : 1;
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
        int r = i > 0 && strcmp(sorted[i], sorted[i - 1]) == 0
                    ? 0
                    : make_place(rootfs, sorted[i], in, e);

        if (r < 0)
            return r;
        if (r > 0)
            binds[in->n_binds++] = sorted[i];
    }
    in->binds = binds;
    return 0;
}

/* The tree is new, and thrown away when it does not become whole. */
static int put_file(int etc, const char *name, const char *text, const struct jd_bundle_in *in,
                    struct jl_err *e)
{
    _close_ int fd = openat(etc, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    int r;

    if (fd < 0)
        return jl_fail_sys(e, "open", name, "make the rootfs");
    r = jl_write_all(fd, text, strlen(text));
    return r < 0 ? jl_fail(e, -r, "write '%s'", name) : give(fd, "", in, e);
}

static int make_etc(int rootfs, const struct jd_bundle_in *in, struct jl_err *e)
{
    char hostname[64], hosts[512];
    const char *name = in->req->name;
    _close_ int etc = -1;
    int r = make_dir(rootfs, "/etc", 0755, in, e);

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
                 in, e);
    if (r == 0)
        r = put_file(etc, "group", "root:x:0:\nnogroup:x:65534:\n", in, e);
    if (r == 0)
        r = put_file(etc, "hostname", hostname, in, e);
    if (r == 0 && in->hosts_dir && symlinkat(".." JD_HOSTS_INSIDE "/hosts", etc, "hosts") < 0)
        r = jl_fail_sys(e, "symlink", "hosts", "make the rootfs");
    if (r == 0 && !in->hosts_dir)
        r = put_file(etc, "hosts", in->own_hosts ? in->own_hosts : hosts, in, e);
    if (r == 0)
        r = put_file(etc, "resolv.conf", in->resolv ? in->resolv : "# this job has no network\n",
                     in, e);
    if (r == 0)
        r = put_file(etc, "nsswitch.conf",
                     "passwd: files\ngroup: files\nhosts: files dns\n"
                     "services: files\nprotocols: files\n",
                     in, e);
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
    int r = give(rootfs, "", in, e);

    if (r == 0)
        r = make_places(rootfs, in, a, e);
    if (r == 0 && in->hosts_dir)
        r = make_dir(rootfs, JD_HOSTS_INSIDE, 0755, in, e);
    for (size_t i = 0; r == 0 && i < JL_COUNT(dirs); i++)
        r = make_dir(rootfs, dirs[i].path, dirs[i].mode, in, e);
    for (size_t i = 0; r == 0 && i < in->n_volumes; i++)
        r = make_dir(rootfs, in->volumes[i].dest, 0755, in, e);
    if (r == 0)
        r = make_etc(rootfs, in, e);
    if (r < 0 || !in->init_source)
        return r;
    return make_file(rootfs, JD_INIT_INSIDE, 0755, in, e);
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
