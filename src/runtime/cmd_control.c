/* cmd_control.c - start, kill, delete: verbs that change a container that is there. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "base/signame.h"
#include "os/cgroup.h"
#include "os/pidfd.h"
#include "runtime/cmd.h"
#include "runtime/hooks.h"
#include "runtime/launch.h"
#include "runtime/listener.h"
#include "runtime/notify.h"
#include "runtime/state.h"
#include "runtime/sync.h"

/* As kill(1) counts them on Linux, whatever C library we are linked with. */
#define RT_SIG_MIN 34
#define RT_SIG_MAX 64

#define LOOK_EVERY_MS 1000 /* whether a process that doesn't answer is frozen */

/* Without a root nothing was ever made here, so there is no such container. */
static int open_root(const struct rt_ctx *ctx, int *ret_root, struct jl_err *e)
{
    *ret_root = rt_state_root_open(ctx->root, false, e);
    if (*ret_root < 0 && *ret_root != -ENOENT)
        return *ret_root;
    jl_err_clear(e);
    return 0;
}

int rt_container_open(const struct rt_ctx *ctx, const char *id, int *ret_root, struct rt_state *s,
                      struct jl_err *e)
{
    int r = open_root(ctx, ret_root, e);

    return r < 0 ? r : rt_state_open(*ret_root, id, s, e);
}

int rt_container_lock(const struct rt_ctx *ctx, const char *id, int *ret_root, struct rt_state *s,
                      struct jl_err *e)
{
    int r = open_root(ctx, ret_root, e);

    return r < 0 ? r : rt_state_open_locked(*ret_root, id, RT_LOCK_WAIT_MS, s, e);
}

int rt_container_group(const struct rt_state *s, const char *verb, struct os_cgroup **ret,
                       struct jl_err *e)
{
    struct os_cgroup_host host;
    int r;

    if (!s->cgroup || !s->cgroup_made) {
        jl_refuse(e, ENOTSUP, "%s: container '%s' has no control group", verb, s->id);
        return jl_hint(e, "it was made without one, as nothing asked for it and its maker could "
                          "make none");
    }
    r = os_cgroup_host_read(&host, e);
    return r < 0 ? r : os_cgroup_open(&host, s->cgroup, ret, e);
}

static int connect_start(const struct rt_state *s, struct jl_err *e)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    _close_ int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (sock < 0)
        return jl_fail_sys(e, "socket", NULL, "start container '%s'", s->id);
    snprintf(addr.sun_path, sizeof addr.sun_path, "/proc/self/fd/%d/start", s->dirfd);
    if (connect(sock, (struct sockaddr *) &addr, sizeof addr) < 0)
        return jl_fail_sys(e, "connect", "start", "start container '%s'", s->id);
    return jl_take_fd(&sock);
}

/* A frozen process never answers. One that takes long has a hook to run, perhaps. */
static int wait_answer(int sock, const struct rt_state *s, struct jl_err *e)
{
    struct pollfd p = { .fd = sock, .events = POLLIN };
    struct os_cgroup_host host;
    struct jl_err ignored = JL_ERR_INIT;
    struct os_cgroup *cg = NULL;
    bool frozen;
    int r;

    while ((r = poll(&p, 1, LOOK_EVERY_MS)) <= 0) {
        if (r < 0 && errno != EINTR)
            return jl_fail_sys(e, "poll", NULL, "start container '%s'", s->id);
        if (r < 0 || !s->cgroup || os_cgroup_host_read(&host, &ignored) < 0 ||
            os_cgroup_open(&host, s->cgroup, &cg, &ignored) < 0)
            continue;
        frozen = os_cgroup_is_frozen(cg) == 1;
        os_cgroup_free(cg);
        if (!frozen)
            continue;
        jl_refuse(e, EBUSY, "start container '%s': its control group %s is frozen", s->id,
                  s->cgroup);
        return jl_hint(e, "thaw it with resume; the program starts then");
    }
    return 0;
}

/* Says go, and waits until the program runs or the child says why not. */
static int go(int sock, const struct rt_state *s, struct jl_err *e)
{
    struct jl_err theirs = JL_ERR_INIT;
    const char *id = s->id;
    bool executed = false;
    int r = rt_sync_send(sock, RT_MSG_GO, -1);

    if (r < 0)
        return jl_fail(e, -r, "start container '%s'", id);
    for (;;) {
        int fd = -1;

        r = wait_answer(sock, s, e);
        if (r < 0)
            return r;
        r = rt_sync_recv(sock, &fd, &theirs);
        if (r == RT_MSG_LISTENER) {
            r = rt_listener_send_recorded(s, fd, e);
            if (r < 0)
                return r; /* the process ends when our end of the socket closes */
            rt_sync_send(sock, RT_MSG_GO, -1);
            continue;
        }
        jl_close(fd);
        if (r == RT_MSG_EXEC)
            executed = true;
        else if (r == RT_MSG_ERROR) {
            *e = theirs;
            return -e->code;
        } else if (r == 0 && executed)
            return 0;
        else if (r <= 0)
            return jl_refuse(e, ECHILD, "start container '%s': its process died", id);
    }
}

