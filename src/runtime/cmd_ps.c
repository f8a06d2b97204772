/*
 * cmd_ps.c - ps: the processes of a container, read from /proc by ourselves, since a host need not
 * have ps(1) and a container's own is not to be trusted. Columns and option words are those of
 * procps' ps; only what concerns the choice of columns has a meaning here.
 * Source: ps(1).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/strv.h"
#include "os/cgroup.h"
#include "runtime/cmd.h"
#include "runtime/ps.h"
#include "runtime/state.h"

#define OUTPUT_MAX ((size_t) 64 << 20)
#define COLUMNS_MAX 24

/* What all share. */
struct moment {
    uint64_t now_s, boot_s; /* since 1970 */
    unsigned long long hz;
};

typedef void (*cell_fn)(const struct rt_process_stat *p, const struct moment *m,
                        struct jl_buf *out);

static void put_uid(const struct rt_process_stat *p, const struct moment *m, struct jl_buf *out)
{
    (void) m;
    /* No look-up of names: a static program would need the host's modules for it. */
    jl_buf_printf(out, p->uid == 0 ? "root" : "%u", p->uid);
}

#define NUMBER_CELL(name, format, value)                                                           \
    static void put_##name(const struct rt_process_stat *p, const struct moment *m,                \
                           struct jl_buf *out)                                                     \
    {                                                                                              \
        (void) m;                                                                                  \
        jl_buf_printf(out, format, value);                                                         \
    }

NUMBER_CELL(pid, "%d", (int) p->pid)
NUMBER_CELL(ppid, "%d", (int) p->ppid)
NUMBER_CELL(pgid, "%d", (int) p->pgid)
NUMBER_CELL(sid, "%d", (int) p->sid)
NUMBER_CELL(state, "%c", p->state)
NUMBER_CELL(nice, "%lld", p->nice)
NUMBER_CELL(threads, "%lld", p->threads)
NUMBER_CELL(vsz, "%llu", p->vsize / 1024)
NUMBER_CELL(rss, "%lld", p->rss *(long long) (sysconf(_SC_PAGESIZE) / 1024))
NUMBER_CELL(comm, "%s", p->comm)

static void put_zero(const struct rt_process_stat *p, const struct moment *m, struct jl_buf *out)
{
    (void) p;
    (void) m;
    jl_buf_puts(out, "0"); /* C, as ps -ef has it: of no use since long, but a column */
}

/* Device numbers of terminals: Documentation/admin-guide/devices.txt. */
static void put_tty(const struct rt_process_stat *p, const struct moment *m, struct jl_buf *out)
{
    unsigned major = (unsigned) p->tty >> 8 & 0xfff;
    unsigned minor = ((unsigned) p->tty & 0xff) | ((unsigned) p->tty >> 12 & 0xfff00);

    (void) m;
    if (major >= 136 && major <= 143)
        jl_buf_printf(out, "pts/%u", minor + (major - 136) * 256);
    else if (major == 4)
        jl_buf_printf(out, minor < 64 ? "tty%u" : "ttyS%u", minor < 64 ? minor : minor - 64);
    else
        jl_buf_puts(out, "?");
}

static void put_time(const struct rt_process_stat *p, const struct moment *m, struct jl_buf *out)
{
    unsigned long long s = (p->utime + p->stime) / m->hz;

    jl_buf_printf(out, "%02llu:%02llu:%02llu", s / 3600, s / 60 % 60, s % 60);
}

static uint64_t started(const struct rt_process_stat *p, const struct moment *m)
{
    return m->boot_s + p->start / m->hz;
}

static void put_etime(const struct rt_process_stat *p, const struct moment *m, struct jl_buf *out)
{
    uint64_t from = started(p, m), s = m->now_s > from ? m->now_s - from : 0;

    if (s >= 86400)
        jl_buf_printf(out, "%llu-", (unsigned long long) s / 86400);
    if (s >= 3600)
        jl_buf_printf(out, "%02u:", (unsigned) (s / 3600 % 24));
    jl_buf_printf(out, "%02u:%02u", (unsigned) (s / 60 % 60), (unsigned) (s % 60));
}

/* In UTC, as everything that joblet-run writes: hour and minute of today, else the date. */
static void put_stime(const struct rt_process_stat *p, const struct moment *m, struct jl_buf *out)
{
    uint64_t from = started(p, m);
    char text[JL_RFC3339_MAX];

    jl_rfc3339(from * JL_NS_PER_S, 0, text);
    if (from / 86400 == m->now_s / 86400)
        jl_buf_printf(out, "%.5s", text + 11);
    else
        jl_buf_printf(out, "%.5s", text + 5);
}

