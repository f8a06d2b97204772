/* upload_send.c - see upload_send.h. */
#include "rnx/upload_send.h"

#include <errno.h>
#include <string.h>

#include "api/status.h"
#include "api/validate.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "rnx/progress.h"
#include "rnx/remote.h"

#define PIECE (256u << 10) /* bytes of a file in one message; the server takes up to 1 MiB */
#define MESSAGE_MAX (PIECE + API_PATH_MAX + 64)

struct sender {
    struct rpc_stream *stream;
    struct rnx_progress progress;
    uint8_t *piece, *packed;
};

bool rnx_uploads_are_small(const struct rnx_uploads *u)
{
    return u->n <= API_UPLOADS_MAX && u->bytes + u->path_bytes <= RNX_UPLOAD_INLINE_MAX;
}

static int read_whole(const struct rnx_upload *f, uint8_t *to, struct jl_err *e)
{
    _close_ int fd = rnx_upload_open(f, e);
    uint64_t at = 0;
    int64_t n = fd < 0 ? fd : rnx_upload_read(f, fd, &at, to, (size_t) f->size, e);

    return n < 0 ? (int) n : 0;
}

int rnx_uploads_read(const struct rnx_uploads *u, struct rnx_inline *ret,
                     Joblet__RunJobRequest *request, struct jl_err *e)
{
    uint8_t *at;

    memset(ret, 0, sizeof *ret);
    ret->files = calloc(u->n + 1, sizeof *ret->files);
    ret->list = calloc(u->n + 1, sizeof(Joblet__FileUpload *));
    ret->contents = at = malloc((size_t) u->bytes + 1);
    if (!ret->files || !ret->list || !ret->contents)
        return jl_fail(e, ENOMEM, "uploads");
    for (size_t i = 0; i < u->n; i++) {
        const struct rnx_upload *from = &u->items[i];
        Joblet__FileUpload *to = ret->list[i] = &ret->files[i];

        joblet__file_upload__init(to);
        to->path = from->path;
        to->mode = from->mode;
        to->is_directory = from->is_directory;
        if (from->is_directory)
            continue;
        if (read_whole(from, at, e) < 0)
            return -e->code;
        to->content.data = at;
        to->content.len = (size_t) from->size;
        at += from->size;
    }
    request->uploads = ret->list;
    request->n_uploads = u->n;
    return 0;
}

void rnx_inline_done(struct rnx_inline *in)
{
    free(in->files);
    free(in->list);
    free(in->contents);
    memset(in, 0, sizeof *in);
}

/* One message. 0; 1: the server has ended the call; -errno with e filled. */
static int send_piece(struct sender *s, const struct rnx_upload *f, size_t len, bool eof,
                      struct jl_err *e)
{
    Joblet__UploadChunk m = JOBLET__UPLOAD_CHUNK__INIT;
    int r;

    m.path = f->path;
    m.mode = f->mode;
    m.is_directory = f->is_directory;
    m.data = (ProtobufCBinaryData){ .len = len, .data = s->piece };
    m.eof = eof;
    r = rpc_stream_send(s->stream, s->packed, joblet__upload_chunk__pack(&m, s->packed), e);
    if (r == 1)
        rnx_progress_add(&s->progress, len);
    return r < 0 ? r : r == 0;
}

static int send_file(struct sender *s, const struct rnx_upload *f, struct jl_err *e)
{
    _close_ int fd = -1;
    uint64_t at = 0;
    int r;

    if (f->is_directory)
        return send_piece(s, f, 0, true, e);
    fd = rnx_upload_open(f, e);
    if (fd < 0)
        return fd;
    do {
        int64_t n = rnx_upload_read(f, fd, &at, s->piece, PIECE, e);

        if (n < 0)
            return (int) n;
        r = send_piece(s, f, (size_t) n, at == f->size, e);
    } while (r == 0 && at < f->size);
    return r;
}

static int take_session(struct rpc_stream *stream, char **ret_session, struct rpc_status *st,
                        struct jl_err *e)
{
    _buf_ struct jl_buf reply = JL_BUF_INIT(64u << 10);
    ProtobufCMessage *m = NULL;
    int r = rpc_stream_reply(stream, &reply, st, e);

    if (r < 0 || st->code != API_OK)
        return r;
    r = api_unpack_reply(&joblet__stage_uploads_response__descriptor, reply.data, reply.len, &m, e);
    if (r < 0)
        return jl_wrap(e, "the server's answer to the uploads");
    *ret_session = strdup(((const Joblet__StageUploadsResponse *) m)->upload_session);
    protobuf_c_message_free_unpacked(m, NULL);
    return *ret_session ? 0 : jl_fail(e, ENOMEM, "uploads");
}

static int send_all(struct sender *s, const struct rnx_uploads *u, char **ret_session,
                    struct rpc_status *st, struct jl_err *e)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < u->n; i++)
        r = send_file(s, &u->items[i], e);
    return r < 0 ? r : take_session(s->stream, ret_session, st, e);
}

int rnx_uploads_stage(struct rnx *x, const struct rnx_uploads *u, char **ret_session,
                      struct jl_err *e)
{
    _free_ uint8_t *piece = malloc(PIECE), *packed = malloc(MESSAGE_MAX);
    struct sender s = { .piece = piece, .packed = packed };
    struct rpc_status st = { 0 };
    int r;

    if (!piece || !packed)
        return jl_fail(e, ENOMEM, "uploads");
    rnx_catch_signals(x);
    r = rpc_stream_open_sending(x->client, "/joblet.JobService/StageUploads", 0, &s.stream, e);
    if (r < 0)
        return r;
    rnx_watch_stream(s.stream);
    rnx_progress_begin(&s.progress, u->bytes);
    r = send_all(&s, u, ret_session, &st, e);
    rnx_progress_end(&s.progress);
    rnx_watch_stream(NULL);
    rpc_stream_close(s.stream); /* what is not whole is cancelled with it */
    if (rnx_interrupted()) {
        free(jl_take_ptr(*ret_session));
        return 1;
    }
    return r == 0 && st.code != API_OK ? rnx_refused(x, &st, e) : r;
}
