/*
 * rtnl.h - network interfaces made, joined and removed through the kernel's rtnetlink: bridges, veth
 * pairs, IPv4 addresses and routes, rates. The same sockets as netlink.h's (os_netlink_open).
 *
 * Each call waits for the kernel, which may hold its network lock for long while namespaces are torn
 * down. IPv4 addresses are in host byte order. Privilege: CAP_NET_ADMIN in the user namespace that
 * owns the socket's network namespace. 0, or -errno with e filled, unless said otherwise. Sources:
 * rtnetlink(7), linux/if_link.h, linux/veth.h, linux/pkt_sched.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct jl_err;

#define OS_RTNL_ALIAS_MAX 255

struct os_rtnl_link {
    int index;
    char name[16];
    char alias[OS_RTNL_ALIAS_MAX + 1];
};

struct os_rtnl_route {
    uint32_t base;
    uint8_t prefix;
    int device; /* index; 0: none of its own */
};

/* The link of that name; -ENODEV without one (e may be NULL). */
int os_rtnl_find(int sock, const char *name, struct os_rtnl_link *ret, struct jl_err *e);

/* fn sees all links, or all IPv4 routes of the main table; it must not talk over the same socket. */
int os_rtnl_links(int sock, void (*fn)(const struct os_rtnl_link *l, void *arg), void *arg,
                  struct jl_err *e);
int os_rtnl_routes(int sock, void (*fn)(const struct os_rtnl_route *r, void *arg), void *arg,
                   struct jl_err *e);

/* A bridge that learns nothing from link-local frames (01:80:c2:00:00:0X), which no filter sees. */
int os_rtnl_add_bridge(int sock, const char *name, const uint8_t mac[6], struct jl_err *e);

/* A pair: `name` here, below the bridge `master` (0: none) or with the hardware address own_mac,
 * `peer` with `mac` in the namespace peer_ns. Both are down. */
int os_rtnl_add_veth(int sock, const char *name, int master, const uint8_t own_mac[6],
                     const char *peer, const uint8_t mac[6], int peer_ns, struct jl_err *e);

int os_rtnl_set_alias(int sock, int index, const char *alias, struct jl_err *e);
int os_rtnl_set_up(int sock, int index, struct jl_err *e);
int os_rtnl_add_address(int sock, int index, uint32_t addr, uint8_t prefix, struct jl_err *e);
/* addr is on the link; all else is behind it. */
int os_rtnl_add_link_route(int sock, int index, uint32_t addr, struct jl_err *e);
int os_rtnl_add_default_route(int sock, uint32_t gateway, struct jl_err *e);
/* A neighbour for good: nobody is asked for it, and it doesn't count against the kernel's table. */
int os_rtnl_add_neighbour(int sock, int index, uint32_t addr, const uint8_t mac[6],
                          struct jl_err *e);
/* On this interface no IPv4 neighbour is asked for: who is not known is unreachable at once. */
int os_rtnl_ask_nobody(int sock, int index, struct jl_err *e);
/* What the host remembers of this neighbour, with the packets that wait for its answer. None is fine. */
int os_rtnl_del_neighbour(int sock, int index, uint32_t addr, struct jl_err *e);
int os_rtnl_del_link(int sock, int index, struct jl_err *e);

/* What leaves through the interface is held to `rate` bytes a second (tbf), in place of what was
 * set before. -ENOENT or -EOPNOTSUPP: the kernel has no tbf. */
int os_rtnl_set_rate(int sock, int index, uint64_t rate, struct jl_err *e);
