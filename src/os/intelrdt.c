/* intelrdt.c - see intelrdt.h. */
#include "os/intelrdt.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"

#define NAME_LONGEST 255
#define PATH_LONGEST (2 * NAME_LONGEST + 32)
#define TEXT_LONGEST ((size_t) 64 << 10)

bool os_rdt_name_is_good(const char *name)
{
    static const char *const own[] = { ".", "..", "info", "mon_groups", "mon_data" };

    if (*name == '\0' || strlen(name) > NAME_LONGEST || strpbrk(name, "/\n"))
        return false;
    for (size_t i = 0; i < JL_COUNT(own); i++)
        if (strcmp(name, own[i]) == 0)
            return false;
    return true;
}

/* Below the root; file may be "", for the group itself. */
static void make_path(char path[PATH_LONGEST], const char *group, const char *monitor,
                      const char *file)
{
    snprintf(path, PATH_LONGEST, "%s%s%s%s%s%s", group, *group ? "/" : "",
             monitor ? "mon_groups/" : "", monitor ? monitor : "", monitor && *file ? "/" : "",
             file);
}

int os_rdt_make(int root, const char *group, const char *monitor, struct jl_err *e)
{
    char path[PATH_LONGEST];

    make_path(path, group, monitor, "");
    if (mkdirat(root, path, 0755) == 0)
        return 0;
    jl_fail_sys(e, "mkdirat", path, "make a group of resctrl");
    if (e->code == ENOSPC)
        jl_hint(e, "the processor has no more of them (" OS_RDT_PATH "/info)");
    if (e->code == ENOENT && monitor)
        jl_hint(e, "does the processor have monitoring (" OS_RDT_PATH "/info/L3_MON)?");
    return -e->code;
}

bool os_rdt_exists(int root, const char *group)
{
    struct stat st;

    return *group == '\0' ||
           (fstatat(root, group, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode));
}

/* What the kernel has to say about the last failure, as a hint. */
static void ask_why(int root, struct jl_err *e)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(TEXT_LONGEST);
    struct jl_err ignored = JL_ERR_INIT;

    if (jl_read_file_at(root, "info/last_cmd_status", &text, &ignored) < 0 || text.len < 2)
        return;
    text.data[strcspn(text.data, "\n")] = '\0';
    if (strcmp(text.data, "ok") != 0)
        jl_hint(e, "the kernel says: %.120s", text.data);
}

int os_rdt_set(int root, const char *group, const char *lines, struct jl_err *e)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(TEXT_LONGEST);
    char path[PATH_LONGEST];
    size_t len = strlen(lines);
    int r = jl_buf_printf(&text, "%s%s", lines, len > 0 && lines[len - 1] == '\n' ? "" : "\n");

    make_path(path, group, NULL, "schemata");
    if (r == 0)
        r = jl_write_kernel_file_at(root, path, text.data);
    if (r == 0)
        return 0;
    errno = -r;
    jl_fail_sys(e, "write", path, "set '%.200s'", lines);
    ask_why(root, e);
    return r;
}

/* ---- "L3:0=7f0;1=1f" ---- */

struct line {
    const char *name;
    size_t name_len;
    const char *values, *end;
};

/* The next line at *at that is not blank; false: none. One without ':' has an empty name. */
static bool next_line(const char **at, struct line *l)
{
    const char *p = *at + strspn(*at, " \t\n"), *colon;

    if (*p == '\0')
        return false;
    l->end = p + strcspn(p, "\n");
    colon = memchr(p, ':', (size_t) (l->end - p));
    l->name = p;
    l->name_len = colon ? (size_t) (colon - p) : 0;
    l->values = colon ? colon + 1 : p;
    *at = l->end;
    return true;
}

/* Bandwidth is in percent or MB/s, all else a mask in hexadecimal digits. */
static int base_of(const struct line *l)
{
    return (l->name_len == 2 && memcmp(l->name, "MB", 2) == 0) ||
                   (l->name_len == 4 && memcmp(l->name, "SMBA", 4) == 0)
               ? 10
               : 16;
}

