/* remote.c - see remote.h. */
#include "rnx/remote.h"

#include <errno.h>
#include <time.h>

#include "api/status.h"
#include "api/validate.h"
#include "base/cleanup.h"
#include "base/clock.h"

/* The few words a signal handler may touch. */
static volatile sig_atomic_t interrupted;
static struct rpc_stream *volatile watched_stream;
static struct rpc_client *volatile watched_client;

static void on_signal(int sig)
{
    (void) sig;
    interrupted = 1;
    if (watched_stream)
        rpc_stream_cancel(watched_stream);
    if (watched_client)
        rpc_client_cancel(watched_client);
}

void rnx_catch_signals(struct rnx *x)
{
    struct sigaction sa = { .sa_handler = on_signal };

    watched_client = x->client;
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
}

void rnx_watch_stream(struct rpc_stream *s)
{
    watched_stream = s;
    if (s && interrupted)
        rpc_stream_cancel(s);
}

bool rnx_interrupted(void)
{
    return interrupted;
}

void rnx_sleep_ns(uint64_t ns)
{
    struct timespec ts = { (time_t) (ns / JL_NS_PER_S), (long) (ns % JL_NS_PER_S) };

    if (!interrupted)
        nanosleep(&ts, NULL);
}

int rnx_connect(struct rnx *x, struct jl_err *e)
{
    struct rpc_client_opts opts = { .address = x->address };
    int r;

    if (x->client)
        return 0;
    if (!x->have_conf) {
        r = rnx_conf_load(x->g.config, &x->conf, e);
        if (r < 0)
            return r;
        x->have_conf = true;
    }
    if (x->conf.world_readable) {
        x->conf.world_readable = false; /* said once */
        rnx_warn("%s holds private keys and others can read or change it (mode %04o); "
                 "chmod 600 it",
                 x->conf.path, x->conf.mode);
    }
    r = rnx_conf_choose(&x->conf, x->g.node, &x->node, x->address, sizeof x->address, e);
    if (r < 0)
        return r;
    if (!x->node->cert || !x->node->key || !x->node->ca) {
        jl_refuse(e, EINVAL, "%s: node '%s' has no %s", x->conf.path, x->node->name,
                  !x->node->cert  ? "cert"
                  : !x->node->key ? "key"
                                  : "ca");
        return jl_hint(e, "rnx config-help shows what belongs there.");
    }
    if (x->timeout_ns == 0)
        x->timeout_ns = x->conf.timeout_ns ? x->conf.timeout_ns : 30 * JL_NS_PER_S;
    opts.tls.cert_pem = x->node->cert;
    opts.tls.key_pem = x->node->key;
    opts.tls.ca_pem = x->node->ca;
    r = rpc_client_new(&opts, &x->client, e);
    if (r < 0)
        return jl_wrap(e, "%s: node '%s'", x->conf.path, x->node->name);
    return 0;
}

int rnx_reconnect(struct rnx *x, struct jl_err *e)
{
    bool watched = watched_client != NULL;
    int r;

    watched_client = NULL;
    rpc_client_free(x->client);
    x->client = NULL;
    r = rnx_connect(x, e);
    if (r == 0 && watched)
        watched_client = x->client;
    return r;
}

int rnx_refused(struct rnx *x, const struct rpc_status *st, struct jl_err *e)
{
    static const int codes[API_STATUS_MAX + 1] = {
        [API_CANCELLED] = ECANCELED,          [API_INVALID_ARGUMENT] = EINVAL,
        [API_DEADLINE_EXCEEDED] = ETIME,      [API_NOT_FOUND] = ENOENT,
        [API_ALREADY_EXISTS] = EEXIST,        [API_PERMISSION_DENIED] = EPERM,
        [API_RESOURCE_EXHAUSTED] = ENOSPC,    [API_FAILED_PRECONDITION] = EBUSY,
        [API_UNIMPLEMENTED] = EOPNOTSUPP,     [API_UNAVAILABLE] = EAGAIN,
        [API_UNAUTHENTICATED] = EKEYREJECTED,
    };
    int code = st->code <= API_STATUS_MAX && codes[st->code] ? codes[st->code] : EREMOTEIO;

    jl_refuse(e, code, "%s", st->message[0] ? st->message : api_status_name(st->code));
    if (st->code == API_PERMISSION_DENIED && strstr(st->message, "role"))
        jl_hint(e,
                "The role is in the certificate of node '%s'; another --node or another file "
                "may have a stronger one.",
                x->node->name);
    else if (st->code == API_UNAVAILABLE)
        jl_hint(e, "Try again in a moment.");
    return -code;
}

int rnx_job_refused(const struct rpc_status *st, const char *id, struct jl_err *e)
{
    if (st->code != API_NOT_FOUND)
        return -e->code;
    if (!strstr(e->text, id))
        jl_wrap(e, "job %.64s", id);
    return jl_hint(e, "rnx job list shows the jobs there are.");
}

int rnx_call(struct rnx *x, const char *method, const ProtobufCMessage *request,
             const ProtobufCMessageDescriptor *reply_type, uint64_t timeout_ns,
             ProtobufCMessage **ret_reply, struct rpc_status *st, struct jl_err *e)
{
    size_t len = protobuf_c_message_get_packed_size(request);
    _buf_ struct jl_buf reply = JL_BUF_INIT(256u << 20);
    _free_ uint8_t *packed = malloc(len ? len : 1);
    struct rpc_status own = { 0 };
    int r;

    if (!st)
        st = &own;
    memset(st, 0, sizeof *st);
    if (!packed)
        return jl_fail(e, ENOMEM, "%s", method);
    r = rnx_connect(x, e);
    if (r < 0)
        return r;
    protobuf_c_message_pack(request, packed);
    if (timeout_ns == 0)
        timeout_ns = x->timeout_ns;
    r = rpc_client_unary(x->client, method, packed, len, (unsigned) (timeout_ns / JL_NS_PER_MS),
                         &reply, st, e);
    if (r < 0) {
        st->code = API_OK; /* it was not the server that said no */
        return r;
    }
    if (st->code != API_OK)
        return rnx_refused(x, st, e);
    r = api_unpack_reply(reply_type, reply.data, reply.len, ret_reply, e);
    if (r < 0)
        return jl_wrap(e, "the server's answer to %s", method);
    return 0;
}

bool rnx_is_transient(const struct jl_err *e, const struct rpc_status *st)
{
    if (st->code != API_OK)
        return st->code == API_UNAVAILABLE || st->code == API_CANCELLED;
    return e->code == ECONNRESET || e->code == ECONNREFUSED || e->code == ETIMEDOUT ||
           e->code == EHOSTUNREACH || e->code == ETIME;
}
