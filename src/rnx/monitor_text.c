/* monitor_text.c - see monitor.h: for people. Every name in a sample is somebody's choice, a job's
 * too, so each is tamed. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "rnx/monitor.h"
#include "rnx/out.h"

#define CELL 48
#define CELL_MAX 512 /* of a table: names */
#define NAME_MAX_WIDTH 16
#define COMMAND_MAX_WIDTH 35

/* 12.3 GB, from bytes on. */
static char *size(double bytes, char *buf)
{
    static const char *const units[] = { "B", "KB", "MB", "GB", "TB", "PB" };
    size_t u = 0;

    while (bytes >= 1024 && u + 1 < JL_COUNT(units)) {
        bytes /= 1024;
        u++;
    }
    snprintf(buf, CELL, u == 0 ? "%.0f %s" : "%.1f %s", bytes, units[u]);
    return buf;
}

static char *rate(double bytes, char *buf)
{
    char s[CELL];

    snprintf(buf, CELL, "%.40s/s", size(bytes, s));
    return buf;
}

static void line(FILE *to, const char *label, const char *value)
{
    char tame[512];

    if (value && value[0] != '\0')
        fprintf(to, "  %-13s %s\n", label, rnx_tame(value, tame, sizeof tame));
}

static void list(FILE *to, const char *label, char *const *items, size_t n)
{
    char all[512] = "";
    size_t used = 0;

    for (size_t i = 0; i < n && used < sizeof all - 64; i++)
        used +=
            (size_t) snprintf(all + used, sizeof all - used, "%s%.60s", i ? ", " : "", items[i]);
    line(to, label, all);
}

static void host_text(FILE *to, const Joblet__HostInfo *h)
{
    char text[CELL], when[64];

    fprintf(to, "\nHost Information\n");
    line(to, "Hostname:", h->hostname);
    line(to, "OS:", h->os);
    line(to, "Platform:", h->platform);
    line(to, "Version:", h->platform_version);
    line(to, "Kernel:", h->kernel_version);
    line(to, "Architecture:", h->architecture);
    line(to, "Uptime:",
         jl_duration_text((uint64_t) (h->uptime > 0 ? h->uptime : 0) * JL_NS_PER_S, text,
                          sizeof text));
    line(to, "Boot time:", rnx_time_text(h->boot_time, true, "", when, sizeof when));
    line(to, "Node ID:", h->node_id);
    list(to, "Addresses:", h->server_ips, h->n_server_ips);
    list(to, "MACs:", h->mac_addresses, h->n_mac_addresses);
}

static void version_text(FILE *to, const Joblet__ServerVersionInfo *v)
{
    fprintf(to, "\nJoblet Server\n");
    line(to, "Version:", v->version);
    line(to, "Commit:", v->git_commit);
    line(to, "Built from:", v->build_date);
    line(to, "Compiler:", v->go_version);
    line(to, "Platform:", v->platform);
}

static void cpu_text(FILE *to, const Joblet__CPUMetrics *c)
{
    fprintf(to, "\nCPU\n");
    line(to, "Model:", c->model);
    if (c->frequency_mhz > 0)
        fprintf(to, "  %-13s %.0f MHz\n", "Frequency:", c->frequency_mhz);
    if (c->temperature_celsius != 0)
        fprintf(to, "  %-13s %.0f C\n", "Temperature:", c->temperature_celsius);
    fprintf(to, "  %-13s %d\n  %-13s %.1f%%\n", "Cores:", c->cores, "Usage:", c->usage_percent);
    fprintf(to, "  %-13s %.1f%%\n  %-13s %.1f%%\n  %-13s %.1f%%\n  %-13s %.1f%%\n",
            "User:", c->user_time, "System:", c->system_time, "Idle:", c->idle_time,
            "I/O wait:", c->io_wait_time);
    if (c->steal_time > 0)
        fprintf(to, "  %-13s %.1f%%\n", "Steal:", c->steal_time);
    if (c->n_load_average == 3)
        fprintf(to, "  %-13s %.2f %.2f %.2f\n", "Load:", c->load_average[0], c->load_average[1],
                c->load_average[2]);
    for (size_t i = 0; i < c->n_per_core_usage; i++)
        fprintf(to, "%s%.0f%%%s", i ? " " : "  Per core:     ", c->per_core_usage[i],
                i + 1 == c->n_per_core_usage ? "\n" : "");
}

static void memory_text(FILE *to, const Joblet__MemoryMetrics *m)
{
    char a[CELL];

    fprintf(to, "\nMemory\n");
    fprintf(to, "  %-13s %s\n", "Total:", size((double) m->total_bytes, a));
    fprintf(to, "  %-13s %s (%.1f%%)\n", "Used:", size((double) m->used_bytes, a),
            m->usage_percent);
    fprintf(to, "  %-13s %s\n", "Available:", size((double) m->available_bytes, a));
    fprintf(to, "  %-13s %s\n", "Cached:", size((double) m->cached_bytes, a));
    fprintf(to, "  %-13s %s\n", "Buffers:", size((double) m->buffered_bytes, a));
    fprintf(to, "  %-13s %s", "Swap:", size((double) m->swap_used, a));
    fprintf(to, " of %s\n", size((double) m->swap_total, a));
}

