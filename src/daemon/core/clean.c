/*
 * clean.c - what is left of jobs outside the database: removed at their end, and by a sweep for
 * jobs that nobody knows. The parts of shimlink.h and sweep.h that remove.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/io.h"
#include "base/log.h"
#include "base/spawn.h"
#include "daemon/core/core.h"
#include "daemon/core/request.h"
#include "daemon/core/shimlink.h"
#include "daemon/core/sweep.h"

#define CGROUP_WAIT_MS 5000 /* for those who were killed to be gone */

/* A process that clears away on its way: `RUNTIME delete --force ID`, or a cgroup's end. */
struct jd_deletion {
    struct jd_core *core;
    struct jd_deletion *next;
    struct jl_source src;
    pid_t pid;
    int pidfd;
    uint32_t host_id_base; /* of the job, which may be forgotten before; 0: not known */
    char id[40];
};

static struct jd_deletion *deletion_new(struct jd_core *c, const char *id, uint32_t host_id_base)
{
    struct jd_deletion *d = calloc(1, sizeof *d);

    if (!d)
        return NULL;
    d->core = c;
    d->pidfd = -1;
    d->host_id_base = host_id_base;
    snprintf(d->id, sizeof d->id, "%s", id);
    d->next = c->jobs.deletions;
    c->jobs.deletions = d;
    return d;
}

static void deletion_free(struct jd_deletion *d)
{
    struct jd_deletion **at = &d->core->jobs.deletions;

    while (*at != d)
        at = &(*at)->next;
    *at = d->next;
    jl_loop_del(d->core->loop, &d->src);
    jl_close(d->pidfd);
    free(d);
}

bool jd_clean_has_ids(const struct jd_core *c, uint32_t base)
{
    for (const struct jd_deletion *d = c->jobs.deletions; d; d = d->next)
        if (d->host_id_base == base)
            return true;
    return false;
}

/* Kills who is inside and removes the group, in a process of its own: freezing, and waiting for
 * those who die, may take seconds. It outlives us if need be, with nothing of ours open. */
_Noreturn static void clear_cgroup(const struct os_cgroup_host *host, const char *path)
{
    struct os_cgroup *cg = NULL;
    struct jl_err e = JL_ERR_INIT;
    int r;

    close_range(3, ~0U, 0);
    if (os_cgroup_open(host, path, &cg, &e) == 0)
        os_cgroup_kill_all(cg, &e); /* what it could not kill keeps the group from going */
    jl_err_clear(&e);
    r = os_cgroup_remove(host, path, CGROUP_WAIT_MS, &e);
    _exit(r < 0 ? 1 : 0);
}

static int on_cleared(struct jl_source *src, uint32_t ready)
{
    struct jd_deletion *d = JL_CONTAINER(src, struct jd_deletion, src);
    int status = 0;

    (void) ready;
    if (waitpid(d->pid, &status, WNOHANG) == d->pid && status != 0)
        jl_log_warn("job.clean",
                    "job=%s: its cgroup could not be removed; the next start tries again", d->id);
    deletion_free(d);
    return 0;
}

static int start_clearing(struct jd_deletion *d, const char *path)
{
    d->pid = fork();
    if (d->pid == 0)
        clear_cgroup(&d->core->cg_host, path);
    d->pidfd = d->pid < 0 ? -1 : (int) syscall(SYS_pidfd_open, d->pid, 0);
    if (d->pidfd < 0)
        return -errno;
    return jl_loop_add(d->core->loop, &d->src, d->pidfd, EPOLLIN, on_cleared);
}

static void remove_cgroup(struct jd_core *c, const char *id, uint32_t host_id_base)
{
    struct jl_err e = JL_ERR_INIT;
    struct jd_deletion *d;
    char path[512];
    int r;

    snprintf(path, sizeof path, "%s/job-%s", c->conf.cgroup_path, id);
    if (os_cgroup_remove(&c->cg_host, path, 0, &e) == 0)
        return; /* the usual case: the runtime has removed it, or nobody is inside */
    d = deletion_new(c, id, host_id_base);
    if (!d)
        return; /* the next start sweeps */
    r = start_clearing(d, path);
    if (r == 0)
        return;
    jl_log_warn("job.clean", "job=%s: clear its cgroup: %s", id, strerror(-r));
    deletion_free(d);
}

