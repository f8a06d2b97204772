/*
 * netprobe.h - whether this host can have networks, for `joblet --check`.
 */
#pragma once

#include <stddef.h>

struct jl_err;

/* Tries a bridge, a veth pair, rules with NAT and a rate in a network namespace of its own, which
 * goes with the process that tries. no_rate: "", or why rates can't be had. 0, or -errno with e
 * filled: what networks need is not there. Blocks for some milliseconds. Root. */
int jd_net_probe(char *no_rate, size_t size, struct jl_err *e);
