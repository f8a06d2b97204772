/* sysmon_disks.c - see sysmon.h: file systems and how full they are, disks and what they do. */
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "daemon/core/procfs.h"
#include "daemon/core/sysmon.h"

#define DISKSTATS_MAX 1024 /* lines looked at: parts and loop devices have one too */

/* What /proc/diskstats says, and said the last time. */
static struct jd_proc_disk now[DISKSTATS_MAX], before[DISKSTATS_MAX];
static size_t n_now, n_before;

struct rates {
    double read, write, ops, busy; /* bytes and operations a second; percent */
};

static struct rates rates_of(const struct jd_sysmon *s, const struct jd_proc_disk *x)
{
    const struct jd_proc_disk *old = NULL;

    for (size_t i = 0; i < n_before && !old; i++)
        if (strcmp(before[i].name, x->name) == 0)
            old = &before[i];
    if (!old || s->seconds <= 0)
        return (struct rates){ 0 };
    return (struct rates){
        .read = (double) jd_sysmon_since(x->read_bytes, old->read_bytes) / s->seconds,
        .write = (double) jd_sysmon_since(x->write_bytes, old->write_bytes) / s->seconds,
        .ops =
            (double) jd_sysmon_since(x->reads + x->writes, old->reads + old->writes) / s->seconds,
        .busy = (double) jd_sysmon_since(x->busy_ms, old->busy_ms) / 10.0 / s->seconds,
    };
}

/* The device a file system is on: by number, or, where it has a number of its own as btrfs does, by
 * name. NULL: no one device. */
static const struct jd_proc_disk *device_of(const struct jd_proc_mount *x)
{
    const char *name = strncmp(x->source, "/dev/", 5) == 0 ? x->source + 5 : "";

    for (size_t i = 0; i < n_now; i++)
        if ((now[i].major == x->major && now[i].minor == x->minor) ||
            strcmp(now[i].name, name) == 0)
            return &now[i];
    return NULL;
}

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
    const struct jd_proc_disk *device = device_of(x);
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
    /* of a volume, without what its ext4 keeps for itself: the size that was asked for */
    m->total_bytes = (int64_t) ((volume ? f.f_blocks - f.f_bfree + f.f_bavail : f.f_blocks) * unit);
    m->free_bytes = (int64_t) (f.f_bavail * unit);
    m->used_bytes = (int64_t) ((f.f_blocks - f.f_bfree) * unit);
    /* as df(1) has it: of what users can have */
    m->usage_percent = jd_sysmon_share((uint64_t) m->used_bytes,
                                       (uint64_t) m->used_bytes + (uint64_t) m->free_bytes);
    m->inodes_total = (int64_t) f.f_files;
    m->inodes_free = (int64_t) f.f_ffree;
    m->inodes_used = (int64_t) (f.f_files - f.f_ffree);
    m->inodes_usage_percent = jd_sysmon_share(f.f_files - f.f_ffree, f.f_files);
    if (device) {
        struct rates r = rates_of(s, device);

        m->read_rate = r.read;
        m->write_rate = r.write;
        m->iops = r.ops;
    }
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

static Joblet__DiskIOMetrics *disk_io(struct jd_sysmon *s, const struct jd_proc_disk *x)
{
    Joblet__DiskIOMetrics *m = jd_arena_get(&s->a, sizeof *m);
    struct rates r = rates_of(s, x);

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
    m->utilization = r.busy < 100 ? r.busy : 100;
    m->read_rate = r.read;
    m->write_rate = r.write;
    m->iops = r.ops;
    return m;
}

static void disks(struct jd_sysmon *s)
{
    static int64_t read_before, written_before;
    Joblet__IOMetrics *m = jd_arena_get(&s->a, sizeof *m);

    if (!m)
        return;
    joblet__iometrics__init(m);
    m->disk_io = jd_arena_get(&s->a, JD_SYSMON_DISKS * sizeof *m->disk_io);
    for (size_t i = 0; m->disk_io && i < n_now && m->n_disk_io < JD_SYSMON_DISKS; i++) {
        if (!is_whole(now[i].name))
            continue;
        m->disk_io[m->n_disk_io] = disk_io(s, &now[i]);
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
    s->m->io = m;
}

void jd_sysmon_disks(struct jd_sysmon *s)
{
    const char *text = jd_sysmon_file(&s->a, "/proc/diskstats");

    n_now = text ? jd_proc_disks(text, now, DISKSTATS_MAX) : 0;
    file_systems(s);
    disks(s);
    memcpy(before, now, n_now * sizeof *now);
    n_before = n_now;
}
