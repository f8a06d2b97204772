/*
 * corelink.c - see corelink.h.
 *
 * Packet: 36 bytes of header, then five strings (identity and text) as length (2) and bytes, then
 * the body. Header: magic (4), type (2), operation (2), id (8), status (4), segment (4), length of
 * the body (4), flags (4), number of descriptors without the body's memfd (4).
 */
#include "ipc/corelink.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "ipc/wire.h"

#define MAGIC UINT32_C(0x314c464a) /* "JFL1" */
#define HEAD_BYTES 36
#define FLAG_MEMFD 1u /* the body is in the first descriptor */

static const char *const role_names[] = {
    [JD_ROLE_NONE] = "none",           [JD_ROLE_READER] = "reader",
    [JD_ROLE_DEVELOPER] = "developer", [JD_ROLE_MAINTAINER] = "maintainer",
    [JD_ROLE_ADMIN] = "admin",
};

static const struct {
    const char *operation, *method;
    enum jd_role role;
} ops[JD_OP_N] = {
    [JD_OP_NONE] = { "none", NULL, JD_ROLE_ADMIN },
#define JD_OP(id, operation, method, role) [id] = { operation, method, role },
#include "ipc/ops.def"
#undef JD_OP
};

const char *jd_role_name(enum jd_role role)
{
    return role_names[role];
}

static enum jd_role role_of_word(const char *word, size_t len)
{
    if (len == strlen("viewer") && strncasecmp(word, "viewer", len) == 0)
        return JD_ROLE_READER;
    for (size_t i = JD_ROLE_READER; i < JL_COUNT(role_names); i++)
        if (strlen(role_names[i]) == len && strncasecmp(word, role_names[i], len) == 0)
            return (enum jd_role) i;
    return JD_ROLE_NONE;
}

enum jd_role jd_role_parse(const char *units)
{
    enum jd_role weakest = JD_ROLE_NONE;

    while (*units != '\0') {
        size_t len = strcspn(units, ","), blank = strspn(units, " "), trimmed;
        enum jd_role role;

        if (blank > len)
            blank = len;
        trimmed = len - blank;
        while (trimmed > 0 && units[blank + trimmed - 1] == ' ')
            trimmed--;
        role = role_of_word(units + blank, trimmed);
        if (role != JD_ROLE_NONE && (weakest == JD_ROLE_NONE || role < weakest))
            weakest = role;
        units += len;
        units += *units == ',';
    }
    return weakest;
}

const char *jd_op_name(enum jd_op op)
{
    return op < JD_OP_N ? ops[op].operation : "none";
}

enum jd_role jd_op_role(enum jd_op op)
{
    return op < JD_OP_N ? ops[op].role : JD_ROLE_ADMIN;
}

enum jd_op jd_op_of_method(const char *method)
{
    for (int op = JD_OP_NONE + 1; op < JD_OP_N; op++)
        if (ops[op].method && strcmp(ops[op].method, method) == 0)
            return (enum jd_op) op;
    return JD_OP_NONE;
}

/* The strings of a frame in the packet's order. */
struct string {
    char *s;
    size_t size; /* with the NUL */
};
#define N_STRINGS 5

static void strings_of(struct ipc_frame *f, struct string ret[N_STRINGS])
{
    ret[0] = (struct string){ f->who.common_name, sizeof f->who.common_name };
    ret[1] = (struct string){ f->who.unit, sizeof f->who.unit };
    ret[2] = (struct string){ f->who.serial, sizeof f->who.serial };
    ret[3] = (struct string){ f->who.peer, sizeof f->who.peer };
    ret[4] = (struct string){ f->text, sizeof f->text };
}

int ipc_frame_write(const struct ipc_frame *f, uint8_t *buf, size_t size)
{
    struct string strings[N_STRINGS];
    bool memfd = f->body_len > IPC_LINK_INLINE_MAX;
    size_t at = HEAD_BYTES;

    if (f->body_len > IPC_LINK_BODY_MAX || f->n_fds > IPC_LINK_FDS_MAX || size < HEAD_BYTES)
        return -EMSGSIZE;
    ipc_put32(buf, MAGIC);
    ipc_put16(buf + 4, (uint16_t) f->type);
    ipc_put16(buf + 6, (uint16_t) f->op);
    ipc_put64(buf + 8, f->id);
    ipc_put32(buf + 16, f->status);
    ipc_put32(buf + 20, f->segment);
    ipc_put32(buf + 24, (uint32_t) f->body_len);
    ipc_put32(buf + 28, memfd ? FLAG_MEMFD : 0);
    ipc_put32(buf + 32, (uint32_t) f->n_fds);
    strings_of((struct ipc_frame *) (uintptr_t) f, strings); /* read only */
    for (size_t i = 0; i < N_STRINGS; i++) {
        size_t len = strnlen(strings[i].s, strings[i].size - 1);

        if (size - at < 2 + len)
            return -EMSGSIZE;
        ipc_put16(buf + at, (uint16_t) len);
        memcpy(buf + at + 2, strings[i].s, len);
        at += 2 + len;
    }
    if (!memfd && f->body_len > 0) {
        if (size - at < f->body_len)
            return -EMSGSIZE;
        memcpy(buf + at, f->body, f->body_len);
        at += f->body_len;
    }
    return (int) at;
}

