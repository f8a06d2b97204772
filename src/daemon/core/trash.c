/*
 * trash.c - see trash.h.
 *
 * A tree deeper than DEPTH_MAX is flattened: the directory there is moved up to the top, and has its
 * turn in the next pass.
 */
#include "daemon/core/trash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "daemon/core/core.h"
#include "daemon/core/worker.h"

#define RETRY_NS (60 * JL_NS_PER_S)
#define DEPTH_MAX 32
#define NICE 10 /* nobody waits for it */

struct pass {
    int top;
    dev_t dev;
    unsigned moved; /* up to the top */
};

static int remove_below(struct pass *p, int dirfd, unsigned depth);

/* 0 gone, or moved up; -errno. */
static int remove_entry(struct pass *p, int dirfd, const char *name, unsigned depth)
{
    char up[64];
    _close_ int fd = -1;
    struct stat st;
    int r;

    if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -errno;
    if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0) /* most are empty */
        return 0;
    fd = jl_open_dir_at(dirfd, name);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_dev != p->dev)
        return -EXDEV; /* something is mounted here: not ours to empty */
    if (depth >= DEPTH_MAX) {
        snprintf(up, sizeof up, "deep-%" PRIu64 "-%u", (uint64_t) st.st_ino, p->moved);
        if (renameat(dirfd, name, p->top, up) < 0)
            return -errno;
        p->moved++;
        return 0;
    }
    r = remove_below(p, fd, depth + 1);
    if (r < 0)
        return r;
    return unlinkat(dirfd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

static int remove_below(struct pass *p, int dirfd, unsigned depth)
{
    _closedir_ DIR *dir = jl_opendir_at(dirfd, ".");
    struct dirent *d;
    int r, first = 0;

    if (!dir)
        return -errno;
    while ((d = readdir(dir))) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        r = remove_entry(p, dirfd, d->d_name, depth);
        if (r < 0 && first == 0)
            first = r; /* the others go all the same */
    }
    return first;
}

int jd_trash_empty(int dirfd)
{
    struct pass p = { .top = dirfd };
    struct stat st;
    unsigned before;
    int r;

    if (fstat(dirfd, &st) < 0)
        return -errno;
    p.dev = st.st_dev;
    do {
        before = p.moved;
        r = remove_below(&p, dirfd, 0);
    } while (p.moved > before);
    return r;
}

static int work_empty(const void *in, size_t len, const int *fds, size_t n_fds, struct jl_buf *out,
                      int *ret_fd, struct jl_err *e)
{
    int r = n_fds == 1 ? 0 : -EBADF;

    (void) in, (void) len, (void) out, (void) ret_fd;
    setpriority(PRIO_PROCESS, 0, NICE);
    if (r == 0)
        r = jd_trash_empty(fds[0]);
    return r < 0 ? jl_fail(e, -r, "remove what is in .trash") : 0;
}

static int on_timer(struct jl_timer *timer);

static void on_emptied(void *user, int r, const void *out, size_t len, int fd,
                       const struct jl_err *e)
{
    struct jd_trash *t = user;

    (void) out, (void) len;
    jl_close(fd);
    t->working = false;
    if (r < 0)
        jl_log_fail(e, "trash.remove", "tried again in %d s", (int) (RETRY_NS / JL_NS_PER_S));
    if (r < 0 || t->more)
        jl_loop_arm(t->core->loop, &t->timer, jl_now_ns() + (t->more ? 0 : RETRY_NS), on_timer);
}

static int on_timer(struct jl_timer *timer)
{
    struct jd_trash *t = JL_CONTAINER(timer, struct jd_trash, timer);
    struct jl_err e = JL_ERR_INIT;

    t->more = false;
    t->working = true;
    if (jd_worker_call(t->worker, 0, NULL, 0, &t->dirfd, 1, on_emptied, t, &e) < 0)
        on_emptied(t, -e.code, NULL, 0, -1, &e);
    return 0;
}

int jd_trash_init(struct jd_core *c, struct jl_err *e)
{
    static const jd_work_fn table[] = { work_empty };
    struct jd_trash *t = &c->trash;

    *t = (struct jd_trash){ .core = c, .dirfd = -1, .counter = jl_wall_ns() };
    if (mkdirat(c->jobs_dirfd, ".trash", 0700) < 0 && errno != EEXIST)
        return jl_fail_sys(e, "mkdir", ".trash", "directory for what is to be removed");
    t->dirfd = openat(c->jobs_dirfd, ".trash", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (t->dirfd < 0)
        return jl_fail_sys(e, "open", ".trash", "directory for what is to be removed");
    t->worker = jd_worker_new(c->loop, "trash", table, JL_COUNT(table));
    if (!t->worker)
        return jl_fail(e, ENOMEM, "make the worker that removes trees");
    jl_loop_arm(c->loop, &t->timer, jl_now_ns(), on_timer);
    return 0;
}

int jd_trash_put(struct jd_core *c, int dirfd, const char *name, struct jl_err *e)
{
    char to[128];

    snprintf(to, sizeof to, "%.60s-%" PRIu64, name, c->trash.counter++);
    if (renameat(dirfd, name, c->trash.dirfd, to) < 0)
        return errno == ENOENT ? 0 : jl_fail_sys(e, "rename", name, "remove '%s'", name);
    c->trash.more = true;
    if (!c->trash.working)
        jl_loop_arm(c->loop, &c->trash.timer, jl_now_ns(), on_timer);
    return 0;
}

void jd_trash_done(struct jd_core *c)
{
    if (!c->trash.core)
        return;
    jl_loop_disarm(c->loop, &c->trash.timer);
    jd_worker_free(c->trash.worker);
    c->trash.dirfd = jl_close(c->trash.dirfd);
    c->trash.core = NULL;
}
