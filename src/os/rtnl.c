/* rtnl.c - see rtnl.h. */
#include "os/rtnl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "os/netlink_internal.h"

#define BURST_MIN 16384u /* a packet after segmentation offload is left to pass in parts */
#define LATENCY_MS 100u  /* what may wait in the queue of a rate */

size_t os_nl_nest(struct os_nl_request *q, unsigned short type)
{
    size_t at = NLMSG_ALIGN(q->head.nlmsg_len);

    os_nl_put(q, type, "", 0);
    return at;
}

void os_nl_end(struct os_nl_request *q, size_t nest)
{
    unsigned short len = (unsigned short) (q->head.nlmsg_len - nest);

    memcpy((char *) q + nest, &len, sizeof len); /* rta_len is the first member */
}

/* ---- reading */

struct link_arg {
    struct os_rtnl_link one;
    void (*fn)(const struct os_rtnl_link *l, void *arg);
    void *arg;
};

static void copy_text(char *to, size_t size, const struct rtattr *a)
{
    snprintf(to, size, "%.*s", (int) RTA_PAYLOAD(a), (const char *) RTA_DATA(a));
}

static void take_link(const struct nlmsghdr *msg, void *arg)
{
    const struct ifinfomsg *link = NLMSG_DATA(msg);
    struct link_arg *to = arg;
    size_t left;

    if (msg->nlmsg_type != RTM_NEWLINK || msg->nlmsg_len < NLMSG_LENGTH(sizeof *link))
        return;
    left = msg->nlmsg_len - NLMSG_LENGTH(sizeof *link);
    to->one = (struct os_rtnl_link){ .index = link->ifi_index };
    for (const struct rtattr *a = IFLA_RTA(link); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        if (a->rta_type == IFLA_IFNAME)
            copy_text(to->one.name, sizeof to->one.name, a);
        else if (a->rta_type == IFLA_IFALIAS)
            copy_text(to->one.alias, sizeof to->one.alias, a);
    }
    if (to->fn)
        to->fn(&to->one, to->arg);
}

int os_rtnl_find(int sock, const char *name, struct os_rtnl_link *ret, struct jl_err *e)
{
    struct os_nl_request q = os_nl_new(RTM_GETLINK, sizeof q.u.link, 0);
    struct link_arg to = { .fn = NULL };
    int r;

    os_nl_put(&q, IFLA_IFNAME, name, strlen(name) + 1);
    r = os_nl_talk(sock, &q, take_link, &to, e);
    if (r < 0)
        return e ? jl_wrap(e, "look at network device '%s'", name) : r;
    *ret = to.one;
    return 0;
}

int os_rtnl_links(int sock, void (*fn)(const struct os_rtnl_link *l, void *arg), void *arg,
                  struct jl_err *e)
{
    struct os_nl_request q = os_nl_new(RTM_GETLINK, sizeof q.u.link, NLM_F_DUMP);
    struct link_arg to = { .fn = fn, .arg = arg };

    return os_nl_talk(sock, &q, take_link, &to, e) < 0 ? jl_wrap(e, "list the network devices") : 0;
}

struct route_arg {
    void (*fn)(const struct os_rtnl_route *r, void *arg);
    void *arg;
};

static void take_route(const struct nlmsghdr *msg, void *arg)
{
    const struct rtmsg *m = NLMSG_DATA(msg);
    struct route_arg *to = arg;
    struct os_rtnl_route r = { 0 };
    uint32_t value, table;
    size_t left;

    if (msg->nlmsg_type != RTM_NEWROUTE || msg->nlmsg_len < NLMSG_LENGTH(sizeof *m))
        return;
    r.prefix = m->rtm_dst_len;
    table = m->rtm_table;
    left = msg->nlmsg_len - NLMSG_LENGTH(sizeof *m);
    for (const struct rtattr *a = RTM_RTA(m); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        if (RTA_PAYLOAD(a) < sizeof value)
            continue;
        memcpy(&value, RTA_DATA(a), sizeof value);
        if (a->rta_type == RTA_DST)
            r.base = ntohl(value);
        else if (a->rta_type == RTA_OIF)
            r.device = (int) value;
        else if (a->rta_type == RTA_TABLE)
            table = value;
    }
    if (table == RT_TABLE_MAIN && m->rtm_type == RTN_UNICAST)
        to->fn(&r, to->arg);
}

