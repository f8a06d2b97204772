/*
 * shim_start.c - a job's start as core makes it: bundle, directories, lock, and the shim with its
 * descriptors. The part of shimlink.h that starts.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/spawn.h"
#include "daemon/core/bundle.h"
#include "daemon/core/core.h"
#include "daemon/core/jobreq.h"
#include "daemon/core/shim_internal.h"
#include "daemon/core/space_work.h"

#define RUNTIME_FD 8 /* in the shim */
#define SYNC_FD 9
#define LOCK_FD 10

static int fresh_dir(int dirfd, const char *name, struct jl_err *e)
{
    int r = jl_remove_tree_at(dirfd, name, e);

    if (r < 0)
        return r;
    if (mkdirat(dirfd, name, 0700) < 0)
        return jl_fail_sys(e, "mkdir", name, "make the job's directory");
    return 0;
}

static int spawn(struct jd_shim *s, int sync, int lock, struct jl_err *e)
{
    struct jd_core *c = jd_shim_core(s);
    const char *id = s->job->rec.id;
    _strv_ struct jl_strv argv = JL_STRV_INIT;
    char *envp[] = { (char *) "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                     NULL };
    struct jl_spawn_fd fds[4] = { { jl_log.fd, STDERR_FILENO },
                                  { sync, SYNC_FD },
                                  { lock, LOCK_FD } };
    struct jl_spawn sp = JL_SPAWN_INIT;
    int bad = 0;

    bad |= jl_strv_add(&argv, "joblet-shim");
    bad |= jl_strv_addf(&argv, "--id=%s", id);
    bad |= jl_strv_addf(&argv, "--bundle=%s/%s", c->conf.jobs_dir, id);
    bad |= jl_strv_addf(&argv, "--state-dir=%s/jobs/%s", c->conf.run_dir, id);
    bad |= jl_strv_addf(&argv, "--log-dir=%s/%s", c->conf.logs_dir, id);
    bad |= jl_strv_addf(&argv, "--runtime-root=%s/oci", c->conf.run_dir);
    if (c->runtime_path)
        bad |= jl_strv_addf(&argv, "--runtime=%s", c->runtime_path);
    else
        bad |= jl_strv_addf(&argv, "--runtime-fd=%d", RUNTIME_FD);
    bad |= jl_strv_addf(&argv, "--cgroup=%s/job-%s", c->conf.cgroup_path, id);
    bad |= jl_strv_addf(&argv, "--sync-fd=%d", SYNC_FD);
    bad |= jl_strv_addf(&argv, "--lock-fd=%d", LOCK_FD);
    bad |= jl_strv_addf(&argv, "--stop-grace-ms=%" PRIu64, jd_shim_grace_ms(s->job));
    if (s->job->req->timeout_seconds > 0)
        bad |= jl_strv_addf(&argv, "--time-limit-ms=%" PRId64, s->job->req->timeout_seconds * 1000);
    if (c->conf.logs_max_size > 0)
        bad |= jl_strv_addf(&argv, "--log-max-bytes=%" PRId64, c->conf.logs_max_size);
    if (c->init_path)
        bad |= jl_strv_add(&argv, "--init-report");
    if (bad)
        return jl_fail(e, ENOMEM, "start the shim");
    if (!c->runtime_path)
        fds[3] = (struct jl_spawn_fd){ c->runtime_fd, RUNTIME_FD };
    sp.path = c->shim_path;
    sp.argv = argv.items;
    sp.envp = envp;
    sp.fds = fds;
    sp.n_fds = c->runtime_path ? 3 : 4;
    sp.new_session = true;
    return jl_spawn(&sp, &s->pid, &s->pidfd, e);
}

/* The directory of a job's workspace: uploads have made it, for a job with volumes it is made. */
static int make_work_dir(int dirfd, struct jl_err *e)
{
    if (mkdirat(dirfd, "work", 0700) < 0)
        return errno == EEXIST ? 0 : jl_fail_sys(e, "mkdir", "work", "make the bundle");
    if (fchownat(dirfd, "work", JD_JOB_UID, JD_JOB_UID, AT_SYMLINK_NOFOLLOW) < 0)
        return jl_fail_sys(e, "fchownat", "work", "make the bundle");
    return 0;
}

/* Where the workspace comes from; NULL: nowhere. -ENOMEM with e filled. */
static int work_source(const struct jd_job *j, enum jd_space_kind kind, int dirfd, char **ret,
                       struct jl_err *e)
{
    const char *name = kind == JD_SPACE_IMAGE ? JD_SPACE_SOURCE : "work";

    if (kind == JD_SPACE_DIR && make_work_dir(dirfd, e) < 0)
        return -e->code;
    if (kind == JD_SPACE_MEMORY && !j->rec.has_uploads)
        return 0;
    if (asprintf(ret, "%s/%s/%s", j->core->conf.jobs_dir, j->rec.id, name) < 0) {
        *ret = NULL;
        return jl_fail(e, ENOMEM, "make the bundle");
    }
    return 0;
}

static int write_bundle(struct jd_job *j, struct jl_err *e)
{
    struct jd_core *c = j->core;
    enum jd_space_kind kind;
    uint64_t work_bytes;
    struct jd_bundle_volume *volumes = NULL;
    _free_ char *work = NULL;
    _request_ Joblet__RunJobRequest *own = NULL;
    _close_ int dirfd = -1;
    struct jd_net_bundle net = { 0 };
    char etc[4200];
    int r;
    struct jd_bundle_in in = {
        .id = j->rec.id,
        .req = jd_request_whole(j, &own, e),
        .conf = &c->conf,
        .node_id = j->rec.node_id,
        .init_source = c->init_path,
        .host_id_base = j->rec.host_id_base,
        .oom_group = c->cg_host.mode == OS_CGROUP_V2,
        .tcp_apart = c->tcp_apart,
        .nofile_max = c->nofile_max,
    };

    if (!in.req)
        return -e->code;
    if ((j->rec.has_uploads || !jd_ahead_bundle(c, j->rec.id)) &&
        mkdirat(c->jobs_dirfd, j->rec.id, 0700) < 0 && errno != EEXIST)
        return jl_fail_sys(e, "mkdir", j->rec.id, "make the bundle");
    dirfd = openat(c->jobs_dirfd, j->rec.id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dirfd < 0)
        return jl_fail_sys(e, "open", j->rec.id, "make the bundle");
    /* a runtime that has become root of the user namespace still has to get to its bundle */
    if (fchown(dirfd, 0, j->rec.host_id_base) < 0 || fchmod(dirfd, 0710) < 0)
        return jl_fail_sys(e, "fchown", j->rec.id, "make the bundle");
    kind = jd_space_of(j, &work_bytes);
    in.work_bytes = kind == JD_SPACE_MEMORY ? work_bytes : 0;
    if (work_source(j, kind, dirfd, &work, e) < 0)
        return -e->code;
    in.work_source = work;
    snprintf(etc, sizeof etc, "%s/%s/etc", c->conf.jobs_dir, j->rec.id);
    in.etc_source = etc;
    in.own_etc = true;
    r = jd_rootfs_use(c, &in, e);
    if (r < 0)
        return r;
    if (jd_nets_bundle(j, &net, &in, e) < 0)
        return -e->code;
    r = jd_volumes_take(c, j->req, &volumes, &in.n_volumes, e);
    if (r < 0)
        return r;
    in.volumes = volumes;
    r = jd_bundle_write(dirfd, &in, e);
    jd_volumes_release(volumes, in.n_volumes);
    return r;
}

static int store_start(struct jd_job *j, struct jl_err *e)
{
    struct jd_core *c = j->core;

    if (jd_record_set(&j->rec.boot_id, c->boot_id) < 0)
        return jl_fail(e, ENOMEM, "start the shim");
    if (jd_store_update(c->store, &j->rec, e) < 0) {
        e->code = EAGAIN; /* whatever it is: the job waits until it has passed */
        return -EAGAIN;
    }
    j->lease_unstored = j->unstored = false;
    return 0;
}

int jd_shim_start(struct jd_job *j, struct jl_err *e)
{
    struct jd_core *c = j->core;
    _close_ int theirs = -1, lock = -1;
    struct jd_shim *s;
    uint64_t work_bytes;
    int pipe_fds[2], r = 0;

    if (jd_space_of(j, &work_bytes) == JD_SPACE_IMAGE && !jd_space_is_made(j))
        return jd_space_make(j, e); /* comes here again */
    if (c->userns && j->rec.host_id_base == 0) {
        j->rec.host_id_base = jd_jobs_host_ids(c, e);
        if (j->rec.host_id_base == 0)
            return -e->code;
    }
    r = write_bundle(j, e);
    if (r == 0 && !jd_ahead_log(c, j->rec.id))
        r = fresh_dir(c->logs_dirfd, j->rec.id, e);
    /* Stored before the state directory is there: with one a restart takes the job for started. */
    if (r == 0 && (j->lease_unstored || j->unstored || strcmp(j->rec.boot_id, c->boot_id) != 0))
        r = store_start(j, e);
    if (r == 0)
        r = fresh_dir(c->state_dirfd, j->rec.id, e);
    if (r < 0)
        return r;
    lock = jd_shim_lock(c, j->rec.id);
    if (lock < 0)
        return jl_fail(e, -lock, "lock the job's directory");
    s = jd_shim_new(j, e);
    if (!s)
        return -e->code;
    if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0) {
        r = jl_fail_sys(e, "pipe2", NULL, "start the shim");
    } else {
        s->sync = pipe_fds[0];
        theirs = pipe_fds[1];
        r = spawn(s, theirs, lock, e);
    }
    if (r == 0) {
        r = jd_shim_watch(s, e);
        if (r < 0) { /* nobody would hear of it; its job's control group is cleared with the job */
            kill(s->pid, SIGKILL);
            waitpid(s->pid, NULL, 0);
            e->code = EIO; /* it may have begun: never once more */
        }
    }
    if (r < 0) {
        jd_shim_release(j);
        return -e->code;
    }
    jd_shim_limit(s);
    jd_space_free(j);
    return 0;
}
