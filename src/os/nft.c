/* nft.c - see nft.h. */
#include "os/nft.h"

#include <errno.h>
#include <nftables/libnftables.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"

static void freep(struct nft_ctx **ctx)
{
    if (*ctx)
        nft_ctx_free(*ctx);
}

/* Its first line, which names the place and the reason. */
static const char *first_line(char *text)
{
    text[strcspn(text, "\n")] = '\0';
    return text[0] != '\0' ? text : "no reason given";
}

/* What the library has to say is in *ctx. */
static int run(struct nft_ctx **ctx, const char *commands, struct jl_err *e)
{
    _free_ char *said = NULL;

    *ctx = nft_ctx_new(NFT_CTX_DEFAULT);
    if (!*ctx || nft_ctx_buffer_error(*ctx) != 0 || nft_ctx_buffer_output(*ctx) != 0)
        return jl_fail(e, ENOMEM, "talk to nftables");
    if (nft_run_cmd_from_buffer(*ctx, commands) == 0)
        return 0;
    said = strdup(nft_ctx_get_error_buffer(*ctx));
    return jl_refuse(e, EIO, "nftables: %s", said ? first_line(said) : "out of memory");
}

int os_nft_run(const char *commands, struct jl_err *e)
{
    _cleanup_(freep) struct nft_ctx *ctx = NULL;

    return run(&ctx, commands, e);
}

int os_nft_list(const char *command, struct jl_buf *ret, struct jl_err *e)
{
    _cleanup_(freep) struct nft_ctx *ctx = NULL;
    const char *text;
    int r = run(&ctx, command, e);

    if (r < 0)
        return r;
    text = nft_ctx_get_output_buffer(ctx);
    return jl_buf_add(ret, text, strlen(text) + 1) < 0 ? jl_fail(e, ENOMEM, "list nftables") : 0;
}
