/*
 * upload_send.h - how the files of upload.h get to the server: with the request itself while they are
 * small, which saves a round trip, else by pieces before it (StageUploads), so that no file is held
 * in memory.
 */
#pragma once

#include <stdbool.h>

#include "api/joblet.pb-c.h"
#include "base/err.h"
#include "rnx/upload.h"

struct rnx;

#define RNX_UPLOAD_INLINE_MAX                                                                      \
    (4u << 20) /* bytes of contents and paths; api.md, uploads of any size */

/* The uploads of a request, while it has them. */
struct rnx_inline {
    Joblet__FileUpload *files;
    Joblet__FileUpload **list;
    uint8_t *contents;
};

bool rnx_uploads_are_small(const struct rnx_uploads *u);

/* Reads small ones into `request`, which borrows from ret and u. 0, or -errno with e filled;
 * rnx_inline_done in both cases. */
int rnx_uploads_read(const struct rnx_uploads *u, struct rnx_inline *ret,
                     Joblet__RunJobRequest *request, struct jl_err *e);
void rnx_inline_done(struct rnx_inline *in);

/*
 * Sends all by pieces, with progress on a terminal's standard error. From here on signals are
 * caught (rnx_catch_signals). 0: *ret_session, for RunJobRequest.upload_session, is the caller's to
 * free; 1: a signal ended it; or -errno with e filled. Unless 0 the server removes what was sent.
 */
int rnx_uploads_stage(struct rnx *x, const struct rnx_uploads *u, char **ret_session,
                      struct jl_err *e);
