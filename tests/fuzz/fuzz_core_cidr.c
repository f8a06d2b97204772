/* What clients and nft say of networks: what is taken for a CIDR prints as it was, every address that
 * is given out lies in it, and a firewall's names end. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "daemon/core/cidr.h"
#include "daemon/core/netfirewall.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void try_places(const struct jd_cidr *c, uint32_t block)
{
    struct jd_places p;
    uint32_t addr;

    jd_places_init(&p, c, block);
    for (int i = 0; i < 4 && jd_places_take(&p, &addr) == 0; i++) {
        assert(jd_cidr_has(c, addr));
        assert(jd_cidr_has(c, jd_places_gateway(&p, addr)));
        assert(jd_places_has(&p, addr));
    }
    jd_places_done(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct jl_err e = JL_ERR_INIT;
    struct jd_firewall f = { .family = "" };
    char *text = malloc(len + 1), again[JD_CIDR_TEXT];
    const char *at = text;
    struct jd_cidr c;
    uint32_t addr;

    assert(text);
    memcpy(text, data, len);
    text[len] = '\0';
    if (jd_cidr_parse("cidr", text, 30, &c, &e) == 0) {
        assert(strcmp(jd_cidr_text(&c, again), text) == 0);
        try_places(&c, 1);
        try_places(&c, 4);
    }
    if (jd_ip_parse(text, &addr) == 0)
        assert(strcmp(jd_ip_text(addr, again), text) == 0);
    if (jd_net_check_name(text, &e) == 0)
        assert(len > 0 && len <= 63);
    while (jd_firewall_next(&at, &f)) {
        assert(strlen(f.table) < sizeof f.table && strlen(f.chain) < sizeof f.chain);
        assert(at <= text + len);
    }
    free(text);
    return 0;
}
