/* What the parser of control messages accepts is written again to the very same bytes. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "ipc/shimctl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t again[IPC_SHIM_PACKET_MAX];
    struct ipc_shim_msg m;
    struct jl_err e = JL_ERR_INIT;

    if (ipc_shim_msg_parse(data, len, &m, &e) < 0) {
        assert(e.code != 0 && e.text[0] != '\0');
        return 0;
    }
    assert(ipc_shim_msg_write(&m, again, sizeof again) == (int) len);
    assert(memcmp(again, data, len) == 0);
    return 0;
}
