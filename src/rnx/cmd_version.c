/* cmd_version.c - the version of rnx, and the server's when it tells. */
#include "api/status.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "rnx/out.h"
#include "rnx/remote.h"

/* The server's version, or why there is none, in words. Returns 0 when it told. */
static int ask_server(struct rnx *x, char *buf, size_t size)
{
    Joblet__EmptyRequest request = JOBLET__EMPTY_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    struct rpc_status st = { 0 };
    struct jl_err e = JL_ERR_INIT;
    const Joblet__SystemStatusResponse *s;
    char tame[64], commit[64];

    if (rnx_call(x, "/joblet.MonitoringService/GetSystemStatus", &request.base,
                 &joblet__system_status_response__descriptor, 5 * JL_NS_PER_S, &reply, &st,
                 &e) < 0) {
        if (st.code == API_UNIMPLEMENTED)
            snprintf(buf, size, "%s answers, but does not tell its version", x->address);
        else
            snprintf(buf, size, "unknown (%s)", e.text);
        return 1;
    }
    s = (const Joblet__SystemStatusResponse *) reply;
    if (s->server_version)
        snprintf(buf, size, "%s (%s)", rnx_tame(s->server_version->version, tame, sizeof tame),
                 rnx_tame(s->server_version->git_commit, commit, sizeof commit));
    else
        snprintf(buf, size, "%s answers, but does not tell its version", x->address);
    protobuf_c_message_free_unpacked(reply, NULL);
    return s->server_version ? 0 : 1;
}

static int run_version(struct rnx *x, int argc, char **argv, struct jl_err *e)
{
    _strv_ struct jl_strv words = JL_STRV_INIT;
    _buf_ struct jl_buf b = JL_BUF_INIT(65536);
    struct jl_json_out w;
    char server[640];
    int r = rnx_parse(x, NULL, argc, argv, &words, e);

    if (r != 0)
        return r < 0 ? r : 0;
    r = ask_server(x, server, sizeof server);
    if (!x->json) {
        printf("rnx    %s (%s)\nserver %s\n", PACKAGE_VERSION, JOBLET_COMMIT, server);
        return 0;
    }
    rnx_json_begin(&w, &b, false);
    jl_json_put_object(&w, NULL);
    jl_json_put_str(&w, "version", PACKAGE_VERSION);
    jl_json_put_str(&w, "commit", JOBLET_COMMIT);
    if (r == 0)
        jl_json_put_str(&w, "server_version", server);
    else
        jl_json_put_str(&w, "server_error", server);
    jl_json_end(&w);
    return rnx_json_print(&w, stdout, e);
}

const struct rnx_cmd rnx_cmd_version = {
    .name = "version",
    .args = "",
    .summary = "the version of rnx and of the server",
    .run = run_version,
};
