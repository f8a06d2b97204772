/* cmd_network.c - rnx network create, list and remove. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "rnx/out.h"
#include "rnx/remote.h"

struct create_opts {
    const char *cidr;
};

static const struct rnx_opt create_items[] = {
    { "cidr", 0, RNX_OPT_STRING, "A.B.C.D/N", offsetof(struct create_opts, cidr),
      "its IPv4 addresses, prefix /8 to /30",
      .more = "Within 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10 or 198.18.0.0/15." },
};
static const struct rnx_opts create_flags = RNX_OPTS(create_items);

/* The one word that a command takes. 0; 1 done; or -errno with e filled. */
static int one_name(struct rnx *x, void *into, int argc, char **argv, struct jl_strv *words,
                    struct jl_err *e)
{
    int r = rnx_parse(x, into, argc, argv, words, e);

    if (r == 0 && words->len != 1)
        return rnx_usage(e, "rnx network %s takes the name of one network", x->cmd->name);
    return r;
}

static int check_reserved(const char *name, struct jl_err *e)
{
    static const char *const reserved[] = { "none", "isolated", "bridge", "host" };

    for (size_t i = 0; i < JL_COUNT(reserved); i++)
        if (strcmp(name, reserved[i]) == 0)
            return rnx_usage(e, "the network name '%s' is reserved: that network is built in",
                             name);
    return 0;
}

static int print_created(struct rnx *x, const Joblet__CreateNetworkResponse *s, struct jl_err *e)
{
    _buf_ struct jl_buf b = JL_BUF_INIT(65536);
    struct jl_json_out w;
    char name[128], cidr[64], bridge[64];

    if (!x->json) {
        rnx_tame(s->name, name, sizeof name);
        printf("Network created successfully:\nName: %s\nCIDR: %s\nBridge: %s\n\n"
               "Use it with: rnx job run --network=%s COMMAND\n",
               name, rnx_tame(s->cidr, cidr, sizeof cidr),
               rnx_tame(s->bridge, bridge, sizeof bridge), name);
        return 0;
    }
    rnx_json_begin(&w, &b, false);
    jl_json_put_object(&w, NULL);
    jl_json_put_str(&w, "name", s->name);
    jl_json_put_str(&w, "cidr", s->cidr);
    jl_json_put_str(&w, "bridge", s->bridge);
    jl_json_end(&w);
    return rnx_json_print(&w, stdout, e);
}

static int run_create(struct rnx *x, int argc, char **argv, struct jl_err *e)
{
    Joblet__CreateNetworkRequest request = JOBLET__CREATE_NETWORK_REQUEST__INIT;
    _strv_ struct jl_strv words = JL_STRV_INIT;
    struct create_opts o = { 0 };
    ProtobufCMessage *reply = NULL;
    int r = one_name(x, &o, argc, argv, &words, e);

    if (r != 0)
        return r < 0 ? r : 0;
    r = check_reserved(words.items[0], e);
    if (r == 0 && !o.cidr)
        r = rnx_usage(e, "rnx network create needs --cidr, such as --cidr=10.100.0.0/24");
    if (r < 0)
        return r;
    request.name = words.items[0];
    request.cidr = (char *) (uintptr_t) o.cidr;
    r = rnx_call(x, "/joblet.NetworkService/CreateNetwork", &request.base,
                 &joblet__create_network_response__descriptor, 0, &reply, NULL, e);
    if (r < 0)
        return r;
    r = print_created(x, (const Joblet__CreateNetworkResponse *) reply, e);
    protobuf_c_message_free_unpacked(reply, NULL);
    return r;
}

/* ---- list */

