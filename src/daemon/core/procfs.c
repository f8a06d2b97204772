/* procfs.c - see procfs.h. */
#include "daemon/core/procfs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR 512 /* of diskstats, whatever the disk's are */

/* Decimal numbers between blanks; what is missing stays 0. How many there were. */
static size_t numbers(const char **p, uint64_t *ret, size_t room)
{
    size_t n = 0;

    for (size_t i = 0; i < room; i++)
        ret[i] = 0;
    while (n < room) {
        char *end;

        *p += strspn(*p, " \t");
        if (**p < '0' || **p > '9')
            break;
        ret[n++] = strtoull(*p, &end, 10);
        *p = end;
    }
    return n;
}

static const char *next_line(const char *p)
{
    p += strcspn(p, "\n");
    return *p == '\n' ? p + 1 : p;
}

/* Copies len bytes, cut to the room. */
static void take(char *to, size_t size, const char *from, size_t len)
{
    if (len > size - 1)
        len = size - 1;
    memcpy(to, from, len);
    to[len] = '\0';
}

static struct jd_proc_cpu cpu_line(const char *p)
{
    uint64_t v[8]; /* user nice system idle iowait irq softirq steal */

    numbers(&p, v, 8);
    return (struct jd_proc_cpu){ .user = v[0] + v[1],
                                 .kernel = v[2] + v[5] + v[6],
                                 .idle = v[3],
                                 .iowait = v[4],
                                 .steal = v[7] };
}

void jd_proc_stat(const char *text, struct jd_proc_stat *ret)
{
    memset(ret, 0, sizeof *ret);
    for (const char *p = text; *p != '\0'; p = next_line(p)) {
        if (strncmp(p, "cpu ", 4) == 0)
            ret->all = cpu_line(p + 4);
        else if (strncmp(p, "cpu", 3) == 0 && ret->n_cores < JD_PROC_CORES_MAX)
            ret->cores[ret->n_cores++] = cpu_line(p + strcspn(p, " \n"));
        else if (strncmp(p, "btime ", 6) == 0)
            ret->boot_s = strtoull(p + 6, NULL, 10);
    }
}

/* What stands behind the colon of a line that begins with key; NULL for other lines. */
static const char *value_of(const char *p, const char *key)
{
    size_t len = strlen(key);

    if (strncmp(p, key, len) != 0)
        return NULL;
    p += len + strspn(p + len, " \t");
    return *p == ':' ? p + 1 + strspn(p + 1, " \t") : NULL;
}

void jd_proc_cpuinfo(const char *text, struct jd_proc_cpuinfo *ret)
{
    double sum = 0;
    unsigned n = 0;

    memset(ret, 0, sizeof *ret);
    for (const char *p = text; *p != '\0'; p = next_line(p)) {
        const char *model = value_of(p, "model name"), *mhz = value_of(p, "cpu MHz");
        double v = mhz ? strtod(mhz, NULL) : 0;

        if (model && ret->model[0] == '\0')
            take(ret->model, sizeof ret->model, model, strcspn(model, "\n"));
        if (v > 0 && v < 1e6) {
            sum += v;
            n++;
        }
    }
    ret->mhz = n > 0 ? sum / n : 0;
}

void jd_proc_memory(const char *text, struct jd_proc_memory *ret)
{
    const struct {
        const char *key;
        uint64_t *to;
    } keys[] = {
        { "MemTotal:", &ret->total },         { "MemFree:", &ret->free },
        { "MemAvailable:", &ret->available }, { "Buffers:", &ret->buffers },
        { "Cached:", &ret->cached },          { "SwapTotal:", &ret->swap_total },
        { "SwapFree:", &ret->swap_free },
    };

    memset(ret, 0, sizeof *ret);
    for (const char *p = text; *p != '\0'; p = next_line(p))
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
            if (strncmp(p, keys[i].key, strlen(keys[i].key)) == 0)
                *keys[i].to = strtoull(p + strlen(keys[i].key), NULL, 10) * 1024;
}

size_t jd_proc_net(const char *text, struct jd_proc_net *ret, size_t room)
{
    size_t n = 0;

    for (const char *p = text; *p != '\0' && n < room; p = next_line(p)) {
        const char *name = p + strspn(p, " "), *colon = name + strcspn(name, ":\n");
        struct jd_proc_net *x = &ret[n];
        uint64_t v[16];

        if (*colon != ':' || colon == name)
            continue;
        take(x->name, sizeof x->name, name, (size_t) (colon - name));
        colon++;
        if (numbers(&colon, v, 16) < 12) /* not one of the two lines at the top */
            continue;
        x->rx_bytes = v[0];
        x->rx_packets = v[1];
        x->rx_errors = v[2];
        x->rx_drops = v[3];
        x->tx_bytes = v[8];
        x->tx_packets = v[9];
        x->tx_errors = v[10];
        x->tx_drops = v[11];
        n++;
    }
    return n;
}

