/* state_json.c - a container's state as the specification has it (runtime.md, State), and what we
 * know besides. */
#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "runtime/state.h"

static void put_phases(struct jl_json_out *w, const struct rt_state *s)
{
    jl_json_put_object(w, "phasesUs");
    for (unsigned i = 0; i < RT_PHASE_N; i++)
        jl_json_put_u64(w, rt_phase_name(i), s->phase_us[i]);
    jl_json_end(w);
}

/* As a shell has it: 128 and the signal's number. */
static void put_ending(struct jl_json_out *w, const struct rt_state *s)
{
    int status = s->exit_status;

    jl_json_put_i64(w, "exitStatus",
                    WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
    if (WIFSIGNALED(status))
        jl_json_put_i64(w, "exitSignal", WTERMSIG(status));
    if (s->finished)
        jl_json_put_str(w, "finished", s->finished);
}

/* Beside what runc prints. */
static void put_extended(struct jl_json_out *w, const struct rt_state *s, enum rt_status status)
{
    char owner[16];

    jl_json_put_str(w, "rootfs", s->rootfs ? s->rootfs : "");
    jl_json_put_str(w, "created", s->created ? s->created : "");
    snprintf(owner, sizeof owner, s->owner == 0 ? "root" : "#%u", s->owner);
    jl_json_put_str(w, "owner", owner);
    if (s->cgroup)
        jl_json_put_str(w, "cgroup", s->cgroup);
    if (s->unit)
        jl_json_put_str(w, "unit", s->unit);
    if (status == RT_STOPPED && s->exited)
        put_ending(w, s);
    if (s->has_phases)
        put_phases(w, s);
}

static void put_state(struct jl_json_out *w, const struct rt_state *s, enum rt_status status,
                      bool extended)
{
    jl_json_put_str(w, "ociVersion", s->oci_version ? s->oci_version : "1.0.0");
    jl_json_put_str(w, "id", s->id);
    jl_json_put_str(w, "status", rt_status_name(status));
    if (status != RT_STOPPED && s->pid > 0)
        jl_json_put_i64(w, "pid", s->pid);
    else if (extended)
        jl_json_put_i64(w, "pid", 0);
    jl_json_put_str(w, "bundle", s->bundle ? s->bundle : "");
    if (extended)
        put_extended(w, s, status);
    if (s->n_annotations > 0) {
        jl_json_put_object(w, "annotations");
        for (size_t i = 0; i < s->n_annotations; i++)
            jl_json_put_str(w, s->annotations[i].key, s->annotations[i].value);
        jl_json_end(w);
    }
}

void rt_state_put(struct jl_json_out *w, const struct rt_state *s, enum rt_status status)
{
    put_state(w, s, status, false);
}

int rt_state_json(const struct rt_state *s, enum rt_status status, bool extended,
                  struct jl_buf *out, struct jl_err *e)
{
    struct jl_json_out w = JL_JSON_OUT_INIT(out, extended ? 2 : 0);
    int r;

    w.replace = true;
    jl_json_put_object(&w, NULL);
    put_state(&w, s, status, extended);
    jl_json_end(&w);
    r = jl_json_finish(&w);
    return r < 0 ? jl_fail(e, -r, "write the state of container '%s'", s->id) : 0;
}
