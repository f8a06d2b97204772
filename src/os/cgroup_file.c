/* cgroup_file.c - reading the interface files of a group. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "os/cgroup_internal.h"

ssize_t cg_read(int dirfd, const char *file, char *buf, size_t size)
{
    _close_ int fd = openat(dirfd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    size_t len = 0;

    if (fd < 0)
        return -errno;
    while (len < size) {
        ssize_t n = read(fd, buf + len, size - len);

        if (n < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        if (n == 0)
            break;
        len += (size_t) n;
    }
    if (len == size)
        return -EMSGSIZE;
    if (len > 0 && buf[len - 1] == '\n')
        len--;
    buf[len] = '\0';
    return (ssize_t) len;
}

static int parse_number(const char *s, uint64_t *ret)
{
    if (strcmp(s, "max") == 0 || strcmp(s, "-1") == 0) {
        *ret = UINT64_MAX;
        return 0;
    }
    return jl_parse_u64(s, UINT64_MAX, ret);
}

int cg_read_u64(int dirfd, const char *file, uint64_t *ret)
{
    char text[64];
    ssize_t n = cg_read(dirfd, file, text, sizeof text);

    return n < 0 ? (int) n : parse_number(text, ret);
}

/* Digits up to a blank or the end of the line. */
static int number_at(const char *p, uint64_t *ret)
{
    char digits[24];
    size_t len = strcspn(p, " \n");

    if (len >= sizeof digits)
        return -EINVAL;
    memcpy(digits, p, len);
    digits[len] = '\0';
    return parse_number(digits, ret);
}

int cg_text_key(const char *text, const char *key, uint64_t *ret)
{
    size_t len = strlen(key);

    for (const char *line = text; *line != '\0'; line += strspn(line, "\n")) {
        if (strncmp(line, key, len) == 0 && line[len] == ' ') {
            const char *value = line + len + 1;
            const char *end = line + strcspn(line, "\n");
            const char *total = strstr(value, "total=");

            if (total && total < end)
                value = total + 6;
            return number_at(value, ret);
        }
        line += strcspn(line, "\n");
    }
    return -ENODATA;
}

int cg_read_key(int dirfd, const char *file, const char *key, uint64_t *ret)
{
    char text[8192]; /* memory.stat, the largest, has about 2 KiB */
    ssize_t n = cg_read(dirfd, file, text, sizeof text);

    return n < 0 ? (int) n : cg_text_key(text, key, ret);
}

struct some {
    char *buf;
    size_t size;
    bool deep;
};

static int take_some(int fd, void *data)
{
    struct some *s = data;
    _close_ int procs = openat(fd, "cgroup.procs", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char text[32] = "", path[64], comm[32];
    ssize_t n = procs < 0 ? -1 : read(procs, text, sizeof text - 1);
    size_t len;

    if (n <= 0)
        return s->deep ? 0 : 1;
    len = strcspn(text, "\n");
    text[len] = '\0';
    snprintf(path, sizeof path, "/proc/%s/comm", text);
    if (strcmp(text, "0") == 0) /* it is in a PID namespace that we can't see into */
        snprintf(s->buf, s->size, "of another PID namespace");
    else if (cg_read(AT_FDCWD, path, comm, sizeof comm) < 0)
        snprintf(s->buf, s->size, "%s", text);
    else
        snprintf(s->buf, s->size, "%s (%s)", text, comm);
    return 1;
}

const char *cg_some_process(int fd, bool deep, char *buf, size_t size)
{
    struct some s = { .buf = buf, .size = size, .deep = deep };

    buf[0] = '\0';
    cg_each_group(fd, take_some, &s);
    return buf;
}
