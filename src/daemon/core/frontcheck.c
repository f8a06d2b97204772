/* frontcheck.c - see frontcheck.h. */
#include "daemon/core/frontcheck.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/spawn.h"
#include "daemon/core/front.h"
#include "daemon/core/hostinfo.h"
#include "ipc/corelink.h"
#include "ipc/revoked.h"
#include "os/pidfd.h"

int jd_frontcheck_begin(struct jd_frontcheck *k, const char *path, const struct jd_conf *conf,
                        uid_t uid, gid_t gid, struct jl_err *e)
{
    static const struct ipc_revoked none;
    char *argv[] = { (char *) "joblet-front", (char *) "--check", NULL };
    _close_ int conf_fd = jd_front_conf_fd(conf, &none, e), says = -1, out = -1;
    struct jl_spawn_fd fds[2];
    struct jl_spawn s = JL_SPAWN_INIT;
    int pair[2], r;

    if (conf_fd < 0)
        return conf_fd;
    if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
        return jl_fail_sys(e, "pipe2", NULL, "check the certificates");
    says = pair[0];
    out = pair[1];
    fds[0] = (struct jl_spawn_fd){ out, STDOUT_FILENO };
    fds[1] = (struct jl_spawn_fd){ conf_fd, IPC_LINK_CONF_FD };
    s.path = path;
    s.argv = argv;
    s.fds = fds;
    s.n_fds = JL_COUNT(fds);
    s.uid = uid;
    s.gid = gid;
    s.drop = uid != 0;
    s.parent_death_signal = SIGKILL;
    r = jd_front_spawn(&s, &k->pid, &k->pidfd, e);
    if (r == 0)
        k->says = jl_take_fd(&says);
    return r;
}

int jd_frontcheck_end(struct jd_frontcheck *k, struct jl_err *e)
{
    int status = jl_wait_status(k->pid);
    char text[JL_ERR_TEXT_MAX] = "";
    ssize_t n = read(k->says, text, sizeof text - 1); /* a pipe holds all of it */

    text[n > 0 ? n : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    k->pid = 0;
    k->pidfd = jl_close(k->pidfd);
    k->says = jl_close(k->says);
    if (status == 0)
        return 0;
    if (text[0])
        return jl_refuse(e, EINVAL, "%s", text);
    return jl_refuse(e, EINVAL, "joblet-front --check ended with %d", status);
}

void jd_frontcheck_stop(struct jd_frontcheck *k)
{
    struct jl_err e = JL_ERR_INIT;

    if (k->pid <= 0)
        return;
    os_pidfd_signal(k->pidfd, SIGKILL);
    jd_frontcheck_end(k, &e);
}

int jd_frontcheck(const struct jd_conf *conf, struct jl_err *e)
{
    struct jd_frontcheck k = JD_FRONTCHECK_INIT;
    _free_ char *path = jd_host_program("joblet-front", e);
    int r = path ? jd_frontcheck_begin(&k, path, conf, 0, 0, e) : -e->code;

    return r < 0 ? r : jd_frontcheck_end(&k, e);
}