/* A table whose cells are filled one by one. */
struct table {
    const struct rnx_column *columns;
    size_t n_columns, n_rows;
    char (*text)[CELL_MAX]; /* NULL: out of memory, and nothing is shown */
};

static struct table table_of(const struct rnx_column *columns, size_t n_columns, size_t n_rows)
{
    return (struct table){ columns, n_columns, n_rows, calloc(n_columns * n_rows + 1, CELL_MAX) };
}

static char *cell(const struct table *t, size_t row, size_t column)
{
    return t->text[row * t->n_columns + column];
}

static void table_print(FILE *to, struct table *t)
{
    size_t n = t->n_columns * t->n_rows;
    _free_ const char **cells = calloc(n + 1, sizeof *cells);

    for (size_t i = 0; t->text && cells && i < n; i++)
        cells[i] = t->text[i];
    if (t->text && cells)
        rnx_table(to, t->columns, t->n_columns, cells, t->n_rows, false);
    free(t->text);
}

static void disks_text(FILE *to, Joblet__DiskMetrics *const *d, size_t n)
{
    static const struct rnx_column columns[] = { { "Device", 32 }, { "Mount", 40 },
                                                 { "Filesystem" }, { "Size" },
                                                 { "Used" },       { "Available" },
                                                 { "Use%" } };
    struct table t = table_of(columns, JL_COUNT(columns), n);

    for (size_t i = 0; t.text && i < n; i++) {
        rnx_tame(d[i]->device, cell(&t, i, 0), CELL_MAX);
        rnx_tame(d[i]->mount_point, cell(&t, i, 1), CELL_MAX);
        rnx_tame(d[i]->filesystem, cell(&t, i, 2), CELL_MAX);
        size((double) d[i]->total_bytes, cell(&t, i, 3));
        size((double) d[i]->used_bytes, cell(&t, i, 4));
        size((double) d[i]->free_bytes, cell(&t, i, 5));
        snprintf(cell(&t, i, 6), CELL, "%.1f%%", d[i]->usage_percent);
    }
    table_print(to, &t);
}

static void networks_text(FILE *to, Joblet__NetworkMetrics *const *d, size_t n)
{
    static const struct rnx_column columns[] = { { "Interface", 16 }, { "RX Rate" },  { "TX Rate" },
                                                 { "RX Total" },      { "TX Total" }, { "Packets" },
                                                 { "Errors" } };
    struct table t = table_of(columns, JL_COUNT(columns), n);

    for (size_t i = 0; t.text && i < n; i++) {
        rnx_tame(d[i]->interface, cell(&t, i, 0), CELL_MAX);
        rate(d[i]->receive_rate, cell(&t, i, 1));
        rate(d[i]->transmit_rate, cell(&t, i, 2));
        size((double) d[i]->bytes_received, cell(&t, i, 3));
        size((double) d[i]->bytes_sent, cell(&t, i, 4));
        snprintf(cell(&t, i, 5), CELL, "%" PRId64, d[i]->packets_received + d[i]->packets_sent);
        snprintf(cell(&t, i, 6), CELL, "%" PRId64, d[i]->errors_in + d[i]->errors_out);
    }
    table_print(to, &t);
}

static void process_table(FILE *to, Joblet__ProcessInfo *const *p, size_t n)
{
    static const struct rnx_column columns[] = { { "PID" },    { "Name", NAME_MAX_WIDTH },
                                                 { "CPU%" },   { "Mem%" },
                                                 { "Memory" }, { "Command", COMMAND_MAX_WIDTH } };
    struct table t = table_of(columns, JL_COUNT(columns), n);

    for (size_t i = 0; t.text && i < n; i++) {
        snprintf(cell(&t, i, 0), CELL, "%d", p[i]->pid);
        rnx_tame(p[i]->name, cell(&t, i, 1), CELL_MAX);
        snprintf(cell(&t, i, 2), CELL, "%.1f", p[i]->cpu_percent);
        snprintf(cell(&t, i, 3), CELL, "%.1f", p[i]->memory_percent);
        size((double) p[i]->memory_bytes, cell(&t, i, 4));
        rnx_tame(p[i]->command, cell(&t, i, 5), CELL_MAX);
    }
    table_print(to, &t);
}

static void processes_text(FILE *to, const Joblet__ProcessMetrics *m)
{
    fprintf(to, "%d in all: %d running, %d sleeping, %d stopped, %d zombie; %d threads\n",
            m->total_processes, m->running_processes, m->sleeping_processes, m->stopped_processes,
            m->zombie_processes, m->total_threads);
    process_table(to, m->top_by_cpu, m->n_top_by_cpu);
}

