/* monitor_json.c - see monitor.h: the keys of rnx-cli.md, section 14. */
#include <string.h>

#include "base/cleanup.h"
#include "rnx/monitor.h"
#include "rnx/out.h"

static const char *const words[] = { "cpu", "memory", "disk", "network", "io", "process" };

unsigned rnx_mon_bit(const char *word, size_t len)
{
    for (unsigned i = 0; i < JL_COUNT(words); i++)
        if (strlen(words[i]) == len && memcmp(words[i], word, len) == 0)
            return 1u << i;
    return 0;
}

const char *rnx_mon_word(unsigned index)
{
    return index < JL_COUNT(words) ? words[index] : NULL;
}

static void host(struct jl_json_out *w, const Joblet__HostInfo *h, const Joblet__CloudInfo *c)
{
    jl_json_put_object(w, "hostInfo");
    jl_json_put_str(w, "hostname", h->hostname);
    jl_json_put_str(w, "platform", h->platform[0] ? h->platform : h->os);
    rnx_json_str(w, "platformVersion", h->platform_version);
    jl_json_put_str(w, "arch", h->architecture);
    jl_json_put_str(w, "release", h->kernel_version);
    jl_json_put_i64(w, "uptime", h->uptime);
    rnx_json_str(w, "bootTime", h->boot_time);
    if (c) {
        rnx_json_str(w, "cloudProvider", c->provider);
        rnx_json_str(w, "instanceType", c->instance_type);
        rnx_json_str(w, "region", c->region);
        rnx_json_str(w, "hypervisor", c->hypervisor_type);
    }
    rnx_json_str(w, "nodeId", h->node_id);
    rnx_json_strv(w, "serverIPs", h->server_ips, h->n_server_ips);
    rnx_json_strv(w, "macAddresses", h->mac_addresses, h->n_mac_addresses);
    jl_json_end(w);
}

static void numbers(struct jl_json_out *w, const char *key, const double *v, size_t n,
                    double divisor)
{
    jl_json_put_array(w, key);
    for (size_t i = 0; i < n; i++)
        jl_json_put_double(w, NULL, v[i] / divisor);
    jl_json_end(w);
}

/* What a host need not have: nothing is shown for 0. */
static void known(struct jl_json_out *w, const char *key, double v)
{
    if (v != 0)
        jl_json_put_double(w, key, v);
}

/* Shares of 1, as usage is; frequency in MHz. */
static void cpu(struct jl_json_out *w, const Joblet__CPUMetrics *c)
{
    jl_json_put_object(w, "cpuInfo");
    jl_json_put_i64(w, "cores", c->cores);
    jl_json_put_i64(w, "threads", c->cores);
    rnx_json_str(w, "model", c->model);
    known(w, "frequency", c->frequency_mhz);
    known(w, "temperature", c->temperature_celsius);
    jl_json_put_double(w, "usage", c->usage_percent / 100);
    jl_json_put_double(w, "user", c->user_time / 100);
    jl_json_put_double(w, "system", c->system_time / 100);
    jl_json_put_double(w, "idle", c->idle_time / 100);
    jl_json_put_double(w, "iowait", c->io_wait_time / 100);
    jl_json_put_double(w, "steal", c->steal_time / 100);
    numbers(w, "loadAverage", c->load_average, c->n_load_average, 1);
    numbers(w, "perCoreUsage", c->per_core_usage, c->n_per_core_usage, 100);
    jl_json_end(w);
}

static void memory(struct jl_json_out *w, const Joblet__MemoryMetrics *m)
{
    double swap = m->swap_total > 0 ? 100.0 * (double) m->swap_used / (double) m->swap_total : 0;

    jl_json_put_object(w, "memoryInfo");
    jl_json_put_i64(w, "total", m->total_bytes);
    jl_json_put_i64(w, "used", m->used_bytes);
    jl_json_put_i64(w, "free", m->free_bytes);
    jl_json_put_i64(w, "available", m->available_bytes);
    jl_json_put_double(w, "percent", m->usage_percent);
    jl_json_put_i64(w, "buffers", m->buffered_bytes);
    jl_json_put_i64(w, "cached", m->cached_bytes);
    jl_json_put_object(w, "swap");
    jl_json_put_i64(w, "total", m->swap_total);
    jl_json_put_i64(w, "used", m->swap_used);
    jl_json_put_double(w, "percent", swap);
    jl_json_end(w);
    jl_json_end(w);
}

