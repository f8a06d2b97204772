/*
 * op_volume.c - CreateVolume, ListVolumes, RemoveVolume. What takes long is the worker's; the
 * caller is answered when it is done and on disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>

#include "api/validate.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/core/arena.h"
#include "daemon/core/core.h"
#include "daemon/core/request.h"
#include "daemon/core/volume_list.h"

static char *path_of(const struct jd_volume *v, struct jd_arena *a)
{
    return jd_arena_format(a, "%s/%s/data", v->core->conf.volumes_dir, v->row.name);
}

static void reply_and_forget_call(struct jd_volume *v, const ProtobufCMessage *m,
                                  const struct jl_err *e)
{
    struct jd_call *call = jl_take_ptr(v->call);

    if (!call)
        return;
    if (m)
        jd_reply(call, m);
    else
        jd_reply_error(call, e);
    free(call);
}

static int ask(struct jd_volume *v, unsigned what, jd_work_done done, struct jl_err *e)
{
    struct jd_volume_job job = jd_volume_request(v);

    return jd_worker_call(v->core->volumes.worker, what, &job, sizeof job, &v->core->volumes.dirfd,
                          1, done, v, e);
}

/* ---- removal, also of what could not be made */

static void on_unmade(void *user, int r, const void *out, size_t len, int fd,
                      const struct jl_err *why)
{
    struct jd_volume *v = user;
    struct jl_err e = *why;
    Joblet__RemoveVolumeResponse m = JOBLET__REMOVE_VOLUME_RESPONSE__INIT;

    (void) out;
    (void) len;
    jl_close(fd);
    if (r == 0)
        r = jd_store_volume_delete(v->core->store, v->row.name, &e);
    if (r < 0) { /* it stays "removing": asked for again, or at the next start, it goes */
        jl_log_fail(&e, "volume.remove", "volume=%s", v->row.name);
        reply_and_forget_call(v, NULL, &e);
        return;
    }
    jl_log_info("volume.removed", "volume=%s", v->row.name);
    m.success = true;
    m.message = (char *) (uintptr_t) "the volume and its data are removed";
    reply_and_forget_call(v, &m.base, NULL);
    jd_volume_forget(v);
}

/* ---- creation */

static void on_made(void *user, int r, const void *out, size_t len, int fd,
                    const struct jl_err *why)
{
    struct jd_volume *v = user;
    _arena_ struct jd_arena a = JD_ARENA_INIT;
    Joblet__CreateVolumeResponse m = JOBLET__CREATE_VOLUME_RESPONSE__INIT;
    struct jl_err e = *why;

    (void) out;
    (void) len;
    jl_close(fd);
    if (r == 0)
        r = jd_store_volume_state(v->core->store, v->row.name, "ready", &e);
    if (r < 0) {
        jl_log_fail(&e, "volume.create", "volume=%s", v->row.name);
        reply_and_forget_call(v, NULL, &e);
        jl_err_clear(&e);
        if (ask(v, JD_VOLUME_UNMAKE, on_unmade, &e) < 0)
            jl_log_fail(&e, "volume.remove", "volume=%s: the next start removes it", v->row.name);
        return;
    }
    v->ready = true;
    snprintf(v->row.state, sizeof v->row.state, "ready");
    jl_log_info("volume.created", "volume=%s type=%s size=%s", v->row.name, v->row.type,
                v->row.size);
    m.name = v->row.name;
    m.size = v->row.size;
    m.type = v->row.type;
    m.path = path_of(v, &a);
    if (!m.path)
        m.path = (char *) (uintptr_t) "";
    reply_and_forget_call(v, &m.base, NULL);
}

/* Memory volumes take at most half of the machine's memory, all together. */
static int check_memory(const struct jd_core *c, uint64_t bytes, struct jl_err *e)
{
    struct sysinfo host;
    uint64_t sum = 0, half;

    if (sysinfo(&host) < 0)
        return jl_fail_sys(e, "sysinfo", NULL, "make a memory volume");
    half = (uint64_t) host.totalram * host.mem_unit / 2;
    for (const struct jd_volume *v = c->volumes.first; v; v = v->next)
        sum += jd_volume_is_memory(v) ? v->row.bytes : 0;
    if (sum <= half && bytes <= half - sum)
        return 0;
    return jl_refuse(e, ENOSPC,
                     "memory volumes may have half of the memory, %llu MiB; %llu MiB are taken",
                     (unsigned long long) half >> 20, (unsigned long long) sum >> 20);
}

/* What the images there are may still grow by. Sparse as they are, the disk does not know of it; and
 * one that finds it full takes its file system, and those who write there, down. */