int os_rtnl_routes(int sock, void (*fn)(const struct os_rtnl_route *r, void *arg), void *arg,
                   struct jl_err *e)
{
    struct os_nl_request q = os_nl_new(RTM_GETROUTE, sizeof q.u.route, NLM_F_DUMP);
    struct route_arg to = { .fn = fn, .arg = arg };

    q.u.route.rtm_family = AF_INET;
    return os_nl_talk(sock, &q, take_route, &to, e) < 0 ? jl_wrap(e, "list the host's routes") : 0;
}

/* ---- making */

static size_t begin_kind(struct os_nl_request *q, const char *kind)
{
    size_t info = os_nl_nest(q, IFLA_LINKINFO);

    os_nl_put(q, IFLA_INFO_KIND, kind, strlen(kind));
    return info;
}

int os_rtnl_add_bridge(int sock, const char *name, const uint8_t mac[6], struct jl_err *e)
{
    struct os_nl_request q = os_nl_new(RTM_NEWLINK, sizeof q.u.link, NLM_F_CREATE | NLM_F_EXCL);
    const struct br_boolopt_multi no_learn = { .optval = 1u << BR_BOOLOPT_NO_LL_LEARN,
                                               .optmask = 1u << BR_BOOLOPT_NO_LL_LEARN };
    size_t info, data;

    os_nl_put(&q, IFLA_IFNAME, name, strlen(name) + 1);
    os_nl_put(&q, IFLA_ADDRESS, mac, 6);
    info = begin_kind(&q, "bridge");
    data = os_nl_nest(&q, IFLA_INFO_DATA);
    os_nl_put(&q, IFLA_BR_MULTI_BOOLOPT, &no_learn,
              sizeof no_learn); /* Linux < 5.0 passes it over */
    os_nl_end(&q, data);
    os_nl_end(&q, info);
    return os_nl_talk(sock, &q, NULL, NULL, e) < 0 ? jl_wrap(e, "make the bridge '%s'", name) : 0;
}

int os_rtnl_add_veth(int sock, const char *name, int master, const uint8_t own_mac[6],
                     const char *peer, const uint8_t mac[6], int peer_ns, struct jl_err *e)
{
    struct os_nl_request q = os_nl_new(RTM_NEWLINK, sizeof q.u.link, NLM_F_CREATE | NLM_F_EXCL);
    const struct ifinfomsg none = { 0 };
    uint32_t value = (uint32_t) master;
    size_t info, data, other;

    os_nl_put(&q, IFLA_IFNAME, name, strlen(name) + 1);
    if (master > 0)
        os_nl_put(&q, IFLA_MASTER, &value, sizeof value);
    else
        os_nl_put(&q, IFLA_ADDRESS, own_mac, 6);
    info = begin_kind(&q, "veth");
    data = os_nl_nest(&q, IFLA_INFO_DATA);
    other = NLMSG_ALIGN(q.head.nlmsg_len);
    os_nl_put(&q, VETH_INFO_PEER, &none, sizeof none); /* its attributes follow the struct */
    os_nl_put(&q, IFLA_IFNAME, peer, strlen(peer) + 1);
    os_nl_put(&q, IFLA_ADDRESS, mac, 6);
    value = (uint32_t) peer_ns;
    os_nl_put(&q, IFLA_NET_NS_FD, &value, sizeof value);
    os_nl_end(&q, other);
    os_nl_end(&q, data);
    os_nl_end(&q, info);
    return os_nl_talk(sock, &q, NULL, NULL, e) < 0 ? jl_wrap(e, "make the veth pair '%s'", name)
                                                   : 0;
}

int os_rtnl_set_alias(int sock, int index, const char *alias, struct jl_err *e)
{
    struct os_nl_request q = os_nl_new(RTM_SETLINK, sizeof q.u.link, 0);

    q.u.link.ifi_index = index;
    os_nl_put(&q, IFLA_IFALIAS, alias, strnlen(alias, OS_RTNL_ALIAS_MAX));
    return os_nl_talk(sock, &q, NULL, NULL, e) < 0 ? jl_wrap(e, "mark a network device") : 0;
}

