/* store_request.c - the request of one job, out of the database: the part of store.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/store_internal.h"

void jd_blob_done(struct jd_blob *b)
{
    if (b->data)
        explicit_bzero(b->data, b->len);
    free(b->data);
    *b = (struct jd_blob){ 0 };
}

int jd_store_read_blob(sqlite3_stmt *st, int i, struct jd_blob *ret)
{
    int n = sqlite3_column_bytes(st, i);
    const void *data = sqlite3_column_blob(st, i);

    if (n <= 0)
        return 0;
    ret->data = malloc((size_t) n);
    if (!ret->data)
        return -ENOMEM;
    memcpy(ret->data, data, (size_t) n);
    ret->len = (size_t) n;
    return 0;
}

int jd_store_request(struct jd_store *s, const char *id, struct jd_blob *ret_request,
                     struct jd_blob *ret_secrets, struct jl_err *e)
{
    _stmt_ sqlite3_stmt *st = NULL;
    int rc, r = jd_store_prepare(s,
                                 "SELECT request, secrets FROM jobs LEFT JOIN job_secrets USING "
                                 "(id) WHERE id=?",
                                 &st, e);

    if (r < 0)
        return r;
    sqlite3_bind_text(st, 1, id, -1, SQLITE_STATIC);
    rc = sqlite3_step(st);
    if (rc == SQLITE_DONE)
        return jl_refuse(e, EIO, "state database '%s': job %s is not there", s->path, id);
    if (rc != SQLITE_ROW)
        return jd_store_fail(s, e, "read a request");
    if (jd_store_read_blob(st, 0, ret_request) < 0 || jd_store_read_blob(st, 1, ret_secrets) < 0)
        return jl_fail(e, ENOMEM, "read a request");
    return 0;
}
