/* criu_text.c - see criu_text.h. */
#include "runtime/criu_text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* One character; "\040" and its like are what the kernel writes for those that part the fields. */
static const char *decode(const char *p, char *ret)
{
    unsigned value = 0;

    if (*p != '\\') {
        *ret = *p;
        return p + 1;
    }
    for (int i = 1; i <= 3; i++) {
        if (p[i] < '0' || p[i] > '7') {
            *ret = *p;
            return p + 1;
        }
        value = value << 3 | (unsigned) (p[i] - '0');
    }
    *ret = (char) value;
    return p + 4;
}

const char *rt_mounts_next(const char *line, char *ret, size_t size)
{
    const char *end = strchr(line, '\n');
    size_t n = 0;

    for (int field = 0; field < 4; field++) {
        line += strcspn(line, " \n");
        line += *line == ' ';
    }
    while (*line && *line != ' ' && *line != '\n' && n + 1 < size)
        line = decode(line, &ret[n++]);
    ret[n] = '\0';
    return end && end[1] ? end + 1 : NULL;
}

bool rt_mounts_have(const char *mounts, unsigned id)
{
    char text[16];
    size_t n = (size_t) snprintf(text, sizeof text, "%u ", id);

    for (const char *line = mounts; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, text, n) == 0)
            return true;
    }
    return false;
}

bool rt_criu_first_error(const char *log, char *ret, size_t size)
{
    const char *found = strstr(log, "Error (");

    if (!found)
        return false;
    snprintf(ret, size, "%.*s", (int) strcspn(found, "\n"), found);
    for (char *p = ret; *p; p++)
        if ((unsigned char) *p < ' ' || *p == 0x7f) /* names in it are the container's */
            *p = '?';
    return true;
}

int rt_criu_stdio_names(char *text, const char *ret[3])
{
    ret[0] = ret[1] = ret[2] = NULL;
    for (int fd = 0; fd < 3 && text; fd++) {
        char *end = strchr(text, '\n');

        if (end)
            *end++ = '\0';
        if (strlen(text) >= RT_CRIU_NAME_SIZE)
            return -EBADMSG;
        ret[fd] = *text && strcmp(text, "-") != 0 ? text : NULL;
        text = end;
    }
    return 0;
}
