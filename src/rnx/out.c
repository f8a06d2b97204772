/* out.c - see out.h. */
#include "rnx/out.h"

#include <errno.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/utf8.h"

/* Characters, not bytes: what begins a UTF-8 sequence counts. */
static size_t width(const char *s)
{
    size_t n = 0;

    for (; *s != '\0'; s++)
        n += ((unsigned char) *s & 0xc0) != 0x80;
    return n;
}

static size_t bytes_of(const char *s, size_t chars)
{
    size_t i = 0;

    while (s[i] != '\0') {
        if (((unsigned char) s[i] & 0xc0) != 0x80 && chars-- == 0)
            break;
        i++;
    }
    return i;
}

char *rnx_tame(const char *s, char *buf, size_t size)
{
    snprintf(buf, size, "%s", s);
    jl_utf8_tame(buf, strlen(buf));
    /* U+0080 to U+009F are control characters as well, and some terminals obey them */
    for (char *p = buf; *p != '\0'; p++)
        if ((unsigned char) p[0] == 0xc2 && (unsigned char) p[1] < 0xa0)
            p[0] = p[1] = '?';
    return buf;
}

const char *rnx_status_colour(const char *status)
{
    static const struct {
        const char *status, *escape;
    } table[] = {
        { "RUNNING", "\033[33m" },      { "COMPLETED", "\033[32m" }, { "FAILED", "\033[31m" },
        { "TIMEOUT", "\033[31m" },      { "SCHEDULED", "\033[36m" }, { "PENDING", "\033[36m" },
        { "STOPPED", "\033[35m" },      { "STOPPING", "\033[35m" },  { "CANCELED", "\033[35m" },
        { "INITIALIZING", "\033[34m" },
    };

    for (size_t i = 0; i < JL_COUNT(table); i++)
        if (strcmp(status, table[i].status) == 0)
            return table[i].escape;
    return "";
}

char *rnx_status_text(const char *status, bool colour, char *buf, size_t size)
{
    char tame[64];
    const char *escape = colour ? rnx_status_colour(status) : "";

    snprintf(buf, size, "%s%s%s", escape, rnx_tame(status, tame, sizeof tame),
             escape[0] ? "\033[0m" : "");
    return buf;
}

static void print_cell(FILE *to, const struct rnx_column *c, const char *cell, size_t pad,
                       bool colour)
{
    const char *escape = colour && c->status ? rnx_status_colour(cell) : "";
    size_t w = width(cell);

    if (c->max && w > c->max)
        fprintf(to, "%.*s...", (int) bytes_of(cell, c->max - 3), cell);
    else
        fprintf(to, "%s%s%s", escape, cell, escape[0] ? "\033[0m" : "");
    if (c->max && w > c->max)
        w = c->max;
    for (; w < pad; w++)
        fputc(' ', to);
}

void rnx_table(FILE *to, const struct rnx_column *columns, size_t n_columns,
               const char *const *cells, size_t n_rows, bool colour)
{
    size_t widths[16];
    static const char dashes[] = "-----------------------------------------------------------"
                                 "-----------------------------------------------------------";

    for (size_t c = 0; c < n_columns; c++) {
        widths[c] = width(columns[c].head);
        if (widths[c] < columns[c].min)
            widths[c] = columns[c].min;
        for (size_t r = 0; r < n_rows; r++) {
            size_t w = width(cells[r * n_columns + c]);

            if (columns[c].max && w > columns[c].max)
                w = columns[c].max;
            if (w > widths[c])
                widths[c] = w;
        }
        if (widths[c] > sizeof dashes - 1)
            widths[c] = sizeof dashes - 1;
    }
    for (size_t c = 0; c < n_columns; c++)
        fprintf(to, "%-*s%s", c + 1 < n_columns ? (int) widths[c] : 0, columns[c].head,
                c + 1 < n_columns ? "  " : "\n");
    for (size_t c = 0; c < n_columns; c++)
        fprintf(to, "%.*s%s", (int) widths[c], dashes, c + 1 < n_columns ? "  " : "\n");
    for (size_t r = 0; r < n_rows; r++)
        for (size_t c = 0; c < n_columns; c++) {
            bool last = c + 1 == n_columns;

            print_cell(to, &columns[c], cells[r * n_columns + c], last ? 0 : widths[c], colour);
            fputs(last ? "\n" : "  ", to);
        }
}