/* What a hostile program calls itself must not reach a terminal as control sequences. */
static void put_args(const struct rt_process_stat *p, const struct moment *m, struct jl_buf *out)
{
    (void) m;
    if (p->args && *p->args)
        jl_buf_puts(out, p->args);
    else
        jl_buf_printf(out, "[%s]", p->comm);
}

static const struct column {
    const char *name, *head;
    cell_fn put;
    bool left;
} columns[] = {
    { "uid", "UID", put_uid, true },
    { "user", "USER", put_uid, true },
    { "ruser", "RUSER", put_uid, true },
    { "euser", "EUSER", put_uid, true },
    { "pid", "PID", put_pid, false },
    { "ppid", "PPID", put_ppid, false },
    { "pgid", "PGID", put_pgid, false },
    { "sid", "SID", put_sid, false },
    { "c", "C", put_zero, false },
    { "stime", "STIME", put_stime, true },
    { "start", "STARTED", put_stime, true },
    { "tty", "TTY", put_tty, true },
    { "tt", "TT", put_tty, true },
    { "time", "TIME", put_time, false },
    { "etime", "ELAPSED", put_etime, false },
    { "stat", "STAT", put_state, true },
    { "state", "S", put_state, true },
    { "s", "S", put_state, true },
    { "ni", "NI", put_nice, false },
    { "nice", "NI", put_nice, false },
    { "nlwp", "NLWP", put_threads, false },
    { "vsz", "VSZ", put_vsz, false },
    { "rss", "RSS", put_rss, false },
    { "comm", "COMMAND", put_comm, true },
    { "cmd", "CMD", put_args, true },
    { "args", "COMMAND", put_args, true },
    { "command", "COMMAND", put_args, true },
};

/* ---- which columns ---- */

struct choice {
    const struct column *items[COLUMNS_MAX];
    size_t n;
};

static const char full[] = "uid,pid,ppid,c,stime,tty,time,cmd";
static const char bsd[] = "user,pid,vsz,rss,tty,stat,start,time,command";

static int choose(struct choice *c, const char *list, struct jl_err *e)
{
    while (*list) {
        size_t len = strcspn(list, ", "), i = 0;

        while (i < JL_COUNT(columns) &&
               (strlen(columns[i].name) != len || strncasecmp(columns[i].name, list, len) != 0))
            i++;
        if (i == JL_COUNT(columns)) {
            jl_refuse(e, EINVAL, "ps: '%.*s' is no column of joblet-run's own ps", (int) len, list);
            return jl_hint(e, "pid ppid pgid sid uid user stime start tty time etime stat ni nlwp "
                              "vsz rss comm args are");
        }
        if (c->n == COLUMNS_MAX)
            return jl_refuse(e, E2BIG, "ps: more than %d columns", COLUMNS_MAX);
        c->items[c->n++] = &columns[i];
        list += len;
        list += strspn(list, ", ");
    }
    return 0;
}

/* What stands behind the id: words for ps(1). Those that choose processes choose nothing here. */
static int parse_words(char **words, size_t n, struct choice *c, struct jl_err *e)
{
    int r = 0;

    for (size_t i = 0; i < n && r == 0; i++) {
        const char *w = words[i];

        if (strncmp(w, "-o", 2) == 0 || strncmp(w, "-eo", 3) == 0) {
            const char *list = strchr(w, 'o') + 1;

            if (!*list && i + 1 == n)
                return jl_refuse(e, EINVAL, "ps: -o needs a list of columns");
            r = choose(c, *list ? list : words[++i], e);
        } else if (strcmp(w, "--format") == 0 && i + 1 < n) {
            r = choose(c, words[++i], e);
        } else if (strchr(w, 'u') && w[strspn(w, "auxw")] == '\0') {
            r = choose(c, bsd, e);
        } else if (w[0] != '-' ? w[strspn(w, "axw")] != '\0'
                               : w[1] == '\0' || w[1 + strspn(w + 1, "eAafFlw")] != '\0') {
            jl_refuse(e, EINVAL, "ps: '%s' is not understood", w);
            return jl_hint(e, "joblet-run has a ps of its own: -ef, aux and -o COLUMN,... are "
                              "known");
        }
    }
    return r == 0 && c->n == 0 ? choose(c, full, e) : r;
}

static struct moment look_at_clock(void)
{
    struct moment m = { .hz = (unsigned long long) sysconf(_SC_CLK_TCK) };
    struct timespec up = { 0 };

    clock_gettime(CLOCK_BOOTTIME, &up);
    m.now_s = jl_wall_ns() / JL_NS_PER_S;
    m.boot_s = m.now_s - (uint64_t) up.tv_sec;
    return m;
}

static int put_row(const struct choice *c, char *const *cells, const int *widths,
                   struct jl_buf *out)
{
    int r = 0;