static void disks(struct jl_json_out *w, const Joblet__SystemStatusResponse *s)
{
    int64_t total = 0, used = 0;

    jl_json_put_object(w, "disksInfo");
    jl_json_put_array(w, "disks");
    for (size_t i = 0; i < s->n_disks; i++) {
        const Joblet__DiskMetrics *d = s->disks[i];

        total += d->total_bytes;
        used += d->used_bytes;
        jl_json_put_object(w, NULL);
        jl_json_put_str(w, "name", d->device);
        jl_json_put_str(w, "mountpoint", d->mount_point);
        jl_json_put_str(w, "filesystem", d->filesystem);
        jl_json_put_i64(w, "size", d->total_bytes);
        jl_json_put_i64(w, "used", d->used_bytes);
        jl_json_put_i64(w, "available", d->free_bytes);
        jl_json_put_double(w, "percent", d->usage_percent);
        jl_json_put_i64(w, "inodes", d->inodes_total);
        jl_json_put_i64(w, "inodesUsed", d->inodes_used);
        jl_json_put_double(w, "readBps", d->read_rate);
        jl_json_put_double(w, "writeBps", d->write_rate);
        jl_json_put_double(w, "iops", d->iops);
        jl_json_end(w);
    }
    jl_json_end(w);
    jl_json_put_i64(w, "totalSpace", total);
    jl_json_put_i64(w, "usedSpace", used);
    jl_json_end(w);
}

static void io(struct jl_json_out *w, const Joblet__IOMetrics *m)
{
    jl_json_put_object(w, "ioInfo");
    jl_json_put_i64(w, "reads", m->total_reads);
    jl_json_put_i64(w, "writes", m->total_writes);
    jl_json_put_i64(w, "readBytes", m->read_bytes);
    jl_json_put_i64(w, "writeBytes", m->write_bytes);
    jl_json_put_double(w, "readBps", m->read_rate);
    jl_json_put_double(w, "writeBps", m->write_rate);
    jl_json_put_array(w, "disks");
    for (size_t i = 0; i < m->n_disk_io; i++) {
        const Joblet__DiskIOMetrics *d = m->disk_io[i];

        jl_json_put_object(w, NULL);
        jl_json_put_str(w, "name", d->device);
        jl_json_put_i64(w, "reads", d->reads_completed);
        jl_json_put_i64(w, "writes", d->writes_completed);
        jl_json_put_i64(w, "readBytes", d->read_bytes);
        jl_json_put_i64(w, "writeBytes", d->write_bytes);
        jl_json_put_double(w, "readBps", d->read_rate);
        jl_json_put_double(w, "writeBps", d->write_rate);
        jl_json_put_double(w, "iops", d->iops);
        jl_json_put_double(w, "utilization", d->utilization);
        jl_json_end(w);
    }
    jl_json_end(w);
    jl_json_end(w);
}

static void networks(struct jl_json_out *w, const Joblet__SystemStatusResponse *s)
{
    int64_t rx = 0, tx = 0;

    jl_json_put_object(w, "networkInfo");
    jl_json_put_array(w, "interfaces");
    for (size_t i = 0; i < s->n_networks; i++) {
        const Joblet__NetworkMetrics *n = s->networks[i];

        rx += n->bytes_received;
        tx += n->bytes_sent;
        jl_json_put_object(w, NULL);
        jl_json_put_str(w, "name", n->interface);
        rnx_json_str(w, "type", n->type);
        rnx_json_str(w, "status", n->status);
        if (n->speed_mbps > 0)
            jl_json_put_i64(w, "speed", n->speed_mbps);
        jl_json_put_i64(w, "mtu", n->mtu);
        rnx_json_strv(w, "ipAddresses", n->ip_addresses, n->n_ip_addresses);
        rnx_json_str(w, "macAddress", n->mac_address);
        jl_json_put_i64(w, "rxBytes", n->bytes_received);
        jl_json_put_i64(w, "txBytes", n->bytes_sent);
        jl_json_put_i64(w, "rxPackets", n->packets_received);
        jl_json_put_i64(w, "txPackets", n->packets_sent);
        jl_json_put_i64(w, "rxErrors", n->errors_in);
        jl_json_put_i64(w, "txErrors", n->errors_out);
        jl_json_put_i64(w, "rxDrops", n->drops_in);
        jl_json_put_i64(w, "txDrops", n->drops_out);
        jl_json_put_double(w, "rxBps", n->receive_rate);
        jl_json_put_double(w, "txBps", n->transmit_rate);
        jl_json_end(w);
    }
    jl_json_end(w);
    jl_json_put_i64(w, "totalRxBytes", rx);
    jl_json_put_i64(w, "totalTxBytes", tx);
    jl_json_end(w);
}

