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

struct batch {
    struct jd_core *core;
    char name[JD_NET_NAME_MAX + 1]; /* the network may be gone when the answer comes */
    size_t n;
    struct jd_net_lease leases[JD_NET_BATCH];
};

static void on_prepared(void *user, int r, const void *out, size_t len, int fd,
                        const struct jl_err *e)
{
    _free_ struct batch *b = user;
    struct jd_network *net = jd_nets_find(b->core, b->name);

    (void) out, (void) len;
    jl_close(fd);
    if (!net || net->doomed)
        return;
    net->n_coming = 0;
    if (r < 0) {
        jl_log_fail(e, "network.prepare", "network '%s'", b->name);
        for (size_t i = 0; i < b->n; i++)
            jd_places_give(&net->places, b->leases[i].addr);
        jd_nets_fail_waiting(net, e->text);
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
    struct batch *b = calloc(1, sizeof *b);
    int r;

    if (!b)
        return jl_fail(e, ENOMEM, "prepare a network");
    b->core = net->core;
    b->n = net->n_coming;
    memcpy(b->name, net->def.name, sizeof b->name);
    memcpy(b->leases, net->coming, sizeof b->leases);
    r = jd_nets_worker(net->core, e);
    if (r == 0)
        r = jd_worker_call(net->core->nets.worker, JD_NET_WORK_PREPARE, b->leases,
                           b->n * sizeof *b->leases, NULL, 0, on_prepared, b, e);
    if (r < 0)
        free(b);
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
        if (net->n_going == 0 && net->n_ready == 0) /* else one comes free in a moment */
            jd_nets_fail_waiting(net, e.text);
        return;
    }
    jl_err_clear(&e);
    if (ask_prepare(net, &e) == 0)
        return;
    for (size_t i = 0; i < net->n_coming; i++)
        jd_places_give(&net->places, net->coming[i].addr);
    net->n_coming = 0;
    jl_log_fail(&e, "network.prepare", "network '%s'", net->def.name);
    jd_nets_fail_waiting(net, e.text);
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
    _free_ struct batch *b = user;
    struct jd_core *c = b->core;

    (void) out, (void) len;
    jl_close(fd);
    if (r < 0)
        jl_log_fail(e, "network.release", "the next start removes what is left");
    c->nets.releasing = false;
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

static void release_some(struct jd_core *c)
{
    struct jl_err e = JL_ERR_INIT;
    struct batch *b = c->nets.n_going > 0 && !c->nets.releasing ? calloc(1, sizeof *b) : NULL;

    if (!b)
        return;
    b->core = c;
    b->n = c->nets.n_going < JD_NET_BATCH ? c->nets.n_going : JD_NET_BATCH;
    c->nets.n_going -= b->n;
    memcpy(b->leases, c->nets.going + c->nets.n_going, b->n * sizeof *b->leases);
    if (jd_nets_worker(c, &e) == 0 &&
        jd_worker_call(c->nets.worker, JD_NET_WORK_RELEASE, b->leases, b->n * sizeof *b->leases,
                       NULL, 0, on_released, b, &e) == 0) {
        c->nets.releasing = true;
        return;
    }
    jl_log_fail(&e, "network.release", "the next start removes what is left");
    free(b);
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
