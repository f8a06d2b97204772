/* core.c - see core.h: start, signals, stop. */
#include "daemon/core/core.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "daemon/core/audit.h"
#include "daemon/core/bundle.h"
#include "daemon/core/hostinfo.h"
#include "daemon/core/notify.h"
#include "daemon/core/revoked.h"
#include "daemon/core/shimlink.h"
#include "daemon/core/store.h"
#include "daemon/core/sweep.h"

#define SWEEP_NS (300 * JL_NS_PER_S)
#define RUNTIME_BYTES_MAX (64u << 20)

int jd_core_log(const struct jd_conf *conf, struct jl_err *e)
{
    enum jl_log_level level = JL_LOG_INFO;
    int fd = -1;

    jl_log_parse_level(conf->log_level, &level);
    if (conf->log_output[0] == '/') {
        fd = open(conf->log_output, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640);
        if (fd < 0)
            return jl_fail_sys(e, "open", conf->log_output, "logging.output");
    }
    if (jl_log.fd > STDERR_FILENO)
        close(jl_log.fd);
    jl_log.fd = fd >= 0                                   ? fd
                : strcmp(conf->log_output, "stderr") == 0 ? STDERR_FILENO
                                                          : STDOUT_FILENO;
    jl_log.level = level;
    jl_log.json = strcmp(conf->log_format, "json") == 0;
    return 0;
}

/* A directory of ours: made when missing, opened without following a link. */
static int open_dir(const char *path, mode_t mode, int *ret_fd, struct jl_err *e)
{
    struct stat st;
    int r = jl_mkdir_p(path, mode, e);

    if (r < 0)
        return r;
    *ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*ret_fd < 0)
        return jl_fail_sys(e, "open", path, "directory");
    if (fstat(*ret_fd, &st) < 0 || (st.st_mode & 0022) ||
        (st.st_uid != 0 && st.st_uid != geteuid())) {
        jl_refuse(e, EPERM, "directory '%s' can be written by others than root", path);
        return jl_hint(e, "chown root '%s' && chmod go-w '%s'", path, path);
    }
    if (fchmod(*ret_fd, mode) < 0)
        return jl_fail_sys(e, "fchmod", path, "directory");
    return 0;
}

static int make_dir(const char *path, mode_t mode, struct jl_err *e)
{
    _close_ int fd = -1;

    return open_dir(path, mode, &fd, e);
}

static int open_dirs(struct jd_core *c, struct jl_err *e)
{
    char live[4200], oci[4200];
    int r;

    snprintf(live, sizeof live, "%s/jobs", c->conf.run_dir);
    snprintf(oci, sizeof oci, "%s/oci", c->conf.run_dir);
    r = make_dir(c->conf.prefix, 0755, e);
    if (r == 0)
        r = make_dir(c->conf.state_dir, 0700, e);
    if (r == 0)
        r = make_dir(c->conf.run_dir, 0755, e);
    if (r == 0)
        r = make_dir(oci, 0700, e);
    if (r == 0)
        r = open_dir(live, 0700, &c->state_dirfd, e);
    /* 0711: what runs inside a user namespace has to get to its own bundle, and lists nothing */
    if (r == 0)
        r = open_dir(c->conf.jobs_dir, 0711, &c->jobs_dirfd, e);
    if (r == 0)
        r = open_dir(c->conf.logs_dir, 0711, &c->logs_dirfd, e);
    if (r == 0)
        r = open_dir(c->conf.volumes_dir, 0711, &c->volumes.dirfd, e);
    if (r == 0)
        r = open_dir(c->conf.metrics_dir, 0700, &c->metrics.dirfd, e);
    return r;
}

/*
 * Two cores on one prefix would each take the other's jobs for lost. A POSIX lock, since it belongs
 * to the process: one on the open file (flock) would live on for a moment in a child that was about
 * to exec when its core was killed. What an earlier core wrote and did not take back says that it
 * was.
 */
static int lock(struct jd_core *c, struct jl_err *e)
{
    struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    char path[4200], text[32];
    int n;

    snprintf(path, sizeof path, "%s/joblet.pid", c->conf.run_dir);
    c->lock_fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (c->lock_fd < 0)
        return jl_fail_sys(e, "open", path, "pid file");
    if (fcntl(c->lock_fd, F_SETLK, &l) < 0) {
        if (errno != EAGAIN && errno != EACCES)
            return jl_fail_sys(e, "fcntl", path, "pid file");
        c->lock_fd = jl_close(c->lock_fd);
        jl_refuse(e, EBUSY, "another joblet runs with prefix '%s' already ('%s' is locked)",
                  c->conf.prefix, path);
        return jl_hint(e, "stop it, or give this one a prefix of its own (--prefix-dir)");
    }
    c->after_crash = pread(c->lock_fd, text, sizeof text, 0) > 0;
    n = snprintf(text, sizeof text, "%d\n", (int) getpid());
    if (pwrite(c->lock_fd, text, (size_t) n, 0) != n || ftruncate(c->lock_fd, n) < 0)
        jl_log_warn("joblet.start", "write '%s': %s", path, strerror(errno)); /* a full disk */
    return 0;
}