static bool is_empty(const struct ipc_identity *who)
{
    return who->common_name[0] == '\0' && who->unit[0] == '\0' && who->serial[0] == '\0' &&
           who->peer[0] == '\0';
}

/* Which fields a frame of its type may use. */
static int check(const struct ipc_frame *f, struct jl_err *e)
{
    if (f->segment != 0 && f->op != JD_OP_GET_JOB_LOGS && f->op != JD_OP_GET_JOB_METRICS &&
        f->op != JD_OP_STREAM_JOB_METRICS)
        return jl_refuse(e, EPROTO, "link frame: segment without GetJobLogs or metrics");
    switch (f->type) {
    case IPC_LINK_REQUEST:
        if (f->op == JD_OP_NONE)
            return jl_refuse(e, EPROTO, "link frame: request without operation");
        if (f->status != 0 && (f->status > IPC_LINK_CODE_MAX || f->text[0] == '\0' ||
                               f->body_len >= IPC_LINK_OBJECT_MAX))
            return jl_refuse(e, EPROTO, "link frame: refused request with parts it cannot have");
        return 0;
    case IPC_LINK_REPLY:
        if (f->op == JD_OP_NONE || !is_empty(&f->who))
            return jl_refuse(e, EPROTO, "link frame: reply without operation or with an identity");
        return 0;
    case IPC_LINK_EVENT:
        if (f->op != JD_OP_NONE || f->id != 0 || f->status != 0 || !is_empty(&f->who) ||
            (f->body_len != 0 && strcmp(f->text, IPC_LINK_REVOKED) != 0))
            return jl_refuse(e, EPROTO, "link frame: event with parts it cannot have");
        return 0;
    }
    return jl_refuse(e, EPROTO, "link frame: unknown type %d", (int) f->type);
}

static int parse_strings(const uint8_t *data, size_t len, size_t *at, struct ipc_frame *f,
                         struct jl_err *e)
{
    struct string strings[N_STRINGS];

    strings_of(f, strings);
    for (size_t i = 0; i < N_STRINGS; i++) {
        size_t n;

        if (len - *at < 2)
            return jl_refuse(e, EPROTO, "link frame: cut off");
        n = ipc_get16(data + *at);
        *at += 2;
        if (n > len - *at || n >= strings[i].size)
            return jl_refuse(e, EPROTO, "link frame: string %zu is cut off or too long", i);
        if (memchr(data + *at, '\0', n))
            return jl_refuse(e, EPROTO, "link frame: string %zu holds a NUL", i);
        memcpy(strings[i].s, data + *at, n);
        *at += n;
    }
    return 0;
}

int ipc_frame_parse(const uint8_t *data, size_t len, struct ipc_frame *ret, struct jl_err *e)
{
    struct ipc_frame f = { .fds = { -1, -1, -1, -1 } };
    size_t at = HEAD_BYTES;
    uint32_t flags;
    int r;

    if (len < HEAD_BYTES || ipc_get32(data) != MAGIC)
        return jl_refuse(e, EPROTO, "link frame: not one of ours (%zu bytes)", len);
    f.type = (enum ipc_link_type) ipc_get16(data + 4);
    f.id = ipc_get64(data + 8);
    f.status = ipc_get32(data + 16);
    f.segment = ipc_get32(data + 20);
    f.body_len = ipc_get32(data + 24);
    flags = ipc_get32(data + 28);
    f.n_fds = ipc_get32(data + 32);
    if (ipc_get16(data + 6) >= JD_OP_N)
        return jl_refuse(e, EPROTO, "link frame: unknown operation %u", ipc_get16(data + 6));
    f.op = (enum jd_op) ipc_get16(data + 6);
    if (f.n_fds > IPC_LINK_FDS_MAX)
        return jl_refuse(e, EPROTO, "link frame: %zu descriptors", f.n_fds);
    if (f.body_len > IPC_LINK_BODY_MAX ||
        flags != (f.body_len > IPC_LINK_INLINE_MAX ? FLAG_MEMFD : 0))
        return jl_refuse(e, EPROTO, "link frame: body of %zu bytes in the wrong place", f.body_len);
    r = parse_strings(data, len, &at, &f, e);
    if (r < 0)
        return r;
    if (len - at != (flags ? 0 : f.body_len))
        return jl_refuse(e, EPROTO, "link frame: body of %zu bytes, %zu are there", f.body_len,
                         len - at);
    if (!flags && f.body_len > 0)
        f.body = data + at;
    r = check(&f, e);
    if (r < 0)
        return r;
    *ret = f;
    return 0;
}

