/* network.c - see network.h: leases. The setup as a whole is netsetup.c's. */
#include "daemon/core/network.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "daemon/core/bundle.h"
#include "daemon/core/netsetup.h"
#include "os/conntrack.h"
#include "os/netlink.h"
#include "os/nft.h"
#include "os/ns.h"
#include "os/rtnl.h"

#define INSIDE "eth0"

struct jd_net_place jd_net_place;

char *jd_net_ns_path(uint32_t addr, const char *kind, char *buf, size_t size)
{
    snprintf(buf, size, "%s/%08x.%s", jd_net_place.ns_dir, addr, kind);
    return buf;
}

static void drop_name(uint32_t addr, const char *kind)
{
    char path[600];

    jd_net_ns_path(addr, kind, path, sizeof path);
    umount2(path, MNT_DETACH);
    unlink(path);
}

void jd_net_drop_names(uint32_t addr)
{
    drop_name(addr, "net");
    drop_name(addr, "user");
}

static int keep_name(pid_t pid, const char *ns, uint32_t addr, const char *kind, struct jl_err *e)
{
    char path[600], source[64];
    _close_ int fd = -1;

    jd_net_ns_path(addr, kind, path, sizeof path);
    snprintf(source, sizeof source, "/proc/%d/ns/%s", (int) pid, ns);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return jl_fail_sys(e, "open", path, "keep a network namespace");
    if (mount(source, path, NULL, MS_BIND, NULL) < 0)
        return jl_fail_sys(e, "mount", path, "keep a network namespace");
    return 0;
}

/* ---- the namespace */

/* In the new process. The user namespace belongs to the job's root, as joblet-run has it for those it
 * makes itself: what the kernel counts by its owner is each job's own then. */
