/*
 * netpool.c - the part of nets.h about leases that nobody has: those that are made ready, and those
 * that go back to the kernel.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/core/core.h"
#include "daemon/core/nets.h"
#include "daemon/core/worker.h"

#define RELEASE_AGAIN_NS JL_NS_PER_S /* the worker can't be asked */

struct jd_net_batch {
    struct jd_core *core;
    struct jd_network *net; /* prepared for it; NULL: it has gone, or they are released */
    size_t n;
    struct jd_net_lease leases[JD_NET_BATCH];
};

static void on_prepared(void *user, int r, const void *out, size_t len, int fd,
                        const struct jl_err *e)
{
    _free_ struct jd_net_batch *b = user;
    struct jd_network *net = b->net;

    (void) out, (void) len;
    jl_close(fd);
    if (!net)
        return;
    net->preparing = NULL;
    if (net->doomed)
        return;
    net->n_coming = 0;
    if (r < 0) {
        jl_log_fail(e, "network.prepare", "network '%s'", net->def.name);
        for (size_t i = 0; i < b->n; i++)
            jd_places_give(&net->places, b->leases[i].addr);
        jd_nets_fail_waiting(net, e);
        return;
    }
    memcpy(net->ready + net->n_ready, b->leases, b->n * sizeof *b->leases);
    net->n_ready += b->n;
    jd_nets_kick(net); /* the next ones are made while these jobs start */
    if (net->n_waiting > 0)
        jd_nets_serve(net->core);
}

static size_t pool_of(const struct jd_network *net)
{
    if (strcmp(net->def.name, net->core->conf.network_default) == 0)
        return JD_NET_POOL_DEFAULT;
    return net->used ? JD_NET_POOL_OTHER : 0;
}

static size_t wanted(const struct jd_network *net)
{
    size_t n = net->n_waiting + pool_of(net);

    if (net->core->ending || net->doomed)
        return 0;
    n = n > net->n_ready ? n - net->n_ready : 0;
    if (n > JD_NET_BATCH)
        n = JD_NET_BATCH;
    return n > JD_NET_READY_MAX - net->n_ready ? JD_NET_READY_MAX - net->n_ready : n;
}

/* One more lease on its way. -ENOSPC: no address or no host ids. */
static int add_coming(struct jd_network *net, struct jl_err *e)
{
    struct jd_core *c = net->core;
    uint32_t addr, ids = 0;
    int r = jd_places_take(&net->places, &addr);

    if (r < 0)
        return r == -ENOSPC ? jd_nets_refuse_full(net, e) : jl_fail(e, -r, "take an address");
    if (c->userns && (ids = jd_jobs_host_ids(c, e)) == 0) {
        jd_places_give(&net->places, addr);
        return -e->code;
    }
    jd_nets_lease_of(net, addr, ids, &net->coming[net->n_coming++]);
    return 0;
}

static int ask_prepare(struct jd_network *net, struct jl_err *e)
{
    struct jd_net_batch *b = calloc(1, sizeof *b);
    int r;

    if (!b)
        return jl_fail(e, ENOMEM, "prepare a network");
    b->core = net->core;
    b->net = net;
    b->n = net->n_coming;
    memcpy(b->leases, net->coming, sizeof b->leases);
    r = jd_nets_worker(net->core, e);
    if (r == 0)
        r = jd_worker_call(net->core->nets.worker, JD_NET_WORK_PREPARE, b->leases,
                           b->n * sizeof *b->leases, NULL, 0, on_prepared, b, e);
    if (r < 0)
        free(b);
    else
        net->preparing = b;
    return r;
}

void jd_nets_kick(struct jd_network *net)
{
    struct jl_err e = JL_ERR_INIT;
    size_t n = wanted(net);
    int r = 0;

    if (net->n_coming > 0 || !net->known || net->told.why[0] || n == 0)
        return;
    while (r == 0 && net->n_coming < n)
        r = add_coming(net, &e);
    if (net->n_coming == 0) {
        if (net->n_going > 0 || net->n_ready > 0)
            return;             /* one comes free in a moment */
        e.code = EADDRNOTAVAIL; /* the network is too small for its jobs: that does not pass */
        jd_nets_fail_waiting(net, &e);
        return;
    }
    jl_err_clear(&e);
    if (ask_prepare(net, &e) == 0)
        return;
    for (size_t i = 0; i < net->n_coming; i++)
        jd_places_give(&net->places, net->coming[i].addr);
    net->n_coming = 0;
    jl_log_fail(&e, "network.prepare", "network '%s'", net->def.name);
    jd_nets_fail_waiting(net, &e);
}

/* ---- what goes back, and the pool's filling, when there is time */

static int on_tidy(struct jl_timer *t);

void jd_nets_tidy_later(struct jd_core *c, uint64_t in_ns)
{
    uint64_t due = jl_now_ns() + in_ns;

    if (c->nets.tidy_due_ns != 0 && c->nets.tidy_due_ns <= due)
        return; /* soon enough */
    c->nets.tidy_due_ns = due;
    jl_loop_arm(c->loop, &c->nets.tidy, due, on_tidy);
}

