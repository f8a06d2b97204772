/*
 * store.h - what survives a restart: the job records in SQLite (WAL, fsynced at each commit), so
 * that a request can be answered after its commit. docs/formats/state-db.md is the reference.
 *
 * The store knows rows, not jobs: state names are text, the request is a blob (joblet.RunJobRequest
 * without upload contents and secret values).
 *
 * Blocks for the disk. One user at a time; other programs may read the file meanwhile. One that
 * writes is waited for when the file is opened, and never after: -EAGAIN at once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define JD_STORE_VERSION 4

struct jd_store;

struct jd_blob {
    uint8_t *data;
    size_t len;
};

void jd_blob_done(struct jd_blob *b); /* overwritten and freed; empty then, as it may be before */

/* How a job ended: what the API calls JobResult. */
struct jd_result {
    int32_t signal;
    bool oom, timeout;
    uint64_t cpu_user_us, cpu_system_us, memory_peak, io_read_bytes, io_write_bytes, pids_peak;
    uint64_t psi_cpu_some_us, psi_memory_some_us, psi_io_some_us;
    uint64_t log_dropped_bytes;
    char *start_error;
};

/* One job. Strings are the record's own, never NULL after jd_record_init. */
struct jd_record {
    int64_t sequence; /* order of submission; given by the store */
    char id[40];
    char *name, *command; /* copies out of the request, for people who look with sqlite3 */
    char *status, *reason;
    char *node_id, *network, *runtime;
    uint64_t created_wall_ns, started_wall_ns, ended_wall_ns, scheduled_wall_ns; /* 0: not yet */
    uint64_t
        due_boot_ns;   /* of a relative time, which counts: CLOCK_BOOTTIME; 0: by the wall clock */
    char *due_boot_id; /* ... of the kernel whose clock that is */
    int32_t exit_code;
    bool has_result;
    struct jd_result result;
    uint32_t host_id_base; /* first host id of the job's user namespace; 0: none */
    char *boot_id;         /* of the kernel it was started under; "" not started */
    char *owner_name, *owner_serial;
    char *address;         /* in its network, "172.20.0.2"; "" none */
    uint64_t upload_bytes; /* each file in blocks of 4 KiB; 0: nothing, or only empty files */
    bool has_uploads;
    struct jd_blob request; /* joblet.RunJobRequest */
    struct jd_blob secrets; /* joblet.RunJobRequest with secret_environment alone; may be empty */
};

int jd_record_init(struct jd_record *r); /* all empty; 0 or -ENOMEM */
void jd_record_done(struct jd_record *r);
/* Replaces one of the record's strings by a copy. 0 or -ENOMEM. */
int jd_record_set(char **field, const char *value);
/* The same for a sentence, which may hold a name that a job chose or be cut in a character: clients
 * refuse a whole list for bytes that are not UTF-8. */
int jd_record_tell(char **field, const char *sentence);

/* There is no joblet.db in `state_dir`, or one that holds nothing. */
bool jd_store_is_new(const char *state_dir);

/*
 * Opens `state_dir`/joblet.db, made when missing (0600), brought to our version when older. A file
 * that is damaged, no database or newer than we are is refused with what to do. 0 or -errno.
 */
int jd_store_open(const char *state_dir, struct jd_store **ret, struct jl_err *e);
void jd_store_close(struct jd_store *s); /* NULL is fine */

/* Adds records, all or none, and gives them their sequences; on disk when this returns. */
int jd_store_add(struct jd_store *s, struct jd_record *const *recs, size_t n, struct jl_err *e);
/* Writes what changes in a record's life (not request and secrets); on disk when this returns. */
int jd_store_update(struct jd_store *s, const struct jd_record *r, struct jl_err *e);
/* The same for what a restart finds out anew: written, and on disk with the next change that is
 * waited for. */
int jd_store_note(struct jd_store *s, const struct jd_record *r, struct jl_err *e);
/* The wall clock is ahead of CLOCK_BOOTTIME by now: the relative times of this boot that are waited
 * for move on it. On disk when this returns. */
int jd_store_move_due(struct jd_store *s, const char *boot_id, uint64_t ahead_ns, struct jl_err *e);
/* A job's request, and its secrets if it has any left; for jd_blob_done, on failure too. */
int jd_store_request(struct jd_store *s, const char *id, struct jd_blob *ret_request,
                     struct jd_blob *ret_secrets, struct jl_err *e);
/* Forgets the secret values of an ended job; jd_store_settle takes them from the disk. */
int jd_store_drop_secrets(struct jd_store *s, const char *id, struct jl_err *e);
/* Brings what was changed into the file and empties the log beside it, which holds what was there
 * before. 0, -EAGAIN when somebody reads, or another -errno; e filled. */
int jd_store_settle(struct jd_store *s, struct jl_err *e);
/* Forgets these jobs, all or none. */
int jd_store_delete(struct jd_store *s, const char *const *ids, size_t n, struct jl_err *e);

/* The custom networks: name (unique), CIDR, bridge. On disk when this returns. */
int jd_store_add_network(struct jd_store *s, const char *name, const char *cidr, const char *bridge,
                         struct jl_err *e);
int jd_store_delete_network(struct jd_store *s, const char *name, struct jl_err *e);
/* By name; a negative return ends the walk with that value. */
int jd_store_each_network(struct jd_store *s,
                          int (*fn)(void *arg, const char *name, const char *cidr,
                                    const char *bridge),
                          void *arg, struct jl_err *e);

/* Calls fn for each record in order of submission; the callee takes it over with its contents.
 * A negative return ends the walk with that value. */
int jd_store_each(struct jd_store *s, int (*fn)(void *arg, struct jd_record *own_r), void *arg,
                  struct jl_err *e);

/* One volume. */
struct jd_volume_row {
    char name[64];
    char type[16];  /* "filesystem", "memory" */
    char size[32];  /* as it was asked for */
    char state[16]; /* "creating", "ready", "removing" */
    uint64_t bytes, created_wall_ns;
    char owner_name[128], owner_serial[64]; /* of the client's certificate */
};

/* Each is on disk when it returns. */
int jd_store_volume_add(struct jd_store *s, const struct jd_volume_row *v, struct jl_err *e);
int jd_store_volume_state(struct jd_store *s, const char *name, const char *state,
                          struct jl_err *e);
int jd_store_volume_delete(struct jd_store *s, const char *name, struct jl_err *e);

/* Calls fn for each volume in order of names. A negative return ends the walk with that value. */
int jd_store_each_volume(struct jd_store *s, int (*fn)(void *arg, const struct jd_volume_row *v),
                         void *arg, struct jl_err *e);