static void unlock(struct jd_core *c)
{
    if (c->lock_fd >= 0 && ftruncate(c->lock_fd, 0) < 0)
        jl_log_warn("joblet.stop", "empty the pid file: %s", strerror(errno));
    c->lock_fd = jl_close(c->lock_fd);
}

/* A sealed copy: replacing the file on disk, or writing to it through /proc/PID/exe, changes
 * nothing for the jobs of this daemon. */
static int hold_runtime(struct jd_core *c, struct jl_err *e)
{
    const char *wanted = c->conf.oci_runtime;
    _buf_ struct jl_buf image = JL_BUF_INIT(RUNTIME_BYTES_MAX);
    _free_ char *path = NULL;
    _close_ int fd = -1;
    int r;

    if (wanted[0] == '/') {
        if (access(wanted, X_OK) < 0)
            return jl_fail_sys(e, "access", wanted, "oci.runtime");
        c->runtime_path = strdup(wanted);
        return c->runtime_path ? 0 : jl_fail(e, ENOMEM, "find the OCI runtime");
    }
    path = jd_host_program("joblet-run", e);
    if (!path)
        return jl_hint(e, "or set oci.runtime to another OCI runtime");
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return jl_fail_sys(e, "open", path, "OCI runtime");
    r = jl_read_all(fd, &image);
    if (r < 0)
        return jl_fail(e, -r, "read '%s'", path);
    c->runtime_fd = jl_sealed_memfd("joblet-run", image.data, image.len);
    return c->runtime_fd < 0 ? jl_fail(e, -c->runtime_fd, "copy '%s'", path) : 0;
}

static int find_programs(struct jd_core *c, struct jl_err *e)
{
    c->shim_path = jd_host_program("joblet-shim", e);
    c->front_path = c->shim_path ? jd_host_program("joblet-front", e) : NULL;
    if (!c->front_path)
        return -e->code;
    if (c->conf.job_init) {
        c->init_path = jd_host_program("joblet-init", e);
        if (!c->init_path)
            return jl_hint(e, "or set job.init: false");
    }
    return hold_runtime(c, e);
}

static void raise_nofile(struct jd_core *c)
{
    struct rlimit l;

    c->nofile_max = 1024;
    if (getrlimit(RLIMIT_NOFILE, &l) < 0)
        return;
    l.rlim_cur = l.rlim_max;
    setrlimit(RLIMIT_NOFILE, &l);
    c->nofile_max = l.rlim_max > 1048576 ? 1048576 : l.rlim_max;
}

/* isolation.userns: auto takes it where the mounts that jobs need can be idmapped. */
static int decide_userns(struct jd_core *c, struct jl_err *e)
{
    struct jl_err why = JL_ERR_INIT;
    int r = 0;

    if (c->conf.userns == 0)
        return 0;
    for (size_t i = 0; i < c->conf.allowed_mounts.len && r == 0; i++) {
        struct stat st;

        if (lstat(c->conf.allowed_mounts.items[i], &st) == 0 && S_ISDIR(st.st_mode))
            r = jd_host_can_idmap(c->conf.allowed_mounts.items[i], &why);
    }
    if (r == 0)
        r = jd_host_can_idmap(c->conf.jobs_dir, &why);
    if (r == 0 && c->init_path)
        r = jd_host_can_idmap(c->init_path, &why);
    c->userns = r == 0;
    if (r == 0)
        return 0;
    if (c->conf.userns > 0) {
        jl_refuse(e, ENOTSUP, "isolation.userns is true, but this host can't: %s", why.text);
        return jl_hint(e, "set isolation.userns: auto, or false");
    }
    jl_log_warn("isolation.userns", "off: %s", why.text);
    return 0;
}

/* v2 gives limits only to groups without processes of their own beside them: where a service
 * manager has put us into the group that is to hold the jobs, we move into a leaf below it. */
static int leave_base_group(struct jd_core *c, struct jl_err *e)
{
    char line[4096] = "", path[600];
    struct os_cgroup *leaf = NULL;
    _close_ int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
    int r;

    if (c->cg_host.mode != OS_CGROUP_V2 || n <= 0 || strncmp(line, "0::/", 4) != 0)
        return 0;
    line[strcspn(line, "\n")] = '\0';
    if (strcmp(line + 4, c->conf.cgroup_path) != 0)
        return 0;
    jl_log_warn("cgroup.base",
                "joblet was started in the group of its jobs, /%s: systemd before 254 "
                "can't start it again while jobs run; see docs/adr/0009",
                c->conf.cgroup_path);
    snprintf(path, sizeof path, "%s/daemon", c->conf.cgroup_path);
    r = os_cgroup_create(&c->cg_host, path, 0, &leaf, e);
    if (r == -EBUSY) {
        jl_err_clear(e);
        r = os_cgroup_open(&c->cg_host, path, &leaf, e);
    }
    if (r == 0)
        r = os_cgroup_attach(leaf, getpid(), e);
    os_cgroup_free(leaf);
    return r;
}

