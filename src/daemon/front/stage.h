/*
 * stage.h - writes uploads below a staging directory that core made, a slice at a time, so that a
 * large one holds up nobody else. The directory is known by descriptor alone; every name goes
 * through openat2 with RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS and RESOLVE_NO_XDEV, and files are made
 * with O_EXCL. Core checks the result again.
 *
 * Files are made 0600 and get their mode when they are written. Directories are made 0755 and keep
 * that when they only stand in a path; one that is uploaded as such gets its mode at the end, the
 * last of the list first, so that an upload with a read-only directory works.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "daemon/front/upload_wire.h"

struct jd_stage {
    int dirfd;                     /* own */
    const struct jd_uploads *what; /* borrowed */
    size_t at;                     /* the upload being written */
    size_t written;                /* bytes of it */
    int file_fd;                   /* of it; -1 between two */
    int parent_fd;                 /* directory of the last file */
    char *parent;                  /* its path; NULL none */
    size_t modes_left;             /* directories whose mode is still to be set */
    char *open_path;               /* jd_stage_chunk: the file that is begun */
    uint32_t open_mode;
    struct jd_upload *dirs; /* jd_stage_chunk: directories, with a path and a mode */
    size_t n_dirs, room_dirs, dirs_bytes;
    uint64_t names, bytes;               /* made so far, directories on the way to a file too */
    uint64_t looked_names, looked_bytes; /* when the disk was looked at last */
};

/* Begins; own_dirfd is the staging directory. */
void jd_stage_init(struct jd_stage *s, int own_dirfd, const struct jd_uploads *what);

/*
 * Writes up to `bytes` bytes and JD_STAGE_NAMES names. 1 there is more to do, 0 all is written;
 * -errno with e filled: -EINVAL the path comes twice or is not to be had below the directory,
 * -EMSGSIZE too many names, -ENOSPC or -EDQUOT the disk is full or nearly so (it is looked at
 * every few MiB and names; core looked before), -EIO anything else.
 */
#define JD_STAGE_NAMES_MAX 1000000 /* as JD_STAGE_ENTRIES_MAX of core */
#define JD_STAGE_NAMES 64
int jd_stage_step(struct jd_stage *s, size_t bytes, struct jl_err *e);
void jd_stage_done(struct jd_stage *s);

/* A piece of what StageUploads sends. */
struct jd_chunk {
    struct jd_upload up; /* content: this piece of the file */
    bool eof;            /* the file is whole with it */
};

/*
 * Writes one piece: begins a file, goes on with the one that is begun (up.path is its path still),
 * or makes a directory. For a jd_stage that was begun with no uploads. What its modes are is kept
 * (JD_STAGE_DIRS_BYTES) for jd_stage_finish, which sets them; it refuses a file without an end.
 * 0, or -errno as above.
 */
#define JD_STAGE_DIRS_BYTES (4u << 20)
int jd_stage_chunk(struct jd_stage *s, const struct jd_chunk *c, struct jl_err *e);
int jd_stage_finish(struct jd_stage *s, struct jl_err *e);
