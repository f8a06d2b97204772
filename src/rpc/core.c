/*
 * core.c - starting gRPC core and OpenSSL, messages, channel arguments.
 */
#include "rpc/core.h"

#include <errno.h>
#include <grpc/support/log.h>
#include <limits.h>
#include <openssl/conf.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <string.h>

#include "base/log.h"

/*
 * gRPC core sets 1.2 as the lowest version of each context itself, after OpenSSL has applied this,
 * so MinProtocol alone is lost; the protocols switched off here stay off. The host's openssl.cnf
 * is not read, as front may not open files and both ends must not depend on it.
 */
static const char openssl_conf[] = "openssl_conf = joblet\n"
                                   "[joblet]\nssl_conf = ssl\n"
                                   "[ssl]\nsystem_default = only_tls13\n"
                                   "[only_tls13]\nMinProtocol = TLSv1.3\n"
                                   "Protocol = -TLSv1.2, -TLSv1.1, -TLSv1\n";

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool tls_is_set;

static void log_grpc(gpr_log_func_args *args)
{
    jl_log_debug("grpc", "%s", args->message);
}

static bool load_openssl_conf(void)
{
    BIO *bio = BIO_new_mem_buf(openssl_conf, sizeof openssl_conf - 1);
    CONF *conf = NCONF_new(NULL);
    bool ok =
        bio && conf && NCONF_load_bio(conf, bio, NULL) > 0 && CONF_modules_load(conf, NULL, 0) > 0;

    NCONF_free(conf);
    BIO_free(bio);
    return ok;
}

/* What a context made like core's will refuse. */
static bool tls12_is_off(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    bool off = ctx && (SSL_CTX_get_options(ctx) & SSL_OP_NO_TLSv1_2);

    SSL_CTX_free(ctx);
    return off;
}

static bool set_tls(void)
{
    if (tls_is_set)
        return true;
    OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
    OPENSSL_load_builtin_modules();
    tls_is_set = load_openssl_conf() && tls12_is_off();
    ERR_clear_error();
    return tls_is_set;
}

int rpc_core_init(struct jl_err *e)
{
    bool ok;

    pthread_mutex_lock(&lock);
    ok = set_tls();
    pthread_mutex_unlock(&lock);
    if (!ok)
        return jl_refuse(e, ENOTSUP, "OpenSSL (%s) cannot be told to speak TLS 1.3 alone",
                         OpenSSL_version(OPENSSL_VERSION));
    gpr_set_log_function(log_grpc);
    gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
    grpc_init();
    return 0;
}

void rpc_core_done(void)
{
    grpc_shutdown();
}

grpc_byte_buffer *rpc_message_new(const void *data, size_t len)
{
    grpc_slice slice = grpc_slice_from_copied_buffer(data ? data : "", len);
    grpc_byte_buffer *buf = grpc_raw_byte_buffer_create(&slice, 1);

    grpc_slice_unref(slice);
    return buf;
}

bool rpc_message_take(grpc_byte_buffer *buf, grpc_slice *ret)
{
    grpc_byte_buffer_reader reader;
    bool ok = buf->type == GRPC_BB_RAW && buf->data.raw.compression == GRPC_COMPRESS_NONE &&
              grpc_byte_buffer_reader_init(&reader, buf);

    if (ok) {
        *ret = grpc_byte_buffer_reader_readall(&reader);
        grpc_byte_buffer_reader_destroy(&reader);
    }
    grpc_byte_buffer_destroy(buf);
    return ok;
}

void rpc_args_int(struct rpc_args *a, const char *key, unsigned long value)
{
    grpc_arg arg = { .type = GRPC_ARG_INTEGER, .key = (char *) key };

    arg.value.integer = value > INT_MAX ? INT_MAX : (int) value;
    if (a->n < RPC_ARGS_MAX)
        a->arg[a->n++] = arg;
}

void rpc_args_string(struct rpc_args *a, const char *key, const char *value)
{
    grpc_arg arg = { .type = GRPC_ARG_STRING, .key = (char *) key };

    arg.value.string = (char *) value;
    if (a->n < RPC_ARGS_MAX)
        a->arg[a->n++] = arg;
}

grpc_channel_args rpc_args_list(struct rpc_args *a)
{
    return (grpc_channel_args){ .num_args = a->n, .args = a->arg };
}

bool rpc_host_is_plain(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:-_%");

    return n > 0 && n < 256 && !s[n];
}