size_t jd_proc_disks(const char *text, struct jd_proc_disk *ret, size_t room)
{
    size_t n = 0;

    for (const char *p = text; *p != '\0' && n < room; p = next_line(p)) {
        struct jd_proc_disk *x = &ret[n];
        const char *at = p;
        uint64_t dev[2], v[10];
        size_t len;

        if (numbers(&at, dev, 2) < 2)
            continue;
        at += strspn(at, " ");
        len = strcspn(at, " \n");
        take(x->name, sizeof x->name, at, len);
        at += len;
        if (len == 0 || numbers(&at, v, 10) < 10)
            continue;
        x->major = (unsigned) dev[0];
        x->minor = (unsigned) dev[1];
        x->reads = v[0];
        x->read_bytes = v[2] * SECTOR;
        x->read_ms = v[3];
        x->writes = v[4];
        x->write_bytes = v[6] * SECTOR;
        x->write_ms = v[7];
        x->busy_ms = v[9];
        n++;
    }
    return n;
}

/* A word of mountinfo; blanks, tabs, line breaks and backslashes in it are "\ooo". */
static bool word(const char **p, char *to, size_t size)
{
    size_t n = 0;
    const char *s = *p + strspn(*p, " "), *start = s;

    while (*s != '\0' && *s != ' ' && *s != '\n') {
        char c = *s++;

        if (c == '\\' && s[0] >= '0' && s[0] <= '3' && s[1] >= '0' && s[1] <= '7' && s[2] >= '0' &&
            s[2] <= '7') {
            c = (char) ((s[0] - '0') << 6 | (s[1] - '0') << 3 | (s[2] - '0'));
            s += 3;
        }
        if (to && n < size - 1 && c != '\0')
            to[n++] = c;
    }
    if (to)
        to[n] = '\0';
    *p = s;
    return s > start;
}

/* "36 35 98:0 /root /point rw,noatime master:1 - ext3 /dev/root rw" */
static bool mount_line(const char *p, struct jd_proc_mount *ret)
{
    char device[32], tag[32];
    bool ok = word(&p, NULL, 0) && word(&p, NULL, 0) && word(&p, device, sizeof device) &&
              sscanf(device, "%9u:%9u", &ret->major, &ret->minor) == 2 &&
              word(&p, ret->root, sizeof ret->root) && word(&p, ret->point, sizeof ret->point) &&
              word(&p, NULL, 0);

    do
        ok = ok && word(&p, tag, sizeof tag);
    while (ok && strcmp(tag, "-") != 0);
    return ok && word(&p, ret->type, sizeof ret->type) && word(&p, ret->source, sizeof ret->source);
}

bool jd_proc_mount(const char **text, struct jd_proc_mount *ret)
{
    while (**text != '\0') {
        const char *line = *text;

        *text = next_line(line);
        if (mount_line(line, ret))
            return true;
    }
    return false;
}

int jd_proc_pid(const char *text, size_t len, struct jd_proc_pid *ret)
{
    const char *open = memchr(text, '(', len), *close = memrchr(text, ')', len);
    uint64_t v[21] = { 0 }; /* from field 4, ppid, to 24, rss */
    const char *p;
    size_t n = 0;

    if (!open || !close || close < open || text + len < close + 4 || close[1] != ' ')
        return -EINVAL;
    ret->pid = (int) strtol(text, NULL, 10);
    take(ret->name, sizeof ret->name, open + 1, (size_t) (close - open - 1));
    ret->state = close[2];
    for (p = close + 3; n < 21; n++) { /* some of them are negative */
        char *end;

        p += strspn(p, " ");
        if (*p == '\0' || *p == '\n')
            break;
        v[n] = (uint64_t) strtoll(p, &end, 10);
        if (end == p)
            return -EINVAL;
        p = end;
    }
    if (n < 21)
        return -EINVAL;
    ret->ppid = (int) v[0];
    ret->ticks = v[10] + v[11];
    ret->threads = v[16];
    ret->start_ticks = v[18];
    ret->rss_pages = v[20];
    return 0;
}