static uint64_t promised_bytes(const struct jd_core *c)
{
    uint64_t sum = 0;

    for (const struct jd_volume *v = c->volumes.first; v; v = v->next)
        if (!jd_volume_is_memory(v))
            sum += jd_volume_may_take(c->volumes.dirfd, v->row.name, v->row.bytes);
    return sum;
}

static int check_disk(const struct jd_core *c, uint64_t bytes, struct jl_err *e)
{
    uint64_t size = jd_volume_image_size(bytes), free_bytes, promised;
    struct statvfs fs;

    if (fstatvfs(c->volumes.dirfd, &fs) < 0)
        return jl_fail_sys(e, "fstatvfs", c->conf.volumes_dir, "make a volume");
    free_bytes = (uint64_t) fs.f_bavail * fs.f_frsize;
    promised = promised_bytes(c);
    if (promised <= free_bytes && size <= free_bytes - promised)
        return 0;
    return jl_refuse(
        e, ENOSPC,
        "the disk of '%s' has %llu MiB free, the volumes there are may still take %llu "
        "MiB of them, and this one takes %llu MiB",
        c->conf.volumes_dir, (unsigned long long) free_bytes >> 20,
        (unsigned long long) promised >> 20, (unsigned long long) size >> 20);
}

static int check_name_is_free(const struct jd_core *c, const char *name, struct jl_err *e)
{
    const struct jd_volume *v = jd_volume_find(c, name);
    struct stat st;

    if (v)
        return jl_refuse(e, EEXIST, "volume '%s' %s", name,
                         strcmp(v->row.state, "removing") == 0 ? "is being removed"
                                                               : "exists already");
    if (c->volumes.n >= JD_VOLUMES_MAX)
        return jl_refuse(e, EMFILE, "there are %u volumes already", c->volumes.n);
    if (fstatat(c->volumes.dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    jl_refuse(e, EEXIST, "'%s/%s' is there, and is no volume that joblet knows",
              c->conf.volumes_dir, name);
    return jl_hint(e, "look at it, and move it away");
}

static int fill_row(struct jd_call *call, const Joblet__CreateVolumeRequest *q,
                    struct jd_volume_row *row, struct jl_err *e)
{
    enum api_volume_type type;
    int r = api_volume_new(q, &row->bytes, &type, e);

    if (r == 0)
        r = check_name_is_free(call->core, q->name, e);
    if (r == 0)
        r = type == API_VOLUME_MEMORY ? check_memory(call->core, row->bytes, e)
                                      : check_disk(call->core, row->bytes, e);
    if (r < 0)
        return r;
    if (type == API_VOLUME_FILESYSTEM)
        row->bytes = row->bytes / 4096 * 4096; /* ext4's blocks */
    row->created_wall_ns = jl_wall_ns();
    snprintf(row->name, sizeof row->name, "%s", q->name);
    snprintf(row->type, sizeof row->type, "%s", api_volume_type_name(type));
    snprintf(row->size, sizeof row->size, "%s", q->size);
    snprintf(row->state, sizeof row->state, "creating");
    snprintf(row->owner_name, sizeof row->owner_name, "%s", call->who.common_name);
    snprintf(row->owner_serial, sizeof row->owner_serial, "%s", call->who.serial);
    return 0;
}

static int create(struct jd_call *call, const Joblet__CreateVolumeRequest *q, struct jl_err *e)
{
    struct jd_volume_row row = { .bytes = 0 };
    struct jd_volume *v;
    int r;

    jd_call_about(call, q->name);
    r = fill_row(call, q, &row, e);
    if (r == 0)
        r = jd_store_volume_add(call->core->store, &row, e);
    if (r < 0)
        return r;
    v = jd_volume_add(call->core, &row);
    if (v)
        v->call = jd_call_keep(call);
    if (!v || !v->call)
        r = jl_fail(e, ENOMEM, "make a volume");
    else
        r = ask(v, JD_VOLUME_MAKE, on_made, e);
    if (r < 0) {
        struct jl_err ignored = JL_ERR_INIT;

        jd_store_volume_delete(call->core->store, row.name, &ignored);
        if (v)
            jd_volume_forget(v);
    }
    return r;
}

void jd_op_create_volume(struct jd_call *call, const struct ipc_frame *f)
{
    _message_ ProtobufCMessage *in = NULL;
    struct jl_err e = JL_ERR_INIT;
    int r = api_unpack_request(&joblet__create_volume_request__descriptor, f->body, f->body_len,
                               &in, &e);

    if (r == 0)
        r = create(call, (const Joblet__CreateVolumeRequest *) in, &e);
    if (r < 0)
        jd_reply_error(call, &e);
}

/* ---- list */

static int64_t used_bytes(const struct jd_volume *v)
{
    char path[80];
    struct statvfs fs;
    _close_ int fd = -1;

    snprintf(path, sizeof path, "%s/data", v->row.name);
    if (!jd_volume_is_mounted(v->core->volumes.dirfd, v->row.name))
        return 0;
    fd = openat(v->core->volumes.dirfd, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstatvfs(fd, &fs) < 0)
        return 0;
    return (int64_t) (fs.f_blocks - fs.f_bfree) * (int64_t) fs.f_frsize;
}

static void fill(const struct jd_volume *v, Joblet__Volume *m, struct jd_arena *a)
{
    char when[JL_RFC3339_MAX];

    *m = (Joblet__Volume) JOBLET__VOLUME__INIT;
    m->name = (char *) (uintptr_t) v->row.name;
    m->size = (char *) (uintptr_t) v->row.size;
    m->type = (char *) (uintptr_t) v->row.type;
    m->path = path_of(v, a);
    m->created_time = jd_arena_format(a, "%s", jl_rfc3339(v->row.created_wall_ns, 3, when));
    m->job_count = (int32_t) jd_volume_jobs(v);
    m->used_bytes = used_bytes(v);
    if (v->mending)
        m->problem = (char *) (uintptr_t) "is being mended";
    else if (!jd_volume_is_mounted(v->core->volumes.dirfd, v->row.name))
        m->problem = (char *) (uintptr_t) "is not mounted: joblet's log says why (volume.mount)";
    else if (jd_volume_is_damaged(v->core->volumes.dirfd, v->row.name))
        m->problem = (char *) (uintptr_t) JD_VOLUME_DAMAGED;
}

void jd_op_list_volumes(struct jd_call *call, const struct ipc_frame *f)
{
    struct jd_core *c = call->core;
    _arena_ struct jd_arena a = JD_ARENA_INIT;
    Joblet__Volumes all = JOBLET__VOLUMES__INIT;

    (void) f; /* EmptyRequest */
    all.volumes = jd_arena_get(&a, (c->volumes.n + 1) * sizeof *all.volumes);
    for (const struct jd_volume *v = c->volumes.first; all.volumes && v; v = v->next) {
        Joblet__Volume *m = v->ready ? jd_arena_get(&a, sizeof *m) : NULL;

        if (!m)
            continue;
        fill(v, m, &a);
        all.volumes[all.n_volumes++] = m;
    }
    if (jd_arena_failed(&a))
        jd_reply_status(call, API_RESOURCE_EXHAUSTED, "the server is out of memory");
    else
        jd_reply(call, &all.base);
}

/* ---- remove */

static int check_unused(const struct jd_volume *v, struct jl_err *e)
{
    unsigned n = jd_volume_jobs(v);

    if (n == 0)
        return 0;
    jl_refuse(e, EBUSY, "volume '%s' is in use by %u job%s that run%s or wait%s", v->row.name, n,
              n == 1 ? "" : "s", n == 1 ? "s" : "", n == 1 ? "s" : "");
    return jl_hint(e, "stop or cancel them first: rnx job list");
}

static int remove_volume(struct jd_call *call, const Joblet__RemoveVolumeRequest *q,
                         struct jl_err *e)
{
    struct jd_volume *v;
    int r;

    jd_call_about(call, q->name);
    r = api_volume_name("name", q->name, e);
    if (r < 0)
        return r;
    v = jd_volume_find(call->core, q->name);
    if (!v)
        return jl_refuse(e, ENOENT, "volume '%s' not found", q->name);
    if (v->call || strcmp(v->row.state, "creating") == 0)
        return jl_refuse(e, EBUSY, "volume '%s' is being %s", q->name,
                         strcmp(v->row.state, "creating") == 0 ? "made" : "removed");
    r = check_unused(v, e);
    if (r == 0)
        r = jd_store_volume_state(call->core->store, q->name, "removing", e);
    if (r < 0)
        return r;
    v->ready = false;
    snprintf(v->row.state, sizeof v->row.state, "removing");
    v->call = jd_call_keep(call);
    r = v->call ? ask(v, JD_VOLUME_UNMAKE, on_unmade, e) : jl_fail(e, ENOMEM, "remove the volume");
    if (r < 0)
        free(jl_take_ptr(v->call));
    return r;
}

void jd_op_remove_volume(struct jd_call *call, const struct ipc_frame *f)
{
    _message_ ProtobufCMessage *in = NULL;
    struct jl_err e = JL_ERR_INIT;
    int r = api_unpack_request(&joblet__remove_volume_request__descriptor, f->body, f->body_len,
                               &in, &e);

    if (r == 0)
        r = remove_volume(call, (const Joblet__RemoveVolumeRequest *) in, &e);
    if (r < 0)
        jd_reply_error(call, &e);
}
