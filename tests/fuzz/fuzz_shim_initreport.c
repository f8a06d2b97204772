/* Whatever joblet-init's pipe holds, the record keeps its code and can be written and read again. The
 * first byte is the code that PID 1 ended with. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "ipc/initreport.h"
#include "shim/initreport.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ipc_exitrec r = { .kind = IPC_EXIT_CODE }, again;
    char text[IPC_INIT_REPORT_MAX] = "", file[IPC_EXITREC_MAX];
    struct jl_err e = JL_ERR_INIT;
    int n;

    if (len < 1 || len > sizeof text)
        return 0;
    r.value = data[0];
    memcpy(text, data + 1, len - 1);
    sh_initreport_apply(text, &r);
    assert(ipc_exitrec_shell_code(&r) == data[0]);
    n = ipc_exitrec_write(&r, file, sizeof file);
    assert(n > 0 && ipc_exitrec_parse(file, (size_t) n, &again, &e) == 0);
    assert(again.kind == r.kind && again.value == r.value);
    return 0;
}