/* Newer kernels have no such file, and count those buffers as memory. */
static bool counts_tcp_apart(const struct jd_core *c)
{
    const char *v1 = c->cg_host.v1[OS_CG_MEMORY];
    char path[4200];

    snprintf(path, sizeof path, "%s/memory.kmem.tcp.limit_in_bytes", v1);
    return v1[0] != '\0' && access(path, F_OK) == 0;
}

static int look_at_host(struct jd_core *c, struct jl_err *e)
{
    int r = os_cgroup_host_read(&c->cg_host, e);

    if (r < 0)
        return r;
    if (c->cg_host.mode == OS_CGROUP_NONE) {
        jl_refuse(e, ENOTSUP, "no control groups are mounted on this host");
        return jl_hint(e, "mount -t cgroup2 none /sys/fs/cgroup");
    }
    c->tcp_apart = counts_tcp_apart(c);
    jd_host_boot_id(c->boot_id, sizeof c->boot_id);
    raise_nofile(c);
    for (size_t i = 0; i < c->conf.allowed_mounts.len; i++)
        if (access(c->conf.allowed_mounts.items[i], F_OK) < 0)
            jl_log_debug("filesystem.mounts", "this host has no '%s': left out of jobs",
                         c->conf.allowed_mounts.items[i]);
    r = leave_base_group(c, e);
    return r < 0 ? r : decide_userns(c, e);
}

static int load_job(void *arg, struct jd_record *own_r)
{
    struct jd_core *c = arg;
    struct jl_err e = JL_ERR_INIT;
    struct jd_job *j = jd_job_load(c, own_r, &e);

    if (!j) {
        jl_log_fail(&e, "state.load", "a job is passed over");
        jd_record_done(own_r);
        return e.code == ENOMEM ? -ENOMEM : 0;
    }
    if (jd_queue_reserve(c, c->jobs.n + 1, &e) < 0) {
        jd_job_free(j);
        return -e.code;
    }
    jd_jobs_add(c, j);
    if (j->rec.host_id_base >= JD_ID_FIRST) /* the next one gets others */
        c->jobs.last_slot = (j->rec.host_id_base - JD_ID_FIRST) / JD_ID_RANGE;
    jd_job_stored(j);
    return 0;
}

static int load_jobs(struct jd_core *c, struct jl_err *e)
{
    int r = jd_store_is_new(c->conf.state_dir) ? jd_sweep_check_new(c, e) : 0;

    if (r == 0)
        r = jd_store_open(c->conf.state_dir, &c->store, e);
    if (r == 0)
        r = jd_store_each(c->store, load_job, c, e);
    if (r == 0)
        jd_queue_follow_clock(c); /* it may have been set while nobody looked */
    return r;
}

static void adopt_jobs(struct jd_core *c)
{
    for (struct jd_job *j = c->jobs.first, *next; j; j = next) {
        next = j->next;
        if (jd_state_is_active(j->state))
            jd_shim_adopt(j);
        if (j->state == JD_RUNNING || j->state == JD_STOPPING)
            jd_metrics_begin(j, false);
    }
}

static int on_sweep(struct jl_timer *t)
{
    struct jd_core *c = JL_CONTAINER(t, struct jd_core, sweep);

    jd_sweep(c);
    jd_nets_look(c);
    jd_volumes_mend(c);
    jd_revoked_check(c, c->revoked.bad); /* what is wrong is told again */
    jl_loop_arm(c->loop, t, jl_now_ns() + SWEEP_NS, on_sweep);
    return 0;
}

static int on_signal(struct jl_source *src, uint32_t ready)
{
    struct jd_core *c = JL_CONTAINER(src, struct jd_core, signals);
    struct signalfd_siginfo info;

    (void) ready;
    while (read(src->fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGHUP)
            jd_reload(c);
        else if (!c->ending)
            jd_core_end(c, 0);
    }
    return 0;
}

static int watch_signals(struct jd_core *c, struct jl_err *e)
{
    sigset_t set;
    int r;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    c->signal_fd = jl_signalfd(&set);
    if (c->signal_fd < 0)
        return jl_fail(e, -c->signal_fd, "watch signals");
    r = jl_loop_add(c->loop, &c->signals, c->signal_fd, EPOLLIN, on_signal);
    return r < 0 ? jl_fail(e, -r, "watch signals") : 0;
}

