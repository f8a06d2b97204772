/*
 * cgroup_limits.h - the limits of a control group, as callers fill them in; os_cgroup_apply in
 * cgroup.h sets them. Knows no OCI, but the numbers have the meaning that OCI gives them. All
 * strings and lists are borrowed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct os_cgroup_device_rate {
    unsigned major, minor;
    uint64_t rate; /* bytes or operations a second */
};

struct os_cgroup_device_weight {
    unsigned major, minor;
    uint16_t weight;
};

/*
 * One device rule, OCI form: type 'a', 'b', 'c'; major/minor -1 = any; access bits r=1 w=2 m=4. In
 * a list the last rule that names an access (each of r, w, m by itself) decides it; what none names
 * is denied, so an empty list denies all. A list with a rule that takes a device out of an earlier
 * wildcard is refused on v1, which can't express it. Apply device rules after the container's nodes
 * are made, or allow mknod.
 */
struct os_cgroup_device_rule {
    bool allow;
    char type;
    int64_t major, minor;
    unsigned access;
};

#define OS_CGROUP_DEVICE_RULES_MAX 512

/* The same as v1 can hold it: a default, and exceptions from it of type 'b' and 'c'. */
struct os_cgroup_device_list {
    bool allow; /* the default */
    size_t n;
    struct os_cgroup_device_rule exceptions[2 * OS_CGROUP_DEVICE_RULES_MAX];
};

struct os_cgroup_hugepage {
    const char *size; /* "2MB" */
    uint64_t limit;
};

struct os_cgroup_rdma {
    const char *device; /* "mlx5_1" */
    bool has_handles, has_objects;
    uint32_t handles, objects;
};

struct os_cgroup_net_prio {
    const char *interface; /* of the network namespace that the caller is in */
    uint32_t priority;
};

struct os_cgroup_raw {
    const char *file; /* v2 interface file name, no '/' */
    const char *value;
};

/* A limit that is not asked for has its has_ false (pointers NULL). -1 is "max" where OCI says so;
 * 0 is 0 (where an engine means "none" by 0, as Docker does for memory, the caller leaves it out).
 * What only v1 or only v2 has is refused on the other. */
struct os_cgroup_limits {
    bool has_memory, has_memory_swap, has_memory_reservation, has_swappiness, has_memory_high;
    bool has_oom_disable, oom_disable, oom_group;
    int64_t memory;             /* bytes; -1 unlimited */
    int64_t memory_swap;        /* memory + swap, bytes, OCI (v1) meaning; -1 unlimited. Where the
                                 * kernel does not count swap: accepted if the host has no swap */
    int64_t memory_reservation; /* bytes */
    int64_t memory_high;        /* bytes, v2 only */
    uint64_t swappiness;        /* 0 to 100, v1 only */

    bool has_cpu_shares, has_cpu_quota, has_cpu_period, has_cpu_burst, has_cpu_idle;
    uint64_t cpu_shares;     /* v1 scale, 2 to 262144; converted on v2 */
    int64_t cpu_quota;       /* us a period; -1 unlimited */
    uint64_t cpu_period;     /* us */
    uint64_t cpu_burst;      /* us */
    int64_t cpu_idle;        /* 0 or 1 */
    const char *cpuset_cpus; /* "0-3,6" or NULL */
    const char *cpuset_mems;

    bool has_pids;
    int64_t pids; /* -1 unlimited; 0 is 0: such a group can be joined but not born
                   * into (clone3 fails with EAGAIN) */

    bool has_io_weight;
    uint16_t io_weight; /* OCI blkio scale, 10 to 1000; felt on disks scheduled by bfq or iocost */
    const struct os_cgroup_device_weight *io_weight_device;
    size_t n_io_weight_device;
    const struct os_cgroup_device_rate *io_rbps, *io_wbps, *io_riops, *io_wiops;
    size_t n_io_rbps, n_io_wbps, n_io_riops, n_io_wiops;

    const struct os_cgroup_device_rule *devices; /* in order, last match wins; NULL: leave alone */
    size_t n_devices;

    const struct os_cgroup_hugepage *hugepages;
    size_t n_hugepages;
    const struct os_cgroup_rdma *rdma;
    size_t n_rdma;

    /* v1 only */
    bool has_rt_runtime, has_rt_period, has_kernel_memory, has_kernel_tcp, has_net_class;
    int64_t rt_runtime;                /* us a period; -1 unlimited */
    uint64_t rt_period;                /* us */
    int64_t kernel_memory, kernel_tcp; /* bytes; -1 unlimited; newer kernels have them no more */
    uint32_t net_class;                /* tc handle, 0xAAAABBBB */
    const struct os_cgroup_net_prio *net_prio;
    size_t n_net_prio;

    const struct os_cgroup_raw
        *unified; /* v2 files, verbatim; refused where there is no such file */
    size_t n_unified;
};
