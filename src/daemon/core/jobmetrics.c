/*
 * jobmetrics.c - see jobmetrics.h: when samples are taken, and what is in one.
 *
 * A job that uses no CPU time does nothing, but something may still become of what it did: pressure
 * decays, written pages go to the disk, the host takes cached ones back, packets come. Once all
 * that is at rest its last sample is repeated, for two or three small reads in place of twenty-five;
 * but not for more than a minute.
 */
#include "daemon/core/jobmetrics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/core/core.h"
#include "daemon/core/jobprocs.h"
#include "daemon/core/metricsfile.h"
#include "daemon/core/procfs.h"
#include "os/cgroup_sample.h"

#define LEAST_NS 1000 /* between two samples: what reads JSON into doubles tells no less apart */
#define SOON_NS (100 * JL_NS_PER_MS)     /* from a job's begin to its first sample */
#define TOGETHER_NS (100 * JL_NS_PER_MS) /* what is due within is taken now: fewer wakeups */
#define SLICE_MAX 16                     /* samples in one turn of the loop */
#define REPEAT_NS (60 * JL_NS_PER_S)
#define PRESSURE_NS (2500 * JL_NS_PER_MS) /* the kernel averages it each 2 s: kernel/sched/psi.c */
#define NETS_MAX 16
#define SHARE_NS (10 * JL_NS_PER_MS) /* of less no share is told: what made the job used as much */

struct jd_jobmetrics {
    struct jd_job *job;
    struct jd_jobmetrics *next, *prev;
    uint64_t due_ns;
    uint64_t since_ns; /* when `last` was taken, or the job began */
    bool taken;        /* there is a `last` */
    struct jd_metrics_sample last;
    uint64_t throttled_us;
    char usage[64], memory[64]; /* CPU time and memory, as the kernel writes them */
    uint64_t busy_ns;           /* when use of CPU time was seen last */
    bool at_rest;               /* `last` may be repeated if these are still the same */
    uint64_t read_ns;           /* when everything was read last */
    struct jd_metrics_file file;
};

static void take_out(struct jd_metrics *all, struct jd_jobmetrics *m)
{
    *(m->prev ? &m->prev->next : &all->first) = m->next;
    *(m->next ? &m->next->prev : &all->last) = m->prev;
    m->next = m->prev = NULL;
}

/* All wait equally long, so the end of the list is nearly always the place. */
static void put_in(struct jd_metrics *all, struct jd_jobmetrics *m)
{
    struct jd_jobmetrics *before = all->last;

    while (before && before->due_ns > m->due_ns)
        before = before->prev;
    m->prev = before;
    m->next = before ? before->next : all->first;
    *(m->prev ? &m->prev->next : &all->first) = m;
    *(m->next ? &m->next->prev : &all->last) = m;
}

/* ---- one sample */

/* Whether the first line of a file of the job's group is what it was at the last call; "" when it
 * can't be read. */
static bool is_same(const struct jd_jobmetrics *m, enum os_controller ctl, const char *v1_file,
                    const char *v2_file, char line[64])
{
    const struct jd_core *c = m->job->core;
    bool v1 = c->cg_host.v1[ctl][0] != '\0';
    char path[4600], text[64] = "";
    _close_ int fd = -1;
    ssize_t n;
    bool same;

    snprintf(path, sizeof path, "%s/%s/job-%s/%s", v1 ? c->cg_host.v1[ctl] : c->cg_host.unified,
             c->conf.cgroup_path, m->job->rec.id, v1 ? v1_file : v2_file);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    same = strcmp(text, line) == 0;
    memcpy(line, text, sizeof text);
    return same;
}

/* No CPU time was used since the last call; false also when that can't be told. */
static bool is_idle(struct jd_jobmetrics *m)
{
    return is_same(m, OS_CG_CPUACCT, "cpuacct.usage", "cpu.stat", m->usage) && m->usage[0];
}

