/* criu.c - see criu.h. */
#include "runtime/criu.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
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
#define LOG_LEVEL 4   /* all that it can say */

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

static int no_memory(struct jl_err *e)
{
    return jl_fail(e, ENOMEM, "call CRIU");
}

int rt_criu_text(char **option, const char *text, struct jl_err *e)
{
    if (!text)
        return 0;
    free(*option);
    *option = strdup(text);
    return *option ? 0 : no_memory(e);
}

int rt_criu_external(struct rt_criu *c, const char *name, struct jl_err *e)
{
    RtCriu__Options *o = c->request->opts;
    char **more = reallocarray(o->external, o->n_external + 1, sizeof *more);

    if (!more)
        return no_memory(e);
    o->external = more;
    more[o->n_external] = strdup(name);
    return more[o->n_external] && ++o->n_external ? 0 : no_memory(e);
}

int rt_criu_inherit(struct rt_criu *c, int fd, const char *name, struct jl_err *e)
{
    RtCriu__Options *o = c->request->opts;
    RtCriu__InheritFd **more = reallocarray(o->inherit_fd, o->n_inherit_fd + 1, sizeof *more);
    RtCriu__InheritFd *new = malloc(sizeof *new);

    if (more)
        o->inherit_fd = more;
    if (!more || !new) {
        free(new);
        return no_memory(e);
    }
    rt_criu__inherit_fd__init(new);
    more[o->n_inherit_fd++] = new;
    new->fd = fd;
    return rt_criu_text(&new->key, name, e);
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

/* The directory, open and as an absolute path; it is made when missing, unless it must be there. */
static int take_dir(const char *path, bool make, const char *option, int *ret_fd, char **ret,
                    struct jl_err *e)
{
    if (make && jl_mkdir_p(path, 0700, e) < 0)
        return jl_wrap(e, "%s", option);
    *ret = realpath(path, NULL);
    if (!*ret)
        return jl_fail_sys(e, "realpath", path, "%s", option);
    *ret_fd = open(*ret, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd < 0 ? jl_fail_sys(e, "open", *ret, "%s", option) : 0;
}

static int take_dirs(struct rt_criu *c, const struct rt_criu_opts *o, bool dump, struct jl_err *e)
{
    const char *images_path = o->image_path ? o->image_path : "checkpoint";
    _free_ char *images = NULL, *work = NULL;
    int r = take_dir(images_path, dump, "--image-path", &c->images_fd, &images, e);

    if (r == 0)
        r = take_dir(o->work_path ? o->work_path : images_path, true, "--work-path", &c->work_fd,
                     &work, e);
    if (r < 0)
        return r;
    if (asprintf(&c->log, "%s/%s.log", work, c->verb) < 0) {
        c->log = NULL;
        return no_memory(e);
    }
    return 0;
}

static int new_request(struct rt_criu *c, RtCriu__Type type, struct jl_err *e)
{
    RtCriu__Options *o = malloc(sizeof *o);

    c->request = malloc(sizeof *c->request);
    if (!c->request || !o) {
        free(o);
        free(c->request);
        c->request = NULL;
        return no_memory(e);
    }
    rt_criu__request__init(c->request);
    rt_criu__options__init(o);
    c->request->type = type;
    c->request->opts = o;
    return 0;
}

/* CRIU opens the directories by our own descriptors of them. */
static int fill_common(struct rt_criu *c, const struct rt_criu_opts *from, struct jl_err *e)
{
    RtCriu__Options *o = c->request->opts;

    o->images_dir_fd = c->images_fd;
    o->has_work_dir_fd = true;
    o->work_dir_fd = c->work_fd;
    o->has_log_level = true;
    o->log_level = LOG_LEVEL;
    RT_CRIU_FLAG(o, tcp_established, from->tcp_established);
    RT_CRIU_FLAG(o, ext_unix_sk, from->ext_unix_sk);
    RT_CRIU_FLAG(o, shell_job, from->shell_job);
    RT_CRIU_FLAG(o, file_locks, from->file_locks);
    o->has_empty_ns = from->empty_ns.len > 0;
    o->empty_ns = CLONE_NEWNET;
    return rt_criu_text(&o->log_file, strrchr(c->log, '/') + 1, e);
}

int rt_criu_begin(struct rt_criu *c, const char *verb, const struct rt_criu_opts *o,
                  struct jl_err *e)
{
    RtCriu__Type type = strcmp(verb, "restore") == 0    ? RT_CRIU__TYPE__RESTORE
                        : strcmp(verb, "pre-dump") == 0 ? RT_CRIU__TYPE__PRE_DUMP
                                                        : RT_CRIU__TYPE__DUMP;
    int r = check_opts(o, e);

    c->verb = verb;
    if (r == 0)
        r = find_program(&c->program, e);
    if (r == 0)
        r = take_dirs(c, o, type != RT_CRIU__TYPE__RESTORE, e);
    if (r == 0)
        r = new_request(c, type, e);
    return r < 0 ? r : fill_common(c, o, e);
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

/* In the child. CRIU is told to leave control groups alone (manage_cgroups_mode): what it
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

static _Noreturn void become_criu(struct rt_criu *c, int sock)
{
    struct jl_err e = JL_ERR_INIT;
    int keep[RT_CRIU_FDS_MAX + 1] = { sock };
    char number[16];
    char *argv[] = { c->program, (char *) "swrk", number, NULL };
    int r = enter_group(c, &e);

    if (r == 0 && c->root)
        r = enter_mounts(c->root, &e);
    if (r == 0) {
        jl_signals_reset();
        memcpy(keep + 1, c->fds, sizeof c->fds);
        for (size_t i = 0; i < c->n_fds + 1; i++)
            fcntl(keep[i], F_SETFD, 0);
        rt_close_all_but(0, keep, c->n_fds + 1);
        snprintf(number, sizeof number, "%d", sock);
        execve(c->program, argv, criu_env);
        jl_fail_sys(&e, "execve", c->program, "run CRIU");
    }
    dprintf(STDERR_FILENO, "joblet-run: %s\n", e.text);
    _exit(127);
}

/* Of the end of the log alone: it is long. */
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

/* answered: CRIU has told of its failure; its log says what that was. */
static int tell_failure(const struct rt_criu *c, bool answered, int status, struct jl_err *e)
{
    char line[LOG_LINE];

    if (find_error(c->log, line))
        jl_refuse(e, EIO, "criu %s failed: %s", c->verb, line);
    else if (answered)
        jl_refuse(e, EIO, "criu %s failed, with no error in its log", c->verb);
    else
        jl_refuse(e, EIO, "criu %s ended with status %d, and no error in its log", c->verb, status);
    snprintf(e->object, sizeof e->object, "%s", c->log);
    return jl_hint(e, "log file: %s", c->log);
}

int rt_criu_run(struct rt_criu *c, struct jl_err *e)
{
    _close_ int pidfd = -1;
    int pair[2], status, r;
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return jl_fail_sys(e, "socketpair", NULL, "run CRIU");
    unlink(c->log); /* not to be told of an earlier run's */
    pid = os_clone3(0, -1, &pidfd);
    if (pid == 0)
        become_criu(c, pair[1]);
    jl_close(pair[1]);
    r = pid < 0 ? jl_fail(e, -pid, "clone3: run CRIU")
                : rt_criu_talk(pair[0], c->request, c->notified, c->notified_data, &c->pid, e);
    jl_close(pair[0]); /* it would take another request after a pre-dump */
    if (pid < 0)
        return r;
    status = jl_wait_status(pid);
    if (r < 0) /* CRIU's failure is what came of that */
        return r;
    return r == RT_CRIU_SUCCEEDED ? 0 : tell_failure(c, r == RT_CRIU_FAILED, status, e);
}

void rt_criu_clear(struct rt_criu *c)
{
    free(c->program);
    free(c->log);
    if (c->request)
        rt_criu__request__free_unpacked(c->request, NULL);
    jl_close(c->images_fd);
    jl_close(c->work_fd);
    for (size_t i = 0; i < c->n_fds; i++)
        jl_close(c->fds[i]);
    *c = (struct rt_criu) RT_CRIU_INIT;
}

int rt_criu_check_spec(const struct rt_spec *s, const char *verb, struct jl_err *e)
{
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
