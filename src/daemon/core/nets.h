/*
 * nets.h - the networks of jobs as core sees them: which there are, who has which address, and a pool
 * of network namespaces made ready before a job needs one. The kernel's side is done by a worker
 * (network.h); nothing is touched on the host before the first network is needed.
 *
 * A lease is a place in a network with its namespaces (and the range of host ids that owns them). A
 * job takes one from the pool, which is filled again when there is time; with an empty pool it waits
 * for one to be made. The lease goes back when the job has ended, and its address once the worker
 * has removed what was made. The record holds the address, so a restart knows who has it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/loop.h"
#include "daemon/core/cidr.h"
#include "daemon/core/network.h"

struct jd_core;
struct jd_job;
struct jd_record;
struct jd_bundle_in;
struct jl_err;

#define JD_NET_POOL_DEFAULT 6 /* leases kept ready of the default network */
#define JD_NET_POOL_OTHER 2   /* ... of another one that has been used */
#define JD_NET_READY_MAX 16
#define JD_NETS_MAX 128 /* whose jd_net_told fit into one answer of the worker */

struct jd_network {
    struct jd_net_def def;
    bool builtin; /* by us or by the configuration; the others can be removed */
    bool doomed;  /* RemoveNetwork is under way */
    bool fresh;   /* CreateNetwork is: not on disk yet, and no job may have it */
    bool used;    /* a job has asked for it */
    bool known;   /* the worker has set it up, or said why not */
    struct jd_net_told told;
    struct jd_places places;
    struct jd_net_lease ready[JD_NET_READY_MAX], coming[JD_NET_BATCH];
    size_t n_ready, n_coming, n_going;
    struct jd_net_batch *preparing; /* with the worker; NULL: none */
    unsigned n_waiting;             /* jobs with net_waits */
    size_t at;                      /* in the setup under way, from 1; 0: not in it */
    bool names_stale;               /* its hosts file */
    bool has_resolv;                /* its resolv.conf is written */
    struct jd_core *core;
    struct jd_network *next;
};

/* A stored network that does not fit what the configuration has now: no job gets it, but it can be
 * listed and removed. */
struct jd_net_misfit {
    char name[JD_NET_NAME_MAX + 1], cidr[JD_CIDR_TEXT], bridge[JD_NETDEV_MAX], why[JD_NET_WHY];
    struct jd_net_misfit *next;
};

enum jd_nets_state { JD_NETS_IDLE, JD_NETS_COMING, JD_NETS_UP };

struct jd_nets {
    struct jd_network *first; /* built-in ones first */
    struct jd_net_misfit *misfits;
    unsigned n, n_custom;
    enum jd_nets_state state;
    bool again;               /* the list changed while a setup was under way */
    struct jd_worker *worker; /* NULL: not made yet */
    uint32_t dns[JD_NET_DNS_MAX],
        host_dns[JD_NET_DNS_MAX]; /* whom jobs ask, and whom the host does */
    size_t n_dns, n_host_dns;
    struct jd_net_lease *going; /* to be released by the next request; own */
    size_t n_going, room_going;
    uint32_t begun[64]; /* addresses whose jobs run: names not needed any more */
    size_t n_begun;
    struct jd_net_batch *releasing; /* with the worker; NULL: none */
    struct jl_timer tidy, names, serve, look;
    uint64_t tidy_due_ns;          /* 0: not armed */
    uint64_t taken_ns;             /* when a job took a lease that was ready, the last time */
    uint64_t looked_ns;            /* at other firewalls, the last time; 0: not yet */
    struct jd_net_waiter *waiters; /* for the next setup's end */
};

/* Reads configuration and store; takes up the leases of running jobs. After the jobs are loaded. 0,
 * or -errno with e filled: the configuration is wrong. */
int jd_nets_init(struct jd_core *c, struct jl_err *e);
/* The daemon ends: what no running job needs is removed. May block for some milliseconds. */
void jd_nets_done(struct jd_core *c);

struct jd_network *jd_nets_find(const struct jd_core *c, const char *name);
struct jd_net_misfit *jd_nets_find_misfit(const struct jd_core *c, const char *name);
void jd_nets_remove_misfit(struct jd_core *c, const char *name); /* its row is gone */

/* Whether a job may have this network at all. may_host: its client may ask for `host`. 0; -ENOENT no
 * such network, -EPERM, -EBUSY it can't be had on this host. */
