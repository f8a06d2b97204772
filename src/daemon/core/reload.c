/* reload.c - see reload.h. */
#include "daemon/core/reload.h"

#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/core/audit.h"
#include "daemon/core/core.h"
#include "daemon/core/revoked.h"
#include "os/pidfd.h"

static void give_up(struct jd_reload *l)
{
    if (!l->core)
        return;
    jl_loop_del(l->core->loop, &l->src);
    jd_frontcheck_stop(&l->check);
    jd_conf_done(&l->fresh);
    l->core = NULL;
}

static void take_over(struct jd_core *c, struct jd_conf *fresh)
{
    struct jd_conf *old = &c->conf;
    char **const pairs[][2] = {
        { &old->log_level, &fresh->log_level },   { &old->log_format, &fresh->log_format },
        { &old->log_output, &fresh->log_output }, { &old->server_cert, &fresh->server_cert },
        { &old->server_key, &fresh->server_key }, { &old->ca_cert, &fresh->ca_cert },
    };

    for (size_t i = 0; i < JL_COUNT(pairs); i++) {
        char *kept = *pairs[i][0];

        *pairs[i][0] = *pairs[i][1];
        *pairs[i][1] = kept;
    }
}

static int on_checked(struct jl_source *src, uint32_t ready)
{
    struct jd_reload *l = JL_CONTAINER(src, struct jd_reload, src);
    struct jd_core *c = l->core;
    struct jl_err e = JL_ERR_INIT;
    int r;

    (void) ready;
    jl_loop_del(c->loop, &l->src);
    r = jd_frontcheck_end(&l->check, &e);
    if (r == 0)
        r = jd_core_log(&l->fresh, &e);
    if (r < 0) {
        jl_log_fail(&e, "joblet.reload",
                    "nothing is changed: the old certificates and logging stay");
    } else {
        take_over(c, &l->fresh);
        jl_log_info("joblet.reload", "file=%s", c->conf.file);
        if (c->front.pid > 0) /* its successor gets the new certificates */
            os_pidfd_signal(c->front.pidfd, SIGTERM);
    }
    give_up(l);
    return 0;
}

static int begin(struct jd_reload *l, struct jd_core *c, struct jl_err *e)
{
    int r = jd_conf_load(&l->fresh, c->conf.file, c->conf.prefix, environ, e);

    if (r < 0)
        return r;
    l->core = c;
    l->check = JD_FRONTCHECK_INIT;
    r = jd_frontcheck_begin(&l->check, c->front_path, &l->fresh, c->front.uid, c->front.gid, e);
    if (r < 0)
        return r;
    r = jl_loop_add(c->loop, &l->src, l->check.pidfd, EPOLLIN, on_checked);
    return r < 0 ? jl_fail(e, -r, "watch joblet-front --check") : 0;
}

/* What was renamed goes on under its old name, whatever the configuration has become. */
static void open_files(struct jd_core *c)
{
    struct jl_err log = JL_ERR_INIT, audit = JL_ERR_INIT;

    if (jd_core_log(&c->conf, &log) < 0)
        jl_log_fail(&log, "joblet.reload", "the log stays as it is");
    if (jd_audit_open(c, &audit) < 0)
        jl_log_fail(&audit, "joblet.reload", "the audit file stays as it is");
}

void jd_reload(struct jd_core *c)
{
    struct jl_err e = JL_ERR_INIT;

    give_up(&c->reload);
    open_files(c);
    jd_revoked_check(c, true);
    if (!c->conf.file || c->ending)
        return;
    if (begin(&c->reload, c, &e) < 0) {
        jl_log_fail(&e, "joblet.reload",
                    "nothing is changed: the old certificates and logging stay");
        give_up(&c->reload);
    }
}

void jd_reload_done(struct jd_core *c)
{
    give_up(&c->reload);
}
