/* id.c - see id.h. */
#include "base/id.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h> /* getentropy: here in macOS, in unistd.h in Linux */
#include <unistd.h>

int jl_id_new(char ret_id[JL_ID_LEN + 1])
{
    unsigned char b[16];

    if (getentropy(b, sizeof b) < 0)
        return -errno;
    b[6] = (unsigned char) ((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char) ((b[8] & 0x3f) | 0x80);
    snprintf(ret_id, JL_ID_LEN + 1,
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
             b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
             b[15]);
    return 0;
}

bool jl_id_is_prefix(const char *s, size_t least)
{
    size_t len = strlen(s);

    if (len < least || len > JL_ID_LEN)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (s[i] != '-')
                return false;
        } else if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f'))) {
            return false;
        }
    }
    return true;
}

bool jl_id_is_valid(const char *s)
{
    return jl_id_is_prefix(s, JL_ID_LEN);
}
