/* step_hooks.c - the child's side of hooks: asking the parent for its hooks, and those that run
 * in the container's namespaces while the host's files are still there. */
#include <errno.h>
#include <unistd.h>

#include "base/err.h"
#include "runtime/child.h"
#include "runtime/hooks.h"
#include "runtime/launch.h"
#include "runtime/step.h"
#include "runtime/sync.h"

int rt_step_hooks_ask(struct rt_launch *l, size_t i, struct jl_err *e)
{
    struct jl_err none;
    int r = rt_sync_send(l->sync, RT_MSG_HOOKS, -1);

    (void) i;
    if (r < 0)
        return jl_fail(e, -r, "ask for the hooks");
    if (rt_sync_recv(l->sync, NULL, &none) != RT_MSG_HOOKS_DONE)
        _exit(RT_EXIT_SETUP); /* a hook failed; the parent knows */
    return 0;
}

int rt_step_hooks_container(struct rt_launch *l, size_t i, struct jl_err *e)
{
    const struct oci_hooks *h = l->spec->oci->hooks;

    (void) i;
    l->state->pid = getpid(); /* as seen from in here, which is where the hooks run */
    return rt_hooks_run(h->create_container, h->n_create_container, "createContainer", l->state,
                        RT_CREATING, e);
}
