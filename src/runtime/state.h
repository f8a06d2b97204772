/*
 * state.h - what joblet-run remembers of a container: one directory per container below the
 * state root, made before anything else and removed last. docs/formats/runtime-state.md.
 *
 *   record   the intent (one line of JSON), then config.json as it was read, both written at once
 *            before the first side effect; then lines of JSON: once its control group is made,
 *            once the first process exists, how long it all took, and how it ended
 *   start    the socket on which a created container waits; gone once it was started
 *
 * The directory is locked (flock) by whoever changes the container.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ocispec.h"

struct jl_err;
struct os_cgroup_host;

#define RT_ID_MAX 255 /* it names a directory */

enum rt_status { RT_CREATING, RT_CREATED, RT_RUNNING, RT_PAUSED, RT_STOPPED };

/* What the time of create and run goes into; docs/formats/runtime-state.md. */
enum rt_phase {
    RT_PHASE_LOAD,
    RT_PHASE_CGROUP,
    RT_PHASE_SECCOMP,
    RT_PHASE_PREPARE,
    RT_PHASE_CLONE,
    RT_PHASE_SETUP,
    RT_PHASE_HOOKS,
    RT_PHASE_N,
};

struct rt_state {
    int dirfd;   /* of the container's directory; -1: not open */
    bool locked; /* we hold the directory's lock */
    int record;  /* open and locked while we make the container, which others see; else -1 */
    char *id;    /* own, as all strings here */
    char *bundle;
    char *rootfs;
    char *cgroup;     /* path in the hierarchies; NULL: it has none */
    char *unit;       /* systemd's, of which cgroup is the group then; NULL: none */
    bool unit_user;   /* of the user's manager */
    bool cgroup_made; /* the group there is this container's; else it may be anybody's */
    char *rdt;        /* its directory in resctrl, "" the default one; NULL: none */
    bool rdt_own;     /* that one is the container's and goes with it */
    bool rdt_monitor; /* it has a monitoring group in there, named as the container is */
    bool rdt_made;    /* what is its own of these was made by us */
    char *oci_version;
    char *created;   /* RFC 3339 */
    uint32_t owner;  /* uid that made it */
    bool own_pid_ns; /* its init's end is the end of all its processes */
    struct oci_kv *annotations;
    size_t n_annotations;
    char *config; /* config.json; NULL when the record was never written */
    size_t config_len;
    pid_t pid; /* 0: not known (yet) */
    uint64_t start_ticks;
    uint64_t phase_us[RT_PHASE_N]; /* how long making it took */
    bool has_phases;
    bool exited; /* how it ended is known: exit_status, as wait(2) has it */
    int exit_status;
    char *finished; /* RFC 3339; NULL: not known */
};

#define RT_STATE_INIT                                                                              \
    {                                                                                              \
        .dirfd = -1, .record = -1                                                                  \
    }

const char *rt_status_name(enum rt_status s);   /* "running" */
const char *rt_phase_name(enum rt_phase phase); /* "setup" */

/* 0, or -EINVAL with e filled. */
int rt_id_check(const char *id, struct jl_err *e);

/* Opens the state root; with `make` it is made (0700) when missing. One that somebody else could
 * change is refused: hooks are run and processes killed as it says. fd, or -errno with e filled
 * (-ENOENT: not there). */
int rt_state_root_open(const char *root, bool make, struct jl_err *e);

/*
 * Makes the directory, takes the lock, and writes the record. s holds what is to be recorded;
 * s->dirfd is set. -EEXIST with e filled when there is such a container.
 */
int rt_state_create(int root_fd, struct rt_state *s, struct jl_err *e);

/* Opens and reads; -ENOENT with e filled when there is no such container. A directory without
 * record (a create that was killed at once) opens with only id and dirfd set. */
int rt_state_open(int root_fd, const char *id, struct rt_state *s, struct jl_err *e);

/*
 * The same with the lock, which is waited for up to `ms`, and read only then: a record that was
 * read before may lack the process that its maker added meanwhile. On failure s->dirfd may be set
 * (the record is unreadable: with the lock; -EBUSY: without).
 */
int rt_state_open_locked(int root_fd, const char *id, unsigned ms, struct rt_state *s,
                         struct jl_err *e);

/* What a record says; any prefix of one is good. 0, or -errno with e filled (-EBADMSG: it is
 * none). */
int rt_record_parse(struct rt_state *s, const char *text, size_t len, struct jl_err *e);

/* Takes the lock; waits up to `ms` for it. 0, or -errno with e filled (-EBUSY). */
int rt_state_lock(struct rt_state *s, unsigned ms, struct jl_err *e);
void rt_state_unlock(struct rt_state *s);

/* The container is made: from now on it is `created` or `running` and no more `creating`. */
void rt_state_made(struct rt_state *s);

/* Adds to the record which control group (s->cgroup) a unit has, before more of it is made. 0, or
 * -errno with e filled. */
int rt_state_add_cgroup(struct rt_state *s, struct jl_err *e);

/* Adds to the record that the control group is this container's own: only from then on is anybody
 * in it signalled. 0, or -errno with e filled. */
int rt_state_set_cgroup_made(struct rt_state *s, struct jl_err *e);

/* The same for what is its own in resctrl. */
int rt_state_set_rdt_made(struct rt_state *s, struct jl_err *e);

/* Adds the first process to the record. 0, or -errno with e filled. */
int rt_state_set_pid(struct rt_state *s, pid_t pid, struct jl_err *e);

/* Adds how long each phase took (s->phase_us). Nobody's business if that can't be written. */
void rt_state_add_phases(struct rt_state *s);

/* What the container is doing now. host may be NULL: paused is not told from running then. One whose
 * process can't be looked at (no descriptor, no memory) counts as alive. */
enum rt_status rt_state_status(const struct rt_state *s, const struct os_cgroup_host *host);

/* Whether the first process has ended and was waited for (or there never was one). false also
 * means: not known. */
bool rt_state_has_ended(const struct rt_state *s);

/* Whether every process of the container has ended, its zombies aside: the end of a pid
 * namespace's init is the end of all. false also means: not known. */
bool rt_state_all_ended(const struct rt_state *s);

/* A pidfd of the first process; -ESRCH when it has ended. */
int rt_state_pidfd(const struct rt_state *s);

/* state_json.c: the OCI state document for hooks and `state`; compact or indented. out: ceiling is the
 * caller's. 0, or -errno with e filled. */
struct jl_buf;
int rt_state_json(const struct rt_state *s, enum rt_status status, bool extended,
                  struct jl_buf *out, struct jl_err *e);

/* The keys of that document into an object that is open. */
struct jl_json_out;
void rt_state_put(struct jl_json_out *w, const struct rt_state *s, enum rt_status status);

/* Removes the directory: the container is gone then. 0, or -errno with e filled. */
int rt_state_remove(int root_fd, struct rt_state *s, struct jl_err *e);

/* Ids below the root, sorted; the caller clears. 0, or -errno with e filled. */
struct jl_strv;
int rt_state_list(int root_fd, struct jl_strv *ret_ids, struct jl_err *e);

void rt_state_clear(struct rt_state *s);

#define _rt_state_ __attribute__((cleanup(rt_state_clear)))
