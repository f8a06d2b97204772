/*
 * sysmon_procs.c - see sysmon.h: the processes, and which of them take most. One file is read of
 * each (stat); program and owner only of those that are named.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/core/procfs.h"
#include "daemon/core/sysmon.h"

#define PIDS_MAX 65536 /* looked at in one sample */

/* What a process had used when it was seen last; in the order of /proc, which is by pid. */
struct seen {
    int pid;
    uint64_t start_ticks, ticks;
};

struct one {
    struct jd_proc_pid p;
    double cpu;
};

struct top {
    struct one items[JD_SYSMON_PROCS];
    size_t n;
};

static bool more_cpu(const struct one *a, const struct one *b)
{
    return a->cpu > b->cpu;
}

static bool more_memory(const struct one *a, const struct one *b)
{
    return a->p.rss_pages > b->p.rss_pages;
}

static void offer(struct top *t, const struct one *x,
                  bool (*more)(const struct one *, const struct one *))
{
    size_t at = t->n;

    while (at > 0 && more(x, &t->items[at - 1]))
        at--;
    if (at == JD_SYSMON_PROCS)
        return;
    if (t->n < JD_SYSMON_PROCS)
        t->n++;
    memmove(&t->items[at + 1], &t->items[at], (t->n - 1 - at) * sizeof *t->items);
    t->items[at] = *x;
}

static void count(Joblet__ProcessMetrics *m, const struct jd_proc_pid *p)
{
    m->total_processes++;
    m->total_threads += (int32_t) p->threads;
    if (p->state == 'R')
        m->running_processes++;
    else if (p->state == 'T' || p->state == 't')
        m->stopped_processes++;
    else if (p->state == 'Z' || p->state == 'X')
        m->zombie_processes++;
    else
        m->sleeping_processes++;
}

static const char *state_word(char state)
{
    switch (state) {
    case 'R':
        return "running";
    case 'S':
        return "sleeping";
    case 'D':
        return "disk-sleep";
    case 'T':
    case 't':
        return "stopped";
    case 'Z':
    case 'X':
        return "zombie";
    default:
        return "idle";
    }
}

/* Percent of one cpu since the last look, or in its whole life when it was not seen then. */
static double cpu_of(const struct jd_sysmon *s, const struct jd_proc_pid *p, const struct seen *old)
{
    double hz = (double) sysconf(_SC_CLK_TCK), used = (double) p->ticks / hz, span;
    struct timespec up = { 0 };

    if (old && s->seconds > 0)
        return p->ticks < old->ticks ? 0
                                     : 100.0 * (double) (p->ticks - old->ticks) / hz / s->seconds;
    clock_gettime(CLOCK_BOOTTIME, &up);
    span = (double) up.tv_sec - (double) p->start_ticks / hz;
    if (s->seconds > 0 && span > s->seconds)
        span = s->seconds;
    return span < 1 ? 100.0 * used : 100.0 * used / span;
}

static int read_one(int proc, const char *pid, struct jd_proc_pid *ret)
{
    char path[32], text[1024];
    _close_ int fd = -1;
    ssize_t n;

    snprintf(path, sizeof path, "%.16s/stat", pid);
    fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n <= 0)
        return -1;
    text[n] = '\0';
    return jd_proc_pid(text, (size_t) n, ret);
}

/* The program's file; of a kernel thread its name in brackets. No arguments: any reader gets this, and
 * they may hold the host's secrets. */
static char *command_of(struct jd_sysmon *s, int pid, const char *name)
{
    char path[32], text[JD_SYSMON_TEXT];
    ssize_t n;

    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    n = readlink(path, text, sizeof text);
    if (n <= 0)
        n = snprintf(text, sizeof text, "[%s]", name);
    return jd_sysmon_text(&s->a, text, (size_t) n);
}

