/* op_network.c - CreateNetwork, ListNetworks and RemoveNetwork. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/validate.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/core/arena.h"
#include "daemon/core/core.h"
#include "daemon/core/request.h"

static char *str(const char *s)
{
    return (char *) (uintptr_t) s;
}

/* Jobs on it: those that run, or with `waiting` those that are to run too, and those that have not
 * given their lease back since their end is not on disk yet. */
static int count_jobs(const struct jd_core *c, const char *name, bool waiting)
{
    int n = 0;

    for (const struct jd_job *j = c->jobs.first; j; j = j->next)
        n += strcmp(j->rec.network, name) == 0 &&
             (waiting ? !jd_state_is_ended(j->state) || j->unstored : jd_state_is_active(j->state));
    return n;
}

static Joblet__Network *add_row(struct jd_arena *a, Joblet__Networks *m, const struct jd_core *c,
                                const char *name)
{
    Joblet__Network *row = jd_arena_get(a, sizeof *row);

    if (!row || !m->networks)
        return NULL;
    *row = (Joblet__Network) JOBLET__NETWORK__INIT;
    row->name = str(name);
    row->builtin = true;
    row->job_count = count_jobs(c, name, false);
    m->networks[m->n_networks++] = row;
    return row;
}

void jd_op_list_networks(struct jd_call *call, const struct ipc_frame *f)
{
    const struct jd_core *c = call->core;
    _arena_ struct jd_arena a = JD_ARENA_INIT;
    Joblet__Networks m = JOBLET__NETWORKS__INIT;
    unsigned n_misfits = 0;

    (void) f; /* EmptyRequest */
    for (const struct jd_net_misfit *x = c->nets.misfits; x; x = x->next)
        n_misfits++;
    m.networks = jd_arena_get(&a, (c->nets.n + n_misfits + 3) * sizeof *m.networks);
    add_row(&a, &m, c, "none");
    if (c->conf.network_allow_host)
        add_row(&a, &m, c, "host");
    for (const struct jd_network *n = c->nets.first; n; n = n->next) {
        Joblet__Network *row = n->doomed || n->fresh ? NULL : add_row(&a, &m, c, n->def.name);
        char text[JD_CIDR_TEXT];

        if (!row)
            continue;
        row->builtin = n->builtin;
        row->bridge = str(n->def.bridge);
        row->problem = str(n->told.why[0] ? n->told.why : n->told.warn);
        row->cidr = jd_arena_format(&a, "%s", jd_cidr_text(&n->def.cidr, text));
    }
    for (const struct jd_net_misfit *x = c->nets.misfits; x; x = x->next) {
        Joblet__Network *row = add_row(&a, &m, c, x->name);

        if (!row)
            continue;
        row->builtin = false;
        row->cidr = str(x->cidr);
        row->bridge = str(x->bridge);
        row->problem = str(x->why);
    }
    if (jd_arena_failed(&a))
        jd_reply_status(call, API_RESOURCE_EXHAUSTED, "the server is out of memory");
    else
        jd_reply(call, &m.base);
}

/* A request that waits for the networks to be set up as it wants. */
struct change {
    struct jd_call call;
    char name[JD_NET_NAME_MAX + 1];
};

static int ask(struct jd_call *call, const char *name, jd_nets_done_fn fn, struct jl_err *e)
{
    struct change *ch = calloc(1, sizeof *ch);

    if (!ch)
        return jl_fail(e, ENOMEM, "change the networks");
    ch->call = *call;
    snprintf(ch->name, sizeof ch->name, "%s", name);
    if (jd_nets_setup(call->core, fn, ch, e) == 0)
        return 0;
    free(ch);
    return -e->code;
}

/* ---- create */

static void undo_create(struct jd_core *c, struct jd_network *net)
{
    struct jl_err ignored = JL_ERR_INIT;

    jd_nets_remove(c, net);
    jd_nets_setup(c, NULL, NULL, &ignored);
}

static void on_created(void *arg, int r, const struct jl_err *why)
{
    _free_ struct change *ch = arg;
    struct jd_core *c = ch->call.core;
    struct jd_network *net = jd_nets_find(c, ch->name);
    Joblet__CreateNetworkResponse m = JOBLET__CREATE_NETWORK_RESPONSE__INIT;
    struct jl_err e = JL_ERR_INIT;
    char text[JD_CIDR_TEXT];

    if (r < 0)
        jl_refuse(&e, EBUSY, "%s%s%s", why->text, why->hint[0] ? "; " : "", why->hint);
    else if (!net)
        jl_refuse(&e, ENOENT, "network '%s' is gone again", ch->name);
    else if (net->told.why[0])
        jl_refuse(&e, EINVAL, "%s", net->told.why);
    else
        jd_store_add_network(c->store, ch->name, jd_cidr_text(&net->def.cidr, text),
                             net->def.bridge, &e);
    if (e.code) {
        if (net)
            undo_create(c, net);
        jd_reply_error(&ch->call, &e);
        return;
    }
    net->fresh = false;
    jl_log_info("network.create", "network=%s cidr=%s bridge=%s client=%s", net->def.name,
                jd_cidr_text(&net->def.cidr, text), net->def.bridge, ch->call.who.common_name);
    m.name = net->def.name;
    m.cidr = text;
    m.bridge = net->def.bridge;
    jd_reply(&ch->call, &m.base);
}