static void io_line(FILE *to, const Joblet__IOMetrics *m)
{
    char a[CELL], b[CELL], c[CELL], d[CELL];

    fprintf(to, "I/O: read %s (%s in all), write %s (%s in all)\n", rate(m->read_rate, a),
            size((double) m->read_bytes, b), rate(m->write_rate, c),
            size((double) m->write_bytes, d));
}

static void cloud_text(FILE *to, const Joblet__CloudInfo *c)
{
    fprintf(to, "\nCloud Environment\n");
    line(to, "Provider:", c->provider);
    line(to, "Region:", c->region);
    line(to, "Zone:", c->zone);
    line(to, "Instance:", c->instance_id);
    line(to, "Type:", c->instance_type);
    line(to, "Hypervisor:", c->hypervisor_type);
}

void rnx_mon_status_text(FILE *to, const Joblet__SystemStatusResponse *s, unsigned parts)
{
    char when[64];

    fprintf(to, "System Status - %s\nAvailable: %s\n",
            rnx_time_text(s->timestamp, true, "-", when, sizeof when), s->available ? "yes" : "no");
    if (s->host)
        host_text(to, s->host);
    if (s->server_version)
        version_text(to, s->server_version);
    if (s->cpu && (parts & RNX_MON_CPU))
        cpu_text(to, s->cpu);
    if (s->memory && (parts & RNX_MON_MEMORY))
        memory_text(to, s->memory);
    if (s->n_disks > 0 && (parts & RNX_MON_DISK)) {
        fprintf(to, "\nDisks\n");
        disks_text(to, s->disks, s->n_disks);
    }
    if (s->io && (parts & RNX_MON_IO))
        io_line(to, s->io);
    if (s->n_networks > 0 && (parts & RNX_MON_NETWORK)) {
        fprintf(to, "\nNetwork Interfaces\n");
        networks_text(to, s->networks, s->n_networks);
    }
    if (s->processes && (parts & RNX_MON_PROCESS)) {
        fprintf(to, "\nProcesses\n");
        processes_text(to, s->processes);
    }
    if (s->cloud)
        cloud_text(to, s->cloud);
}

static void disk_lines(FILE *to, const Joblet__SystemStatusResponse *s)
{
    char a[CELL], b[CELL], tame[512];

    for (size_t i = 0; i < s->n_disks; i++)
        fprintf(to, "Disk %s: %s of %s (%.1f%%)\n",
                rnx_tame(s->disks[i]->mount_point, tame, sizeof tame),
                size((double) s->disks[i]->used_bytes, a),
                size((double) s->disks[i]->total_bytes, b), s->disks[i]->usage_percent);
}

static void network_lines(FILE *to, const Joblet__SystemStatusResponse *s)
{
    char a[CELL], b[CELL], tame[512];

    for (size_t i = 0; i < s->n_networks; i++)
        fprintf(to, "Net %s: in %s, out %s\n",
                rnx_tame(s->networks[i]->interface, tame, sizeof tame),
                rate(s->networks[i]->receive_rate, a), rate(s->networks[i]->transmit_rate, b));
}

void rnx_mon_top_text(FILE *to, const Joblet__SystemStatusResponse *s, unsigned parts, bool compact)
{
    const Joblet__CPUMetrics *c = parts & RNX_MON_CPU ? s->cpu : NULL;
    const Joblet__MemoryMetrics *m = parts & RNX_MON_MEMORY ? s->memory : NULL;
    char when[64], a[CELL], b[CELL], tame[512];

    fprintf(to, "%s  %s\n", rnx_time_text(s->timestamp, true, "-", when, sizeof when),
            s->host ? rnx_tame(s->host->hostname, tame, sizeof tame) : "");
    if (c)
        fprintf(to,
                "CPU: %.1f%% of %d cores (user %.1f%%, system %.1f%%, idle %.1f%%, I/O wait "
                "%.1f%%), load %.2f\n",
                c->usage_percent, c->cores, c->user_time, c->system_time, c->idle_time,
                c->io_wait_time, c->n_load_average > 0 ? c->load_average[0] : 0);
    if (m)
        fprintf(to, "Memory: %s of %s (%.1f%%)\n", size((double) m->used_bytes, a),
                size((double) m->total_bytes, b), m->usage_percent);
    if (parts & RNX_MON_DISK)
        disk_lines(to, s);
    if (s->io && (parts & RNX_MON_IO))
        io_line(to, s->io);
    if ((parts & RNX_MON_NETWORK) && s->n_networks > 0) {
        if (compact)
            network_lines(to, s);
        else
            networks_text(to, s->networks, s->n_networks);
    }
    if (s->processes && (parts & RNX_MON_PROCESS)) {
        if (compact)
            fprintf(to, "Processes: %d, %d running\n", s->processes->total_processes,
                    s->processes->running_processes);
        else
            processes_text(to, s->processes);
    }
}
