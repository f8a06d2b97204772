/* The annotation io.joblet.landlock: what is refused has a sentence; what is accepted restricts
 * something, and its paths are absolute. */
#include <assert.h>
#include <stdint.h>

#include "base/err.h"
#include "runtime/landlock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct jl_err e = JL_ERR_INIT;
    struct rt_landlock *l = NULL;
    int r = rt_landlock_parse((const char *) data, len, &l, &e);
    bool any;

    if (r < 0) {
        assert(e.code == -r && e.text[0] != '\0' && !l);
        return 0;
    }
    any = l->bind.given || l->connect.given || l->scope_signal || l->scope_unix;
    for (unsigned k = 0; k < RT_LL_PATHS; k++) {
        any = any || l->given[k];
        assert(l->paths[k].len <= RT_LANDLOCK_RULES_MAX);
        for (size_t i = 0; i < l->paths[k].len; i++)
            assert(l->paths[k].items[i][0] == '/');
    }
    assert(any);
    assert(rt_landlock_abi(l) >= 1 && rt_landlock_abi(l) <= 6);
    rt_landlock_free(l);
    return 0;
}