static void process_list(struct jl_json_out *w, const char *key, Joblet__ProcessInfo *const *list,
                         size_t n)
{
    jl_json_put_array(w, key);
    for (size_t i = 0; i < n; i++) {
        const Joblet__ProcessInfo *p = list[i];

        jl_json_put_object(w, NULL);
        jl_json_put_i64(w, "pid", p->pid);
        jl_json_put_i64(w, "ppid", p->ppid);
        jl_json_put_str(w, "name", p->name);
        jl_json_put_str(w, "command", p->command);
        jl_json_put_str(w, "user", p->user);
        jl_json_put_double(w, "cpu", p->cpu_percent);
        jl_json_put_double(w, "memory", p->memory_percent);
        jl_json_put_i64(w, "memoryBytes", p->memory_bytes);
        jl_json_put_str(w, "status", p->status);
        rnx_json_str(w, "startTime", p->start_time);
        jl_json_put_i64(w, "threads", p->threads);
        jl_json_end(w);
    }
    jl_json_end(w);
}

static void processes(struct jl_json_out *w, const Joblet__ProcessMetrics *m)
{
    jl_json_put_object(w, "processesInfo");
    process_list(w, "processes", m->top_by_cpu, m->n_top_by_cpu);
    process_list(w, "topByMemory", m->top_by_memory, m->n_top_by_memory);
    jl_json_put_i64(w, "totalProcesses", m->total_processes);
    jl_json_put_i64(w, "running", m->running_processes);
    jl_json_put_i64(w, "sleeping", m->sleeping_processes);
    jl_json_put_i64(w, "stopped", m->stopped_processes);
    jl_json_put_i64(w, "zombie", m->zombie_processes);
    jl_json_put_i64(w, "totalThreads", m->total_threads);
    jl_json_end(w);
}

static void version(struct jl_json_out *w, const Joblet__ServerVersionInfo *v)
{
    jl_json_put_object(w, "serverVersion");
    jl_json_put_str(w, "version", v->version);
    jl_json_put_str(w, "gitCommit", v->git_commit);
    rnx_json_str(w, "gitTag", v->git_tag);
    rnx_json_str(w, "buildDate", v->build_date);
    rnx_json_str(w, "component", v->component);
    rnx_json_str(w, "compiler", v->go_version);
    rnx_json_str(w, "platform", v->platform);
    jl_json_end(w);
}

void rnx_mon_json(struct jl_json_out *w, const Joblet__SystemStatusResponse *s, unsigned parts)
{
    jl_json_put_object(w, NULL);
    jl_json_put_str(w, "timestamp", s->timestamp);
    jl_json_put_bool(w, "available", s->available);
    if (s->host)
        host(w, s->host, s->cloud);
    if (s->cpu && (parts & RNX_MON_CPU))
        cpu(w, s->cpu);
    if (s->memory && (parts & RNX_MON_MEMORY))
        memory(w, s->memory);
    if (s->n_disks > 0 && (parts & RNX_MON_DISK))
        disks(w, s);
    if (s->n_networks > 0 && (parts & RNX_MON_NETWORK))
        networks(w, s);
    if (s->io && (parts & RNX_MON_IO))
        io(w, s->io);
    if (s->processes && (parts & RNX_MON_PROCESS))
        processes(w, s->processes);
    if (s->server_version)
        version(w, s->server_version);
    jl_json_end(w);
}
