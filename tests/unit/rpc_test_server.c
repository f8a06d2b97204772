/*
 * rpc_test_server.c - the server of rpc_fixture.h as a program, for clients in other languages.
 *
 *   rpc_test_server DIR
 *
 * writes DIR/{ca,admin,viewer,expired,foreign}.{crt,key} as they apply, prints its address, and
 * serves until standard input ends.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rpc_fixture.h"

static void put(const char *dir, const char *name, const char *suffix, const char *text)
{
    char path[512];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s.%s", dir, name, suffix);
    f = fopen(path, "w");
    if (!f || fputs(text, f) == EOF || fclose(f) == EOF) {
        perror(path);
        exit(1);
    }
}

static void put_client(const char *dir, const struct fx_pair *ca, const char *name,
                       const struct fx_subject *subject)
{
    struct fx_pair pair;

    fx_issue(ca, subject, &pair);
    put(dir, name, "crt", pair.cert);
    put(dir, name, "key", pair.key);
    fx_pair_free(&pair);
}

/* A thread of gRPC's may still be ending when this program does: OpenSSL's error queue of that thread
 * (904 bytes) is then nobody's for a moment, and LeakSanitizer sees it. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:CRYPTO_zalloc\n";
}

int main(int argc, char **argv)
{
    struct fx_pair ca, foreign, server;
    struct fx_server s;
    struct rpc_server_opts opts = { 0 };
    struct jl_err e = JL_ERR_INIT;
    char byte;

    if (argc != 2)
        return 2;
    fx_ca("Test-CA", &ca);
    fx_ca("Other-CA", &foreign);
    fx_issue(&ca, &(struct fx_subject){ .cn = "server", .dns = "joblet", .server = true }, &server);
    put(argv[1], "ca", "crt", ca.cert);
    put_client(argv[1], &ca, "admin", &(struct fx_subject){ .cn = "a", .ou = { "admin" } });
    put_client(argv[1], &ca, "viewer", &(struct fx_subject){ .cn = "v", .ou = { "viewer" } });
    put_client(argv[1], &ca, "expired",
               &(struct fx_subject){ .cn = "e", .ou = { "admin" }, .from_s = -7200, .to_s = -60 });
    put_client(argv[1], &foreign, "foreign", &(struct fx_subject){ .cn = "a", .ou = { "admin" } });
    opts.tls = (struct rpc_tls){ server.cert, server.key, ca.cert };
    if (fx_start(&s, opts, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    puts(s.address);
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    fx_stop(&s);
    fx_pair_free(&ca);
    fx_pair_free(&foreign);
    fx_pair_free(&server);
    return 0;
}
