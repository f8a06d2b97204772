/* audit.c - see audit.h. */
#include "daemon/core/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/core/core.h"
#include "daemon/core/request.h"

#define LINE_MAX_BYTES 8192
#define TELL_NS (60 * JL_NS_PER_S) /* between two words about lost lines */

int jd_audit_open(struct jd_core *c, struct jl_err *e)
{
    int fd;

    if (!c->conf.audit_enabled)
        return 0;
    fd = open(c->conf.audit_file,
              O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (fd < 0)
        return jl_fail_sys(e, "open", c->conf.audit_file, "audit file");
    jl_close(c->audit.fd);
    c->audit.fd = fd;
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

/* Whole or not at all: what a full disk took of a line is cut off again. 0 or -errno. */
static int append(int fd, const struct jl_buf *line)
{
    ssize_t n = write(fd, line->data, line->len);
    int r = n < 0 ? -errno : (size_t) n < line->len ? -ENOSPC : 0;
    struct stat st;

    if (n > 0 && r < 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= n &&
        ftruncate(fd, st.st_size - n) < 0)
        jl_log_warn("audit.lost", "a line is cut off: %s", strerror(errno));
    return r;
}

static void lose(struct jd_core *c, int r)
{
    uint64_t now = jl_now_ns();

    c->audit.lost++;
    if (c->audit.lost > 1 && now < c->audit.told_ns + TELL_NS)
        return;
    c->audit.told_ns = now;
    jl_log_warn("audit.lost", "write '%s': %s; lines lost: %" PRIu64, c->conf.audit_file,
                strerror(-r), c->audit.lost);
}

/* Says in the file itself how many lines are missing before it goes on. 0 or -errno. */
static int tell_gap(struct jd_core *c)
{
    _buf_ struct jl_buf line = JL_BUF_INIT(LINE_MAX_BYTES);
    struct jl_json_out w = JL_JSON_OUT_INIT(&line, 0);
    char when[JL_RFC3339_MAX];
    int r;

    jl_json_put_object(&w, NULL);
    jl_json_put_str(&w, "time", jl_rfc3339(jl_wall_ns(), 3, when));
    jl_json_put_str(&w, "operation", "audit");
    jl_json_put_u64(&w, "lost", c->audit.lost);
    jl_json_end(&w);
    r = jl_json_finish(&w);
    if (r == 0)
        r = jl_buf_putc(&line, '\n');
    if (r == 0)
        r = append(c->audit.fd, &line);
    if (r < 0)
        return r;
    jl_log_info("audit.resumed", "lines lost: %" PRIu64, c->audit.lost);
    c->audit.lost = 0;
    return 0;
}

static int put_line(const struct jd_call *call, uint32_t status, const char *text,
                    struct jl_buf *line)
{
    struct jl_json_out w = JL_JSON_OUT_INIT(line, 0);
    char when[JL_RFC3339_MAX];
    int r;

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
    r = jl_json_finish(&w);
    return r < 0 ? r : jl_buf_putc(line, '\n');
}

void jd_audit(const struct jd_call *call, uint32_t status, const char *text)
{
    _buf_ struct jl_buf line = JL_BUF_INIT(LINE_MAX_BYTES);
    struct jd_core *c = call->core;
    int r;

    if (c->audit.fd < 0 || !wanted(call, status))
        return;
    r = put_line(call, status, text, &line);
    if (r == 0 && c->audit.lost > 0)
        r = tell_gap(c);
    if (r == 0)
        r = append(c->audit.fd, &line);
    if (r < 0)
        lose(c, r);
}
