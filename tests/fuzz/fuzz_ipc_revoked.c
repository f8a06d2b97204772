/*
 * A list of revoked certificates: what is accepted is ascending, is written again to what reads as
 * the same list, and each of its serials is found.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "ipc/revoked.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(IPC_REVOKED_BYTES_MAX);
    _revoked_ struct ipc_revoked list = { 0 };
    _revoked_ struct ipc_revoked again = { 0 };
    struct jl_err e = JL_ERR_INIT;

    if (ipc_revoked_parse("f", (const char *) data, len, &list, &e) < 0) {
        assert(e.code > 0 && e.text[0] && list.n == 0);
        return 0;
    }
    for (size_t i = 0; i < list.n; i++) {
        assert(i == 0 || strcmp(list.serials[i - 1], list.serials[i]) < 0);
        assert(ipc_revoked_has(&list, list.serials[i]));
    }
    assert(ipc_revoked_write(&list, &text) == 0);
    assert(ipc_revoked_parse("f", text.data ? text.data : "", text.len, &again, &e) == 0);
    assert(again.n == list.n);
    for (size_t i = 0; i < list.n; i++)
        assert(strcmp(again.serials[i], list.serials[i]) == 0);
    return 0;
}
