/*
 * step_start.c - the end of the child: it becomes the user, waits to be started, and becomes the
 * program. exec uses the same functions for its process.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "os/caps.h"
#include "os/openat2.h"
#include "os/rlimit.h"
#include "os/seccomp.h"
#include "runtime/child.h"
#include "runtime/env.h"
#include "runtime/hooks.h"
#include "runtime/landlock.h"
#include "runtime/launch.h"
#include "runtime/step.h"
#include "runtime/sync.h"

#define CAP_BIT(cap) (UINT64_C(1) << (cap))
#define CAP_SYS_ADMIN_BIT CAP_BIT(21)
#define ACCEPT_TRIES 100

/* Through openat2, which follows no /proc/self/fd link: such a cwd was a way out of the container
 * (CVE-2024-21626). 0 or -errno. */
static int enter_cwd(const char *cwd)
{
    _close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    _close_ int fd = root < 0 ? -errno : os_open_in_root(root, cwd, O_PATH | O_DIRECTORY);

    if (fd < 0)
        return fd;
    return fchdir(fd) < 0 ? -errno : 0;
}

static int check_cwd(struct jl_err *e)
{
    char buf[16];

    /* ERANGE: a longer path than our buffer, so a real one */
    if (syscall(SYS_getcwd, buf, sizeof buf) >= 0 ? buf[0] == '/' : errno == ERANGE)
        return 0;
    return jl_refuse(e, EPERM, "process.cwd: the working directory is outside of the container");
}

static int become_ids(const struct oci_user *u, struct jl_err *e)
{
    uid_t uid = u ? u->uid : 0;
    gid_t gid = u ? u->gid : 0;
    size_t n = u ? u->n_additional_gids : 0;

    /* EPERM without groups to set: setgroups was denied in this user namespace */
    if (setgroups(n, n > 0 ? u->additional_gids : NULL) < 0 && (errno != EPERM || n > 0)) {
        jl_fail_sys(e, "setgroups", NULL, "process.user.additionalGids");
        return errno == EPERM ? jl_hint(e, "an ordinary user's namespace has no further groups")
                              : -e->code;
    }
    if (setresgid(gid, gid, gid) < 0)
        return jl_fail_sys(e, "setresgid", NULL, "process.user.gid: become group %u", gid);
    if (setresuid(uid, uid, uid) < 0)
        return jl_fail_sys(e, "setresuid", NULL, "process.user.uid: become user %u", uid);
    return 0;
}

/* So that /dev/stdout can be opened again by the new user. Only pipes: a terminal or a file is the
 * caller's and stays his. */
static void own_stdio(const struct oci_user *u)
{
    struct stat st;

    for (int fd = 0; fd < 3; fd++) {
        if (fstat(fd, &st) < 0 || st.st_uid == (u ? u->uid : 0))
            continue;
        if (!S_ISFIFO(st.st_mode))
            continue;
        if (fchown(fd, u ? u->uid : 0, (gid_t) -1) < 0)
            continue;
    }
}

/* Without no_new_privs only CAP_SYS_ADMIN may load a filter or Landlock rules, so it is kept until
 * then. */
static bool keeps_admin(const struct rt_become *b)
{
    return (b->seccomp || b->landlock_fd >= 0) && !b->process->oci->no_new_privileges;
}

static int take_caps(const struct rt_become *b, struct jl_err *e)
{
    struct os_caps caps = b->process->caps;

    caps.ambient = 0;
    if (keeps_admin(b))
        caps.permitted |= CAP_SYS_ADMIN_BIT;
    return os_caps_apply(&caps, e);
}

