/* stream.c - see stream.h. */
#include "rnx/stream.h"

#include <errno.h>
#include <string.h>

#include "api/status.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define PAUSE_FIRST_NS (100 * JL_NS_PER_MS)
#define PAUSE_MAX_NS (2 * JL_NS_PER_S)

static int open_stream(struct rnx *x, const char *method, const ProtobufCMessage *request,
                       struct rpc_stream **ret, struct jl_err *e)
{
    _free_ uint8_t *packed = malloc(protobuf_c_message_get_packed_size(request) + 1);

    if (!packed)
        return jl_fail(e, ENOMEM, "%s", method);
    return rpc_stream_open(x->client, method, packed, protobuf_c_message_pack(request, packed), 0,
                           ret, e);
}

int rnx_stream(struct rnx *x, const char *method, const ProtobufCMessage *request,
               size_t message_max, rnx_on_message *fn, void *user, struct rpc_status *st,
               struct jl_err *e)
{
    _buf_ struct jl_buf msg = JL_BUF_INIT(message_max);
    struct rpc_stream *s = NULL;
    int r;

    memset(st, 0, sizeof *st);
    r = open_stream(x, method, request, &s, e);
    if (r < 0)
        return r;
    rnx_watch_stream(s);
    while ((r = rpc_stream_next(s, &msg, st, e)) == 1) {
        r = fn(user, &msg, e);
        if (r < 0 || rnx_interrupted())
            break;
    }
    rnx_watch_stream(NULL);
    rpc_stream_close(s);
    if (rnx_interrupted())
        return 1;
    if (r < 0)
        st->code = API_OK; /* it was not the server that said no */
    return r == 0 && st->code != API_OK ? rnx_refused(x, st, e) : r;
}

void rnx_again_reset(struct rnx_again *a)
{
    *a = (struct rnx_again){ .established = true };
}

/* Is this loss one to wait for? */
static bool worth_waiting(const struct rnx_again *a, const struct rpc_status *st,
                          const struct jl_err *e)
{
    return rnx_is_transient(e, st) &&
           (a->established || st->code != API_OK || e->code == ECONNRESET);
}

int rnx_again(struct rnx *x, struct rnx_again *a, const struct rpc_status *st, struct jl_err *e)
{
    if (!worth_waiting(a, st, e))
        return -e->code;
    if (a->lost_since_ns == 0) {
        a->lost_since_ns = jl_now_ns();
        a->pause_ns = PAUSE_FIRST_NS;
        fflush(stdout);
        fprintf(stderr, "rnx: connection to the server lost, trying again\n");
    } else if (jl_now_ns() - a->lost_since_ns > RNX_PATIENCE_S * JL_NS_PER_S) {
        return jl_wrap(e, "the server did not come back within %d seconds", RNX_PATIENCE_S);
    }
    rnx_sleep_ns(a->pause_ns);
    if (rnx_interrupted())
        return 1;
    a->pause_ns = a->pause_ns * 2 > PAUSE_MAX_NS ? PAUSE_MAX_NS : a->pause_ns * 2;
    jl_err_clear(e);
    return rnx_reconnect(x, e);
}
