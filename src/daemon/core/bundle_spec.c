/*
 * bundle_spec.c - jd_bundle_spec of bundle.h: request and configuration to config.json. No system
 * call. The struct is only written, so it borrows constants and the request's strings.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/core/arena.h"
#include "daemon/core/bundle.h"
#include "daemon/core/conf.h"
#include "daemon/core/rootfs.h"
#include "daemon/core/run_check.h"
#include "daemon/core/seccomp_default.h"
#include "ocispec.h"

#define OCI_VERSION "1.0.2" /* the oldest whose meaning this is: runc 1.1.5 refuses newer ones */
#define MOUNTS_MAX(in) ((in)->n_binds + (in)->n_volumes + 16)
#define NOFILE_SOFT 1024u
/* Not 0: with 1, and with nothing else, the kernel also starts no program of core_pattern, which
 * would run as the host's root over the job's memory (do_coredump in fs/coredump.c). */
#define CORE_LIMIT 1u
#define TMPFS_INODES_LEAST 1024
#define DEV_BYTES (UINT64_C(64) << 20) /* of /dev and of /dev/shm */
#define OOM_SCORE 500 /* under pressure of the whole host jobs go before services */

/* A file costs about 1 KiB of memory that no size counts: with one for each 2 KiB, half as much again
 * as the size at most. */
uint64_t jd_tmpfs_inodes(uint64_t bytes)
{
    return bytes / 2048 > TMPFS_INODES_LEAST ? bytes / 2048 : TMPFS_INODES_LEAST;
}

static char *str(const char *s)
{
    return (char *) (uintptr_t) s;
}

/* A list of borrowed strings that ends in NULL. */
static char **strings(struct jd_arena *a, const char *const *src, size_t n, size_t *ret_n)
{
    char **v = jd_arena_get(a, (n + 1) * sizeof *v);

    for (size_t i = 0; v && i < n; i++)
        v[i] = str(src[i]);
    *ret_n = v ? n : 0;
    return v;
}

static struct oci_mount *add_mount(struct jd_arena *a, struct oci_spec *s, const char *dest,
                                   const char *type, const char *source, const char *const *options,
                                   size_t n)
{
    struct oci_mount *m = jd_arena_get(a, sizeof *m);

    if (!m || !s->mounts)
        return NULL;
    m->destination = str(dest);
    m->type = str(type);
    m->source = str(source);
    m->options = strings(a, options, n, &m->n_options);
    s->mounts[s->n_mounts++] = m;
    return m;
}

#define OPTIONS(...) ((const char *const[]){ __VA_ARGS__ })
#define ADD(a, s, dest, type, source, ...)                                                         \
    add_mount(a, s, dest, type, source, OPTIONS(__VA_ARGS__), JL_COUNT(OPTIONS(__VA_ARGS__)))

static struct oci_id_mapping **id_map(struct jd_arena *a, uint32_t base, size_t *ret_n)
{
    struct oci_id_mapping **v = jd_arena_get(a, 2 * sizeof *v);
    struct oci_id_mapping *m = jd_arena_get(a, sizeof *m);

    *ret_n = 0;
    if (!v || !m)
        return NULL;
    *m = (struct oci_id_mapping){ .container_id = 0, .host_id = base, .size = JD_ID_RANGE };
    v[0] = m;
    *ret_n = 1;
    return v;
}

/* Files of the host keep their owners inside: id N on disk is N in the job. */
static void map_mount(struct jd_arena *a, const struct jd_bundle_in *in, struct oci_mount *m)
{
    if (!m || in->host_id_base == 0)
        return;
    m->uid_mappings = id_map(a, in->host_id_base, &m->n_uid_mappings);
    m->gid_mappings = id_map(a, in->host_id_base, &m->n_gid_mappings);
}

static char *inodes(struct jd_arena *a, uint64_t bytes)
{
    return jd_arena_format(a, "nr_inodes=%" PRIu64, jd_tmpfs_inodes(bytes));
}

