/*
 * front.h - core's end of joblet-front: starts it, starts it again when it dies, and carries frames
 * both ways without ever blocking. While a reply waits for room in the socket no further request is
 * read, so what waits is bounded.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/loop.h"
#include "ipc/corelink.h"
#include "ipc/revoked.h"

struct jd_core;
struct jd_queued;
struct jl_buf;
struct jd_conf;

struct jd_front {
    struct jd_core *core;
    pid_t pid; /* 0: not running */
    int pidfd;
    int link; /* our end of the pair; -1: closed */
    struct jl_source pid_src, link_src;
    struct jl_timer restart;
    uint8_t *packet;                      /* receive buffer */
    struct jd_queued *queue, **queue_end; /* replies that found the socket full */
    unsigned generation;           /* counts starts: a reply to an earlier front is dropped */
    unsigned failures;             /* deaths in a row, for the back-off */
    uint64_t started_ns, first_ns; /* this one; the first one */
    bool listening;                /* it said so */
    bool announced;                /* ... and systemd was told */
    bool ending;
    uid_t uid;
    gid_t gid;
};

/*
 * The ids of server.frontUser: a user's name, or a number that need not be in any passwd file.
 * Where the user of the default name does not exist, a number that nobody else has is taken
 * (*ret_own). 0; -ENOENT no such user, -EINVAL root, with e filled. Reads the host's user database.
 */
#define JD_FRONT_USER "joblet"
#define JD_FRONT_OWN_ID 61183 /* just below what systemd gives to services of a moment */
int jd_front_user(const char *name, uid_t *ret_uid, gid_t *ret_gid, bool *ret_own,
                  struct jl_err *e);

/* Finds the user and starts the first front. 0, or -errno with e filled. */
int jd_front_start(struct jd_core *c, struct jl_err *e);
/* Asks it to end; jl_loop_stop is called with `status` once it has, after 3 s at the latest. */
void jd_front_stop(struct jd_core *c, int status);
void jd_front_done(struct jd_core *c);

/* Sends one frame to front `generation`; dropped when that one is gone. Borrows the frame and its
 * descriptors. */
void jd_front_send(struct jd_core *c, unsigned generation, const struct ipc_frame *f);
/* Tells front that a job changed; nothing happens when its socket is full (front asks again). */
void jd_front_event(struct jd_core *c, const char *job_id);
/* Tells front which certificates are revoked from now on; one that starts later finds them in its
 * configuration. */
void jd_front_revoked(struct jd_core *c);

/* The JSON object that front reads from descriptor 4. 0 or -errno. */
int jd_front_conf_json(const struct jd_conf *conf, const struct ipc_revoked *revoked,
                       struct jl_buf *out);
/* The same as a sealed memfd, which the caller closes; -errno with e filled. */
int jd_front_conf_fd(const struct jd_conf *conf, const struct ipc_revoked *revoked,
                     struct jl_err *e);
/* Starts joblet-front as s says, which names the program (path), its arguments, descriptors and
 * user; the rest of s is filled here. As jl_spawn. */
struct jl_spawn;
int jd_front_spawn(struct jl_spawn *s, pid_t *ret_pid, int *ret_pidfd, struct jl_err *e);
