/*
 * netlink.c - see netlink.h.
 *
 * A move may change both name and number of an interface: a number that is taken there, a name with
 * "%d". So it goes by a name that nobody has, under which it is found again, and gets the name that
 * it shall have there.
 */
#include "os/netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "os/netlink_internal.h"

#define ANSWER_MAX (32 * 1024)
#define ADDRS_MAX 1024

/* What of an address's flags says how it is used, and not how it is doing. */
#define KEPT_FLAGS (IFA_F_NODAD | IFA_F_HOMEADDRESS | IFA_F_MANAGETEMPADDR | IFA_F_NOPREFIXROUTE)

void os_nl_put(struct os_nl_request *q, unsigned short type, const void *data, size_t len)
{
    size_t at = NLMSG_ALIGN(q->head.nlmsg_len), size = RTA_LENGTH(len);
    struct rtattr a = { .rta_type = type, .rta_len = (unsigned short) size };

    if (at + RTA_ALIGN(size) > sizeof *q)
        return; /* cannot be: the attributes are few and small */
    memcpy((char *) q + at, &a, sizeof a);
    memcpy((char *) q + at + RTA_LENGTH(0), data, len);
    q->head.nlmsg_len = (uint32_t) (at + RTA_ALIGN(size));
}

struct os_nl_request os_nl_new(unsigned short type, size_t body, unsigned short flags)
{
    return (struct os_nl_request){ .head = { .nlmsg_type = type,
                                             .nlmsg_len = (uint32_t) NLMSG_LENGTH(body),
                                             .nlmsg_flags =
                                                 (unsigned short) (NLM_F_REQUEST | flags) } };
}

/* The kernel's own sentence, which comes with NETLINK_EXT_ACK behind the error. */
static void add_kernel_words(const struct nlmsghdr *msg, struct jl_err *e)
{
    const struct nlmsgerr *err = NLMSG_DATA(msg);
    size_t used = sizeof *err, left;
    const struct rtattr *a;

    if (!(msg->nlmsg_flags & NLM_F_ACK_TLVS))
        return;
    if (!(msg->nlmsg_flags & NLM_F_CAPPED))
        used += err->msg.nlmsg_len - sizeof err->msg;
    if (NLMSG_LENGTH(used) >= msg->nlmsg_len)
        return;
    left = msg->nlmsg_len - NLMSG_LENGTH(used);
    a = (const struct rtattr *) ((const char *) err + NLMSG_ALIGN(used));
    for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
        if (a->rta_type == NLMSGERR_ATTR_MSG)
            jl_hint(e, "the kernel says: %.*s", (int) RTA_PAYLOAD(a), (const char *) RTA_DATA(a));
}

/* 0, or the kernel's -errno with e (may be NULL) filled, to be wrapped by the caller. */
static int take_error(const struct nlmsghdr *msg, struct jl_err *e)
{
    int r = ((const struct nlmsgerr *) NLMSG_DATA(msg))->error;

    if (r != 0 && e) {
        jl_refuse(e, -r, "%s", strerror(-r));
        add_kernel_words(msg, e);
    }
    return r;
}

static int fail_talk(int code, struct jl_err *e)
{
    return e ? jl_refuse(e, code, "netlink: %s", strerror(code)) : -code;
}

/* Sends and reads the answers until the last. Returns as take_error does. */
int os_nl_talk(int sock, struct os_nl_request *q, os_nl_fn fn, void *arg, struct jl_err *e)
{
    static uint32_t seq;
    bool dump = (q->head.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
    _free_ char *buf = malloc(ANSWER_MAX);

    if (!buf)
        return fail_talk(ENOMEM, e);
    q->head.nlmsg_seq = ++seq;
    if (!dump)
        q->head.nlmsg_flags |= NLM_F_ACK;
    if (send(sock, q, q->head.nlmsg_len, 0) < 0)
        return fail_talk(errno, e);
    for (;;) {
        ssize_t n = recv(sock, buf, ANSWER_MAX, MSG_TRUNC);
        const struct nlmsghdr *msg = (const struct nlmsghdr *) buf;
        size_t left = (size_t) n;

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || left > ANSWER_MAX)
            return fail_talk(n < 0 ? errno : EMSGSIZE, e);
        for (; NLMSG_OK(msg, left); msg = NLMSG_NEXT(msg, left)) {
            if (msg->nlmsg_seq != seq)
                continue;
            if (msg->nlmsg_type == NLMSG_DONE)
                return 0;
            if (msg->nlmsg_type == NLMSG_ERROR)
                return take_error(msg, e);
            if (fn)
                fn(msg, arg);
        }
    }
}

bool os_netdev_name_valid(const char *name, bool template)
{
    size_t len = strlen(name);

    if (template && len > 2 && strcmp(name + len - 2, "%d") == 0)
        len -= 2;
    if (len == 0 || strlen(name) > OS_NETDEV_NAME_MAX || strcmp(name, ".") == 0 ||
        strcmp(name, "..") == 0)
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char) name[i] <= ' ' || strchr("/:%\x7f", name[i]))
            return false;
    return true;
}

