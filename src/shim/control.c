/* control.c - see control.h. */
#include "shim/control.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

static void drop(struct sh_client *client)
{
    jl_loop_del(client->owner->loop, &client->src);
    client->fd = jl_close(client->fd);
}

static void tell(struct sh_client *client, const struct ipc_shim_msg *state)
{
    uint8_t packet[64];
    int len = ipc_shim_msg_write(state, packet, sizeof packet);

    if (len < 0 || send(client->fd, packet, (size_t) len, MSG_DONTWAIT | MSG_NOSIGNAL) != len)
        drop(client); /* gone, or so far behind that its buffer is full */
}

/* One message of a client. False when there was none. */
static bool hear(struct sh_client *client)
{
    uint8_t packet[64]; /* MSG_TRUNC: a longer one tells its length and is refused for it */
    struct sh_control *c = client->owner;
    struct ipc_shim_msg request, state = { 0 };
    struct jl_err e;
    ssize_t n = recv(client->fd, packet, sizeof packet, MSG_DONTWAIT | MSG_TRUNC);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0 || (size_t) n > sizeof packet ||
        ipc_shim_msg_parse(packet, (size_t) n, &request, &e) < 0 ||
        request.type == IPC_SHIM_STATE) {
        drop(client);
        return false;
    }
    c->fn(c->arg, &request, &state);
    if (client->fd >= 0) /* a broadcast in between may have dropped it */
        tell(client, &state);
    return client->fd >= 0;
}

static int on_client(struct jl_source *src, uint32_t ready)
{
    (void) ready; /* recv tells an end as well */
    hear(JL_CONTAINER(src, struct sh_client, src));
    return 0;
}

static bool is_trusted(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

static int on_connect(struct jl_source *src, uint32_t ready)
{
    struct sh_control *c = JL_CONTAINER(src, struct sh_control, src);
    _close_ int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct sh_client *client;

    (void) ready;
    if (fd < 0 || !is_trusted(fd))
        return 0;
    client = &c->clients[c->n_accepted++ % SH_CONTROL_CLIENTS_MAX];
    for (size_t i = 0; i < SH_CONTROL_CLIENTS_MAX && client->fd >= 0; i++)
        if (c->clients[i].fd < 0)
            client = &c->clients[i];
    if (client->fd >= 0)
        drop(client);
    if (jl_loop_add(c->loop, &client->src, fd, EPOLLIN, on_client) == 0)
        client->fd = jl_take_fd(&fd);
    return 0;
}

static int bind_here(int fd, struct jl_err *e)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = IPC_SHIM_SOCKET_NAME };

    if (unlink(IPC_SHIM_SOCKET_NAME) < 0 && errno != ENOENT)
        return jl_fail_sys(e, "unlink", IPC_SHIM_SOCKET_NAME, "control socket");
    if (bind(fd, (struct sockaddr *) &addr, sizeof addr) < 0)
        return jl_fail_sys(e, "bind", IPC_SHIM_SOCKET_NAME, "control socket");
    if (chmod(IPC_SHIM_SOCKET_NAME, 0600) < 0)
        return jl_fail_sys(e, "chmod", IPC_SHIM_SOCKET_NAME, "control socket");
    if (listen(fd, SH_CONTROL_CLIENTS_MAX) < 0)
        return jl_fail_sys(e, "listen", IPC_SHIM_SOCKET_NAME, "control socket");
    return 0;
}

int sh_control_open(struct sh_control *c, struct jl_loop *loop, int state_dirfd, sh_control_fn fn,
                    void *arg, struct jl_err *e)
{
    int r;

    *c = (struct sh_control){ .loop = loop, .state_dirfd = state_dirfd, .fn = fn, .arg = arg };
    for (size_t i = 0; i < SH_CONTROL_CLIENTS_MAX; i++)
        c->clients[i] = (struct sh_client){ .owner = c, .fd = -1 };
    c->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        return jl_fail_sys(e, "socket", NULL, "control socket");
    if (fchdir(state_dirfd) < 0)
        return jl_fail_sys(e, "fchdir", "state directory", "control socket");
    r = bind_here(c->fd, e);
    if (chdir("/") < 0)
        return jl_fail_sys(e, "chdir", "/", "control socket");
    if (r < 0)
        return r;
    r = jl_loop_add(loop, &c->src, c->fd, EPOLLIN, on_connect);
    if (r < 0)
        return jl_fail(e, -r, "watch the control socket");
    return 0;
}

void sh_control_broadcast(struct sh_control *c, const struct ipc_shim_msg *state)
{
    for (size_t i = 0; i < SH_CONTROL_CLIENTS_MAX; i++)
        if (c->clients[i].fd >= 0)
            tell(&c->clients[i], state);
}

void sh_control_close(struct sh_control *c)
{
    for (size_t i = 0; i < SH_CONTROL_CLIENTS_MAX; i++) {
        struct sh_client *client = &c->clients[i];

        for (int n = 0; client->fd >= 0 && n < 16 && hear(client); n++)
            ;
        if (client->fd >= 0)
            drop(client);
    }
    jl_loop_del(c->loop, &c->src);
    c->fd = jl_close(c->fd);
    unlinkat(c->state_dirfd, IPC_SHIM_SOCKET_NAME, 0);
}