    for (size_t i = 0; i < c->n && r == 0; i++) {
        bool last = i + 1 == c->n;
        int width = last && c->items[i]->left ? 0 : widths[i];

        r = jl_buf_printf(out, c->items[i]->left ? "%-*s%s" : "%*s%s", width, cells[i],
                          last ? "\n" : " ");
    }
    return r;
}

/* cells: rows of c->n texts, the headings first. */
static int put_cells(const struct choice *c, char **cells, size_t rows, struct jl_buf *out)
{
    int widths[COLUMNS_MAX] = { 0 }, r = 0;

    for (size_t i = 0; i < rows * c->n; i++) {
        int width = (int) strlen(cells[i]);

        if (width > widths[i % c->n])
            widths[i % c->n] = width;
    }
    for (size_t i = 0; i < rows && r == 0; i++)
        r = put_row(c, cells + i * c->n, widths, out);
    return r;
}

static int add_cell(struct jl_strv *cells, const struct column *col,
                    const struct rt_process_stat *p, const struct moment *m)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(RT_PS_CMD_MAX + 64);

    col->put(p, m, &text);
    return jl_strv_add(cells, text.data ? text.data : "");
}

static int table(const struct choice *c, const pid_t *pids, size_t n, struct jl_buf *out)
{
    _strv_ struct jl_strv cells = JL_STRV_INIT;
    struct moment m = look_at_clock();
    int r = 0;

    for (size_t j = 0; j < c->n && r == 0; j++)
        r = jl_strv_add(&cells, c->items[j]->head);
    for (size_t i = 0; i < n && r == 0; i++) {
        struct rt_process_stat p = { .pid = 0 };

        if (rt_ps_read(pids[i], &p) < 0)
            continue; /* ended meanwhile */
        for (size_t j = 0; j < c->n && r == 0; j++)
            r = add_cell(&cells, c->items[j], &p, &m);
        free(p.args);
    }
    return r < 0 ? r : put_cells(c, cells.items, cells.len / c->n, out);
}

static int json(const pid_t *pids, size_t n, struct jl_buf *out)
{
    struct jl_json_out w = JL_JSON_OUT_INIT(out, 0);
    int r;

    jl_json_put_array(&w, NULL);
    for (size_t i = 0; i < n; i++)
        jl_json_put_i64(&w, NULL, pids[i]);
    jl_json_end(&w);
    r = jl_json_finish(&w);
    return r < 0 ? r : jl_buf_putc(out, '\n');
}

static int list_processes(const struct rt_state *s, pid_t **ret, size_t *ret_n, struct jl_err *e)
{
    struct os_cgroup *cg = NULL;
    int r;

    if (rt_state_status(s, NULL) == RT_STOPPED)
        return jl_refuse(e, ESRCH, "container not running: '%s' is stopped", s->id);
    r = rt_container_group(s, "ps", &cg, e);
    if (r == 0)
        r = os_cgroup_pids(cg, ret, ret_n, e);
    os_cgroup_free(cg);
    return r;
}

int rt_cmd_ps(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e)
{
    const char *format = "table";
    const struct rt_opt opts[] = {
        { "format", 'f', RT_OPT_TEXT, &format, "FORMAT", "table, or json: a list of pids" },
    };
    _rt_state_ struct rt_state s = RT_STATE_INIT;
    _buf_ struct jl_buf out = JL_BUF_INIT(OUTPUT_MAX);
    _free_ pid_t *pids = NULL;
    struct choice c = { .n = 0 };
    _close_ int root = -1;
    struct rt_args args;
    size_t n = 0;
    int r = rt_cmd_parse("ps", opts, JL_COUNT(opts), argc, argv, 1, true, &args, e);

    if (r != 0)
        return r < 0 ? r : 0;
    /* engines write the format behind the id, too; there -f is ps(1)'s */
    if (args.n == 3 && strcmp(args.items[1], "--format") == 0 &&
        (strcmp(args.items[2], "json") == 0 || strcmp(args.items[2], "table") == 0)) {
        format = args.items[2];
        args.n = 1;
    }
    if (strcmp(format, "table") != 0 && strcmp(format, "json") != 0)
        return jl_refuse(e, EINVAL, "--format: '%s', allowed are table and json", format);
    r = parse_words(args.items + 1, args.n - 1, &c, e);
    if (r == 0)
        r = rt_container_open(ctx, args.items[0], &root, &s, e);
    if (r == 0)
        r = list_processes(&s, &pids, &n, e);
    if (r < 0)
        return jl_phase(e, "ps");
    r = strcmp(format, "json") == 0 ? json(pids, n, &out) : table(&c, pids, n, &out);
    if (r == 0)
        r = jl_write_all(STDOUT_FILENO, out.data, out.len);
    return r < 0 ? jl_fail(e, -r, "write the processes of container '%s'", s.id) : 0;
}