/* Built-in ones first, as the server has them; the others by name. */
static int compare(const void *a, const void *b)
{
    const Joblet__Network *x = *(Joblet__Network *const *) a, *y = *(Joblet__Network *const *) b;

    if (x->builtin != y->builtin)
        return x->builtin ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int print_json(Joblet__Network *const *list, size_t n, struct jl_err *e)
{
    _buf_ struct jl_buf b = JL_BUF_INIT(64u << 20);
    struct jl_json_out w;

    rnx_json_begin(&w, &b, false);
    jl_json_put_object(&w, NULL);
    jl_json_put_array(&w, "networks");
    for (size_t i = 0; i < n; i++) {
        jl_json_put_object(&w, NULL);
        jl_json_put_str(&w, "name", list[i]->name);
        jl_json_put_str(&w, "cidr", list[i]->cidr);
        jl_json_put_str(&w, "bridge", list[i]->bridge);
        jl_json_put_bool(&w, "builtin", list[i]->builtin);
        jl_json_put_i64(&w, "job_count", list[i]->job_count);
        if (list[i]->problem[0])
            jl_json_put_str(&w, "problem", list[i]->problem);
        jl_json_end(&w);
    }
    jl_json_end(&w);
    jl_json_end(&w);
    return rnx_json_print(&w, stdout, e);
}

struct row {
    char name[128], cidr[64], bridge[80];
};

static void fill_row(struct row *r, const Joblet__Network *n)
{
    char bridge[64];

    rnx_tame(n->name, r->name, sizeof r->name);
    rnx_tame(n->cidr[0] ? n->cidr : "-", r->cidr, sizeof r->cidr);
    rnx_tame(n->bridge[0] ? n->bridge : "-", bridge, sizeof bridge);
    snprintf(r->bridge, sizeof r->bridge, "%s%s", bridge, n->builtin ? " (built-in)" : "");
}

static int print_text(Joblet__Network *const *list, size_t n, struct jl_err *e)
{
    static const struct rnx_column columns[] = {
        { "NAME", .min = 15 },
        { "CIDR", .min = 18 },
        { "BRIDGE", .min = 15 },
    };
    _free_ struct row *rows = calloc(n + 1, sizeof *rows);
    _free_ const char **cells = calloc(n * JL_COUNT(columns) + 1, sizeof *cells);

    if (!rows || !cells)
        return jl_fail(e, ENOMEM, "table");
    for (size_t i = 0; i < n; i++) {
        fill_row(&rows[i], list[i]);
        cells[3 * i] = rows[i].name;
        cells[3 * i + 1] = rows[i].cidr;
        cells[3 * i + 2] = rows[i].bridge;
    }
    rnx_table(stdout, columns, JL_COUNT(columns), cells, n, false);
    for (size_t i = 0; i < n; i++) {
        char name[128], problem[1024];

        if (list[i]->problem[0])
            printf("%s%s: %s\n", i == 0 || !list[i - 1]->problem[0] ? "\n" : "",
                   rnx_tame(list[i]->name, name, sizeof name),
                   rnx_tame(list[i]->problem, problem, sizeof problem));
    }
    return 0;
}

static int run_list(struct rnx *x, int argc, char **argv, struct jl_err *e)
{
    Joblet__EmptyRequest request = JOBLET__EMPTY_REQUEST__INIT;
    _strv_ struct jl_strv words = JL_STRV_INIT;
    ProtobufCMessage *reply = NULL;
    Joblet__Networks *m;
    int r = rnx_parse(x, NULL, argc, argv, &words, e);

    if (r != 0)
        return r < 0 ? r : 0;
    if (words.len > 0)
        return rnx_usage(e, "rnx network list takes no words");
    r = rnx_call(x, "/joblet.NetworkService/ListNetworks", &request.base,
                 &joblet__networks__descriptor, 0, &reply, NULL, e);
    if (r < 0)
        return r;
    m = (Joblet__Networks *) reply;
    if (m->n_networks > 1)
        qsort(m->networks, m->n_networks, sizeof *m->networks, compare);
    if (x->json)
        r = print_json(m->networks, m->n_networks, e);
    else
        r = print_text(m->networks, m->n_networks, e);
    protobuf_c_message_free_unpacked(reply, NULL);
    return r;
}

/* ---- remove */

static int run_remove(struct rnx *x, int argc, char **argv, struct jl_err *e)
{
    Joblet__RemoveNetworkRequest request = JOBLET__REMOVE_NETWORK_REQUEST__INIT;
    _buf_ struct jl_buf b = JL_BUF_INIT(65536);
    _strv_ struct jl_strv words = JL_STRV_INIT;
    ProtobufCMessage *reply = NULL;
    struct jl_json_out w;
    char text[256];
    int r = one_name(x, NULL, argc, argv, &words, e);

    if (r != 0)
        return r < 0 ? r : 0;
    r = check_reserved(words.items[0], e);
    if (r < 0)
        return r;
    request.name = words.items[0];
    r = rnx_call(x, "/joblet.NetworkService/RemoveNetwork", &request.base,
                 &joblet__remove_network_response__descriptor, 0, &reply, NULL, e);
    if (r < 0)
        return r;
    protobuf_c_message_free_unpacked(reply, NULL);
    if (!x->json) {
        printf("Network '%s' removed successfully\n", rnx_tame(words.items[0], text, sizeof text));
        return 0;
    }
    rnx_json_begin(&w, &b, false);
    jl_json_put_object(&w, NULL);
    jl_json_put_str(&w, "name", words.items[0]);
    jl_json_put_bool(&w, "success", true);
    jl_json_end(&w);
    return rnx_json_print(&w, stdout, e);
}

const struct rnx_cmd rnx_cmd_network_create = {
    .group = "network",
    .name = "create",
    .args = "<name> --cidr=A.B.C.D/N",
    .summary = "make a network of your own",
    .more = "Jobs on it reach one another by name, and the outside; nothing else reaches them.\n",
    .opts = &create_flags,
    .run = run_create,
};

const struct rnx_cmd rnx_cmd_network_list = {
    .group = "network",
    .name = "list",
    .args = "[flags]",
    .summary = "list networks",
    .run = run_list,
};

const struct rnx_cmd rnx_cmd_network_remove = {
    .group = "network",
    .name = "remove",
    .args = "<name> [flags]",
    .summary = "remove a network that no job uses",
    .run = run_remove,
};