static void on_released(void *user, int r, const void *out, size_t len, int fd,
                        const struct jl_err *e)
{
    _free_ struct jd_net_batch *b = user;
    struct jd_core *c = b->core;

    (void) out, (void) len;
    jl_close(fd);
    if (r < 0)
        jl_log_fail(e, "network.release", "the next start removes what is left");
    c->nets.releasing = NULL;
    for (size_t i = 0; i < b->n; i++)
        for (struct jd_network *n = c->nets.first; n; n = n->next)
            if (jd_cidr_has(&n->def.cidr, b->leases[i].addr)) {
                jd_places_give(&n->places, b->leases[i].addr);
                n->n_going--;
                jd_nets_kick(n);
                break;
            }
    if (c->nets.n_going > 0)
        jd_nets_tidy_later(c, 0);
}

/* They stay on the list until the worker has been asked. */
static void release_some(struct jd_core *c)
{
    struct jl_err e = JL_ERR_INIT;
    struct jd_net_batch *b;
    int r;

    if (c->nets.n_going == 0 || c->nets.releasing)
        return;
    b = calloc(1, sizeof *b);
    r = b ? jd_nets_worker(c, &e) : jl_fail(&e, ENOMEM, "release addresses");
    if (r == 0) {
        b->core = c;
        b->n = c->nets.n_going < JD_NET_BATCH ? c->nets.n_going : JD_NET_BATCH;
        memcpy(b->leases, c->nets.going + c->nets.n_going - b->n, b->n * sizeof *b->leases);
        r = jd_worker_call(c->nets.worker, JD_NET_WORK_RELEASE, b->leases, b->n * sizeof *b->leases,
                           NULL, 0, on_released, b, &e);
    }
    if (r == 0) {
        c->nets.n_going -= b->n;
        c->nets.releasing = b;
        return;
    }
    jl_log_fail(&e, "network.release", "tried again in a second");
    free(b);
    jd_nets_tidy_later(c, RELEASE_AGAIN_NS);
}

static void on_started(void *user, int r, const void *out, size_t len, int fd,
                       const struct jl_err *e)
{
    (void) user, (void) r, (void) out, (void) len, (void) e;
    jl_close(fd);
}

static bool is_urgent(const struct jd_core *c)
{
    bool yes = c->nets.n_going >= JD_NET_BATCH;

    for (const struct jd_network *n = c->nets.first; n && !yes; n = n->next)
        yes = n->n_waiting > 0 || jd_places_full(&n->places) || (n->n_ready == 0 && pool_of(n) > 0);
    return yes;
}

/* A job that is starting needs the processor more than those that may come. */
static bool postpone(struct jd_core *c)
{
    uint64_t begun = c->nets.taken_ns + JD_NETS_START_NS, now = jl_now_ns();

    if (begun <= now || is_urgent(c))
        return false;
    jd_nets_tidy_later(c, begun - now);
    return true;
}

static int on_tidy(struct jl_timer *t)
{
    struct jd_core *c = JL_CONTAINER(t, struct jd_core, nets.tidy);
    struct jl_err ignored = JL_ERR_INIT;

    c->nets.tidy_due_ns = 0;
    if (postpone(c))
        return 0;
    if (c->nets.n_begun > 0 && c->nets.worker)
        jd_worker_call(c->nets.worker, JD_NET_WORK_STARTED, c->nets.begun,
                       c->nets.n_begun * sizeof *c->nets.begun, NULL, 0, on_started, NULL,
                       &ignored);
    c->nets.n_begun = 0;
    release_some(c);
    for (struct jd_network *n = c->nets.first; n; n = n->next)
        jd_nets_kick(n);
    jd_nets_look(c);
    return 0;
}

void jd_nets_fill_later(const struct jd_network *net)
{
    net->core->nets.taken_ns = jl_now_ns();
    jd_nets_tidy_later(net->core, net->n_ready * 2 >= pool_of(net) ? JD_NETS_TIDY_NS : 0);
}

void jd_nets_go(struct jd_core *c, struct jd_network *net, uint32_t addr, uint32_t ids)
{
    struct jd_nets *n = &c->nets;

    if (!jd_places_has(&net->places, addr))
        return;
    if (n->n_going == n->room_going) {
        size_t room = n->room_going * 2 + 16;
        struct jd_net_lease *more = realloc(n->going, room * sizeof *more);

        if (!more) { /* the next start removes it */
            jl_log_warn("network.release", "out of memory");
            return;
        }
        n->going = more;
        n->room_going = room;
    }
    jd_nets_lease_of(net, addr, ids, &n->going[n->n_going++]);
    net->n_going++;
    /* another job may begin right now, and needs the processor more */
    jd_nets_tidy_later(
        c, jd_places_full(&net->places) || n->n_going >= JD_NET_BATCH ? 0 : JD_NETS_TIDY_NS);
}

/* Leaves those of other networks. */
static size_t without(const struct jd_network *net, struct jd_net_lease *leases, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        if (!jd_cidr_has(&net->def.cidr, leases[i].addr))
            leases[kept++] = leases[i];
    return kept;
}

void jd_nets_forget_leases(struct jd_network *net)
{
    struct jd_nets *n = &net->core->nets;
    size_t kept = 0;

    if (net->preparing)
        net->preparing->net = NULL;
    if (n->releasing)
        n->releasing->n = without(net, n->releasing->leases, n->releasing->n);
    n->n_going = without(net, n->going, n->n_going);
    for (size_t i = 0; i < n->n_begun; i++)
        if (!jd_cidr_has(&net->def.cidr, n->begun[i]))
            n->begun[kept++] = n->begun[i];
    n->n_begun = kept;
}
