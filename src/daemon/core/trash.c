/*
 * trash.c - see trash.h.
 *
 * A slice starts at the top again: what was removed no longer costs anything. A tree deeper than
 * DEPTH_MAX is flattened: the directory there is moved up to the top, and has its own turn.
 */
#include "daemon/core/trash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/core/core.h"

#define SLICE 512                   /* entries removed before others get their turn ... */
#define SLICE_NS (4 * JL_NS_PER_MS) /* ... or as many as can be in this time: disks differ */
#define RETRY_NS (60 * JL_NS_PER_S)
#define DEPTH_MAX 32

struct slice {
    int top;
    dev_t dev;
    unsigned *budget;
    uint64_t until_ns;
    bool removed; /* anything */
    int failed;   /* the first -errno */
};

static int remove_below(struct slice *s, int dirfd, unsigned depth);

/* 0 gone, 1 the budget or the time is used up, -errno. */
static int remove_entry(struct slice *s, int dirfd, const char *name, unsigned depth)
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
    fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_dev != s->dev)
        return -EXDEV; /* something is mounted here: not ours to empty */
    if (depth >= DEPTH_MAX) {
        snprintf(up, sizeof up, "deep-%" PRIu64 "-%u", (uint64_t) st.st_ino, *s->budget);
        if (renameat(dirfd, name, s->top, up) < 0)
            return -errno;
        return 0;
    }
    r = remove_below(s, fd, depth + 1);
    if (r != 0)
        return r;
    return unlinkat(dirfd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

static int remove_below(struct slice *s, int dirfd, unsigned depth)
{
    int copy = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r, first = 0;
    _closedir_ DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    struct dirent *d;

    if (!dir) {
        r = -errno;
        jl_close(copy);
        return r;
    }
    while ((d = readdir(dir))) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        if (*s->budget == 0)
            return 1;
        --*s->budget;
        r = remove_entry(s, dirfd, d->d_name, depth);
        if (r > 0)
            return r;
        s->removed = s->removed || r == 0;
        if (r < 0 && first == 0)
            first = r; /* the others go all the same */
        if (s->failed == 0)
            s->failed = first;
        if (r == 0 && jl_now_ns() >= s->until_ns)
            return 1;
    }
    return first;
}

int jd_trash_slice(int dirfd, unsigned *budget)
{
    struct slice s = { .top = dirfd, .budget = budget, .until_ns = jl_now_ns() + SLICE_NS };
    struct stat st;
    int r;

    if (fstat(dirfd, &st) < 0)
        return -errno;
    s.dev = st.st_dev;
    r = remove_below(&s, dirfd, 0);
    /* what can't be removed uses the budget up too: the next slice would come no further */
    return r > 0 && !s.removed && s.failed < 0 ? s.failed : r;
}

static int on_timer(struct jl_timer *t)
{
    struct jd_trash *tr = JL_CONTAINER(t, struct jd_trash, timer);
    unsigned budget = SLICE;
    int r = jd_trash_slice(tr->dirfd, &budget);

    /* deep trees come up to the top while we go: an empty answer is believed the second time */
    if (r == 0 && budget == SLICE)
        return 0;
    if (r < 0)
        jl_log_warn("trash.remove", "%s: tried again in %d s", strerror(-r),
                    (int) (RETRY_NS / JL_NS_PER_S));
    jl_loop_arm(tr->core->loop, t, jl_now_ns() + (r < 0 ? RETRY_NS : 0), on_timer);
    return 0;
}

int jd_trash_init(struct jd_core *c, struct jl_err *e)
{
    struct jd_trash *t = &c->trash;

    *t = (struct jd_trash){ .core = c, .dirfd = -1, .counter = jl_wall_ns() };
    if (mkdirat(c->jobs_dirfd, ".trash", 0700) < 0 && errno != EEXIST)
        return jl_fail_sys(e, "mkdir", ".trash", "directory for what is to be removed");
    t->dirfd = openat(c->jobs_dirfd, ".trash", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (t->dirfd < 0)
        return jl_fail_sys(e, "open", ".trash", "directory for what is to be removed");
    jl_loop_arm(c->loop, &t->timer, jl_now_ns(), on_timer);
    return 0;
}

int jd_trash_put(struct jd_core *c, int dirfd, const char *name, struct jl_err *e)
{
    char to[128];

    snprintf(to, sizeof to, "%.60s-%" PRIu64, name, c->trash.counter++);
    if (renameat(dirfd, name, c->trash.dirfd, to) < 0)
        return errno == ENOENT ? 0 : jl_fail_sys(e, "rename", name, "remove '%s'", name);
    if (!c->trash.timer.armed || c->trash.timer.due_ns > jl_now_ns())
        jl_loop_arm(c->loop, &c->trash.timer, jl_now_ns(), on_timer);
    return 0;
}

void jd_trash_done(struct jd_core *c)
{
    if (!c->trash.core)
        return;
    jl_loop_disarm(c->loop, &c->trash.timer);
    c->trash.dirfd = jl_close(c->trash.dirfd);
    c->trash.core = NULL;
}
