/*
 * joblog.c - see joblog.h.
 *
 * Record: sequence, wall time, offset, length (8 bytes each), stream (4), CRC-32 of those 36 (4).
 */
#include "ipc/joblog.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "ipc/wire.h"

#define AT_SEQUENCE 0
#define AT_WALL 8
#define AT_OFFSET 16
#define AT_LENGTH 24
#define AT_STREAM 32
#define AT_CHECK 36

/* CRC-32 as in IEEE 802.3 (reflected 0xEDB88320), four bits at a time: 64 bytes of table. */
static uint32_t crc32_of(const uint8_t *p, size_t len)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    uint32_t crc = ~0u;

    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        crc = table[crc & 15] ^ (crc >> 4);
        crc = table[crc & 15] ^ (crc >> 4);
    }
    return ~crc;
}

void ipc_log_record_write(const struct ipc_log_record *r, uint8_t out[IPC_LOG_RECORD_BYTES])
{
    ipc_put64(out + AT_SEQUENCE, r->sequence);
    ipc_put64(out + AT_WALL, r->wall_ns);
    ipc_put64(out + AT_OFFSET, r->offset);
    ipc_put64(out + AT_LENGTH, r->length);
    ipc_put32(out + AT_STREAM, (uint32_t) r->stream);
    ipc_put32(out + AT_CHECK, crc32_of(out, AT_CHECK));
}

static bool length_fits(uint32_t stream, uint64_t length)
{
    switch (stream) {
    case IPC_LOG_STDOUT:
    case IPC_LOG_STDERR:
    case IPC_LOG_NOTE:
        return length > 0 && length <= IPC_LOG_CHUNK_MAX;
    case IPC_LOG_GAP:
    case IPC_LOG_CUT:
        return length > 0;
    case IPC_LOG_NEXT:
    case IPC_LOG_END:
        return length == 0;
    default:
        return false;
    }
}

int ipc_log_record_parse(const uint8_t in[IPC_LOG_RECORD_BYTES], struct ipc_log_record *ret)
{
    struct ipc_log_record r = {
        .sequence = ipc_get64(in + AT_SEQUENCE),
        .wall_ns = ipc_get64(in + AT_WALL),
        .offset = ipc_get64(in + AT_OFFSET),
        .length = ipc_get64(in + AT_LENGTH),
    };
    uint32_t stream = ipc_get32(in + AT_STREAM);

    if (crc32_of(in, AT_CHECK) != ipc_get32(in + AT_CHECK))
        return -EPROTO;
    if (r.sequence == 0 || !length_fits(stream, r.length))
        return -EPROTO;
    if (r.length > INT64_MAX || r.offset > INT64_MAX - r.length) /* a reader may add them */
        return -EPROTO;
    r.stream = (enum ipc_log_stream) stream;
    *ret = r;
    return 0;
}

char *ipc_log_data_name(unsigned segment, char *buf, size_t size)
{
    snprintf(buf, size, "output.%u.log", segment);
    return buf;
}

char *ipc_log_index_name(unsigned segment, char *buf, size_t size)
{
    snprintf(buf, size, "output.%u.idx", segment);
    return buf;
}

bool ipc_log_is_index(const char *name, unsigned *ret_segment)
{
    const char *digits = strncmp(name, "output.", 7) == 0 ? name + 7 : "";
    size_t n = strspn(digits, "0123456789");
    uint64_t segment;
    char text[16], again[32];

    if (n == 0 || n >= sizeof text)
        return false;
    memcpy(text, digits, n);
    text[n] = '\0';
    if (jl_parse_u64(text, INT32_MAX, &segment) < 0 ||
        strcmp(ipc_log_index_name((unsigned) segment, again, sizeof again), name) != 0)
        return false;
    *ret_segment = (unsigned) segment;
    return true;
}
