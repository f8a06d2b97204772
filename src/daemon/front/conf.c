#include "daemon/front/conf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/json.h"
#include "ipc/joblog.h"

#define CHUNK_DEFAULT (1u << 20)

/* A text member; `needed` ones may not be missing or empty. */
static int get_text(const struct jl_json *obj, const char *key, bool needed, char **ret,
                    struct jl_err *e)
{
    const struct jl_json *v = jl_json_get(obj, key);
    const char *s = jl_json_str(v);

    if ((v && !s) || (needed && (!s || !*s)))
        return jl_refuse(e, EINVAL, "front's configuration: '%s' is %s", key,
                         v ? "not a text, or empty" : "missing");
    *ret = strdup(s ? s : "");
    return *ret ? 0 : jl_fail(e, ENOMEM, "read front's configuration");
}

struct number {
    const char *key;
    unsigned *ret;
    unsigned otherwise; /* when the member is missing */
};

static int get_numbers(const struct jl_json *obj, const struct number *table, size_t n,
                       struct jl_err *e)
{
    for (size_t i = 0; i < n; i++) {
        const struct jl_json *v = jl_json_get(obj, table[i].key);
        uint64_t value = table[i].otherwise;

        if (v && jl_json_u64(v, INT32_MAX, &value) < 0)
            return jl_refuse(e, EINVAL, "front's configuration: '%s' is no number up to %d",
                             table[i].key, INT32_MAX);
        *table[i].ret = (unsigned) value;
    }
    return 0;
}

static int get_texts(struct jd_conf *c, const struct jl_json *root, struct jl_err *e)
{
    const struct {
        const char *key;
        bool needed;
        char **ret;
    } table[] = {
        { "address", true, &c->address },       { "server_cert", true, &c->server_cert },
        { "server_key", true, &c->server_key }, { "ca_cert", true, &c->ca_cert },
        { "node_id", false, &c->node_id },      { "version", false, &c->version },
    };

    for (size_t i = 0; i < JL_COUNT(table); i++) {
        int r = get_text(root, table[i].key, table[i].needed, table[i].ret, e);

        if (r < 0)
            return r;
    }
    return 0;
}

static int get_log(struct jd_conf *c, const struct jl_json *root, struct jl_err *e)
{
    const char *level = jl_json_str(jl_json_get(root, "log_level"));
    const char *format = jl_json_str(jl_json_get(root, "log_format"));

    c->log_level = JL_LOG_INFO;
    if (level && jl_log_parse_level(level, &c->log_level) < 0)
        return jl_refuse(e, EINVAL, "front's configuration: 'log_level' is '%s'", level);
    c->log_json = format && strcasecmp(format, "json") == 0;
    return 0;
}

static int get_revoked(struct jd_conf *c, const struct jl_json *root, struct jl_err *e)
{
    const char *text = jl_json_str(jl_json_get(root, "revoked"));

    if (!text)
        return jl_refuse(e, EINVAL, "front's configuration: 'revoked' is missing");
    return ipc_revoked_parse("front's configuration: 'revoked'", text, strlen(text), &c->revoked,
                             e);
}

static int take(struct jd_conf *c, const struct jl_json *root, struct jl_err *e)
{
    const struct jl_json *grpc = jl_json_get(root, "grpc");
    unsigned port;
    const struct number top[] = {
        { "port", &port, 50051 },
        { "timeout_ms", &c->timeout_ms, 30000 },
        { "stop_grace_ms", &c->stop_grace_ms, 0 },
        { "chunk", &c->chunk_bytes, CHUNK_DEFAULT },
    };
    const struct number limits[] = {
        { "max_recv", &c->max_recv_bytes, 0 },
        { "max_send", &c->max_send_bytes, 0 },
        { "max_header_list", &c->max_header_bytes, 0 },
        { "keepalive_time_ms", &c->keepalive_ms, 0 },
        { "keepalive_timeout_ms", &c->keepalive_timeout_ms, 0 },
        { "max_streams", &c->max_streams, 0 },
        { "connection_timeout_ms", &c->connection_timeout_ms, 0 },
        { "max_idle_ms", &c->max_idle_ms, 0 },
        { "max_age_ms", &c->max_age_ms, 0 },
        { "max_age_grace_ms", &c->max_age_grace_ms, 0 },
    };
    int r = get_texts(c, root, e);

    if (r == 0)
        r = get_numbers(root, top, JL_COUNT(top), e);
    if (r == 0)
        r = get_numbers(grpc, limits, JL_COUNT(limits), e);
    if (r == 0)
        r = get_log(c, root, e);
    if (r == 0)
        r = get_revoked(c, root, e);
    if (r < 0)
        return r;
    if (port > UINT16_MAX)
        return jl_refuse(e, EINVAL, "front's configuration: 'port' is %u", port);
    c->port = (uint16_t) port;
    if (c->chunk_bytes > CHUNK_DEFAULT || c->chunk_bytes == 0)
        c->chunk_bytes = CHUNK_DEFAULT;
    if (c->chunk_bytes < IPC_LOG_CHUNK_MAX)
        c->chunk_bytes = IPC_LOG_CHUNK_MAX; /* a record of the log goes out whole */
    return 0;
}

int jd_conf_read(struct jd_conf *conf, int fd, struct jl_err *e)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(JD_CONF_BYTES_MAX);
    _json_ struct jl_json *root = NULL;
    int r;

    *conf = (struct jd_conf){ 0 };
    if (lseek(fd, 0, SEEK_SET) < 0)
        return jl_fail(e, errno, "front's configuration (descriptor %d)", fd);
    r = jl_read_all(fd, &text);
    if (r < 0)
        return jl_fail(e, -r, "front's configuration (descriptor %d)", fd);
    r = jl_json_parse(text.data ? text.data : "", text.len, NULL, &root, e);
    if (r < 0)
        r = jl_wrap(e, "front's configuration");
    else
        r = take(conf, root, e);
    if (text.data)
        explicit_bzero(text.data, text.len);
    if (r < 0)
        jd_conf_done(conf);
    return r;
}

void jd_conf_forget_key(struct jd_conf *conf)
{
    if (conf->server_key)
        explicit_bzero(conf->server_key, strlen(conf->server_key));
}

void jd_conf_done(struct jd_conf *conf)
{
    jd_conf_forget_key(conf);
    ipc_revoked_done(&conf->revoked);
    free(jl_take_ptr(conf->address));
    free(jl_take_ptr(conf->server_cert));
    free(jl_take_ptr(conf->server_key));
    free(jl_take_ptr(conf->ca_cert));
    free(jl_take_ptr(conf->node_id));
    free(jl_take_ptr(conf->version));
}
