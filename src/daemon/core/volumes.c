/* volumes.c - see volume.h: the list, the start, and what jobs ask. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/core/bundle.h"
#include "daemon/core/core.h"
#include "daemon/core/request.h"
#include "daemon/core/volume.h"
#include "daemon/core/volume_list.h"
#include "daemon/core/volume_work.h"

struct jd_volume *jd_volume_find(const struct jd_core *c, const char *name)
{
    for (struct jd_volume *v = c->volumes.first; v; v = v->next)
        if (strcmp(v->row.name, name) == 0)
            return v;
    return NULL;
}

struct jd_volume *jd_volume_add(struct jd_core *c, const struct jd_volume_row *row)
{
    struct jd_volume **at = &c->volumes.first, *v = calloc(1, sizeof *v);

    if (!v)
        return NULL;
    v->core = c;
    v->row = *row;
    while (*at && strcmp((*at)->row.name, row->name) < 0)
        at = &(*at)->next;
    v->next = *at;
    *at = v;
    c->volumes.n++;
    return v;
}

void jd_volume_forget(struct jd_volume *v)
{
    struct jd_volumes *all = &v->core->volumes;

    for (struct jd_volume **at = &all->first; *at; at = &(*at)->next)
        if (*at == v) {
            *at = v->next;
            all->n--;
            break;
        }
    free(v->call);
    free(v);
}

bool jd_volume_is_memory(const struct jd_volume *v)
{
    return strcmp(v->row.type, api_volume_type_name(API_VOLUME_MEMORY)) == 0;
}

struct jd_volume_job jd_volume_request(const struct jd_volume *v)
{
    struct jd_volume_job job = { .bytes = v->row.bytes,
                                 .memory = jd_volume_is_memory(v),
                                 .idmap = v->core->userns };

    memcpy(job.name, v->row.name, sizeof job.name);
    return job;
}

/* At once and here: nobody waits for the loop yet. */
static int work_now(struct jd_volume *v, int what, struct jl_err *e)
{
    struct jd_volume_job job = jd_volume_request(v);
    int fd = -1;

    return jd_volume_work[what](&job, sizeof job, &v->core->volumes.dirfd, 1, NULL, &fd, e);
}

static int load(void *arg, const struct jd_volume_row *row)
{
    struct jd_core *c = arg;
    struct jl_err e = JL_ERR_INIT;

    if (api_volume_name("name", row->name, &e) < 0) {
        jl_log_fail(&e, "volume.load", "a volume is passed over");
        return 0;
    }
    return jd_volume_add(c, row) ? 0 : -ENOMEM;
}

static void finish(struct jd_volume *v)
{
    struct jl_err e = JL_ERR_INIT;

    if (strcmp(v->row.state, "ready") == 0) {
        v->ready = true;
        if (jd_volume_jobs(v) > 0 && jd_volume_is_mounted(v->core->volumes.dirfd, v->row.name))
            return; /* theirs as it is */
        if (work_now(v, JD_VOLUME_MOUNT, &e) < 0)
            jl_log_fail(&e, "volume.mount", "volume=%s: jobs that name it can't start",
                        v->row.name);
        return;
    }
    jl_log_info("volume.undo", "volume=%s: %s was interrupted", v->row.name, v->row.state);
    if (work_now(v, JD_VOLUME_UNMAKE, &e) < 0 ||
        jd_store_volume_delete(v->core->store, v->row.name, &e) < 0) {
        jl_log_fail(&e, "volume.undo", "volume=%s", v->row.name);
        return; /* the next start tries again */
    }
    jd_volume_forget(v);
}

static void on_mended(void *user, int r, const void *out, size_t len, int fd,
                      const struct jl_err *e)
{
    struct jd_volume *v = user;

    (void) out;
    (void) len;
    (void) fd;
    v->mending = false;
    if (r < 0)
        jl_log_fail(e, "volume.mount", "volume=%s", v->row.name);
    else if (!jd_volume_is_damaged(v->core->volumes.dirfd, v->row.name))
        jl_log_info("volume.mended", "volume=%s", v->row.name);
}

void jd_volumes_mend(struct jd_core *c)
{
    for (struct jd_volume *v = c->volumes.first; v; v = v->next) {
        struct jd_volume_job job = jd_volume_request(v);
        struct jl_err e = JL_ERR_INIT;

        if (!v->ready || v->mending || jd_volume_is_memory(v) || jd_volume_jobs(v) > 0 ||
            !jd_volume_is_damaged(c->volumes.dirfd, v->row.name))
            continue;
        jl_log_warn("volume.mend", "volume=%s " JD_VOLUME_DAMAGED, v->row.name);
        v->mending = true;
        if (jd_worker_call(c->volumes.worker, JD_VOLUME_MOUNT, &job, sizeof job, &c->volumes.dirfd,
                           1, on_mended, v, &e) < 0) {
            v->mending = false;
            jl_log_fail(&e, "volume.mount", "volume=%s", v->row.name);
        }
    }
}