static void remove_files(struct jd_core *c, const char *id)
{
    struct jl_err e = JL_ERR_INIT;

    if (jl_remove_tree_at(c->state_dirfd, id, &e) < 0)
        jl_log_fail(&e, "job.clean", "job=%s", id);
    jd_space_discard(c, id, c->conf.keep_bundles);
}

static int on_deleted(struct jl_source *src, uint32_t ready)
{
    struct jd_deletion *d = JL_CONTAINER(src, struct jd_deletion, src);
    struct jd_job *j = jd_jobs_get(d->core, d->id);

    (void) ready;
    if (j)
        j->cleaning = false;
    waitpid(d->pid, NULL, WNOHANG);
    remove_cgroup(d->core, d->id, d->host_id_base);
    remove_files(d->core, d->id);
    deletion_free(d);
    return 0;
}

static int spawn_delete(struct jd_deletion *d, struct jl_err *e)
{
    struct jd_core *c = d->core;
    _strv_ struct jl_strv argv = JL_STRV_INIT;
    char *envp[] = { (char *) "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                     NULL };
    struct jl_spawn_fd fds[] = { { jl_log.fd, STDERR_FILENO } };
    struct jl_spawn sp = JL_SPAWN_INIT;
    int bad = jl_strv_add(&argv, c->runtime_path ? c->runtime_path : "joblet-run");

    bad |= jl_strv_add(&argv, "--root");
    bad |= jl_strv_addf(&argv, "%s/oci", c->conf.run_dir);
    bad |= jl_strv_add(&argv, "delete");
    bad |= jl_strv_add(&argv, "--force");
    bad |= jl_strv_add(&argv, d->id);
    if (bad)
        return jl_fail(e, ENOMEM, "remove the job's container");
    sp.path = c->runtime_path;
    sp.exec_fd = c->runtime_path ? -1 : c->runtime_fd;
    sp.argv = argv.items;
    sp.envp = envp;
    sp.fds = fds;
    sp.n_fds = JL_COUNT(fds);
    return jl_spawn(&sp, &d->pid, &d->pidfd, e);
}

static int delete_container(struct jd_core *c, const char *id, uint32_t host_id_base,
                            struct jl_err *e)
{
    struct jd_deletion *d = deletion_new(c, id, host_id_base);
    int r;

    if (!d)
        return jl_fail(e, ENOMEM, "remove the job's container");
    r = spawn_delete(d, e);
    if (r == 0) {
        r = jl_loop_add(c->loop, &d->src, d->pidfd, EPOLLIN, on_deleted);
        if (r < 0) /* without us it ends all the same; the sweep takes the rest */
            jl_fail(e, -r, "watch the runtime");
    }
    if (r < 0)
        deletion_free(d);
    return r;
}

/* The runtime's containers, one directory each; -1 there is none. */
static int open_containers(const struct jd_core *c)
{
    char path[4200];

    snprintf(path, sizeof path, "%s/oci", c->conf.run_dir);
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* A container of an earlier boot is a directory, and nothing else any more: no need to ask the
 * runtime, which would look for its processes. */
static void forget_container(struct jd_core *c, const char *id)
{
    struct jl_err e = JL_ERR_INIT;
    _close_ int fd = open_containers(c);

    if (fd >= 0 && jl_remove_tree_at(fd, id, &e) < 0)
        jl_log_fail(&e, "job.clean", "job=%s", id);
}

void jd_shim_clean(struct jd_job *j)
{
    struct jd_core *c = j->core;
    struct jl_err e = JL_ERR_INIT;

    if (jd_job_is_of_earlier_boot(j)) {
        forget_container(c, j->rec.id);
    } else if (!j->rec.has_result && j->rec.boot_id[0]) {
        j->cleaning = delete_container(c, j->rec.id, j->rec.host_id_base, &e) == 0;
        if (j->cleaning)
            return;
        jl_log_fail(&e, "job.clean", "job=%s", j->rec.id);
    }
    /* With an exit record the shim has had the runtime remove everything. */
    if (!j->rec.has_result)
        remove_cgroup(c, j->rec.id, j->rec.host_id_base);
    remove_files(c, j->rec.id);
}

/* Calls fn for each name in the directory that is a job's id, behind `prefix`. */
static void each_id(int dirfd, const char *prefix, struct jd_core *c,
                    void (*fn)(struct jd_core *c, const char *id))
{
    _closedir_ DIR *dir = dirfd < 0 ? NULL : jl_opendir_at(dirfd, ".");
    size_t skip = strlen(prefix);
    struct dirent *d;

    while (dir && (d = readdir(dir)))
        if (strncmp(d->d_name, prefix, skip) == 0 && jl_id_is_valid(d->d_name + skip))
            fn(c, d->d_name + skip);
}

static void sweep_bundle(struct jd_core *c, const char *id)
{
    const struct jd_job *j = jd_jobs_get(c, id);
    bool keep = j && c->conf.keep_bundles;

    if (j ? !jd_state_is_ended(j->state) || j->unstored : jd_submits_have(c, id))
        return;
    if (keep && !jd_space_left(c, id))
        return;
    jl_log_info("sweep.bundle", "job=%s", id);
    jd_space_discard(c, id, keep);
}

/* A shim of a job that nobody knows ends with its job, which the cgroup's sweep has killed. */
static void sweep_state(struct jd_core *c, const char *id)
{
    const struct jd_job *j = jd_jobs_get(c, id);
    struct jl_err e = JL_ERR_INIT;
    int fd;

    if (j && (!jd_state_is_ended(j->state) || j->unstored))
        return;
    fd = jd_shim_connect(c, id);
    if (fd >= 0) {
        close(fd);
        return;
    }
    jl_log_info("sweep.state", "job=%s", id);
    if (jl_remove_tree_at(c->state_dirfd, id, &e) < 0)
        jl_log_fail(&e, "sweep.state", "job=%s", id);
}

static void sweep_cgroup(struct jd_core *c, const char *id)
{
    const struct jd_job *j = jd_jobs_get(c, id);

    if (j && (!jd_state_is_ended(j->state) || j->unstored))
        return;
    jl_log_info("sweep.cgroup", "job=%s", id);
    remove_cgroup(c, id, j ? j->rec.host_id_base : 0);
}

/* What a shim that was killed at its end, or the power's loss, has left with the runtime. */
static void sweep_container(struct jd_core *c, const char *id)
{
    const struct jd_job *j = jd_jobs_get(c, id);
    struct jl_err e = JL_ERR_INIT;

    if (j && (!jd_state_is_ended(j->state) || j->unstored || j->cleaning))
        return;
    jl_log_info("sweep.container", "job=%s", id);
    if (delete_container(c, id, j ? j->rec.host_id_base : 0, &e) < 0)
        jl_log_fail(&e, "sweep.container", "job=%s", id);
}

/* Logs and metrics of a job that is not in the database: we ended between forgetting it and its
 * files, or somebody has moved the database away and may still want them. They stay as long as
 * those of an ended job do. */
static void sweep_old(struct jd_core *c, int dirfd, const char *id, int64_t days)
{
    uint64_t now = jl_wall_ns() / JL_NS_PER_S;
    struct jl_err e = JL_ERR_INIT;
    struct stat st;

    if (days <= 0 || !jd_purge_knows_time(c, (uint64_t) days * 86400 * JL_NS_PER_S) ||
        jd_jobs_get(c, id) || fstatat(dirfd, id, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        (uint64_t) st.st_mtim.tv_sec + (uint64_t) days * 86400 > now)
        return;
    jl_log_info("sweep.old", "job=%s", id);
    if (jd_trash_put(c, dirfd, id, &e) < 0)
        jl_log_fail(&e, "sweep.old", "job=%s", id);
}

static void sweep_log(struct jd_core *c, const char *id)
{
    sweep_old(c, c->logs_dirfd, id, c->conf.logs_days);
}

static void sweep_metrics(struct jd_core *c, const char *id)
{
    sweep_old(c, c->metrics.dirfd, id, c->conf.metrics_days);
}

/* The groups of jobs in a hierarchy; -1 there are none. */
static int open_groups(const struct jd_core *c, const char *mount)
{
    char path[1024];

    snprintf(path, sizeof path, "%s/%s", mount, c->conf.cgroup_path);
    return mount[0] ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
}

static void sweep_hierarchy(struct jd_core *c, const char *mount)
{
    _close_ int fd = open_groups(c, mount);

    each_id(fd, "job-", c, sweep_cgroup);
}

void jd_sweep(struct jd_core *c)
{
    _close_ int containers = open_containers(c);

    jd_purge_look_at_clock(c);
    sweep_hierarchy(c, c->cg_host.unified);
    for (size_t i = 0; i < OS_CG_N; i++)
        sweep_hierarchy(c, c->cg_host.v1[i]);
    each_id(containers, "", c, sweep_container);
    each_id(c->state_dirfd, "", c, sweep_state);
    each_id(c->jobs_dirfd, "", c, sweep_bundle);
    each_id(c->logs_dirfd, "", c, sweep_log);
    each_id(c->metrics.dirfd, "", c, sweep_metrics);
    jd_purge_retain(c);
}

/* ---- before the first sweep */

/* The first of them goes into `first`, of 40 bytes. How many. */
static unsigned count_ids(int dirfd, const char *prefix, bool with_processes, char *first)
{
    int copy = dirfd < 0 ? -1 : openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _closedir_ DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    size_t skip = strlen(prefix);
    struct dirent *d;
    unsigned n = 0;

    while (dir && (d = readdir(dir))) {
        char path[300], c;
        _close_ int fd = -1;

        if (strncmp(d->d_name, prefix, skip) != 0 || !jl_id_is_valid(d->d_name + skip))
            continue;
        snprintf(path, sizeof path, "%s/cgroup.procs", d->d_name);
        if (with_processes) {
            fd = openat(copy, path, O_RDONLY | O_CLOEXEC);
            if (fd < 0 || read(fd, &c, 1) <= 0)
                continue;
        }
        if (n++ == 0)
            snprintf(first, 40, "%s", d->d_name + skip);
    }
    return n;
}

int jd_sweep_check_new(const struct jd_core *c, struct jl_err *e)
{
    char first[40] = "";
    unsigned live = count_ids(c->state_dirfd, "", false, first);
    unsigned bundles = count_ids(c->jobs_dirfd, "", false, first), groups = 0;

    for (size_t i = 0; i <= OS_CG_N; i++) {
        _close_ int fd = open_groups(c, i < OS_CG_N ? c->cg_host.v1[i] : c->cg_host.unified);
        unsigned n = count_ids(fd, "job-", true, first);

        groups = n > groups ? n : groups;
    }
    if (live == 0 && bundles == 0 && groups == 0)
        return 0;
    jl_refuse(e, EEXIST,
              "state database '%s/joblet.db' is empty or not there, but jobs are (%s...): %u in "
              "'%s/jobs', %u in '%s', %u control groups 'job-*' with processes below '%s'",
              c->conf.state_dir, first, live, c->conf.run_dir, bundles, c->conf.jobs_dir, groups,
              c->conf.cgroup_path);
    return jl_hint(e,
                   "put the file back (is its disk mounted?); or, to lose these jobs, kill their "
                   "processes and remove their directories in these places");
}
