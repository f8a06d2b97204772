/*
 * fuzz_api_run_job.c - a RunJobRequest from the network. What is accepted can be packed again and
 * is then accepted again with the same bytes, so front and core see one and the same request; what
 * is refused says why.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/validate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int read_request(const uint8_t *data, size_t len, ProtobufCMessage **ret)
{
    struct jl_err e = JL_ERR_INIT;
    int r = api_unpack_request(&joblet__run_job_request__descriptor, data, len, ret, &e);

    if (r == 0) {
        r = api_validate_run_job((Joblet__RunJobRequest *) *ret, &e);
        if (r < 0)
            protobuf_c_message_free_unpacked(*ret, NULL);
    }
    assert((r == 0) == !e.text[0]);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    ProtobufCMessage *m = NULL, *m2 = NULL;
    uint8_t *wire, *wire2;
    size_t n, n2;

    if (read_request(data, len, &m) < 0)
        return 0;
    n = protobuf_c_message_get_packed_size(m);
    wire = malloc(n + 1);
    assert(wire && protobuf_c_message_pack(m, wire) == n);
    assert(read_request(wire, n, &m2) == 0);
    n2 = protobuf_c_message_get_packed_size(m2);
    wire2 = malloc(n2 + 1);
    assert(wire2 && protobuf_c_message_pack(m2, wire2) == n2);
    assert(n == n2 && memcmp(wire, wire2, n) == 0);
    free(wire);
    free(wire2);
    protobuf_c_message_free_unpacked(m, NULL);
    protobuf_c_message_free_unpacked(m2, NULL);
    return 0;
}