int os_netlink_open(int ns_fd, struct jl_err *e)
{
    _close_ int own = -1;
    _close_ int sock = -1;
    int yes = 1, error;

    if (ns_fd >= 0) {
        own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        if (own < 0)
            return jl_fail_sys(e, "open", "/proc/self/ns/net", "open the own network namespace");
        if (setns(ns_fd, CLONE_NEWNET) < 0)
            return jl_fail_sys(e, "setns", NULL, "look into the network namespace");
    }
    sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    error = errno;
    if (ns_fd >= 0 && setns(own, CLONE_NEWNET) < 0)
        return jl_fail_sys(e, "setns", NULL, "come back from the network namespace");
    if (sock < 0)
        return jl_fail(e, error, "open a netlink socket");
    setsockopt(sock, SOL_NETLINK, NETLINK_EXT_ACK, &yes, sizeof yes);
    setsockopt(sock, SOL_NETLINK, NETLINK_CAP_ACK, &yes, sizeof yes);
    return jl_take_fd(&sock);
}

static void take_link(const struct nlmsghdr *msg, void *arg)
{
    const struct ifinfomsg *link = NLMSG_DATA(msg);
    struct os_netdev *d = arg;
    size_t left = msg->nlmsg_len - NLMSG_LENGTH(sizeof *link);

    if (msg->nlmsg_type != RTM_NEWLINK || msg->nlmsg_len < NLMSG_LENGTH(sizeof *link))
        return;
    d->index = link->ifi_index;
    d->up = link->ifi_flags & IFF_UP;
    for (const struct rtattr *a = IFLA_RTA(link); RTA_OK(a, left); a = RTA_NEXT(a, left))
        if (a->rta_type == IFLA_IFNAME && RTA_PAYLOAD(a) <= sizeof d->name)
            snprintf(d->name, sizeof d->name, "%s", (const char *) RTA_DATA(a));
}

/* By name, or by d->index when name is NULL. */
static int read_link(int sock, const char *name, struct os_netdev *d, struct jl_err *e)
{
    struct os_nl_request q = os_nl_new(RTM_GETLINK, sizeof q.u.link, 0);

    if (name)
        os_nl_put(&q, IFLA_IFNAME, name, strlen(name) + 1);
    else
        q.u.link.ifi_index = d->index;
    return os_nl_talk(sock, &q, take_link, d, e);
}

static uint32_t u32_of(const struct rtattr *a)
{
    uint32_t value;

    memcpy(&value, RTA_DATA(a), sizeof value);
    return value;
}

static void take_attr(struct os_netaddr *to, const struct rtattr *a)
{
    size_t len = RTA_PAYLOAD(a);

    if (a->rta_type == IFA_LOCAL && len == to->len) {
        memcpy(to->local, RTA_DATA(a), len);
        to->has_local = true;
    } else if (a->rta_type == IFA_ADDRESS && len == to->len) {
        memcpy(to->peer, RTA_DATA(a), len);
        to->has_peer = true;
    } else if (a->rta_type == IFA_BROADCAST && len == sizeof to->broadcast) {
        memcpy(to->broadcast, RTA_DATA(a), len);
        to->has_broadcast = true;
    } else if (a->rta_type == IFA_FLAGS && len == sizeof to->flags) {
        to->flags = u32_of(a);
    } else if (a->rta_type == IFA_RT_PRIORITY && len == sizeof to->priority) {
        to->priority = u32_of(a);
    }
}

static void take_addr(const struct nlmsghdr *msg, void *arg)
{
    const struct ifaddrmsg *addr = NLMSG_DATA(msg);
    struct os_netdev *d = arg;
    struct os_netaddr to = { 0 }, *more;
    size_t left = msg->nlmsg_len - NLMSG_LENGTH(sizeof *addr);

    if (msg->nlmsg_type != RTM_NEWADDR || msg->nlmsg_len < NLMSG_LENGTH(sizeof *addr) ||
        (int) addr->ifa_index != d->index || addr->ifa_scope != RT_SCOPE_UNIVERSE)
        return;
    to.family = addr->ifa_family;
    to.prefix = addr->ifa_prefixlen;
    to.flags = addr->ifa_flags;
    to.len = addr->ifa_family == AF_INET ? 4 : addr->ifa_family == AF_INET6 ? 16 : 0;
    for (const struct rtattr *a = IFA_RTA(addr); RTA_OK(a, left); a = RTA_NEXT(a, left))
        take_attr(&to, a);
    if (to.len == 0 || !(to.flags & IFA_F_PERMANENT) || d->n_addrs >= ADDRS_MAX)
        return;
    more = realloc(d->addrs, (d->n_addrs + 1) * sizeof *more);
    if (!more)
        return; /* told by the count: os_netdev_read */
    d->addrs = more;
    d->addrs[d->n_addrs++] = to;
}

