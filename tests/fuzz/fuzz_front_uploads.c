/*
 * Takes uploads out of a RunJobRequest: nothing is read outside the message, every upload lies in
 * it, and what is left is a message without uploads of which protobuf-c says the same.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "api/joblet.pb-c.h"
#include "daemon/front/upload_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct jd_uploads u = JD_UPLOADS_INIT, again = JD_UPLOADS_INIT;
    struct jl_err e = JL_ERR_INIT;
    Joblet__RunJobRequest *whole;

    if (jd_uploads_split(data, len, &u, &e) < 0) {
        assert(e.text[0] != '\0');
        jd_uploads_done(&u);
        return 0;
    }
    for (size_t i = 0; i < u.n; i++) {
        assert(strlen(u.items[i].path) <= JD_UPLOAD_PATH_MAX);
        assert(u.items[i].len == 0 ||
               (u.items[i].content >= data && u.items[i].content + u.items[i].len <= data + len));
    }
    assert(jd_uploads_split((uint8_t *) u.rest.data, u.rest.len, &again, &e) == 0);
    assert(again.n == 0 && again.rest.len == u.rest.len);
    whole = joblet__run_job_request__unpack(NULL, len, data);
    if (whole) {
        assert(whole->n_uploads == u.n);
        for (size_t i = 0; i < u.n; i++) {
            assert(strcmp(whole->uploads[i]->path, u.items[i].path) == 0);
            assert(whole->uploads[i]->content.len == u.items[i].len);
        }
        joblet__run_job_request__free_unpacked(whole, NULL);
    }
    jd_uploads_done(&again);
    jd_uploads_done(&u);
    return 0;
}
