/*
 * netfirewall.h - other firewalls of the host. A packet of a job has to pass all of them, and one that
 * drops by default what it does not know (Docker's does) makes a network useless without a word: so
 * it is found, and told with what helps.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/core/netrules.h"

struct jl_err;

#define JD_FIREWALL_WARN 384

struct jd_firewall {
    char family[16], table[64], chain[64];
};

/* The next chain in what `nft list chains` prints that drops forwarded IPv4 packets by default and is
 * none of joblet's. *at is moved on, and ret is where it is: left as it is between the calls. Pure.
 * False: there is none. */
bool jd_firewall_next(const char **at, struct jd_firewall *ret);

/* Looks for such chains that do not name the networks' devices. warn: one a network, "" when nothing
 * stands in its way, as far as that can be seen: iptables-legacy's filter table is looked at too,
 * rules that drop one by one are not. Asks the kernel for its rules. Privilege: CAP_NET_ADMIN. 0, or -errno with e filled. */
int jd_firewall_look(const char *instance, const struct jd_net_def *nets, size_t n,
                     char (*warn)[JD_FIREWALL_WARN], struct jl_err *e);
