/*
 * bundle_dir.c - jd_bundle_write of bundle.h: config.json and the job's own part of /etc on disk. Only
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
#include "daemon/core/arena.h"
#include "daemon/core/bundle.h"
#include "daemon/core/conf.h"
#include "ocispec.h"

#define CONFIG_BYTES_MAX (8u << 20)

/* What is there is of a start that was interrupted, or was made ahead. */
static int put_file(int dirfd, const char *name, const char *text, size_t len, mode_t mode,
                    struct jl_err *e)
{
    _close_ int fd =
        openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
    int r;

    if (fd < 0)
        return jl_fail_sys(e, "open", name, "make the bundle");
    r = jl_write_all(fd, text, len);
    return r < 0 ? jl_fail(e, -r, "write '%s'", name) : 0;
}

/* fd of etc/. */
static int open_etc(int bundle_dirfd, struct jl_err *e)
{
    int fd;

    if (mkdirat(bundle_dirfd, "etc", 0755) < 0 && errno != EEXIST)
        return jl_fail_sys(e, "mkdir", "etc", "make the bundle");
    fd = openat(bundle_dirfd, "etc", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? jl_fail_sys(e, "open", "etc", "make the bundle") : fd;
}

/* For JD_ETC_INSIDE, where the job does not share that of its network. */
static int make_etc(int bundle_dirfd, const struct jd_bundle_in *in, struct jl_err *e)
{
    const char *resolv = in->resolv ? in->resolv : "# this job has no network\n";
    const char *name = in->req->name, *hosts = in->own_hosts;
    _close_ int etc = open_etc(bundle_dirfd, e);
    char own[512];
    int r;

    if (etc < 0)
        return etc;
    snprintf(own, sizeof own, "127.0.0.1 localhost job_%s job_%.8s%s%s\n::1 localhost\n", in->id,
             in->id, name[0] ? " " : "", name);
    if (!hosts)
        hosts = own;
    r = put_file(etc, "hosts", hosts, strlen(hosts), 0644, e);
    return r < 0 ? r : put_file(etc, "resolv.conf", resolv, strlen(resolv), 0644, e);
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
        r = oci_spec_write_compact(spec, &text, e);
    if (r == 0) /* 0600: the secrets stand in it */
        r = put_file(bundle_dirfd, "config.json", text.data, text.len, 0600, e);
    if (text.data)
        explicit_bzero(text.data, text.len);
    return r;
}

int jd_bundle_write(int bundle_dirfd, struct jd_bundle_in *in, struct jl_err *e)
{
    _arena_ struct jd_arena a = JD_ARENA_INIT;
    char mems[JD_CPULIST_MAX];
    int r = in->own_etc ? make_etc(bundle_dirfd, in, e) : 0;

    if (r == 0)
        r = find_disks(in, &a, e);
    if (r == 0 && in->req->cpu_cores[0])
        in->mems = jd_host_mems_of(in->req->cpu_cores, mems, sizeof mems);
    if (r == 0)
        r = write_config(bundle_dirfd, in, &a, e);
    in->mems = NULL;
    return r < 0 ? jl_wrap(e, "make the bundle") : 0;
}

int jd_bundle_prepare(int bundle_dirfd, bool own_etc)
{
    struct jl_err e = JL_ERR_INIT;
    _close_ int etc = -1;
    int r = put_file(bundle_dirfd, "config.json", "", 0, 0600, &e);

    if (r < 0 || !own_etc)
        return r;
    etc = open_etc(bundle_dirfd, &e);
    r = etc < 0 ? etc : put_file(etc, "hosts", "", 0, 0644, &e);
    return r < 0 ? r : put_file(etc, "resolv.conf", "", 0, 0644, &e);
}
