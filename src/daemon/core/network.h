/*
 * network.h - what the network worker (worker.h) does: namespaces, devices, rules. Requests are the
 * structs below; everything can be repeated, and what was made is found again by its name.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/netfirewall.h"
#include "daemon/core/netrules.h"
#include "daemon/core/worker.h"

#define JD_NET_WHY 320
#define JD_NET_DNS_MAX 8
#define JD_NET_BATCH 8 /* leases prepared by one request */

/* Where this instance works; the same for its whole life, so set before the worker is made. */
struct jd_net_place {
    char instance[JD_NET_INSTANCE]; /* five hex digits */
    char ns_dir[512];               /* names of namespaces that no process holds yet */
    char alias[256];                /* marks bridges as ours */
};
extern struct jd_net_place jd_net_place;

enum {
    JD_NET_WORK_SETUP, /* jd_net_setup, nets[], leases[], dns[], host_dns[] -> a jd_net_told a net */
    JD_NET_WORK_PREPARE, /* leases[]: all or none */
    JD_NET_WORK_RELEASE, /* leases[] */
    JD_NET_WORK_STARTED, /* addresses[]: their jobs hold their namespaces themselves now */
    JD_NET_WORK_LIMIT,   /* jd_net_limit */
    JD_NET_WORK_LOOK,    /* nets[] -> a jd_net_seen a net */
    JD_NET_WORK_N,
};
extern const jd_work_fn jd_net_work[JD_NET_WORK_N];

/* Everything as these say: bridges, rules; what else bears our names is removed. */
struct jd_net_setup {
    uint32_t n_nets, n_leases, n_dns, n_host_dns;
    bool end; /* the daemon ends: with no leases nothing is to be left */
};

/* What there is to say of a network; "": nothing. */
struct jd_net_told {
    char why[JD_NET_WHY];        /* it can't be had */
    char warn[JD_FIREWALL_WARN]; /* it is there, but something stands in its way */
};

/* The same of a network that is there, seen later. */
struct jd_net_seen {
    char bridge[JD_NETDEV_MAX]; /* which one it is */
    char warn[JD_FIREWALL_WARN];
};

/* Bytes a second; 0: no limit. Before the job starts. */
struct jd_net_limit {
    struct jd_net_lease lease;
    uint64_t rx, tx;
};

/* The file that names a namespace ("net", "user") of the lease. Returns buf. */
char *jd_net_ns_path(uint32_t addr, const char *kind, char *buf, size_t size);
