/* state.c - see state.h. */
#include "runtime/state.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/strv.h"
#include "os/cgroup.h"
#include "os/pidfd.h"
#include "runtime/record.h"

const char *rt_status_name(enum rt_status s)
{
    static const char *const names[] = { [RT_CREATING] = "creating",
                                         [RT_CREATED] = "created",
                                         [RT_RUNNING] = "running",
                                         [RT_PAUSED] = "paused",
                                         [RT_STOPPED] = "stopped" };

    return names[s];
}

const char *rt_phase_name(enum rt_phase phase)
{
    static const char *const names[] = {
        [RT_PHASE_LOAD] = "load",       [RT_PHASE_CGROUP] = "cgroup",
        [RT_PHASE_SECCOMP] = "seccomp", [RT_PHASE_PREPARE] = "prepare",
        [RT_PHASE_CLONE] = "clone",     [RT_PHASE_SETUP] = "setup",
        [RT_PHASE_HOOKS] = "hooks",
    };

    return names[phase];
}

int rt_id_check(const char *id, struct jl_err *e)
{
    size_t len = strlen(id);
    bool good = len > 0;

    for (const char *p = id; *p && good; p++)
        good = isalnum((unsigned char) *p) || strchr("_+.-", *p);
    if (!good || strcmp(id, ".") == 0 || strcmp(id, "..") == 0) {
        jl_refuse(e, EINVAL, "invalid container id: '%s'", id);
        return jl_hint(e, "letters, digits and _ + . - are allowed");
    }
    if (len > RT_ID_MAX)
        return jl_refuse(e, EINVAL,
                         "invalid container id: has %zu characters, at most %d are allowed", len,
                         RT_ID_MAX);
    return 0;
}

/* A symlink is fine if nobody but root or we ourselves can have made it. fd, or -1 with errno. */
static int open_root(const char *root)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    int fd = open(root, flags | O_NOFOLLOW);
    struct stat st;

    if (fd >= 0 || (errno != ELOOP && errno != ENOTDIR) || lstat(root, &st) < 0)
        return fd;
    if (S_ISLNK(st.st_mode) && (st.st_uid == 0 || st.st_uid == geteuid()))
        return open(root, flags);
    errno = S_ISLNK(st.st_mode) ? ELOOP : ENOTDIR;
    return -1;
}

static int check_root(int fd, const char *root, struct jl_err *e)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return jl_fail_sys(e, "fstat", root, "look at the state root");
    if (st.st_uid != 0 && st.st_uid != geteuid())
        jl_refuse(e, EPERM, "state root '%s': belongs to user %u", root, (unsigned) st.st_uid);
    else if (st.st_mode & (S_IWGRP | S_IWOTH))
        jl_refuse(e, EPERM, "state root '%s': others may write there (mode %04o)", root,
                  (unsigned) st.st_mode & 07777);
    else
        return 0;
    return jl_hint(e, "give a directory of your own with --root, or set XDG_RUNTIME_DIR");
}

int rt_state_root_open(const char *root, bool make, struct jl_err *e)
{
    _close_ int fd = open_root(root);
    int r;

    if (fd < 0 && errno == ENOENT && make) {
        r = jl_mkdir_p(root, 0700, e);
        if (r < 0)
            return r;
        fd = open_root(root);
    }
    if (fd < 0)
        return jl_fail_sys(e, "open", root, "open the state root");
    r = check_root(fd, root, e);
    return r < 0 ? r : jl_take_fd(&fd);
}