int jd_volumes_init(struct jd_core *c, struct jl_err *e)
{
    int r = jd_store_each_volume(c->store, load, c, e);

    for (struct jd_volume *v = c->volumes.first, *next; v && r == 0; v = next) {
        next = v->next;
        finish(v);
    }
    if (r < 0)
        return r;
    c->volumes.worker = jd_worker_new(c->loop, "volume", jd_volume_work, JD_VOLUME_WORK_N);
    return c->volumes.worker ? 0 : jl_fail(e, ENOMEM, "make the volume worker");
}

void jd_volumes_done(struct jd_core *c)
{
    jd_worker_free(c->volumes.worker);
    c->volumes.worker = NULL;
    while (c->volumes.first)
        jd_volume_forget(c->volumes.first);
    c->volumes.dirfd = jl_close(c->volumes.dirfd);
}

static struct jd_volume *usable(const struct jd_core *c, const char *entry, bool *ret_read_only,
                                struct jl_err *e)
{
    char name[API_NAME_MAX + 1];
    struct jd_volume *v;

    if (api_volume_entry("volumes", entry, name, ret_read_only, e) < 0)
        return NULL;
    v = jd_volume_find(c, name);
    if (!v || !v->ready) {
        jl_refuse(e, ENOENT, "volume '%s' not found", name);
        jl_hint(e, "rnx volume list shows those there are; rnx volume create %s --size=1GB", name);
        return NULL;
    }
    if (v->mending) {
        jl_refuse(e, EBUSY, "volume '%s' is being mended", name);
        jl_hint(e, "try again in a moment");
        return NULL;
    }
    if (!*ret_read_only && jd_volume_is_damaged(c->volumes.dirfd, name)) {
        jl_refuse(e, EBUSY, "volume '%s' " JD_VOLUME_DAMAGED, name);
        jl_hint(e, "it is mended when no job uses it; until then: --volume=%s:ro", name);
        return NULL;
    }
    if (!jd_volume_is_mounted(c->volumes.dirfd, name)) {
        jl_refuse(e, EBUSY, "volume '%s' is not mounted", name);
        jl_hint(e, "joblet's log says why (volume.mount); its next start tries again");
        return NULL;
    }
    return v;
}

int jd_volumes_check(struct jd_core *c, const Joblet__RunJobRequest *q, struct jl_err *e)
{
    bool read_only;

    for (size_t i = 0; i < q->n_volumes; i++)
        if (!usable(c, q->volumes[i], &read_only, e)) {
            jd_volumes_mend(c); /* the next one may have it */
            return -e->code;
        }
    return 0;
}

int jd_volumes_take(struct jd_core *c, const Joblet__RunJobRequest *q,
                    struct jd_bundle_volume **ret, size_t *ret_n, struct jl_err *e)
{
    struct jd_bundle_volume *all = calloc(q->n_volumes + 1, sizeof *all);
    size_t n = 0;

    for (; all && n < q->n_volumes; n++) {
        const struct jd_volume *v = usable(c, q->volumes[n], &all[n].read_only, e);
        char *source = NULL, *dest = NULL;

        if (!v)
            break;
        if (asprintf(&source, "%s/%s/data", c->conf.volumes_dir, v->row.name) < 0)
            source = NULL;
        if (asprintf(&dest, "/volumes/%s", v->row.name) < 0)
            dest = NULL;
        all[n].source = source;
        all[n].dest = dest;
        all[n].on_disk = !jd_volume_is_memory(v);
    }
    for (size_t i = 0; all && i < n; i++)
        if (!all[i].source || !all[i].dest)
            jl_fail(e, ENOMEM, "mount the volumes");
    if (!all)
        return jl_fail(e, ENOMEM, "mount the volumes");
    if (e->code) {
        jd_volumes_release(all, n);
        return -e->code;
    }
    *ret = all;
    *ret_n = n;
    return 0;
}

void jd_volumes_release(struct jd_bundle_volume *v, size_t n)
{
    for (size_t i = 0; v && i < n; i++) {
        free((char *) (uintptr_t) v[i].source);
        free((char *) (uintptr_t) v[i].dest);
    }
    free(v);
}

unsigned jd_volume_jobs(const struct jd_volume *v)
{
    unsigned n = 0;

    for (const struct jd_job *j = v->core->jobs.first; j; j = j->next)
        for (size_t i = 0; !jd_state_is_ended(j->state) && i < j->req->n_volumes; i++) {
            const char *entry = j->req->volumes[i];
            size_t len = strcspn(entry, ":");

            n += strlen(v->row.name) == len && memcmp(v->row.name, entry, len) == 0;
        }
    return n;
}