static const char *number(const char *p, int base, unsigned long *ret)
{
    char *end;

    p += strspn(p, " \t");
    if (!isxdigit((unsigned char) *p))
        return NULL;
    *ret = strtoul(p, &end, base);
    return end == p ? NULL : end + strspn(end, " \t");
}

/* "id=value" at *at, and its ';'. 1, 0: none is left, -EINVAL. */
static int next_value(const char **at, const struct line *l, unsigned long *id,
                      unsigned long *value)
{
    const char *p = *at + strspn(*at, " \t;");

    if (p >= l->end)
        return 0;
    p = number(p, 10, id);
    p = p && *p == '=' ? number(p + 1, base_of(l), value) : NULL;
    if (!p || p > l->end || (p < l->end && *p != ';'))
        return -EINVAL;
    *at = p;
    return 1;
}

static bool has_value(const char *text, const struct line *want, unsigned long id,
                      unsigned long value)
{
    unsigned long i, v;
    struct line l;

    while (next_line(&text, &l)) {
        if (l.name_len != want->name_len || memcmp(l.name, want->name, l.name_len) != 0)
            continue;
        for (const char *at = l.values; next_value(&at, &l, &i, &v) == 1;)
            if (i == id)
                return v == value;
    }
    return false;
}

int os_rdt_compare(int root, const char *group, const char *lines, struct jl_err *e)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(TEXT_LONGEST);
    char path[PATH_LONGEST];
    struct line l;
    int r;

    make_path(path, group, NULL, "schemata");
    r = jl_read_file_at(root, path, &text, e);
    if (r < 0)
        return r;
    while (next_line(&lines, &l)) {
        unsigned long id, value;
        const char *at = l.values;
        int more = -EINVAL;

        while (l.name_len > 0 && (more = next_value(&at, &l, &id, &value)) == 1)
            if (!has_value(text.data ? text.data : "", &l, id, value))
                return jl_refuse(e, EINVAL, "%s: has not '%.*s' in force", path,
                                 (int) (l.end - l.name), l.name);
        if (more < 0)
            return jl_refuse(e, EINVAL, "'%.*s' is no line of a schema", (int) (l.end - l.name),
                             l.name);
    }
    return 0;
}

static int put_pid(int root, const char *group, const char *monitor, pid_t pid, struct jl_err *e)
{
    char path[PATH_LONGEST], text[16];
    int r;

    make_path(path, group, monitor, "tasks");
    snprintf(text, sizeof text, "%d\n", (int) pid);
    r = jl_write_kernel_file_at(root, path, text);
    if (r == 0)
        return 0;
    errno = -r;
    jl_fail_sys(e, "write", path, "move process %d into a group of resctrl", (int) pid);
    ask_why(root, e);
    return r;
}

/* A monitoring group takes only who is in the class that it belongs to. */
int os_rdt_join(int root, const char *group, const char *monitor, pid_t pid, struct jl_err *e)
{
    int r = put_pid(root, group, NULL, pid, e);

    return r == 0 && monitor ? put_pid(root, group, monitor, pid, e) : r;
}

bool os_rdt_is_empty(int root, const char *group, const char *monitor)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(TEXT_LONGEST);
    struct jl_err ignored = JL_ERR_INIT;
    char path[PATH_LONGEST];
    int r;

    make_path(path, group, monitor, "tasks");
    r = jl_read_file_at(root, path, &text, &ignored);
    return r != -EMSGSIZE && text.len == 0;
}

int os_rdt_remove(int root, const char *group, const char *monitor, struct jl_err *e)
{
    char path[PATH_LONGEST];

    make_path(path, group, monitor, "");
    if (unlinkat(root, path, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    return jl_fail_sys(e, "unlinkat", path, "remove a group of resctrl");
}

bool os_rdt_monitors(int root, const char *event)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(TEXT_LONGEST);
    struct jl_err ignored = JL_ERR_INIT;

    if (jl_read_file_at(root, "info/L3_MON/mon_features", &text, &ignored) < 0 || !text.data)
        return false;
    return strstr(text.data, event) != NULL;
}
