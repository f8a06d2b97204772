/* A runtime's log: whatever it holds, an answer is a whole error of one line. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "shim/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct jl_err e = JL_ERR_INIT;
    int code;

    if (sh_answer_parse((const char *) data, len, &e) == 0) {
        assert(e.code == 0);
        return 0;
    }
    assert(e.code > 0 && e.text[0] != '\0');
    assert(strnlen(e.text, sizeof e.text) < sizeof e.text);
    assert(strnlen(e.hint, sizeof e.hint) < sizeof e.hint);
    for (const char *p = e.text; *p != '\0'; p++)
        assert((unsigned char) *p >= 0x20 && *p != 0x7f);
    code = sh_answer_code(&e, 1);
    assert(code == 1 || code == 126 || code == 127);
    return 0;
}
