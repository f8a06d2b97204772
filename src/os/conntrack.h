/*
 * conntrack.h - connections that the kernel's packet filter follows, through ctnetlink: those of the
 * current network namespace, IPv4 alone.
 *
 * Privilege: CAP_NET_ADMIN in the user namespace that owns it. Sources: linux/netfilter/nfnetlink.h,
 * linux/netfilter/nfnetlink_conntrack.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct jl_err;

/* Whether a connection is to be forgotten: who began it and who answers, behind any translation of
 * addresses, in host byte order. */
typedef bool (*os_conntrack_fn)(uint32_t from, uint32_t to, void *arg);

/* Forgets the connections that fn chooses: what comes for them later is the first of its kind. Looks
 * at the whole table: some milliseconds also when it is empty, half a second when it holds hundreds of
 * thousands. 0, or -errno with e filled: -EINVAL a kernel without ctnetlink. */
int os_conntrack_forget(os_conntrack_fn fn, void *arg, struct jl_err *e);