char *rnx_time_text(const char *rfc3339, bool zone, const char *none, char *buf, size_t size)
{
    uint64_t ns = 0;
    struct tm tm;
    time_t t;

    if (!rfc3339 || rfc3339[0] == '\0') {
        snprintf(buf, size, "%s", none);
        return buf;
    }
    if (jl_parse_rfc3339(rfc3339, &ns) < 0)
        return rnx_tame(rfc3339, buf, size);
    t = (time_t) (ns / JL_NS_PER_S);
    if (!localtime_r(&t, &tm) ||
        strftime(buf, size, zone ? "%Y-%m-%d %H:%M:%S %Z" : "%Y-%m-%d %H:%M:%S", &tm) == 0)
        return rnx_tame(rfc3339, buf, size);
    return buf;
}

char *rnx_size_text(uint64_t bytes, char *buf, size_t size)
{
    static const char *const units[] = { "KB", "MB", "GB", "TB" };
    double v = (double) bytes / 1024;
    size_t u = 0;

    while (v >= 1024 && u + 1 < JL_COUNT(units)) {
        v /= 1024;
        u++;
    }
    snprintf(buf, size, "%.2f %s", v, units[u]);
    return buf;
}

char *rnx_command_text(const char *command, char *const *args, size_t n_args, size_t max, char *buf,
                       size_t size)
{
    size_t len = (size_t) snprintf(buf, size, "%s", command), line;
    bool cut = false;

    for (size_t i = 0; i < n_args && len < size; i++)
        len += (size_t) snprintf(buf + len, size - len, " %s", args[i]);
    line = strcspn(buf, "\r\n");
    cut = buf[line] != '\0' || len >= size;
    if (line > size - 8)
        line = size - 8;
    buf[line] = '\0';
    if (max && width(buf) + (cut ? 3 : 0) > max) {
        buf[bytes_of(buf, max - 3)] = '\0';
        cut = true;
    }
    len = strlen(buf);
    if (cut)
        snprintf(buf + len, size - len, "...");
    for (char *p = buf; *p != '\0'; p++) /* a cut may have gone through a character */
        if ((unsigned char) *p < 0x20 || *p == 0x7f)
            *p = *p == '\t' ? ' ' : '?';
    return buf;
}

void rnx_json_begin(struct jl_json_out *w, struct jl_buf *b, bool one_line)
{
    struct jl_json_out fresh = JL_JSON_OUT_INIT(b, one_line ? 0 : 2);

    fresh.replace = true;
    *w = fresh;
}

void rnx_json_str(struct jl_json_out *w, const char *key, const char *s)
{
    if (s && s[0] != '\0')
        jl_json_put_str(w, key, s);
}

void rnx_json_int(struct jl_json_out *w, const char *key, int64_t v)
{
    if (v != 0)
        jl_json_put_i64(w, key, v);
}

void rnx_json_strv(struct jl_json_out *w, const char *key, char *const *items, size_t n)
{
    if (n == 0)
        return;
    jl_json_put_array(w, key);
    for (size_t i = 0; i < n; i++)
        jl_json_put_str(w, NULL, items[i]);
    jl_json_end(w);
}

int rnx_json_print(struct jl_json_out *w, FILE *to, struct jl_err *e)
{
    int r = jl_json_finish(w);

    if (r < 0)
        return jl_fail(e, -r, "write JSON");
    fwrite(w->buf->data, 1, w->buf->len, to);
    fputc('\n', to);
    return 0;
}

int rnx_write(const void *data, size_t len, struct jl_err *e)
{
    int r = 0;

    if (fflush(stdout) != 0)
        r = -errno;
    if (r == 0)
        r = jl_write_all(STDOUT_FILENO, data, len);
    return r < 0 ? jl_fail(e, -r, "write to standard output") : 0;
}