static int run_poststart(const struct rt_state *s, struct jl_err *e)
{
    struct oci_spec *oci = NULL;
    int r;

    if (!s->config || !strstr(s->config, "\"poststart\""))
        return 0;
    r = oci_spec_parse(s->config, s->config_len, NULL, &oci, e);
    if (r == 0 && oci->hooks)
        r = rt_hooks_run(oci->hooks->poststart, oci->hooks->n_poststart, "poststart", s, RT_RUNNING,
                         e);
    oci_spec_free(oci);
    return r;
}

static int start(const struct rt_state *s, struct jl_err *e)
{
    _close_ int sock = connect_start(s, e);
    int r = sock < 0 ? sock : go(sock, s, e);

    if (r < 0)
        return r;
    unlinkat(s->dirfd, "start", 0);
    return run_poststart(s, e);
}

/* As `run --detach` does. Others may look at the container and end it meanwhile. */
static void wait_until_ready(struct rt_state *s, struct rt_notify *n)
{
    _close_ int pidfd = rt_state_pidfd(s);

    rt_state_unlock(s);
    n->mainpid = s->pid;
    if (pidfd >= 0)
        rt_notify_wait_ready(n, pidfd);
}

int rt_cmd_start(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e)
{
    _rt_state_ struct rt_state s = RT_STATE_INIT;
    struct jl_err ignored = JL_ERR_INIT;
    _close_ int root = -1;
    struct rt_notify notify = RT_NOTIFY_INIT;
    struct rt_args args;
    enum rt_status status;
    int r = rt_cmd_parse("start", NULL, 0, argc, argv, 1, false, &args, e);

    if (r != 0)
        return r < 0 ? r : 0;
    r = rt_container_lock(ctx, args.items[0], &root, &s, e);
    if (r < 0)
        return r;
    status = rt_state_status(&s, NULL);
    if (status != RT_CREATED) {
        if (status == RT_STOPPED)
            return jl_refuse(e, EINVAL, "cannot start a container that has stopped: '%s'", s.id);
        return jl_refuse(e, EINVAL, "cannot start an already running container: '%s'", s.id);
    }
    if (rt_notify_wanted() && faccessat(s.dirfd, "notify", F_OK, 0) == 0)
        r = rt_notify_open(&notify, &s, e);
    if (r == 0)
        r = start(&s, e);
    if (r < 0 && strcmp(e->phase, "hooks") == 0)
        rt_destroy(root, &s, NULL, &ignored); /* runtime.md, lifecycle 7 and 9: go on at 12 */
    if (r == 0 && notify.from >= 0)
        wait_until_ready(&s, &notify);
    rt_notify_close(&notify);
    return r;
}

static int parse_signal(const char *word, int *ret)
{
    int64_t number;

    if (jl_parse_i64(word, 0, RT_SIG_MAX, &number) == 0) {
        *ret = (int) number;
        return 0;
    }
    if (strncasecmp(word, "SIG", 3) == 0)
        word += 3;
    if (strncasecmp(word, "RTMIN", 5) == 0 || strncasecmp(word, "RTMAX", 5) == 0) {
        int base = strncasecmp(word, "RTMIN", 5) == 0 ? RT_SIG_MIN : RT_SIG_MAX;

        number = 0;
        if (word[5] != '\0' && jl_parse_i64(word + 5 + (word[5] == '+'), RT_SIG_MIN - RT_SIG_MAX,
                                            RT_SIG_MAX - RT_SIG_MIN, &number) < 0)
            return -EINVAL;
        *ret = base + (int) number;
        return *ret >= RT_SIG_MIN && *ret <= RT_SIG_MAX ? 0 : -EINVAL;
    }
    for (int sig = 1; sig < RT_SIG_MIN; sig++) {
        const char *name = jl_signal_abbrev(sig);

        if (name && strcasecmp(name, word) == 0) {
            *ret = sig;
            return 0;
        }
    }
    return -EINVAL;
}

static int signal_all(const struct rt_state *s, int sig, struct jl_err *e)
{
    struct os_cgroup_host host;
    struct os_cgroup *cg = NULL;
    int r;

    /* all of its processes ended with the first; by now the group may be another container's */
    if (!s->cgroup_made || rt_state_all_ended(s))
        return 0;
    r = os_cgroup_host_read(&host, e);
    if (r == 0)
        r = os_cgroup_open(&host, s->cgroup, &cg, e);
    if (r == -ENOENT) {
        jl_err_clear(e);
        return 0; /* nobody is left */
    }
    if (r == 0)
        r = sig == SIGKILL ? os_cgroup_kill_all(cg, e) : os_cgroup_signal_all(cg, sig, e);
    os_cgroup_free(cg);
    return r;
}

