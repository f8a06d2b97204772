/* revoked.c - see revoked.h. */
#include "daemon/core/revoked.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "daemon/core/core.h"

/* A file in the making is not read: it counts when it is closed or moved to its name. */
#define WATCHED (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB | IN_ONLYDIR)

static void path_of(const struct jd_conf *conf, char *buf, size_t size)
{
    snprintf(buf, size, "%s/config/revoked", conf->prefix);
}

/* 0 with *st filled; -ENOENT without e; else -errno with e filled. */
static int read_file(const char *path, struct stat *st, struct ipc_revoked *ret, struct jl_err *e)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(IPC_REVOKED_BYTES_MAX);
    _close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    int r;

    if (fd < 0 && errno == ENOENT)
        return -ENOENT;
    if (fd < 0)
        return jl_fail_sys(e, "open", path, "list of revoked certificates");
    if (fstat(fd, st) < 0)
        return jl_fail_sys(e, "fstat", path, "list of revoked certificates");
    if (!S_ISREG(st->st_mode) || (st->st_mode & 0022) ||
        (st->st_uid != 0 && st->st_uid != geteuid())) {
        jl_refuse(e, EPERM, "'%s' is not a file that root alone can write", path);
        return jl_hint(e, "chown root '%s' && chmod go-w '%s'", path, path);
    }
    r = jl_read_all(fd, &text);
    if (r < 0)
        return jl_fail(e, -r, "read '%s'", path);
    return ipc_revoked_parse(path, text.data ? text.data : "", text.len, ret, e);
}

int jd_revoked_read(const struct jd_conf *conf, struct ipc_revoked *ret, struct jl_err *e)
{
    char path[4200];
    struct stat st;
    int r;

    *ret = (struct ipc_revoked){ 0 };
    path_of(conf, path, sizeof path);
    r = read_file(path, &st, ret, e);
    return r == -ENOENT ? 0 : r;
}

static bool is_seen(const struct jd_revoked *v, const struct stat *st)
{
    return v->seen.st_ino == st->st_ino && v->seen.st_dev == st->st_dev &&
           v->seen.st_size == st->st_size && v->seen.st_mode == st->st_mode &&
           v->seen.st_uid == st->st_uid && v->seen.st_mtim.tv_sec == st->st_mtim.tv_sec &&
           v->seen.st_mtim.tv_nsec == st->st_mtim.tv_nsec;
}

/* Says once what is wrong with what is there now. */
static void keep_old(struct jd_revoked *v, struct jl_err *e)
{
    if (!e->code) {
        jl_refuse(e, ENOENT, "'%s' is gone", v->path);
        jl_hint(e, "put it back; to pardon everybody leave an empty file there");
    }
    jl_log_fail(e, "revoked.refused", "the list read before still holds: serials=%zu", v->list.n);
    v->bad = true;
}

static void take(struct jd_revoked *v, struct ipc_revoked *own_list)
{
    ipc_revoked_done(&v->list);
    v->list = *own_list;
    v->there = true;
    v->bad = false;
    jl_log_info("revoked.read", "file=%s serials=%zu", v->path, v->list.n);
    jd_front_revoked(v->core);
}

void jd_revoked_check(struct jd_core *c, bool anyway)
{
    struct jd_revoked *v = &c->revoked;
    struct ipc_revoked fresh = { 0 };
    struct jl_err e = JL_ERR_INIT;
    struct stat st = { 0 };
    int r;

    if (v->inotify >= 0) /* the same directory is the same watch; a new one in its place is not */
        inotify_add_watch(v->inotify, v->dir, WATCHED);
    if (lstat(v->path, &st) < 0)
        st = (struct stat){ 0 };
    if (is_seen(v, &st) && !anyway)
        return;
    r = read_file(v->path, &st, &fresh, &e);
    v->seen = st;
    if (r == 0)
        take(v, &fresh);
    else if (r != -ENOENT || v->there)
        keep_old(v, &e);
}

static int on_change(struct jl_source *src, uint32_t ready)
{
    struct jd_revoked *v = JL_CONTAINER(src, struct jd_revoked, src);
    char events[4096] __attribute__((aligned(8)));
    bool ours = false;
    ssize_t n;

    (void) ready;
    while ((n = read(src->fd, events, sizeof events)) > 0)
        for (const char *at = events; at < events + n;) {
            const struct inotify_event *ev = (const void *) at;

            ours = ours || ev->len == 0 || strcmp(ev->name, "revoked") == 0;
            at += sizeof *ev + ev->len;
        }
    if (ours) /* also when it looks as before: a time stamp is only so fine */
        jd_revoked_check(v->core, true);
    return 0;
}

int jd_revoked_init(struct jd_core *c, struct jl_err *e)
{
    struct jd_revoked *v = &c->revoked;
    int r;

    path_of(&c->conf, v->path, sizeof v->path);
    snprintf(v->dir, sizeof v->dir, "%s/config", c->conf.prefix);
    v->core = c;
    v->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (v->inotify < 0)
        jl_log_warn("revoked.watch", "inotify_init1: %s; '%s' is looked at every five minutes",
                    strerror(errno), v->path);
    else if (inotify_add_watch(v->inotify, v->dir, WATCHED) < 0 && errno != ENOENT)
        jl_log_warn("revoked.watch", "watch '%s': %s; it is looked at every five minutes", v->dir,
                    strerror(errno));
    if (v->inotify >= 0) {
        r = jl_loop_add(c->loop, &v->src, v->inotify, EPOLLIN, on_change);
        if (r < 0)
            return jl_fail(e, -r, "watch '%s'", v->dir);
    }
    r = read_file(v->path, &v->seen, &v->list, e); /* after the watch began: nothing is missed */
    if (r == -ENOENT)
        return 0;
    v->there = r == 0;
    return r;
}

void jd_revoked_done(struct jd_core *c)
{
    struct jd_revoked *v = &c->revoked;

    jl_loop_del(c->loop, &v->src);
    v->inotify = jl_close(v->inotify);
    ipc_revoked_done(&v->list);
}
