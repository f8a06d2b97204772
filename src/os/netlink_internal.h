/*
 * netlink_internal.h - requests to the kernel by netlink: built, sent, answered. Shared by the files
 * that speak it (netlink.c, rtnl.c, conntrack.c). Sources: netlink(7), rtnetlink(7).
 */
#pragma once

#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stddef.h>

struct jl_err;

struct os_nl_request {
    struct nlmsghdr head;
    union {
        struct ifinfomsg link;
        struct ifaddrmsg addr;
        struct rtmsg route;
        struct ndmsg neigh;
        struct ndtmsg table;
        struct tcmsg tc;
        struct nfgenmsg nf;
    } u;
    char attrs[512];
};

typedef void (*os_nl_fn)(const struct nlmsghdr *msg, void *arg);

/* A request whose fixed part has `body` bytes; the attributes follow. */
struct os_nl_request os_nl_new(unsigned short type, size_t body, unsigned short flags);

/* Adds an attribute. */
void os_nl_put(struct os_nl_request *q, unsigned short type, const void *data, size_t len);

/* Opens an attribute that holds others; returns where, for os_nl_end. */
size_t os_nl_nest(struct os_nl_request *q, unsigned short type);
void os_nl_end(struct os_nl_request *q, size_t nest);

/* Sends and reads the answers until the last; fn (may be NULL) sees each. 0, or the kernel's -errno
 * with e (may be NULL) filled, to be wrapped by the caller. Waits for the kernel. */
int os_nl_talk(int sock, struct os_nl_request *q, os_nl_fn fn, void *arg, struct jl_err *e);