static bool has_same_memory(struct jd_jobmetrics *m)
{
    return is_same(m, OS_CG_MEMORY, "memory.usage_in_bytes", "memory.current", m->memory);
}

/* The job's interfaces but lo; nothing when it has the host's. */
static void read_network(const struct jd_job *j, struct jd_metrics_sample *s)
{
    char path[64], ours[64], theirs[64], text[8192];
    struct jd_proc_net nets[NETS_MAX];
    _close_ int fd = -1;
    ssize_t n, a, b;
    size_t count;

    if (j->pid <= 0)
        return;
    snprintf(path, sizeof path, "/proc/%d/ns/net", j->pid);
    a = readlink("/proc/self/ns/net", ours, sizeof ours);
    b = readlink(path, theirs, sizeof theirs);
    if (a <= 0 || a != b || memcmp(ours, theirs, (size_t) a) == 0)
        return;
    snprintf(path, sizeof path, "/proc/%d/net/dev", j->pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n <= 0)
        return;
    text[n] = '\0';
    count = jd_proc_net(text, nets, NETS_MAX);
    s->net_recv_bytes = s->net_sent_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(nets[i].name, "lo") == 0)
            continue;
        s->net_recv_bytes += nets[i].rx_bytes;
        s->net_sent_bytes += nets[i].tx_bytes;
    }
}

static double percent_of(uint64_t now_us, uint64_t before_us, uint64_t span_ns)
{
    return now_us > before_us && span_ns >= SHARE_NS
               ? 100.0 * 1000 * (double) (now_us - before_us) / (double) span_ns
               : 0;
}

/* A time of the wall clock, heard of just now, on the clock that is never set: what is counted
 * between two samples must not depend on where somebody moved the hands meanwhile. */
static uint64_t steady_ns(uint64_t wall_ns)
{
    uint64_t now = jl_now_ns(), wall = jl_wall_ns(), ago = wall > wall_ns ? wall - wall_ns : 0;

    return now > ago ? now - ago : 0;
}

/* Of what was used until now_ns since the last sample, or since the job began. */
static void shares(struct jd_jobmetrics *m, struct jd_metrics_sample *s, uint64_t now_ns,
                   uint64_t throttled_us)
{
    uint64_t span = now_ns > m->since_ns ? now_ns - m->since_ns : 0;
    double most = 100.0 * (double) sysconf(_SC_NPROCESSORS_ONLN);

    s->interval_ns = m->taken ? span : 0;
    s->cpu_percent = percent_of(s->cpu_user_usec + s->cpu_system_usec,
                                m->last.cpu_user_usec + m->last.cpu_system_usec, span);
    if (s->cpu_percent > most) /* the counters are read a little later than the clock */
        s->cpu_percent = most;
    s->cpu_throttled_percent = percent_of(throttled_us, m->throttled_us, span);
    if (s->cpu_throttled_percent > 100)
        s->cpu_throttled_percent = 100;
    m->throttled_us = throttled_us;
}

