#include "daemon/front/upload_wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/* RunJobRequest.uploads and the fields of FileUpload; joblet.proto is the source. */
#define FIELD_UPLOADS 8
#define FIELD_PATH 1
#define FIELD_CONTENT 2
#define FIELD_MODE 3
#define FIELD_IS_DIRECTORY 4

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct cursor {
    const uint8_t *at, *end;
};

struct field {
    uint32_t number;
    enum wire wire;
    uint64_t value;      /* WIRE_VARINT */
    const uint8_t *data; /* WIRE_BYTES */
    size_t len;
    const uint8_t *start, *after; /* the whole field, tag included */
};

static bool varint(struct cursor *c, uint64_t *ret)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (c->at == c->end)
            return false;
        v |= (uint64_t) (*c->at & 0x7f) << shift;
        if (!(*c->at++ & 0x80)) {
            *ret = v;
            return true;
        }
    }
    return false;
}

static bool skip(struct cursor *c, uint64_t n)
{
    if (n > (uint64_t) (c->end - c->at))
        return false;
    c->at += n;
    return true;
}

static bool next_field(struct cursor *c, struct field *f)
{
    uint64_t tag, n;

    *f = (struct field){ .start = c->at };
    if (!varint(c, &tag) || tag > UINT32_MAX || tag >> 3 == 0)
        return false;
    f->number = (uint32_t) (tag >> 3);
    switch (tag & 7) {
    case WIRE_VARINT:
        f->wire = WIRE_VARINT;
        if (!varint(c, &f->value))
            return false;
        break;
    case WIRE_64:
        f->wire = WIRE_64;
        if (!skip(c, 8))
            return false;
        break;
    case WIRE_BYTES:
        f->wire = WIRE_BYTES;
        if (!varint(c, &n))
            return false;
        f->data = c->at;
        f->len = (size_t) n;
        if (!skip(c, n))
            return false;
        break;
    case WIRE_32:
        f->wire = WIRE_32;
        if (!skip(c, 4))
            return false;
        break;
    default: /* groups ended with proto2 */
        return false;
    }
    f->after = c->at;
    return true;
}

static int malformed(struct jl_err *e)
{
    return jl_refuse(e, EINVAL, "the request is not a RunJobRequest message");
}

static int set_path(struct jd_upload *up, const struct field *f, struct jl_err *e)
{
    if (f->len > JD_UPLOAD_PATH_MAX)
        return jl_refuse(e, EMSGSIZE, "the path of an upload has %zu bytes, limit is %d", f->len,
                         JD_UPLOAD_PATH_MAX);
    if (memchr(f->data, 0, f->len))
        return jl_refuse(e, EINVAL, "the path of an upload has a NUL byte");
    if (!jl_utf8_valid((const char *) f->data, f->len, NULL))
        return jl_refuse(e, EINVAL, "the path of an upload is not UTF-8");
    free(up->path); /* given twice: the last one counts, as in every protobuf parser */
    up->path = malloc(f->len + 1);
    if (!up->path)
        return jl_fail(e, ENOMEM, "read the request");
    memcpy(up->path, f->data, f->len);
    up->path[f->len] = '\0';
    return 0;
}

static int parse_upload(struct jd_upload *up, const struct field *outer, struct jl_err *e)
{
    struct cursor c = { outer->data, outer->data + outer->len };
    struct field f;
    int r;

    while (c.at < c.end) {
        if (!next_field(&c, &f))
            return malformed(e);
        if (f.number == FIELD_PATH && f.wire == WIRE_BYTES) {
            r = set_path(up, &f, e);
            if (r < 0)
                return r;
        } else if (f.number == FIELD_CONTENT && f.wire == WIRE_BYTES) {
            up->content = f.data;
            up->len = f.len;
        } else if (f.number == FIELD_MODE && f.wire == WIRE_VARINT) {
            up->mode = (uint32_t) f.value;
        } else if (f.number == FIELD_IS_DIRECTORY && f.wire == WIRE_VARINT) {
            up->is_directory = f.value != 0;
        } else if (f.number >= FIELD_PATH && f.number <= FIELD_IS_DIRECTORY) {
            return malformed(e);
        }
    }
    if (!up->path) {
        up->path = strdup("");
        if (!up->path)
            return jl_fail(e, ENOMEM, "read the request");
    }
    return 0;
}

static int add_upload(struct jd_uploads *u, const struct field *f, struct jl_err *e)
{
    if (u->n == JD_UPLOADS_MAX)
        return jl_refuse(e, EMSGSIZE, "the request uploads more than %d files", JD_UPLOADS_MAX);
    if (u->n == u->size) {
        size_t size = u->size ? u->size * 2 : 16;
        struct jd_upload *items = reallocarray(u->items, size, sizeof *items);

        if (!items)
            return jl_fail(e, ENOMEM, "read the request");
        u->items = items;
        u->size = size;
    }
    u->items[u->n] = (struct jd_upload){ 0 };
    return parse_upload(&u->items[u->n++], f, e);
}

int jd_uploads_split(const uint8_t *msg, size_t len, struct jd_uploads *u, struct jl_err *e)
{
    struct cursor c = { msg, len > 0 ? msg + len : msg }; /* an empty message may be NULL */
    struct field f;
    int r;

    while (c.at < c.end) {
        if (!next_field(&c, &f))
            return malformed(e);
        if (f.number == FIELD_UPLOADS) {
            if (f.wire != WIRE_BYTES)
                return malformed(e);
            r = add_upload(u, &f, e);
            if (r < 0)
                return r;
            continue;
        }
        r = jl_buf_add(&u->rest, f.start, (size_t) (f.after - f.start));
        if (r == -EMSGSIZE)
            return jl_refuse(e, EMSGSIZE, "the request has more than %u MiB besides its uploads",
                             JD_REQUEST_REST_MAX >> 20);
        if (r < 0)
            return jl_fail(e, -r, "read the request");
    }
    return 0;
}

void jd_uploads_done(struct jd_uploads *u)
{
    for (size_t i = 0; i < u->n; i++)
        free(u->items[i].path);
    free(u->items);
    u->items = NULL;
    u->n = u->size = 0;
    jl_buf_clear(&u->rest);
}
