/*
 * netrules.h - networks as what the kernel's packet filter has to hold: the text of nft(8) that
 * makes our tables, and that adds and removes a job. Pure. docs/networks.md explains each rule.
 *
 * Devices are named by what they are: jv + instance + address is the host's end of a job's veth on a
 * bridge, ji + instance + address that of an isolated job. An address says all, so what a core that
 * died has left is found by name.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/cidr.h"

struct jl_buf;

#define JD_NET_NAME_MAX 63
#define JD_NET_INSTANCE 6 /* five hex digits of the prefix's hash */
#define JD_NETDEV_MAX 16
#define JD_NET_PORTS 10000      /* of the host's, that connections of jobs leave from */
#define JD_NET_CONNECTIONS 2000 /* that one job has open to the outside at once */

/* One network, as the worker gets it. */
struct jd_net_def {
    char name[JD_NET_NAME_MAX + 1];
    char bridge[JD_NETDEV_MAX]; /* "" isolated */
    struct jd_cidr cidr;
    bool
        refused; /* its addresses are somebody's already: no more of them are its own than jobs have */
};

/* One job's place in one. */
struct jd_net_lease {
    uint32_t addr, gateway;
    uint8_t prefix;
    bool isolated;
    char bridge[JD_NETDEV_MAX];
    uint32_t host_id_base; /* of the user namespace that owns its network namespace; 0: none */
};

/* The host's end of the pair. Returns buf. */
char *jd_net_device(const char *instance, const struct jd_net_lease *l, char buf[JD_NETDEV_MAX]);
/* The other way round: false when the name is none of this instance's. */
bool jd_net_device_parse(const char *instance, const char *name, uint32_t *ret_addr);
/* The hardware address inside, made of the IPv4 address: the same address is the same station. */
void jd_net_mac(uint32_t addr, uint8_t ret[6]);

/* All there is to know. Borrowed. */
struct jd_net_all {
    const char *instance;
    const struct jd_net_def *nets;
    size_t n_nets;
    const struct jd_net_lease *leases;
    size_t n_leases;
    const uint32_t
        *dns; /* servers that jobs may ask even if they are the host; then the host's own */
    size_t n_dns, n_host_dns;
    unsigned first_port; /* of JD_NET_PORTS */
};

/* Both tables, in place of what they were, with these jobs in them. 0 or -ENOMEM. */
int jd_net_rules(struct jl_buf *out, const struct jd_net_all *a);
/* The first of JD_NET_PORTS ports outside of those that the host itself sends from (low to high), or
 * 20000 where these leave no room. */
unsigned jd_net_first_port(unsigned low, unsigned high);
/* Jobs that come (add) or go. 0 or -ENOMEM. */
int jd_net_rules_jobs(struct jl_buf *out, const char *instance, bool add,
                      const struct jd_net_lease *leases, size_t n);
/* No tables. 0 or -ENOMEM. */
int jd_net_rules_none(struct jl_buf *out, const char *instance);
