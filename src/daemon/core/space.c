/* space.c - see space.h. */
#include "daemon/core/space.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/core/core.h"
#include "daemon/core/space_work.h"

#define IN_MEMORY_MAX (UINT64_C(64) << 20)

/* A worker's one request. */
struct jd_space {
    struct jd_core *core;
    struct jd_job *job; /* whose image is made; NULL: one is unmade */
    struct jd_space *next;
    struct jd_worker *worker;
    struct jl_timer timer; /* the answer is there: a worker can't be freed by its own answer */
    char id[40];
    bool made; /* the worker has done it */
    bool keep;
    struct jl_err err; /* why not */
};

enum jd_space_kind jd_space_of(const struct jd_job *j, uint64_t *ret_bytes)
{
    const struct jd_conf *conf = &j->core->conf;
    uint64_t memory = (uint64_t) j->req->max_memory << 20;
    uint64_t bytes = j->rec.upload_bytes + (uint64_t) conf->work_quota;

    if (j->req->n_volumes > 0)
        bytes = (uint64_t) conf->work_size;
    *ret_bytes = bytes;
    if (bytes == 0)
        return JD_SPACE_DIR;
    return bytes > IN_MEMORY_MAX || (memory > 0 && bytes > memory / 4) ? JD_SPACE_IMAGE
                                                                       : JD_SPACE_MEMORY;
}

int jd_space_check(const struct jd_core *c, bool has_volumes, uint64_t upload_bytes,
                   struct jl_err *e)
{
    uint64_t most = (uint64_t) c->conf.work_size;

    if (!has_volumes || most == 0 || upload_bytes <= most)
        return 0;
    jl_refuse(e, ENOSPC,
              "the uploads take %" PRIu64 " bytes, /work of a job with volumes may have %" PRIu64,
              upload_bytes, most);
    return jl_hint(e, "filesystem.workSize of the server; put large files into a volume");
}

