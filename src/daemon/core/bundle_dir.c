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

static int put_file(int dirfd, const char *name, const char *text, struct jl_err *e)
{
    _close_ int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    int r;

    if (fd < 0)
        return jl_fail_sys(e, "open", name, "make the bundle");
    r = jl_write_all(fd, text, strlen(text));
    return r < 0 ? jl_fail(e, -r, "write '%s'", name) : 0;
}

/* A new directory; one that is there is of a start that was interrupted. */
static int fresh_dir(int dirfd, const char *name, struct jl_err *e)
{
    int r;

    if (mkdirat(dirfd, name, 0755) == 0)
        return 0;
    if (errno != EEXIST)
        return jl_fail_sys(e, "mkdir", name, "make the bundle");
    r = jl_remove_tree_at(dirfd, name, e);
    if (r < 0)
        return r;
    return mkdirat(dirfd, name, 0755) < 0 ? jl_fail_sys(e, "mkdir", name, "make the bundle") : 0;
}

/* For JD_ETC_INSIDE, where the job does not share that of its network. */
static int make_etc(int bundle_dirfd, const struct jd_bundle_in *in, struct jl_err *e)
{
    const char *name = in->req->name;
    _close_ int etc = -1;
    char hosts[512];
    int r = fresh_dir(bundle_dirfd, "etc", e);

    if (r < 0)
        return r;
    etc = openat(bundle_dirfd, "etc", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (etc < 0)
        return jl_fail_sys(e, "open", "etc", "make the bundle");
    snprintf(hosts, sizeof hosts, "127.0.0.1 localhost job_%s job_%.8s%s%s\n::1 localhost\n",
             in->id, in->id, name[0] ? " " : "", name);
    r = put_file(etc, "hosts", in->own_hosts ? in->own_hosts : hosts, e);
    return r < 0 ? r
                 : put_file(etc, "resolv.conf",
                            in->resolv ? in->resolv : "# this job has no network\n", e);
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
        r = jl_publish_at(bundle_dirfd, "config.json", text.data, text.len, 0600, false, e);
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
