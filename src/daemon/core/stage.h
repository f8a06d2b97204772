/*
 * stage.h - directories that joblet-front writes uploads into. Core makes one below
 * filesystem.baseDir, owned by front's user, and hands over its descriptor; RunJob names it by its
 * session. It belongs to the client certificate that asked for it and is removed after ten minutes.
 *
 * Taking one over: jd_take walks the tree by descriptor, a slice at a time. Each directory becomes
 * root's alone (0700) before it is read, so that nothing can be added behind us by a descriptor that
 * front has still open; the job gets it without write bits for others. What a file holds can still
 * be changed through such a descriptor; only directories and regular
 * files with one name, front's as owner and no special bits are accepted.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "api/validate.h"
#include "base/err.h"
#include "base/loop.h"
#include "base/strv.h"
#include "ipc/corelink.h"

struct jd_core;
struct jd_worker;

#define JD_STAGE_SESSIONS_MAX 1024
#define JD_STAGE_PER_CLIENT_MAX 64
#define JD_STAGE_LIFE_NS (UINT64_C(600) * 1000000000)
#define JD_STAGE_DEPTH_MAX 128
#define JD_STAGE_ENTRIES_MAX 1000000
#define JD_STAGE_NAMES_MAX 1000 /* a status shows them all */

struct jd_stage {
    char session[40];
    char common_name[128], serial[64]; /* of the certificate it belongs to */
    uint64_t until_ns;
    bool taken; /* a RunJob has it */
    bool whole; /* StageUploads is over */
    struct jd_stage *next;
};

struct jd_stages {
    struct jd_core *core;
    int dirfd; /* .staging; -1 before jd_stages_init */
    struct jd_stage *first;
    unsigned n;
    struct jl_timer timer;  /* the next one to expire */
    struct jd_worker *sync; /* stage_sync.h */
};

/* Opens .staging and empties it: sessions do not outlive the daemon. */
int jd_stages_init(struct jd_core *c, struct jl_err *e);
void jd_stages_done(struct jd_core *c);

/* A new directory for this client; *ret_fd is the caller's. 0, or -errno with e filled: -ENOSPC
 * the disk has no 5 % of its space or inodes left, -EMFILE too many sessions. */
int jd_stage_new(struct jd_core *c, const struct ipc_identity *who, const char **ret_session,
                 int *ret_fd, struct jl_err *e);
/* The client's session; NULL with e filled (-ENOENT: none, another's, used or expired). */
struct jd_stage *jd_stage_find(struct jd_core *c, const char *session,
                               const struct ipc_identity *who, struct jl_err *e);
/* Its ten minutes begin anew. */
void jd_stage_keep(struct jd_core *c, struct jd_stage *s);
/* Removes it with everything in it. */
void jd_stage_drop(struct jd_core *c, struct jd_stage *s);

struct jd_take;
/* Called once: r 0 the tree is checked and belongs to uid; else -errno with e filled. The take is
 * freed afterwards. */
typedef void (*jd_take_fn)(struct jd_take *t, int r, struct jl_err *e);

struct jd_take {
    struct jd_core *core;
    struct jd_stage *stage;
    jd_take_fn done;
    void *arg;
    uint64_t bytes; /* of all files and directories, each in whole blocks of 4 KiB, one at least */
    unsigned entries;
    unsigned depth;                  /* directories open */
    void *stack[JD_STAGE_DEPTH_MAX]; /* DIR * */
    mode_t mode[JD_STAGE_DEPTH_MAX]; /* what each of them gets back */
    struct jl_strv *names;           /* NULL: nobody asks */
    char path[API_PATH_MAX + 2];     /* of the directory that is looked at, with '/' */
    size_t path_len[JD_STAGE_DEPTH_MAX];
    struct jl_timer timer;
};

/* Begins; marks the session taken. The paths of its first JD_STAGE_NAMES_MAX files are added to names,
 * which is the caller's (NULL: none are). 0, or -errno with e filled (then nothing is called). */
int jd_stage_take(struct jd_core *c, struct jd_stage *s, struct jl_strv *names, jd_take_fn done,
                  void *arg, struct jl_err *e);
