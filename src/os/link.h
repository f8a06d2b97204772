/*
 * link.h - network interfaces. Source: netdevice(7).
 */
#pragma once

struct jl_err;

/* Brings the loopback interface of the current network namespace up. Needs CAP_NET_ADMIN there.
 * 0, or -errno with e filled. */
int os_link_loopback_up(struct jl_err *e);