static int check_create(const struct jd_core *c, const Joblet__CreateNetworkRequest *q,
                        struct jl_err *e)
{
    struct jd_cidr cidr;

    if (!c->conf.network_enabled)
        return jl_refuse(e, EBUSY, "networks are off on this server (network.enabled)");
    if (!c->conf.network_custom)
        return jl_refuse(e, EBUSY,
                         "networks of one's own are not allowed on this server "
                         "(network.allow_custom_networks)");
    if (c->conf.network_max_custom > 0 && (int64_t) c->nets.n_custom >= c->conf.network_max_custom)
        return jl_refuse(e, ENOSPC, "there are %u networks already (network.max_custom_networks)",
                         c->nets.n_custom);
    if (jd_net_check_name(q->name, e) < 0 || jd_cidr_parse("cidr", q->cidr, 30, &cidr, e) < 0)
        return -e->code;
    /* any others a client would take from the host: a bridge's route is nearer than the default one */
    return jd_cidr_check_private("cidr", &cidr, e);
}

void jd_op_create_network(struct jd_call *call, const struct ipc_frame *f)
{
    struct jd_core *c = call->core;
    _message_ ProtobufCMessage *in = NULL;
    const Joblet__CreateNetworkRequest *q;
    struct jd_network *net = NULL;
    struct jl_err e = JL_ERR_INIT;
    int r = api_unpack_request(&joblet__create_network_request__descriptor, f->body, f->body_len,
                               &in, &e);

    q = (const Joblet__CreateNetworkRequest *) in;
    if (r == 0) {
        jd_call_about(call, q->name);
        r = check_create(c, q, &e);
    }
    if (r == 0) {
        net = jd_nets_add(c, q->name, q->cidr, NULL, false, &e);
        if (net)
            net->fresh = true;
        r = net ? ask(call, q->name, on_created, &e) : -e.code;
    }
    if (r == 0)
        return; /* goes on in on_created */
    if (net)
        jd_nets_remove(c, net);
    jd_reply_error(call, &e);
}

/* ---- remove */

static void reply_removed(const struct jd_call *call, const char *name)
{
    Joblet__RemoveNetworkResponse m = JOBLET__REMOVE_NETWORK_RESPONSE__INIT;

    jd_nets_drop_names(call->core, name);
    jl_log_info("network.remove", "network=%s client=%s", name, call->who.common_name);
    m.success = true;
    m.message = str("Network removed successfully");
    jd_reply(call, &m.base);
}

/* Nothing of it is on the host: the start has removed what no network of ours has. */
static void remove_misfit(const struct jd_call *call, const char *name)
{
    jd_nets_remove_misfit(call->core, name);
    reply_removed(call, name);
}

static void on_removed(void *arg, int r, const struct jl_err *why)
{
    _free_ struct change *ch = arg;
    struct jd_core *c = ch->call.core;
    struct jd_network *net = jd_nets_find(c, ch->name);

    if (r < 0) /* it is out of the records; the next setup that works removes the rest */
        jl_log_fail(why, "network.remove", "network=%s", ch->name);
    if (net && net->doomed)
        jd_nets_remove(c, net);
    reply_removed(&ch->call, ch->name);
}

static int check_remove(const struct jd_core *c, const struct jd_network *net, const char *name,
                        struct jl_err *e)
{
    int n = api_validate_name("name", name, e);

    if (n < 0)
        return n;
    if (strcmp(name, "none") == 0 || strcmp(name, "host") == 0)
        return jl_refuse(e, EINVAL, "network '%s' is built in", name);
    if (jd_nets_find_misfit(c, name))
        return 0; /* no job has it */
    if (net && net->builtin)
        return jl_refuse(e, EINVAL, "network '%s' is built in", name);
    if (!net || net->doomed || net->fresh)
        return jl_refuse(e, ENOENT, "network not found: %.70s", name);
    n = count_jobs(c, name, true);
    if (n > 0)
        return jl_refuse(e, EBUSY, "network '%s' is in use by %d job%s that run%s or wait%s", name,
                         n, n == 1 ? "" : "s", n == 1 ? "s" : "", n == 1 ? "s" : "");
    return 0;
}

void jd_op_remove_network(struct jd_call *call, const struct ipc_frame *f)
{
    struct jd_core *c = call->core;
    _message_ ProtobufCMessage *in = NULL;
    struct jd_network *net = NULL;
    struct jl_err e = JL_ERR_INIT;
    const char *name = "";
    int r = api_unpack_request(&joblet__remove_network_request__descriptor, f->body, f->body_len,
                               &in, &e);

    if (r == 0) {
        name = ((const Joblet__RemoveNetworkRequest *) in)->name;
        jd_call_about(call, name);
        net = jd_nets_find(c, name);
        r = check_remove(c, net, name, &e);
    }
    if (r == 0)
        r = jd_store_delete_network(c->store, name, &e);
    if (r == 0 && jd_nets_find_misfit(c, name)) {
        remove_misfit(call, name);
        return;
    }
    if (r == 0) {
        net->doomed = true;
        net->n_ready = net->n_coming = 0; /* the setup removes what is in no list */
        r = ask(call, name, on_removed, &e);
    }
    if (r < 0)
        jd_reply_error(call, &e);
}
