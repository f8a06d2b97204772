/*
 * unpack.c - bytes from outside become a message. protobuf-c allocates while it parses, about a
 * hundred bytes for the two that an empty element needs on the wire; so the bytes are walked first,
 * without allocating, and refused when there is too much or something a C string can't hold.
 *
 * Wire format: protobuf.dev/programming-guides/encoding. A tag is a varint (field << 3 | type).
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "api/validate.h"

enum wire_type { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct walk {
    size_t n_fields; /* seen so far, in all levels */
    size_t max_fields;
    bool utf8; /* strings must be */
    struct jl_err *e;
};

struct span {
    const uint8_t *at, *end;
};

/* A varint of at most 64 bits. False: cut off or too long. */
static bool varint(struct span *s, uint64_t *ret)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t b;

        if (s->at == s->end)
            return false;
        b = *s->at++;
        v |= (uint64_t) (b & 0x7f) << (shift < 64 ? shift : 63);
        if (!(b & 0x80)) {
            *ret = v;
            return true;
        }
    }
    return false;
}

/* The length of the UTF-8 character at p, 0 when it is none (RFC 3629: shortest form, no
 * surrogates, at most U+10FFFF). */
static size_t utf8_char(const uint8_t *p, size_t left)
{
    uint32_t c;
    size_t n;

    if (p[0] < 0x80)
        return 1;
    n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || left < n)
        return 0;
    c = p[0] & (0x7f >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    if ((n == 3 && c < 0x800) || (n == 4 && (c < 0x10000 || c > 0x10ffff)))
        return 0;
    return c >= 0xd800 && c <= 0xdfff ? 0 : n;
}

static int check_string(struct walk *w, const char *name, const uint8_t *p, size_t len)
{
    if (memchr(p, 0, len))
        return jl_refuse(w->e, EINVAL, "%s: holds a NUL byte, which no text may", name);
    for (size_t i = 0, n; w->utf8 && i < len; i += n) {
        n = utf8_char(p + i, len - i);
        if (n == 0)
            return jl_refuse(w->e, EINVAL, "%s: byte %zu is not UTF-8", name, i);
    }
    return 0;
}

static int walk_message(struct walk *w, const ProtobufCMessageDescriptor *type, struct span s);

/* What a length-delimited field holds. Numbers may be packed: each counts. */
static int walk_bytes(struct walk *w, const ProtobufCFieldDescriptor *f, struct span in)
{
    size_t len = (size_t) (in.end - in.at);

    if (!f)
        return 0; /* unknown: kept as bytes by protobuf-c, never parsed */
    if (f->type == PROTOBUF_C_TYPE_MESSAGE)
        return walk_message(w, f->descriptor, in);
    if (f->type == PROTOBUF_C_TYPE_STRING)
        return check_string(w, f->name, in.at, len);
    if (f->type != PROTOBUF_C_TYPE_BYTES)
        w->n_fields += len;
    return 0;
}

static int malformed(struct walk *w, const ProtobufCMessageDescriptor *type)
{
    return jl_refuse(w->e, EINVAL, "%s: not a well-formed protobuf message", type->short_name);
}

static int walk_field(struct walk *w, const ProtobufCMessageDescriptor *type, struct span *s)
{
    const ProtobufCFieldDescriptor *f;
    uint64_t tag, len = 0;

    if (!varint(s, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
        return malformed(w, type);
    f = protobuf_c_message_descriptor_get_field(type, (unsigned) (tag >> 3));
    switch (tag & 7) {
    case WIRE_VARINT:
        return varint(s, &len) ? 0 : malformed(w, type);
    case WIRE_64:
        len = 8;
        break;
    case WIRE_32:
        len = 4;
        break;
    case WIRE_BYTES:
        if (!varint(s, &len))
            return malformed(w, type);
        break;
    default: /* groups: gone from the language */
        return malformed(w, type);
    }
    if (len > (uint64_t) (s->end - s->at))
        return malformed(w, type);
    s->at += len;
    if ((tag & 7) != WIRE_BYTES)
        return 0;
    return walk_bytes(w, f, (struct span){ s->at - len, s->at });
}

static int walk_message(struct walk *w, const ProtobufCMessageDescriptor *type, struct span s)
{
    while (s.at < s.end) {
        int r = walk_field(w, type, &s);

        if (r < 0)
            return r;
        if (++w->n_fields > w->max_fields)
            return jl_refuse(w->e, EMSGSIZE, "%s: more than %zu fields in one message",
                             type->short_name, w->max_fields);
    }
    return 0;
}

static int unpack(const ProtobufCMessageDescriptor *type, struct walk *w, const void *data,
                  size_t len, ProtobufCMessage **ret)
{
    static const uint8_t nothing[1];
    const uint8_t *p = data ? data : nothing;
    ProtobufCMessage *m;
    int r = walk_message(w, type, (struct span){ p, p + len });

    if (r < 0)
        return r;
    m = protobuf_c_message_unpack(type, NULL, len, p);
    if (!m) /* well formed as it is: a known field in a wire type that is not its own, or no memory
             */
        return malformed(w, type);
    *ret = m;
    return 0;
}

int api_unpack_request(const ProtobufCMessageDescriptor *type, const void *data, size_t len,
                       ProtobufCMessage **ret, struct jl_err *e)
{
    struct walk w = { .max_fields = API_REQUEST_FIELDS_MAX, .utf8 = true, .e = e };

    return unpack(type, &w, data, len, ret);
}

int api_unpack_reply(const ProtobufCMessageDescriptor *type, const void *data, size_t len,
                     ProtobufCMessage **ret, struct jl_err *e)
{
    struct walk w = { .max_fields = API_REPLY_FIELDS_MAX, .e = e };

    return unpack(type, &w, data, len, ret);
}
