/* libocispec: a document that is accepted can be written; what was written is accepted with no key
 * unknown, and written again it has the same bytes. Every document type reads the same input. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "ocispec.h"

#define MAX_OUT ((size_t) 64 << 20)

static void round_trip(const struct oci_type *type, void *x, unsigned indent)
{
    _buf_ struct jl_buf first = JL_BUF_INIT(MAX_OUT), second = JL_BUF_INIT(MAX_OUT);
    struct oci_parse_opts strict = { .strict = true, .max_bytes = MAX_OUT };
    struct jl_err e = JL_ERR_INIT;
    void *y = NULL;

    assert(oci_type_write(type, x, indent, &first, &e) == 0);
    assert(oci_type_parse(type, first.data, first.len, &strict, &y, &e) == 0);
    assert(oci_type_write(type, y, indent, &second, &e) == 0);
    assert(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    oci_type_free(type, y);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const struct oci_type *const types[] = {
        &oci_type_spec, &oci_type_process, &oci_type_resources, &oci_type_state, &oci_type_seccomp,
    };

    for (size_t i = 0; i < JL_COUNT(types); i++) {
        struct oci_unknown unknown = OCI_UNKNOWN_INIT;
        struct oci_parse_opts opts = { .unknown = &unknown };
        struct jl_err e = JL_ERR_INIT;
        void *x = NULL;
        int r = oci_type_parse(types[i], (const char *) data, len, &opts, &x, &e);

        oci_unknown_clear(&unknown);
        if (r < 0) {
            assert(x == NULL && e.code == -r && e.text[0] != '\0');
            continue;
        }
        round_trip(types[i], x, 0);
        round_trip(types[i], x, OCI_INDENT);
        oci_type_free(types[i], x);
    }
    return 0;
}
