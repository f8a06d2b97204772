/* cmd_pause.c - pause and resume: the freezer of the container's control group. */
#include <errno.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "os/cgroup.h"
#include "runtime/cmd.h"
#include "runtime/state.h"

/*
 * A created container is not paused: `start` would wait for a process that can't answer. The words
 * are those that engines know from runc.
 */
static int check_status(const struct rt_state *s, bool freeze, int is_frozen, struct jl_err *e)
{
    enum rt_status status = rt_state_status(s, NULL);

    if (status == RT_STOPPED)
        return jl_refuse(e, ESRCH, "container not running: '%s' is stopped", s->id);
    if (!freeze)
        return is_frozen ? 0 : jl_refuse(e, EINVAL, "container not paused: '%s'", s->id);
    if (is_frozen)
        return jl_refuse(e, EINVAL, "container not running: '%s' is paused", s->id);
    if (status == RT_RUNNING)
        return 0;
    jl_refuse(e, EINVAL, "container not running: '%s' is %s", s->id, rt_status_name(status));
    return jl_hint(e, "start it first");
}

static int set_frozen(const struct rt_ctx *ctx, const char *verb, bool freeze, int argc,
                      char **argv, struct jl_err *e)
{
    _rt_state_ struct rt_state s = RT_STATE_INIT;
    struct os_cgroup *cg = NULL;
    _close_ int root = -1;
    struct rt_args args;
    int r = rt_cmd_parse(verb, NULL, 0, argc, argv, 1, false, &args, e);

    if (r != 0)
        return r < 0 ? r : 0;
    r = rt_container_lock(ctx, args.items[0], &root, &s, e);
    if (r == 0 && rt_state_status(&s, NULL) == RT_STOPPED)
        r = check_status(&s, freeze, 0, e); /* its group may be gone */
    if (r == 0)
        r = rt_container_group(&s, verb, &cg, e);
    if (r == 0)
        r = check_status(&s, freeze, os_cgroup_is_frozen(cg) == 1, e);
    if (r == 0)
        r = os_cgroup_freeze(cg, freeze, e);
    os_cgroup_free(cg);
    return r < 0 ? jl_phase(e, verb) : 0;
}

int rt_cmd_pause(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e)
{
    return set_frozen(ctx, "pause", true, argc, argv, e);
}

int rt_cmd_resume(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e)
{
    return set_frozen(ctx, "resume", false, argc, argv, e);
}
