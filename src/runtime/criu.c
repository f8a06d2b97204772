/* criu.c - see criu.h. */
#include "runtime/criu.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/spawn.h"
#include "os/cgroup.h"
#include "os/ns.h"
#include "runtime/child.h"
#include "runtime/criu_text.h"
#include "runtime/launch.h"
#include "runtime/spec.h"

#define LOG_END 16384 /* of the log, bytes, in which the error is looked for */
#define LOG_LINE 300  /* of the error, bytes */

/* CRIU calls ip, iptables and tar by their names; nothing else of ours is its business. */
static char *const criu_env[] = {
    (char *) "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL
};

static const char *program = "criu";

void rt_criu_program(const char *path)
{
    if (path && *path)
        program = path;
}

static int find_program(char **ret, struct jl_err *e)
{
    static const char *const dirs[] = { "/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
                                        "/usr/bin",        "/sbin",          "/bin" };
    char path[256];

    if (strchr(program, '/')) {
        if (access(program, X_OK) < 0)
            return jl_fail_sys(e, "access", program, "--criu");
        *ret = strdup(program);
        return *ret ? 0 : jl_fail(e, ENOMEM, "look for CRIU");
    }
    for (size_t i = 0; i < JL_COUNT(dirs); i++) {
        snprintf(path, sizeof path, "%s/%s", dirs[i], program);
        if (access(path, X_OK) == 0) {
            *ret = strdup(path);
            return *ret ? 0 : jl_fail(e, ENOMEM, "look for CRIU");
        }
    }
    jl_refuse(e, ENOENT, "'%s' is not installed", program);
    return jl_hint(e, "install the package criu, or give --criu PATH");
}

int rt_criu_add(struct rt_criu *c, const char *arg, const char *value, struct jl_err *e)
{
    if (jl_strv_add(&c->args, arg) < 0 || (value && jl_strv_add(&c->args, value) < 0))
        return jl_fail(e, ENOMEM, "call CRIU");
    return 0;
}

static int check_opts(const struct rt_criu_opts *o, struct jl_err *e)
{
    const char *mode = o->manage_cgroups;

    if (geteuid() != 0)
        return jl_refuse(e, EPERM, "CRIU needs root");
    if (mode && strcmp(mode, "soft") != 0 && strcmp(mode, "ignore") != 0) {
        jl_refuse(e, EINVAL, "--manage-cgroups-mode: '%s', allowed are soft and ignore", mode);
        return jl_hint(e, "a restored container's group and limits are made from its config.json");
    }
    for (size_t i = 0; i < o->empty_ns.len; i++)
        if (strcmp(o->empty_ns.items[i], "network") != 0)
            return jl_refuse(e, EINVAL, "--empty-ns: '%s', allowed is network",
                             o->empty_ns.items[i]);
    return 0;
}

/* The directory as an absolute path; for a dump it is made when missing. */
static int take_dir(const char *path, bool make, const char *option, char **ret, struct jl_err *e)
{
    if (make && jl_mkdir_p(path, 0700, e) < 0)
        return jl_wrap(e, "%s", option);
    *ret = realpath(path, NULL);
    if (!*ret)
        return jl_fail_sys(e, "realpath", path, "%s", option);
    return 0;
}

static int add_common(struct rt_criu *c, const struct rt_criu_opts *o, struct jl_err *e)
{
    const struct {
        bool on;
        const char *arg;
    } flags[] = { { o->tcp_established, "--tcp-established" },
                  { o->ext_unix_sk, "--ext-unix-sk" },
                  { o->shell_job, "--shell-job" },
                  { o->file_locks, "--file-locks" },
                  { o->empty_ns.len > 0, "--empty-ns" } };
    int r = 0;

    for (size_t i = 0; i < JL_COUNT(flags) && r == 0; i++)
        if (flags[i].on)
            r = rt_criu_add(c, flags[i].arg, i == 4 ? "net" : NULL, e);
    return r;
}

int rt_criu_begin(struct rt_criu *c, const char *action, const struct rt_criu_opts *o,
                  struct jl_err *e)
{
    bool dump = strcmp(action, "restore") != 0;
    const char *images_path = o->image_path ? o->image_path : "checkpoint";
    _free_ char *images = NULL, *work = NULL;
    char log_name[32];
    int r = check_opts(o, e);

    *c = (struct rt_criu){ 0 };
    if (r == 0)
        r = find_program(&c->program, e);
    if (r == 0)
        r = take_dir(images_path, dump, "--image-path", &images, e);
    if (r == 0)
        r = take_dir(o->work_path ? o->work_path : images_path, true, "--work-path", &work, e);
    if (r < 0)
        return r;
    snprintf(log_name, sizeof log_name, "%s.log", action);
    if (asprintf(&c->log, "%s/%s", work, log_name) < 0) {
        c->log = NULL;
        return jl_fail(e, ENOMEM, "call CRIU");
    }
    if (rt_criu_add(c, c->program, action, e) < 0 ||
        rt_criu_add(c, "--images-dir", images, e) < 0 ||
        rt_criu_add(c, "--work-dir", work, e) < 0 ||
        rt_criu_add(c, "--log-file", log_name, e) < 0 || rt_criu_add(c, "-v4", NULL, e) < 0)
        return -e->code;
    return add_common(c, o, e);
}

