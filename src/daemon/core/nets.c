/* nets.c - see nets.h: the list of networks, and bringing the host into line with it. */
#include "daemon/core/nets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "daemon/core/core.h"
#include "daemon/core/worker.h"

#define LOOK_AGAIN_NS (10 * JL_NS_PER_S) /* at other firewalls, while jobs come */

struct jd_net_waiter {
    jd_nets_done_fn fn;
    void *arg;
    bool asked; /* the setup under way holds what it waits for */
    struct jd_net_waiter *next;
};

struct jd_network *jd_nets_find(const struct jd_core *c, const char *name)
{
    struct jd_network *n = c->nets.first;

    while (n && strcmp(n->def.name, name) != 0)
        n = n->next;
    return n;
}

struct jd_net_misfit *jd_nets_find_misfit(const struct jd_core *c, const char *name)
{
    struct jd_net_misfit *m = c->nets.misfits;

    while (m && strcmp(m->name, name) != 0)
        m = m->next;
    return m;
}

void jd_nets_remove_misfit(struct jd_core *c, const char *name)
{
    for (struct jd_net_misfit **at = &c->nets.misfits; *at; at = &(*at)->next)
        if (strcmp((*at)->name, name) == 0) {
            struct jd_net_misfit *m = *at;

            *at = m->next;
            free(m);
            return;
        }
}

/* "joblet-NAME", cut with a hash to what a device's name may have. */
static void bridge_name(const char *name, char ret[JD_NETDEV_MAX])
{
    if (strlen(name) <= 8)
        snprintf(ret, JD_NETDEV_MAX, "joblet-%.8s", name);
    else
        snprintf(ret, JD_NETDEV_MAX, "joblet-%.3s%05x", name, jl_hash(name) & 0xfffffu);
}

static int check_other_networks(const struct jd_core *c, const struct jd_network *net,
                                struct jl_err *e)
{
    char text[JD_CIDR_TEXT], other[JD_CIDR_TEXT];

    for (const struct jd_network *n = c->nets.first; n; n = n->next) {
        if (strcmp(n->def.name, net->def.name) == 0)
            return jl_refuse(e, EEXIST, "network '%s' exists already", n->def.name);
        if (jd_cidr_overlap(&n->def.cidr, &net->def.cidr))
            return jl_refuse(e, EINVAL, "%s overlaps network '%s' (%s)",
                             jd_cidr_text(&net->def.cidr, text), n->def.name,
                             jd_cidr_text(&n->def.cidr, other));
        if (net->def.bridge[0] && strcmp(n->def.bridge, net->def.bridge) == 0)
            return jl_refuse(e, EINVAL, "network '%s' has the bridge '%s' already", n->def.name,
                             n->def.bridge);
    }
    if (jd_nets_find_misfit(c, net->def.name)) {
        jl_refuse(e, EEXIST, "network '%s' exists already, with addresses that can't be had",
                  net->def.name);
        return jl_hint(e, "rnx network list says why; rnx network remove %s", net->def.name);
    }
    if (c->nets.n >= JD_NETS_MAX)
        return jl_refuse(e, ENOSPC, "there are %d networks already", JD_NETS_MAX);
    return 0;
}

struct jd_network *jd_nets_add(struct jd_core *c, const char *name, const char *cidr,
                               const char *bridge, bool builtin, struct jl_err *e)
{
    bool isolated = strcmp(name, "isolated") == 0;
    struct jd_network *net = calloc(1, sizeof *net), **at = &c->nets.first;
    int r = net ? jd_cidr_parse(isolated ? "network.isolated_pool" : "cidr", cidr, 30,
                                &net->def.cidr, e)
                : jl_fail(e, ENOMEM, "add a network");

    if (r == 0) {
        net->core = c;
        net->builtin = builtin;
        snprintf(net->def.name, sizeof net->def.name, "%s", name);
        if (bridge && bridge[0])
            snprintf(net->def.bridge, sizeof net->def.bridge, "%s", bridge);
        else if (!isolated)
            bridge_name(name, net->def.bridge);
        r = check_other_networks(c, net, e);
    }
    if (r < 0) {
        free(net);
        return NULL;
    }
    jd_places_init(&net->places, &net->def.cidr, isolated ? 4 : 1);
    while (*at)
        at = &(*at)->next;
    *at = net;
    c->nets.n++;
    c->nets.n_custom += !builtin;
    return net;
}

