/*
 * netlink.h - network interfaces as the kernel's rtnetlink has them: looked up, and taken from one
 * network namespace to another with what they are (name, addresses, whether they are up).
 *
 * Each call waits for the kernel's answer, which is immediate. Privilege: CAP_NET_ADMIN in the user
 * namespaces that own both network namespaces. Sources: rtnetlink(7), netlink(7), linux/if_link.h,
 * linux/if_addr.h, RFC 3549 section 2.3.3.2.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct jl_err;

#define OS_NETDEV_NAME_MAX 15 /* bytes; IFNAMSIZ with its end */

/* An address that outlives a move: permanent, and valid everywhere. */
struct os_netaddr {
    uint8_t family, prefix;
    uint32_t flags, priority; /* IFA_F_*; of its route, 0: the kernel's choice */
    uint8_t len;              /* of the addresses: 4 or 16 */
    uint8_t local[16], peer[16], broadcast[4];
    bool has_local, has_peer, has_broadcast;
};

struct os_netdev {
    char name[OS_NETDEV_NAME_MAX + 1]; /* where it is now */
    int index;
    bool up;
    struct os_netaddr *addrs; /* own */
    size_t n_addrs;
};

/* Whether the kernel takes it as a name (dev_valid_name); with `template` it may end in "%d". */
bool os_netdev_name_valid(const char *name, bool template);

/* An rtnetlink socket of the namespace ns_fd; -1: of the current one. Enters it for a moment, so
 * single-threaded callers only. fd, or -errno with e filled. */
int os_netlink_open(int ns_fd, struct jl_err *e);

/* Reads what there is to know about the interface. ret->addrs is the caller's (os_netdev_clear). 0,
 * -ENODEV or another -errno with e filled. */
int os_netdev_read(int sock, const char *name, struct os_netdev *ret, struct jl_err *e);

/*
 * Moves d to the namespace to_ns (whose socket is `to`), names it (a name that ends in "%d" lets
 * the kernel choose a free number), gives it its addresses again, and brings it up if `up`. d is
 * updated. On failure the device is where d says: unmoved, or in the new namespace if *ret_moved.
 * 0, or -errno with e filled.
 */
int os_netdev_move(struct os_netdev *d, int from, int to, int to_ns, const char *name, bool up,
                   bool *ret_moved, struct jl_err *e);

void os_netdev_clear(struct os_netdev *d);
