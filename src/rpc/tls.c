/*
 * tls.c - reading certificates: are they usable, whose are they, until when.
 */
#include "rpc/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <string.h>
#include <time.h>

#include "rpc/core.h"

/* The private key of PEM text; a passphrase is never asked for on the terminal. */
static EVP_PKEY *read_key(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *) "") : NULL;

    BIO_free(bio);
    return key;
}

static X509 *read_cert(const char *pem, int len)
{
    BIO *bio = BIO_new_mem_buf(pem, len);
    X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, (void *) "") : NULL;

    BIO_free(bio);
    return cert;
}

/* Whether every certificate of a PEM text can be read: one that can't, behind the first, would stop
 * the server as the first does. */
static bool all_read(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *cert;
    unsigned long last;

    ERR_clear_error();
    while (bio && (cert = PEM_read_bio_X509(bio, NULL, NULL, (void *) "")))
        X509_free(cert);
    last = ERR_peek_last_error();
    BIO_free(bio);
    return bio && ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
}

/* The TLS library has an opinion of its own, on the strength of keys above all. */
static int check_taken(X509 *cert, EVP_PKEY *key, const char *whose, struct jl_err *e)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    int r = 0;

    ERR_clear_error();
    if (!ctx)
        return jl_fail(e, ENOMEM, "check the %s certificate", whose);
    if (SSL_CTX_use_certificate(ctx, cert) != 1 || SSL_CTX_use_PrivateKey(ctx, key) != 1)
        r = jl_refuse(e, EINVAL, "%s certificate: the TLS library does not take it: %s", whose,
                      ERR_reason_error_string(ERR_peek_last_error()));
    SSL_CTX_free(ctx);
    return r;
}

static int check_parts(const struct rpc_tls *tls, X509 *cert, EVP_PKEY *key, X509 *ca,
                       const char *whose, struct jl_err *e)
{
    if (!cert)
        return jl_refuse(e, EINVAL, "%s certificate: not a certificate in PEM form", whose);
    if (!key)
        return jl_refuse(e, EINVAL, "%s key: not a private key in PEM form without passphrase",
                         whose);
    if (!ca)
        return jl_refuse(e, EINVAL, "CA certificate of the %s: not a certificate in PEM form",
                         whose);
    if (X509_check_private_key(cert, key) != 1)
        return jl_refuse(e, EINVAL, "%s certificate and %s key do not belong together", whose,
                         whose);
    if (!all_read(tls->cert_pem))
        return jl_refuse(e, EINVAL, "%s certificate: one behind the first can't be read", whose);
    if (!all_read(tls->ca_pem))
        return jl_refuse(e, EINVAL, "CA certificate of the %s: one behind the first can't be read",
                         whose);
    return check_taken(cert, key, whose, e);
}

int rpc_tls_check(const struct rpc_tls *tls, const char *whose, struct jl_err *e)
{
    X509 *cert = tls->cert_pem ? read_cert(tls->cert_pem, -1) : NULL;
    X509 *ca = tls->ca_pem ? read_cert(tls->ca_pem, -1) : NULL;
    EVP_PKEY *key = tls->key_pem ? read_key(tls->key_pem) : NULL;
    int r = check_parts(tls, cert, key, ca, whose, e);

    EVP_PKEY_free(key);
    X509_free(cert);
    X509_free(ca);
    ERR_clear_error(); /* core asks OpenSSL's error queue of this thread too */
    return r;
}

long long rpc_tls_not_after(const char *pem)
{
    X509 *cert = pem ? read_cert(pem, -1) : NULL;
    struct tm tm;
    long long t = 0;

    if (cert && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1)
        t = timegm(&tm);
    X509_free(cert);
    ERR_clear_error();
    return t;
}

/* Text of one part of a name as UTF-8, if it has nothing in it that could be taken for more than
 * it is: a control character, a NUL, the comma that separates units. */
static bool entry_text(const X509_NAME_ENTRY *entry, char *buf, size_t size)
{
    unsigned char *utf8 = NULL;
    int len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(entry));
    bool ok = len > 0 && (size_t) len < size;

    for (int i = 0; ok && i < len; i++)
        ok = utf8[i] >= 0x20 && utf8[i] != 0x7f && utf8[i] != ',';
    if (ok) {
        memcpy(buf, utf8, (size_t) len);
        buf[len] = '\0';
    }
    OPENSSL_free(utf8);
    return ok;
}

/* All entries of one kind, with commas between; empty when one of them is not fit. */
static void name_entries(const X509_NAME *name, int nid, char *ret, size_t size)
{
    char text[256];
    size_t used = 0;

    ret[0] = '\0';
    for (int i = -1; (i = X509_NAME_get_index_by_NID(name, nid, i)) >= 0;) {
        size_t len;

        if (!entry_text(X509_NAME_get_entry(name, i), text, sizeof text)) {
            ret[0] = '\0';
            return;
        }
        len = strlen(text);
        if (used + (used > 0) + len >= size) {
            ret[0] = '\0';
            return;
        }
        if (used)
            ret[used++] = ',';
        memcpy(ret + used, text, len + 1);
        used += len;
    }
}

bool rpc_identity_parse(const char *pem, size_t len, struct rpc_identity *ret)
{
    X509 *cert = len <= INT32_MAX ? read_cert(pem, (int) len) : NULL;
    BIGNUM *serial;
    char *hex;

    if (!cert) {
        ERR_clear_error();
        return false;
    }
    name_entries(X509_get_subject_name(cert), NID_commonName, ret->common_name,
                 sizeof ret->common_name);
    name_entries(X509_get_subject_name(cert), NID_organizationalUnitName, ret->unit,
                 sizeof ret->unit);
    serial = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
    hex = serial ? BN_bn2hex(serial) : NULL;
    ret->serial[0] = '\0';
    if (hex && strlen(hex) < sizeof ret->serial)
        memcpy(ret->serial, hex, strlen(hex) + 1);
    OPENSSL_free(hex);
    BN_free(serial);
    X509_free(cert);
    ERR_clear_error();
    return true;
}

void rpc_peer_parse(const char *uri, char *ret, size_t size)
{
    size_t n = 0;
    const char *p = strncmp(uri, "ipv4:", 5) == 0 || strncmp(uri, "ipv6:", 5) == 0 ? uri + 5 : uri;

    for (; *p && n + 1 < size; p++) {
        char c = *p;

        if (strncmp(p, "%5B", 3) == 0 || strncmp(p, "%5D", 3) == 0) {
            c = p[2] == 'B' ? '[' : ']';
            p += 2;
        }
        ret[n++] = (unsigned char) c >= 0x20 && c != 0x7f ? c : '?';
    }
    ret[n] = '\0';
}
