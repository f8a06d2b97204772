/*
 * A client configuration from anywhere: nodes with names and addresses, sorted, one of which can be
 * chosen or not, or a refusal with a sentence.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "rnx/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct rnx_conf c;
    struct jl_err e = JL_ERR_INIT;
    const struct rnx_node *n = NULL;
    char address[300], host[256], port[8];

    if (rnx_conf_parse("fuzz", data, len, &c, &e) < 0) {
        assert(e.code != 0 && e.text[0] != '\0');
        return 0;
    }
    assert(c.n_nodes > 0);
    for (size_t i = 0; i < c.n_nodes; i++) {
        assert(c.nodes[i].name && c.nodes[i].address && c.nodes[i].address[0] != '\0');
        assert(i == 0 || strcmp(c.nodes[i - 1].name, c.nodes[i].name) < 0);
    }
    if (rnx_conf_choose(&c, c.nodes[0].name, &n, address, sizeof address, &e) == 0) {
        assert(n == &c.nodes[0]);
        assert(rnx_split_address(address, host, sizeof host, port, sizeof port) == 0);
        assert(port[0] != '\0');
    }
    rnx_conf_choose(&c, NULL, &n, address, sizeof address, &e);
    rnx_conf_done(&c);
    return 0;
}