static int32_t unshare_for(uid_t owner, pid_t worker)
{
    struct os_owner begun;

    os_owner_begin(&begun, owner); /* false without one */
    if (unshare(CLONE_NEWNET | (owner != 0 ? CLONE_NEWUSER : 0)) < 0 ||
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return errno;
    return getppid() == worker ? 0 : ESRCH; /* it may have died before */
}

/* A process in new namespaces that waits until it is killed. owner 0: no user namespace. */
static pid_t fork_inside(uid_t owner, struct jl_err *e)
{
    pid_t pid, worker = getpid();
    int32_t error = 0;
    int ready[2];

    if (pipe2(ready, O_CLOEXEC) < 0)
        return jl_fail_sys(e, "pipe2", NULL, "make a network namespace");
    pid = fork();
    if (pid == 0) {
        error = unshare_for(owner, worker);
        if (write(ready[1], &error, sizeof error) != sizeof error || error != 0)
            _exit(1); /* also without the worker: nobody else would end this process */
        for (;;)
            pause();
    }
    close(ready[1]);
    if (pid < 0)
        error = errno;
    else if (read(ready[0], &error, sizeof error) != sizeof error)
        error = EIO;
    close(ready[0]);
    if (error == 0)
        return pid;
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    jl_refuse(e, error, "make a network namespace: unshare: %s", strerror(error));
    return -error;
}

static int write_map(pid_t pid, const char *file, uint32_t base, struct jl_err *e)
{
    char path[64], text[64];
    int r;

    snprintf(path, sizeof path, "/proc/%d/%s", (int) pid, file);
    snprintf(text, sizeof text, "0 %u %u\n", base, JD_ID_RANGE);
    r = jl_write_kernel_file_at(AT_FDCWD, path, text);
    return r < 0 ? jl_fail(e, -r, "write '%s'", path) : 0;
}

/* Both namespaces under their names; the process that made them is gone again. */
static int make_namespaces(const struct jd_net_lease *l, struct jl_err *e)
{
    bool user = l->host_id_base != 0;
    pid_t pid = fork_inside(l->host_id_base, e);
    int r = 0;

    if (pid < 0)
        return pid;
    if (user)
        r = write_map(pid, "uid_map", l->host_id_base, e);
    if (r == 0 && user)
        r = write_map(pid, "gid_map", l->host_id_base, e);
    if (r == 0 && user)
        r = keep_name(pid, "user", l->addr, "user", e);
    if (r == 0)
        r = keep_name(pid, "net", l->addr, "net", e);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return r;
}

/* IPv6 stays on loopback; what comes into the namespace has none. A socket of it, or -errno. */
static int enter_once(int ns_fd, struct jl_err *e)
{
    _close_ int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int sock;

    if (own < 0 || setns(ns_fd, CLONE_NEWNET) < 0)
        return jl_fail_sys(e, "setns", NULL, "enter the new network namespace");
    /* absent where the kernel has no IPv6 */
    jl_write_kernel_file_at(AT_FDCWD, "/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    sock = os_netlink_open(-1, e);
    if (setns(own, CLONE_NEWNET) < 0) {
        jl_fail_sys(e, "setns", NULL, "come back from the new network namespace");
        _exit(1); /* the next worker is where it belongs */
    }
    return sock;
}

/* The gateway is the only neighbour, and known: jobs reach one another through it. The kernel has one
 * table of neighbours for all namespaces, which a job that asked for many would fill for everybody. */
static int set_up_inside(int sock, const struct jd_net_lease *l, struct jl_err *e)
{
    struct os_rtnl_link lo, eth;
    uint8_t mac[6];
    int r = os_rtnl_find(sock, "lo", &lo, e);

    if (r == 0)
        r = os_rtnl_set_up(sock, lo.index, e);
    if (r == 0)
        r = os_rtnl_find(sock, INSIDE, &eth, e);
    if (r == 0)
        r = os_rtnl_ask_nobody(sock, eth.index, e);
    if (r == 0)
        r = os_rtnl_add_address(sock, eth.index, l->addr, 32, e);
    if (r == 0)
        r = os_rtnl_set_up(sock, eth.index, e);
    if (r == 0)
        r = os_rtnl_add_link_route(sock, eth.index, l->gateway, e);
    jd_net_mac(l->gateway, mac);
    if (r == 0)
        r = os_rtnl_add_neighbour(sock, eth.index, l->gateway, mac, e);
    return r < 0 ? r : os_rtnl_add_default_route(sock, l->gateway, e);
}

void jd_net_no_ipv6(const char *device)
{
    char path[96];

    snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/disable_ipv6", device);
    jl_write_kernel_file_at(AT_FDCWD, path, "1"); /* absent without IPv6 */
}

/* The host's end: on the bridge, or with the gateway's address of its own. */
static int set_up_outside(int sock, const struct jd_net_lease *l, const char *device,
                          struct jl_err *e)
{
    struct os_rtnl_link link;
    int r = os_rtnl_find(sock, device, &link, e);

    jd_net_no_ipv6(device);
    if (r == 0 && l->isolated)
        r = os_rtnl_add_address(sock, link.index, l->gateway, l->prefix, e);
    return r < 0 ? r : os_rtnl_set_up(sock, link.index, e);
}

static int make_pair(int host, const struct jd_net_lease *l, struct jl_err *e)
{
    char device[JD_NETDEV_MAX], path[600];
    struct os_rtnl_link bridge = { 0 }, old;
    _close_ int ns = -1, inside = -1;
    uint8_t mac[6], gateway[6];
    int r = 0;

    jd_net_device(jd_net_place.instance, l, device);
    jd_net_mac(l->addr, mac);
    jd_net_mac(l->gateway, gateway);
    if (os_rtnl_find(host, device, &old, NULL) == 0)
        os_rtnl_del_link(host, old.index, e);
    jl_err_clear(e);
    jd_net_ns_path(l->addr, "net", path, sizeof path);
    ns = open(path, O_RDONLY | O_CLOEXEC);
    if (ns < 0)
        return jl_fail_sys(e, "open", path, "open the new network namespace");
    inside = enter_once(ns, e);
    if (inside < 0)
        return inside;
    if (!l->isolated)
        r = os_rtnl_find(host, l->bridge, &bridge, e);
    if (r == 0 &&
        !l->isolated) /* packets for the job before may wait there for this one's answer */
        r = os_rtnl_del_neighbour(host, bridge.index, l->addr, e);
    if (r == 0)
        r = os_rtnl_add_veth(host, device, bridge.index, gateway, INSIDE, mac, ns, e);
    if (r == 0)
        r = set_up_inside(inside, l, e);
    return r < 0 ? r : set_up_outside(host, l, device, e);
}

/* ---- connections of jobs that have ended */

/* Addresses without a job, whose connections the kernel still knows: what comes for them must not
 * reach the next job there. To forget some takes as long as to forget all (the kernel has no index by
 * address), so it is done for many, or when one is needed again. Lives as long as the worker. */
static struct {
    uint32_t addrs[256];
    size_t n;
    bool known; /* there are no others: a setup has looked, in this worker's life */
} left;

void jd_net_left_known(void)
{
    left.known = true;
}

static bool is_left(uint32_t addr)
{
    for (size_t i = 0; i < left.n; i++)
        if (left.addrs[i] == addr)
            return true;
    return false;
}

struct leases {
    const struct jd_net_lease *first;
    size_t n;
};

static bool ends_left(uint32_t from, uint32_t to, void *arg)
{
    const struct leases *l = arg;

    for (size_t i = 0; i < l->n; i++)
        if (l->first[i].addr == from || l->first[i].addr == to)
            return true;
    return is_left(from) || is_left(to);
}

static int forget(struct leases l, struct jl_err *e)
{
    int r = os_conntrack_forget(ends_left, &l, e);

    if (r == 0)
        left.n = 0;
    return r;
}

/* They get jobs now. */
static int forget_before(const struct jd_net_lease *leases, size_t n, struct jl_err *e)
{
    bool need = !left.known;

    for (size_t i = 0; i < n && !need; i++)
        need = is_left(leases[i].addr);
    return need ? forget((struct leases){ leases, n }, e) : 0;
}

static int leave(uint32_t addr, struct jl_err *e)
{
    int r = left.n < JL_COUNT(left.addrs) ? 0 : forget((struct leases){ NULL, 0 }, e);

    if (left.n < JL_COUNT(left.addrs))
        left.addrs[left.n++] = addr;
    else
        left.known = false; /* so each is looked for before it is used */
    return r;
}

/* ---- the requests */

static const struct jd_net_lease *leases_of(const void *in, size_t len, size_t *ret_n)
{
    *ret_n = len / sizeof(struct jd_net_lease);
    return in;
}

static int run_rules(bool add, const struct jd_net_lease *leases, size_t n, struct jl_err *e)
{
    _buf_ struct jl_buf rules = JL_BUF_INIT(1u << 20);
    int r = jd_net_rules_jobs(&rules, jd_net_place.instance, add, leases, n);

    if (r == 0)
        r = jl_buf_putc(&rules, '\0');
    return r < 0 ? jl_fail(e, -r, "write the network's rules") : os_nft_run(rules.data, e);
}

/* The pair goes with the namespace, which nobody holds any more, when the kernel finds time for it:
 * to remove it here would wait for that. Without its rule it passes nothing. */
static int release(const void *in, size_t len, const int *fds, size_t n_fds, struct jl_buf *out,
                   int *ret_fd, struct jl_err *e)
{
    size_t n;
    int r;
    const struct jd_net_lease *leases = leases_of(in, len, &n);

    (void) fds, (void) n_fds, (void) out, (void) ret_fd;
    for (size_t i = 0; i < n; i++)
        jd_net_drop_names(leases[i].addr);
    r = n > 0 ? run_rules(false, leases, n, e) : 0;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = leave(leases[i].addr, e);
    return r;
}

static int prepare(const void *in, size_t len, const int *fds, size_t n_fds, struct jl_buf *out,
                   int *ret_fd, struct jl_err *e)
{
    size_t n;
    const struct jd_net_lease *leases = leases_of(in, len, &n);
    _close_ int host = os_netlink_open(-1, e);
    struct jl_err ignored = JL_ERR_INIT;
    int r = host < 0 ? host : jd_net_allow_forwarding(e);

    if (r == 0)
        r = forget_before(leases, n, e);
    if (r == 0)
        r = run_rules(true, leases, n, e);
    for (size_t i = 0; r == 0 && i < n; i++) {
        jd_net_drop_names(leases[i].addr);
        r = make_namespaces(&leases[i], e);
        if (r == 0)
            r = make_pair(host, &leases[i], e);
    }
    if (r < 0)
        release(in, len, fds, n_fds, out, ret_fd, &ignored);
    return r;
}

static int started(const void *in, size_t len, const int *fds, size_t n_fds, struct jl_buf *out,
                   int *ret_fd, struct jl_err *e)
{
    const uint32_t *addrs = in;

    (void) fds, (void) n_fds, (void) out, (void) ret_fd, (void) e;
    for (size_t i = 0; i < len / sizeof *addrs; i++)
        jd_net_drop_names(addrs[i]);
    return 0;
}

static int limit_end(int sock, const char *device, uint64_t rate, struct jl_err *e)
{
    struct os_rtnl_link link;
    int r = rate == 0 ? 0 : os_rtnl_find(sock, device, &link, e);

    if (r < 0 || rate == 0)
        return r;
    r = os_rtnl_set_rate(sock, link.index, rate, e);
    return r == -ENOENT || r == -EOPNOTSUPP
               ? jl_hint(e, "this kernel has no tbf (modprobe sch_tbf); leave --net-rx and "
                            "--net-tx out")
               : r;
}

/* What the job receives leaves at the host's end, what it sends at its own. */
static int limit(const void *in, size_t len, const int *fds, size_t n_fds, struct jl_buf *out,
                 int *ret_fd, struct jl_err *e)
{
    const struct jd_net_limit *q = in;
    char device[JD_NETDEV_MAX], path[600];
    _close_ int host = os_netlink_open(-1, e), ns = -1, inside = -1;
    int r;

    (void) fds, (void) n_fds, (void) out, (void) ret_fd;
    if (host < 0 || len < sizeof *q)
        return host < 0 ? host : jl_refuse(e, EINVAL, "a short request");
    jd_net_device(jd_net_place.instance, &q->lease, device);
    r = limit_end(host, device, q->rx, e);
    if (r < 0 || q->tx == 0)
        return r;
    jd_net_ns_path(q->lease.addr, "net", path, sizeof path);
    ns = open(path, O_RDONLY | O_CLOEXEC);
    if (ns < 0)
        return jl_fail_sys(e, "open", path, "limit what the job sends");
    inside = os_netlink_open(ns, e);
    return inside < 0 ? inside : limit_end(inside, INSIDE, q->tx, e);
}

/* Whether others let the jobs' packets pass: firewalls come and change when they like. */
static int look(const void *in, size_t len, const int *fds, size_t n_fds, struct jl_buf *out,
                int *ret_fd, struct jl_err *e)
{
    const struct jd_net_def *nets = in;
    size_t n = len / sizeof *nets;
    _free_ char *warn = calloc(n + 1, JD_FIREWALL_WARN);
    char(*texts)[JD_FIREWALL_WARN] = (void *) warn;
    int r = warn ? jd_firewall_look(jd_net_place.instance, nets, n, texts, e)
                 : jl_fail(e, ENOMEM, "look at the host's firewall");

    (void) fds, (void) n_fds, (void) ret_fd;
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct jd_net_seen seen = { .bridge = "" };

        memcpy(seen.bridge, nets[i].bridge, sizeof seen.bridge);
        memcpy(seen.warn, texts[i], sizeof seen.warn);
        r = jl_buf_add(out, &seen, sizeof seen);
    }
    return r == -ENOMEM ? jl_fail(e, ENOMEM, "look at the host's firewall") : r;
}

const jd_work_fn jd_net_work[JD_NET_WORK_N] = {
    [JD_NET_WORK_SETUP] = jd_net_setup_work,
    [JD_NET_WORK_PREPARE] = prepare,
    [JD_NET_WORK_RELEASE] = release,
    [JD_NET_WORK_STARTED] = started,
    [JD_NET_WORK_LIMIT] = limit,
    [JD_NET_WORK_LOOK] = look,
};