int rt_become_user(struct rt_become *b, struct jl_err *e)
{
    const struct oci_process *p = b->process->oci;
    int cwd, r;

    for (size_t i = 0; i < b->process->n_rlimits && !b->skip_rlimits; i++) {
        const struct rt_rlimit *lim = &b->process->rlimits[i];

        r = os_rlimit_set(lim->resource, lim->soft, lim->hard, e);
        if (r < 0)
            return jl_wrap(e, "process.rlimits");
    }
    umask(p->user && p->user->has_umask ? (mode_t) p->user->umask : 0022);
    cwd = enter_cwd(p->cwd); /* first as root; a root-squashing file system wants the user */
    own_stdio(p->user);
    r = os_caps_drop_bounding(b->process->caps.bounding, e);
    if (r == 0 && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
        r = jl_fail_sys(e, "prctl", NULL, "keep the capabilities over the change of user");
    if (r == 0)
        r = become_ids(p->user, e);
    if (r == 0)
        r = take_caps(b, e);
    if (r < 0)
        return r;
    if (cwd == -EACCES || cwd == -EPERM)
        cwd = enter_cwd(p->cwd);
    if (cwd < 0)
        return jl_fail(e, -cwd, "process.cwd: enter '%s'", p->cwd);
    r = check_cwd(e);
    if (r == 0)
        r = rt_env_build(p, &b->envp, e);
    if (r == 0)
        r = rt_program_find(p->args[0], b->envp, &b->program, e);
    return r;
}

/* The listener goes out to the one who made us, and further before the program can run. Our copy
 * is close-on-exec. */
static int load_and_hand_over(const struct rt_become *b, struct jl_err *e)
{
    struct jl_err none;
    int listener, r = os_seccomp_load(b->seccomp, &listener, e);

    if (r < 0 || listener < 0)
        return r;
    r = rt_sync_send(b->sync, RT_MSG_LISTENER, listener);
    if (r < 0)
        return jl_fail(e, -r, "hand the seccomp listener over");
    if (rt_sync_recv(b->sync, NULL, &none) != RT_MSG_GO)
        _exit(RT_EXIT_SETUP); /* it could not be passed on, which our parent tells */
    return 0;
}

/* Landlock first: the filter need not allow its system calls. */
static int restrict_self(const struct rt_become *b, struct jl_err *e)
{
    int r = b->landlock_fd >= 0 ? rt_landlock_enforce(b->landlock_fd, e) : 0;

    return r == 0 && b->seccomp ? load_and_hand_over(b, e) : r;
}

static int load_filter(const struct rt_become *b, struct jl_err *e)
{
    struct os_caps caps = b->process->caps;
    int r;

    if (b->process->oci->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return jl_fail_sys(e, "prctl", NULL, "process.noNewPrivileges");
    if (!keeps_admin(b)) {
        r = os_caps_apply(&caps, e);
        return r == 0 ? restrict_self(b, e) : r;
    }
    caps.permitted |= CAP_SYS_ADMIN_BIT;
    caps.effective |= CAP_SYS_ADMIN_BIT;
    caps.ambient = 0;
    r = os_caps_apply(&caps, e);
    if (r == 0)
        r = restrict_self(b, e);
    return r == 0 ? os_caps_apply(&b->process->caps, e) : r;
}

int rt_become_program(struct rt_become *b, struct jl_err *e)
{
    const struct oci_process *p = b->process->oci;
    int r;

    /* Right before the end, whatever was opened meanwhile; our socket goes with the exec. The
     * caller's descriptors would be a way out of the container. */
    if (syscall(SYS_close_range, 3 + b->preserve_fds, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
        return jl_fail_sys(e, "close_range", NULL, "keep the host's descriptors from the program");
    r = rt_lsm_on_exec(b->proc_fd, p, e);
    if (r == 0)
        r = load_filter(b, e);
    if (r < 0)
        return r;
    execve(b->program, p->args, b->envp);
    r = rt_exec_failed(p->args[0], b->program, errno, e);
    return r == -EACCES && b->landlock_fd >= 0
               ? jl_hint(e, "its path, or its interpreter's, may be missing in \"execute\" of the "
                            "annotation " RT_ANNOTATION_LANDLOCK)
               : r;
}

/* Only in a pid namespace of its own is it 1. */
static int add_listen_pid(struct oci_process *p, struct jl_err *e)
{
    char var[32];

    snprintf(var, sizeof var, "LISTEN_PID=%d", (int) getpid());
    return oci_strings_add(&p->env, &p->n_env, var) < 0 ? jl_fail(e, ENOMEM, "process.env") : 0;
}

int rt_step_process(struct rt_launch *l, size_t i, struct jl_err *e)
{
    struct rt_become b = { .process = &l->spec->process,
                           .seccomp = l->seccomp.insns ? &l->seccomp : NULL,
                           .landlock_fd = l->landlock_fd,
                           .skip_rlimits = rt_spec_has_ns(l->spec, OS_NS_USER) };
    int r;

    (void) i;
    if (!l->spec->has_process)
        return 0; /* start refuses it */
    r = l->listen_pid ? add_listen_pid(l->spec->oci->process, e) : 0;
    if (r == 0)
        r = rt_become_user(&b, e);
    l->program = b.program;
    l->env = b.envp;
    return r;
}

/* create has reported success and nobody listens any more, so a shortage of the moment (files,
 * memory) must not end the container: whoever connects waits in the queue. One that stays for
 * ACCEPT_TRIES pauses of 10 ms does end it. */
static bool accept_again(int err, int *tries)
{
    if (err == EINTR || err == ECONNABORTED)
        return true;
    if (++*tries > ACCEPT_TRIES)
        return false;
    jl_sleep_ns(10 * JL_NS_PER_MS);
    return true;
}

/* Somebody who only looks whether we still wait connects and says nothing. A container without a
 * program is told so to whoever would start it, and goes on waiting. */
static int accept_start(const struct rt_launch *l)
{
    int tries = 0;

    for (;;) {
        struct jl_err none = JL_ERR_INIT;
        _close_ int conn = accept4(l->start_fd, NULL, NULL, SOCK_CLOEXEC);

        if (conn < 0) {
            if (accept_again(errno, &tries))
                continue;
            return -errno;
        }
        if (rt_sync_recv(conn, NULL, &none) != RT_MSG_GO)
            continue;
        if (l->spec->has_process)
            return jl_take_fd(&conn);
        jl_refuse(&none, EINVAL, "start: config.json has no process");
        rt_sync_send_error(conn, &none);
    }
}

int rt_step_start_wait(struct rt_launch *l, size_t i, struct jl_err *e)
{
    struct jl_err none;
    int conn, r = 0;

    (void) i;
    if (l->opts.wait_for_start ||
        rt_is_set_by_parent(&l->spec->process, rt_spec_has_ns(l->spec, OS_NS_USER)))
        r = rt_sync_send(l->sync, RT_MSG_READY, -1);
    if (r < 0)
        _exit(RT_EXIT_SETUP);
    if (!l->opts.wait_for_start) {
        if (rt_sync_recv(l->sync, NULL, &none) != RT_MSG_GO)
            _exit(RT_EXIT_SETUP); /* the parent is gone; nobody would clean up after us */
        return 0;
    }
    l->sync = jl_close(l->sync);
    conn = accept_start(l);
    l->start_fd = jl_close(l->start_fd);
    if (conn < 0)
        _exit(RT_EXIT_SETUP);
    l->sync = conn;
    (void) e;
    return 0;
}

int rt_step_exec(struct rt_launch *l, size_t i, struct jl_err *e)
{
    const struct oci_hooks *h = l->spec->oci->hooks;
    struct rt_become b = { .process = &l->spec->process,
                           .seccomp = l->seccomp.insns ? &l->seccomp : NULL,
                           .sync = l->sync,
                           .preserve_fds = l->preserve_fds,
                           .proc_fd = l->proc_fd,
                           .landlock_fd = l->landlock_fd,
                           .program = l->program,
                           .envp = l->env };
    int r;

    (void) i;
    if (h && h->n_start_container > 0) {
        l->state->pid = getpid();
        r = rt_hooks_run(h->start_container, h->n_start_container, "startContainer", l->state,
                         RT_CREATED, e);
        if (r < 0)
            return r;
    }
    r = rt_tell_exec(l->sync, e);
    return r < 0 ? r : rt_become_program(&b, e);
}
