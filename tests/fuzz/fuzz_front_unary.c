/*
 * fuzz_front_unary.c - the message of a call from the network, of every method that ops.def has, as
 * joblet-front decodes, checks and encodes it for core. What is refused says why; what is accepted is
 * accepted again with the same bytes, and nothing is in it that joblet.proto does not name.
 *
 * Input: the method's number, then the message.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "api/joblet.pb-c.h"
#include "base/cleanup.h"
#include "daemon/front/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct {
    enum jd_op op;
    const char *method;
} methods[] = {
#define JD_OP(id, name, method, role) { id, method },
#include "ipc/ops.def"
#undef JD_OP
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    _decoded_ struct jd_decoded d = { 0 }, again = { 0 };
    struct jl_err e = JL_ERR_INIT;
    size_t i;

    if (len == 0)
        return 0;
    i = data[0] % JL_COUNT(methods);
    if (!methods[i].method)
        return 0;
    if (jd_decode(methods[i].op, methods[i].method, data + 1, len - 1, &d, &e) < 0) {
        assert(e.text[0] && e.code != 0 && !d.body);
        return 0;
    }
    assert(d.len <= 10 * len); /* a number may be written longer, nothing is made up */
    assert(jd_decode(methods[i].op, methods[i].method, d.body, d.len, &again, &e) == 0);
    assert(again.len == d.len && memcmp(again.body, d.body, d.len) == 0);
    assert(again.stops == d.stops && again.grace_ms == d.grace_ms);
    return 0;
}
