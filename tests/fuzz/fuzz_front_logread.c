/*
 * fuzz_front_logread.c - a segment of a log as joblet-front reads it: whatever the index says, reading
 * ends, no chunk is larger than asked for or not of the file, sequences of what comes only grow, and
 * the search for the last lines ends inside the data.
 *
 * Input: options (first sequence wanted, bytes to pass over, lines from the end), then 8 bytes a
 * record, which is sealed with a right check sum here, as a fuzzer does not guess one.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/front/logread.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define OPTIONS 4
#define PER_RECORD 8
#define RECORDS_MAX 64
#define DATA_BYTES 4096

static uint8_t space[IPC_LOG_CHUNK_MAX];

static uint64_t number(const uint8_t *p)
{
    return (uint64_t) p[0] | (uint64_t) p[1] << 8;
}

static void put_records(int fd, const uint8_t *data, size_t n)
{
    for (size_t i = 0; i < n; i++, data += PER_RECORD) {
        struct ipc_log_record r = { .sequence = number(data) % 80,
                                    .wall_ns = (uint64_t) data[2] << 24,
                                    .offset = number(data + 3),
                                    .length = number(data + 5),
                                    .stream = (enum ipc_log_stream)(data[7] % 9) };
        uint8_t raw[IPC_LOG_RECORD_BYTES];

        ipc_log_record_write(&r, raw);
        if (data[7] & 0x80) /* torn */
            raw[IPC_LOG_RECORD_BYTES - 1] ^= 1;
        assert(write(fd, raw, sizeof raw) == sizeof raw);
    }
}

static void read_all(struct jd_logread *r)
{
    uint64_t last = 0;

    for (size_t i = 0; i < 2 * RECORDS_MAX; i++) {
        struct jl_err e = JL_ERR_INIT;
        struct jd_log_chunk c;

        if (jd_logread_next(r, space, sizeof space, &c, &e) < 0) {
            assert(e.text[0]);
            return;
        }
        if (c.what != JD_LOG_CHUNK && c.what != JD_LOG_GAP && c.what != JD_LOG_CUT)
            return;
        assert(c.sequence > last && c.sequence >= r->from);
        last = c.sequence;
        if (c.what == JD_LOG_CHUNK) {
            assert(c.len > 0 && c.len <= DATA_BYTES);
            for (uint64_t b = 0; b < c.len; b++)
                assert(space[b] == 'x' || space[b] == '\n');
        }
    }
    assert(!"reading does not end");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static uint8_t text[DATA_BYTES];
    struct jd_logread r = JD_LOGREAD_INIT;
    struct jl_err e = JL_ERR_INIT;
    uint64_t lines, end = 0;
    size_t n;
    int idx, file;

    if (len < OPTIONS)
        return 0;
    n = (len - OPTIONS) / PER_RECORD;
    idx = memfd_create("idx", MFD_CLOEXEC);
    file = memfd_create("data", MFD_CLOEXEC);
    assert(idx >= 0 && file >= 0);
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < sizeof text; i += 1 + data[0])
        text[i] = '\n';
    assert(write(file, text, sizeof text) == sizeof text);
    put_records(idx, data + OPTIONS, n > RECORDS_MAX ? RECORDS_MAX : n);
    jd_logread_open(&r, 0, idx, file);
    r.from = data[1] % 80;
    r.skip_data = data[2];
    lines = data[3];
    if (jd_logread_data_end(&r, &end, &e) >= 0) {
        uint64_t from = end;

        if (jd_logread_tail(&r, 1000, &end, &lines, &e) >= 0)
            assert(end <= from);
    }
    read_all(&r);
    jd_logread_close(&r);
    return 0;
}
