/* stage.c - see stage.h. */
#include "daemon/core/stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/io.h"
#include "base/log.h"
#include "daemon/core/bundle.h"
#include "daemon/core/core.h"
#include "daemon/core/stage_sync.h"

#define KEPT_BITS 0755 /* of a mode that front gave: nobody but the job writes */
#define BLOCK 4096u    /* what a file takes at least, also an empty one, and a directory */
#define SLICE 256      /* entries looked at before others get their turn */

static int on_expiry(struct jl_timer *t);

static void arm(struct jd_stages *st)
{
    uint64_t due = UINT64_MAX;

    for (const struct jd_stage *s = st->first; s; s = s->next)
        if (!s->taken && s->until_ns < due)
            due = s->until_ns;
    if (due == UINT64_MAX)
        jl_loop_disarm(st->core->loop, &st->timer);
    else
        jl_loop_arm(st->core->loop, &st->timer, due, on_expiry);
}

void jd_stage_drop(struct jd_core *c, struct jd_stage *s)
{
    struct jl_err e = JL_ERR_INIT;

    for (struct jd_stage **at = &c->stages.first; *at; at = &(*at)->next)
        if (*at == s) {
            *at = s->next;
            c->stages.n--;
            break;
        }
    if (jd_trash_put(c, c->stages.dirfd, s->session, &e) < 0)
        jl_log_fail(&e, "stage.remove", "session=%s", s->session);
    free(s);
    arm(&c->stages);
}

static int on_expiry(struct jl_timer *t)
{
    struct jd_stages *st = JL_CONTAINER(t, struct jd_stages, timer);
    uint64_t now = jl_now_ns();
    struct jd_stage *next;

    for (struct jd_stage *s = st->first; s; s = next) {
        next = s->next;
        if (!s->taken && s->until_ns <= now) {
            jl_log_info("stage.expired", "session=%s client=%s", s->session, s->common_name);
            jd_stage_drop(st->core, s);
        }
    }
    arm(st);
    return 0;
}

/* What an earlier core has left. The directory itself stays: on a full disk there may be no new one. */
static void empty(struct jd_core *c)
{
    _closedir_ DIR *dir = jl_opendir_at(c->stages.dirfd, ".");
    struct jl_err e = JL_ERR_INIT;
    struct dirent *d;

    while (dir && (d = readdir(dir)))
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0 &&
            jd_trash_put(c, c->stages.dirfd, d->d_name, &e) < 0)
            jl_log_fail(&e, "stage.remove", "the next start tries again");
}