int os_rtnl_set_up(int sock, int index, struct jl_err *e)
{
    struct os_nl_request q = os_nl_new(RTM_SETLINK, sizeof q.u.link, 0);

    q.u.link.ifi_index = index;
    q.u.link.ifi_flags = q.u.link.ifi_change = IFF_UP;
    return os_nl_talk(sock, &q, NULL, NULL, e) < 0 ? jl_wrap(e, "bring a network device up") : 0;
}

int os_rtnl_add_address(int sock, int index, uint32_t addr, uint8_t prefix, struct jl_err *e)
{
    struct os_nl_request q = os_nl_new(RTM_NEWADDR, sizeof q.u.addr, NLM_F_CREATE | NLM_F_REPLACE);
    uint32_t local = htonl(addr), broadcast = htonl(addr | (uint32_t) (0xffffffffULL >> prefix));

    q.u.addr.ifa_family = AF_INET;
    q.u.addr.ifa_prefixlen = prefix;
    q.u.addr.ifa_index = (uint32_t) index;
    q.u.addr.ifa_scope = RT_SCOPE_UNIVERSE;
    os_nl_put(&q, IFA_LOCAL, &local, sizeof local);
    os_nl_put(&q, IFA_ADDRESS, &local, sizeof local);
    if (prefix < 31)
        os_nl_put(&q, IFA_BROADCAST, &broadcast, sizeof broadcast);
    return os_nl_talk(sock, &q, NULL, NULL, e) < 0 ? jl_wrap(e, "give a network device its address")
                                                   : 0;
}

int os_rtnl_add_link_route(int sock, int index, uint32_t addr, struct jl_err *e)
{
    struct os_nl_request q =
        os_nl_new(RTM_NEWROUTE, sizeof q.u.route, NLM_F_CREATE | NLM_F_REPLACE);
    uint32_t to = htonl(addr), device = (uint32_t) index;

    q.u.route.rtm_family = AF_INET;
    q.u.route.rtm_dst_len = 32;
    q.u.route.rtm_table = RT_TABLE_MAIN;
    q.u.route.rtm_protocol = RTPROT_STATIC;
    q.u.route.rtm_scope = RT_SCOPE_LINK;
    q.u.route.rtm_type = RTN_UNICAST;
    os_nl_put(&q, RTA_DST, &to, sizeof to);
    os_nl_put(&q, RTA_OIF, &device, sizeof device);
    return os_nl_talk(sock, &q, NULL, NULL, e) < 0 ? jl_wrap(e, "set the route to the gateway") : 0;
}

int os_rtnl_add_default_route(int sock, uint32_t gateway, struct jl_err *e)
{
    struct os_nl_request q =
        os_nl_new(RTM_NEWROUTE, sizeof q.u.route, NLM_F_CREATE | NLM_F_REPLACE);
    uint32_t via = htonl(gateway);

    q.u.route.rtm_family = AF_INET;
    q.u.route.rtm_table = RT_TABLE_MAIN;
    q.u.route.rtm_protocol = RTPROT_STATIC;
    q.u.route.rtm_scope = RT_SCOPE_UNIVERSE;
    q.u.route.rtm_type = RTN_UNICAST;
    os_nl_put(&q, RTA_GATEWAY, &via, sizeof via);
    return os_nl_talk(sock, &q, NULL, NULL, e) < 0 ? jl_wrap(e, "set the default route") : 0;
}

int os_rtnl_add_neighbour(int sock, int index, uint32_t addr, const uint8_t mac[6],
                          struct jl_err *e)
{
    struct os_nl_request q =
        os_nl_new(RTM_NEWNEIGH, sizeof q.u.neigh, NLM_F_CREATE | NLM_F_REPLACE);
    uint32_t who = htonl(addr);

    q.u.neigh.ndm_family = AF_INET;
    q.u.neigh.ndm_ifindex = index;
    q.u.neigh.ndm_state = NUD_PERMANENT;
    os_nl_put(&q, NDA_DST, &who, sizeof who);
    os_nl_put(&q, NDA_LLADDR, mac, 6);
    return os_nl_talk(sock, &q, NULL, NULL, e) < 0 ? jl_wrap(e, "name a neighbour") : 0;
}

