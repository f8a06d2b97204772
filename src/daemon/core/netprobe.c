/* netprobe.c - see netprobe.h. */
#include "daemon/core/netprobe.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "daemon/core/netrules.h"
#include "os/netlink.h"
#include "os/nft.h"
#include "os/rtnl.h"

/* What the child tells; it fits into a pipe. */
struct result {
    int code;
    struct jl_err e;
    char no_rate[JL_ERR_TEXT_MAX];
};

static int try_rules(struct jl_err *e)
{
    const struct jd_net_def nets[] = {
        { .name = "bridge", .bridge = "joblet0", .cidr = { .base = 0xac140000, .prefix = 16 } }
    };
    const struct jd_net_all all = {
        .instance = "00000", .nets = nets, .n_nets = 1, .first_port = 20000
    };
    _buf_ struct jl_buf b = JL_BUF_INIT(65536);

    if (jd_net_rules(&b, &all) < 0 || jl_buf_putc(&b, '\0') < 0)
        return jl_fail(e, ENOMEM, "write the network's rules");
    return os_nft_run(b.data, e);
}

static int try_devices(int sock, int ns, char *no_rate, size_t size, struct jl_err *e)
{
    static const uint8_t mac[6] = { 2, 0x4a, 0, 0, 0, 1 };
    struct jl_err rate = JL_ERR_INIT;
    struct os_rtnl_link bridge, veth;
    int r = os_rtnl_add_bridge(sock, "joblet0", mac, e);

    if (r == 0)
        r = os_rtnl_find(sock, "joblet0", &bridge, e);
    if (r == 0)
        r = os_rtnl_add_veth(sock, "jv0", bridge.index, mac, "eth0", mac, ns, e);
    if (r == 0)
        r = os_rtnl_find(sock, "jv0", &veth, e);
    if (r == 0 && os_rtnl_set_rate(sock, veth.index, 1000000, &rate) < 0)
        snprintf(no_rate, size, "%s", rate.text);
    return r;
}

static void try_all(struct result *res)
{
    _close_ int ns = -1, sock = -1;

    if (unshare(CLONE_NEWNET) < 0) {
        res->code = jl_fail_sys(&res->e, "unshare", NULL, "make a network namespace");
        return;
    }
    ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    sock = os_netlink_open(-1, &res->e);
    res->code = sock < 0 ? sock : try_devices(sock, ns, res->no_rate, sizeof res->no_rate, &res->e);
    if (res->code == 0)
        res->code = try_rules(&res->e);
}

int jd_net_probe(char *no_rate, size_t size, struct jl_err *e)
{
    struct result res = { .e = JL_ERR_INIT };
    int pair[2];
    ssize_t n;
    pid_t pid;

    no_rate[0] = '\0';
    if (pipe2(pair, O_CLOEXEC) < 0)
        return jl_fail_sys(e, "pipe2", NULL, "try networks");
    pid = fork();
    if (pid == 0) {
        try_all(&res);
        _exit(write(pair[1], &res, sizeof res) == sizeof res ? 0 : 1);
    }
    close(pair[1]);
    n = pid < 0 ? -1 : read(pair[0], &res, sizeof res);
    close(pair[0]);
    if (pid > 0)
        waitpid(pid, NULL, 0);
    if (n != sizeof res)
        return jl_refuse(e, EIO, "the process that tries networks has died");
    snprintf(no_rate, size, "%s", res.no_rate);
    if (res.code < 0)
        *e = res.e;
    return res.code;
}