void jd_nets_remove(struct jd_core *c, struct jd_network *net)
{
    struct jd_network **at = &c->nets.first;

    jd_nets_forget_leases(net);
    while (*at != net)
        at = &(*at)->next;
    *at = net->next;
    c->nets.n--;
    c->nets.n_custom -= !net->builtin;
    jd_places_done(&net->places);
    free(net);
}

int jd_nets_worker(struct jd_core *c, struct jl_err *e)
{
    if (!c->nets.worker)
        c->nets.worker = jd_worker_new(c->loop, "network", jd_net_work, JD_NET_WORK_N);
    return c->nets.worker ? 0 : jl_fail(e, ENOMEM, "make the network worker");
}

/* ---- setup */

static int put_leases(struct jl_buf *b, const struct jd_net_lease *l, size_t n, uint32_t *count)
{
    *count += (uint32_t) n;
    return jl_buf_add(b, l, n * sizeof *l);
}

/* Who has an address: running jobs, and unless the daemon ends the pool. */
static int put_all_leases(const struct jd_core *c, struct jl_buf *b, bool end, uint32_t *count)
{
    int r = 0;

    for (const struct jd_job *j = c->jobs.first; r == 0 && j; j = j->next) {
        const struct jd_network *net = jd_nets_find(c, j->rec.network);
        struct jd_net_lease l;
        uint32_t addr;

        if (!net || !jd_state_is_active(j->state) || jd_ip_parse(j->rec.address, &addr) < 0)
            continue;
        jd_nets_lease_of(net, addr, j->rec.host_id_base, &l);
        r = put_leases(b, &l, 1, count);
    }
    for (const struct jd_network *n = c->nets.first; n && r == 0 && !end; n = n->next) {
        r = put_leases(b, n->ready, n->n_ready, count);
        if (r == 0)
            r = put_leases(b, n->coming, n->n_coming, count);
    }
    return r;
}

static int build_setup(struct jd_core *c, struct jl_buf *b, bool end)
{
    struct jd_net_setup head = { .n_dns = (uint32_t) c->nets.n_dns,
                                 .n_host_dns = (uint32_t) c->nets.n_host_dns,
                                 .end = end };
    int r = jl_buf_add(b, &head, sizeof head);

    for (struct jd_network *n = c->nets.first; r == 0 && n; n = n->next) {
        n->at = n->doomed ? 0 : ++head.n_nets;
        if (!n->doomed)
            r = jl_buf_add(b, &n->def, sizeof n->def);
    }
    if (r == 0)
        r = put_all_leases(c, b, end, &head.n_leases);
    if (r == 0)
        r = jl_buf_add(b, c->nets.dns, c->nets.n_dns * sizeof *c->nets.dns);
    if (r == 0)
        r = jl_buf_add(b, c->nets.host_dns, c->nets.n_host_dns * sizeof *c->nets.host_dns);
    if (r == 0)
        memcpy(b->data, &head, sizeof head);
    return r;
}

static void tell_waiters(struct jd_core *c, int r, const struct jl_err *e)
{
    struct jd_net_waiter *list = c->nets.waiters;

    c->nets.waiters = NULL;
    while (list) {
        struct jd_net_waiter *w = list;

        list = w->next;
        if (w->asked) {
            w->fn(w->arg, r, e);
            free(w);
        } else {
            w->next = c->nets.waiters;
            c->nets.waiters = w;
        }
    }
}

/* What stands in a network's way is told once, until it is something else. */
static void tell_firewall(struct jd_network *n, const char *warn)
{
    if (strcmp(n->told.warn, warn) == 0)
        return;
    snprintf(n->told.warn, sizeof n->told.warn, "%.*s", JD_FIREWALL_WARN - 1, warn);
    if (warn[0])
        jl_log_warn("network.firewall", "network '%s': %s", n->def.name, warn);
    else
        jl_log_info("network.firewall", "network '%s': the host's firewalls let it pass",
                    n->def.name);
}

