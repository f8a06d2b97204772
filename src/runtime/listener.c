/* listener.c - see listener.h. */
#include "runtime/listener.h"

#include <errno.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "runtime/child.h"
#include "runtime/spec.h"

#define STATE_MAX (1024 * 1024)

static int write_state(const struct rt_state *s, enum rt_status status, const char *metadata,
                       pid_t pid, struct jl_buf *out, struct jl_err *e)
{
    struct jl_json_out w = JL_JSON_OUT_INIT(out, 0);
    int r;

    w.replace = true; /* hooks get the same: what is no UTF-8 becomes U+FFFD */
    jl_json_put_object(&w, NULL);
    jl_json_put_str(&w, "ociVersion", s->oci_version ? s->oci_version : RT_SPEC_VERSION);
    jl_json_put_array(&w, "fds");
    jl_json_put_str(&w, NULL, "seccompFd");
    jl_json_end(&w);
    jl_json_put_i64(&w, "pid", pid);
    if (metadata)
        jl_json_put_str(&w, "metadata", metadata);
    jl_json_put_object(&w, "state");
    rt_state_put(&w, s, status);
    jl_json_end(&w);
    jl_json_end(&w);
    r = jl_json_finish(&w);
    return r < 0 ? jl_fail(e, -r, "linux.seccomp.listenerPath: write the state") : 0;
}

int rt_listener_send(const struct rt_state *s, enum rt_status status, const struct oci_seccomp *c,
                     pid_t pid, int own_fd, struct jl_err *e)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(STATE_MAX);
    _close_ int listener = own_fd;
    _close_ int sock = -1;
    int r;

    if (listener < 0 || !c || !c->listener_path)
        return jl_refuse(e, EPROTO, "the container's process sent no seccomp listener");
    r = write_state(s, status, c->listener_metadata, pid, &text, e);
    if (r == 0)
        r = rt_unix_connect(c->listener_path, &sock, e);
    if (r < 0)
        return jl_wrap(e, "linux.seccomp.listenerPath");
    r = jl_send_fds(sock, text.data, text.len, &listener, 1);
    return r < 0 ? jl_fail(e, -r, "linux.seccomp.listenerPath: send the listener to '%s'",
                           c->listener_path)
                 : 0;
}

int rt_listener_send_recorded(const struct rt_state *s, int own_fd, struct jl_err *e)
{
    _close_ int listener = own_fd;
    struct oci_spec *oci = NULL;
    int r;

    if (!s->config)
        return jl_refuse(e, EINVAL, "container '%s' has no stored configuration", s->id);
    r = oci_spec_parse(s->config, s->config_len, NULL, &oci, e);
    if (r == 0)
        r = rt_listener_send(s, RT_CREATED, oci->linux ? oci->linux->seccomp : NULL, s->pid,
                             jl_take_fd(&listener), e);
    oci_spec_free(oci);
    return r;
}
