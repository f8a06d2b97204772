/* netlease.c - the part of nets.h about jobs: which may have a lease, has one, waits for one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/core/bundle.h"
#include "daemon/core/core.h"
#include "daemon/core/nets.h"
#include "daemon/core/shimlink.h"
#include "daemon/core/worker.h"

static struct jd_network *net_of(const struct jd_core *c, const char *name)
{
    return c->conf.network_enabled ? jd_nets_find(c, name) : NULL;
}

void jd_nets_lease_of(const struct jd_network *net, uint32_t addr, uint32_t host_id_base,
                      struct jd_net_lease *ret)
{
    bool isolated = net->places.block != 1;

    *ret = (struct jd_net_lease){ .addr = addr,
                                  .gateway = jd_places_gateway(&net->places, addr),
                                  .prefix = isolated ? 30 : net->def.cidr.prefix,
                                  .isolated = isolated,
                                  .host_id_base = host_id_base };
    memcpy(ret->bridge, net->def.bridge, sizeof ret->bridge);
}

bool jd_nets_has_ids(const struct jd_core *c, uint32_t base)
{
    for (const struct jd_network *n = c->nets.first; n; n = n->next) {
        for (size_t i = 0; i < n->n_ready; i++)
            if (n->ready[i].host_id_base == base)
                return true;
        for (size_t i = 0; i < n->n_coming; i++)
            if (n->coming[i].host_id_base == base)
                return true;
    }
    return false;
}

int jd_nets_check(struct jd_core *c, const char *name, bool may_host, struct jl_err *e)
{
    struct jd_network *net = net_of(c, name);
    const struct jd_net_misfit *misfit = jd_nets_find_misfit(c, name);

    if (strcmp(name, "none") == 0)
        return 0;
    if (strcmp(name, "host") == 0) {
        if (!c->conf.network_allow_host)
            return jl_refuse(e, EPERM,
                             "network 'host' is not allowed on this server "
                             "(network.allow_host_network)");
        return may_host
                   ? 0
                   : jl_refuse(e, EPERM, "network 'host' is for the roles maintainer and admin");
    }
    if (!c->conf.network_enabled)
        return jl_refuse(e, EBUSY,
                         "networks are off on this server (network.enabled); use "
                         "--network=none");
    if (!net && misfit)
        return jl_refuse(e, EBUSY, "network '%s' can't be had: %s", name, misfit->why);
    if (!net || net->doomed || net->fresh)
        return jl_refuse(e, ENOENT, "network not found: %s", name);
    if (net->told.why[0] && net->known)
        return jl_refuse(e, EBUSY, "network '%s' can't be had: %s", name, net->told.why);
    return 0;
}

int jd_nets_refuse_full(const struct jd_network *net, struct jl_err *e)
{
    return jl_refuse(e, ENOSPC, "network '%s' has no free address: %u jobs are on it",
                     net->def.name, net->places.n);
}

int jd_nets_check_room(struct jd_core *c, const char *name, struct jl_err *e)
{
    const struct jd_network *net = net_of(c, name);

    if (!net || !jd_places_full(&net->places) ||
        net->n_ready + net->n_coming + net->n_going > net->n_waiting)
        return 0;
    return jd_nets_refuse_full(net, e);
}

/* ---- from the worker to the jobs */

static int finish_lease(struct jd_job *j, const struct jd_net_lease *l)
{
    char ip[JD_IP_TEXT];

    j->rec.host_id_base = l->host_id_base;
    j->lease_unstored = true;
    return jd_record_set(&j->rec.address, jd_ip_text(l->addr, ip));
}

/* The oldest that waits for this network. */
static struct jd_job *next_waiting(const struct jd_network *net)
{
    struct jd_job *j = net->n_waiting > 0 ? net->core->jobs.first : NULL;

    while (j && !(j->net_waits && strcmp(j->rec.network, net->def.name) == 0))
        j = j->next;
    return j;
}

void jd_nets_fail_waiting(struct jd_network *net, const struct jl_err *why)
{
    struct jd_job *j;

    while ((j = next_waiting(net))) {
        j->net_waits = false;
        net->n_waiting--;
        jd_job_start_failed(j, why);
    }
}

static void serve_one(struct jd_network *net)
{
    struct jd_job *j = net->n_ready > 0 ? next_waiting(net) : NULL;
    struct jl_err e = JL_ERR_INIT;

    if (!j)
        return;
    j->net_waits = false;
    net->n_waiting--;
    if (finish_lease(j, &net->ready[--net->n_ready]) < 0) {
        jl_fail(&e, ENOMEM, "take an address");
        jd_job_start_failed(j, &e);
    } else {
        jd_job_start(j);
    }
    jd_nets_kick(net);
}

/* One job a network and turn of the loop: a start takes its time, and others want to be heard. */
static int on_serve(struct jl_timer *t)
{
    struct jd_core *c = JL_CONTAINER(t, struct jd_core, nets.serve);
    bool more = false;

    for (struct jd_network *n = c->nets.first; n; n = n->next) {
        serve_one(n);
        more = more || (n->n_ready > 0 && n->n_waiting > 0);
    }
    if (more)
        jl_loop_arm(c->loop, t, jl_now_ns(), on_serve);
    return 0;
}