static int bring_up(struct jd_core *c, struct jl_err *e)
{
    int r = open_dirs(c, e);

    if (r == 0)
        r = lock(c, e);
    if (r == 0)
        r = find_programs(c, e);
    if (r == 0)
        r = look_at_host(c, e);
    if (r == 0)
        r = watch_signals(c, e);
    if (r == 0)
        r = jd_audit_open(c, e);
    if (r == 0)
        r = jd_revoked_init(c, e);
    if (r == 0)
        r = jd_trash_init(c, e);
    if (r == 0)
        r = jd_stages_init(c, e);
    if (r == 0)
        r = jd_queue_init(c, e);
    if (r == 0)
        r = load_jobs(c, e);
    if (r == 0)
        r = jd_rootfs_init(c, e);
    if (r == 0)
        r = jd_ahead_init(c, e);
    if (r == 0)
        r = jd_volumes_init(c, e);
    if (r == 0)
        r = jd_nets_init(c, e);
    return r;
}

int jd_core_start(struct jd_core *c, struct jd_conf *own_conf, struct jl_err *e)
{
    int r;

    *c = (struct jd_core){ .conf = *own_conf,
                           .runtime_fd = -1,
                           .lock_fd = -1,
                           .jobs_dirfd = -1,
                           .logs_dirfd = -1,
                           .state_dirfd = -1,
                           .audit = { .fd = -1 },
                           .signal_fd = -1 };
    *own_conf = (struct jd_conf){ 0 };
    c->front.link = c->front.pidfd = c->metrics.dirfd = -1;
    c->stages.dirfd = c->trash.dirfd = c->volumes.dirfd = c->rootfs.dirfd = -1;
    c->ahead.bundles.dirfd = c->ahead.logs.dirfd = -1;
    c->jobs.queue.timer_fd = -1;
    c->revoked.inotify = -1;
    umask(022);
    c->loop = jl_loop_new();
    if (!c->loop)
        return jl_fail(e, errno, "make the event loop");
    r = jd_core_log(&c->conf, e);
    for (size_t i = 0; r == 0 && i < c->conf.notes.len; i++)
        jl_log_warn("joblet.config", "%s", c->conf.notes.items[i]);
    if (r == 0)
        r = bring_up(c, e);
    if (r < 0)
        return r;
    jl_log_info("joblet.start", "version=%s prefix=%s cgroups=%s userns=%s runtime=%s jobs=%u",
                PACKAGE_VERSION, c->conf.prefix, os_cgroup_mode_name(c->cg_host.mode),
                c->userns ? "on" : "off", c->runtime_path ? c->runtime_path : "joblet-run",
                c->jobs.n);
    adopt_jobs(c);
    jd_jobs_settle(c); /* the one before us may have been killed with secrets to be forgotten */
    on_sweep(&c->sweep);
    jd_queue_run(c);
    jd_monitor_start(c);
    return jd_front_start(c, e);
}

void jd_core_end(struct jd_core *c, int status)
{
    jl_log_info("joblet.stop", "jobs go on: %u", c->jobs.n_active);
    c->ending = true;
    jd_notify("STOPPING=1");
    jd_front_stop(c, status);
}

int jd_core_run(struct jd_core *c)
{
    int r = jl_loop_run(c->loop);
    struct jl_err e = JL_ERR_INIT;

    if (r >= 0)
        return r;
    jl_fail(&e, -r, "the event loop");
    jl_log_fail(&e, "joblet.stop", "unexpected");
    return 1;
}

void jd_core_done(struct jd_core *c)
{
    if (c->loop) {
        jd_reload_done(c);
        jd_front_done(c);
        jd_monitor_done(c);
        jd_purge_done(c);
        jd_nets_done(c);
        jd_jobs_clear(c);
        jd_spaces_done(c);
        jd_volumes_done(c);
        jd_queue_done(c);
        jd_stages_done(c);
        jd_trash_done(c);
        jd_revoked_done(c);
        jd_ahead_done(c);
        jd_audit_done(c);
        jl_loop_disarm(c->loop, &c->sweep);
        jl_loop_del(c->loop, &c->signals);
    }
    jl_loop_free(c->loop);
    c->loop = NULL;
    jd_rootfs_done(c);
    jd_store_close(c->store);
    free(c->shim_path);
    free(c->front_path);
    free(c->init_path);
    free(c->runtime_path);
    jl_close(c->signal_fd);
    jl_close(c->runtime_fd);
    jl_close(c->jobs_dirfd);
    jl_close(c->logs_dirfd);
    jl_close(c->metrics.dirfd);
    jl_close(c->state_dirfd);
    unlock(c);
    jd_conf_done(&c->conf);
}
