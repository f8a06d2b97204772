/* sysmon_disks.c - see sysmon.h: file systems and how full they are, disks and what they do. */
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "daemon/core/procfs.h"
#include "daemon/core/sysmon.h"

/* The volume that is mounted at this point, or NULL. */
static const char *volume_of(const struct jd_sysmon *s, const char *point, size_t *ret_len)
{
    size_t len = strlen(s->in->volumes_dir);

    if (len == 0 || strncmp(point, s->in->volumes_dir, len) != 0 || point[len] != '/')
        return NULL;
    *ret_len = strcspn(point + len + 1, "/");
    return *ret_len > 0 ? point + len + 1 : NULL;
}

/* A file system of this machine's disks. Those of the network are left out: one that does not
 * answer would hold everything up; so are the kernel's own, and bind mounts. */
static bool is_disk(const struct jd_proc_mount *x)
{
    if (strcmp(x->point, "/") == 0)
        return true;
    return strcmp(x->root, "/") == 0 &&
           (strncmp(x->source, "/dev/", 5) == 0 || strcmp(x->type, "zfs") == 0) &&
           strncmp(x->source, "/dev/loop", 9) != 0 && strcmp(x->type, "devtmpfs") != 0;
}

static bool is_there(const Joblet__SystemStatusResponse *m, const struct jd_proc_mount *x)
{
    for (size_t i = 0; i < m->n_disks; i++)
        if (strcmp(m->disks[i]->mount_point, x->point) == 0 ||
            (strncmp(x->source, "/dev/", 5) == 0 && strcmp(m->disks[i]->device, x->source) == 0))
            return true;
    return false;
}

static Joblet__DiskMetrics *disk_of(struct jd_sysmon *s, const struct jd_proc_mount *x,
                                    const char *volume, size_t len)
{
    Joblet__DiskMetrics *m = jd_arena_get(&s->a, sizeof *m);
    struct statvfs f;
    uint64_t unit;

    if (!m || statvfs(x->point, &f) < 0)
        return NULL;
    joblet__disk_metrics__init(m);
    unit = f.f_frsize ? f.f_frsize : f.f_bsize;
    m->device = volume ? jd_sysmon_text(&s->a, volume, len)
                       : jd_sysmon_text(&s->a, x->source, strlen(x->source));
    m->mount_point = jd_sysmon_text(&s->a, x->point, strlen(x->point));
    m->filesystem = volume ? jd_arena_format(&s->a, "joblet-volume")
                           : jd_sysmon_text(&s->a, x->type, strlen(x->type));
    m->total_bytes = (int64_t) (f.f_blocks * unit);
    m->free_bytes = (int64_t) (f.f_bavail * unit);
    m->used_bytes = (int64_t) ((f.f_blocks - f.f_bfree) * unit);
    /* as df(1) has it: of what users can have */
    m->usage_percent = jd_sysmon_share((uint64_t) m->used_bytes,
                                       (uint64_t) m->used_bytes + (uint64_t) m->free_bytes);
    m->inodes_total = (int64_t) f.f_files;
    m->inodes_free = (int64_t) f.f_ffree;
    m->inodes_used = (int64_t) (f.f_files - f.f_ffree);
    m->inodes_usage_percent = jd_sysmon_share(f.f_files - f.f_ffree, f.f_files);
    return jd_arena_failed(&s->a) ? NULL : m;
}

static void file_systems(struct jd_sysmon *s)
{
    const char *text = jd_sysmon_file(&s->a, "/proc/self/mountinfo");
    struct jd_proc_mount x;

    s->m->disks = jd_arena_get(&s->a, JD_SYSMON_DISKS * sizeof *s->m->disks);
    while (s->m->disks && text && s->m->n_disks < JD_SYSMON_DISKS && jd_proc_mount(&text, &x)) {
        size_t len = 0;
        const char *volume = volume_of(s, x.point, &len);
        Joblet__DiskMetrics *m;

        if ((!volume && !is_disk(&x)) || is_there(s->m, &x))
            continue;
        m = disk_of(s, &x, volume, len);
        if (m)
            s->m->disks[s->m->n_disks++] = m;
    }
}