int ipc_link_send(int sock, const struct ipc_frame *f, struct jl_err *e)
{
    uint8_t packet[IPC_LINK_PACKET_MAX];
    int fds[IPC_LINK_FDS_MAX + 1];
    _close_ int memfd = -1;
    size_t n_fds = 0;
    int len, r;

    len = ipc_frame_write(f, packet, sizeof packet);
    if (len < 0)
        return jl_refuse(e, -len, "link: frame '%s' with %zu bytes of body is too large",
                         jd_op_name(f->op), f->body_len);
    if (f->body_len > IPC_LINK_INLINE_MAX) {
        memfd = jl_sealed_memfd("joblet-body", f->body, f->body_len);
        if (memfd < 0)
            return jl_fail(e, -memfd, "link: memfd for %zu bytes of body", f->body_len);
        fds[n_fds++] = memfd;
    }
    for (size_t i = 0; i < f->n_fds; i++)
        fds[n_fds++] = f->fds[i];
    r = jl_send_fds(sock, packet, (size_t) len, fds, n_fds);
    if (r < 0)
        return jl_fail(e, -r, "link: send '%s'", jd_op_name(f->op));
    return 0;
}

/* The body's memfd: of the promised size and sealed, so that it cannot change under us. */
static int map_body(int fd, struct ipc_received *r, struct jl_err *e)
{
    const int want = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat st;

    if (seals < 0 || (seals & want) != want)
        return jl_refuse(e, EPROTO, "link: body is not in a sealed memfd");
    if (fstat(fd, &st) < 0)
        return jl_fail_sys(e, "fstat", NULL, "link: body");
    if (st.st_size < 0 || (uint64_t) st.st_size != r->frame.body_len)
        return jl_refuse(e, EPROTO, "link: body has %lld bytes, %zu were announced",
                         (long long) st.st_size, r->frame.body_len);
    r->map = mmap(NULL, r->frame.body_len, PROT_READ, MAP_PRIVATE, fd, 0);
    if (r->map == MAP_FAILED) {
        r->map = NULL;
        return jl_fail_sys(e, "mmap", NULL, "link: body of %zu bytes", r->frame.body_len);
    }
    r->map_len = r->frame.body_len;
    r->frame.body = r->map;
    return 0;
}

/* Hands the descriptors of a packet to its frame; `used` counts those that have an owner. */
static int place_fds(struct ipc_received *got, const int *fds, size_t n_fds, size_t *used,
                     struct jl_err *e)
{
    bool large = got->frame.body_len > IPC_LINK_INLINE_MAX;

    if (n_fds != got->frame.n_fds + large)
        return jl_refuse(e, EPROTO, "link: %zu descriptors came, %zu were announced", n_fds,
                         got->frame.n_fds + large);
    if (large) {
        int r = map_body(fds[0], got, e);

        jl_close(fds[0]);
        *used = 1;
        if (r < 0)
            return r;
    }
    memcpy(got->frame.fds, fds + large, got->frame.n_fds * sizeof fds[0]);
    *used = n_fds;
    return 0;
}

int ipc_link_recv(int sock, uint8_t *buf, struct ipc_received *ret, struct jl_err *e)
{
    struct ipc_received got = { 0 };
    int fds[IPC_LINK_FDS_MAX + 1];
    size_t n_fds = JL_COUNT(fds), used = 0;
    ssize_t n = jl_recv_fds(sock, buf, IPC_LINK_PACKET_MAX, fds, &n_fds);
    int r;

    if (n == -EAGAIN)
        return jl_fail(e, EAGAIN, "link: nothing there");
    if (n < 0)
        return jl_fail(e, (int) -n, "link: receive");
    if (n == 0 && n_fds == 0)
        return 0;
    r = ipc_frame_parse(buf, (size_t) n, &got.frame, e);
    if (r == 0)
        r = place_fds(&got, fds, n_fds, &used, e);
    if (r < 0) {
        for (size_t i = used; i < n_fds; i++)
            jl_close(fds[i]);
        return r;
    }
    *ret = got;
    return 1;
}

void ipc_link_done(struct ipc_received *r)
{
    for (size_t i = 0; i < r->frame.n_fds; i++)
        r->frame.fds[i] = jl_close(r->frame.fds[i]);
    r->frame.n_fds = 0;
    if (r->map)
        munmap(r->map, r->map_len);
    r->map = NULL;
    r->frame.body = NULL;
}
