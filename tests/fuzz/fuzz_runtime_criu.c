/* Texts that checkpoint and restore read, and messages of CRIU's: names and errors fit into what
 * they are given, errors have no control characters, and each reader comes to an end. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/criu_rpc.h"
#include "runtime/criu_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void mounts(const char *text)
{
    char place[64];
    size_t lines = 0;

    for (const char *line = text; line; lines++) {
        memset(place, 'x', sizeof place);
        line = rt_mounts_next(line, place, sizeof place);
        assert(memchr(place, '\0', sizeof place));
    }
    assert(lines <= strlen(text) + 1);
    rt_mounts_have(text, 26);
}

static void error(const char *text)
{
    char line[40];

    if (!rt_criu_first_error(text, line, sizeof line))
        return;
    assert(strncmp(line, "Error (", 7) == 0 && memchr(line, '\0', sizeof line));
    for (const char *p = line; *p; p++)
        assert((unsigned char) *p >= ' ' && *p != 0x7f);
}

static void message(const uint8_t *data, size_t len)
{
    struct rt_criu_message m;

    if (rt_criu_message_parse(data, len, &m) < 0)
        return;
    assert(m.pid >= 0 && m.what != RT_CRIU_GONE);
    assert(memchr(m.moment, '\0', sizeof m.moment));
    assert(m.what == RT_CRIU_NOTIFIES || !*m.moment);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = malloc(len + 1);
    const char *names[3];

    assert(text);
    memcpy(text, data, len);
    text[len] = '\0';
    mounts(text);
    error(text);
    message(data, len);
    if (rt_criu_stdio_names(text, names) == 0)
        for (int fd = 0; fd < 3; fd++)
            assert(!names[fd] || (strlen(names[fd]) > 0 && strlen(names[fd]) < RT_CRIU_NAME_SIZE));
    free(text);
    return 0;
}
