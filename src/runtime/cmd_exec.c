/* cmd_exec.c - exec: a further process in a running container. */
#include <errno.h>

#include "base/err.h"
#include "runtime/cmd.h"

int rt_cmd_exec(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e)
{
    (void) ctx;
    (void) argc;
    (void) argv;
    return jl_refuse(e, ENOTSUP, "exec is not built yet");
}
