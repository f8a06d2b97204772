/*
 * upload.h - the files of --upload and --upload-dir: found, checked and read before anything is
 * sent.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "api/joblet.pb-c.h"
#include "base/err.h"
#include "base/strv.h"

/* All uploads of one request; more needs a session of its own. */
#define RNX_UPLOAD_MAX_BYTES ((uint64_t) 128 << 20)

struct rnx_uploads {
    Joblet__FileUpload **items; /* for the request; owned here */
    size_t n, room;
    size_t n_files; /* without directories */
    uint64_t bytes;
};

/*
 * Adds FILE under its base name, or everything below DIR under its path there. Links below DIR are
 * followed when they end inside DIR, else skipped with a warning; sockets, pipes and devices are
 * skipped with a warning too. 0, or -errno with e filled.
 */
int rnx_upload_file(struct rnx_uploads *u, const char *file, struct jl_err *e);
int rnx_upload_dir(struct rnx_uploads *u, const char *dir, struct jl_err *e);

/* After all: refuses two files of one path. Sorts, directories before what is in them. */
int rnx_upload_check(struct rnx_uploads *u, struct jl_err *e);

const Joblet__FileUpload *rnx_upload_find(const struct rnx_uploads *u, const char *path);

void rnx_uploads_done(struct rnx_uploads *u);
