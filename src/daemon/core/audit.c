/* audit.c - see audit.h. */
#include "daemon/core/audit.h"

#include <errno.h>
#include <fcntl.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/core/core.h"
#include "daemon/core/request.h"

#define LINE_MAX_BYTES 8192

int jd_audit_open(struct jd_core *c, struct jl_err *e)
{
    int fd;

    if (!c->conf.audit_enabled)
        return 0;
    fd = open(c->conf.audit_file,
              O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (fd < 0)
        return jl_fail_sys(e, "open", c->conf.audit_file, "audit file");
    jl_close(c->audit_fd);
    c->audit_fd = fd;
    return 0;
}

/* Reading what everybody with a certificate may read leaves no line, unless it was refused; nor do
 * the parts of a RunJob that are front's. */
static bool wanted(const struct jd_call *call, uint32_t status)
{
    if (status == API_PERMISSION_DENIED || status == API_UNAUTHENTICATED)
        return true;
    return jd_op_role(call->op) > JD_ROLE_READER && call->op != JD_OP_STAGE &&
           call->op != JD_OP_UNSTAGE && call->op != JD_OP_KEEP_STAGE;
}

void jd_audit(const struct jd_call *call, uint32_t status, const char *text)
{
    _buf_ struct jl_buf line = JL_BUF_INIT(LINE_MAX_BYTES);
    struct jl_json_out w = JL_JSON_OUT_INIT(&line, 0);
    char when[JL_RFC3339_MAX];

    if (call->core->audit_fd < 0 || !wanted(call, status))
        return;
    w.replace = true; /* names come from certificates */
    jl_json_put_object(&w, NULL);
    jl_json_put_str(&w, "time", jl_rfc3339(jl_wall_ns(), 3, when));
    jl_json_put_str(&w, "operation", jd_op_name(call->op));
    jl_json_put_str(&w, "status", api_status_name(status));
    jl_json_put_str(&w, "client", call->who.common_name);
    jl_json_put_str(&w, "role", jd_role_name(call->role));
    jl_json_put_str(&w, "serial", call->who.serial);
    jl_json_put_str(&w, "peer", call->who.peer);
    if (call->job_id[0])
        jl_json_put_str(&w, "job", call->job_id);
    if (text[0])
        jl_json_put_str(&w, "message", text);
    jl_json_end(&w);
    if (jl_json_finish(&w) < 0 || jl_buf_putc(&line, '\n') < 0 ||
        jl_write_all(call->core->audit_fd, line.data, line.len) < 0)
        jl_log_warn("audit.write", "operation=%s client=%s: the line is lost", jd_op_name(call->op),
                    call->who.common_name);
}
