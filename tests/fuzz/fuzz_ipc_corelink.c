/* What the parser of link packets accepts is written again to the very same bytes. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "ipc/corelink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static uint8_t again[IPC_LINK_PACKET_MAX];
    struct ipc_frame f;
    struct jl_err e = JL_ERR_INIT;

    if (ipc_frame_parse(data, len, &f, &e) < 0) {
        assert(e.code != 0 && e.text[0] != '\0');
        return 0;
    }
    assert(f.body_len > IPC_LINK_INLINE_MAX || (f.body_len == 0) == (f.body == NULL));
    assert(ipc_frame_write(&f, again, sizeof again) == (int) len);
    assert(memcmp(again, data, len) == 0);
    jd_role_parse(f.who.unit);
    return 0;
}