/* Out of /etc/passwd alone: a directory service could take its time. */
static char *user_of(struct jd_sysmon *s, int pid)
{
    char path[32];
    struct stat st;
    struct passwd *pw = NULL;
    char *name;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d", pid);
    if (stat(path, &st) < 0)
        return jd_sysmon_text(&s->a, "", 0);
    f = fopen("/etc/passwd", "re");
    do
        pw = f ? fgetpwent(f) : NULL;
    while (pw && pw->pw_uid != st.st_uid);
    name = pw ? jd_sysmon_text(&s->a, pw->pw_name, strlen(pw->pw_name))
              : jd_arena_format(&s->a, "%u", (unsigned) st.st_uid);
    if (f)
        fclose(f);
    return name;
}

static Joblet__ProcessInfo *info_of(struct jd_sysmon *s, const struct one *x)
{
    Joblet__ProcessInfo *m = jd_arena_get(&s->a, sizeof *m);
    char *when = jd_arena_get(&s->a, JL_RFC3339_MAX);
    uint64_t hz = (uint64_t) sysconf(_SC_CLK_TCK), page = (uint64_t) sysconf(_SC_PAGESIZE);

    if (!m || !when)
        return NULL;
    joblet__process_info__init(m);
    m->pid = x->p.pid;
    m->ppid = x->p.ppid;
    m->name = jd_sysmon_text(&s->a, x->p.name, strlen(x->p.name));
    m->command = command_of(s, x->p.pid, x->p.name);
    m->cpu_percent = x->cpu;
    m->memory_bytes = (int64_t) (x->p.rss_pages * page);
    m->memory_percent = jd_sysmon_share(x->p.rss_pages * page, s->memory_total);
    m->status = (char *) (uintptr_t) state_word(x->p.state);
    m->start_time = jl_rfc3339((s->boot_s + x->p.start_ticks / hz) * JL_NS_PER_S, 0, when);
    m->user = user_of(s, x->p.pid);
    m->threads = (int32_t) x->p.threads;
    return m;
}

static size_t list_of(struct jd_sysmon *s, const struct top *t, Joblet__ProcessInfo ***ret)
{
    *ret = jd_arena_get(&s->a, (t->n + 1) * sizeof **ret);
    for (size_t i = 0; *ret && i < t->n; i++)
        (*ret)[i] = info_of(s, &t->items[i]);
    return jd_arena_failed(&s->a) ? 0 : t->n;
}

void jd_sysmon_processes(struct jd_sysmon *s)
{
    static struct seen *before, *now;
    static size_t n_before;
    Joblet__ProcessMetrics *m = jd_arena_get(&s->a, sizeof *m);
    struct top cpu = { .n = 0 }, memory = { .n = 0 };
    size_t n = 0, old = 0;
    struct seen *swap;
    DIR *dir;

    if (!before)
        before = calloc(PIDS_MAX, sizeof *before);
    if (!now)
        now = calloc(PIDS_MAX, sizeof *now);
    dir = opendir("/proc");
    if (!m || !before || !now || !dir) {
        if (dir)
            closedir(dir);
        return;
    }
    joblet__process_metrics__init(m);
    for (const struct dirent *d; n < PIDS_MAX && (d = readdir(dir));) {
        struct one x = { .cpu = 0 };

        if (d->d_name[0] < '1' || d->d_name[0] > '9' || read_one(dirfd(dir), d->d_name, &x.p) < 0)
            continue;
        while (old < n_before && before[old].pid < x.p.pid)
            old++;
        x.cpu = cpu_of(s, &x.p,
                       old < n_before && before[old].pid == x.p.pid &&
                               before[old].start_ticks == x.p.start_ticks
                           ? &before[old]
                           : NULL);
        now[n++] = (struct seen){ x.p.pid, x.p.start_ticks, x.p.ticks };
        count(m, &x.p);
        offer(&cpu, &x, more_cpu);
        offer(&memory, &x, more_memory);
    }
    closedir(dir);
    swap = before;
    before = now;
    now = swap;
    n_before = n;
    m->n_top_by_cpu = list_of(s, &cpu, &m->top_by_cpu);
    m->n_top_by_memory = list_of(s, &memory, &m->top_by_memory);
    s->m->processes = m;
}
