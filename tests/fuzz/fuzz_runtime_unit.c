/* An answer of joblet-systemd: the path of a group, or an error with a number and a sentence. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "runtime/unit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct jl_buf line = JL_BUF_INIT(1 << 20);
    struct jl_err e = JL_ERR_INIT;
    char *cgroup = NULL;
    int r;

    if (len == 0 || jl_buf_add(&line, data, len) < 0)
        return 0;
    r = rt_unit_answer(&line, &cgroup, &e);
    assert(r == 0 ? cgroup && cgroup[0] != '\0' : !cgroup && e.code == -r && e.text[0] != '\0');
    assert(memchr(e.hint, '\0', sizeof e.hint) && memchr(e.object, '\0', sizeof e.object));
    free(cgroup);
    jl_buf_clear(&line);
    return 0;
}
