/* logs.c - see logs.h. */
#include "rnx/logs.h"

#include <errno.h>

#include "api/status.h"
#include "api/validate.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "rnx/out.h"
#include "rnx/remote.h"

#define BACKOFF_FIRST_NS (100 * JL_NS_PER_MS)
#define BACKOFF_MAX_NS (2 * JL_NS_PER_S)

struct reader {
    struct rnx *x;
    const char *id;
    const struct rnx_log_opts *o;
    uint64_t next;      /* sequence of the first record not yet printed; 0: nothing printed */
    bool printed;       /* something was */
    bool unnumbered;    /* of a server that does not number its chunks: can't go on after a loss */
    bool at_line_start; /* for --timestamps */
    bool established;
    uint64_t lost_since_ns; /* 0: connected */
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

static int on_message(struct reader *rd, const struct jl_buf *msg, struct jl_err *e)
{
    ProtobufCMessage *m = NULL;
    int r;

    rd->established = true;
    rd->lost_since_ns = 0;
    r = api_unpack_reply(&joblet__data_chunk__descriptor, msg->data, msg->len, &m, e);
    if (r < 0)
        return jl_wrap(e, "a piece of the log");
    r = print_chunk(rd, (const Joblet__DataChunk *) m, e);
    protobuf_c_message_free_unpacked(m, NULL);
    return r;
}

static int open_stream(struct reader *rd, struct rpc_stream **ret, struct jl_err *e)
{
    Joblet__GetJobLogsRequest request = JOBLET__GET_JOB_LOGS_REQUEST__INIT;
    _free_ uint8_t *packed = NULL;
    size_t len;

    request.uuid = (char *) (uintptr_t) rd->id;
    request.no_follow = !rd->o->follow;
    request.from_sequence = rd->next;
    request.tail_lines = rd->printed ? 0 : rd->o->tail;
    len = protobuf_c_message_get_packed_size(&request.base);
    packed = malloc(len + 1);
    if (!packed)
        return jl_fail(e, ENOMEM, "log of job %s", rd->id);
    protobuf_c_message_pack(&request.base, packed);
    return rpc_stream_open(rd->x->client, "/joblet.JobService/GetJobLogs", packed, len, 0, ret, e);
}

/* One connection. 0 the log's end; 1 a signal; -errno with e (and st, when the server refused). */
static int stream_once(struct reader *rd, struct rpc_status *st, struct jl_err *e)
{
    _buf_ struct jl_buf msg = JL_BUF_INIT(256u << 20);
    struct rpc_stream *s = NULL;
    int r;

    memset(st, 0, sizeof *st);
    r = open_stream(rd, &s, e);
    if (r < 0)
        return r;
    rnx_watch_stream(s);
    while ((r = rpc_stream_next(s, &msg, st, e)) == 1) {
        r = on_message(rd, &msg, e);
        if (r < 0 || rnx_interrupted())
            break;
    }
    rnx_watch_stream(NULL);
    rpc_stream_close(s);
    if (rnx_interrupted())
        return 1;
    if (r < 0)
        st->code = API_OK; /* it was not the server that said no */
    if (r == 0 && st->code != API_OK)
        return rnx_refused(rd->x, st, e);
    return r;
}

/* Is this loss one to wait for? */
static bool worth_waiting(struct reader *rd, const struct jl_err *e, const struct rpc_status *st)
{
    if (rd->unnumbered || !rnx_is_transient(e, st))
        return false;
    return rd->established || st->code == API_UNAVAILABLE || e->code == ECONNRESET;
}

int rnx_log_stream(struct rnx *x, const char *id, const struct rnx_log_opts *o, struct jl_err *e)
{
    struct reader rd = {
        .x = x, .id = id, .o = o, .at_line_start = true, .established = o->established
    };
    uint64_t backoff = BACKOFF_FIRST_NS;

    for (;;) {
        struct rpc_status st;
        uint64_t next = rd.next;
        int r = stream_once(&rd, &st, e);

        if (r >= 0)
            return r;
        if (!worth_waiting(&rd, e, &st))
            return rnx_job_refused(&st, id, e);
        if (rd.next != next)
            backoff = BACKOFF_FIRST_NS;
        if (rd.lost_since_ns == 0) {
            rd.lost_since_ns = jl_now_ns();
            fflush(stdout);
            fprintf(stderr, "rnx: connection to the server lost, trying again\n");
        } else if (jl_now_ns() - rd.lost_since_ns > RNX_LOG_PATIENCE_S * JL_NS_PER_S) {
            jl_wrap(e, "the server did not come back within %d seconds", RNX_LOG_PATIENCE_S);
            return jl_hint(e, "The job runs on; rnx job log %.64s shows all of it.", id);
        }
        rnx_sleep_ns(backoff);
        if (rnx_interrupted())
            return 1;
        backoff = backoff * 2 > BACKOFF_MAX_NS ? BACKOFF_MAX_NS : backoff * 2;
        jl_err_clear(e);
        r = rnx_reconnect(x, e);
        if (r < 0)
            return r;
    }
}