void jd_nets_serve(struct jd_core *c)
{
    jl_loop_arm(c->loop, &c->nets.serve, jl_now_ns(), on_serve);
}

/* ---- jobs */

bool jd_nets_take_ready(struct jd_core *c, struct jd_record *rec)
{
    struct jd_network *net = net_of(c, rec->network);
    char ip[JD_IP_TEXT];
    const struct jd_net_lease *l;

    if (!net || net->n_ready == 0 || net->n_waiting > 0)
        return false;
    l = &net->ready[net->n_ready - 1];
    if (jd_record_set(&rec->address, jd_ip_text(l->addr, ip)) < 0)
        return false;
    rec->host_id_base = l->host_id_base;
    net->n_ready--;
    net->used = true;
    jd_nets_fill_later(net);
    return true;
}

int jd_nets_take(struct jd_job *j, struct jl_err *e)
{
    struct jd_core *c = j->core;
    struct jd_network *net = net_of(c, j->rec.network);

    if (j->rec.address[0] || strcmp(j->rec.network, "none") == 0 ||
        strcmp(j->rec.network, "host") == 0)
        return 1;
    if (!net)
        return jl_refuse(e, ENOENT, "network not found: %s", j->rec.network);
    if (net->n_ready > 0 && net->n_waiting == 0) {
        int r = finish_lease(j, &net->ready[--net->n_ready]);

        jd_nets_fill_later(net);
        return r < 0 ? jl_fail(e, ENOMEM, "take an address") : 1;
    }
    net->used = true;
    j->net_waits = true;
    net->n_waiting++;
    if (net->known && !net->told.why[0]) {
        jd_nets_kick(net);
        return 0;
    }
    if (c->nets.state != JD_NETS_COMING && jd_nets_setup(c, NULL, NULL, e) < 0) {
        j->net_waits = false;
        net->n_waiting--;
        return -e->code;
    }
    return 0;
}

struct limiting {
    struct jd_core *core;
    char id[40]; /* the job may be gone when the answer comes */
};

static void on_limited(void *user, int r, const void *out, size_t len, int fd,
                       const struct jl_err *e)
{
    _free_ struct limiting *l = user;
    struct jd_job *j = l->core->jobs.first;
    struct jl_err why = JL_ERR_INIT;

    (void) out, (void) len;
    jl_close(fd);
    while (j && strcmp(j->rec.id, l->id) != 0)
        j = j->next;
    if (!j || !j->rate_waits)
        return;
    j->rate_waits = false;
    j->rate_set = true;
    if (r == 0) {
        jd_job_start(j);
        return;
    }
    jl_refuse(&why, e->code, "%.300s%s%.150s", e->text, e->hint[0] ? "; fix: " : "", e->hint);
    jd_job_start_failed(j, &why);
}

int jd_nets_limit(struct jd_job *j, struct jl_err *e)
{
    struct jd_network *net = net_of(j->core, j->rec.network);
    struct jd_net_limit q = { .rx = (uint64_t) j->req->net_rx_bps,
                              .tx = (uint64_t) j->req->net_tx_bps };
    struct limiting *l;
    uint32_t addr;
    int r;

    if (!net || jd_ip_parse(j->rec.address, &addr) < 0)
        return jl_refuse(e, EINVAL, "a network rate needs a network of the job's own");
    jd_nets_lease_of(net, addr, j->rec.host_id_base, &q.lease);
    l = calloc(1, sizeof *l);
    if (!l)
        return jl_fail(e, ENOMEM, "limit the job's network");
    l->core = j->core;
    memcpy(l->id, j->rec.id, sizeof l->id);
    r = jd_nets_worker(j->core, e);
    if (r == 0)
        r = jd_worker_call(j->core->nets.worker, JD_NET_WORK_LIMIT, &q, sizeof q, NULL, 0,
                           on_limited, l, e);
    if (r < 0)
        free(l);
    j->rate_waits = r == 0;
    return r;
}

void jd_nets_give_back(struct jd_core *c, const struct jd_record *rec)
{
    struct jd_network *net = net_of(c, rec->network);
    uint32_t addr;

    if (net && jd_ip_parse(rec->address, &addr) == 0)
        jd_nets_go(c, net, addr, rec->host_id_base);
}

void jd_nets_begun(struct jd_job *j)
{
    struct jd_core *c = j->core;
    uint32_t addr;

    if (!j->rec.address[0] || jd_ip_parse(j->rec.address, &addr) < 0)
        return;
    if (c->nets.n_begun < JL_COUNT(c->nets.begun)) /* else at its end */
        c->nets.begun[c->nets.n_begun++] = addr;
    jd_nets_tidy_later(c, JD_NETS_TIDY_NS);
}

void jd_nets_ended(struct jd_job *j)
{
    struct jd_network *net = net_of(j->core, j->rec.network);

    j->rate_waits = false;
    if (!net)
        return;
    if (j->net_waits) {
        j->net_waits = false;
        net->n_waiting--;
    }
    if (j->rec.address[0]) {
        jd_nets_give_back(j->core, &j->rec);
        jd_nets_names_changed(net);
    }
}
