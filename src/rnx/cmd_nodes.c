/* cmd_nodes.c - the nodes of the configuration; makes no connection. */
#include <errno.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "rnx/cmd.h"
#include "rnx/out.h"
#include "rpc/tls.h"

/* What is wrong with a node, "" when nothing is. */
static const char *problem_of(const struct rnx_node *n, struct jl_err *e)
{
    struct rpc_tls tls = { n->cert, n->key, n->ca };
    char host[256], port[8], when[JL_RFC3339_MAX];
    long long not_after;

    if (rnx_split_address(n->address, host, sizeof host, port, sizeof port) < 0)
        return "the address is neither host nor host:port";
    if (!n->cert || !n->key || !n->ca)
        return "cert, key and ca are needed";
    if (rpc_tls_check(&tls, n->name, e) < 0)
        return e->text;
    not_after = rpc_tls_not_after(n->cert);
    if (not_after != 0 && not_after < (long long) (jl_wall_ns() / JL_NS_PER_S)) {
        jl_rfc3339((uint64_t) not_after * JL_NS_PER_S, 0, when);
        jl_refuse(e, EINVAL, "the certificate expired at %s", when);
        return e->text;
    }
    return "";
}

static int print_json(const struct rnx_conf *c, const char *chosen, struct jl_err *e)
{
    _buf_ struct jl_buf b = JL_BUF_INIT(4 << 20);
    struct jl_json_out w;

    rnx_json_begin(&w, &b, false);
    jl_json_put_array(&w, NULL);
    for (size_t i = 0; i < c->n_nodes; i++) {
        const struct rnx_node *n = &c->nodes[i];
        struct jl_err why = JL_ERR_INIT;
        const char *problem = problem_of(n, &why);

        jl_json_put_object(&w, NULL);
        jl_json_put_str(&w, "name", n->name);
        jl_json_put_str(&w, "address", n->address);
        jl_json_put_str(&w, "nodeId", n->node_id ? n->node_id : "");
        jl_json_put_str(&w, "status", problem[0] ? "error" : "active");
        rnx_json_str(&w, "problem", problem);
        jl_json_put_bool(&w, "default", strcmp(n->name, chosen) == 0);
        rnx_json_str(&w, "cert", n->cert ? "***" : "");
        rnx_json_str(&w, "key", n->key ? "***" : "");
        rnx_json_str(&w, "ca", n->ca ? "***" : "");
        jl_json_end(&w);
    }
    jl_json_end(&w);
    return rnx_json_print(&w, stdout, e);
}

static void print_text(const struct rnx_conf *c, const char *chosen)
{
    char tame[512];

    printf("Nodes of %s:\n", c->path);
    for (size_t i = 0; i < c->n_nodes; i++) {
        const struct rnx_node *n = &c->nodes[i];
        struct jl_err why = JL_ERR_INIT;
        const char *problem = problem_of(n, &why);

        printf("\n%s%s\n", strcmp(n->name, chosen) == 0 ? "* " : "  ",
               rnx_tame(n->name, tame, sizeof tame));
        printf("    Address: %s\n", rnx_tame(n->address, tame, sizeof tame));
        printf("    Node ID: %s\n", n->node_id ? rnx_tame(n->node_id, tame, sizeof tame) : "-");
        printf("    Cert:    %s\n", n->cert ? "***" : "-");
        printf("    Key:     %s\n", n->key ? "***" : "-");
        printf("    CA:      %s\n", n->ca ? "***" : "-");
        if (problem[0])
            printf("    Error:   %s\n", problem);
    }
}

static int run_nodes(struct rnx *x, int argc, char **argv, struct jl_err *e)
{
    _strv_ struct jl_strv words = JL_STRV_INIT;
    const char *chosen;
    int r = rnx_parse(x, NULL, argc, argv, &words, e);

    if (r != 0)
        return r < 0 ? r : 0;
    if (words.len > 0)
        return rnx_usage(e, "rnx nodes takes no argument, got '%.60s'", words.items[0]);
    r = rnx_conf_load(x->g.config, &x->conf, e);
    if (r < 0)
        return r;
    x->have_conf = true;
    chosen = x->conf.default_node ? x->conf.default_node : "default";
    if (x->json)
        return print_json(&x->conf, chosen, e);
    print_text(&x->conf, chosen);
    return 0;
}

const struct rnx_cmd rnx_cmd_nodes = {
    .name = "nodes",
    .args = "",
    .summary = "list the nodes of the client configuration",
    .run = run_nodes,
};