int os_netdev_read(int sock, const char *name, struct os_netdev *ret, struct jl_err *e)
{
    struct os_nl_request q = os_nl_new(RTM_GETADDR, sizeof q.u.addr, NLM_F_DUMP);
    int r;

    *ret = (struct os_netdev){ 0 };
    r = read_link(sock, name, ret, e);
    if (r == -ENODEV)
        return jl_refuse(e, ENODEV, "there is no network device '%s' here", name);
    if (r == 0)
        r = os_nl_talk(sock, &q, take_addr, ret, e);
    return r < 0 ? jl_wrap(e, "look at network device '%s'", name) : 0;
}

static int set_name(int sock, int index, const char *name, struct jl_err *e)
{
    struct os_nl_request q = os_nl_new(RTM_SETLINK, sizeof q.u.link, 0);

    q.u.link.ifi_index = index;
    os_nl_put(&q, IFLA_IFNAME, name, strlen(name) + 1);
    return os_nl_talk(sock, &q, NULL, NULL, e);
}

static int set_up(int sock, int index, struct jl_err *e)
{
    struct os_nl_request q = os_nl_new(RTM_SETLINK, sizeof q.u.link, 0);

    q.u.link.ifi_index = index;
    q.u.link.ifi_flags = q.u.link.ifi_change = IFF_UP;
    return os_nl_talk(sock, &q, NULL, NULL, e);
}

static int add_addr(int sock, int index, const struct os_netaddr *addr, struct jl_err *e)
{
    struct os_nl_request q = os_nl_new(RTM_NEWADDR, sizeof q.u.addr, NLM_F_CREATE | NLM_F_REPLACE);
    uint32_t flags = addr->flags & KEPT_FLAGS;

    q.u.addr.ifa_family = addr->family;
    q.u.addr.ifa_prefixlen = addr->prefix;
    q.u.addr.ifa_index = (uint32_t) index;
    q.u.addr.ifa_scope = RT_SCOPE_UNIVERSE;
    if (addr->has_local)
        os_nl_put(&q, IFA_LOCAL, addr->local, addr->len);
    if (addr->has_peer)
        os_nl_put(&q, IFA_ADDRESS, addr->peer, addr->len);
    if (addr->has_broadcast)
        os_nl_put(&q, IFA_BROADCAST, addr->broadcast, sizeof addr->broadcast);
    if (addr->priority != 0)
        os_nl_put(&q, IFA_RT_PRIORITY, &addr->priority, sizeof addr->priority);
    os_nl_put(&q, IFA_FLAGS, &flags, sizeof flags);
    return os_nl_talk(sock, &q, NULL, NULL, e);
}

/* In one message, as the kernel names what it moves. */
static int change_namespace(int sock, int index, int ns_fd, const char *name, struct jl_err *e)
{
    struct os_nl_request q = os_nl_new(RTM_SETLINK, sizeof q.u.link, 0);
    uint32_t fd = (uint32_t) ns_fd;

    q.u.link.ifi_index = index;
    os_nl_put(&q, IFLA_NET_NS_FD, &fd, sizeof fd);
    os_nl_put(&q, IFLA_IFNAME, name, strlen(name) + 1);
    return os_nl_talk(sock, &q, NULL, NULL, e);
}

/* In the new namespace, under the name of the journey: becomes what it was. */
static int settle(struct os_netdev *d, int sock, const char *name, bool up, struct jl_err *e)
{
    int r = set_name(sock, d->index, name, e);

    if (r == 0)
        r = read_link(sock, NULL, d, e);
    if (r < 0)
        return jl_wrap(e, "name the network device '%s'", name);
    for (size_t i = 0; i < d->n_addrs; i++) {
        r = add_addr(sock, d->index, &d->addrs[i], e);
        if (r < 0 && r != -EEXIST)
            return jl_wrap(e, "give network device '%s' its address again", name);
    }
    r = up ? set_up(sock, d->index, e) : 0;
    return r < 0 ? jl_wrap(e, "bring network device '%s' up", name) : 0;
}

int os_netdev_move(struct os_netdev *d, int from, int to, int to_ns, const char *name, bool up,
                   bool *ret_moved, struct jl_err *e)
{
    struct os_netdev there = { 0 };
    char journey[OS_NETDEV_NAME_MAX + 1];
    uint64_t number;
    int r;

    *ret_moved = false;
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        return jl_fail_sys(e, "getrandom", NULL, "move network device '%s'", d->name);
    snprintf(journey, sizeof journey, "jl%012llx",
             (unsigned long long) (number & 0xffffffffffffULL));
    if (!strchr(name, '%') && read_link(to, name, &there, NULL) == 0)
        return jl_refuse(e, EEXIST, "the network namespace has a device '%s' already", name);
    r = change_namespace(from, d->index, to_ns, journey, e);
    if (r < 0) {
        jl_wrap(e, "move network device '%s'", d->name);
        return r == -EPERM ? jl_hint(e, "this needs CAP_NET_ADMIN on the host") : r;
    }
    r = read_link(to, journey, &there, e);
    if (r < 0)
        return jl_wrap(e, "find network device '%s' after its move", d->name);
    *ret_moved = true;
    d->index = there.index;
    return settle(d, to, name, up, e);
}

void os_netdev_clear(struct os_netdev *d)
{
    free(d->addrs);
    *d = (struct os_netdev){ 0 };
}
