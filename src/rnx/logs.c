/* logs.c - see logs.h. */
#include "rnx/logs.h"

#include <errno.h>

#include "api/status.h"
#include "api/validate.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "rnx/out.h"
#include "rnx/stream.h"

#define MESSAGE_MAX (256u << 20)

struct reader {
    struct rnx *x;
    const char *id;
    const struct rnx_log_opts *o;
    uint64_t next;      /* sequence of the first record not yet printed; 0: nothing printed */
    bool printed;       /* something was */
    bool unnumbered;    /* of a server that does not number its chunks: can't go on after a loss */
    bool at_line_start; /* for --timestamps */
    struct rnx_again again;
};

static const char *stream_name(int stream)
{
    return stream == 2 ? "stderr" : stream == 1 || stream == 0 ? "stdout" : "joblet";
}

static void put_base64(struct jl_json_out *w, const char *key, const uint8_t *p, size_t len)
{
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    _buf_ struct jl_buf b = JL_BUF_INIT(4u << 20);

    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        uint32_t v = (uint32_t) p[i] << 16 | (left > 1 ? (uint32_t) p[i + 1] << 8 : 0) |
                     (left > 2 ? p[i + 2] : 0);

        jl_buf_putc(&b, set[v >> 18]);
        jl_buf_putc(&b, set[v >> 12 & 63]);
        jl_buf_putc(&b, left > 1 ? set[v >> 6 & 63] : '=');
        jl_buf_putc(&b, left > 2 ? set[v & 63] : '=');
    }
    jl_json_put_str(w, key, b.data);
}

static int print_json(const Joblet__DataChunk *c, struct jl_err *e)
{
    _buf_ struct jl_buf b = JL_BUF_INIT(16u << 20);
    struct jl_json_out w;
    char when[JL_RFC3339_MAX];
    int r;

    rnx_json_begin(&w, &b, true);
    jl_json_put_object(&w, NULL);
    jl_json_put_str(&w, "timestamp", jl_rfc3339((uint64_t) c->timestamp, 9, when));
    jl_json_put_str(&w, "stream", stream_name(c->stream));
    jl_json_put_u64(&w, "sequence", c->sequence);
    if (c->dropped_bytes > 0)
        jl_json_put_u64(&w, "dropped_bytes", c->dropped_bytes);
    if (jl_utf8_valid((const char *) c->payload.data, c->payload.len, NULL))
        jl_json_put_strn(&w, "data", (const char *) c->payload.data, c->payload.len);
    else
        put_base64(&w, "data_base64", c->payload.data, c->payload.len);
    jl_json_end(&w);
    r = jl_json_finish(&w);
    if (r == 0)
        r = jl_buf_putc(&b, '\n');
    if (r < 0)
        return jl_fail(e, -r, "write JSON");
    return rnx_write(b.data, b.len, e);
}

static int print_stamped(struct reader *rd, const Joblet__DataChunk *c, struct jl_err *e)
{
    _buf_ struct jl_buf b = JL_BUF_INIT(256u << 20);
    const char *p = (const char *) c->payload.data, *end = p + c->payload.len;
    char when[JL_RFC3339_MAX];
    int r = 0;

    jl_rfc3339((uint64_t) c->timestamp, 3, when);
    while (r == 0 && p < end) {
        const char *nl = memchr(p, '\n', (size_t) (end - p));
        size_t len = nl ? (size_t) (nl + 1 - p) : (size_t) (end - p);

        if (rd->at_line_start)
            r = jl_buf_printf(&b, "%s ", when);
        if (r == 0)
            r = jl_buf_add(&b, p, len);
        rd->at_line_start = nl != NULL;
        p += len;
    }
    if (r < 0)
        return jl_fail(e, -r, "log line");
    return rnx_write(b.data, b.len, e);
}

static int print_chunk(struct reader *rd, const Joblet__DataChunk *c, struct jl_err *e)
{
    if (c->payload.len == 0) /* a keep-alive */
        return 0;
    if (c->sequence == 0)
        rd->unnumbered = true;
    else if (c->sequence < rd->next)
        return 0; /* printed before the connection was lost */
    else
        rd->next = c->sequence + 1;
    rd->printed = true;
    if (rd->x->json)
        return print_json(c, e);
    if (rd->o->timestamps)
        return print_stamped(rd, c, e);
    return rnx_write(c->payload.data, c->payload.len, e);
}

static int on_message(void *user, const struct jl_buf *msg, struct jl_err *e)
{
    struct reader *rd = user;
    ProtobufCMessage *m = NULL;
    int r;

    rnx_again_reset(&rd->again);
    r = api_unpack_reply(&joblet__data_chunk__descriptor, msg->data, msg->len, &m, e);
    if (r < 0)
        return jl_wrap(e, "a piece of the log");
    r = print_chunk(rd, (const Joblet__DataChunk *) m, e);
    protobuf_c_message_free_unpacked(m, NULL);
    return r;
}

/* One connection; what has been printed is not asked for again. */
static int stream_once(struct reader *rd, struct rpc_status *st, struct jl_err *e)
{
    Joblet__GetJobLogsRequest request = JOBLET__GET_JOB_LOGS_REQUEST__INIT;

    request.uuid = (char *) (uintptr_t) rd->id;
    request.no_follow = !rd->o->follow;
    request.from_sequence = rd->next;
    request.tail_lines = rd->printed ? 0 : rd->o->tail;
    return rnx_stream(rd->x, "/joblet.JobService/GetJobLogs", &request.base, MESSAGE_MAX,
                      on_message, rd, st, e);
}

int rnx_log_stream(struct rnx *x, const char *id, const struct rnx_log_opts *o, struct jl_err *e)
{
    struct reader rd = {
        .x = x, .id = id, .o = o, .at_line_start = true, .again = { .established = o->established }
    };

    for (;;) {
        struct rpc_status st;
        int r = stream_once(&rd, &st, e);

        if (r < 0)
            r = rd.unnumbered ? r : rnx_again(x, &rd.again, &st, e);
        else
            return r;
        if (r < 0 && rd.again.lost_since_ns > 0)
            return jl_hint(e, "The job runs on; rnx job log %.64s shows all of it.", id);
        if (r != 0)
            return r < 0 ? rnx_job_refused(&st, id, e) : r;
    }
}