static void add_work(struct jd_arena *a, const struct jd_bundle_in *in, struct oci_spec *s)
{
    const char *options[9] = { "tmpcopyup", "rw", "nosuid", "nodev", "mode=0700" };
    const char *dest = in->conf->workspace;

    if (in->work_source)
        map_mount(a, in, ADD(a, s, dest, "bind", in->work_source, "bind", "rw", "nosuid", "nodev"));
    if (in->work_bytes == 0)
        return;
    /* Over the directory: tmpcopyup copies what is there, and so the uploads on disk stay as they
     * are however often the start is interrupted. */
    options[5] = jd_arena_format(a, "size=%" PRIu64, in->work_bytes);
    options[6] = jd_arena_format(a, "uid=%u", JD_JOB_UID);
    options[7] = jd_arena_format(a, "gid=%u", JD_JOB_UID);
    options[8] = inodes(a, in->work_bytes);
    add_mount(a, s, dest, "tmpfs", "tmpfs", options + !in->work_source,
              JL_COUNT(options) - !in->work_source);
}

static void add_volumes(struct jd_arena *a, const struct jd_bundle_in *in, struct oci_spec *s)
{
    if (in->n_volumes > 0) /* the runtime makes their places there */
        ADD(a, s, JD_VOLUMES_INSIDE, "tmpfs", "tmpfs", "nosuid", "nodev", "noexec", "mode=755",
            "size=64k", "nr_inodes=1k");
    for (size_t i = 0; i < in->n_volumes; i++) {
        const struct jd_bundle_volume *v = &in->volumes[i];

        map_mount(a, in,
                  ADD(a, s, v->dest, "bind", v->source, "bind", v->read_only ? "ro" : "rw",
                      "nosuid", "nodev"));
    }
}

static void add_mounts(struct jd_arena *a, const struct jd_bundle_in *in, struct oci_spec *s)
{
    uint64_t tmp_bytes =
        in->req->tmp_size_bytes > 0 ? (uint64_t) in->req->tmp_size_bytes : in->conf->tmp_size;
    char *size = jd_arena_format(a, "size=%" PRIu64, tmp_bytes);
    char *files = inodes(a, tmp_bytes), *dev_files = inodes(a, DEV_BYTES);

    s->mounts = jd_arena_get(a, (MOUNTS_MAX(in) + 1) * sizeof(struct oci_mount *));
    ADD(a, s, "/proc", "proc", "proc", "nosuid", "noexec", "nodev");
    /* Not recursive: what is mounted below on the host stays out of the job. */
    for (size_t i = 0; i < in->n_binds; i++)
        map_mount(a, in,
                  ADD(a, s, in->binds[i], "bind", in->binds[i], "bind", "ro", "nosuid", "nodev"));
    ADD(a, s, "/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k",
        dev_files);
    ADD(a, s, "/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666",
        "mode=0620", "gid=5", "max=64"); /* of some 3000 that all jobs of the host share */
    ADD(a, s, "/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k",
        dev_files);
    ADD(a, s, "/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev");
    if (in->host_network) /* sysfs belongs to whom the network namespace does */
        ADD(a, s, "/sys", "bind", "/sys", "bind", "nosuid", "noexec", "nodev", "ro");
    else
        ADD(a, s, "/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro");
    ADD(a, s, "/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro");
    ADD(a, s, "/tmp", "tmpfs", "tmpfs", "nosuid", "nodev", "mode=1777", size, files);
    ADD(a, s, "/var/tmp", "tmpfs", "tmpfs", "nosuid", "nodev", "mode=1777", size, files);
    /* not mapped: a directory of root's that anybody may read */
    ADD(a, s, JD_ETC_INSIDE, "bind", in->etc_source, "bind", "ro", "nosuid", "nodev", "noexec");
    add_work(a, in, s);
    add_volumes(a, in, s);
    if (in->init_source)
        map_mount(
            a, in,
            ADD(a, s, JD_INIT_INSIDE, "bind", in->init_source, "bind", "ro", "nosuid", "nodev"));
}

/* Environment: later wins, so each name stands once. */
struct env {
    struct jd_arena *a;
    char **items;
    size_t n, room;
};