static void on_look(void *user, int r, const void *out, size_t len, int fd, const struct jl_err *e)
{
    const struct jd_net_seen *seen = out;
    struct jd_core *c = user;

    jl_close(fd);
    if (r < 0)
        jl_log_fail(e, "network.firewall", "whether others let jobs' packets pass is not known");
    for (size_t i = 0; r == 0 && i < len / sizeof *seen; i++)
        for (struct jd_network *n = c->nets.first; n; n = n->next)
            if (n->known && strcmp(n->def.bridge, seen[i].bridge) == 0)
                tell_firewall(n, seen[i].warn);
}

static int on_time_to_look(struct jl_timer *t)
{
    struct jd_core *c = JL_CONTAINER(t, struct jd_core, nets.look);
    _buf_ struct jl_buf b = JL_BUF_INIT(JD_WORK_BYTES_MAX);
    struct jl_err e = JL_ERR_INIT;
    int r = 0;

    c->nets.looked_ns = jl_now_ns();
    for (const struct jd_network *n = c->nets.first; r == 0 && n; n = n->next)
        if (n->known && !n->told.why[0])
            r = jl_buf_add(&b, &n->def, sizeof n->def);
    if (r == 0 && b.len > 0)
        r = jd_worker_call(c->nets.worker, JD_NET_WORK_LOOK, b.data, b.len, NULL, 0, on_look, c,
                           &e);
    if (r < 0)
        jl_log_warn("network.firewall", "not looked at: %s", e.text);
    return 0;
}

/*
 * Networks were switched off, and an earlier core made some: they go once no job of its time has one.
 * Here, as it is once and takes some ms.
 */
static void remove_all(struct jd_core *c)
{
    _buf_ struct jl_buf b = JL_BUF_INIT(JD_WORK_BYTES_MAX), out = JL_BUF_INIT(JD_WORK_BYTES_MAX);
    struct jl_err e = JL_ERR_INIT;
    int fd = -1;

    if (access(jd_net_place.ns_dir, F_OK) < 0)
        return;
    for (const struct jd_job *j = c->jobs.first; j; j = j->next)
        if (jd_state_is_active(j->state) && j->rec.address[0])
            return;
    if (build_setup(c, &b, true) == 0 &&
        jd_net_work[JD_NET_WORK_SETUP](b.data, b.len, NULL, 0, &out, &fd, &e) < 0)
        jl_log_fail(&e, "network.end", "tried again in five minutes");
}

void jd_nets_look(struct jd_core *c)
{
    uint64_t now = jl_now_ns(), again = c->nets.looked_ns + LOOK_AGAIN_NS;

    if (!c->conf.network_enabled)
        remove_all(c);
    else if (c->nets.state == JD_NETS_UP && !c->nets.look.armed)
        jl_loop_arm(c->loop, &c->nets.look, again > now ? again : now, on_time_to_look);
}

static int ask_setup(struct jd_core *c, struct jl_err *e);

static void on_setup(void *user, int r, const void *out, size_t len, int fd, const struct jl_err *e)
{
    struct jd_core *c = user;
    const struct jd_net_told *told = out;
    struct jl_err ignored = JL_ERR_INIT;

    jl_close(fd);
    if (r < 0)
        jl_log_fail(e, "network.setup", "networks");
    c->nets.state = r < 0 ? JD_NETS_IDLE : JD_NETS_UP; /* idle: tried again when next needed */
    for (struct jd_network *n = c->nets.first; n; n = n->next) {
        if (r == 0 && (n->at == 0 || n->at * sizeof *told > len))
            continue; /* came later: the next setup tells */
        if (r == 0) {
            memcpy(n->told.why, told[n->at - 1].why, sizeof n->told.why);
            tell_firewall(n, told[n->at - 1].warn);
        } else {
            snprintf(n->told.why, sizeof n->told.why, "%.180s%s%.120s", e->text,
                     e->hint[0] ? "; fix: " : "", e->hint);
        }
        n->known = r == 0;
        if (n->told.why[0] && r == 0)
            jl_log_warn("network.setup", "network '%s': %s", n->def.name, n->told.why);
    }
    c->nets.looked_ns = jl_now_ns();
    tell_waiters(c, r, e);
    if (c->nets.again) {
        c->nets.again = false;
        ask_setup(c, &ignored);
        return;
    }
    for (struct jd_network *n = c->nets.first; n; n = n->next) {
        struct jl_err why = JL_ERR_INIT;

        if (n->told.why[0]) {
            jl_refuse(&why, r < 0 ? e->code : EBUSY, "%s", n->told.why);
            jd_nets_fail_waiting(n, &why);
        } else {
            jd_nets_kick(n);
        }
    }
}

