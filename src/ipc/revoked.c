/* revoked.c - see revoked.h. */
#include "ipc/revoked.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"

/* The one spelling that is compared: upper case, no colons, no zeros in front. */
static bool spell(const char *s, size_t len, char ret[IPC_SERIAL_MAX])
{
    size_t n = 0, digits = 0;

    if (len > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
        s += 2;
        len -= 2;
    }
    for (size_t i = 0; i < len; i++) {
        if (s[i] == ':' && i > 0 && i + 1 < len && s[i - 1] != ':')
            continue;
        if (!isxdigit((unsigned char) s[i]))
            return false;
        digits++;
        if (n == 0 && s[i] == '0')
            continue;
        if (n + 1 >= IPC_SERIAL_MAX)
            return false;
        ret[n++] = (char) toupper((unsigned char) s[i]);
    }
    if (digits > 0 && n == 0)
        ret[n++] = '0';
    ret[n] = '\0';
    return n > 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Room for one more; the table grows by doubling. */
static int reserve(struct ipc_revoked *r, size_t *size)
{
    size_t wanted = *size ? *size * 2 : 64;
    void *p;

    if (r->n < *size)
        return 0;
    p = realloc(r->serials, wanted * sizeof r->serials[0]);
    if (!p)
        return -ENOMEM;
    r->serials = p;
    *size = wanted;
    return 0;
}

/* One line without its end: a comment and blanks around go. 1 a serial, 0 none, -EINVAL. */
static int read_line(const char *s, size_t len, char ret[IPC_SERIAL_MAX])
{
    const char *hash = memchr(s, '#', len);

    if (hash)
        len = (size_t) (hash - s);
    while (len > 0 && (*s == ' ' || *s == '\t')) {
        s++;
        len--;
    }
    while (len > 0 && (s[len - 1] == ' ' || s[len - 1] == '\t' || s[len - 1] == '\r'))
        len--;
    if (len == 0)
        return 0;
    return spell(s, len, ret) ? 1 : -EINVAL;
}

static int read_lines(const char *name, const char *text, size_t len, struct ipc_revoked *into,
                      struct jl_err *e)
{
    const char *end = text + len;
    size_t size = 0;

    for (unsigned line = 1; text < end; line++) {
        const char *stop = memchr(text, '\n', (size_t) (end - text));
        int r;

        if (!stop)
            return jl_refuse(e, EINVAL, "%s:%u: the last line has no end: is the file complete?",
                             name, line);
        if (into->n >= IPC_REVOKED_MAX)
            return jl_refuse(e, E2BIG, "%s:%u: more than %d serial numbers", name, line,
                             IPC_REVOKED_MAX);
        if (reserve(into, &size) < 0)
            return jl_fail(e, ENOMEM, "read %s", name);
        r = read_line(text, (size_t) (stop - text), into->serials[into->n]);
        if (r < 0)
            return jl_refuse(e, EINVAL,
                             "%s:%u: not a serial number (hexadecimal, at most 20 octets)", name,
                             line);
        into->n += (size_t) r;
        text = stop + 1;
    }
    return 0;
}

static void sort(struct ipc_revoked *r)
{
    size_t n = 0;

    if (r->n == 0)
        return;
    qsort(r->serials, r->n, sizeof r->serials[0], compare);
    for (size_t i = 1; i < r->n; i++)
        if (strcmp(r->serials[i], r->serials[n]) != 0 && ++n != i)
            memcpy(r->serials[n], r->serials[i], sizeof r->serials[n]);
    r->n = n + 1;
}

int ipc_revoked_parse(const char *name, const char *text, size_t len, struct ipc_revoked *ret,
                      struct jl_err *e)
{
    struct ipc_revoked fresh = { 0 };
    int r;

    *ret = fresh;
    if (len > IPC_REVOKED_BYTES_MAX)
        return jl_refuse(e, E2BIG, "%s: larger than %u bytes", name, IPC_REVOKED_BYTES_MAX);
    r = read_lines(name, text, len, &fresh, e);
    if (r < 0) {
        ipc_revoked_done(&fresh);
        return r;
    }
    sort(&fresh);
    *ret = fresh;
    return 0;
}

int ipc_revoked_write(const struct ipc_revoked *r, struct jl_buf *out)
{
    int bad = 0;

    for (size_t i = 0; i < r->n && bad == 0; i++) {
        bad = jl_buf_puts(out, r->serials[i]);
        if (bad == 0)
            bad = jl_buf_putc(out, '\n');
    }
    return bad;
}

bool ipc_revoked_has(const struct ipc_revoked *r, const char *serial)
{
    char key[IPC_SERIAL_MAX];

    if (!spell(serial, strlen(serial), key))
        return true;
    return r->n > 0 && bsearch(key, r->serials, r->n, sizeof r->serials[0], compare);
}

void ipc_revoked_done(struct ipc_revoked *r)
{
    free(r->serials);
    *r = (struct ipc_revoked){ 0 };
}
