/*
 * netsetup.h - the part of network.h that brings everything into the wanted state at once; and what
 * the two share. All in the network worker; may block.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct jl_buf;
struct jl_err;

/* JD_NET_WORK_SETUP; see worker.h for what a jd_work_fn is. */
int jd_net_setup_work(const void *in, size_t len, const int *fds, size_t n_fds, struct jl_buf *out,
                      int *ret_fd, struct jl_err *e);

/* net.ipv4.ip_forward=1, if somebody has set it to another value. 0, or -errno with e filled. */
int jd_net_allow_forwarding(struct jl_err *e);
/* The connections that the kernel knows are of jobs that run, but for those that end from now on. */
void jd_net_left_known(void);
void jd_net_drop_names(uint32_t addr);
void jd_net_no_ipv6(const char *device);
