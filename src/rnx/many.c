/* many.c - see many.h. */
#include "rnx/many.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "rnx/out.h"
#include "rnx/remote.h"

#define JSON_MAX (16u << 20)

static int ask_one(struct rnx *x, const struct rnx_ask *ask, char *id, struct jl_json_out *w,
                   struct jl_err *e)
{
    struct rpc_status st = { 0 };
    ProtobufCMessage *reply = NULL;
    int r;

    *ask->id = id;
    r = rnx_call(x, ask->method, ask->request, ask->reply, ask->timeout_ns, &reply, &st, e);
    if (r < 0)
        return rnx_job_refused(&st, id, e);
    if (x->json)
        ask->put_json(w, reply);
    else
        ask->print_text(x, reply);
    protobuf_c_message_free_unpacked(reply, NULL);
    return 0;
}

/* One failure is told by main; of several each is told here. */
static int each(struct rnx *x, const struct jl_strv *ids, const struct rnx_ask *ask,
                struct jl_json_out *w, struct jl_err *e)
{
    int failed = 0;

    for (size_t i = 0; i < ids->len; i++) {
        struct jl_err one = JL_ERR_INIT;

        if (ask_one(x, ask, ids->items[i], w, &one) == 0)
            continue;
        if (ids->len == 1) {
            *e = one;
            return -one.code;
        }
        fprintf(stderr, "Error: %s%s%s\n", one.text, one.hint[0] ? ". " : "", one.hint);
        failed = 1;
    }
    return failed;
}

int rnx_ask_each(struct rnx *x, int argc, char **argv, const struct rnx_ask *ask, struct jl_err *e)
{
    _strv_ struct jl_strv words = JL_STRV_INIT;
    _buf_ struct jl_buf b = JL_BUF_INIT(JSON_MAX);
    struct jl_json_out w;
    int r = rnx_parse(x, NULL, argc, argv, &words, e), printed;

    if (r != 0)
        return r < 0 ? r : 0;
    if (words.len == 0)
        return rnx_usage(e, "rnx job %s wants a job id", x->cmd->name);
    rnx_json_begin(&w, &b, false);
    if (words.len > 1)
        jl_json_put_array(&w, NULL);
    r = each(x, &words, ask, &w, e);
    if (words.len > 1)
        jl_json_end(&w);
    if (r < 0 || !x->json)
        return r;
    printed = rnx_json_print(&w, stdout, e);
    return printed < 0 ? printed : r;
}
