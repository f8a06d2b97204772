/* What the parser of exit records accepts is written again to the very same bytes. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "ipc/exitrec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char again[IPC_EXITREC_MAX];
    struct ipc_exitrec r;
    struct jl_err e = JL_ERR_INIT;

    if (ipc_exitrec_parse((const char *) data, len, &r, &e) < 0) {
        assert(e.code != 0 && e.text[0] != '\0');
        return 0;
    }
    assert(ipc_exitrec_write(&r, again, sizeof again) == (int) len);
    assert(memcmp(again, data, len) == 0);
    assert(ipc_exitrec_shell_code(&r) >= 0 && ipc_exitrec_shell_code(&r) <= 255);
    return 0;
}
