/* audit.c - see audit.h. */
#include "daemon/core/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
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
#define TELL_NS (60 * JL_NS_PER_S)   /* between two words about lost lines */
#define REPEAT_NS (10 * JL_NS_PER_S) /* between two lines about the same refusal */
#define REFUSED_MAX 256              /* kinds of them in that time; more are lost */

/* One certificate, role, operation and status. */
struct jd_audit_refused {
    struct jd_call call; /* the last one */
    uint32_t status;
    uint64_t until_ns; /* of the line's time; 0: free */
    uint64_t n;        /* since that line */
};

/* Reading what everybody with a certificate may read leaves no line, unless it was refused; nor do
 * front's steps of a RunJob or StageUploads: how the whole call ended is told by the last of them, or
 * by front. */
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

/* repeated: how many calls it stands for; 0: this one. */
static int put_line(const struct jd_call *call, uint32_t status, const char *text,
                    uint64_t repeated, struct jl_buf *line)
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
    if (repeated > 0)
        jl_json_put_u64(&w, "repeated", repeated);
    else if (call->job_id[0])
        jl_json_put_str(&w, "job", call->job_id);
    else if (call->object[0])
        jl_json_put_str(&w, "object", call->object);
    if (text[0])
        jl_json_put_str(&w, "message", text);
    jl_json_end(&w);
    r = jl_json_finish(&w);
    return r < 0 ? r : jl_buf_putc(line, '\n');
}

static void write_line(const struct jd_call *call, uint32_t status, const char *text,
                       uint64_t repeated)
{
    _buf_ struct jl_buf line = JL_BUF_INIT(LINE_MAX_BYTES);
    struct jd_core *c = call->core;
    int r = put_line(call, status, text, repeated, &line);

    if (r == 0 && c->audit.lost > 0)
        r = tell_gap(c);
    if (r == 0)
        r = append(c->audit.fd, &line);
    if (r < 0)
        lose(c, r);
}

/* Says how often it was refused since the last line about it. */
static void tell_repeated(struct jd_audit_refused *f)
{
    if (f->n > 0)
        write_line(&f->call, f->status, "", f->n);
    f->n = 0;
}

static int on_repeated(struct jl_timer *t)
{
    struct jd_core *c = JL_CONTAINER(t, struct jd_core, audit.timer);
    uint64_t now = jl_now_ns(), next = 0;

    for (size_t i = 0; i < REFUSED_MAX; i++) {
        struct jd_audit_refused *f = &c->audit.refused[i];

        if (f->until_ns <= now) {
            f->until_ns = f->n > 0 ? now + REPEAT_NS : 0;
            tell_repeated(f);
        }
        if (f->until_ns > 0 && (next == 0 || f->until_ns < next))
            next = f->until_ns;
    }
    if (next > 0)
        jl_loop_arm(c->loop, &c->audit.timer, next, on_repeated);
    return 0;
}

static bool is_alike(const struct jd_audit_refused *f, const struct jd_call *call, uint32_t status)
{
    return f->status == status && f->call.op == call->op && f->call.role == call->role &&
           strcmp(f->call.who.serial, call->who.serial) == 0;
}

/* True when the call has been counted, and has no line of its own. */
static bool count_refused(const struct jd_call *call, uint32_t status)
{
    struct jd_audit *a = &call->core->audit;
    struct jd_audit_refused *f = NULL;
    bool was_idle = true;

    if (!a->refused)
        a->refused = calloc(REFUSED_MAX, sizeof *a->refused);
    for (size_t i = 0; a->refused && i < REFUSED_MAX; i++) {
        struct jd_audit_refused *x = &a->refused[i];

        if (x->until_ns == 0) {
            f = f ? f : x;
        } else if (is_alike(x, call, status)) {
            x->call = *call;
            x->n++;
            return true;
        } else {
            was_idle = false;
        }
    }
    if (!f) {
        lose(call->core, a->refused ? -ENOBUFS : -ENOMEM);
        return true;
    }
    *f = (struct jd_audit_refused){ .call = *call,
                                    .status = status,
                                    .until_ns = jl_now_ns() + REPEAT_NS };
    if (was_idle)
        jl_loop_arm(call->core->loop, &a->timer, f->until_ns, on_repeated);
    return false;
}

static void forget_refused(struct jd_core *c)
{
    jl_loop_disarm(c->loop, &c->audit.timer);
    for (size_t i = 0; c->audit.refused && i < REFUSED_MAX; i++)
        tell_repeated(&c->audit.refused[i]);
    free(jl_take_ptr(c->audit.refused));
}

int jd_audit_open(struct jd_core *c, struct jl_err *e)
{
    int fd;

    if (!c->conf.audit_enabled)
        return 0;
    fd = open(c->conf.audit_file,
              O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (fd < 0)
        return jl_fail_sys(e, "open", c->conf.audit_file, "audit file");
    forget_refused(c);
    jl_close(c->audit.fd);
    c->audit.fd = fd;
    return 0;
}

void jd_audit_done(struct jd_core *c)
{
    forget_refused(c);
    c->audit.fd = jl_close(c->audit.fd);
}

void jd_audit(const struct jd_call *call, uint32_t status, const char *text)
{
    if (call->core->audit.fd < 0 || !wanted(call, status))
        return;
    if (status == API_OK || !count_refused(call, status))
        write_line(call, status, text, 0);
}
