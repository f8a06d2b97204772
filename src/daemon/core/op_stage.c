/* op_stage.c - the directories that uploads are written into before their job is submitted. */
#include <errno.h>

#include "base/cleanup.h"
#include "daemon/core/core.h"
#include "daemon/core/request.h"

void jd_op_stage(struct jd_call *call, const struct ipc_frame *f)
{
    struct jl_err e = JL_ERR_INIT;
    const char *session;
    _close_ int fd = -1;

    (void) f;
    if (jd_stage_new(call->core, &call->who, &session, &fd, &e) < 0) {
        jd_reply_error(call, &e);
        return;
    }
    jd_reply_fds(call, session, &fd, 1);
}

void jd_op_keep_stage(struct jd_call *call, const struct ipc_frame *f)
{
    struct jl_err e = JL_ERR_INIT;
    struct jd_stage *s = jd_stage_find(call->core, f->text, &call->who, &e);

    if (!s) {
        jd_reply_error(call, &e);
        return;
    }
    jd_stage_keep(call->core, s);
    jd_reply(call, NULL);
}

/* The session is whole, which its client is told once: front has the audit file say so for no session
 * that is not there, and for none twice. */
void jd_op_stage_uploads(struct jd_call *call, const struct ipc_frame *f)
{
    struct jl_err e = JL_ERR_INIT;
    struct jd_stage *s = jd_stage_find(call->core, f->text, &call->who, &e);

    if (s && s->whole)
        jl_refuse(&e, EALREADY, "upload session '%s' is whole already", s->session);
    if (e.code) {
        jd_reply_error(call, &e);
        return;
    }
    s->whole = true;
    jd_stage_keep(call->core, s);
    jd_reply(call, NULL);
}

/* The session is the frame's text, as the reply to STAGE gave it. */
void jd_op_unstage(struct jd_call *call, const struct ipc_frame *f)
{
    struct jl_err e = JL_ERR_INIT;
    struct jd_stage *s = jd_stage_find(call->core, f->text, &call->who, &e);

    if (!s) {
        jd_reply_error(call, &e);
        return;
    }
    jd_stage_drop(call->core, s);
    jd_reply(call, NULL);
}
