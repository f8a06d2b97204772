/*
 * upload.h - the files of --upload and --upload-dir: found and checked before anything is sent. What
 * is in them is read when it is sent, so that they may be of any size; a file that is no longer as
 * it was found ends that.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define RNX_UPLOAD_NAMES_MAX 1000000 /* of StageUploads; docs/formats/api.md */

struct rnx_upload {
    char *path;  /* in the work directory */
    char *local; /* where it is read */
    uint32_t mode;
    uint64_t size; /* bytes; of a directory 0 */
    bool is_directory;
};

struct rnx_uploads {
    struct rnx_upload *items; /* own */
    size_t n, room;
    size_t n_files; /* without directories */
    size_t path_bytes;
    uint64_t bytes;
};

/*
 * Adds FILE under its base name, or everything below DIR under its path there. Links below DIR are
 * followed when they end inside DIR, else skipped with a warning; sockets, pipes and devices are
 * skipped with a warning too. Files that can't be read are refused. 0, or -errno with e filled.
 */
int rnx_upload_file(struct rnx_uploads *u, const char *file, struct jl_err *e);
int rnx_upload_dir(struct rnx_uploads *u, const char *dir, struct jl_err *e);

/* After all: refuses two files of one path, and paths that the server would refuse. Sorts,
 * directories before what is in them. */
int rnx_upload_check(struct rnx_uploads *u, struct jl_err *e);

const struct rnx_upload *rnx_upload_find(const struct rnx_uploads *u, const char *path);

/* A file to read from: a descriptor, or -errno with e filled (it is another one by now, or has
 * another size). */
int rnx_upload_open(const struct rnx_upload *f, struct jl_err *e);

/*
 * The next up to `size` bytes of fd, of which *at have been read. How many: less than `size` at the
 * file's end alone, where it is also seen that the file has not grown. Or -errno with e filled.
 */
int64_t rnx_upload_read(const struct rnx_upload *f, int fd, uint64_t *at, void *buf, size_t size,
                        struct jl_err *e);

void rnx_uploads_done(struct rnx_uploads *u);