int rt_state_create(int root_fd, struct rt_state *s, struct jl_err *e)
{
    _buf_ struct jl_buf record = JL_BUF_INIT(RT_RECORD_MAX);

    if (rt_record_text(s, &record, e) < 0)
        return -e->code;
    if (mkdirat(root_fd, s->id, 0700) < 0) {
        if (errno == EEXIST)
            return jl_refuse(e, EEXIST, "container with id exists: '%s'", s->id);
        return jl_fail_sys(e, "mkdirat", s->id, "make the state directory");
    }
    s->dirfd = openat(root_fd, s->id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (s->dirfd < 0) {
        jl_fail_sys(e, "openat", s->id, "open the state directory");
        unlinkat(root_fd, s->id, AT_REMOVEDIR); /* without it nobody could later on */
        return -e->code;
    }
    if (flock(s->dirfd, LOCK_EX | LOCK_NB) < 0)
        return jl_fail_sys(e, "flock", s->id, "lock the state directory");
    s->locked = true;
    return rt_record_write(s, &record, e);
}

static int open_dir(int root_fd, const char *id, struct rt_state *s, struct jl_err *e)
{
    int r = rt_id_check(id, e);

    *s = (struct rt_state) RT_STATE_INIT;
    if (r < 0)
        return r;
    s->id = strdup(id);
    if (!s->id)
        return jl_fail(e, ENOMEM, "read the record of the container");
    s->dirfd =
        root_fd < 0 ? -1 : openat(root_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (s->dirfd < 0) {
        if (root_fd < 0 || errno == ENOENT)
            return jl_refuse(e, ENOENT, "container does not exist: '%s'", id);
        return jl_fail_sys(e, "openat", id, "open the state of the container");
    }
    return 0;
}

int rt_state_open(int root_fd, const char *id, struct rt_state *s, struct jl_err *e)
{
    int r = open_dir(root_fd, id, s, e);

    return r < 0 ? r : rt_record_read(s, e);
}

int rt_state_open_locked(int root_fd, const char *id, unsigned ms, struct rt_state *s,
                         struct jl_err *e)
{
    struct stat st;
    int r = open_dir(root_fd, id, s, e);

    if (r == 0)
        r = rt_state_lock(s, ms, e);
    if (r < 0)
        return r;
    if (fstat(s->dirfd, &st) == 0 && st.st_nlink == 0) /* removed while we waited */
        return jl_refuse(e, ENOENT, "container does not exist: '%s'", id);
    return rt_record_read(s, e);
}

int rt_state_lock(struct rt_state *s, unsigned ms, struct jl_err *e)
{
    uint64_t deadline = jl_now_ns() + ms * JL_NS_PER_MS;

    while (flock(s->dirfd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EINTR)
            continue;
        if (errno != EWOULDBLOCK)
            return jl_fail_sys(e, "flock", s->id, "lock the container's state");
        if (jl_now_ns() >= deadline)
            return jl_refuse(e, EBUSY, "container '%s' is in use by another joblet-run", s->id);
        jl_sleep_ns(2 * JL_NS_PER_MS);
    }
    s->locked = true;
    return 0;
}

void rt_state_unlock(struct rt_state *s)
{
    flock(s->dirfd, LOCK_UN);
    s->locked = false;
}

void rt_state_made(struct rt_state *s)
{
    struct flock lock = { .l_type = F_UNLCK };

    if (s->record >= 0)
        fcntl(s->record, F_OFD_SETLK, &lock); /* not only closed: a child may have a copy */
    s->record = jl_close(s->record);
}

/* Somebody makes the container right now: the lock goes with him, however he ends. */
static bool is_being_made(const struct rt_state *s)
{
    _close_ int fd = openat(s->dirfd, "record", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct flock lock = { .l_type = F_RDLCK };

    return fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

bool rt_state_has_ended(const struct rt_state *s)
{
    uint64_t ticks;
    int r = s->pid > 0 ? os_pid_start_ticks(s->pid, &ticks) : -ESRCH;

    return r == -ESRCH || (r == 0 && ticks != s->start_ticks);
}

int rt_state_pidfd(const struct rt_state *s)
{
    if (s->pid <= 0)
        return -ESRCH;
    return os_pidfd_open_checked(s->pid, s->start_ticks);
}

bool rt_state_all_ended(const struct rt_state *s)
{
    _close_ int pidfd = -1;

    if (!s->own_pid_ns || s->pid <= 0)
        return false;
    pidfd = rt_state_pidfd(s);
    /* a pidfd tells of the end of the last thread, and an init's comes after everybody else's */
    return pidfd == -ESRCH || (pidfd >= 0 && os_pidfd_wait_end(pidfd, 0) == 1);
}

/*
 * A created container listens on its socket until it is started. The name alone does not tell:
 * a `start` that was killed leaves it. Nothing is sent, which init takes as "somebody looked".
 */
static bool is_waiting(const struct rt_state *s)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    struct stat st;
    _close_ int sock = -1;

    if (fstatat(s->dirfd, "start", &st, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (sock < 0)
        return true;
    snprintf(addr.sun_path, sizeof addr.sun_path, "/proc/self/fd/%d/start", s->dirfd);
    if (connect(sock, (struct sockaddr *) &addr, sizeof addr) == 0)
        return true;
    return errno != ECONNREFUSED && errno != ENOENT;
}

enum rt_status rt_state_status(const struct rt_state *s, const struct os_cgroup_host *host)
{
    struct os_cgroup *cg = NULL;
    struct jl_err ignored = JL_ERR_INIT;
    uint64_t ticks;
    char letter;
    bool frozen;
    int r;

    if (s->pid <= 0) {
        /* Being made right now, by whoever holds the lock; or left behind by one who died. */
        if (s->locked)
            return RT_STOPPED;
        if (flock(s->dirfd, LOCK_EX | LOCK_NB) < 0)
            return RT_CREATING;
        flock(s->dirfd, LOCK_UN);
        return RT_STOPPED;
    }
    /* Who can't be looked at, for want of descriptors or memory, is no dead one: gc and delete
     * would take what runs. */
    r = os_pid_stat(s->pid, &ticks, &letter);
    if (r == -ESRCH || (r == 0 && (ticks != s->start_ticks || letter == 'Z' || letter == 'X')))
        return RT_STOPPED;
    if (is_being_made(s))
        return RT_CREATING;
    if (is_waiting(s))
        return RT_CREATED;
    if (!host || !s->cgroup || os_cgroup_open(host, s->cgroup, &cg, &ignored) < 0)
        return RT_RUNNING;
    frozen = os_cgroup_is_frozen(cg) == 1;
    os_cgroup_free(cg);
    return frozen ? RT_PAUSED : RT_RUNNING;
}

int rt_state_remove(int root_fd, struct rt_state *s, struct jl_err *e)
{
    static const char *const files[] = { "start", "record" };

    /* The record goes last: until then `delete` can be called again. What is usually there is
     * removed by name, so that the common case reads no directory. */
    for (size_t i = 0; i < JL_COUNT(files); i++)
        if (unlinkat(s->dirfd, files[i], 0) < 0 && errno != ENOENT)
            return jl_fail_sys(e, "unlinkat", files[i], "remove the state of the container");
    if (unlinkat(root_fd, s->id, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    if (errno == ENOTEMPTY)
        return jl_remove_tree_at(root_fd, s->id, e);
    return jl_fail_sys(e, "unlinkat", s->id, "remove the state of the container");
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *) a, *(char *const *) b);
}

int rt_state_list(int root_fd, struct jl_strv *ret_ids, struct jl_err *e)
{
    _closedir_ DIR *dir = jl_opendir_at(root_fd, ".");
    struct jl_err ignored = JL_ERR_INIT;
    struct dirent *d;

    if (!dir)
        return jl_fail_sys(e, "open", NULL, "list the state root");
    for (errno = 0; (d = readdir(dir)) != NULL; errno = 0)
        if (rt_id_check(d->d_name, &ignored) == 0 &&
            (d->d_type == DT_DIR || d->d_type == DT_UNKNOWN) && jl_strv_add(ret_ids, d->d_name) < 0)
            return jl_fail(e, ENOMEM, "list the state root");
    if (errno != 0)
        return jl_fail_sys(e, "getdents64", NULL, "list the state root");
    if (ret_ids->len > 1)
        qsort(ret_ids->items, ret_ids->len, sizeof *ret_ids->items, by_name);
    return 0;
}

void rt_state_clear(struct rt_state *s)
{
    s->dirfd = jl_close(s->dirfd);
    s->record = jl_close(s->record);
    free(s->id);
    free(s->bundle);
    free(s->rootfs);
    free(s->cgroup);
    free(s->unit);
    free(s->rdt);
    free(s->oci_version);
    free(s->created);
    free(s->finished);
    free(s->config);
    for (size_t i = 0; i < s->n_annotations; i++) {
        free(s->annotations[i].key);
        free(s->annotations[i].value);
    }
    free(s->annotations);
    *s = (struct rt_state) RT_STATE_INIT;
}