static void set_env(struct env *v, const char *name, const char *value)
{
    size_t len = strlen(name), i;

    for (i = 0; i < v->n; i++)
        if (strncmp(v->items[i], name, len) == 0 && v->items[i][len] == '=')
            break;
    if (!v->items || (i == v->n && v->n >= v->room))
        return;
    v->items[i] = jd_arena_format(v->a, "%s=%s", name, value);
    if (!v->items[i]) /* the arena remembers; keep the list readable */
        v->items[i] = str("");
    if (i == v->n)
        v->n++;
}

static void set_number(struct env *v, const char *name, int64_t value)
{
    char text[32];

    snprintf(text, sizeof text, "%" PRId64, value);
    set_env(v, name, text);
}

static void base_env(struct env *v, const struct jd_bundle_in *in, const char *hostname)
{
    set_env(v, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    set_env(v, "HOME", in->conf->workspace);
    set_env(v, "USER", "nobody");
    set_env(v, "LOGNAME", "nobody");
    set_env(v, "SHELL", "/bin/sh");
    set_env(v, "PWD", in->req->work_dir);
    set_env(v, "TMPDIR", "/tmp");
    set_env(v, "LANG", "C.UTF-8");
    set_env(v, "HOSTNAME", hostname);
}

static void reserved_env(struct env *v, const struct jd_bundle_in *in)
{
    const Joblet__RunJobRequest *q = in->req;

    set_env(v, "JOB_ID", in->id);
    set_env(v, "JOBLET_JOB_ID", in->id);
    set_env(v, "JOB_NAME", q->name);
    set_env(v, "JOB_WORKFLOW_ID", q->workflow_uuid);
    set_env(v, "JOB_RUNTIME", q->runtime);
    set_number(v, "JOB_MAX_CPU", q->max_cpu);
    set_number(v, "JOB_MAX_MEMORY", q->max_memory);
    set_env(v, "JOB_TYPE", "standard");
    set_env(v, "JOB_NODE_ID", in->node_id);
}

static void add_env(struct jd_arena *a, const struct jd_bundle_in *in, struct oci_process *p,
                    const char *hostname)
{
    const Joblet__RunJobRequest *q = in->req;
    struct env v = { .a = a, .room = 32 + q->n_environment + q->n_secret_environment };

    v.items = jd_arena_get(a, (v.room + 1) * sizeof *v.items);
    base_env(&v, in, hostname);
    for (size_t i = 0; i < q->n_environment; i++)
        set_env(&v, q->environment[i]->key, q->environment[i]->value);
    for (size_t i = 0; i < q->n_secret_environment; i++)
        set_env(&v, q->secret_environment[i]->key, q->secret_environment[i]->value);
    reserved_env(&v, in);
    p->env = v.items;
    p->n_env = v.n;
}

static void add_args(struct jd_arena *a, const struct jd_bundle_in *in, struct oci_process *p)
{
    const Joblet__RunJobRequest *q = in->req;
    size_t n = 0;

    p->args = jd_arena_get(a, (q->n_args + 7) * sizeof *p->args);
    if (!p->args)
        return;
    if (in->init_source) {
        p->args[n++] = str(JD_INIT_INSIDE);
        p->args[n++] = str("--report");
        if (p->cwd != q->work_dir) {
            p->args[n++] = str("--chdir");
            p->args[n++] = q->work_dir;
        }
        p->args[n++] = str("--");
    }
    p->args[n++] = q->command;
    for (size_t i = 0; i < q->n_args; i++)
        p->args[n++] = q->args[i];
    p->n_args = n;
}

static struct oci_rlimit *rlimit(struct jd_arena *a, const char *type, uint64_t soft, uint64_t hard)
{
    struct oci_rlimit *l = jd_arena_get(a, sizeof *l);

    if (l)
        *l = (struct oci_rlimit){ .type = str(type), .soft = soft, .hard = hard };
    return l;
}

static void add_process(struct jd_arena *a, const struct jd_bundle_in *in, struct oci_spec *s)
{
    struct oci_process *p = jd_arena_get(a, sizeof *p);
    struct oci_user *u = jd_arena_get(a, sizeof *u);
    struct oci_capabilities *c = jd_arena_get(a, sizeof *c);
    uint64_t hard = in->nofile_max;

    if (!p || !u || !c)
        return;
    s->process = p;
    u->uid = u->gid = JD_JOB_UID;
    u->has_umask = true;
    u->umask = 022;
    p->user = u;
    p->has_terminal = true;
    p->terminal = false;
    /* The runtime makes what is not there, as root and in the root that all jobs share. Elsewhere
     * than in the workspace the job does it itself. */
    p->cwd =
        jd_run_in_workspace(in->conf, in->req->work_dir) ? in->req->work_dir : in->conf->workspace;
    c->bounding = strings(a, NULL, 0, &c->n_bounding); /* [], not absent: none at all */
    c->effective = strings(a, NULL, 0, &c->n_effective);
    c->inheritable = strings(a, NULL, 0, &c->n_inheritable);
    c->permitted = strings(a, NULL, 0, &c->n_permitted);
    c->ambient = strings(a, NULL, 0, &c->n_ambient);
    p->capabilities = c;
    p->has_no_new_privileges = p->no_new_privileges = true;
    p->has_oom_score_adj = true;
    p->oom_score_adj = OOM_SCORE;
    p->rlimits = jd_arena_get(a, 3 * sizeof *p->rlimits);
    if (p->rlimits) {
        p->rlimits[0] = rlimit(a, "RLIMIT_CORE", CORE_LIMIT, CORE_LIMIT);
        p->rlimits[1] = rlimit(a, "RLIMIT_NOFILE", hard < NOFILE_SOFT ? hard : NOFILE_SOFT, hard);
        p->n_rlimits = 2;
    }
    add_args(a, in, p);
    add_env(a, in, p, s->hostname);
}

static void add_namespaces(struct jd_arena *a, const struct jd_bundle_in *in, struct oci_linux *l)
{
    /* network: `none` is an own one with lo and nothing else */
    const struct {
        const char *type, *path;
        bool wanted;
    } all[] = {
        { "pid", NULL, true },
        { "mount", NULL, true },
        { "ipc", NULL, true },
        { "uts", NULL, true },
        { "cgroup", NULL, true },
        { "network", in->net_ns, !in->host_network },
        { "user", in->user_ns, in->host_id_base != 0 },
    };
    size_t n = JL_COUNT(all);

    l->namespaces = jd_arena_get(a, (n + 1) * sizeof *l->namespaces);
    for (size_t i = 0; l->namespaces && i < n; i++) {
        struct oci_namespace *ns = all[i].wanted ? jd_arena_get(a, sizeof *ns) : NULL;

        if (!all[i].wanted)
            continue;
        if (!ns)
            return;
        ns->type = str(all[i].type);
        ns->path = str(all[i].path);
        l->namespaces[l->n_namespaces++] = ns;
    }
    if (in->host_id_base != 0) {
        l->uid_mappings = id_map(a, in->host_id_base, &l->n_uid_mappings);
        l->gid_mappings = id_map(a, in->host_id_base, &l->n_gid_mappings);
    }
}

static void add_memory_and_cpu(struct jd_arena *a, const struct jd_bundle_in *in,
                               struct oci_resources *r)
{
    const Joblet__RunJobRequest *q = in->req;

    if (q->max_memory > 0 && (r->memory = jd_arena_get(a, sizeof *r->memory))) {
        r->memory->has_limit = r->memory->has_swap = true;
        r->memory->limit = (int64_t) q->max_memory << 20;
        r->memory->swap = r->memory->limit; /* memory and swap together: no swap */
        r->memory->has_kernel_tcp = in->tcp_apart;
        r->memory->kernel_tcp = r->memory->limit;
    }
    if ((q->max_cpu > 0 || q->cpu_cores[0] != '\0') && (r->cpu = jd_arena_get(a, sizeof *r->cpu))) {
        if (q->max_cpu > 0) {
            r->cpu->has_quota = r->cpu->has_period = true;
            r->cpu->quota = (int64_t) q->max_cpu * 1000;
            r->cpu->period = 100000;
        }
        if (q->cpu_cores[0] != '\0') {
            r->cpu->cpus = q->cpu_cores;
            r->cpu->mems = str(in->mems);
        }
    }
}

static struct oci_throttle_device **throttles(struct jd_arena *a, const struct jd_bundle_in *in,
                                              size_t *ret_n)
{
    struct oci_throttle_device **v = jd_arena_get(a, (in->n_io + 1) * sizeof *v);

    *ret_n = 0;
    for (size_t i = 0; v && i < in->n_io; i++) {
        v[i] = jd_arena_get(a, sizeof **v);
        if (!v[i])
            return v;
        *v[i] = (struct oci_throttle_device){ .major = in->io[i].major,
                                              .minor = in->io[i].minor,
                                              .rate = (uint64_t) in->req->max_io_bps };
        ++*ret_n;
    }
    return v;
}

static void add_resources(struct jd_arena *a, const struct jd_bundle_in *in, struct oci_linux *l)
{
    struct oci_resources *r = jd_arena_get(a, sizeof *r);
    struct oci_device_cgroup *none = jd_arena_get(a, sizeof *none);

    if (!r || !none)
        return;
    l->resources = r;
    none->access = str("rwm"); /* allow is false; the runtimes add null, zero, tty and kin */
    r->devices = jd_arena_get(a, 2 * sizeof *r->devices);
    if (r->devices)
        r->devices[r->n_devices++] = none;
    add_memory_and_cpu(a, in, r);
    if (in->conf->default_pids > 0 && (r->pids = jd_arena_get(a, sizeof *r->pids))) {
        r->pids->has_limit = true;
        r->pids->limit = in->conf->default_pids;
    }
    if (in->req->max_io_bps > 0 && (r->block_io = jd_arena_get(a, sizeof *r->block_io))) {
        struct oci_block_io *io = r->block_io;

        io->throttle_read_bps_device = throttles(a, in, &io->n_throttle_read_bps_device);
        io->throttle_write_bps_device = throttles(a, in, &io->n_throttle_write_bps_device);
    }
    if (in->oom_group && in->req->max_memory > 0 &&
        (r->unified = jd_arena_get(a, sizeof *r->unified))) {
        r->unified[0] = (struct oci_kv){ .key = str("memory.oom.group"), .value = str("1") };
        r->n_unified = 1;
    }
}

static void add_linux(struct jd_arena *a, const struct jd_bundle_in *in, struct oci_spec *s)
{
    static const char *const masked[] = {
        "/proc/acpi",
        "/proc/asound",
        "/proc/interrupts",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/proc/sched_debug",
        "/proc/scsi",
        "/sys/devices/virtual/block", /* loop devices tell the files behind them: others' volumes */
        "/sys/devices/virtual/powercap",
        "/sys/firmware",
    };
    static const char *const readonly[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                            "/proc/sysrq-trigger" };
    struct oci_linux *l = jd_arena_get(a, sizeof *l);

    if (!l)
        return;
    s->linux = l;
    add_namespaces(a, in, l);
    add_resources(a, in, l);
    l->cgroups_path = jd_arena_format(a, "/%s/job-%s", in->conf->cgroup_path, in->id);
    l->masked_paths = strings(a, masked, JL_COUNT(masked), &l->n_masked_paths);
    l->readonly_paths = strings(a, readonly, JL_COUNT(readonly), &l->n_readonly_paths);
    l->seccomp = jd_seccomp_default(a);
    l->rootfs_propagation = str("rprivate");
}

int jd_bundle_spec(const struct jd_bundle_in *in, struct jd_arena *a, struct oci_spec **ret,
                   struct jl_err *e)
{
    struct oci_spec *s = jd_arena_get(a, sizeof *s);

    if (s) {
        s->oci_version = str(OCI_VERSION);
        s->hostname = jd_arena_format(a, "job_%.8s", in->id);
        s->root = jd_arena_get(a, sizeof *s->root);
    }
    if (!s || !s->root || !s->hostname)
        return jl_fail(e, ENOMEM, "write config.json");
    s->root->path = str(in->rootfs);
    s->root->has_readonly = s->root->readonly = true;
    add_process(a, in, s);
    add_mounts(a, in, s);
    add_linux(a, in, s);
    if (jd_arena_failed(a))
        return jl_fail(e, ENOMEM, "write config.json");
    *ret = s;
    return 0;
}
