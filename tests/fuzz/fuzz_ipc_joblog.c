/*
 * An index of records, as a reader meets it: what is accepted is written again to the very same
 * bytes, and a record sealed with a right check sum is accepted exactly when its parts are
 * possible.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "ipc/joblog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(const uint8_t in[IPC_LOG_RECORD_BYTES])
{
    uint8_t again[IPC_LOG_RECORD_BYTES];
    struct ipc_log_record r;

    if (ipc_log_record_parse(in, &r) < 0)
        return;
    assert(r.offset + r.length >= r.offset && r.sequence > 0);
    ipc_log_record_write(&r, again);
    assert(memcmp(again, in, sizeof again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    for (; len >= IPC_LOG_RECORD_BYTES; data += IPC_LOG_RECORD_BYTES, len -= IPC_LOG_RECORD_BYTES) {
        struct ipc_log_record r;
        uint8_t sealed[IPC_LOG_RECORD_BYTES];

        check(data);
        /* A fuzzer does not guess a CRC: the same parts with a right one. */
        memcpy(&r.sequence, data, 8);
        memcpy(&r.wall_ns, data + 8, 8);
        memcpy(&r.offset, data + 16, 8);
        memcpy(&r.length, data + 24, 8);
        r.stream = (enum ipc_log_stream)(data[32] % 9);
        ipc_log_record_write(&r, sealed);
        check(sealed);
    }
    return 0;
}
