/*
 * fuzz_core_conf.c - joblet-config.yml. What is accepted can be dumped; the dump is accepted, and
 * dumped again it has the same bytes. What is refused says why.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "daemon/core/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    _buf_ struct jl_buf first = JL_BUF_INIT(16 << 20), second = JL_BUF_INIT(16 << 20);
    char *env[] = { NULL };
    struct jl_err e = JL_ERR_INIT;
    _conf_ struct jd_conf c = { 0 }, d = { 0 };

    if (jd_conf_parse(&c, "f", (const char *) data, len, NULL, env, &e) < 0) {
        assert(e.text[0]);
        return 0;
    }
    assert(jd_conf_dump(&c, &first) == 0);
    if (first.len > 1000000) /* the file's own ceiling */
        return 0;
    assert(jd_conf_parse(&d, "f", first.data, first.len, NULL, env, &e) == 0);
    assert(jd_conf_dump(&d, &second) == 0);
    assert(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    return 0;
}
