/*
 * step_netdev.c - linux.netDevices: interfaces of the host become the container's. The parent moves
 * them, who has the rights on both sides; the child waits. What happens to them afterwards is the
 * namespace's matter (config-linux.md), but a container that could not be made gives them back.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "os/netlink.h"
#include "runtime/launch.h"
#include "runtime/step.h"

struct rt_netdev {
    struct os_netdev dev;
    const char *name; /* on the host; borrowed from the configuration */
    bool was_up;
};

static int open_target_ns(struct rt_launch *l, struct jl_err *e)
{
    char path[64];

    if (l->ns_fds[OS_NS_NET] >= 0)
        l->net_fd = fcntl(l->ns_fds[OS_NS_NET], F_DUPFD_CLOEXEC, 3);
    else {
        snprintf(path, sizeof path, "/proc/%d/ns/net", (int) l->pid);
        l->net_fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    return l->net_fd < 0 ? jl_fail_sys(e, "open", NULL, "open the container's network namespace")
                         : 0;
}

static int move_in(struct rt_launch *l, int here, int there, const struct oci_net_device_entry *c,
                   struct jl_err *e)
{
    const char *name = c->value && c->value->name && *c->value->name ? c->value->name : c->key;
    struct rt_netdev *d = &l->netdevs[l->n_netdevs];
    bool moved = false;
    int r = os_netdev_read(here, c->key, &d->dev, e);

    d->name = c->key;
    d->was_up = d->dev.up;
    if (r == 0)
        r = os_netdev_move(&d->dev, here, there, l->net_fd, name, true, &moved, e);
    if (moved)
        l->n_netdevs++;
    else
        os_netdev_clear(&d->dev);
    return r < 0 ? jl_wrap(e, "linux.netDevices.%s", c->key) : 0;
}

int rt_step_net_devices(struct rt_launch *l, size_t i, struct jl_err *e)
{
    const struct oci_linux *cfg = l->spec->oci->linux;
    _close_ int here = -1;
    _close_ int there = -1;
    int r = open_target_ns(l, e);

    (void) i;
    if (r < 0)
        return r;
    l->netdevs = calloc(cfg->n_net_devices, sizeof *l->netdevs);
    if (!l->netdevs)
        return jl_fail(e, ENOMEM, "linux.netDevices");
    here = os_netlink_open(-1, e);
    there = here < 0 ? here : os_netlink_open(l->net_fd, e);
    if (there < 0)
        return jl_wrap(e, "linux.netDevices");
    for (size_t k = 0; k < cfg->n_net_devices && r == 0; k++)
        r = move_in(l, here, there, &cfg->net_devices[k], e);
    return r;
}

void rt_net_devices_return(struct rt_launch *l)
{
    struct jl_err ignored = JL_ERR_INIT;
    _close_ int here = l->n_netdevs > 0 ? os_netlink_open(-1, &ignored) : -1;
    _close_ int there = l->n_netdevs > 0 ? os_netlink_open(l->net_fd, &ignored) : -1;
    _close_ int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    bool moved;

    while (l->n_netdevs > 0) {
        struct rt_netdev *d = &l->netdevs[--l->n_netdevs];

        os_netdev_move(&d->dev, there, here, own, d->name, d->was_up, &moved, &ignored);
        os_netdev_clear(&d->dev);
    }
}

void rt_net_devices_done(struct rt_launch *l)
{
    for (size_t k = 0; k < l->n_netdevs; k++)
        os_netdev_clear(&l->netdevs[k].dev);
    free(l->netdevs);
    jl_close(l->net_fd);
}
