/* sysmon_cpu.c - see sysmon.h: what the cpus do, and which ones they are. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/core/procfs.h"
#include "daemon/core/sysmon.h"

static uint64_t all_ticks(const struct jd_proc_cpu *c)
{
    return c->user + c->kernel + c->idle + c->iowait + c->steal;
}

static struct jd_proc_cpu cpu_since(const struct jd_proc_cpu *now, const struct jd_proc_cpu *before)
{
    return (struct jd_proc_cpu){ .user = jd_sysmon_since(now->user, before->user),
                                 .kernel = jd_sysmon_since(now->kernel, before->kernel),
                                 .idle = jd_sysmon_since(now->idle, before->idle),
                                 .iowait = jd_sysmon_since(now->iowait, before->iowait),
                                 .steal = jd_sysmon_since(now->steal, before->steal) };
}

static double usage(const struct jd_proc_cpu *c)
{
    return jd_sysmon_share(c->user + c->kernel + c->steal, all_ticks(c));
}

static void shares_of_time(struct jd_sysmon *s, Joblet__CPUMetrics *m)
{
    static struct jd_proc_stat before, now;
    double *numbers = jd_arena_get(&s->a, (JD_PROC_CORES_MAX + 3) * sizeof *numbers);
    const char *text = jd_sysmon_file(&s->a, "/proc/stat"),
               *load = jd_sysmon_file(&s->a, "/proc/loadavg");
    struct jd_proc_cpu all;

    if (!numbers || !text || !load)
        return;
    jd_proc_stat(text, &now);
    if (now.n_cores != before.n_cores) /* one came or went: their numbers do not fit together */
        memset(before.cores, 0, sizeof before.cores);
    all = cpu_since(&now.all, &before.all);
    m->cores = (int32_t) now.n_cores;
    m->usage_percent = usage(&all);
    m->user_time = jd_sysmon_share(all.user, all_ticks(&all));
    m->system_time = jd_sysmon_share(all.kernel, all_ticks(&all));
    m->idle_time = jd_sysmon_share(all.idle, all_ticks(&all));
    m->io_wait_time = jd_sysmon_share(all.iowait, all_ticks(&all));
    m->steal_time = jd_sysmon_share(all.steal, all_ticks(&all));
    m->load_average = numbers;
    m->n_load_average = 3;
    if (sscanf(load, "%lf %lf %lf", &numbers[0], &numbers[1], &numbers[2]) != 3)
        m->n_load_average = 0;
    m->per_core_usage = numbers + 3;
    m->n_per_core_usage = now.n_cores;
    for (size_t i = 0; i < now.n_cores; i++) {
        struct jd_proc_cpu c = cpu_since(&now.cores[i], &before.cores[i]);

        m->per_core_usage[i] = usage(&c);
    }
    before = now;
    s->boot_s = now.boot_s;
}

/* Where /proc/cpuinfo has no frequency, as on ARM, the governor's of the first cpus is taken. */
static void model_and_frequency(struct jd_sysmon *s, Joblet__CPUMetrics *m)
{
    const char *text = jd_sysmon_file(&s->a, "/proc/cpuinfo");
    const char *khz =
        jd_sysmon_file(&s->a, "/sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq");
    struct jd_proc_cpuinfo x;

    if (!text || !khz)
        return;
    jd_proc_cpuinfo(text, &x);
    m->model = jd_sysmon_text(&s->a, x.model, strlen(x.model));
    m->frequency_mhz = x.mhz > 0 ? x.mhz : (double) strtoul(khz, NULL, 10) / 1000;
}

/* The drivers whose first sensor is the package's, or the die's. */
static bool is_of_cpu(const char *name)
{
    static const char *const drivers[] = { "coretemp\n", "k10temp\n", "zenpower\n",
                                           "cpu_thermal\n" };

    for (size_t i = 0; i < JL_COUNT(drivers); i++)
        if (strcmp(name, drivers[i]) == 0)
            return true;
    return false;
}

double jd_sysmon_temperature(struct jd_arena *a, const char *hwmon)
{
    DIR *dir = opendir(hwmon);
    double hottest = 0;

    for (const struct dirent *d; dir && (d = readdir(dir));) {
        char path[512];
        const char *text;
        double v;

        if (d->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%.128s/%.64s/name", hwmon, d->d_name);
        text = jd_sysmon_file(a, path);
        if (!text || !is_of_cpu(text))
            continue;
        snprintf(path, sizeof path, "%.128s/%.64s/temp1_input", hwmon, d->d_name);
        text = jd_sysmon_file(a, path);
        v = text ? strtod(text, NULL) / 1000 : 0;
        if (v > hottest) /* one for each socket */
            hottest = v;
    }
    if (dir)
        closedir(dir);
    return hottest;
}

void jd_sysmon_cpus(struct jd_sysmon *s)
{
    Joblet__CPUMetrics *m = jd_arena_get(&s->a, sizeof *m);

    if (!m)
        return;
    joblet__cpumetrics__init(m);
    shares_of_time(s, m);
    model_and_frequency(s, m);
    m->temperature_celsius = jd_sysmon_temperature(&s->a, "/sys/class/hwmon");
    s->m->cpu = m;
}
