/* joblet-run's record of a container: whatever stands there is read or refused; the configuration
 * in it has the length that it says, and a process has a pid that can be one. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "runtime/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    _rt_state_ struct rt_state s = RT_STATE_INIT;
    _buf_ struct jl_buf out = JL_BUF_INIT((size_t) 64 << 20);
    struct jl_err e = JL_ERR_INIT;
    int r = rt_record_parse(&s, (const char *) data, len, &e);

    if (r < 0) {
        assert(e.code == -r && e.text[0] != '\0');
        return 0;
    }
    assert(s.pid >= 0);
    assert(s.config || s.config_len == 0);
    s.id = strdup("c");
    assert(s.id);
    assert(rt_state_json(&s, RT_STOPPED, true, &out, &e) == 0);
    return 0;
}
