/*
 * shim_adopt.c - a job of an earlier run of joblet: its shim found again, or what it left.
 *
 * What is on disk tells how far a start had come when joblet was killed (docs/formats/exit-record.md):
 *
 *   record INITIALIZING, no state directory      not started; all that is there is written anew
 *   directory, nobody holds its lock, no exit.new   the same: no shim has taken a step
 *   directory, somebody holds its lock           a shim lives; its socket comes, or its end
 *   exit.new, nobody holds the lock              a shim was there and is gone: lost
 *   exit                                         the end, whoever lives; a shim that has lost its
 *                                                daemon leaves a copy beside the log
 *
 * The lock is asked for before anything else is looked at: what a shim leaves that is gone by then
 * does not change any more. After a reboot the directory is gone (/run) or holds what the disk
 * happened to keep, so that nothing but an exit record is believed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/core/core.h"
#include "daemon/core/shim_internal.h"
#include "ipc/exitrec.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

#define ADOPT_LIMIT_NS JD_SHIM_START_NS /* a busy machine may be slow to bring a shim up */
#define ADOPT_AGAIN_NS (50 * JL_NS_PER_MS)
#define ADOPT_LATER_NS JL_NS_PER_S /* when there was no descriptor or memory to look with */
#define LOST_REBOOT "lost: host restarted"

int jd_shim_lock(const struct jd_core *c, const char *id)
{
    int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    _close_ int fd = openat(c->state_dirfd, id, flags);

    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return -errno;
    return jl_take_fd(&fd);
}

/* Somebody holds the lock of the job's directory, or it can't be known. */
static bool shim_lives(const struct jd_job *j)
{
    _close_ int fd = jd_shim_lock(j->core, j->rec.id);

    return fd < 0;
}

static bool is_there(const struct jd_job *j, const char *name)
{
    char path[128];
    struct stat st;

    snprintf(path, sizeof path, "%s/%s", j->rec.id, name);
    return fstatat(j->core->state_dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

/* The process at the other end, as it was when it began to listen. */
static int peer_pidfd(int sock)
{
    struct ucred cred;
    socklen_t len = sizeof(int);
    int fd;

    if (getsockopt(sock, SOL_SOCKET, SO_PEERPIDFD, &fd, &len) == 0)
        return fd;
    len = sizeof cred;
    if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        return -errno;
    fd = (int) syscall(SYS_pidfd_open, cred.pid, 0);
    return fd < 0 ? -errno : fd;
}

/* Nobody supervises the job, and it has no exit record. */
static void without_shim(struct jd_job *j)
{
    bool begun = is_there(j, IPC_EXITREC_NEW_NAME);

    if (j->state == JD_INITIALIZING && !begun) {
        jl_log_info("job.adopt", "job=%s was not started yet: now", j->rec.id);
        jd_job_start(j);
    } else if (j->state == JD_STOPPING && !begun) {
        jd_shim_lost(j, "stopped before it had started");
    } else {
        jd_shim_lost(j, JD_LOST_SHIM);
    }
}

static int settle(struct jd_shim *s);

static int on_adopt_again(struct jl_timer *t)
{
    settle(JL_CONTAINER(t, struct jd_shim, limit));
    return 0;
}

/* Connects to the shim and has it watched. 0, or -errno: see jd_shim_connect_control. */
static int take_up(struct jd_shim *s)
{
    struct jl_err e = JL_ERR_INIT;
    int r = jd_shim_connect_control(s);

    if (r < 0)
        return r;
    s->pidfd = peer_pidfd(s->control);
    r = s->pidfd < 0 ? s->pidfd : jd_shim_watch(s, &e);
    if (r == 0)
        return 0;
    jd_shim_close_control(s); /* it ended while we looked */
    s->pidfd = jl_close(s->pidfd);
    return r;
}

/* One try to find the shim of a job of an earlier run, or what it left. */
static int settle(struct jd_shim *s)
{
    struct jd_job *j = s->job;
    bool lives = shim_lives(j), later;
    int r = take_up(s);

    if (r == 0) {
        jl_log_info("job.adopt", "job=%s status=%s", j->rec.id, j->rec.status);
        return 0;
    }
    if (is_there(j, IPC_EXITREC_NAME)) {
        jd_shim_conclude(s, "lost: its exit record can't be read"); /* it was there a moment ago */
        return 0;
    }
    later = jd_is_passing(-r);
    if (lives && (later || jl_now_ns() < s->adopt_until_ns)) { /* just started, or just ends */
        jl_loop_arm(j->core->loop, &s->limit,
                    jl_now_ns() + (later ? ADOPT_LATER_NS : ADOPT_AGAIN_NS), on_adopt_again);
        return 0;
    }
    jd_shim_release(j);
    if (lives)
        jd_shim_lost(j, "lost: supervisor does not answer");
    else
        without_shim(j);
    return 0;
}

void jd_shim_adopt(struct jd_job *j)
{
    bool same_boot = strcmp(j->rec.boot_id, j->core->boot_id) == 0;
    struct jl_err e = JL_ERR_INIT;
    struct stat st;
    struct jd_shim *s;

    if (same_boot && fstatat(j->core->state_dirfd, j->rec.id, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        without_shim(j);
        return;
    }
    s = jd_shim_new(j, &e);
    if (!s) {
        jl_log_fail(&e, "job.adopt", "job=%s", j->rec.id);
        return;
    }
    s->adopt_until_ns = jl_now_ns() + ADOPT_LIMIT_NS;
    if (same_boot)
        settle(s);
    else
        jd_shim_conclude(s, LOST_REBOOT); /* the machine stopped; the shim with it */
}