int jd_stages_init(struct jd_core *c, struct jl_err *e)
{
    struct jd_stages *st = &c->stages;

    *st = (struct jd_stages){ .core = c, .dirfd = -1 };
    if (mkdirat(c->jobs_dirfd, ".staging", 0711) < 0 && errno != EEXIST)
        return jl_fail_sys(e, "mkdir", ".staging", "directory for uploads");
    st->dirfd = openat(c->jobs_dirfd, ".staging", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (st->dirfd < 0)
        return jl_fail_sys(e, "open", ".staging", "directory for uploads");
    empty(c);
    st->sync = jd_worker_new(c->loop, "uploads", jd_sync_work, JD_SYNC_N);
    return st->sync ? 0 : jl_fail(e, ENOMEM, "make the uploads worker");
}

void jd_stages_done(struct jd_core *c)
{
    struct jd_stages *st = &c->stages;

    if (!st->core)
        return;
    jl_loop_disarm(c->loop, &st->timer);
    jd_worker_free(st->sync);
    st->sync = NULL;
    while (st->first) {
        struct jd_stage *s = st->first;

        st->first = s->next;
        free(s);
    }
    st->dirfd = jl_close(st->dirfd);
    st->core = NULL;
}

static int check_room(struct jd_core *c, const struct ipc_identity *who, struct jl_err *e)
{
    const char *scarce = jl_fs_lacks(c->stages.dirfd);
    unsigned same = 0;

    for (const struct jd_stage *s = c->stages.first; s; s = s->next)
        same += strcmp(s->serial, who->serial) == 0;
    if (c->stages.n >= JD_STAGE_SESSIONS_MAX || same >= JD_STAGE_PER_CLIENT_MAX)
        return jl_refuse(e, EMFILE, "too many uploads wait for their job (%u, %u of this client)",
                         c->stages.n, same);
    if (scarce)
        return jl_refuse(e, ENOSPC, "the server's disk for jobs has less than 5 %% of its %s left",
                         scarce);
    return 0;
}

static int make_dir(struct jd_core *c, const char *session, struct jl_err *e)
{
    _close_ int fd = -1;

    if (mkdirat(c->stages.dirfd, session, 0700) < 0)
        return jl_fail_sys(e, "mkdir", NULL, "make a directory for uploads");
    fd = openat(c->stages.dirfd, session, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchown(fd, c->front.uid, c->front.gid) < 0) {
        jl_fail_sys(e, "fchown", NULL, "make a directory for uploads");
        unlinkat(c->stages.dirfd, session, AT_REMOVEDIR);
        return -e->code;
    }
    return jl_take_fd(&fd);
}

int jd_stage_new(struct jd_core *c, const struct ipc_identity *who, const char **ret_session,
                 int *ret_fd, struct jl_err *e)
{
    struct jd_stage *s;
    int r = check_room(c, who, e);

    if (r < 0)
        return r;
    s = calloc(1, sizeof *s);
    if (!s || jl_id_new(s->session) < 0) {
        free(s);
        return jl_fail(e, ENOMEM, "make a directory for uploads");
    }
    r = make_dir(c, s->session, e);
    if (r < 0) {
        free(s);
        return r;
    }
    *ret_fd = r;
    snprintf(s->common_name, sizeof s->common_name, "%s", who->common_name);
    snprintf(s->serial, sizeof s->serial, "%s", who->serial);
    s->until_ns = jl_now_ns() + JD_STAGE_LIFE_NS;
    s->next = c->stages.first;
    c->stages.first = s;
    c->stages.n++;
    arm(&c->stages);
    *ret_session = s->session;
    return 0;
}

struct jd_stage *jd_stage_find(struct jd_core *c, const char *session,
                               const struct ipc_identity *who, struct jl_err *e)
{
    for (struct jd_stage *s = c->stages.first; s; s = s->next)
        if (!s->taken && strcmp(s->session, session) == 0 && strcmp(s->serial, who->serial) == 0 &&
            strcmp(s->common_name, who->common_name) == 0)
            return s;
    jl_refuse(e, ENOENT, "upload session '%.40s' is unknown, used already or older than 10 minutes",
              session);
    return NULL;
}

void jd_stage_keep(struct jd_core *c, struct jd_stage *s)
{
    s->until_ns = jl_now_ns() + JD_STAGE_LIFE_NS;
    arm(&c->stages);
}

static void push(struct jd_take *t, DIR *dir, const char *name, mode_t mode)
{
    size_t len = strlen(t->path);

    t->path_len[t->depth] = len;
    if (t->depth > 0) /* what is too long is no path that a client can have sent */
        snprintf(t->path + len, sizeof t->path - len, "%s/", name);
    t->mode[t->depth] = mode & KEPT_BITS;
    t->stack[t->depth++] = dir;
}

static void pop(struct jd_take *t)
{
    closedir(t->stack[--t->depth]);
    t->path[t->path_len[t->depth]] = '\0';
}

static int note(struct jd_take *t, const char *name, struct jl_err *e)
{
    if (!t->names || t->names->len >= JD_STAGE_NAMES_MAX)
        return 0;
    return jl_strv_addf(t->names, "%s%s", t->path, name) < 0
               ? jl_fail(e, ENOMEM, "take over the upload '%.60s'", name)
               : 0;
}

/* The directory becomes root's: front may still hold a descriptor, and adds nothing from now on. */
static int enter(struct jd_take *t, int own_fd, const char *name, struct jl_err *e)
{
    _close_ int fd = own_fd;
    struct stat st;
    DIR *dir;

    if (t->depth == JD_STAGE_DEPTH_MAX)
        return jl_refuse(e, EINVAL, "uploads are nested deeper than %d directories",
                         JD_STAGE_DEPTH_MAX);
    if (fstat(fd, &st) < 0 || fchown(fd, 0, 0) < 0 || fchmod(fd, 0700) < 0)
        return jl_fail(e, EIO, "take over the upload '%.60s'", name);
    if (st.st_mode & 07000)
        return jl_refuse(e, EINVAL, "upload '%.60s' has special permission bits", name);
    dir = fdopendir(fd);
    if (!dir)
        return jl_fail(e, ENOMEM, "take over the upload '%.60s'", name);
    jl_take_fd(&fd);
    push(t, dir, name, st.st_mode);
    return 0;
}

static int check_file(struct jd_take *t, int fd, const char *name, struct jl_err *e)
{
    struct stat st;
    char path[32];

    if (fstat(fd, &st) < 0)
        return jl_fail(e, EIO, "look at the upload '%.60s'", name);
    if (!S_ISREG(st.st_mode) || st.st_nlink != 1 || (st.st_mode & 07000) ||
        st.st_uid != t->core->front.uid)
        return jl_refuse(e, EINVAL, "upload '%.60s' is no plain file with one name", name);
    t->bytes += st.st_size > 0 ? ((uint64_t) st.st_size + BLOCK - 1) / BLOCK * BLOCK : BLOCK;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd); /* fchmod wants no O_PATH */
    if (fchownat(fd, "", JD_JOB_UID, JD_JOB_UID, AT_EMPTY_PATH) < 0 ||
        chmod(path, st.st_mode & KEPT_BITS) < 0)
        return jl_fail(e, EIO, "give the upload '%.60s' to its job", name);
    return note(t, name, e);
}

