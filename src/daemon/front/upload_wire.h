/*
 * upload_wire.h - takes the uploads out of an encoded RunJobRequest without copying their contents.
 * A request may have 128 MB, and protobuf-c would copy every byte of it; so the outermost fields
 * are walked here, what is not an upload goes to protobuf-c, and uploads point into the message.
 *
 * The bytes come from the network. Fuzz target: tests/fuzz/fuzz_front_uploads.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define JD_UPLOADS_MAX 65536           /* entries in one request; as API_UPLOADS_MAX */
#define JD_UPLOAD_PATH_MAX 4095        /* bytes: the kernel's PATH_MAX without the NUL */
#define JD_REQUEST_REST_MAX (4u << 20) /* bytes of a request without its uploads */

struct jd_upload {
    char *path;             /* own; no NUL inside */
    const uint8_t *content; /* points into the request */
    size_t len;
    uint32_t mode; /* as the client sent it */
    bool is_directory;
};

struct jd_uploads {
    struct jd_upload *items;
    size_t n, size;
    struct jl_buf rest; /* the request without them, still encoded */
};

/* clang-format off */
#define JD_UPLOADS_INIT { .rest = JL_BUF_INIT(JD_REQUEST_REST_MAX) }
/* clang-format on */

/*
 * Splits msg; u keeps pointers into it. 0; -EINVAL: no protobuf message of that form, or a path
 * with a NUL or that is no UTF-8; -EMSGSIZE: a ceiling; -ENOMEM; all with e filled. After a
 * failure, too, the caller calls jd_uploads_done. What a path may be is api_validate's to say.
 */
int jd_uploads_split(const uint8_t *msg, size_t len, struct jd_uploads *u, struct jl_err *e);
void jd_uploads_done(struct jd_uploads *u);