/* False when the group is gone: the job is about to end. now_ns: the present. */
static bool read_all(struct jd_jobmetrics *m, struct jd_metrics_sample *s, uint64_t now_ns)
{
    const struct jd_core *c = m->job->core;
    struct jl_err e = JL_ERR_INIT;
    struct os_cgroup *cg = NULL;
    struct os_cgroup_sample x;
    struct jd_procs procs;
    char path[4400];

    snprintf(path, sizeof path, "%s/job-%s", c->conf.cgroup_path, m->job->rec.id);
    if (os_cgroup_open(&c->cg_host, path, &cg, &e) < 0)
        return false;
    os_cgroup_sample_read(cg, &x);
    jd_procs_read(cg, x.stat.pids_current, &procs);
    os_cgroup_free(cg);
    *s = (struct jd_metrics_sample){
        .timestamp = jl_wall_ns(),
        .memory_bytes = x.stat.memory_current,
        .memory_limit = x.memory_limit == UINT64_MAX ? 0 : x.memory_limit,
        .disk_read_bytes = x.stat.io_read_bytes,
        .disk_write_bytes = x.stat.io_write_bytes,
        .net_recv_bytes = m->last.net_recv_bytes,
        .net_sent_bytes = m->last.net_sent_bytes,
        .cpu_user_usec = x.stat.cpu_user_us,
        .cpu_system_usec = x.stat.cpu_system_us,
        .memory_peak = x.stat.memory_peak,
        .memory_anon = x.memory_anon,
        .memory_file = x.memory_file,
        .major_faults = x.major_faults,
        .oom_kills = x.oom_kills,
        .io_read_ops = x.io_reads,
        .io_write_ops = x.io_writes,
        .pids_current = x.stat.pids_current,
        .pids_max = x.pids_limit == UINT64_MAX ? 0 : x.pids_limit,
        .psi_cpu_some10 = x.psi_cpu,
        .psi_memory_some10 = x.psi_memory,
        .psi_io_some10 = x.psi_io,
        .processes = procs.processes,
        .open_files = procs.open_files,
    };
    read_network(m->job, s);
    shares(m, s, now_ns, x.throttled_us);
    m->at_rest = x.unwritten == 0 && x.psi_cpu == 0 && x.psi_memory == 0 && x.psi_io == 0;
    return true;
}

static void pack_file(struct jd_jobmetrics *m)
{
    struct jl_err e = JL_ERR_INIT;

    if (jd_metrics_close(&m->file, m->job->core->metrics.dirfd, m->job->rec.id, &e) < 0)
        jl_log_fail(&e, "job.metrics", "job=%s: its file stays as it is", m->job->rec.id);
}

/* taken_ns: when, on the clock that is never set. */
static void keep(struct jd_jobmetrics *m, const struct jd_metrics_sample *s, uint64_t taken_ns)
{
    struct jd_core *c = m->job->core;
    struct jl_err e = JL_ERR_INIT;

    m->last = *s;
    m->taken = true;
    m->since_ns = taken_ns;
    if (jd_metrics_append(&m->file, c->metrics.dirfd, m->job->rec.id, s, &e) < 0)
        jl_log_fail(&e, "job.metrics", "job=%s: a sample is lost", m->job->rec.id);
    else if (m->file.bytes > JD_METRICS_FULL)
        pack_file(m);
}

/* The last sample once more, at another time; what comes in from outside is read. */
static void repeat(struct jd_jobmetrics *m, uint64_t now)
{
    struct jd_metrics_sample s = m->last;

    s.timestamp = jl_wall_ns();
    s.cpu_percent = s.cpu_throttled_percent = 0;
    s.interval_ns = now > m->since_ns ? now - m->since_ns : 0;
    if (strcmp(m->job->req->network, "none") != 0)
        read_network(m->job, &s);
    keep(m, &s, now);
}

static void sample(struct jd_jobmetrics *m)
{
    struct jd_metrics_sample s;
    uint64_t now = jl_now_ns();
    bool idle = is_idle(m), same = idle && has_same_memory(m);

    if (same && m->at_rest && now - m->read_ns < REPEAT_NS) {
        repeat(m, now);
        return;
    }
    m->read_ns = now;
    if (!idle)
        m->busy_ns = now;
    if (!read_all(m, &s, now))
        return;
    m->at_rest = m->at_rest && now - m->busy_ns >= PRESSURE_NS; /* what just was is none yet */
    keep(m, &s, now);
}

/* ---- the timer of all */

static int on_timer(struct jl_timer *t)
{
    struct jd_core *c = JL_CONTAINER(t, struct jd_core, metrics.timer);
    struct jd_metrics *all = &c->metrics;
    uint64_t now = jl_now_ns();

    for (unsigned n = 0; n < SLICE_MAX && all->first && all->first->due_ns <= now + TOGETHER_NS;
         n++) {
        struct jd_jobmetrics *m = all->first;

        sample(m);
        take_out(all, m);
        m->due_ns = now + c->conf.metrics_rate_ns;
        put_in(all, m);
    }
    if (all->first)
        jl_loop_arm(c->loop, t, all->first->due_ns > now + TOGETHER_NS ? all->first->due_ns : now,
                    on_timer);
    return 0;
}

