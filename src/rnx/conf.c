/* conf.c - see conf.h. */
#include "rnx/conf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/parse.h"

static bool exists(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

static bool try_path(char *path, const char *dir, const char *file)
{
    int n = snprintf(path, RNX_CONF_PATH_MAX, "%s%s", dir, file);

    return n > 0 && n < RNX_CONF_PATH_MAX && exists(path);
}

int rnx_conf_find(const char *flag, char path[RNX_CONF_PATH_MAX], struct jl_err *e)
{
    const char *env = getenv("RNX_CONFIG");
    const char *home = getenv("HOME");

    if (flag && flag[0] != '\0') {
        if (try_path(path, "", flag))
            return 0;
        jl_refuse(e, ENOENT, "configuration file '%s' (--config) cannot be found", flag);
        return jl_hint(e, "rnx config-help says what belongs in it.");
    }
    if (env && env[0] != '\0' && try_path(path, "", env))
        return 0;
    if (try_path(path, "./", "rnx-config.yml") || try_path(path, "./config/", "rnx-config.yml"))
        return 0;
    if (home && home[0] != '\0' && try_path(path, home, "/.rnx/rnx-config.yml"))
        return 0;
    if (try_path(path, "/etc/joblet/", "rnx-config.yml") ||
        try_path(path, "/opt/joblet/config/", "rnx-config.yml"))
        return 0;
    jl_refuse(e, ENOENT,
              "no client configuration was found: rnx needs a rnx-config.yml with certificates");
    return jl_hint(e, "rnx config-help says where to get one and where it is looked for.");
}

static int read_node(const struct jl_yaml *map, struct rnx_node *n, struct jl_err *e)
{
    static const char *const keys[] = { "address", "nodeId", "cert", "key", "ca" };
    const char **const to[] = { &n->address, &n->node_id, &n->cert, &n->key, &n->ca };
    int r;

    if (map->kind != JL_YAML_MAP)
        return jl_yaml_refuse(map, e, EINVAL, "a node is a map with address, cert, key and ca");
    r = jl_yaml_known_keys(map, keys, JL_COUNT(keys), e);
    if (r < 0)
        return r;
    n->name = map->key;
    for (size_t i = 0; i < JL_COUNT(keys); i++) {
        r = jl_yaml_string(jl_yaml_get(map, keys[i]), to[i], e);
        if (r < 0)
            return r;
    }
    if (!n->address || n->address[0] == '\0')
        return jl_yaml_refuse(map, e, EINVAL, "the node has no address");
    return 0;
}

static int compare_nodes(const void *a, const void *b)
{
    return strcmp(((const struct rnx_node *) a)->name, ((const struct rnx_node *) b)->name);
}

static int read_tree(struct rnx_conf *c, struct jl_err *e)
{
    static const char *const keys[] = { "version", "nodes", "default_node", "timeout" };
    const struct jl_yaml *nodes = NULL;
    int r;

    r = jl_yaml_known_keys(c->tree, keys, JL_COUNT(keys), e);
    if (r < 0)
        return r;
    r = jl_yaml_string(jl_yaml_get(c->tree, "default_node"), &c->default_node, e);
    if (r < 0)
        return r;
    r = jl_yaml_duration(jl_yaml_get(c->tree, "timeout"), JL_NS_PER_MS, 3600 * JL_NS_PER_S,
                         &c->timeout_ns, e);
    if (r < 0)
        return r;
    r = jl_yaml_map(jl_yaml_get(c->tree, "nodes"), &nodes, e);
    if (r < 0)
        return r;
    if (!nodes || nodes->n_children == 0) {
        jl_refuse(e, EINVAL, "%s: no node: 'nodes' is missing or empty", c->path);
        return jl_hint(e, "rnx config-help shows the form.");
    }
    if (nodes->n_children > RNX_NODES_MAX)
        return jl_yaml_refuse(nodes, e, E2BIG, "more than %d nodes", RNX_NODES_MAX);
    c->nodes = calloc(nodes->n_children, sizeof *c->nodes);
    if (!c->nodes)
        return jl_fail(e, ENOMEM, "%s", c->path);
    JL_YAML_EACH(n, nodes)
    {
        r = read_node(n, &c->nodes[c->n_nodes++], e);
        if (r < 0)
            return r;
    }
    qsort(c->nodes, c->n_nodes, sizeof *c->nodes, compare_nodes);
    return 0;
}

int rnx_conf_parse(const char *name, const void *data, size_t len, struct rnx_conf *ret,
                   struct jl_err *e)
{
    struct rnx_conf c = { 0 };
    int r;

    snprintf(c.path, sizeof c.path, "%s", name);
    r = jl_yaml_parse(name, data, len, &jl_yaml_limits_config, &c.tree, e);
    if (r == 0)
        r = read_tree(&c, e);
    if (r < 0) {
        rnx_conf_done(&c);
        return r;
    }
    *ret = c;
    return 0;
}

int rnx_conf_load(const char *flag, struct rnx_conf *ret, struct jl_err *e)
{
    struct rnx_conf c = { 0 };
    struct stat st;
    int r;

    r = rnx_conf_find(flag, c.path, e);
    if (r < 0)
        return r;
    if (stat(c.path, &st) == 0) {
        c.mode = (unsigned) st.st_mode & 07777;
        c.world_readable = S_ISREG(st.st_mode) && (st.st_mode & (S_IWGRP | S_IROTH | S_IWOTH));
    }
    r = jl_yaml_load(c.path, &jl_yaml_limits_config, &c.tree, e);
    if (r == 0)
        r = read_tree(&c, e);
    if (r < 0) {
        rnx_conf_done(&c);
        return r;
    }
    *ret = c;
    return 0;
}

void rnx_conf_done(struct rnx_conf *c)
{
    free(c->nodes);
    jl_yaml_free(c->tree);
    memset(c, 0, sizeof *c);
}

int rnx_split_address(const char *address, char *host, size_t host_size, char *port,
                      size_t port_size)
{
    const char *colon = strrchr(address, ':');
    const char *begin = address, *end = address + strlen(address), *p = "";
    uint64_t number = 0;
    struct in6_addr v6;

    if (address[0] == '[') {
        begin++;
        end = strchr(address, ']');
        if (!end || (end[1] != '\0' && end[1] != ':'))
            return -EINVAL;
        if (end[1] == ':')
            p = end + 2;
    } else if (colon && strchr(address, ':') == colon) { /* one colon; more: a bare v6 address */
        end = colon;
        p = colon + 1;
        if (*p == '\0')
            return -EINVAL;
    } else if (colon && inet_pton(AF_INET6, address, &v6) != 1) {
        return -EINVAL;
    }
    if (end == begin || (size_t) (end - begin) >= host_size || strlen(p) >= port_size)
        return -EINVAL;
    if (*p != '\0' && (jl_parse_u64(p, 65535, &number) < 0 || number == 0))
        return -EINVAL;
    snprintf(host, host_size, "%.*s", (int) (end - begin), begin);
    snprintf(port, port_size, "%s", p);
    return 0;
}

static const struct rnx_node *node_named(const struct rnx_conf *c, const char *name)
{
    for (size_t i = 0; i < c->n_nodes; i++)
        if (strcmp(c->nodes[i].name, name) == 0)
            return &c->nodes[i];
    return NULL;
}

/* The node whose address has the same host, and the same port if `port` has one. */
static const struct rnx_node *node_at(const struct rnx_conf *c, const char *host, const char *port)
{
    char h[256], p[8];

    for (size_t i = 0; i < c->n_nodes; i++)
        if (rnx_split_address(c->nodes[i].address, h, sizeof h, p, sizeof p) == 0 &&
            strcmp(h, host) == 0 && (port[0] == '\0' || strcmp(p, port) == 0))
            return &c->nodes[i];
    return NULL;
}

static const char *env_word(const char *name)
{
    const char *s = getenv(name);

    return s && s[0] != '\0' ? s : NULL;
}

static int refuse_node(const struct rnx_conf *c, const char *name, struct jl_err *e)
{
    char known[160] = "";
    size_t len = 0;

    for (size_t i = 0; i < c->n_nodes && len < 120; i++)
        len += (size_t) snprintf(known + len, sizeof known - len, "%s%.40s", i ? ", " : "",
                                 c->nodes[i].name);
    jl_refuse(e, ENOENT, "node '%s' not found in configuration %s", name, c->path);
    return jl_hint(e, "It has: %s.", known);
}

int rnx_conf_choose(const struct rnx_conf *c, const char *flag, const struct rnx_node **ret_node,
                    char *address, size_t size, struct jl_err *e)
{
    const char *name = flag ? flag : env_word("RNX_NODE");
    const char *server = env_word("RNX_SERVER");
    char host[256], port[8] = "", node_host[256], node_port[8] = "";
    const struct rnx_node *node = NULL;

    if (server && rnx_split_address(server, host, sizeof host, port, sizeof port) < 0)
        return jl_refuse(e, EINVAL, "RNX_SERVER='%s' is neither host nor host:port", server);
    if (server && !name)
        node = node_at(c, host, port);
    if (!name)
        name = c->default_node ? c->default_node : "default";
    if (!node)
        node = node_named(c, name);
    if (!node)
        return refuse_node(c, name, e);
    if (rnx_split_address(node->address, node_host, sizeof node_host, node_port, sizeof node_port) <
        0)
        return jl_refuse(e, EINVAL, "%s: node '%s': address '%s' is neither host nor host:port",
                         c->path, node->name, node->address);
    if (!server)
        snprintf(host, sizeof host, "%s", node_host);
    if (port[0] == '\0')
        snprintf(port, sizeof port, "%s", node_port[0] ? node_port : RNX_DEFAULT_PORT);
    snprintf(address, size, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
    *ret_node = node;
    return 0;
}
