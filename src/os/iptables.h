/*
 * iptables.h - the filter table of iptables-legacy, which nftables knows nothing of, as the kernel has
 * it: whether it forwards by default, and which devices its rules name. IPv4, of the current network
 * namespace. Source: linux/netfilter_ipv4/ip_tables.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct jl_err;

/* A device that a rule names with -i or -o. */
struct os_iptables_device {
    char name[16];
    bool prefix; /* "name+" */
};

struct os_iptables_filter {
    bool forward_drops; /* the policy of FORWARD */
    struct os_iptables_device *devices;
    size_t n_devices;
};

/* 1, with *ret, which os_iptables_done frees; 0 there is no such table, and none is made by asking;
 * -errno with e filled. Blocks for nothing. Privilege: CAP_NET_ADMIN. */
int os_iptables_filter(struct os_iptables_filter *ret, struct jl_err *e);

/* The same of what the kernel hands out: `forward_policy` is where in it FORWARD's last rule begins.
 * For os_iptables_filter and its tests. 0, -EINVAL, -ENOMEM; *ret is to be freed in any case. */
int os_iptables_parse(const void *entries, size_t len, size_t forward_policy,
                      struct os_iptables_filter *ret);

void os_iptables_done(struct os_iptables_filter *f);