int jd_nets_check(struct jd_core *c, const char *name, bool may_host, struct jl_err *e);
/* Whether a job that starts now finds an address. 0, or -ENOSPC with e filled. */
int jd_nets_check_room(struct jd_core *c, const char *name, struct jl_err *e);
/* Fills address and host ids of a record from the pool: true. False: none is ready. */
bool jd_nets_take_ready(struct jd_core *c, struct jd_record *rec);
/* Before the bundle: 1 the job has its lease or needs none; 0 it waits for one and is started when
 * it has come; -errno with e filled. */
int jd_nets_take(struct jd_job *j, struct jl_err *e);
/* Sets the job's rates; it is started when they are. 0, or -errno with e filled. */
int jd_nets_limit(struct jd_job *j, struct jl_err *e);
/* The job holds its namespaces itself from now on. */
void jd_nets_begun(struct jd_job *j);
/* The job has ended, or will not start: its lease goes back. More than once is fine. */
void jd_nets_ended(struct jd_job *j);
/* A record that was not stored gives its lease back. */
void jd_nets_give_back(struct jd_core *c, const struct jd_record *rec);
/* Whether a lease of the pool owns these host ids. */
bool jd_nets_has_ids(const struct jd_core *c, uint32_t base);

/* With networks switched off, what is left of them is removed. Else: other firewalls of the host are
 * looked at, or in a moment if that was just done. What one stands in the way of is told, in the log
 * and as the network's problem, and when it does no more. */
void jd_nets_look(struct jd_core *c);

/* What the bundle needs to know. Borrowed strings live as long as `hold`. */
struct jd_net_bundle {
    char net_ns[600], user_ns[600], etc[700];
    char resolv[4096]; /* contents of resolv.conf */
    char own_hosts[256];
};
int jd_nets_bundle(struct jd_job *j, struct jd_net_bundle *hold, struct jd_bundle_in *in,
                   struct jl_err *e);

/* ---- within nets*.c */

/* Tells when a setup with the list as it is now has been done. The first failure is in why of the
 * networks; r < 0 when the worker could do nothing at all. */
typedef void (*jd_nets_done_fn)(void *arg, int r, const struct jl_err *e);
int jd_nets_setup(struct jd_core *c, jd_nets_done_fn fn, void *arg, struct jl_err *e);
struct jd_network *jd_nets_add(struct jd_core *c, const char *name, const char *cidr,
                               const char *bridge, bool builtin, struct jl_err *e);
void jd_nets_remove(struct jd_core *c, struct jd_network *net);
/* Makes leases for who waits and for the pool. */
void jd_nets_kick(struct jd_network *net);
/* A lease has been taken from the pool, which is filled again: in the quiet after the job's start, or
 * at once when there are many jobs. */
void jd_nets_fill_later(const struct jd_network *net);
#define JD_NETS_TIDY_NS (20 * JL_NS_PER_MS)
#define JD_NETS_START_NS                                                                           \
    (15 * JL_NS_PER_MS) /* a job that took a lease has begun by then, most often */
void jd_nets_tidy_later(struct jd_core *c, uint64_t in_ns);
/* A lease goes back. */
void jd_nets_go(struct jd_core *c, struct jd_network *net, uint32_t addr, uint32_t ids);
/* The network goes, and its addresses may be another's next: nothing more is asked or heard of its
 * leases. A setup removes what there is of them, after what the worker was asked before it. */
void jd_nets_forget_leases(struct jd_network *net);
/* Starts jobs that wait with what is ready. */
void jd_nets_serve(struct jd_core *c);
int jd_nets_refuse_full(const struct jd_network *net, struct jl_err *e);
void jd_nets_fail_waiting(struct jd_network *net, const struct jl_err *why);
void jd_nets_lease_of(const struct jd_network *net, uint32_t addr, uint32_t host_id_base,
                      struct jd_net_lease *ret);
int jd_nets_worker(struct jd_core *c, struct jl_err *e);
/* The names of a network's jobs have changed. */
void jd_nets_names_changed(struct jd_network *net);
int jd_nets_write_names(struct jd_network *net, struct jl_err *e);
/* The files of a network that has gone. */
void jd_nets_drop_names(const struct jd_core *c, const char *name);
void jd_nets_read_dns(struct jd_core *c);
