/* ps.c - see ps.h. */
#include "runtime/ps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"

/* Field n of /proc/PID/stat, numbered as proc(5) has them. */
static void take_field(struct rt_process_stat *p, int n, const char *text)
{
    long long value = strtoll(text, NULL, 10);

    switch (n) {
    case 4:
        p->ppid = (pid_t) value;
        break;
    case 5:
        p->pgid = (pid_t) value;
        break;
    case 6:
        p->sid = (pid_t) value;
        break;
    case 7:
        p->tty = (int) value;
        break;
    case 14:
        p->utime = (unsigned long long) value;
        break;
    case 15:
        p->stime = (unsigned long long) value;
        break;
    case 19:
        p->nice = value;
        break;
    case 20:
        p->threads = value;
        break;
    case 22:
        p->start = (unsigned long long) value;
        break;
    case 23:
        p->vsize = strtoull(text, NULL, 10);
        break;
    case 24:
        p->rss = value;
        break;
    default:
        break;
    }
}

/* Fields 2 to 24; 0 or -EIO. */
static int parse_stat(const char *text, struct rt_process_stat *p)
{
    const char *open = strchr(text, '('), *close = strrchr(text, ')');
    size_t len;

    if (!open || !close || close < open)
        return -EIO;
    len = (size_t) (close - open - 1);
    len = len < sizeof p->comm - 1 ? len : sizeof p->comm - 1;
    memcpy(p->comm, open + 1, len);
    p->comm[len] = '\0';
    p->state = close[1] == ' ' && close[2] ? close[2] : '?';
    text = close + 1;
    for (int n = 4; n <= 24; n++) {
        text = strchr(text + 1, ' ');
        if (!text)
            return -EIO;
        take_field(p, n, text + 1);
    }
    return 0;
}

static void tame(char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char) s[i] < 0x20 || s[i] == 0x7f)
            s[i] = s[i] == '\0' || s[i] == '\t' ? ' ' : '?';
}

int rt_ps_read(pid_t pid, struct rt_process_stat *p)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(4096);
    _buf_ struct jl_buf args = JL_BUF_INIT(RT_PS_CMD_MAX);
    struct jl_err ignored = JL_ERR_INIT;
    char path[64];
    struct stat st;
    int r;

    snprintf(path, sizeof path, "/proc/%d/stat", (int) pid);
    r = jl_read_file_at(AT_FDCWD, path, &text, &ignored);
    if (r < 0)
        return r;
    p->pid = pid;
    r = parse_stat(text.data ? text.data : "", p);
    if (r < 0)
        return r;
    tame(p->comm, strlen(p->comm));
    snprintf(path, sizeof path, "/proc/%d", (int) pid);
    if (stat(path, &st) == 0) /* the directory is its effective user's */
        p->uid = st.st_uid;
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int) pid);
    jl_read_file_at(AT_FDCWD, path, &args, &ignored); /* what fits is there although it fails */
    while (args.len > 0 && args.data[args.len - 1] == '\0')
        args.len--;
    if (args.len > 0) {
        tame(args.data, args.len);
        args.data[args.len] = '\0';
        p->args = jl_buf_take(&args);
    }
    return 0;
}
