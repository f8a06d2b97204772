/* What a container notifies: what passes is lines, no longer than what came, without anything that
 * could be taken for another line. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/notify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *out = malloc(len + 1);
    bool ready;
    size_t n;

    assert(out);
    n = rt_notify_filter((const char *) data, len, out, &ready);
    assert(n <= len + 1);
    assert(n == 0 || out[n - 1] == '\n');
    for (size_t i = 0; i < n; i++)
        assert(out[i] == '\n' || (unsigned char) out[i] >= ' ');
    for (char *line = out; line < out + n; line = memchr(line, '\n', (size_t) (out + n - line)) + 1)
        assert(*line != 'M' || strncmp(line, "MONOTONIC_USEC=", 15) == 0);
    free(out);
    return 0;
}