int os_rtnl_ask_nobody(int sock, int index, struct jl_err *e)
{
    struct os_nl_request q = os_nl_new(RTM_SETNEIGHTBL, sizeof q.u.table, 0);
    uint32_t device = (uint32_t) index, none = 0;
    size_t parms;

    q.u.table.ndtm_family = AF_INET;
    os_nl_put(&q, NDTA_NAME, "arp_cache", sizeof "arp_cache");
    parms = os_nl_nest(&q, NDTA_PARMS);
    os_nl_put(&q, NDTPA_IFINDEX, &device, sizeof device);
    os_nl_put(&q, NDTPA_MCAST_PROBES, &none, sizeof none);
    os_nl_end(&q, parms);
    return os_nl_talk(sock, &q, NULL, NULL, e) < 0 ? jl_wrap(e, "keep neighbours from being made")
                                                   : 0;
}

int os_rtnl_del_neighbour(int sock, int index, uint32_t addr, struct jl_err *e)
{
    struct os_nl_request q = os_nl_new(RTM_DELNEIGH, sizeof q.u.neigh, 0);
    uint32_t who = htonl(addr);
    int r;

    q.u.neigh.ndm_family = AF_INET;
    q.u.neigh.ndm_ifindex = index;
    os_nl_put(&q, NDA_DST, &who, sizeof who);
    r = os_nl_talk(sock, &q, NULL, NULL, e);
    if (r == -ENOENT)
        jl_err_clear(e);
    return r == -ENOENT || r == 0 ? 0 : jl_wrap(e, "forget a neighbour");
}

int os_rtnl_del_link(int sock, int index, struct jl_err *e)
{
    struct os_nl_request q = os_nl_new(RTM_DELLINK, sizeof q.u.link, 0);

    q.u.link.ifi_index = index;
    return os_nl_talk(sock, &q, NULL, NULL, e) < 0 ? jl_wrap(e, "remove a network device") : 0;
}

/* The kernel counts a bucket in ticks of 64 ns for the time that it takes at the rate. */
static uint32_t bucket_ticks(uint64_t bytes, uint64_t rate)
{
    uint64_t ticks = bytes * (1000000000ULL >> 6) / rate;

    return ticks > UINT32_MAX ? UINT32_MAX : (uint32_t) ticks;
}

int os_rtnl_set_rate(int sock, int index, uint64_t rate, struct jl_err *e)
{
    struct os_nl_request q = os_nl_new(RTM_NEWQDISC, sizeof q.u.tc, NLM_F_CREATE | NLM_F_REPLACE);
    uint64_t burst = rate / 50, limit;
    struct tc_tbf_qopt o = { 0 };
    uint32_t burst32;
    size_t nest;

    burst = burst < BURST_MIN ? BURST_MIN : burst > (64u << 20) ? (64u << 20) : burst;
    limit = burst + rate * LATENCY_MS / 1000;
    o.limit = limit > (256u << 20) ? (256u << 20) : (uint32_t) limit;
    o.rate.rate = rate > UINT32_MAX ? UINT32_MAX : (uint32_t) rate;
    o.rate.linklayer = TC_LINKLAYER_ETHERNET;
    o.buffer = bucket_ticks(burst, rate);
    burst32 = (uint32_t) burst;
    q.u.tc.tcm_family = AF_UNSPEC;
    q.u.tc.tcm_ifindex = index;
    q.u.tc.tcm_parent = TC_H_ROOT;
    q.u.tc.tcm_handle = 0x10000;
    os_nl_put(&q, TCA_KIND, "tbf", 4);
    nest = os_nl_nest(&q, TCA_OPTIONS);
    os_nl_put(&q, TCA_TBF_PARMS, &o, sizeof o);
    os_nl_put(&q, TCA_TBF_BURST, &burst32, sizeof burst32);
    if (rate > UINT32_MAX)
        os_nl_put(&q, TCA_TBF_RATE64, &rate, sizeof rate);
    os_nl_end(&q, nest);
    return os_nl_talk(sock, &q, NULL, NULL, e) < 0
               ? jl_wrap(e, "limit a network device to %llu bytes a second",
                         (unsigned long long) rate)
               : 0;
}
