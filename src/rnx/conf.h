/*
 * conf.h - rnx's configuration file: which one is used, its nodes, and which of them is meant.
 * Form: docs/man/rnx-config.yml.5. Precedence everywhere: flag, environment, file, default.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/yaml.h"

#define RNX_CONF_PATH_MAX 4096
#define RNX_DEFAULT_PORT "50051"
#define RNX_NODES_MAX 1000

struct rnx_node {
    const char *name;
    const char *address;         /* as written; may lack a port */
    const char *node_id;         /* NULL when not given */
    const char *cert, *key, *ca; /* PEM; NULL when not given */
};

struct rnx_conf {
    char path[RNX_CONF_PATH_MAX];
    bool world_readable; /* others can read the keys, or change the file */
    unsigned mode;
    struct jl_yaml *tree; /* owns every string below */
    struct rnx_node *nodes;
    size_t n_nodes;
    const char *default_node; /* from the file; NULL when not given */
    uint64_t timeout_ns;      /* from the file; 0 when not given */
};

/*
 * The file that is used: `flag` (--config; must exist), $RNX_CONFIG when it exists,
 * ./rnx-config.yml, ./config/rnx-config.yml, ~/.rnx/rnx-config.yml, /etc/joblet/rnx-config.yml,
 * /opt/joblet/config/rnx-config.yml. 0, or -ENOENT with e filled.
 */
int rnx_conf_find(const char *flag, char path[RNX_CONF_PATH_MAX], struct jl_err *e);

/* Reads and checks text that is the file's. 0 and a conf for rnx_conf_done (path is `name`), or
 * -errno with e filled. */
int rnx_conf_parse(const char *name, const void *data, size_t len, struct rnx_conf *ret,
                   struct jl_err *e);

/* Finds, reads and checks it. 0 and a conf for rnx_conf_done, or -errno with e filled. */
int rnx_conf_load(const char *flag, struct rnx_conf *ret, struct jl_err *e);
void rnx_conf_done(struct rnx_conf *c);

/*
 * The node that is meant, and the address to dial with a port: `flag` (--node), $RNX_NODE, the
 * file's default_node, "default". $RNX_SERVER replaces the address; when no node was named and it
 * is the host of one, that node's certificates are used. Points into c.
 * 0, or -ENOENT/-EINVAL with e filled.
 */
int rnx_conf_choose(const struct rnx_conf *c, const char *flag, const struct rnx_node **ret_node,
                    char *address, size_t size, struct jl_err *e);

/* "host", "host:port", "[v6]:port" and bare "v6" to host and port; port is "" when there is none.
 * 0, or -EINVAL: not one of these. */
int rnx_split_address(const char *address, char *host, size_t host_size, char *port,
                      size_t port_size);