void jd_metrics_begin(struct jd_job *j, bool anew)
{
    struct jd_core *c = j->core;
    struct jd_jobmetrics *m;
    uint64_t now = jl_now_ns();

    if (!c->conf.metrics_enabled || j->metrics)
        return;
    m = calloc(1, sizeof *m);
    if (!m)
        return;
    m->job = j;
    m->due_ns = now + (anew ? SOON_NS : c->conf.metrics_rate_ns);
    m->since_ns = steady_ns(j->rec.started_wall_ns);
    j->metrics = m;
    if (!anew && read_all(m, &m->last, now)) { /* the next one's percentages are since now */
        m->taken = true;
        m->since_ns = now;
    }
    put_in(&c->metrics, m);
    if (c->metrics.first == m)
        jl_loop_arm(c->loop, &c->metrics.timer, m->due_ns, on_timer);
}

void jd_metrics_free(struct jd_job *j)
{
    if (!j->metrics)
        return;
    take_out(&j->core->metrics, j->metrics);
    if (!j->core->metrics.first)
        jl_loop_disarm(j->core->loop, &j->core->metrics.timer);
    free(j->metrics);
    j->metrics = NULL;
}

/* A job that was over before its first sample began with nothing used, in its limits. */
static struct jd_metrics_sample first_sample(const struct jd_job *j)
{
    return (struct jd_metrics_sample){
        .timestamp = j->rec.started_wall_ns,
        .memory_limit = (uint64_t) j->req->max_memory << 20,
        .pids_max = (uint64_t) j->core->conf.default_pids,
    };
}

/* What is not in the result stays as it was last seen; what only the living have is 0. The result
 * doesn't know operations: those seen are too few for more bytes. */
static struct jd_metrics_sample last_sample(const struct jd_jobmetrics *m)
{
    const struct jd_record *rec = &m->job->rec;
    struct jd_metrics_sample s = m->last;
    uint64_t least = s.timestamp + LEAST_NS;

    s.timestamp = rec->ended_wall_ns > least ? rec->ended_wall_ns : least;
    s.memory_bytes = s.memory_anon = s.memory_file = s.pids_current = 0;
    s.processes = s.open_files = 0;
    s.psi_cpu_some10 = s.psi_memory_some10 = s.psi_io_some10 = 0;
    if (rec->has_result) {
        s.cpu_user_usec = rec->result.cpu_user_us;
        s.cpu_system_usec = rec->result.cpu_system_us;
        s.memory_peak = rec->result.memory_peak;
        if (s.disk_read_bytes != rec->result.io_read_bytes)
            s.io_read_ops = 0;
        if (s.disk_write_bytes != rec->result.io_write_bytes)
            s.io_write_ops = 0;
        s.disk_read_bytes = rec->result.io_read_bytes;
        s.disk_write_bytes = rec->result.io_write_bytes;
        if (rec->result.oom && s.oom_kills == 0)
            s.oom_kills = 1;
    }
    return s;
}

void jd_metrics_end(struct jd_job *j)
{
    struct jd_jobmetrics none = { .job = j, .since_ns = steady_ns(j->rec.started_wall_ns) };
    struct jd_jobmetrics *m = j->metrics ? j->metrics : &none;
    uint64_t ended = steady_ns(j->rec.ended_wall_ns);
    struct jd_metrics_sample s;

    if (!j->core->conf.metrics_enabled || j->rec.started_wall_ns == 0)
        return;
    if (!m->taken) {
        s = first_sample(j);
        keep(m, &s, m->since_ns);
    }
    s = last_sample(m);
    shares(m, &s, ended, m->throttled_us);
    keep(m, &s, ended);
    pack_file(m);
    jd_metrics_free(j);
}