/* What v1's freezer holds (in state D) dies only when it is let go; v2 lets it die. */
static void thaw_killed(const struct rt_state *s)
{
    struct jl_err ignored = JL_ERR_INIT;
    struct os_cgroup_host host;
    struct os_cgroup *cg = NULL;
    uint64_t ticks;
    char letter;

    if (!s->cgroup_made || os_pid_stat(s->pid, &ticks, &letter) < 0 || letter != 'D' ||
        os_cgroup_host_read(&host, &ignored) < 0 ||
        os_cgroup_open(&host, s->cgroup, &cg, &ignored) < 0)
        return;
    if (os_cgroup_is_frozen(cg) == 1)
        os_cgroup_freeze(cg, false, &ignored);
    os_cgroup_free(cg);
}

int rt_cmd_kill(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e)
{
    _rt_state_ struct rt_state s = RT_STATE_INIT;
    bool all = false;
    const struct rt_opt opts[] = {
        { "all", 'a', RT_OPT_FLAG, &all, NULL, "to all processes of the container" },
    };
    _close_ int root = -1;
    _close_ int pidfd = -1;
    struct rt_args args;
    int sig = SIGTERM;
    int r = rt_cmd_parse("kill", opts, JL_COUNT(opts), argc, argv, 1, false, &args, e);

    if (r != 0)
        return r < 0 ? r : 0;
    if (args.n > 1 && parse_signal(args.items[1], &sig) < 0)
        return jl_refuse(e, EINVAL, "kill: '%s' is no signal", args.items[1]);
    r = rt_container_open(ctx, args.items[0], &root, &s, e);
    if (r < 0)
        return r;
    if (all && s.cgroup)
        return signal_all(&s, sig, e);
    pidfd = rt_state_pidfd(&s);
    if (pidfd == -ESRCH || (pidfd >= 0 && rt_state_status(&s, NULL) == RT_STOPPED))
        return jl_refuse(e, ESRCH, "container not running: '%s'", s.id);
    if (pidfd < 0)
        return jl_fail(e, -pidfd, "kill container '%s'", s.id);
    r = os_pidfd_signal(pidfd, sig);
    if (r == -ESRCH)
        return jl_refuse(e, ESRCH, "container not running: '%s'", s.id);
    if (r == 0 && sig == SIGKILL)
        thaw_killed(&s);
    return r < 0 ? jl_fail(e, -r, "send signal %d to container '%s'", sig, s.id) : 0;
}

/* Leaves only the directory, which can be removed still. */
static void forget_record(struct rt_state *s)
{
    free(s->cgroup);
    free(s->config);
    free(s->rdt);
    s->cgroup = s->config = s->rdt = NULL;
    s->config_len = 0;
    s->pid = 0;
}

int rt_cmd_delete(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e)
{
    _rt_state_ struct rt_state s = RT_STATE_INIT;
    struct jl_err broken = JL_ERR_INIT;
    bool force = false;
    const struct rt_opt opts[] = {
        { "force", 'f', RT_OPT_FLAG, &force, NULL, "kill it first when it still runs" },
    };
    _close_ int root = -1;
    struct rt_args args;
    enum rt_status status;
    int r = rt_cmd_parse("delete", opts, JL_COUNT(opts), argc, argv, 1, false, &args, e);

    if (r != 0)
        return r < 0 ? r : 0;
    r = rt_container_lock(ctx, args.items[0], &root, &s, e);
    if (r == -ENOENT && force) {
        jl_err_clear(e);
        return 0; /* engines call this at every end */
    }
    if ((r == -EBADMSG || r == -EMSGSIZE) && force && s.dirfd >= 0) {
        /* No record: nothing it says is acted on, and the failure is told at the end. One that
         * could only not be read now is another matter: the container would be lost. */
        broken = *e;
        jl_err_clear(e);
        forget_record(&s);
        r = 0;
    }
    if (r < 0)
        return r;
    status = rt_state_status(&s, NULL);
    if (!force && status != RT_STOPPED && status != RT_CREATED && status != RT_CREATING) {
        jl_refuse(e, EBUSY, "cannot delete container '%s' that is not stopped: %s", s.id,
                  rt_status_name(status));
        return jl_hint(e, "kill it first, or use --force");
    }
    /* A created one is killed and deleted, as by runc: its process is nobody's yet. */
    r = rt_destroy(root, &s, NULL, e);
    if (r == 0 && broken.code != 0)
        *e = broken;
    return r;
}