static int job_dir(const struct jd_core *c, const char *id)
{
    return openat(c->jobs_dirfd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static void space_free(struct jd_space *s)
{
    jl_loop_disarm(s->core->loop, &s->timer);
    jd_worker_free(s->worker);
    free(s);
}

static int on_done(struct jl_timer *t);
static void on_answer(void *user, int r, const void *out, size_t len, int fd,
                      const struct jl_err *e);

static struct jd_space *space_new(struct jd_core *c, const char *id, struct jd_job *j,
                                  struct jl_err *e)
{
    struct jd_space *s = calloc(1, sizeof *s);

    if (s) {
        s->core = c;
        s->job = j;
        snprintf(s->id, sizeof s->id, "%s", id);
        s->worker = jd_worker_new(c->loop, "work", jd_space_work, JD_SPACE_WORK_N);
    }
    if (s && s->worker)
        return s;
    free(s);
    jl_fail(e, ENOMEM, "the workspace of job %s", id);
    return NULL;
}

static int ask(struct jd_space *s, unsigned what, const struct jd_space_job *request,
               struct jl_err *e)
{
    _close_ int dirfd = job_dir(s->core, s->id);

    if (dirfd < 0)
        return jl_fail_sys(e, "open", s->id, "the workspace of job %s", s->id);
    return jd_worker_call(s->worker, what, request, sizeof *request, &dirfd, 1, on_answer, s, e);
}

/* ---- made */

static void end_making(struct jd_space *s)
{
    struct jl_err e = s->err, ignored = JL_ERR_INIT;
    struct jd_job *j = s->job;
    bool made = s->made;

    if (made && j->state == JD_INITIALIZING) {
        jl_loop_disarm(s->core->loop, &s->timer);
        jd_worker_free(jl_take_ptr(s->worker));
        jd_job_start(j);
        return;
    }
    j->space = NULL;
    space_free(s);
    if (j->state != JD_STOPPING) {
        jd_job_start_failed(j, &e);
        return;
    }
    j->rec.exit_code = -1;
    jd_job_event(j, JD_EV_START_FAILED, JD_FAILED, "stopped before it began", &ignored);
}

int jd_space_make(struct jd_job *j, struct jl_err *e)
{
    struct jd_core *c = j->core;
    struct jd_space_job request = { .free = (uint64_t) c->conf.work_quota,
                                    .has_uploads = j->rec.has_uploads };
    struct jd_space *s;

    if (j->req->n_volumes > 0)
        request.total = (uint64_t) c->conf.work_size;
    snprintf(request.id, sizeof request.id, "%s", j->rec.id);
    if (mkdirat(c->jobs_dirfd, j->rec.id, 0700) < 0 && errno != EEXIST)
        return jl_fail_sys(e, "mkdir", j->rec.id, "make the workspace");
    s = space_new(c, j->rec.id, j, e);
    if (!s)
        return -e->code;
    if (ask(s, JD_SPACE_MAKE, &request, e) < 0) {
        space_free(s);
        return -e->code;
    }
    j->space = s;
    return 0;
}

bool jd_space_is_made(const struct jd_job *j)
{
    return j->space && j->space->made;
}

void jd_space_begun(struct jd_job *j)
{
    struct jl_err e = JL_ERR_INIT;
    _close_ int dirfd = -1;
    uint64_t bytes;

    if (jd_space_of(j, &bytes) != JD_SPACE_IMAGE)
        return;
    dirfd = job_dir(j->core, j->rec.id);
    if (dirfd >= 0 && jd_trash_put(j->core, dirfd, JD_SPACE_UPLOADS, &e) < 0)
        jl_log_fail(&e, "job.start", "job=%s", j->rec.id);
}

bool jd_space_stop(struct jd_job *j)
{
    struct jd_space *s = j->space;

    if (!s || !s->worker)
        return false;
    jd_worker_kill(s->worker); /* and mkfs with it; on_answer follows, or was there already */
    return true;
}

void jd_space_free(struct jd_job *j)
{
    if (j->space)
        space_free(j->space);
    j->space = NULL;
}

/* ---- unmade */

static void forget(struct jd_space *s)
{
    for (struct jd_space **at = &s->core->spaces.first; *at; at = &(*at)->next)
        if (*at == s) {
            *at = s->next;
            break;
        }
    space_free(s);
}

static void remove_dir(struct jd_core *c, const char *id)
{
    struct jl_err e = JL_ERR_INIT;

    if (jd_trash_put(c, c->jobs_dirfd, id, &e) < 0)
        jl_log_fail(&e, "job.clean", "job=%s", id);
}

static void end_unmaking(struct jd_space *s)
{
    if (!s->made)
        jl_log_fail(&s->err, "job.clean", "job=%s: the next sweep tries again", s->id);
    else if (!s->keep)
        remove_dir(s->core, s->id);
    forget(s);
}

bool jd_space_left(const struct jd_core *c, const char *id)
{
    _close_ int dirfd = -1;
    char place[64];
    struct stat st;

    snprintf(place, sizeof place, "%s/workfs", id);
    if (fstatat(c->jobs_dirfd, place, &st, AT_SYMLINK_NOFOLLOW) < 0) /* most have none */
        return false;
    dirfd = job_dir(c, id);
    return dirfd >= 0 && jd_space_mounted(dirfd);
}

static bool is_unmade(const struct jd_core *c, const char *id)
{
    for (const struct jd_space *s = c->spaces.first; s; s = s->next)
        if (strcmp(s->id, id) == 0)
            return true;
    return false;
}

void jd_space_discard(struct jd_core *c, const char *id, bool keep)
{
    struct jd_space_job request = { .free = 0 };
    struct jl_err e = JL_ERR_INIT;
    struct jd_space *s;

    if (is_unmade(c, id))
        return;
    if (!jd_space_left(c, id)) {
        if (!keep)
            remove_dir(c, id);
        return;
    }
    s = space_new(c, id, NULL, &e);
    if (s && ask(s, JD_SPACE_UNMAKE, &request, &e) < 0) {
        space_free(s);
        s = NULL;
    }
    if (!s) {
        jl_log_fail(&e, "job.clean", "job=%s: the next sweep tries again", id);
        return;
    }
    s->keep = keep;
    s->next = c->spaces.first;
    c->spaces.first = s;
}

void jd_spaces_done(struct jd_core *c)
{
    while (c->spaces.first) {
        struct jd_space *s = c->spaces.first;
        _close_ int dirfd = job_dir(c, s->id);
        struct jl_err e = JL_ERR_INIT;

        jd_worker_free(jl_take_ptr(s->worker));
        s->made = dirfd >= 0 && jd_space_unmount(dirfd, &e) == 0;
        s->err = e;
        end_unmaking(s);
    }
}

/* ---- both */

static int on_done(struct jl_timer *t)
{
    struct jd_space *s = JL_CONTAINER(t, struct jd_space, timer);

    if (s->job)
        end_making(s);
    else
        end_unmaking(s);
    return 0;
}

static void on_answer(void *user, int r, const void *out, size_t len, int fd,
                      const struct jl_err *e)
{
    struct jd_space *s = user;

    (void) out;
    (void) len;
    jl_close(fd);
    s->made = r == 0;
    if (r < 0)
        s->err = *e;
    jl_loop_arm(s->core->loop, &s->timer, jl_now_ns(), on_done);
}