/* In the child. CRIU wants the rootfs to be a mount, and the mounts that it copies to be no one
 * else's peers but still to get what happens outside. */
static int enter_mounts(const char *root, struct jl_err *e)
{
    if (unshare(CLONE_NEWNS) < 0)
        return jl_fail_sys(e, "unshare", NULL, "prepare the mounts");
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return jl_fail_sys(e, "mount", "/", "prepare the mounts");
    if (mount(root, root, NULL, MS_BIND | MS_REC, NULL) < 0)
        return jl_fail_sys(e, "mount", root, "prepare the rootfs");
    return 0;
}

/* In the child. CRIU is told to leave control groups alone (--manage-cgroups=ignore): what it
 * restores is where it is itself. */
static int enter_group(const struct rt_criu *c, struct jl_err *e)
{
    if (!c->root)
        return 0;
    if (os_cgroup_join_self(c->join_fds, c->n_join, e) < 0)
        return -e->code;
    if (c->new_cgroup_ns && unshare(CLONE_NEWCGROUP) < 0)
        return jl_fail_sys(e, "unshare", NULL, "make the cgroup namespace");
    return 0;
}

static _Noreturn void become_criu(struct rt_criu *c)
{
    struct jl_err e = JL_ERR_INIT;
    int keep[RT_CRIU_FDS_MAX];
    int r = enter_group(c, &e);

    if (r == 0 && c->root)
        r = enter_mounts(c->root, &e);
    if (r == 0) {
        rt_signals_reset();
        memcpy(keep, c->fds, sizeof keep);
        for (size_t i = 0; i < c->n_fds; i++)
            fcntl(c->fds[i], F_SETFD, 0);
        rt_close_all_but(0, keep, c->n_fds);
        execve(c->program, c->args.items, criu_env);
        jl_fail_sys(&e, "execve", c->program, "run CRIU");
    }
    dprintf(STDERR_FILENO, "joblet-run: %s\n", e.text);
    _exit(127);
}

/* Of the end of the log alone: at -v4 it is long. */
static bool find_error(const char *path, char line[LOG_LINE])
{
    _close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    _free_ char *text = malloc(LOG_END + 1);
    off_t size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    ssize_t n;

    if (!text || size < 0)
        return false;
    n = pread(fd, text, LOG_END, size > LOG_END ? size - LOG_END : 0);
    if (n <= 0)
        return false;
    text[n] = '\0';
    return rt_criu_first_error(text, line, LOG_LINE);
}

static int tell_failure(const struct rt_criu *c, int status, struct jl_err *e)
{
    char line[LOG_LINE];

    if (find_error(c->log, line))
        jl_refuse(e, EIO, "criu %s failed: %s", c->args.items[1], line);
    else
        jl_refuse(e, EIO, "criu %s failed with status %d and no error in its log", c->args.items[1],
                  status);
    snprintf(e->object, sizeof e->object, "%s", c->log);
    return jl_hint(e, "log file: %s", c->log);
}

int rt_criu_run(struct rt_criu *c, struct jl_err *e)
{
    _close_ int pidfd = -1;
    pid_t pid;
    int status;

    unlink(c->log); /* not to be told of an earlier run's */
    pid = os_clone3(0, -1, &pidfd);
    if (pid == 0)
        become_criu(c);
    if (pid < 0)
        return jl_fail(e, -pid, "clone3: run CRIU");
    status = c->action.then ? rt_criu_action_serve(&c->action, pid, pidfd) : jl_wait_status(pid);
    if (c->action.err.code != 0) { /* CRIU's failure is what came of that */
        *e = c->action.err;
        return -e->code;
    }
    if (status < 0)
        return jl_fail(e, -status, "wait for CRIU");
    return status == 0 ? 0 : tell_failure(c, status, e);
}

void rt_criu_clear(struct rt_criu *c)
{
    free(c->program);
    free(c->log);
    jl_strv_clear(&c->args);
    for (size_t i = 0; i < c->n_fds; i++)
        jl_close(c->fds[i]);
    rt_criu_action_clear(&c->action);
    *c = (struct rt_criu){ 0 };
}

int rt_criu_check_spec(const struct rt_spec *s, const char *verb, struct jl_err *e)
{
    if (s->has_process && s->oci->process->terminal) {
        jl_refuse(e, ENOTSUP, "%s: process.terminal: CRIU's command line hands no terminal over",
                  verb);
        return jl_hint(e, "run the container without a terminal");
    }
    if (s->idmap_rootfs)
        return jl_refuse(e, ENOTSUP, "%s: annotation %s: CRIU knows no mounts with id maps", verb,
                         RT_ANNOTATION_IDMAP);
    for (size_t i = 0; i < s->n_mounts; i++)
        if (s->mounts[i].opt.idmap != RT_IDMAP_NONE)
            return jl_refuse(e, ENOTSUP, "%s: mounts[%zu]: CRIU knows no mounts with id maps", verb,
                             i);
    for (int ns = 0; ns < OS_NS_N; ns++)
        if (s->ns_path[ns] && ns != OS_NS_NET) {
            jl_refuse(e, ENOTSUP,
                      "%s: linux.namespaces: %s by path: a restored container would have one of "
                      "its own",
                      verb, os_ns_name((enum os_ns) ns));
            return jl_hint(e, "only a network namespace can be joined again");
        }
    return 0;
}