static int ask_setup(struct jd_core *c, struct jl_err *e)
{
    _buf_ struct jl_buf b = JL_BUF_INIT(JD_WORK_BYTES_MAX);
    int r = jd_nets_worker(c, e);

    if (r == 0 && build_setup(c, &b, false) < 0)
        r = jl_refuse(e, EMSGSIZE, "too many jobs with a network for one setup");
    for (struct jd_net_waiter *w = c->nets.waiters; w; w = w->next)
        w->asked = true;
    if (r == 0)
        r = jd_worker_call(c->nets.worker, JD_NET_WORK_SETUP, b.data, b.len, NULL, 0, on_setup, c,
                           e);
    c->nets.state = r < 0 ? JD_NETS_IDLE : JD_NETS_COMING;
    if (r < 0)
        tell_waiters(c, r, e);
    return r;
}

int jd_nets_setup(struct jd_core *c, jd_nets_done_fn fn, void *arg, struct jl_err *e)
{
    struct jd_net_waiter *w = fn ? calloc(1, sizeof *w) : NULL;

    if (fn && !w)
        return jl_fail(e, ENOMEM, "set the networks up");
    if (fn) {
        *w = (struct jd_net_waiter){ .fn = fn, .arg = arg, .next = c->nets.waiters };
        c->nets.waiters = w;
    }
    if (c->nets.state == JD_NETS_COMING) {
        c->nets.again = true;
        return 0;
    }
    ask_setup(c, e); /* a failure is told to fn */
    return fn ? 0 : -e->code;
}

/* ---- start and end */

static int add_configured(struct jd_core *c, struct jl_err *e)
{
    const struct jl_strv *list = &c->conf.networks; /* name, CIDR, bridge; name, ... */
    bool own_bridge = false;

    for (size_t i = 0; i + 2 < list->len; i += 3) {
        bool is_default = strcmp(list->items[i], "bridge") == 0;
        const char *cidr = list->items[i + 1], *bridge = list->items[i + 2];

        own_bridge = own_bridge || is_default;
        if (is_default && !cidr[0])
            cidr = "172.20.0.0/16";
        if (is_default && !bridge[0])
            bridge = "joblet0";
        if (!jd_nets_add(c, list->items[i], cidr, bridge, true, e))
            return jl_wrap(e, "network.networks.%s", list->items[i]);
    }
    if (!own_bridge && !jd_nets_add(c, "bridge", "172.20.0.0/16", "joblet0", true, e))
        return jl_wrap(e, "network 'bridge'");
    return 0;
}

/* What a name server has is no job's. */
static void reserve_servers(struct jd_core *c, struct jd_network *isolated)
{
    const struct jd_nets *n = &c->nets;

    for (size_t i = 0; i < n->n_dns; i++)
        jd_places_take_this(&isolated->places, (n->dns[i] & ~3u) + 2);
    for (size_t i = 0; i < n->n_host_dns; i++)
        jd_places_take_this(&isolated->places, (n->host_dns[i] & ~3u) + 2);
}

static int add_stored(void *arg, const char *name, const char *cidr, const char *bridge)
{
    struct jl_err e = JL_ERR_INIT;
    struct jd_core *c = arg;
    struct jd_net_misfit *m;

    if (jd_nets_add(c, name, cidr, bridge, false, &e))
        return 0;
    jl_log_fail(&e, "network.load", "network '%s' is passed over", name);
    m = calloc(1, sizeof *m);
    if (!m)
        return -ENOMEM;
    snprintf(m->name, sizeof m->name, "%s", name);
    snprintf(m->cidr, sizeof m->cidr, "%s", cidr);
    snprintf(m->bridge, sizeof m->bridge, "%s", bridge);
    snprintf(m->why, sizeof m->why, "%.*s", JD_NET_WHY - 1, e.text);
    m->next = c->nets.misfits;
    c->nets.misfits = m;
    return 0;
}