static int take_entry(struct jd_take *t, int dirfd, const char *name, struct jl_err *e)
{
    _close_ int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    int below;

    if (fd < 0 || fstat(fd, &st) < 0)
        return jl_fail(e, EIO, "look at the upload '%.60s'", name);
    if (++t->entries > JD_STAGE_ENTRIES_MAX)
        return jl_refuse(e, EINVAL, "more than %d files and directories are uploaded",
                         JD_STAGE_ENTRIES_MAX);
    if (!S_ISDIR(st.st_mode))
        return check_file(t, fd, name, e);
    t->bytes += BLOCK;
    below = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (below < 0)
        return jl_fail(e, EIO, "look into the upload '%.60s'", name);
    return enter(t, below, name, e);
}

/* 1 there is more, 0 all is taken, -errno with e filled. */
static int take_slice(struct jd_take *t, struct jl_err *e)
{
    for (unsigned n = 0; n < SLICE && t->depth > 0; n++) {
        DIR *dir = t->stack[t->depth - 1];
        struct dirent *d = readdir(dir);
        int r;

        if (!d) {
            if (fchmod(dirfd(dir), t->mode[t->depth - 1]) < 0 ||
                fchown(dirfd(dir), JD_JOB_UID, JD_JOB_UID) < 0)
                return jl_fail(e, EIO, "give a directory to its job");
            pop(t);
            continue;
        }
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        r = take_entry(t, dirfd(dir), d->d_name, e);
        if (r < 0)
            return r;
    }
    return t->depth > 0;
}

static int on_slice(struct jl_timer *timer)
{
    struct jd_take *t = JL_CONTAINER(timer, struct jd_take, timer);
    struct jl_err e = JL_ERR_INIT;
    int r = take_slice(t, &e);

    if (r > 0) {
        jl_loop_arm(t->core->loop, timer, jl_now_ns(), on_slice);
        return 0;
    }
    while (t->depth > 0)
        pop(t);
    t->done(t, r, &e);
    free(t);
    return 0;
}

int jd_stage_take(struct jd_core *c, struct jd_stage *s, struct jl_strv *names, jd_take_fn done,
                  void *arg, struct jl_err *e)
{
    struct jd_take *t = calloc(1, sizeof *t);
    int fd, r;

    if (!t)
        return jl_fail(e, ENOMEM, "take over the uploads");
    *t = (struct jd_take){ .core = c, .stage = s, .names = names, .done = done, .arg = arg };
    fd = openat(c->stages.dirfd, s->session, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    r = fd < 0 ? jl_fail(e, EIO, "open the uploads") : enter(t, fd, ".", e);
    if (r < 0) {
        free(t);
        return r;
    }
    s->taken = true;
    arm(&c->stages);
    jl_loop_arm(c->loop, &t->timer, jl_now_ns(), on_slice);
    return 0;
}
