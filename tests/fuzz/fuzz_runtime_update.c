/* `update`: a LinuxResources document on standard input. The first byte chooses an option that is
 * given the text too. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "runtime/update.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void give_option(const uint8_t *data, size_t len)
{
    struct rt_update u = { .res = NULL };
    struct jl_err e = JL_ERR_INIT;
    const char *arg, *help;
    size_t i = data[0] % 16;
    char *text = strndup((const char *) data + 1, len - 1);

    assert(text && rt_update_option(i, &arg, &help));
    if (rt_update_set(&u, i, text, &e) == 0 && rt_update_check(&u, &e) == 0)
        assert(!u.limits.devices);
    else
        assert(e.code > 0 && e.text[0] != '\0');
    rt_update_clear(&u);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct rt_update u = { .res = NULL };
    struct jl_err e = JL_ERR_INIT;
    int r = rt_update_parse(&u, (const char *) data, len, &e);

    if (r == 0 && rt_update_lacks_memory(&u))
        rt_update_set_memory(&u, -1);
    if (r == 0)
        r = rt_update_check(&u, &e);
    if (r < 0)
        assert(e.code == -r && e.text[0] != '\0');
    rt_update_clear(&u);
    if (len > 0)
        give_option(data, len);
    return 0;
}
