/* src/base/json: what is read can be written, reads the same again, and then has one spelling,
 * compact and indented. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

#define MAX_OUT ((size_t) 64 << 20)

static void write(const struct jl_json *root, unsigned indent, struct jl_buf *out)
{
    struct jl_json_out w = JL_JSON_OUT_INIT(out, indent);

    jl_json_put_tree(&w, NULL, root);
    assert(jl_json_finish(&w) == 0);
}

static void same_again(const struct jl_buf *text, unsigned indent, const struct jl_buf *compact)
{
    _buf_ struct jl_buf again = JL_BUF_INIT(MAX_OUT), back = JL_BUF_INIT(MAX_OUT);
    struct jl_json_limits lim = { .max_bytes = MAX_OUT };
    _json_ struct jl_json *root = NULL;
    struct jl_err e = JL_ERR_INIT;

    assert(jl_json_parse(text->data, text->len, &lim, &root, &e) == 0);
    write(root, indent, &again);
    assert(again.len == text->len && memcmp(again.data, text->data, text->len) == 0);
    write(root, 0, &back);
    assert(back.len == compact->len && memcmp(back.data, compact->data, back.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    _buf_ struct jl_buf compact = JL_BUF_INIT(MAX_OUT), indented = JL_BUF_INIT(MAX_OUT);
    _json_ struct jl_json *root = NULL;
    struct jl_err e = JL_ERR_INIT;
    int r = jl_json_parse((const char *) data, len, NULL, &root, &e);

    if (r < 0) {
        assert(root == NULL && e.code == -r && e.text[0] != '\0');
        return 0;
    }
    write(root, 0, &compact);
    write(root, 2, &indented);
    same_again(&compact, 0, &compact);
    same_again(&indented, 2, &compact);
    return 0;
}