/* Not a part of one, and no loop device. */
static bool is_whole(const char *name)
{
    char path[64];

    if (strncmp(name, "loop", 4) == 0 || strncmp(name, "ram", 3) == 0 ||
        strncmp(name, "zram", 4) == 0)
        return false;
    snprintf(path, sizeof path, "/sys/block/%.32s", name);
    return access(path, F_OK) == 0;
}

/* One that lies upon others, which count the same bytes. */
static bool is_stacked(const char *name)
{
    return strncmp(name, "dm-", 3) == 0 || strncmp(name, "md", 2) == 0;
}

static uint64_t busy_before(const struct jd_proc_disk *before, size_t n,
                            const struct jd_proc_disk *x)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(before[i].name, x->name) == 0)
            return before[i].busy_ms;
    return x->busy_ms;
}

static Joblet__DiskIOMetrics *disk_io(struct jd_sysmon *s, const struct jd_proc_disk *x,
                                      uint64_t busy)
{
    Joblet__DiskIOMetrics *m = jd_arena_get(&s->a, sizeof *m);

    if (!m)
        return NULL;
    joblet__disk_iometrics__init(m);
    m->device = jd_sysmon_text(&s->a, x->name, strlen(x->name));
    m->reads_completed = (int64_t) x->reads;
    m->writes_completed = (int64_t) x->writes;
    m->read_bytes = (int64_t) x->read_bytes;
    m->write_bytes = (int64_t) x->write_bytes;
    m->read_time = (int64_t) x->read_ms;
    m->write_time = (int64_t) x->write_ms;
    m->io_time = (int64_t) x->busy_ms;
    if (s->seconds > 0 && x->busy_ms > busy)
        m->utilization = (double) (x->busy_ms - busy) / 10.0 / s->seconds;
    if (m->utilization > 100)
        m->utilization = 100;
    return m;
}

static void disks(struct jd_sysmon *s)
{
    static struct jd_proc_disk before[JD_SYSMON_DISKS], now[JD_SYSMON_DISKS];
    static size_t n_before;
    static int64_t read_before, written_before;
    const char *text = jd_sysmon_file(&s->a, "/proc/diskstats");
    Joblet__IOMetrics *m = jd_arena_get(&s->a, sizeof *m);
    size_t n = text ? jd_proc_disks(text, now, JD_SYSMON_DISKS) : 0;

    if (!m)
        return;
    joblet__iometrics__init(m);
    m->disk_io = jd_arena_get(&s->a, JD_SYSMON_DISKS * sizeof *m->disk_io);
    for (size_t i = 0; m->disk_io && i < n; i++) {
        if (!is_whole(now[i].name))
            continue;
        m->disk_io[m->n_disk_io] = disk_io(s, &now[i], busy_before(before, n_before, &now[i]));
        m->n_disk_io += m->disk_io[m->n_disk_io] != NULL;
        if (is_stacked(now[i].name))
            continue;
        m->total_reads += (int64_t) now[i].reads;
        m->total_writes += (int64_t) now[i].writes;
        m->read_bytes += (int64_t) now[i].read_bytes;
        m->write_bytes += (int64_t) now[i].write_bytes;
    }
    if (s->seconds > 0 && m->read_bytes > read_before)
        m->read_rate = (double) (m->read_bytes - read_before) / s->seconds;
    if (s->seconds > 0 && m->write_bytes > written_before)
        m->write_rate = (double) (m->write_bytes - written_before) / s->seconds;
    read_before = m->read_bytes;
    written_before = m->write_bytes;
    memcpy(before, now, sizeof before);
    n_before = n;
    s->m->io = m;
}

void jd_sysmon_disks(struct jd_sysmon *s)
{
    file_systems(s);
    disks(s);
}
