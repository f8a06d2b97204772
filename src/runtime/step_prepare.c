/*
 * step_prepare.c - the parent before there is a child: the record, and everything that is opened
 * outside of the container.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "runtime/child.h"
#include "runtime/launch.h"
#include "runtime/step.h"

int rt_step_record(struct rt_launch *l, size_t i, struct jl_err *e)
{
    (void) i;
    return rt_state_create(l->state_root_fd, l->state, e);
}

int rt_step_seccomp_build(struct rt_launch *l, size_t i, struct jl_err *e)
{
    (void) i;
    return os_seccomp_build(l->spec->seccomp, &l->seccomp, e);
}

/* Whether the path leads to the namespace that we are in ourselves. */
static bool is_ours(int fd, enum os_ns ns)
{
    char path[64];
    _close_ int own = -1;

    snprintf(path, sizeof path, "/proc/self/ns/%s", os_ns_proc_name(ns));
    own = open(path, O_RDONLY | O_CLOEXEC);
    return own >= 0 && os_ns_same(fd, own) == 1;
}

/* A namespace by path may be the host's: what sets something in it would change the host. */
static int refuse_changes(const struct rt_spec *s, enum os_ns ns, struct jl_err *e)
{
    const struct oci_linux *cfg = s->oci->linux;
    const char *what = NULL;

    if (ns == OS_NS_UTS && s->oci->hostname && *s->oci->hostname)
        what = "hostname";
    else if (ns == OS_NS_UTS && s->oci->domainname && *s->oci->domainname)
        what = "domainname";
    else if (ns == OS_NS_NET && cfg->n_net_devices > 0)
        return jl_refuse(e, EINVAL,
                         "linux.netDevices: '%s' is the network namespace that they are in already",
                         s->ns_path[ns]);
    for (size_t k = 0; k < cfg->n_sysctl && !what; k++) {
        char path[512];
        enum os_ns needs;

        if (rt_sysctl_path(cfg->sysctl[k].key, path, sizeof path) == 0 &&
            rt_sysctl_ns(path, &needs) == 0 && needs == ns)
            what = cfg->sysctl[k].key;
    }
    if (!what)
        return 0;
    jl_refuse(e, EINVAL, "%s%s: would change the host: '%s' is the namespace that joblet-run is in",
              cfg->n_sysctl > 0 && ns != OS_NS_UTS ? "linux.sysctl." : "", what, s->ns_path[ns]);
    return jl_hint(e, "give the container a %s namespace of its own", os_ns_name(ns));
}

int rt_step_ns_open(struct rt_launch *l, size_t i, struct jl_err *e)
{
    int fd = os_ns_open(l->spec->ns_path[i], (enum os_ns) i, e);

    if (fd < 0)
        return jl_wrap(e, "linux.namespaces");
    l->ns_fds[i] = fd;
    return is_ours(fd, (enum os_ns) i) ? refuse_changes(l->spec, (enum os_ns) i, e) : 0;
}

/* sun_path holds 108 bytes; engines' temporary directories can be deeper, so the directory is
 * opened and the name used below it. */
int rt_unix_connect(const char *path, int *ret_fd, struct jl_err *e)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    _close_ int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    _close_ int dir = -1;
    const char *slash = strrchr(path, '/');
    int len;

    if (sock < 0)
        return jl_fail_sys(e, "socket", NULL, "connect to a socket");
    if (strlen(path) < sizeof addr.sun_path) {
        len = snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path);
    } else {
        _free_ char *parent = slash ? strndup(path, (size_t) (slash - path) + 1) : NULL;

        if (!parent)
            return jl_fail(e, ENAMETOOLONG, "socket '%.64s...'", path);
        dir = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0)
            return jl_fail_sys(e, "open", parent, "connect to a socket");
        len = snprintf(addr.sun_path, sizeof addr.sun_path, "/proc/self/fd/%d/%s", dir, slash + 1);
    }
    if (len < 0 || (size_t) len >= sizeof addr.sun_path)
        return jl_fail(e, ENAMETOOLONG, "socket '%.64s...'", path);
    if (connect(sock, (struct sockaddr *) &addr, sizeof addr) < 0)
        return jl_fail_sys(e, "connect", path, "connect to the socket '%s'", path);
    *ret_fd = jl_take_fd(&sock);
    return 0;
}

int rt_step_console_connect(struct rt_launch *l, size_t i, struct jl_err *e)
{
    (void) i;
    if (rt_unix_connect(l->console_socket, &l->console_fd, e) < 0)
        return jl_wrap(e, "the console socket");
    return 0;
}

int rt_pidfd_send(int sock, int pidfd, const char *what, struct jl_err *e)
{
    int r = jl_send_fds(sock, what, strlen(what), &pidfd, 1);

    return r < 0 ? jl_fail(e, -r, "--pidfd-socket: send the pidfd") : 0;
}

int rt_step_start_listen(struct rt_launch *l, size_t i, struct jl_err *e)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    _close_ int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    (void) i;
    snprintf(addr.sun_path, sizeof addr.sun_path, "/proc/self/fd/%d/start", l->state->dirfd);
    if (sock < 0 || bind(sock, (struct sockaddr *) &addr, sizeof addr) < 0 || listen(sock, 64) < 0)
        return jl_fail_sys(e, "bind", "start", "make the start socket");
    l->start_fd = jl_take_fd(&sock);
    return 0;
}