/* The addresses of those who run go on being theirs. What was never started begins anew. */
static bool take_up_leases(struct jd_core *c)
{
    bool any = false;

    for (struct jd_job *j = c->jobs.first; j; j = j->next) {
        struct jd_network *net = jd_nets_find(c, j->rec.network);
        uint32_t addr;

        if (!net || !jd_state_is_active(j->state) || jd_ip_parse(j->rec.address, &addr) < 0)
            continue;
        if (strcmp(j->rec.boot_id, c->boot_id) != 0) { /* it is about to be lost, or begun again */
            jd_record_set(&j->rec.address, "");
            continue;
        }
        any = true;
        net->used = true;
        jd_nets_names_changed(net);
        jd_places_take_this(&net->places, addr);
    }
    return any;
}

int jd_nets_init(struct jd_core *c, struct jl_err *e)
{
    struct jd_net_place *p = &jd_net_place;
    struct jd_network *isolated;
    struct jl_err later = JL_ERR_INIT;
    bool needed;
    int r;

    snprintf(p->instance, sizeof p->instance, "%05x", jl_hash(c->conf.prefix) & 0xfffffu);
    snprintf(p->ns_dir, sizeof p->ns_dir, "%s/netns", c->conf.run_dir);
    snprintf(p->alias, sizeof p->alias, "joblet:%.240s", c->conf.prefix);
    if (!c->conf.network_enabled)
        return 0; /* the first look removes what there is */
    jd_nets_read_dns(c);
    r = add_configured(c, e);
    isolated = r == 0 ? jd_nets_add(c, "isolated", c->conf.network_pool, NULL, true, e) : NULL;
    if (!isolated)
        return -e->code;
    reserve_servers(c, isolated);
    r = jd_store_each_network(c->store, add_stored, c, e);
    if (r < 0)
        return r;
    needed = take_up_leases(c);
    needed = needed || jd_nets_find(c, c->conf.network_default) || c->nets.n_custom > 0 ||
             access(p->ns_dir, F_OK) == 0; /* an earlier core made something */
    if (needed && jd_nets_setup(c, NULL, NULL, &later) < 0)
        jl_log_fail(&later, "network.setup", "networks");
    return 0;
}

void jd_nets_done(struct jd_core *c)
{
    _buf_ struct jl_buf b = JL_BUF_INIT(JD_WORK_BYTES_MAX), out = JL_BUF_INIT(JD_WORK_BYTES_MAX);
    struct jl_err e = JL_ERR_INIT;
    bool made = c->nets.worker != NULL;
    int fd = -1;

    jl_loop_disarm(c->loop, &c->nets.tidy);
    jl_loop_disarm(c->loop, &c->nets.names);
    jl_loop_disarm(c->loop, &c->nets.serve);
    jl_loop_disarm(c->loop, &c->nets.look);
    jd_worker_free(c->nets.worker);
    c->nets.worker = NULL;
    if (made && build_setup(c, &b, true) == 0 &&
        jd_net_work[JD_NET_WORK_SETUP](b.data, b.len, NULL, 0, &out, &fd, &e) < 0)
        jl_log_fail(&e, "network.end", "the next start removes what is left");
    if (!made && !c->conf.network_enabled && jd_net_place.ns_dir[0])
        remove_all(c);
    while (c->nets.waiters) {
        struct jd_net_waiter *w = c->nets.waiters;

        c->nets.waiters = w->next;
        free(w);
    }
    free(jl_take_ptr(c->nets.releasing));
    while (c->nets.misfits)
        jd_nets_remove_misfit(c, c->nets.misfits->name);
    while (c->nets.first) {
        free(jl_take_ptr(c->nets.first->preparing));
        jd_nets_remove(c, c->nets.first);
    }
    free(jl_take_ptr(c->nets.going));
}
