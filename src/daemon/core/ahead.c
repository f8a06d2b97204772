/* ahead.c - see ahead.h. */
#include "daemon/core/ahead.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "daemon/core/bundle.h"
#include "daemon/core/core.h"
#include "ipc/joblog.h"

#define READY 4 /* of each */
#define QUIET_NS (20 * JL_NS_PER_MS)

static const char *name_of(unsigned number, char buf[16])
{
    snprintf(buf, 16, "%u", number);
    return buf;
}

/* A directory of the pool; fill makes what is to be in it. */
static int make_one(struct jd_ahead_pool *p, int (*fill)(const struct jd_core *c, int dirfd),
                    const struct jd_core *c)
{
    char name[16];
    _close_ int dirfd = -1;
    int r;

    if (mkdirat(p->dirfd, name_of(p->first + p->n, name), 0700) < 0)
        return -errno;
    dirfd = openat(p->dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    r = dirfd < 0 ? -errno : fill(c, dirfd);
    p->n++; /* also one that is not whole: its job makes the rest */
    return r;
}

static int fill_bundle(const struct jd_core *c, int dirfd)
{
    const struct jd_network *net = jd_nets_find(c, c->conf.network_default);
    bool shares_etc = net && net->places.block == 1;

    return jd_bundle_prepare(dirfd, !shares_etc);
}

static int fill_log(const struct jd_core *c, int dirfd)
{
    char name[32], files[2][48];
    int fd;

    (void) c;
    snprintf(files[0], sizeof files[0], "%s" IPC_LOG_AHEAD,
             ipc_log_data_name(0, name, sizeof name));
    snprintf(files[1], sizeof files[1], "%s" IPC_LOG_AHEAD,
             ipc_log_index_name(0, name, sizeof name));
    for (size_t i = 0; i < JL_COUNT(files); i++) {
        fd = openat(dirfd, files[i], O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
        if (fd < 0)
            return -errno;
        close(fd);
    }
    return 0;
}

/* One of each in a turn of the loop: others want answers. */
static int on_quiet(struct jl_timer *t)
{
    struct jd_core *c = JL_CONTAINER(t, struct jd_core, ahead.timer);
    struct jd_ahead *a = &c->ahead;
    int r = 0;

    if (a->bundles.n < READY)
        r = make_one(&a->bundles, fill_bundle, c);
    if (r == 0 && a->logs.n < READY)
        r = make_one(&a->logs, fill_log, c);
    if (r < 0) /* after the next start */
        jl_log_debug("ahead.make", "errno=%d", -r);
    else if (a->bundles.n < READY || a->logs.n < READY)
        jl_loop_arm(c->loop, t, jl_now_ns(), on_quiet);
    return 0;
}

static bool give(struct jd_core *c, struct jd_ahead_pool *p, int to_dirfd, const char *id)
{
    char name[16];

    jl_loop_arm(c->loop, &c->ahead.timer, jl_now_ns() + QUIET_NS, on_quiet);
    if (p->n == 0 ||
        renameat2(p->dirfd, name_of(p->first, name), to_dirfd, id, RENAME_NOREPLACE) < 0)
        return false;
    p->first++;
    p->n--;
    return true;
}

bool jd_ahead_bundle(struct jd_core *c, const char *id)
{
    return give(c, &c->ahead.bundles, c->jobs_dirfd, id);
}

bool jd_ahead_log(struct jd_core *c, const char *id)
{
    return give(c, &c->ahead.logs, c->logs_dirfd, id);
}

static void empty(const struct jd_ahead_pool *p)
{
    _closedir_ DIR *dir = jl_opendir_at(p->dirfd, ".");
    struct jl_err e = JL_ERR_INIT;
    struct dirent *d;

    while (dir && (d = readdir(dir)))
        if (strtoul(d->d_name, NULL, 10) > 0 && jl_remove_tree_at(p->dirfd, d->d_name, &e) < 0)
            jl_log_fail(&e, "ahead.remove", "%s", d->d_name);
}

static int open_pool(struct jd_ahead_pool *p, int dirfd, struct jl_err *e)
{
    p->first = 1;
    if (mkdirat(dirfd, ".ahead", 0700) < 0 && errno != EEXIST)
        return jl_fail_sys(e, "mkdir", ".ahead", "directories for the next jobs");
    p->dirfd = openat(dirfd, ".ahead", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (p->dirfd < 0)
        return jl_fail_sys(e, "open", ".ahead", "directories for the next jobs");
    empty(p);
    return 0;
}

int jd_ahead_init(struct jd_core *c, struct jl_err *e)
{
    int r = open_pool(&c->ahead.bundles, c->jobs_dirfd, e);

    if (r == 0)
        r = open_pool(&c->ahead.logs, c->logs_dirfd, e);
    if (r == 0)
        jl_loop_arm(c->loop, &c->ahead.timer, jl_now_ns(), on_quiet);
    return r;
}

void jd_ahead_done(struct jd_core *c)
{
    jl_loop_disarm(c->loop, &c->ahead.timer);
    jl_close(c->ahead.bundles.dirfd);
    jl_close(c->ahead.logs.dirfd);
}
